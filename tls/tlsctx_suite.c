/* Protocols, ciphers and groups of a context; see tlsctx.h.
 * Owns: the grammar of TLS_Protocols, the defaults, what is never used. */

#include "tls/tlsctx.h"

#include <openssl/err.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tls/tlsctx_int.h"

#define SEPARATORS	" \t,:;"
#define WORD_MAX	128	/* octets of a name in a list */

/* The ciphers of TLS 1.2 that do what TLS 1.3 demands: ephemeral keys for each
 * session, and authenticated encryption.  The first is preferred. */
#define OUR_CIPHERS "ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:" \
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:" \
    "ECDHE-RSA-AES128-GCM-SHA256"

/* Appended to the administrator's list: key exchanges that need no signature,
 * or one that tls/keeper.h does not make, do not work with a key that is in
 * another process; the others are broken. */
#define NEVER ":!kRSA:!kDHE:!kPSK:!SRP:!aNULL:!eNULL:!MD5:!RC4:!3DES:!SEED:!IDEA"

#define OUR_GROUPS "X25519:P-256:P-384:P-521"

/* What tls/remote.h can sign, the fastest first.  It also holds for the
 * certificates of clients. */
#define SIGALGS "ecdsa_secp256r1_sha256:ed25519:ecdsa_secp384r1_sha384:" \
    "ecdsa_secp521r1_sha512:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:" \
    "rsa_pss_rsae_sha512:rsa_pss_pss_sha256:rsa_pss_pss_sha384:" \
    "rsa_pss_pss_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512"

enum { HAS_12 = 1, HAS_13 = 2, HAS_ALL = HAS_12 | HAS_13 };

static const struct {
	const char	*name;
	int		 set;
	const char	*why_not;
} protocols[] = {
	{ "ALL",	HAS_ALL, NULL },
	{ "TLSv1.2",	HAS_12, NULL },
	{ "TLSv1.3",	HAS_13, NULL },
	{ "SSLv2",	0, "RFC 6176" },
	{ "SSLv3",	0, "RFC 7568" },
	{ "TLSv1",	0, "RFC 8996" },
	{ "TLSv1.0",	0, "RFC 8996" },
	{ "TLSv1.1",	0, "RFC 8996" },
};
#define NPROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

/* --- lists ---------------------------------------------------------------- */

/* The next word of *${list}, or NULL at its end or when it is too long. */
static const char *
next_word(const char **list, char word[WORD_MAX])
{
	size_t len;

	*list += strspn(*list, SEPARATORS);
	len = strcspn(*list, SEPARATORS);
	if (len == 0)
		return NULL;
	/* a name that is cut here is no known one */
	snprintf(word, WORD_MAX, "%.*s", (int)len, *list);
	*list += len;
	return word;
}

/* --- protocols ------------------------------------------------------------ */

/* One word: into *${set}, or out of it. */
static int
apply_protocol(const char *word, int *set, char *err_r, size_t errlen)
{
	bool is_out = *word == '-';
	size_t i;

	if (*word == '+' || *word == '-')
		word++;
	for (i = 0; i < NPROTOCOLS; i++)
		if (strcasecmp(word, protocols[i].name) == 0)
			break;
	if (i == NPROTOCOLS) {
		snprintf(err_r, errlen, "%s: unknown protocol: use "
		    "TLSv1.2, TLSv1.3 or ALL", word);
		return -1;
	}
	if (!is_out && protocols[i].why_not != NULL) {
		snprintf(err_r, errlen, "%s: must not be used (%s): use TLSv1.2 "
		    "or TLSv1.3", word, protocols[i].why_not);
		return -1;
	}
	*set = is_out ? *set & ~protocols[i].set : *set | protocols[i].set;
	return 0;
}

int
tlsctx_protocols_set(SSL_CTX *ctx, const char *list, char *err_r, size_t errlen)
{
	char word[WORD_MAX];
	int set;

	list += strspn(list, SEPARATORS);
	/* "-TLSv1.2" alone is taken away from all protocols */
	set = *list == '-' || *list == '\0' ? HAS_ALL : 0;
	while (next_word(&list, word) != NULL)
		if (apply_protocol(word, &set, err_r, errlen) == -1)
			return -1;
	if (set == 0) {
		snprintf(err_r, errlen, "no protocol is left: allow TLSv1.2 or "
		    "TLSv1.3");
		return -1;
	}
	if (SSL_CTX_set_min_proto_version(ctx, (set & HAS_12) != 0 ?
	    TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, (set & HAS_13) != 0 ?
	    TLS1_3_VERSION : TLS1_2_VERSION) != 1) {
		tlsctx_error(err_r, errlen, "protocols");
		return -1;
	}
	return 0;
}

/* --- ciphers and groups --------------------------------------------------- */

static int
set_ciphers(SSL_CTX *ctx, const char *list)
{
	char all[2048];

	if (snprintf(all, sizeof(all), "%s%s", list, NEVER) >=
	    (int)sizeof(all))
		return 0;
	return SSL_CTX_set_cipher_list(ctx, all);
}

/* OpenSSL ignores names that it does not know, so that a mistyped list would be
 * a shorter one.  So each name is tried alone. */
static int
check_words(const char *list, int (*set)(SSL_CTX *, const char *), char *err_r,
    size_t errlen)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char word[WORD_MAX];
	int rc = ctx != NULL ? 0 : -1;

	while (rc == 0 && next_word(&list, word) != NULL) {
		/* an operation on the list, not a part of it */
		if (strchr("!-+@", word[0]) != NULL)
			continue;
		SSL_CTX_set_security_level(ctx, 0);
		if (set(ctx, word) == 1)
			continue;
		snprintf(err_r, errlen, "%s: unknown, or without ECDHE and a "
		    "signature: see openssl ciphers -v", word);
		rc = -1;
	}
	if (ctx == NULL)
		tlsctx_error(err_r, errlen, "OpenSSL");
	SSL_CTX_free(ctx);
	return rc;
}

static int
apply_list(SSL_CTX *ctx, const char *list,
    int (*set)(SSL_CTX *, const char *), char *err_r, size_t errlen)
{
	if (check_words(list, set, err_r, errlen) == -1)
		return -1;
	if (set(ctx, list) == 1)
		return 0;
	tlsctx_error(err_r, errlen, list);
	return -1;
}

static int
set_groups(SSL_CTX *ctx, const char *list, char *err_r, size_t errlen)
{
	char names[512] = "", word[WORD_MAX];
	size_t len = 0;

	while (next_word(&list, word) != NULL && len < sizeof(names))
		len += (size_t)snprintf(names + len, sizeof(names) - len,
		    "%s%s", len == 0 ? "" : ":", word);
	if (len < sizeof(names) &&
	    SSL_CTX_set1_groups_list(ctx, names) == 1)
		return 0;
	snprintf(err_r, errlen, "%s: not a list of groups: use X25519, X448, "
	    "P-256, P-384 or P-521", names);
	return -1;
}

/* -------------------------------------------------------------------------- */

int
tlsctx_suite_set(SSL_CTX *ctx, const struct tlsctx_config *c, char *which_r,
    char *err_r, size_t errlen)
{
	SSL_CTX_set_security_level(ctx, 2);
	*which_r = 'p';
	if (tlsctx_protocols_set(ctx, c->protocols, err_r, errlen) == -1)
		return -1;
	*which_r = 'c';
	if (apply_list(ctx, *c->ciphers != '\0' ? c->ciphers : OUR_CIPHERS,
	    set_ciphers, err_r, errlen) == -1)
		return -1;
	*which_r = 's';
	if (*c->ciphersuites != '\0' && apply_list(ctx, c->ciphersuites,
	    SSL_CTX_set_ciphersuites, err_r, errlen) == -1)
		return -1;
	*which_r = 'g';
	if (set_groups(ctx, *c->groups != '\0' ? c->groups : OUR_GROUPS, err_r,
	    errlen) == -1)
		return -1;
	if (SSL_CTX_set1_sigalgs_list(ctx, SIGALGS) != 1) {
		tlsctx_error(err_r, errlen, "OpenSSL");
		return -1;
	}
	return 0;
}

int
tlsctx_check(const struct tlsctx_config *c, char *which_r, char *err_r,
    size_t errlen)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int rc;

	if (ctx == NULL) {
		*which_r = 'p';
		tlsctx_error(err_r, errlen, "OpenSSL");
		return -1;
	}
	rc = tlsctx_suite_set(ctx, c, which_r, err_r, errlen);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

/* TLS of embedders, on a real session. */

#include "tls/library/mailmill_tls.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/tls/keys_fixture.h"
#include "test/unit/tls/library/talk.h"
#include "tls/ec_ssl.h"

static char why[MAILMILL_TLS_ERROR_MAX];

struct pem {
	char	*cert, *key;
};

static struct pem
pem_make(enum keys_kind kind)
{
	EVP_PKEY *key = keys_make(kind);
	X509 *x = keys_certificate(key);
	struct pem p = { keys_cert_pem(x), keys_text(key, false, NULL) };

	X509_free(x);
	EVP_PKEY_free(key);
	return p;
}

static void
pem_free(struct pem p)
{
	free(p.cert);
	free(p.key);
}

/* A file with ${text}; the name is static. */
static const char *
file_of(const char *name, const char *text)
{
	static char path[2][64];
	static int i;
	FILE *f;

	i = !i;
	snprintf(path[i], sizeof(path[i]), "/tmp/mailmill-test.%ld.%s",
	    (long)getpid(), name);
	f = fopen(path[i], "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
	return path[i];
}

Test(mailmill_tls, starttls_with_each_kind_of_key)
{
	static const char ehlo[] = "EHLO x\r\n";
	struct mailmill_tls *tls;
	struct talk *t;
	struct pem p;
	int kind;

	for (kind = KEYS_RSA; kind < KEYS_NKINDS; kind++) {
		t = talk_new();
		p = pem_make(kind);
		tls = mailmill_tls_new_pem(t->options, p.cert, p.key, why,
		    sizeof(why));
		cr_assert_not_null(tls, "%s: %s", keys_names[kind], why);
		pem_free(p);
		cr_assert_eq(mailmill_tls_host(tls, &t->ops), 0);
		talk_connect(t);
		cr_expect_not_null(strstr(talk_say(t, ehlo), "STARTTLS\r\n"));
		cr_expect_eq(ec_ssl_is_event_ssl(t->ac->event), 0);
		cr_expect_eq(strncmp(talk_say(t, "STARTTLS\r\n"), "220 ", 4),
		    0);
		cr_assert(talk_tls(t), "%s", keys_names[kind]);
		cr_expect_null(strstr(talk_say(t, ehlo), "STARTTLS"));
		cr_expect_eq(ec_ssl_is_event_ssl(t->ac->event), 1);
		cr_expect_str_eq(t->ac->tls->protocol, "TLSv1.3");
		cr_expect_not_null(strstr(talk_say(t, "QUIT\r\n"), "221 "));
		talk_end(t);
		mailmill_tls_free(tls);
	}
}

Test(mailmill_tls, implicit_tls_from_files)
{
	struct pem p = pem_make(KEYS_P256);
	const char *cert = file_of("crt", p.cert), *key = file_of("key", p.key);
	struct talk *t = talk_new();
	struct mailmill_tls *tls;

	talk_option(t, "TLS_Certificate", cert);
	talk_option(t, "TLS_Key", key);
	talk_option(t, "Use_SSL", "true");
	tls = mailmill_tls_new(t->options, why, sizeof(why));
	cr_assert_not_null(tls, "%s", why);
	unlink(cert);
	unlink(key);
	cr_assert_eq(mailmill_tls_host(tls, &t->ops), 0);
	talk_connect(t);
	cr_expect_str_eq(t->heard, "");
	cr_assert(talk_tls(t));
	cr_expect_eq(strncmp(t->heard, "220 ", 4), 0);
	talk_end(t);
	mailmill_tls_free(tls);
	pem_free(p);
}

Test(mailmill_tls, a_renewed_certificate_is_for_the_next_handshake)
{
	struct pem p[2] = { pem_make(KEYS_P256), pem_make(KEYS_ED25519) };
	struct mailmill_tls *tls;
	struct talk *t;
	X509 *x;
	int i;

	t = talk_new();
	tls = mailmill_tls_new_pem(t->options, p[0].cert, p[0].key, NULL, 0);
	talk_end(t);
	for (i = 0; i < 2; i++) {
		t = talk_new();
		talk_option(t, "Use_SSL", "true");
		cr_assert_eq(mailmill_tls_host(tls, &t->ops), 0);
		talk_connect(t);
		cr_assert(talk_tls(t));
		x = SSL_get1_peer_certificate(t->ssl);
		cr_expect_eq(EVP_PKEY_is_a(X509_get0_pubkey(x), i == 0 ?
		    "EC" : "ED25519"), 1);
		X509_free(x);
		mailmill_tls_renew(tls, i == 0 ? mailmill_tls_new_pem(
		    t->options, p[1].cert, p[1].key, NULL, 0) : tls);
		/* the session goes on with the former one */
		cr_expect_eq(strncmp(talk_say(t, "NOOP\r\n"), "250 ", 4), 0);
		talk_end(t);
		pem_free(p[i]);
	}
	mailmill_tls_free(tls);
}

/* Each: what is said of it. */
Test(mailmill_tls, what_cannot_be_used_is_told)
{
	struct pem p = pem_make(KEYS_P256), other = pem_make(KEYS_P256);
	EVP_PKEY *key = keys_make(KEYS_RSA);
	char *locked = keys_text(key, false, EVP_aes_128_cbc());
	const struct {
		const char	*cert, *key, *want;
	} rows[] = {
		{ p.cert, other.key, "does not belong" },
		{ p.cert, "", "no private key" },
		{ p.cert, "x", "contains no PEM private key" },
		{ p.cert, locked, "is encrypted" },
		{ p.key, p.key, "contains a private key" },
		{ "", p.key, "contains no PEM certificate" },
	};
	struct talk *t = talk_new();
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_null(mailmill_tls_new_pem(t->options, rows[i].cert,
		    rows[i].key, why, sizeof(why)));
		cr_expect_not_null(strstr(why, rows[i].want), "%s: %s",
		    rows[i].want, why);
		/* nobody has to ask why */
		cr_expect_null(mailmill_tls_new_pem(t->options, rows[i].cert,
		    rows[i].key, NULL, i == 0 ? 0 : sizeof(why)));
	}
	mailmill_tls_free(NULL);
	cr_expect_null(mailmill_tls_new(t->options, why, sizeof(why)));
	cr_expect_null(mailmill_tls_new(t->options, NULL, sizeof(why)));
	cr_expect_not_null(strstr(why, "name a certificate"), "%s", why);
	talk_option(t, "TLS_Certificate", "/nonexistent/mx.crt");
	talk_option(t, "TLS_Key", "/nonexistent/mx.key");
	cr_expect_null(mailmill_tls_new(t->options, why, sizeof(why)));
	cr_expect_str_eq(why, "/nonexistent/mx.crt: cannot be opened: No such "
	    "file or directory");
	talk_option(t, "TLS_Certificate", file_of("crt", p.cert));
	cr_expect_null(mailmill_tls_new(t->options, why, sizeof(why)));
	cr_expect_eq(strncmp(why, "/nonexistent/mx.key: ", 21), 0, "%s", why);
	talk_option(t, "TLS_Key", file_of("key", other.key));
	cr_expect_null(mailmill_tls_new(t->options, why, sizeof(why)));
	cr_expect_not_null(strstr(why, ".key: does not belong to the "
	    "certificate (TLS_Certificate is /tmp/"), "%s", why);
	unlink(file_of("crt", ""));
	unlink(file_of("key", ""));
	free(locked);
	EVP_PKEY_free(key);
	pem_free(p);
	pem_free(other);
	talk_end(t);
}

/* The file that is wrong is named, and no other one. */
Test(mailmill_tls, each_file_is_named_that_is_wrong)
{
	struct pem p = pem_make(KEYS_P256);
	const struct {
		const char	*cert, *key, *ca, *want;
	} rows[] = {
		{ p.cert, "", p.cert, "K: is empty: expected a private key" },
		{ p.cert, "x", p.cert, "K: contains no PEM private key" },
		{ "x", p.key, p.cert, "C: contains no PEM certificate" },
		{ "", p.key, p.cert, "C: contains no PEM certificate" },
		{ p.cert, p.key, "x", "A: contains no PEM certificate" },
		{ p.cert, p.key, "", "A: contains no PEM certificate" },
		{ p.cert, p.key, p.key, "A: contains a private key" },
	};
	static const char *const options[] = { "TLS_Certificate", "TLS_Key",
		"TLS_Client_CA" };
	char path[3][64], want[256];
	struct talk *t = talk_new();
	struct mailmill_tls *tls;
	const char *texts[3];
	size_t i, k;
	FILE *f;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		texts[0] = rows[i].cert;
		texts[1] = rows[i].key;
		texts[2] = rows[i].ca;
		for (k = 0; k < 3; k++) {
			snprintf(path[k], sizeof(path[k]),
			    "/tmp/mailmill-test.%ld.%c", (long)getpid(),
			    "CKA"[k]);
			cr_assert_not_null(f = fopen(path[k], "w"));
			fputs(texts[k], f);
			fclose(f);
			talk_option(t, options[k], path[k]);
		}
		snprintf(want, sizeof(want), "/tmp/mailmill-test.%ld.%s",
		    (long)getpid(), rows[i].want);
		cr_expect_null(mailmill_tls_new(t->options, why, sizeof(why)));
		cr_expect_eq(strncmp(why, want, strlen(want)), 0, "%s: %s",
		    want, why);
		/* with texts, the authorities are the one file */
		tls = mailmill_tls_new_pem(t->options, p.cert, p.key, why,
		    sizeof(why));
		cr_expect_eq(tls == NULL, i > 3);
		mailmill_tls_free(tls);
	}
	for (k = 0; k < 3; k++)
		unlink(path[k]);
	talk_end(t);
	pem_free(p);
}

/* A program with older headers has a smaller struct. */
Test(mailmill_tls, no_more_is_set_than_the_table_has)
{
	struct pem p = pem_make(KEYS_P256);
	struct talk *t = talk_new();
	struct mailmill_tls *tls = mailmill_tls_new_pem(t->options, p.cert,
	    p.key, NULL, 0);
	struct esmtp_host_ops ops, before;
	static const size_t sizes[] = { 0,
		offsetof(struct esmtp_host_ops, tls_start),
		offsetof(struct esmtp_host_ops, tls_closure) };
	size_t i;

	for (i = 0; i < 3; i++) {
		memset(&ops, 0x55, sizeof(ops));
		ops.size = sizes[i];
		before = ops;
		errno = 0;
		cr_expect_eq(mailmill_tls_host(tls, &ops), -1);
		cr_expect_eq(errno, EINVAL);
		cr_expect_eq(memcmp(&ops, &before, sizeof(ops)), 0);
	}
	ops.size = sizes[2] + sizeof(void *);
	cr_expect_eq(mailmill_tls_host(tls, &ops), 0);
	cr_expect_eq(ops.tls_closure, tls);
	mailmill_tls_free(tls);
	talk_end(t);
	pem_free(p);
}

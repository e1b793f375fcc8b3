/* New fields of a passwd file's entry.
 * Owns: the methods, what is stored beside a hash. */

#include "core/table/passwdfile_int.h"

#include <crypt.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "core/util/saslprep.h"

#define FIELD_MAX	1024	/* octets: base64 of a password; a hash has less */

static const struct method {
	const char	*name;
	const char	*prefix;	/* NULL: the password itself */
	unsigned long	 cost;		/* 0: crypt(3)'s own */
	size_t		 octets_max;	/* of a password */
} methods[] = {
	{ "yescrypt", "$y$", 0, PASSWDFILE_PASSWORD_MAX },
	{ "bcrypt", "$2b$", 12, 72 },	/* it ignores all behind 72 */
	{ "sha512", "$6$", 200000, PASSWDFILE_PASSWORD_MAX },
	{ "plain", NULL, 0, PASSWDFILE_PASSWORD_MAX },
};
#define NMETHODS	(sizeof(methods) / sizeof(methods[0]))

/* Where the fields go, or the message. */
struct maker {
	char		*fields, *err_r;
	size_t		 errlen;
	unsigned int	 iterations;
};

static int __attribute__((format(printf, 2, 3)))
fail(const struct maker *k, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(k->err_r, k->errlen, fmt, ap);
	va_end(ap);
	return -1;
}

static const struct method *
find_method(const struct maker *k, const char *name)
{
	const struct method *m;

	for (m = methods; m < methods + NMETHODS; m++) {
		if (strcmp(m->name, name) == 0)
			return m;
	}
	fail(k, "unknown method '%s': expected yescrypt, bcrypt, sha512 or "
	    "plain", name);
	return NULL;
}

static int
add_field(struct maker *k, const char *scheme, const char *value)
{
	size_t n = strlen(k->fields);
	int m = snprintf(k->fields + n, PASSWDFILE_FIELDS_MAX - n, ":%s%s", scheme,
	    value);

	if (m < 0 || (size_t)m >= PASSWDFILE_FIELDS_MAX - n)
		return fail(k, "the entry is too long");
	return 0;
}

static int
add_hash(struct maker *k, const char *scheme, const struct method *m,
    const char *text)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], hash[CRYPT_OUTPUT_SIZE];

	if (crypt_gensalt_rn(m->prefix, m->cost, NULL, 0, setting,
	    sizeof(setting)) == NULL ||
	    passwdfile_crypt(text, setting, hash, sizeof(hash)) == -1)
		return fail(k, "crypt(3) fails for %s: %s", m->name,
		    strerror(errno));
	return add_field(k, scheme, hash);
}

/* As it is, if that cannot be taken for anything else. */
static int
add_plain(struct maker *k, const char *password)
{
	char text[FIELD_MAX];
	size_t len = strlen(password), i;
	int rc;

	for (i = 0; i < len; i++) {
		if (password[i] <= ' ' || password[i] == 0x7f ||
		    password[i] == ':')
			break;
	}
	if (i == len)
		return add_field(k, "{PLAIN}", password);
	if (base64_encode(password, len, text, sizeof(text)) == -1)
		return fail(k, "the password is too long");
	rc = add_field(k, "{PLAIN.b64}", text);
	explicit_bzero(text, sizeof(text));
	return rc;
}

static int
add_scram(struct maker *k, const char *scheme,
    enum passwdfile_scram_hash hash, const char *password)
{
	struct passwdfile_scram scram = { .iterations = k->iterations,
	    .salt_len = PASSWDFILE_SALT };
	char text[FIELD_MAX];
	int rc;

	arc4random_buf(scram.salt, scram.salt_len);
	if (passwdfile_scram_make(hash, password, &scram) == -1 ||
	    passwdfile_scram_text(&scram, text, sizeof(text)) == -1)
		return fail(k, "the SCRAM keys cannot be computed: %s",
		    strerror(errno));
	rc = add_field(k, scheme, text);
	explicit_bzero(&scram, sizeof(scram));
	explicit_bzero(text, sizeof(text));
	return rc;
}

/* The fields of a new password, which is prepared already. */
static int
make_fields(struct maker *k, const struct method *m, const char *password)
{
	if (strlen(password) > m->octets_max)
		return fail(k, "the password is longer than %zu octets, which "
		    "is what %s can take", m->octets_max, m->name);
	if ((m->prefix != NULL ? add_hash(k, "", m, password) :
	    add_plain(k, password)) == -1)
		return -1;
	if (add_scram(k, "{SCRAM-SHA-256}", PASSWDFILE_SHA256, password) == -1)
		return -1;
	return add_scram(k, "{SCRAM-SHA-1}", PASSWDFILE_SHA1, password);
}

/* The text that is hashed for a password. */
static int
prepare(const struct maker *k, const char *password,
    char out[PASSWDFILE_PASSWORD_MAX + 1])
{
	if (saslprep_text(password, out, PASSWDFILE_PASSWORD_MAX + 1) == 0)
		return 0;
	if (errno == EINVAL)
		return fail(k, "an empty password");
	if (errno == EILSEQ)
		return fail(k, "the password is not UTF-8");
	if (errno == ENAMETOOLONG)
		return fail(k, "the password is longer than %d octets",
		    PASSWDFILE_PASSWORD_MAX);
	return fail(k, "%s", strerror(errno));
}

/* The text that is hashed for a token. */
static int
prepare_token(const struct maker *k, const struct method *m,
    const char *token, char *out)
{
	if (m->prefix == NULL)
		return fail(k, "a token is stored as a hash: choose another "
		    "method than %s", m->name);
	if (*token == '\0')
		return fail(k, "an empty token");
	if (passwdfile_token_text(token, out) == -1)
		return fail(k, "%s", strerror(errno));
	return 0;
}

int
passwdfile_make(const char *method, const char *secret, bool is_token,
    unsigned int iterations, char fields_r[PASSWDFILE_FIELDS_MAX],
    char *err_r, size_t errlen)
{
	char text[PASSWDFILE_PASSWORD_MAX + 1] = "";
	struct maker k = { fields_r, err_r, errlen, iterations };
	const struct method *m = find_method(&k, method);
	int rc = -1;

	fields_r[0] = '\0';
	if (m == NULL)
		return -1;
	if (is_token && prepare_token(&k, m, secret, text) == 0)
		rc = add_hash(&k, "{TOKEN}", m, text);
	else if (!is_token && prepare(&k, secret, text) == 0)
		rc = make_fields(&k, m, text);
	explicit_bzero(text, sizeof(text));
	return rc;
}

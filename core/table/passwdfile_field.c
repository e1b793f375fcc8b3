/* The fields of a line of a passwd file.
 * Owns: the schemes, the kinds of hashes, and which of them are refused. */

#include "core/table/passwdfile_int.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "core/util/saslprep.h"

/* Where a hash has its cost, behind the prefix. */
enum cost { COST_FIELD, COST_ROUNDS, COST_SCRYPT };
#define SCRYPT_COST	11	/* digits */

struct method {
	const char	*prefix;
	size_t		 tail;		/* octets behind the last '$' */
	enum cost	 cost;
};

static const struct method methods[] = {
	{ "$y$", 43, COST_FIELD },	/* yescrypt */
	{ "$gy$", 43, COST_FIELD },
	{ "$7$", 43, COST_SCRYPT },
	{ "$2b$", 53, COST_FIELD },	/* bcrypt */
	{ "$2y$", 53, COST_FIELD },
	{ "$2a$", 53, COST_FIELD },
	{ "$6$", 86, COST_ROUNDS },	/* SHA-512 */
	{ "$5$", 43, COST_ROUNDS },	/* SHA-256 */
};
#define NMETHODS	(sizeof(methods) / sizeof(methods[0]))

static const struct method *
method_of(const char *hash)
{
	const struct method *m;

	for (m = methods; m < methods + NMETHODS; m++) {
		if (strncmp(hash, m->prefix, strlen(m->prefix)) == 0)
			return m;
	}
	return NULL;
}

/* What is wrong with a hash, or NULL. */
static const char *
hash_fault(const char *hash)
{
	static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz";
	const struct method *m = method_of(hash);
	const char *tail;

	if (m == NULL && (strncmp(hash, "$1$", 3) == 0 || *hash == '_' ||
	    strncmp(hash, "$md5", 4) == 0 || strncmp(hash, "$3$", 3) == 0 ||
	    strncmp(hash, "$sha1$", 6) == 0 ||
	    strncmp(hash, "$apr1$", 6) == 0 ||
	    (strlen(hash) == 13 && strspn(hash, digits) == 13)))
		return "a hash of this kind (DES, MD5, NT, SHA-1) can be "
		    "broken quickly: make a new one with mailmillctl passwd";
	if (m == NULL)
		return "expected a hash of crypt(5) ($y$, $2b$, $6$, $5$) or "
		    "{SCHEME}value";
	tail = strrchr(hash, '$') + 1;
	if (strlen(tail) != m->tail || strspn(tail, digits) != m->tail ||
	    tail < hash + strlen(m->prefix))
		return "the hash is not complete";
	if (crypt_checksalt(hash) == CRYPT_SALT_INVALID ||
	    crypt_checksalt(hash) == CRYPT_SALT_METHOD_DISABLED)
		return "crypt(3) does not know this hash";
	return NULL;
}

static const char *
take_hash(struct passwdfile_row *row, char *value)
{
	const char *fault = hash_fault(value);

	if (fault == NULL && row->e.hash != NULL)
		return "a second hash";
	row->e.hash = value;
	return fault;
}

static const char *
take_token(struct passwdfile_row *row, char *value)
{
	if (row->e.token != NULL)
		return "a second {TOKEN}";
	row->e.token = value;
	return hash_fault(value);
}

static const char *
take_plain(struct passwdfile_row *row, char *value)
{
	if (row->e.cleartext != NULL)
		return "a second {PLAIN}";
	row->e.cleartext = value;
	return *value == '\0' ? "an empty password" : NULL;
}

static const char *
take_plain_b64(struct passwdfile_row *row, char *value)
{
	ssize_t n = base64_decode(value, strlen(value), value, strlen(value));

	if (n < 1 || memchr(value, '\0', (size_t)n) != NULL)
		return "expected base64 of a password";
	value[n] = '\0';
	return take_plain(row, value);
}

static const char *
take_scram(struct passwdfile_row *row, enum passwdfile_scram_hash hash,
    const char *value)
{
	struct passwdfile_scram **scram = &row->e.scram[hash];

	if (*scram != NULL)
		return "the same SCRAM keys twice";
	if ((*scram = calloc(1, sizeof(**scram))) == NULL)
		return "out of memory";
	return passwdfile_scram_parse(hash, value, *scram);
}

static const char *
take_sha1(struct passwdfile_row *row, char *value)
{
	return take_scram(row, PASSWDFILE_SHA1, value);
}

static const char *
take_sha256(struct passwdfile_row *row, char *value)
{
	return take_scram(row, PASSWDFILE_SHA256, value);
}

static const struct scheme {
	const char	*name;
	const char	*(*take)(struct passwdfile_row *row, char *value);
} schemes[] = {
	{ "{SCRAM-SHA-256}", take_sha256 },
	{ "{SCRAM-SHA-1}", take_sha1 },
	{ "{PLAIN}", take_plain },
	{ "{PLAIN.b64}", take_plain_b64 },
	{ "{TOKEN}", take_token },
	{ "{CRYPT}", take_hash },
	/* as doveadm pw writes them */
	{ "{BLF-CRYPT}", take_hash },
	{ "{SHA512-CRYPT}", take_hash },
	{ "{SHA256-CRYPT}", take_hash },
};
#define NSCHEMES	(sizeof(schemes) / sizeof(schemes[0]))

const char *
passwdfile_field(struct passwdfile_row *row, char *field)
{
	const struct scheme *s;

	if (strcmp(field, "*") == 0) {
		row->has_none = true;
		return NULL;
	}
	if (*field != '{')
		return take_hash(row, field);
	for (s = schemes; s < schemes + NSCHEMES; s++)
		if (strncmp(field, s->name, strlen(s->name)) == 0)
			return s->take(row, field + strlen(s->name));
	return "unknown scheme: expected {SCRAM-SHA-256}, {SCRAM-SHA-1}, "
	    "{PLAIN}, {PLAIN.b64}, {TOKEN} or {CRYPT}";
}

const char *
passwdfile_name_fault(const char *name)
{
	char prepared[PASSWDFILE_NAME_MAX + 1];
	size_t len = strlen(name), i;

	if (len == 0)
		return "expected a name before the colon";
	if (len > PASSWDFILE_NAME_MAX)
		return "a name longer than 255 octets";
	if (name[0] == '#')
		return "a name that begins with '#'";
	if (name[0] == ' ' || name[len - 1] == ' ')
		return "a blank at the beginning or end of a name";
	for (i = 0; i < len; i++) {
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			return "a control character in a name";
		if (name[i] == ':')
			return "a colon in a name";
	}
	if (!saslprep_is_utf8(name, len))
		return "a name that is not UTF-8";
	/* logins are prepared before they are compared, so a name that SASLprep
	 * would change is never found */
	if (saslprep_text(name, prepared, sizeof(prepared)) == -1 ||
	    strcmp(prepared, name) != 0)
		return "SASLprep (RFC 4013) changes this name, so no login "
		    "is equal to it: add the user with mailmillctl passwd, "
		    "which prepares the name";
	return NULL;
}

/* The octets of ${hash} that tell its cost. */
static size_t
cost_octets(const char *hash)
{
	const struct method *m = method_of(hash);
	const char *p = hash + strlen(m->prefix), *end;

	if (m->cost == COST_SCRYPT)
		return strlen(m->prefix) + SCRYPT_COST;
	if (m->cost == COST_ROUNDS && strncmp(p, "rounds=", 7) != 0)
		return strlen(m->prefix);
	end = strchr(p, '$');
	return (size_t)((end != NULL ? end : p) - hash);
}

bool
passwdfile_cost(const struct passwdfile_row *row, enum passwdfile_kind kind,
    char *buf, size_t size)
{
	const char *hash = kind == PASSWDFILE_KIND_TOKEN ? row->e.token :
	    kind == PASSWDFILE_KIND_PASSWORD ? row->e.hash : NULL;
	enum passwdfile_scram_hash i = PASSWDFILE_SHA1;
	const struct passwdfile_scram *scram;

	if (hash != NULL) {
		snprintf(buf, size, "%.*s", (int)cost_octets(hash), hash);
		return true;
	}
	if (kind == PASSWDFILE_KIND_TOKEN)
		return false;
	if (kind != PASSWDFILE_KIND_PASSWORD)
		i = kind - PASSWDFILE_KIND_KEYS;
	else if (row->e.scram[PASSWDFILE_SHA256] != NULL)
		i = PASSWDFILE_SHA256;
	scram = row->e.scram[i];
	if (scram != NULL)
		snprintf(buf, size, "%zu %u %zu", scram->key_len,
		    scram->iterations, scram->salt_len);
	return scram != NULL;
}

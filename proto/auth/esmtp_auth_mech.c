/* The mechanisms of AUTH (RFC 4954): the table, and the rule that decides which
 * of them a client may use.
 * Knows nothing of sessions and exchanges. */

#include "proto/auth/esmtp_auth_mech.h"

#include <string.h>
#include <strings.h>

/* --- the table ------------------------------------------------------------ */

static const struct esmtp_auth_mech rows[] = {
#define ESMTP_AUTH_MECH(name, needs, flags, how) \
	{ name, ESMTP_CAN_##needs, flags },
#include "proto/auth/esmtp_auth_mech.def"
#undef ESMTP_AUTH_MECH
};

const struct esmtp_auth_mech *
esmtp_auth_mech_at(size_t i)
{
	return i < sizeof(rows) / sizeof(rows[0]) ? &rows[i] : NULL;
}

static bool
is_same(const char *s, const char *name, size_t len)
{
	return strlen(s) == len && strncasecmp(s, name, len) == 0;
}

const struct esmtp_auth_mech *
esmtp_auth_mech_find(const char *name, size_t len)
{
	const struct esmtp_auth_mech *m;
	size_t i;

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
		if (is_same(m->name, name, len))
			return m;
	return NULL;
}

bool
esmtp_auth_mech_is_plus(const char *name, size_t len)
{
	return len > 5 && strncasecmp(name + len - 5, "-PLUS", 5) == 0;
}

const char *
esmtp_auth_why_text(unsigned int why)
{
	static const char *const texts[] = {
#define ESMTP_AUTH_WHY(id, text) text,
#include "proto/auth/esmtp_auth_why.def"
#undef ESMTP_AUTH_WHY
	};

	return why < ESMTP_NWHYS ? texts[why] : "";
}

/* --- the rule ------------------------------------------------------------- */

/* Can the host do the mechanism? */
static bool
is_able(unsigned int can, const char *name, size_t len,
    const struct esmtp_auth_mech *m)
{
	unsigned int needs = m != NULL ? m->needs : 0;

	if (m == NULL && can & ESMTP_CAN_KNOWN_ONLY)
		return false;
	if (esmtp_auth_mech_is_plus(name, len))
		needs |= ESMTP_CAN_BIND;
	return (needs & ~can) == 0;
}

const char *
esmtp_auth_mech_listed(const struct esmtp_auth_scope *scope, size_t i)
{
	const struct conf_list *l = &scope->options->auth_mechanisms;
	const struct esmtp_auth_mech *m;
	size_t k;

	if (l->n > 0)
		return i < l->n ? l->v[i] : NULL;
	for (k = 0; (m = esmtp_auth_mech_at(k)) != NULL; k++)
		if ((scope->can == NULL ? m->flags & AM_DEFAULT :
		    is_able(scope->can->usual, m->name, strlen(m->name), m)) &&
		    i-- == 0)
			return m->name;
	return NULL;
}

enum esmtp_reply_id
esmtp_auth_mech_usable(const struct esmtp_auth_scope *scope,
    const char *name, size_t len)
{
	const struct esmtp_auth_mech *m = esmtp_auth_mech_find(name, len);
	bool is_cert = m != NULL && m->flags & AM_CERT;

	if (scope->can != NULL && !is_able(scope->can->all, name, len, m))
		return RPL_AUTH_MECHANISM;
	/* RFC 4954 4: no plaintext password without TLS, unless configured, or
	 * where something else "protects the session from password snooping";
	 * RFC 4954 6: 538 tells the client that encryption is missing */
	if (!scope->is_tls && ((!scope->options->auth_without_tls &&
	    !scope->is_local) || is_cert || esmtp_auth_mech_is_plus(name, len)))
		return RPL_AUTH_TLS;
	/* RFC 4422 A: the client's certificate is what authenticates it */
	return is_cert && !scope->is_verified ? RPL_AUTH_MECHANISM : RPL_OK;
}

enum esmtp_reply_id
esmtp_auth_mech_may(const struct esmtp_auth_scope *scope, const char *name,
    size_t len)
{
	const char *s;
	size_t i;

	for (i = 0; (s = esmtp_auth_mech_listed(scope, i)) != NULL; i++)
		if (is_same(s, name, len))
			return esmtp_auth_mech_usable(scope, name, len);
	return RPL_AUTH_MECHANISM;
}

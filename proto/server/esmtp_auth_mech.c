/* The mechanisms of AUTH, RFC 4954: which of them a session is offered, and
 * which one a client has chosen.
 * Owns: what a mechanism needs of the connection.
 * Knows nothing of exchanges: esmtp_auth.c does those. */

#include <string.h>
#include <strings.h>

#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_ext.h"

/* What a host without Auth_Mechanisms is taken to mean. */
static const char *const default_mechanisms[] = {
	"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", NULL
};

/* Number ${i} of the mechanisms that are configured, or NULL. */
static const char *
mechanism(const message_construct *mc, size_t i)
{
	const struct conf_list *l = &mc->ac->options->auth_mechanisms;
	struct esmtp_host *host = mc->ac->host;

	if (l->n > 0)
		return i < l->n ? l->v[i] : NULL;
	if (host->ops->auth_mechanisms == NULL)
		return default_mechanisms[i];
	return host->ops->auth_mechanisms(host->closure, mc->ac)[i];
}

/* RFC 5802 4, RFC 5056: channel binding. */
static bool
is_plus(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && strcasecmp(name + n - 5, "-PLUS") == 0;
}

/* May the mechanism be used over the connection as it is?  RPL_OK or the
 * refusal. */
static enum esmtp_reply_id
is_usable(const message_construct *mc, const char *name)
{
	const struct esmtp_tls *tls = mc->ac->tls;
	bool is_external = strcasecmp(name, "EXTERNAL") == 0;

	/* RFC 4954 4: no plaintext password without protection, unless told
	 * so; RFC 4954 6: 538 says that encryption is what is missing */
	if (tls == NULL && (!mc->ac->options->auth_without_tls ||
	    is_external || is_plus(name)))
		return RPL_AUTH_TLS;
	/* RFC 4422 A: the credentials are the certificate */
	if (is_external && !tls->is_verified)
		return RPL_AUTH_MECHANISM;
	return RPL_OK;
}

bool
esmtp_auth_is_configured(const message_construct *mc)
{
	return mc->extensions & ESMTP_EXT_BIT(AUTH) &&
	    mc->ac->host->ops->auth_start != NULL &&
	    mc->ac->options->auth_backend[0] != '\0';
}

bool
esmtp_auth_is_offered(const message_construct *mc)
{
	const char *name;
	size_t i;

	if (!esmtp_auth_is_configured(mc))
		return false;
	for (i = 0; (name = mechanism(mc, i)) != NULL; i++)
		if (is_usable(mc, name) == RPL_OK)
			return true;
	return false;
}

static char
capital(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

enum esmtp_reply_id
esmtp_auth_choose(const message_construct *mc, const char *name, size_t len,
    char mech_r[LIM_AUTH_MECHANISM + 1])
{
	const char *s;
	size_t i, k;

	for (i = 0; (s = mechanism(mc, i)) != NULL; i++)
		if (strlen(s) == len && strncasecmp(s, name, len) == 0)
			break;
	if (s == NULL || len > LIM_AUTH_MECHANISM)
		return RPL_AUTH_MECHANISM;
	for (k = 0; k < len; k++)
		mech_r[k] = capital(s[k]);
	mech_r[len] = '\0';
	return is_usable(mc, s);
}

/* RFC 4954 3 (3): the names, parted by spaces; those that fit. */
void
esmtp_auth_names(const message_construct *mc, char *buf, size_t len)
{
	const char *name;
	size_t i, k, n = 0, max;

	for (i = 0; (name = mechanism(mc, i)) != NULL; i++) {
		max = strlen(name);
		if (is_usable(mc, name) != RPL_OK ||
		    max > LIM_AUTH_MECHANISM || n + 1 + max >= len)
			continue;
		if (n > 0)
			buf[n++] = ' ';
		for (k = 0; k < max; k++)
			buf[n++] = capital(name[k]);
	}
	buf[n] = '\0';
}

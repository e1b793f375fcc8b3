/* Settings: can a back end do what is to be offered?
 * A message about settings that contradict each other names the Listen section
 * for which they are in force. */

#include <string.h>

#include "cmd/settings/auth_spec.h"
#include "cmd/settings/settings_int.h"
#include "proto/auth/esmtp_auth_mech.h"

/* Refuse a mechanism that clients would be offered and the back end cannot do. */
static int
check_options(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	/* a connection that lets a client use all */
	const struct esmtp_auth_scope scope = { .options = o,
	    .can = auth_spec_can(o->auth_backend), .is_tls = true,
	    .is_verified = true };
	const char *name;
	size_t i;

	if (*o->auth_backend == '\0')
		return 0;
	for (i = 0; (name = esmtp_auth_mech_listed(&scope, i)) != NULL; i++)
		if (esmtp_auth_mech_may(&scope, name, strlen(name)) != RPL_OK)
			return conf_error(c, &l->at, "option "
			    "'Auth_Mechanisms': the back end \"%s\" cannot do "
			    "%s: remove it from the list", o->auth_backend, name);
	return 0;
}

/* Can some client use some mechanism?  RPL_OK, or why not even the last of
 * them. */
static enum esmtp_reply_id
can_log_in(const struct settings_listen *l, const struct esmtp_options *o)
{
	const struct esmtp_auth_scope scope = { .options = o,
	    .can = auth_spec_can(o->auth_backend),
	    .is_tls = o->tls_certificate.n > 0, .is_local = l->path != NULL,
	    .is_verified = o->tls_certificate.n > 0 && *o->tls_client_ca };
	enum esmtp_reply_id id = RPL_AUTH_MECHANISM;
	const char *name;
	size_t i;

	for (i = 0; (name = esmtp_auth_mech_listed(&scope, i)) != NULL &&
	    id != RPL_OK; i++)
		id = esmtp_auth_mech_may(&scope, name, strlen(name));
	return id;
}

/* A client that has to log in must be able to: else all its mail is refused, and
 * no message says why. */
static int
check_required(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	enum esmtp_reply_id id;

	if (!o->require_auth)
		return 0;
	if (*o->auth_backend == '\0')
		return conf_error(c, &l->at, "option 'Require_Auth': nobody "
		    "can log in without Auth_Backend: set it, or %s",
		    options_kind_default(o, ROW_require_auth) != NULL ?
		    "Require_Auth = false, since Kind makes it true" :
		    "remove Require_Auth");
	if ((id = can_log_in(l, o)) == RPL_AUTH_TLS)
		return conf_error(c, &l->at, "option 'Require_Auth': nobody "
		    "can log in, because %s inside TLS only: set "
		    "TLS_Certificate and TLS_Key%s", o->auth_without_tls ?
		    "what Auth_Mechanisms names works" : "passwords are taken",
		    o->auth_without_tls ? "" : ", or Auth_Without_TLS");
	if (id != RPL_OK)
		return conf_error(c, &l->at, "option 'Require_Auth': nobody "
		    "can log in, because EXTERNAL needs a client's certificate: "
		    "set TLS_Client_CA, or add to Auth_Mechanisms");
	return 0;
}

/* Header_From_Login asks Sender_Login. */
static int
check_from(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	if (!o->header_from_login || *o->sender_login != '\0')
		return 0;
	return settings_refuse(c, l, o, ROW_header_from_login, "true",
	    "false without Sender_Login, which says what each login may use");
}

int
settings_auth_check(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o)
{
	return check_options(c, l, o) == -1 || check_required(c, l, o) == -1 ||
	    check_from(c, l, o) == -1 ? -1 : 0;
}

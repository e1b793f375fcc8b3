/* Auth_Backend as a text: the kinds, and the check of an argument. */

#include "cmd/settings/auth_spec.h"

#include <sys/un.h>

#include <stdio.h>
#include <string.h>

struct row {
	const char	*kind, *argument, *example;
	struct esmtp_auth_can can;
	int	(*check)(const char *arg, char *err_r, size_t errlen);
};

static int
check_passwd(const char *arg, char *err_r, size_t errlen)
{
	if (arg[0] == '/')
		return 0;
	snprintf(err_r, errlen, "\"%s\" does not begin with '/'", arg);
	return -1;
}

/* Is it a name for a file of PAM? */
static int
check_pam(const char *arg, char *err_r, size_t errlen)
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";

	if (*arg != '\0' && *arg != '.' && arg[strspn(arg, may)] == '\0' &&
	    strlen(arg) <= 64)
		return 0;
	snprintf(err_r, errlen, "\"%s\" is not one: small letters, digits, "
	    "'_', '.' and '-' are allowed", arg);
	return -1;
}

static int
check_dovecot(const char *arg, char *err_r, size_t errlen)
{
	struct sockaddr_un sun;

	if (check_passwd(arg, err_r, errlen) == -1)
		return -1;
	if (strlen(arg) < sizeof(sun.sun_path))
		return 0;
	snprintf(err_r, errlen, "longer than the %zu octets that the path of a "
	    "socket may have", sizeof(sun.sun_path) - 1);
	return -1;
}

static const struct row rows[AUTH_SPEC_NKINDS] = {
#define NAME		ESMTP_CAN_NAME
#define PASSWORD	ESMTP_CAN_PASSWORD
#define TOKEN		ESMTP_CAN_TOKEN
#define KEYS		ESMTP_CAN_SHA1_KEYS	/* and of SHA-256 */
#define CLEARTEXT	ESMTP_CAN_CLEARTEXT
#define BIND		ESMTP_CAN_BIND
#define AUTH_SPEC(kind, argument, example, all, usual) \
	{ #kind, argument, example, { all, usual }, check_##kind },
#include "cmd/settings/auth_spec.def"
#undef AUTH_SPEC
};

/* The row of "KIND:ARGUMENT" and where the argument begins, or NULL. */
static const struct row *
find(const char *spec, const char **arg_r)
{
	const struct row *r;
	size_t len;

	for (r = rows; r < rows + AUTH_SPEC_NKINDS; r++) {
		len = strlen(r->kind);
		if (strncmp(spec, r->kind, len) == 0 && spec[len] == ':') {
			*arg_r = spec + len + 1;
			return r;
		}
	}
	return NULL;
}

static int
unknown(char *err_r, size_t errlen)
{
	size_t i, n = 0;

	for (i = 0; i < AUTH_SPEC_NKINDS && n < errlen; i++)
		n += (size_t)snprintf(err_r + n, errlen - n, "%s\"%s\"",
		    i == 0 ? "" : i + 1 == AUTH_SPEC_NKINDS ? " or " : ", ",
		    rows[i].example);
	return -1;
}

int
auth_spec_check(const char *spec, enum auth_spec_kind *kind_r,
    const char **arg_r, char *err_r, size_t errlen)
{
	const char *arg;
	const struct row *r = find(spec, &arg);
	char why[AUTH_ERROR_MAX];

	if (r == NULL)
		return unknown(err_r, errlen);
	if (r->check(arg, why, sizeof(why)) == -1) {
		snprintf(err_r, errlen, "%s behind \"%s:\", as in \"%s\": "
		    "%s", r->argument, r->kind, r->example, why);
		return -1;
	}
	if (kind_r != NULL)
		*kind_r = (enum auth_spec_kind)(r - rows);
	if (arg_r != NULL)
		*arg_r = arg;
	return 0;
}

const struct esmtp_auth_can *
auth_spec_can(const char *spec)
{
	static const struct esmtp_auth_can nothing;
	const char *arg;
	const struct row *r = find(spec, &arg);

	return r == NULL ? &nothing : &r->can;
}

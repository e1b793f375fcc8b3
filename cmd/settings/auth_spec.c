/* Auth_Backend as a text: the kinds, and the check of an argument. */

#include "cmd/settings/auth_spec.h"

#include <sys/un.h>

#include <stdio.h>
#include <string.h>

struct row {
	const char	*kind, *argument, *example;
	/* mechanisms, the best first, up to NULL: all, and those that are on
	 * by default */
	const char *const *can, *const *defaults;
	int	(*check)(const char *arg, char *err_r, size_t errlen);
};

static const char *const can_passwd[] = {
	"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS",
	"SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL", "OAUTHBEARER",
	"XOAUTH2", NULL
};
static const char *const defaults_passwd[] = {
	"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS",
	"SCRAM-SHA-1", "PLAIN", "LOGIN", NULL
};

static const char *const can_pam[] = {
	"PLAIN", "LOGIN", "EXTERNAL", "OAUTHBEARER", "XOAUTH2", NULL
};
static const char *const defaults_pam[] = { "PLAIN", "LOGIN", NULL };

static const char *const can_dovecot[] = {
	"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5",
	"EXTERNAL", "OAUTHBEARER", "XOAUTH2", NULL
};
/* what Dovecot offers is not known before it is asked; nearly always these */
static const char *const defaults_dovecot[] = { "PLAIN", "LOGIN", NULL };

static int
check_passwd(const char *arg, char *err_r, size_t errlen)
{
	if (arg[0] == '/')
		return 0;
	snprintf(err_r, errlen, "\"%s\" does not begin with '/'", arg);
	return -1;
}

/* Is it a name that PAM reads a file of? */
static int
check_pam(const char *arg, char *err_r, size_t errlen)
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";

	if (*arg != '\0' && *arg != '.' && arg[strspn(arg, may)] == '\0' &&
	    strlen(arg) <= 64)
		return 0;
	snprintf(err_r, errlen, "\"%s\" is none: small letters, digits, '_', "
	    "'.', '-'", arg);
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
#define AUTH_SPEC(kind, argument, example) \
	{ #kind, argument, example, can_##kind, defaults_##kind, check_##kind },
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

	n += (size_t)snprintf(err_r, errlen, "expected ");
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
		snprintf(err_r, errlen, "expected %s behind \"%s:\", as in "
		    "\"%s\": %s", r->argument, r->kind, r->example, why);
		return -1;
	}
	if (kind_r != NULL)
		*kind_r = (enum auth_spec_kind)(r - rows);
	if (arg_r != NULL)
		*arg_r = arg;
	return 0;
}

const char *const *
auth_spec_mechanisms(const char *spec, bool is_default)
{
	static const char *const none[] = { NULL };
	const char *arg;
	const struct row *r = find(spec, &arg);

	if (r == NULL)
		return none;
	return is_default ? r->defaults : r->can;
}

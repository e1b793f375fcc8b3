/* Would authd start?  A process under authd's account finds out (probe.h), so
 * that the master reads no file of users, and that what may not be read is
 * said before anything is started. */

#include "cmd/mailmilld/authd/auth_check.h"

#include "cmd/mailmilld/authd/back/auth_back.h"
#include "cmd/mailmilld/role/roles.h"

#define CHECK_MS	20000	/* of all: a file server may be slow */

/* In the process.  Return whether the back end can be opened; if not, why has
 * been said. */
static bool
check_back(int fd, const struct probe_spec *spec, const char *name)
{
	const struct settings *s = spec->closure;
	char why[AUTH_ERROR_MAX + 1024];
	struct auth_back *b;

	if ((b = auth_back_open(name, why, sizeof(why))) == NULL) {
		if (spec->account.uid == 0)
			probe_say(fd, PROBE_BAD "Auth_Backend: %s", why);
		else
			probe_say(fd, PROBE_BAD "Auth_Backend: %s (opened as "
			    "%s)", why, s->auth_user);
		return false;
	}
	auth_back_free(b);
	return true;
}

/* A back end that several scopes have is opened as often: nothing is kept. */
static void
check_all(int fd, const struct probe_spec *spec)
{
	const struct settings *s = spec->closure;
	const struct esmtp_options *o;
	size_t i, k;

	for (i = 0; i < s->nlistens; i++)
		for (k = 0; (o = settings_options_at(s, i, k)) != NULL; k++)
			if (*o->auth_backend != '\0' &&
			    !check_back(fd, spec, o->auth_backend))
				return;
	probe_say(fd, PROBE_GOOD);
}

void
auth_check(const struct settings *s, struct probe_spec *spec_r)
{
	*spec_r = (struct probe_spec){ .what = "Auth_Backend: opening what it "
		"names", .name = s->auth_user, .limit_ms = CHECK_MS,
		.run = check_all, .closure = s };
	account_look(s, ROLE_AUTHD, &spec_r->account);
}

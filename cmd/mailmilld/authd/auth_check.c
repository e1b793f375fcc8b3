/* Would authd start?  A process under authd's account finds out (probe.h), so
 * that the master reads no file of users, and that what may not be read is
 * said before anything is started. */

#include "cmd/mailmilld/authd/auth_check.h"

#include "cmd/mailmilld/authd/back/auth_backs.h"
#include "cmd/mailmilld/role/roles.h"

#define CHECK_MS	20000	/* of all: a file server may be slow */

/* In the process.  Return whether the back end can be opened; if not, why has
 * been said. */
static bool
check_back(int fd, const struct probe_spec *spec,
    const struct settings_backend *named)
{
	const struct settings *s = spec->closure;
	char why[AUTH_ERROR_MAX + 1024], at[CONF_AT_MAX];
	const char *where = conf_at_text(&named->at, at, sizeof(at));
	struct auth_back *b;

	if ((b = auth_back_open(named->spec, why, sizeof(why))) == NULL) {
		if (spec->account.uid == 0)
			probe_say(fd, PROBE_BAD "%s: option 'Auth_Backend': "
			    "%s", where, why);
		else
			probe_say(fd, PROBE_BAD "%s: option 'Auth_Backend': "
			    "%s (opened as %s)", where, why, s->auth_user);
		return false;
	}
	if (!auth_back_answers(b, why, sizeof(why)))
		probe_say(fd, PROBE_ABSENT "%s: option 'Auth_Backend': %s: "
		    "nobody can log in until it answers", where, why);
	auth_back_free(b);
	return true;
}

static void
check_all(int fd, const struct probe_spec *spec)
{
	const struct settings *s = spec->closure;
	size_t i;

	for (i = 0; i < s->nbackends; i++)
		if (!check_back(fd, spec, &s->backends[i]))
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

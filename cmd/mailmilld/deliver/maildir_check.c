/* The folders that hold the Maildirs: see maildir_check.h. */

#include "cmd/mailmilld/deliver/maildir_check.h"

#include <sys/stat.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/roles.h"
#include "core/maildir/maildir.h"
#include "core/util/fileio.h"

#define CHECK_MS	20000	/* of all: a file server may be slow */

static void
check_domain(int fd, const struct settings *s, const struct settings_domain *d,
    uid_t uid)
{
	char path[MAILDIR_PATH_MAX], at[CONF_AT_MAX];
	const char *why;
	size_t fixed;

	/* any recipient: what is fixed is the same for all */
	if (maildir_expand(d->maildir, "postmaster@example.org", path, &fixed,
	    &why) == -1 || fixed == 0)
		return;
	path[fixed] = '\0';
	if (fileio_may(path, S_IFDIR, X_OK) == 0)
		return;
	probe_say(fd, PROBE_ABSENT "%s: option 'Maildir': %s: %s%s%s: mail for "
	    "%s is deferred", conf_at_text(&d->maildir_at, at, sizeof(at)),
	    path, strerror(errno), uid == 0 ? "" : " as ", uid == 0 ? "" :
	    s->delivery_user, d->name);
}

static void
check_all(int fd, const struct probe_spec *spec)
{
	const struct settings *s = spec->closure;
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		if (settings_is_maildir(&s->domains[i]))
			check_domain(fd, s, &s->domains[i], spec->account.uid);
	probe_say(fd, PROBE_GOOD);
}

void
maildir_check(const struct settings *s, struct probe_spec *spec_r)
{
	*spec_r = (struct probe_spec){ .what = "Maildir: looking for the "
		"folders", .name = s->delivery_user, .limit_ms = CHECK_MS,
		.run = check_all, .closure = s };
	account_look(s, ROLE_DELIVER, &spec_r->account);
}

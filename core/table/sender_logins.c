/* Sender_Login files; see sender_logins.h. */

#include "core/table/sender_logins.h"

#include <errno.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/saslprep.h"

/* Logins are compared as SASLprep makes them. */
static bool
is_prepared(const char *s, size_t len)
{
	char login[LIM_LOGIN + 1], prepared[LIM_LOGIN + 1];

	memcpy(login, s, len);
	login[len] = '\0';
	return saslprep_text(login, prepared, sizeof(prepared)) == 0 &&
	    strcmp(login, prepared) == 0;
}

static const char *
line_fault(const void *, const char *sender, size_t len, const char *logins)
{
	const char *at = memrchr(sender, '@', len), *s = logins;
	size_t n;

	if ((len != 1 || *sender != '*') &&
	    (at == NULL || at == sender + len - 1 || sender[len - 1] == '"'))
		return "expected an address, @domain or * first";
	if (*logins == '\0')
		return "expected a login after the sender";
	for (; (n = textfile_word(s)) > 0; s += n + textfile_blank(s + n)) {
		if (n > LIM_LOGIN)
			return "longer than a login can be";
		if (!is_prepared(s, n))
			return "no login is equal to this one, since SASLprep "
			    "(RFC 4013) changes it (a no-break space?)";
	}
	return NULL;
}

struct textfile *
sender_logins_load(const char *path, textfile_address *address,
    const void *closure, char *err_r, size_t errlen)
{
	return textfile_load(path, address, closure, line_fault, err_r,
	    errlen);
}

/* Is ${login}, or anybody, among the logins ${s}? */
static bool
is_named(const char *s, const char *login)
{
	size_t n, len = strlen(login);

	for (; (n = textfile_word(s)) > 0; s += n + textfile_blank(s + n))
		if ((n == 1 && *s == '*') ||
		    (n == len && memcmp(s, login, n) == 0))
			return true;
	return false;
}

/* 1 or 0; -1: there is no entry for ${sender}.  0 where that is not known: a less
 * exact entry must not decide in its place. */
static int
look_up(const struct textfile *t, const char *sender, const char *login)
{
	size_t pos = TEXTFILE_FIRST;
	const char *logins;
	int answer = -1;

	while (answer != 1 && (logins = textfile_find(t, sender,
	    strlen(sender), &pos)) != NULL)
		answer = is_named(logins, login);
	return answer == -1 && errno != ENOENT ? 0 : answer;
}

bool
sender_logins_may(const struct textfile *t, const char *login,
    const char *address)
{
	return sender_logins_may_bare(t, login, address, NULL);
}

bool
sender_logins_may_bare(const struct textfile *t, const char *login,
    const char *address, const char *bare)
{
	const char *at = strrchr(address, '@');
	int answer;

	if (strlen(address) > LIM_PATH)
		return false;
	answer = look_up(t, address, login);
	if (answer == -1 && bare != NULL)
		answer = look_up(t, bare, login);
	if (answer == -1 && at != NULL && at != address)
		answer = look_up(t, at, login);
	if (answer == -1)
		answer = look_up(t, "*", login);
	return answer == 1;
}

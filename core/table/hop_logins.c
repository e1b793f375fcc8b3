/* Files of Login; see hop_logins.h. */

#include "core/table/hop_logins.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/lim.h"
#include "core/util/fileio.h"
#include "core/util/saslprep.h"
#include "core/util/wipe.h"

#define BLANK	" \t"

struct hop_logins {
	char			*text;		/* HOP_LOGINS_OCTETS + 1 */
	struct hop_login	*v;
	size_t			 n;
};

/* --- a line --------------------------------------------------------------- */

static size_t
without_end(const char *s, size_t len)
{
	while (len > 0 && strchr(BLANK "\r", s[len - 1]) != NULL)
		len--;
	return len;
}

/* Take ${line} apart.  Return what is wrong with it, or NULL. */
static const char *
split(char *line, struct hop_login *l)
{
	size_t n = strcspn(line, BLANK);
	char *login = line + n, *colon;

	login += strspn(login, BLANK);
	if ((colon = strchr(login, ':')) == NULL || colon == login ||
	    colon[1] == '\0')
		return "expected a next hop as in Route, and user:password";
	line[n] = *colon = '\0';
	*l = (struct hop_login){ .hop = line, .user = login,
		.secret = colon + 1, .line = l->line };
	if (strlen(l->user) > LIM_LOGIN)
		return "the user is longer than 255 octets";
	if (strlen(l->secret) > HOP_LOGINS_SECRET)
		return "the password is longer than 1024 octets";
	if (!saslprep_is_utf8(l->user, strlen(l->user)) ||
	    !saslprep_is_utf8(l->secret, strlen(l->secret)))
		return "the user or the password is not UTF-8";
	return NULL;
}

/* Return what is wrong with the line, which is number ${number}, or NULL. */
static const char *
add_line(struct hop_logins *t, char *line, size_t number)
{
	struct hop_login l = { .line = number }, *grown;
	const char *fault;

	line += strspn(line, BLANK);
	if (*line == '\0' || *line == '#')
		return NULL;
	if ((fault = split(line, &l)) != NULL)
		return fault;
	if (hop_logins_find(t, l.hop) != NULL)
		return "this next hop has a line before: leave one of them";
	grown = reallocarray(t->v, t->n + 1, sizeof(*grown));
	if (grown == NULL)
		return strerror(ENOMEM);
	t->v = grown;
	t->v[t->n++] = l;
	return NULL;
}

static int
parse(struct hop_logins *t, size_t len, const char *path, char *err_r,
    size_t errlen)
{
	char *line = t->text, *end = t->text + len, *next;
	const char *fault;
	size_t number = 0, n;

	for (; line < end; line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next == NULL ? end + 1 : next + 1;
		n = (size_t)(next - 1 - line);
		number++;
		fault = memchr(line, '\0', n) != NULL ? "an octet 0" : NULL;
		line[without_end(line, n)] = '\0';
		if (fault == NULL)
			fault = add_line(t, line, number);
		if (fault != NULL) {
			snprintf(err_r, errlen, "%s:%zu: %s", path, number,
			    fault);
			return -1;
		}
	}
	return 0;
}

/* --- the file ------------------------------------------------------------- */

/* Return what is wrong with the file, or NULL. */
static const char *
file_fault(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return "it has passwords, so it has to belong to root: chown "
		    "root";
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "it has passwords, and others may open it: chmod 600";
	if (st.st_size > HOP_LOGINS_OCTETS)
		return "larger than 65536 octets";
	return NULL;
}

struct hop_logins *
hop_logins_load(const char *path, char *err_r, size_t errlen)
{
	struct hop_logins *t = calloc(1, sizeof(*t));
	const char *fault = NULL;
	ssize_t n = 0;
	int fd;

	if (t == NULL || (t->text = calloc(1, HOP_LOGINS_OCTETS + 1)) == NULL) {
		snprintf(err_r, errlen, "%s: %s", path, strerror(ENOMEM));
		hop_logins_free(t);
		return NULL;
	}
	/* without O_NONBLOCK a FIFO would be waited for */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1 || (fault = file_fault(fd)) != NULL ||
	    (n = fileio_pread(fd, t->text, HOP_LOGINS_OCTETS, 0)) == -1) {
		snprintf(err_r, errlen, "%s: %s", path,
		    fault != NULL ? fault : strerror(errno));
		goto err;
	}
	if (parse(t, (size_t)n, path, err_r, errlen) == -1)
		goto err;
	close(fd);
	return t;
err:
	fileio_close(fd);
	hop_logins_free(t);
	return NULL;
}

const struct hop_login *
hop_logins_find(const struct hop_logins *t, const char *hop)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strcasecmp(t->v[i].hop, hop) == 0)
			return &t->v[i];
	return NULL;
}

void
hop_logins_free(struct hop_logins *t)
{
	if (t == NULL)
		return;
	wipe_free(t->text, HOP_LOGINS_OCTETS + 1);
	free(t->v);
	free(t);
}

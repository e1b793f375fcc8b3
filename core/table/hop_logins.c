/* Files of Login; see hop_logins.h. */

#include "core/table/hop_logins.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/lim.h"
#include "core/table/textfile.h"
#include "core/util/array.h"
#include "core/util/fileio.h"
#include "core/util/saslprep.h"
#include "core/util/wipe.h"

struct hop_logins {
	char			*text;
	size_t			 len;
	struct hop_login	*v;
	size_t			 n, room;
	size_t			 ntokens;	/* of them */
};

/* --- a line --------------------------------------------------------------- */

/* Is "user token" ${login}, up to the colon ${colon}?  Then *colon is where the
 * user ends. */
static bool
is_token(char *login, char **colon)
{
	char *end = *colon - strlen("token");

	if (end <= login || strncmp(end, "token", 5) != 0 ||
	    !textfile_is_blank(end[-1]))
		return false;
	while (end > login && textfile_is_blank(end[-1]))
		end--;
	*colon = end;
	return true;
}

/* Take ${line} apart.  Return what is wrong with it, or NULL. */
static const char *
split(char *line, struct hop_login *l)
{
	size_t n = textfile_word(line);
	char *login = line + n, *colon, *rest;
	bool has_token;

	login += textfile_blank(login);
	if ((colon = strchr(login, ':')) == NULL || colon == login ||
	    colon[1] == '\0')
		return "expected a next hop as in Route, and user:password or "
		    "user token:/path";
	rest = colon + 1;
	has_token = is_token(login, &colon);
	line[n] = *colon = '\0';
	*l = (struct hop_login){ .hop = line, .user = login, .fd = -1,
		.secret = has_token ? NULL : rest,
		.path = has_token ? rest : NULL };
	if (strlen(l->user) > LIM_LOGIN)
		return "the user is longer than 255 octets";
	if (!has_token && strlen(rest) > HOP_LOGINS_SECRET)
		return "the password is longer than 1024 octets";
	if (!saslprep_is_utf8(l->user, strlen(l->user)) ||
	    !saslprep_is_utf8(rest, strlen(rest)))
		return "the user or the password is not UTF-8";
	if (has_token && *rest != '/')
		return "the path of the token does not begin with /";
	return NULL;
}

/* Return what is wrong with the line, or NULL. */
static const char *
add_line(struct hop_logins *t, char *line)
{
	struct hop_login l, *grown;
	const char *fault;

	line += textfile_blank(line);
	if (*line == '\0' || *line == '#')
		return NULL;
	if ((fault = split(line, &l)) != NULL)
		return fault;
	if (hop_logins_find(t, l.hop) != NULL)
		return "this next hop has a line before: leave one of them";
	if (l.path != NULL && ++t->ntokens > HOP_LOGINS_TOKENS)
		return "the file has more than 64 tokens";
	grown = array_fit(t->v, &t->room, t->n + 1, sizeof(*grown));
	if (grown == NULL)
		return strerror(ENOMEM);
	t->v = grown;
	t->v[t->n++] = l;
	return NULL;
}

static int
parse(struct hop_logins *t, const char *path, char *err_r, size_t errlen)
{
	char *line, *nl, *end = t->text + t->len;
	const char *fault;
	size_t number = 1, n;

	for (line = t->text; line < end; line = nl + 1, number++) {
		nl = memchr(line, '\n', (size_t)(end - line));
		if (nl == NULL)
			nl = end;	/* its NUL */
		n = (size_t)(nl - line);
		fault = memchr(line, '\0', n) != NULL ? "an octet 0" : NULL;
		while (n > 0 && textfile_is_blank(line[n - 1]))
			n--;
		line[n] = '\0';
		if (fault == NULL)
			fault = add_line(t, line);
		if (fault != NULL) {
			snprintf(err_r, errlen, "%s:%zu: %s", path, number,
			    fault);
			return -1;
		}
	}
	return 0;
}

/* --- the file ------------------------------------------------------------- */

/* Return what is wrong with its owner or its mode, or NULL. */
static const char *
owner_fault(int fd)
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
	return NULL;
}

/* What it means that textfile_read() has failed with ${errnum} */
static const char *
read_fault(int errnum)
{
	switch (errnum) {
	case EINVAL:
		return "not a regular file";
	case EFBIG:
		return "larger than 65536 octets";
	default:
		return strerror(errnum);
	}
}

/* Open the tokens, when all lines are good. */
static int
open_tokens(struct hop_logins *t, const char *path, char *err_r, size_t errlen)
{
	const char *fault;
	struct hop_login *l;
	size_t i;

	for (i = 0; i < t->n; i++) {
		l = &t->v[i];
		if (l->path == NULL)
			continue;
		l->fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
		    O_NOCTTY);
		if ((fault = l->fd == -1 ? strerror(errno) :
		    owner_fault(l->fd)) == NULL)
			continue;
		snprintf(err_r, errlen, "%s: token for %.150s: %.200s: %s",
		    path, l->hop, l->path, fault);
		return -1;
	}
	return 0;
}

struct hop_logins *
hop_logins_load(const char *path, char *err_r, size_t errlen)
{
	/* without O_NONBLOCK a FIFO would be waited for */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct hop_logins *t = calloc(1, sizeof(*t));
	const char *fault;
	int rc = -1;

	if (t == NULL || fd == -1 || (t->text = textfile_read(fd,
	    HOP_LOGINS_OCTETS, &t->len)) == NULL)
		snprintf(err_r, errlen, "%s: %s", path, read_fault(errno));
	else if ((fault = owner_fault(fd)) != NULL)
		snprintf(err_r, errlen, "%s: %s", path, fault);
	else
		rc = parse(t, path, err_r, errlen) == -1 ||
		    open_tokens(t, path, err_r, errlen) == -1 ? -1 : 0;
	fileio_close(fd);
	if (rc == 0)
		return t;
	hop_logins_free(t);
	return NULL;
}

/* Of the ${n} octets that were read, with their newline: the token.  Return 0, or
 * -1: it is none. */
static int
take_token(char *buf, size_t n)
{
	size_t len = 0;

	if (n > 0 && buf[n - 1] == '\n')
		n--;
	else
		return -1;
	if (n > 0 && buf[n - 1] == '\r')
		n--;
	while (len < n && buf[len] > ' ' && buf[len] <= '~')
		len++;
	buf[len] = '\0';
	return len == n && n > 0 ? 0 : -1;
}

int
hop_login_token(const struct hop_login *l, char buf[HOP_LOGINS_TOKEN + 1])
{
	/* with CRLF, and an octet that there must not be */
	char text[HOP_LOGINS_TOKEN + 3];
	struct stat st;
	ssize_t n;
	int errnum = 0;

	if (fstat(l->fd, &st) == -1)
		return -1;
	if (st.st_nlink == 0)
		return errno = ESTALE, -1;
	if ((n = fileio_pread(l->fd, text, sizeof(text), 0)) == -1)
		return -1;
	if (n == (ssize_t)sizeof(text))
		errnum = EFBIG;
	else if (take_token(text, (size_t)n) == -1)
		errnum = EBADMSG;
	else if (strlen(text) > HOP_LOGINS_TOKEN)
		errnum = EFBIG;
	else
		strcpy(buf, text);
	explicit_bzero(text, sizeof(text));
	return errnum == 0 ? 0 : (errno = errnum, -1);
}

const char *
hop_login_fault(int errnum)
{
	switch (errnum) {
	case ESTALE:
		return "the file of the token has been replaced or removed: "
		    "write the next one into the file that is there, and "
		    "reload now";
	case EBADMSG:
		return "the file of the token is not one line with a token and "
		    "a newline";
	case EFBIG:
		return "the token is longer than 3072 octets";
	default:
		return strerror(errnum);
	}
}

const struct hop_login *
hop_logins_each(const struct hop_logins *t, size_t i)
{
	return i < t->n ? &t->v[i] : NULL;
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
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < t->n; i++)
		fileio_close(t->v[i].fd);
	wipe_free(t->text, t->len);
	free(t->v);
	free(t);
}

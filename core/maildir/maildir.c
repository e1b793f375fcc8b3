/* Maildir: path expansion, names, the search for earlier deliveries.
 * Owns: what maildir.h says, but for its folders: maildir_dir.c.
 * Knows nothing of the spool, the queue, or when to flush a disk. */

#include "core/maildir/maildir.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/fileio.h"
#include "core/util/utf8.h"

#define DOMAIN_MAX	255	/* octets; RFC 5321 4.5.3.1.2 */

static bool
is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

/* One component of a path out of a hostile string */
static bool
component_safe(const char *s, size_t len, size_t max)
{
	size_t i;

	if (len == 0 || len > max || s[0] == '.')
		return false;
	for (i = 0; i < len; i++)
		if (s[i] == '/' || is_control((unsigned char)s[i]))
			return false;
	return true;
}

bool
maildir_local_safe(const char *s, size_t len)
{
	return component_safe(s, len, MAILDIR_LOCAL_MAX);
}

/* Is the component at ${s}, which ends at '/' or NUL, not empty, "." or ".."?
 * "%d" may be followed by text: the expansion is checked on its own. */
static bool
pattern_component_ok(const char *s)
{
	size_t len = strcspn(s, "/");

	return len > 0 && !(len == 1 && s[0] == '.') &&
	    !(len == 2 && s[0] == '.' && s[1] == '.');
}

int
maildir_pattern_check(const char *pattern, const char **why_r)
{
	const char *p;

	if (pattern[0] != '/') {
		*why_r = "must be an absolute path";
		return -1;
	}
	if (strlen(pattern) > MAILDIR_PATH_MAX / 2) {
		*why_r = "is too long";
		return -1;
	}
	for (p = pattern; *p != '\0'; p++) {
		if (*p == '/' && !pattern_component_ok(p + 1)) {
			*why_r = "must not have empty, \".\" or \"..\" parts";
			return -1;
		}
		if (is_control((unsigned char)*p)) {
			*why_r = "must not have control characters";
			return -1;
		}
		if (*p != '%')
			continue;
		if (*++p != 'd' && *p != 'u' && *p != '%') {
			*why_r = "knows %d (domain), %u (local part) and "
			    "%% only";
			return -1;
		}
	}
	return 0;
}

struct expansion {
	char	*path;
	size_t	 len;
};

/* What comes from the recipient is put in lower case; the rest of the path is
 * the administrator's. */
static int
put(struct expansion *x, const char *s, size_t len, bool is_lower)
{
	size_t room = MAILDIR_PATH_MAX - 1 - x->len;
	char *to = x->path + x->len;
	ssize_t n = (ssize_t)len;

	if (is_lower)
		n = utf8_lower(s, len, to, room);
	else if (len <= room)
		memcpy(to, s, len);
	if (n == -1 && errno != ENOSPC)
		return -1;
	if (n == -1 || (size_t)n > room) {
		errno = ENAMETOOLONG;
		return -1;
	}
	x->len += (size_t)n;
	x->path[x->len] = '\0';
	return 0;
}

/* How much of ${pattern} is the administrator's: all of it, if nothing in it
 * depends on the recipient */
static size_t
fixed_octets(const char *pattern)
{
	const char *p, *slash = pattern;

	for (p = pattern; *p != '\0'; p++) {
		if (*p == '/')
			slash = p;
		if (*p == '%' && (p[1] == 'd' || p[1] == 'u'))
			return (size_t)(slash - pattern);
		if (*p == '%')
			p++;
	}
	return (size_t)(p - pattern);
}

/* ${rcpt} in its two parts, both fit to be file names */
static int
split(const char *rcpt, const char **at_r, const char **why_r)
{
	const char *at = strrchr(rcpt, '@');

	errno = EINVAL;
	if (at == NULL) {
		*why_r = "the recipient has no domain";
		return -1;
	}
	if (!component_safe(at + 1, strlen(at + 1), DOMAIN_MAX)) {
		*why_r = "the recipient's domain cannot be a folder's name";
		return -1;
	}
	if (!maildir_local_safe(rcpt, (size_t)(at - rcpt))) {
		*why_r = "the recipient's local part cannot be a folder's name";
		return -1;
	}
	*at_r = at;
	return 0;
}

int
maildir_expand(const char *pattern, const char *rcpt, char *path,
    size_t *fixed_r, const char **why_r)
{
	struct expansion x = { .path = path, .len = 0 };
	size_t fixed = fixed_octets(pattern);
	const char *at, *p;
	int rc;

	if (split(rcpt, &at, why_r) == -1)
		return -1;
	*fixed_r = 0;
	for (p = pattern; *p != '\0'; p++) {
		if (p == pattern + fixed)
			*fixed_r = x.len;
		if (*p != '%')
			rc = put(&x, p, 1, false);
		else if (*++p == 'd')
			rc = put(&x, at + 1, strlen(at + 1), true);
		else if (*p == 'u')
			rc = put(&x, rcpt, (size_t)(at - rcpt), true);
		else
			rc = put(&x, "%", 1, false);
		if (rc == -1) {
			*why_r = errno == ENAMETOOLONG ?
			    "the path of the Maildir is too long" :
			    "there is no memory for the path of the Maildir";
			return -1;
		}
	}
	if (pattern[fixed] == '\0')
		*fixed_r = x.len;
	return 0;
}

void
maildir_prefix(char *buf, uint64_t seconds, const char *id,
    const struct job_origin *origin)
{
	char known[64] = "";

	if (origin->segment != 0)
		snprintf(known, sizeof(known), "S%016llxG%lluN%u",
		    (unsigned long long)origin->segment,
		    (unsigned long long)origin->generation, origin->seq);
	snprintf(buf, MAILDIR_NAME_MAX, "%llu.%.13sR%u%s.",
	    (unsigned long long)seconds, id, origin->rcpt, known);
}

/* The dot at the end of the second part of a file's name, or NULL */
static const char *
part_end(const char *name)
{
	const char *dot = strchr(name, '.');

	dot = dot == NULL ? NULL : strchr(dot + 1, '.');
	return dot == NULL ? NULL : dot + 1;
}

/* The part of the name from its last R, which follows the id */
static const char *
part_origin(const char *name, const char *end)
{
	const char *p = memrchr(name, 'R', (size_t)(end - name));

	return p == NULL ? name : p;
}

const char *
maildir_key(const char *prefix)
{
	const char *end = part_end(prefix), *p;

	if (end == NULL)
		return prefix;
	p = part_origin(prefix, end);
	return memchr(p, 'S', (size_t)(end - p)) == NULL ? prefix : p;
}

void
maildir_host(char *buf, const char *host)
{
	size_t i;

	for (i = 0; i + 1 < MAILDIR_HOST_MAX && host[i] != '\0'; i++)
		buf[i] = strchr("/:,", host[i]) != NULL ||
		    is_control((unsigned char)host[i]) ? '_' : host[i];
	buf[i] = '\0';
}

void
maildir_tmp_name(char *buf, const char *prefix, pid_t pid)
{
	snprintf(buf, MAILDIR_NAME_MAX, "%s%ld", prefix, (long)pid);
}

void
maildir_new_name(char *buf, const char *prefix, const char *host,
    uint64_t octets, uint64_t virtual_octets)
{
	int n = snprintf(buf, MAILDIR_NAME_MAX, "%s%s,S=%llu", prefix, host,
	    (unsigned long long)octets);

	if (virtual_octets != 0 && n > 0 && n < MAILDIR_NAME_MAX)
		snprintf(buf + n, (size_t)(MAILDIR_NAME_MAX - n), ",W=%llu",
		    (unsigned long long)virtual_octets);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(a, *(const char *const *)b);
}

/* Which of ${keys} does ${name} have?  Return its index, or -1; ${rest_r} gets
 * what follows. */
static ssize_t
match(const char *name, const char *const *keys, size_t n,
    const char **rest_r)
{
	const char *end = part_end(name), *const *hit;
	char prefix[MAILDIR_NAME_MAX];

	if (end == NULL || (size_t)(end - name) >= sizeof(prefix))
		return -1;
	memcpy(prefix, name, (size_t)(end - name));
	prefix[end - name] = '\0';
	hit = bsearch(maildir_key(prefix), keys, n, sizeof(keys[0]), compare);
	if (hit == NULL)
		return -1;
	*rest_r = end;
	return hit - keys;
}

/* A tmp file is removed when the process in its name is no more. */
static void
remove_leftover(int dir, const char *name, const char *rest)
{
	char *end;
	long pid = strtol(rest, &end, 10);

	if (end == rest || *end != '\0' || pid <= 0)
		return;
	if (kill((pid_t)pid, 0) == -1 && errno == ESRCH)
		unlinkat(dir, name, 0);
}

/* Takes ${dir}, which is NULL when it could not be opened. */
static int
look_in(DIR *dir, const char *folder, const char *const *keys, size_t n,
    maildir_found found, void *closure)
{
	struct dirent *de;
	const char *rest;
	struct stat st;
	ssize_t i;

	if (dir == NULL)
		return errno == ENOENT ? 0 : -1;
	while ((errno = 0, de = readdir(dir)) != NULL) {
		i = match(de->d_name, keys, n, &rest);
		if (i == -1)
			continue;
		if (found == NULL)
			remove_leftover(dirfd(dir), de->d_name, rest);
		else if (fstatat(dirfd(dir), de->d_name, &st,
		    AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			found(closure, (size_t)i, folder, de->d_name,
			    (uint64_t)st.st_size);
	}
	i = errno == 0 ? 0 : -1;
	closedir(dir);
	return (int)i;
}

/* new/ before cur/: mail clients move files from new/ to cur/, so that none is
 * missed in this order. */
int
maildir_look(const struct maildir *md, const char *const *keys, size_t n,
    maildir_found found, void *closure)
{
	if (look_in(fileio_opendir(md->new, "."), "new", keys, n, found,
	    closure) == -1 ||
	    look_in(fileio_opendir(md->fd, "cur"), "cur", keys, n, found,
	    closure) == -1)
		return -1;
	return look_in(fileio_opendir(md->tmp, "."), "tmp", keys, n, NULL,
	    NULL);
}

/* Write ${before}, the address as far as it can be shown, ${after} and CRLF. */
static size_t
address_line(char *buf, size_t buflen, const char *before, const char *address,
    const char *after)
{
	size_t tail = strlen(after) + 2, len, n;
	const char *p;

	len = strlcpy(buf, before, buflen);
	for (p = address; *p != '\0' && len + tail + 1 < buflen; p += n) {
		if ((n = utf8_visible(p, strlen(p))) > 0 &&
		    len + n + tail < buflen) {
			memcpy(buf + len, p, n);
			len += n;
		} else {
			buf[len++] = '?';
			n = 1;
		}
	}
	return len + (size_t)snprintf(buf + len, buflen - len, "%s\r\n",
	    after);
}

size_t
maildir_return_path(char *buf, size_t buflen, const char *sender)
{
	return address_line(buf, buflen, "Return-Path: <", sender, ">");
}

size_t
maildir_address_field(char *buf, size_t buflen, const char *name,
    const char *address)
{
	char before[64];

	snprintf(before, sizeof(before), "%s: ", name);
	return address_line(buf, buflen, before, address, "");
}

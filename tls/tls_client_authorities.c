/* The certificates of authorities, from files; see tls_client.h.
 * Owns: which files are read, and how much of them. */

#include "tls/tls_client.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/fileio.h"
#include "tls/tlsctx_int.h"

#define HASH_DIGITS	8	/* of a name in a folder: openssl-rehash(1) */

struct reading {
	char	*v;
	size_t	 len;
	char	*err_r;
	size_t	 errlen;
};

static int __attribute__((format(printf, 2, 3)))
failed(struct reading *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->err_r, r->errlen, fmt, ap);
	va_end(ap);
	return -1;
}

/* Only certificates may be there: see tlsctx_pem_read(). */
static int
check(struct reading *r, const char *path, const char *v, size_t len)
{
	char why[TLSCTX_ERROR_MAX];
	STACK_OF(X509) *certs;

	if (tlsctx_pem_read((struct tlsctx_octets) { v, len }, &certs, why,
	    sizeof(why)) == -1)
		return failed(r, "%s: %s", path, why);
	sk_X509_pop_free(certs, X509_free);
	return 0;
}

/* Append the ${size} octets of the file ${fd}. */
static int
append(struct reading *r, const char *path, int fd, off_t size)
{
	size_t room = LIM_TLS_AUTHORITIES - r->len;
	ssize_t n;
	char *v;

	/* one is the end of the line in front of the next file */
	if (size < 0 || (uintmax_t)size + 1 > room)
		return failed(r, "%s: is too large: with what was read before "
		    "it, it has more than %d octets", path,
		    LIM_TLS_AUTHORITIES);
	if ((v = realloc(r->v, r->len + (size_t)size + 1)) == NULL)
		return failed(r, "%s: out of memory", path);
	r->v = v;
	if ((n = fileio_pread(fd, v + r->len, (size_t)size, 0)) == -1)
		return failed(r, "%s: %s", path, strerror(errno));
	if (check(r, path, v + r->len, (size_t)n) == -1)
		return -1;
	r->len += (size_t)n;
	v[r->len++] = '\n';
	return 0;
}

static int
read_file(struct reading *r, int dirfd, const char *name, const char *path)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd == -1 || fstat(fd, &st) == -1)
		rc = failed(r, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		rc = failed(r, "%s: is neither a file nor a folder", path);
	else
		rc = append(r, path, fd, st.st_size);
	fileio_close(fd);
	return rc;
}

/* --- folders -------------------------------------------------------------- */

static bool
is_hash(const char *name)
{
	size_t n = strspn(name, "0123456789abcdef");

	return n == HASH_DIGITS && name[n] == '.' && name[n + 1] != '\0' &&
	    name[n + 1 + strspn(name + n + 1, "0123456789")] == '\0';
}

static int
read_dir(struct reading *r, DIR *d, const char *path)
{
	struct dirent *e;
	char whole[PATH_MAX];

	while (errno = 0, (e = readdir(d)) != NULL) {
		if (!is_hash(e->d_name))
			continue;
		if (snprintf(whole, sizeof(whole), "%s/%s", path, e->d_name)
		    >= (int)sizeof(whole))
			return failed(r, "%s: too long a path", path);
		if (read_file(r, dirfd(d), e->d_name, whole) == -1)
			return -1;
	}
	if (errno != 0)
		return failed(r, "%s: %s", path, strerror(errno));
	if (r->len == 0)
		return failed(r, "%s: no file in it has the hash of an authority "
		    "as its name: run \"openssl rehash %s\"", path, path);
	return 0;
}

/* A file or a folder. */
static int
read_path(struct reading *r, const char *path)
{
	DIR *d = opendir(path);
	int rc;

	if (d == NULL && errno != ENOTDIR)
		return failed(r, "%s: %s", path, strerror(errno));
	if (d == NULL)
		return read_file(r, AT_FDCWD, path, path);
	rc = read_dir(r, d, path);
	closedir(d);
	return rc;
}

int
tls_authorities_read(const char *path, struct tlsctx_octets *pem_r,
    char *err_r, size_t errlen)
{
	struct reading r = { .err_r = err_r, .errlen = errlen };
	struct stat st;

	if (*path == '\0') {
		path = X509_get_default_cert_file();
		/* Debian's packages make the file, others the folder alone */
		if (stat(path, &st) == -1)
			path = X509_get_default_cert_dir();
	}
	if (read_path(&r, path) == 0) {
		*pem_r = (struct tlsctx_octets) { r.v, r.len };
		return 0;
	}
	free(r.v);
	return -1;
}

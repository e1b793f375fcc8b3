/* Certificates and keys: see creds.h.
 * Owns: opening the files, the bounds on their size, the bundle, noticing that
 * a file has changed.
 * Private keys are only opened here; keyd and the check read them. */

#include "cmd/mailmilld/creds/creds_int.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/util/fileio.h"

#define FILE_MAX_OCTETS	(4 * 1024 * 1024)	/* of one file: many CAs */
#define ALL_MAX_OCTETS	(256 * 1024 * 1024)	/* of all of them */
#define QUIET_S		1	/* a file written to since may not be complete */

const char *
creds_where(const struct creds_file *f, char buf[CREDS_WHERE_MAX])
{
	char at[CONF_AT_MAX];

	snprintf(buf, CREDS_WHERE_MAX, "%s: option '%s': %s",
	    conf_at_text(f->at, at, sizeof(at)), f->option, f->path);
	return buf;
}

static int
fail(const struct creds_file *f, const char *why, char *err_r, size_t errlen)
{
	char where[CREDS_WHERE_MAX];

	snprintf(err_r, errlen, "%s: %s", creds_where(f, where), why);
	return -1;
}

/* --- files ---------------------------------------------------------------- */

static void
note(struct creds_file *f, const struct stat *st)
{
	f->is_there = true;
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->size = st->st_size;
	f->mtime = st->st_mtim;
}

/* Open it.  Its inode, size and time are noted even if it cannot be used, so
 * that it is tried again when it has changed.  Does not wait for the writer of
 * a FIFO. */
static int
file_open(struct creds_file *f, int *fd_r, char *err_r, size_t errlen)
{
	struct stat st;
	int fd;

	fd = open(f->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1) {
		fail(f, strerror(errno), err_r, errlen);
		if (stat(f->path, &st) == 0)
			note(f, &st);
		return -1;
	}
	if (fstat(fd, &st) == 0)
		note(f, &st);
	if (!f->is_there || !S_ISREG(st.st_mode)) {
		close(fd);
		return fail(f, "is not a regular file", err_r, errlen);
	}
	if (st.st_size > 0 && st.st_size <= FILE_MAX_OCTETS) {
		*fd_r = fd;
		return 0;
	}
	close(fd);
	return fail(f, st.st_size == 0 ? "is empty" :
	    "is larger than 4 MiB", err_r, errlen);
}

static int
file_read(struct creds_file *f, char *err_r, size_t errlen)
{
	ssize_t n;
	int fd;

	if (file_open(f, &fd, err_r, errlen) == -1)
		return -1;
	if ((f->octets = malloc((size_t)f->size)) == NULL) {
		close(fd);
		return fail(f, "out of memory", err_r, errlen);
	}
	n = fileio_pread(fd, f->octets, (size_t)f->size, 0);
	close(fd);
	f->len = (size_t)f->size;	/* wiped whole, also after an error */
	if (n < (ssize_t)f->size)
		return fail(f, "cannot be read completely", err_r,
		    errlen);
	return 0;
}

/* Warn of a key that others may read.  It can be used all the same. */
static void
warn_mode(const struct creds_file *f)
{
	struct stat st;
	char mode[8];

	if (fstat(f->fd, &st) == -1)
		return;
	snprintf(mode, sizeof(mode), "%04o",
	    (unsigned int)st.st_mode & 07777);
	if ((st.st_mode & 07) != 0 ||
	    ((st.st_mode & 070) != 0 && st.st_gid != 0))
		log_warnx("tls-key", "file=%s mode=%s advice=%s", f->path, mode,
		    "others than its owner may read it: chmod 600");
}

static int
open_pair(struct creds *c, size_t i, char *err_r, size_t errlen)
{
	struct creds_file *ocsp = CREDS_OCSP(c, i), *key = CREDS_KEY(c, i);

	if (file_read(CREDS_CERT(c, i), err_r, errlen) == -1 ||
	    file_open(key, &key->fd, err_r, errlen) == -1)
		return -1;
	warn_mode(key);
	/* without a response nothing is stapled */
	if (*ocsp->path != '\0' && file_read(ocsp, err_r, errlen) == -1)
		log_warnx("tls-ocsp", "reason=%s effect=%s", err_r,
		    "not stapled until it can be read");
	return 0;
}

static int
open_all(struct creds *c, char *err_r, size_t errlen)
{
	size_t i, total = 0;

	for (i = 0; i < c->npairs; i++)
		if (open_pair(c, i, err_r, errlen) == -1)
			return -1;
	for (i = 0; i < c->ncas; i++)
		if (file_read(CREDS_CA(c, i), err_r, errlen) == -1)
			return -1;
	for (i = 0; i < CREDS_NPUBLIC(c); i++)
		if ((total += c->files[i].len) > ALL_MAX_OCTETS)
			return fail(&c->files[i], "all certificates together are "
			    "larger than 256 MiB", err_r, errlen);
	return 0;
}

/* --- bundle --------------------------------------------------------------- */

static void
bundle_write(const struct creds *c, FILE *fp)
{
	struct bundle_head head = { BUNDLE_MAGIC, c->npairs, c->ncas };
	struct bundle_place place;
	size_t i, n = CREDS_NPUBLIC(c);

	fwrite(&head, sizeof(head), 1, fp);
	place.offset = sizeof(head) + n * sizeof(place);
	for (i = 0; i < n; i++) {
		place.len = c->files[i].len;
		fwrite(&place, sizeof(place), 1, fp);
		place.offset += place.len;
	}
	for (i = 0; i < n; i++)
		if (c->files[i].len > 0)
			fwrite(c->files[i].octets, c->files[i].len, 1, fp);
}

static int
bundle_fill(struct creds *c)
{
	int copy, failed;
	FILE *fp;

	c->bundle = memfd_create("mailmill-certificates",
	    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (c->bundle == -1 ||
	    (copy = fcntl(c->bundle, F_DUPFD_CLOEXEC, 0)) == -1)
		return -1;
	if ((fp = fdopen(copy, "w")) == NULL) {
		close(copy);
		return -1;
	}
	bundle_write(c, fp);
	failed = ferror(fp);
	if (fclose(fp) == EOF || failed)
		return -1;
	return fcntl(c->bundle, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE | F_SEAL_SEAL);
}

/* Wiped, since a key may have been put into a certificate's file by mistake. */
static void
forget_octets(struct creds *c)
{
	size_t i;

	for (i = 0; i < c->nfiles; i++) {
		if (c->files[i].octets != NULL)
			explicit_bzero(c->files[i].octets, c->files[i].len);
		free(c->files[i].octets);
		c->files[i].octets = NULL;
	}
}

int
creds_bundle_make(struct creds *c)
{
	int rc = bundle_fill(c);

	forget_octets(c);
	return rc;
}

/* --- life ----------------------------------------------------------------- */

static void
name_file(struct creds_file *f, const char *path, const char *option,
    const struct conf_at *at)
{
	f->path = path;
	f->option = option;
	f->at = at;
}

static int
creds_paths(struct creds *c, const struct settings_tls *t)
{
	size_t i;

	c->npairs = t->npairs;
	c->ncas = t->npairs > 0 ? t->nclient_cas : 0;
	c->nfiles = CREDS_NPUBLIC(c) + c->npairs;
	c->files = calloc(c->nfiles + 1, sizeof(*c->files));
	c->infos = calloc(c->npairs + 1, sizeof(*c->infos));
	c->key_fds = calloc(c->npairs + 1, sizeof(*c->key_fds));
	if (c->files == NULL || c->infos == NULL || c->key_fds == NULL) {
		c->nfiles = 0;
		return -1;
	}
	for (i = 0; i < c->nfiles; i++)
		c->files[i].fd = -1;
	for (i = 0; i < c->npairs; i++) {
		name_file(CREDS_CERT(c, i), t->pairs[i].cert,
		    "TLS_Certificate", &t->pairs[i].cert_at);
		name_file(CREDS_OCSP(c, i), t->pairs[i].ocsp,
		    "TLS_OCSP_Response", &t->pairs[i].ocsp_at);
		name_file(CREDS_KEY(c, i), t->pairs[i].key, "TLS_Key",
		    &t->pairs[i].key_at);
	}
	for (i = 0; i < c->ncas; i++)
		name_file(CREDS_CA(c, i), t->client_cas[i].path,
		    "TLS_Client_CA", &t->client_cas[i].at);
	return 0;
}

struct creds *
creds_open(const struct settings *s, uint32_t version, char *err_r,
    size_t errlen)
{
	struct creds *c;

	snprintf(err_r, errlen, "out of memory");
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->version = version;
	c->bundle = -1;
	if (creds_paths(c, s->tls) == -1 ||
	    open_all(c, err_r, errlen) == -1) {
		creds_free(c);
		return NULL;
	}
	return c;
}

void
creds_free(struct creds *c)
{
	size_t i;

	if (c == NULL)
		return;
	forget_octets(c);
	for (i = 0; i < c->nfiles; i++)
		if (c->files[i].fd != -1)
			close(c->files[i].fd);
	if (c->bundle != -1)
		close(c->bundle);
	free(c->files);
	free(c->infos);
	free(c->key_fds);
	free(c);
}

uint32_t
creds_version(const struct creds *c)
{
	return c->version;
}

/* The receiver maps the bundle and reads a key with pread(2), so it does not
 * matter that duplicates share an offset. */
int
creds_bundle(const struct creds *c)
{
	return fcntl(c->bundle, F_DUPFD_CLOEXEC, 0);
}

int
creds_key(const struct creds *c, size_t pair)
{
	return fcntl(CREDS_KEY(c, pair)->fd, F_DUPFD_CLOEXEC, 0);
}

time_t
creds_expiry(const struct creds *c, size_t pair)
{
	return c->infos[pair].expiry;
}

const char *
creds_name(const struct creds *c, size_t pair)
{
	return c->infos[pair].name;
}

/* --- change --------------------------------------------------------------- */

static bool
file_changed(const struct creds_file *f, const struct stat *st)
{
	return !f->is_there || f->dev != st->st_dev || f->ino != st->st_ino ||
	    f->size != st->st_size ||
	    f->mtime.tv_sec != st->st_mtim.tv_sec ||
	    f->mtime.tv_nsec != st->st_mtim.tv_nsec;
}

bool
creds_changed(const struct creds *c)
{
	const struct creds_file *f;
	struct timespec now;
	struct stat st;
	bool has_changed = false;
	size_t i;

	clock_gettime(CLOCK_REALTIME, &now);
	for (i = 0; i < c->nfiles; i++) {
		f = &c->files[i];
		if (*f->path == '\0')
			continue;
		if (stat(f->path, &st) == -1) {
			has_changed |= f->is_there;
			continue;
		}
		/* This also concerns a file that looks unchanged: it may have
		 * been written to again within the same tick of its time. */
		if (st.st_mtim.tv_sec >= now.tv_sec - QUIET_S &&
		    st.st_mtim.tv_sec <= now.tv_sec)
			return false;
		has_changed |= file_changed(f, &st);
	}
	return has_changed;
}

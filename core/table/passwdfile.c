/* A passwd file in memory: reading it, finding a user, checking a password. */

#include "core/table/passwdfile_int.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "core/table/textfile.h"
#include "core/util/wipe.h"

#define HASH_MAX	384	/* octets: CRYPT_OUTPUT_SIZE */

static void
stamp_of(const struct stat *st, struct passwdfile_stamp *stamp_r)
{
	memset(stamp_r, 0, sizeof(*stamp_r));
	stamp_r->dev = st->st_dev;
	stamp_r->ino = st->st_ino;
	stamp_r->size = st->st_size;
	stamp_r->mtime = st->st_mtim;
	stamp_r->ctime = st->st_ctim;
}

void
passwdfile_look(const char *path, struct passwdfile_stamp *stamp_r)
{
	struct stat st;

	memset(stamp_r, 0, sizeof(*stamp_r));
	if (stat(path, &st) == 0)
		stamp_of(&st, stamp_r);
}

int
passwdfile_is_stale(const struct passwdfile *f)
{
	struct passwdfile_stamp now;

	passwdfile_look(f->path, &now);
	return memcmp(&now, &f->stamp, sizeof(now)) != 0;
}

bool
passwdfile_is_exposed(const struct passwdfile *f)
{
	return (f->mode & (S_IRWXO | S_IWGRP)) != 0;
}

unsigned int
passwdfile_excess(const struct passwdfile *f, unsigned long *line_r)
{
	unsigned int most = PASSWDFILE_ITER_CLIENTS;
	const struct passwdfile_scram *s;
	size_t i;

	for (i = 0; i < 2 * f->nrows; i++) {
		s = f->rows[i / 2].e.scram[i % 2];
		if (s != NULL && s->iterations > most) {
			most = s->iterations;
			*line_r = f->rows[i / 2].line;
		}
	}
	return most == PASSWDFILE_ITER_CLIENTS ? 0 : most;
}

static struct passwdfile *
open_fd(const char *path, int fd, char *err_r, size_t errlen)
{
	struct passwdfile *f = NULL;
	struct stat st;
	char *text, *copy;
	size_t len;

	if (fstat(fd, &st) == -1 || (text = textfile_read(fd,
	    PASSWDFILE_OCTETS_MAX, &len)) == NULL)
		goto err;
	if ((copy = strdup(path)) == NULL) {
		wipe_free(text, len);
		goto err;
	}
	if ((f = passwdfile_parse(path, text, len, err_r, errlen)) == NULL) {
		free(copy);
		return NULL;
	}
	f->path = copy;
	stamp_of(&st, &f->stamp);
	f->mode = st.st_mode;
	return f;
err:
	snprintf(err_r, errlen, "%s: cannot be read: %s", path,
	    strerror(errno));
	return NULL;
}

struct passwdfile *
passwdfile_open(const char *path, char *err_r, size_t errlen)
{
	struct passwdfile *f;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1) {
		snprintf(err_r, errlen, "%s: cannot be opened: %s", path,
		    strerror(errno));
		return NULL;
	}
	f = open_fd(path, fd, err_r, errlen);
	close(fd);
	return f;
}

static const struct passwdfile_row *
find_row(const struct passwdfile *f, const char *name)
{
	size_t low = 0, high = f->nrows, mid;
	int order;

	while (low < high) {
		mid = low + (high - low) / 2;
		order = strcmp(name, f->rows[mid].e.name);
		if (order == 0)
			return &f->rows[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

const struct passwdfile_entry *
passwdfile_find(const struct passwdfile *f, const char *name)
{
	const struct passwdfile_row *row = find_row(f, name);

	return row == NULL ? NULL : &row->e;
}

void
passwdfile_common_scram(const struct passwdfile *f,
    enum passwdfile_scram_hash hash, unsigned int *iterations_r,
    size_t *salt_len_r)
{
	const struct passwdfile_row *row =
	    f->common[PASSWDFILE_KIND_KEYS + hash];

	*iterations_r = PASSWDFILE_ITERATIONS;
	*salt_len_r = PASSWDFILE_SALT;
	if (row != NULL) {
		*iterations_r = row->e.scram[hash]->iterations;
		*salt_len_r = row->e.scram[hash]->salt_len;
	}
}

bool
passwdfile_secret(const struct passwdfile *f,
    uint8_t secret_r[PASSWDFILE_SECRET])
{
	if (f->has_secret)
		memcpy(secret_r, f->secret, PASSWDFILE_SECRET);
	return f->has_secret;
}

/* Are the texts equal?  The time does not depend on where they differ. */
static int
is_same_text(const char *a, const char *b)
{
	uint8_t x[32], y[32];
	int is_same;

	if (!EVP_Digest(a, strlen(a), x, NULL, EVP_sha256(), NULL) ||
	    !EVP_Digest(b, strlen(b), y, NULL, EVP_sha256(), NULL))
		return errno = ENOMEM, -1;
	is_same = CRYPTO_memcmp(x, y, sizeof(x)) == 0;
	explicit_bzero(x, sizeof(x));
	explicit_bzero(y, sizeof(y));
	return is_same;
}

static int
check_hash(const char *hash, const char *password)
{
	char mine[HASH_MAX];
	int rc;

	if (passwdfile_crypt(password, hash, mine, sizeof(mine)) == -1)
		return errno == ERANGE ? 0 : -1;	/* ERANGE: too long */
	rc = is_same_text(mine, hash);
	explicit_bzero(mine, sizeof(mine));
	return rc;
}

static int
check_scram(enum passwdfile_scram_hash hash,
    const struct passwdfile_scram *keys, const char *password)
{
	struct passwdfile_scram mine = *keys;
	int rc;

	rc = passwdfile_scram_make(hash, password, &mine);
	if (rc == 0)
		rc = CRYPTO_memcmp(mine.stored_key, keys->stored_key,
		    keys->key_len) == 0;
	explicit_bzero(&mine, sizeof(mine));
	return rc;
}

/* The check that costs time: against the hash, else against the keys. */
static int
check_row(const struct passwdfile_row *row, const char *password)
{
	enum passwdfile_scram_hash which = PASSWDFILE_SHA256;

	if (row->e.hash != NULL)
		return check_hash(row->e.hash, password);
	if (row->e.scram[which] == NULL)
		which = PASSWDFILE_SHA1;
	return check_scram(which, row->e.scram[which], password);
}

static bool
has_work(const struct passwdfile_row *row)
{
	return row->e.hash != NULL || row->e.scram[PASSWDFILE_SHA256] != NULL ||
	    row->e.scram[PASSWDFILE_SHA1] != NULL;
}

int
passwdfile_verify(const struct passwdfile *f, const char *name,
    const char *password)
{
	const struct passwdfile_row *row = find_row(f, name);
	const struct passwdfile_row *work = row;
	int rc = 0;

	if (strlen(password) > PASSWDFILE_PASSWORD_MAX)
		return 0;
	if (row == NULL || !has_work(row))
		work = f->common[PASSWDFILE_KIND_PASSWORD];
	if (work != NULL)
		rc = check_row(work, password);
	if (rc != -1 && work != row)
		rc = row != NULL && row->e.cleartext != NULL &&
		    is_same_text(password, row->e.cleartext);
	return rc;
}

int
passwdfile_verify_token(const struct passwdfile *f, const char *name,
    const char *token)
{
	const struct passwdfile_row *row = find_row(f, name), *work = row;
	char text[PASSWDFILE_TOKEN_TEXT];
	int rc = 0;

	if (row == NULL || row->e.token == NULL)
		work = f->common[PASSWDFILE_KIND_TOKEN];
	if (passwdfile_token_text(token, text) == -1)
		return -1;
	if (work != NULL)
		rc = check_hash(work->e.token, text);
	explicit_bzero(text, sizeof(text));
	return rc == 1 && work != row ? 0 : rc;
}

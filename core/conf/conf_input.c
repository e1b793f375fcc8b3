/* What a configuration is read from: see conf_input.h. */

#include "core/conf/conf_input.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/fileio.h"

/* An item in a pack; then the name with its NUL, and the text. */
struct head {
	uint64_t	kind, name_octets, octets;
};

static struct conf_item *
item_new(struct conf_input *in, enum conf_item_kind kind, const char *name)
{
	struct conf_item *item;

	if ((item = calloc(1, sizeof(*item))) == NULL)
		return NULL;
	if ((item->name = strdup(name)) == NULL) {
		free(item);
		return NULL;
	}
	item->kind = kind;
	STAILQ_INSERT_TAIL(&in->items, item, link);
	return item;
}

/* errno stays, as free(3) promises since POSIX.1-2024. */
static void
item_free(struct conf_input *in, struct conf_item *item)
{
	STAILQ_REMOVE(&in->items, item, conf_item, link);
	free(item->name);
	free(item->text);
	free(item);
}

static struct conf_item *
item_find(const struct conf_input *in, enum conf_item_kind kind,
    const char *name)
{
	struct conf_item *item;

	STAILQ_FOREACH(item, &in->items, link)
		if (item->kind == kind && strcmp(item->name, name) == 0)
			return item;
	return NULL;
}

/* --- reading -------------------------------------------------------------- */

/* All of ${fp}.  Return 0, or -1 with errno. */
static int
read_all(struct conf_item *item, FILE *fp)
{
	size_t size = 0, n;
	char *grown;

	do {
		if (item->len == size) {
			size = size == 0 ? 16384 : size * 2;
			if ((grown = realloc(item->text, size)) == NULL)
				return -1;
			item->text = grown;
		}
		n = fread(item->text + item->len, 1, size - item->len, fp);
		item->len += n;
		if (item->len > CONF_FILE_MAX) {
			errno = EFBIG;
			return -1;
		}
	} while (n > 0);
	return ferror(fp) ? -1 : 0;
}

/* A folder that is not there has no files; any other failure counts. */
static int
on_glob_error(const char *, int errnum)
{
	errno = errnum;
	return errnum != ENOENT && errnum != ENOTDIR;
}

static int
read_match(struct conf_item *item)
{
	glob_t g;
	size_t i, len;
	char *grown;
	int rc;

	if ((rc = glob(item->name, 0, on_glob_error, &g)) == GLOB_NOMATCH)
		return 0;
	if (rc == GLOB_NOSPACE)
		errno = ENOMEM;
	for (i = 0; rc == 0 && i < g.gl_pathc; i++) {
		len = strlen(g.gl_pathv[i]) + 1;
		grown = realloc(item->text, item->len + len);
		if (grown == NULL) {
			rc = -1;
			break;
		}
		item->text = grown;
		memcpy(item->text + item->len, g.gl_pathv[i], len);
		item->len += len;
	}
	globfree(&g);
	return rc == 0 ? 0 : -1;
}

struct conf_input *
conf_input_new(FILE *fp, const char *filename, const char *const *overrides,
    size_t n)
{
	struct conf_input *in;
	struct conf_item *item;
	size_t i;

	if ((in = calloc(1, sizeof(*in))) == NULL)
		return NULL;
	STAILQ_INIT(&in->items);
	for (i = 0; i < n; i++)
		if (item_new(in, CONF_OVERRIDE, overrides[i]) == NULL)
			goto err1;
	if ((item = item_new(in, CONF_FILE, filename)) == NULL ||
	    read_all(item, fp) == -1)
		goto err1;
	return in;
err1:
	conf_input_free(in);
	return NULL;
}

void
conf_input_free(struct conf_input *in)
{
	struct conf_item *item;

	if (in == NULL)
		return;
	while ((item = STAILQ_FIRST(&in->items)) != NULL)
		item_free(in, item);
	free(in);
}

const struct conf_item *
conf_input_main(const struct conf_input *in)
{
	const struct conf_item *item;

	STAILQ_FOREACH(item, &in->items, link)
		if (item->kind == CONF_FILE)
			break;
	return item;
}

/* Read an included file.  What is no regular file is refused: the open(2) of a
 * FIFO without a writer would keep the master from its clients. */
static int
read_included(struct conf_item *item, const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int rc = -1, errnum;
	struct stat st;
	FILE *fp = NULL;

	if (fd != -1 && fstat(fd, &st) == 0) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		if (S_ISREG(st.st_mode) && (fp = fdopen(fd, "r")) != NULL)
			rc = read_all(item, fp);
	}
	errnum = errno;
	if (fp != NULL)
		fclose(fp);
	else if (fd != -1)
		close(fd);
	errno = errnum;
	return rc;
}

/* The item of that name, read by what belongs to its kind. */
static const struct conf_item *
get(struct conf_input *in, enum conf_item_kind kind, const char *name,
    bool is_glob)
{
	struct conf_item *item = item_find(in, kind, name);
	int rc;

	if (item != NULL)
		return item;
	if (in->is_copy) {
		errno = ENOENT;
		return NULL;
	}
	if ((item = item_new(in, kind, name)) == NULL)
		return NULL;
	if (is_glob)
		rc = read_match(item);
	else if (kind == CONF_MATCH) {
		item->text = strdup(name);
		item->len = strlen(name) + 1;
		rc = item->text == NULL ? -1 : 0;
	} else
		rc = read_included(item, name);
	if (rc == 0)
		return item;
	item_free(in, item);
	return NULL;
}

const struct conf_item *
conf_input_file(struct conf_input *in, const char *path)
{
	return get(in, CONF_FILE, path, false);
}

const struct conf_item *
conf_input_match(struct conf_input *in, const char *pattern, const char *from)
{
	bool is_glob = strpbrk(pattern, "*?[") != NULL;
	const char *slash = *pattern == '/' ? NULL : strrchr(from, '/');
	const struct conf_item *item;
	char *path, *p;

	if ((path = malloc(2 * strlen(from) + strlen(pattern) + 1)) == NULL)
		return NULL;
	/* the folder is meant as it is spelt */
	for (p = path; slash != NULL && from <= slash; from++) {
		if (is_glob && strchr("*?[\\", *from) != NULL)
			*p++ = '\\';
		*p++ = *from;
	}
	strcpy(p, pattern);
	item = get(in, CONF_MATCH, path, is_glob);
	free(path);
	return item;
}

/* --- copies --------------------------------------------------------------- */

int
conf_input_pack(const struct conf_input *in, int fd)
{
	const struct conf_item *item;
	struct head head;

	STAILQ_FOREACH(item, &in->items, link) {
		head = (struct head){ item->kind, strlen(item->name) + 1,
			item->len };
		if (fileio_write(fd, &head, sizeof(head)) == -1 ||
		    fileio_write(fd, item->name, head.name_octets) == -1 ||
		    fileio_write(fd, item->text, item->len) == -1)
			return -1;
	}
	return 0;
}

/* One item of the pack at *p; what follows is behind it. */
static int
unpack_item(struct conf_input *in, const char **p, const char *end)
{
	struct conf_item *item;
	struct head head;

	errno = EINVAL;
	if ((size_t)(end - *p) < sizeof(head))
		return -1;
	memcpy(&head, *p, sizeof(head));
	*p += sizeof(head);
	if (head.kind > CONF_MATCH || head.name_octets == 0 ||
	    head.name_octets > (size_t)(end - *p) ||
	    head.octets > (size_t)(end - *p) - head.name_octets ||
	    (*p)[head.name_octets - 1] != '\0')
		return -1;
	item = item_new(in, (enum conf_item_kind)head.kind, *p);
	if (item == NULL || (item->text = malloc(head.octets + 1)) == NULL)
		return -1;
	*p += head.name_octets;
	memcpy(item->text, *p, head.octets);
	item->text[head.octets] = '\0';	/* the pack may be damaged */
	item->len = head.octets;
	*p += head.octets;
	return 0;
}

struct conf_input *
conf_input_unpack(const char *pack, size_t len)
{
	const char *end = pack + len;
	struct conf_input *in;

	if ((in = calloc(1, sizeof(*in))) == NULL)
		return NULL;
	STAILQ_INIT(&in->items);
	in->is_copy = true;
	while (pack < end)
		if (unpack_item(in, &pack, end) == -1)
			goto err1;
	if (conf_input_main(in) != NULL)
		return in;
	errno = EINVAL;
err1:
	conf_input_free(in);
	return NULL;
}

void
conf_input_forget(struct conf_input *in)
{
	struct conf_item *item;

	STAILQ_FOREACH(item, &in->items, link) {
		free(item->text);
		item->text = NULL;
		item->len = 0;
	}
}

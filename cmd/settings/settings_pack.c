/* Settings: what a child needs to read the same configuration as its master.
 * The pack: octets of the head, number of strings, the strings (file name,
 * then overrides) each with its NUL; then the file's text. */

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/settings/settings.h"
#include "core/conf/conf.h"

#define OVERRIDES_MAX	1000	/* more than a command line has use for */

struct head {
	uint64_t	octets;		/* of the strings */
	uint64_t	nstrings;
};

static void
write_pack(FILE *out, FILE *fp, const char *filename,
    const char *const *overrides, size_t n)
{
	struct head head = { strlen(filename) + 1, n + 1 };
	char buf[16384];
	size_t i, len;

	for (i = 0; i < n; i++)
		head.octets += strlen(overrides[i]) + 1;
	fwrite(&head, sizeof(head), 1, out);
	fwrite(filename, strlen(filename) + 1, 1, out);
	for (i = 0; i < n; i++)
		fwrite(overrides[i], strlen(overrides[i]) + 1, 1, out);
	while ((len = fread(buf, 1, sizeof(buf), fp)) > 0)
		fwrite(buf, 1, len, out);
}

int
settings_pack(FILE *fp, const char *filename, const char *const *overrides,
    size_t n)
{
	FILE *out;
	int fd, copy;

	fd = memfd_create("mailmill-settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	if ((copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1)
		goto err1;
	if ((out = fdopen(copy, "w")) == NULL) {
		close(copy);
		goto err1;
	}
	write_pack(out, fp, filename, overrides, n);
	if (ferror(fp) || ferror(out)) {
		fclose(out);
		errno = EIO;
		goto err1;
	}
	/* sealed: no process can change what another reads */
	if (fclose(out) == EOF || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK |
	    F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == -1)
		goto err1;
	return fd;
err1:
	close(fd);
	return -1;
}

/* Load from the ${len} octets at ${pack}. */
static struct settings *
load_pack(char *pack, size_t len, char *err_r, size_t errlen)
{
	const char *strings[OVERRIDES_MAX + 1], *p, *end;
	struct settings *s;
	struct head head;
	size_t i;
	FILE *fp;

	if (len < sizeof(head))
		goto bad;
	memcpy(&head, pack, sizeof(head));
	if (head.octets > len - sizeof(head) || head.nstrings < 1 ||
	    head.nstrings > OVERRIDES_MAX + 1)
		goto bad;
	p = pack + sizeof(head);
	end = p + head.octets;
	for (i = 0; i < head.nstrings; i++) {
		strings[i] = p;
		if ((p = memchr(p, '\0', (size_t)(end - p))) == NULL)
			goto bad;
		p++;
	}
	if (end == pack + len)		/* fmemopen() takes no nothing */
		fp = fopen("/dev/null", "re");
	else
		fp = fmemopen(pack + sizeof(head) + head.octets,
		    len - sizeof(head) - head.octets, "r");
	if (fp == NULL)
		goto bad;
	s = settings_load(fp, strings[0], strings + 1, head.nstrings - 1,
	    err_r, errlen);
	fclose(fp);
	return s;
bad:
	snprintf(err_r, errlen, "the configuration from the master cannot be "
	    "read");
	return NULL;
}

struct settings *
settings_unpack(int fd, char *err_r, size_t errlen)
{
	struct settings *s;
	struct stat st;
	char *pack;

	if (fstat(fd, &st) == -1 || st.st_size <= 0 ||
	    (pack = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd,
	    0)) == MAP_FAILED) {
		snprintf(err_r, errlen, "the configuration from the master "
		    "cannot be read");
		return NULL;
	}
	s = load_pack(pack, (size_t)st.st_size, err_r, errlen);
	munmap(pack, (size_t)st.st_size);
	return s;
}

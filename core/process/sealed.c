/* See sealed.h. */

#include "core/process/sealed.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/util/fileio.h"

/* Memory whose size is fixed; more seals may follow. */
static int
create(const char *name, size_t octets)
{
	int fd;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	if (ftruncate(fd, (off_t)octets) == -1 || fcntl(fd, F_ADD_SEALS,
	    F_SEAL_SHRINK | F_SEAL_GROW) == -1) {
		fileio_close(fd);
		return -1;
	}
	return fd;
}

int
sealed_create(const char *name, size_t octets)
{
	int fd = create(name, octets);

	if (fd != -1 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == -1) {
		fileio_close(fd);
		return -1;
	}
	return fd;
}

int
sealed_create_own(const char *name, size_t octets, void **p_r)
{
	int fd = create(name, octets);

	if (fd == -1)
		return -1;
	if ((*p_r = sealed_map(fd, octets)) == NULL)
		goto err1;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == -1)
		goto err2;
	return fd;
err2:
	munmap(*p_r, octets);
err1:
	fileio_close(fd);
	return -1;
}

void *
sealed_map(int fd, size_t octets)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (st.st_size != (off_t)octets) {
		errno = EINVAL;
		return NULL;
	}
	p = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

const void *
sealed_map_read(int fd, size_t *octets_r)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) == -1)
		return NULL;
	*octets_r = (size_t)st.st_size;
	p = mmap(NULL, *octets_r, PROT_READ, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

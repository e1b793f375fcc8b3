/* Settings: how a child gets the configuration of its master: all that the
 * master has read, in a file in memory that no process can change. */

#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>

#include "cmd/settings/settings_int.h"
#include "core/util/fileio.h"

int
settings_pack(struct settings *s)
{
	int fd, rc;

	fd = memfd_create("mailmill-settings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -1;
	rc = conf_input_pack(s->input, fd);
	conf_input_forget(s->input);
	/* a child cannot change what the next one will read */
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE | F_SEAL_SEAL) == 0)
		return fd;
	fileio_close(fd);
	return -1;
}

struct settings *
settings_unpack_conf(int fd, struct conf **conf_r, char *err_r, size_t errlen)
{
	struct conf_input *in = NULL;
	struct settings *s;
	struct stat st;
	char *pack;

	if (fstat(fd, &st) == 0 && st.st_size > 0 &&
	    (pack = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd,
	    0)) != MAP_FAILED) {
		in = conf_input_unpack(pack, (size_t)st.st_size);
		munmap(pack, (size_t)st.st_size);
	}
	if (in == NULL) {
		snprintf(err_r, errlen, "the configuration from the master "
		    "cannot be read");
		return NULL;
	}
	if ((s = settings_build(in, conf_r, err_r, errlen)) != NULL)
		conf_input_forget(in);
	return s;
}

struct settings *
settings_unpack(int fd, char *err_r, size_t errlen)
{
	return settings_unpack_conf(fd, NULL, err_r, errlen);
}

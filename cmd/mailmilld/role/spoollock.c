/* The lock of a spool: see spoollock.h.
 * Owns: what stands in the file. */

#include "cmd/mailmilld/role/spoollock.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/fileio.h"

pid_t
spoollock_owner(int fd, bool *is_alive_r)
{
	char text[16] = "";
	pid_t pid = 0;

	if (fileio_pread(fd, text, sizeof(text) - 1, 0) != -1) {
		text[strspn(text, "0123456789")] = '\0';
		pid = (pid_t)strtonum(text, 1, INT_MAX, NULL);
	}
	*is_alive_r = pid != 0 && (kill(pid, 0) == 0 || errno == EPERM);
	return pid;
}

int
spoollock_sign(int fd, pid_t master)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", (int)master);

	if (ftruncate(fd, 0) == -1)
		return -1;
	return fileio_pwrite(fd, text, (size_t)len, 0);
}

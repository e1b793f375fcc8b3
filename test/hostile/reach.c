/* Tricks with the kernel: other processes, the terminal. */

#include "test/hostile/hostile.h"

#include <sys/ioctl.h>
#include <sys/ptrace.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FDS	256

bool
trick_kill(uint64_t arg, unsigned int)
{
	hostile_say("killed", kill((pid_t)arg, SIGKILL) == 0);
	return true;
}

bool
trick_trace(uint64_t arg, unsigned int)
{
	hostile_say("traced",
	    ptrace(PTRACE_ATTACH, (pid_t)arg, NULL, NULL) == 0);
	return true;
}

bool
trick_look(uint64_t arg, unsigned int)
{
	static const char *const names[] = { "/proc/%u/mem", "/proc/%u/maps",
	    "/proc/%u/environ", "/proc/%u/fd", "/etc/passwd", "/", "." };
	char path[64];
	uint64_t n = 0;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strchr(names[i], '%') == NULL)
			snprintf(path, sizeof(path), "%s", names[i]);
		else
			snprintf(path, sizeof(path), "/proc/%u/%s",
			    (unsigned int)arg, strrchr(names[i], '/') + 1);
		if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
			continue;
		n++;
		close(fd);
	}
	hostile_say("opened", n);
	return true;
}

bool
trick_type(uint64_t, unsigned int)
{
	char c = 'x';
	int fd;

	for (fd = 0; fd < FDS; fd++)
		(void)ioctl(fd, TIOCSTI, &c);
	return true;
}

/* What a row of attempt.def needs: include it where the table is used. */

#ifndef TEST_HOSTILE_ATTEMPT_H
#define TEST_HOSTILE_ATTEMPT_H

#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>

#define ATTEMPT_ARGS	6

struct attempt {
	const char	*name;
	const char	*call;
	long		 args[ATTEMPT_ARGS];
	const char	*roles;
};

#endif

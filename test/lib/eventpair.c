#include "test/lib/eventpair.h"

#include <sys/socket.h>

#include <unistd.h>

int
no_callback(Event *, int, void *, struct timeval *)
{
	return 0;
}

int
event_pair(Event *pair_r[2])
{
	int sv[2], i;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == -1)
		return -1;
	for (i = 0; i < 2; i++)
		if ((pair_r[i] = build_fd_event(sv[i], E_READ, 0, no_callback,
		    NULL)) == NULL)
			return -1;
	return 0;
}

/* logsink PATH: a syslog that throws everything away.
 * Owns: a datagram socket bound at PATH; so that a server under measurement
 * pays for its log lines, and nobody pays for writing them. */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, size_octets = 1 << 20;
	char octet;

	if (argc != 2 || strlen(argv[1]) >= sizeof(sun.sun_path)) {
		fprintf(stderr, "usage: logsink PATH\n");
		return 2;
	}
	strcpy(sun.sun_path, argv[1]);
	unlink(argv[1]);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		perror(argv[1]);
		return 1;
	}
	chmod(argv[1], 0666);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size_octets,
	    sizeof(size_octets));
	while (recv(fd, &octet, 1, 0) >= 0)
		;
	perror("recv");
	return 1;
}

/* Landlock.
 * Owns: the system calls and constants: linux/landlock.h of Debian 12 has only
 * the first of them. */

#include "core/process/landlock.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "core/util/fileio.h"

/* the same numbers on all architectures */
#define NR_CREATE_RULESET	444
#define NR_ADD_RULE		445
#define NR_RESTRICT_SELF	446

#define VERSION			1	/* flag of NR_CREATE_RULESET */
#define RULE_PATH_BENEATH	1
#define RULE_NET_PORT		2

/* In version 1 a process with rules could move no file to another folder. */
#define VERSION_LEAST		2
#define VERSION_TRUNCATE	3
#define VERSION_NET		4
#define VERSION_IOCTL		5
#define VERSION_SCOPE		6

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_MAKE_FIFO = 1 << 10,
	FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15,
	FS_ALL = (1 << 16) - 1,

	FS_READ = FS_READ_FILE | FS_READ_DIR,
	FS_WRITE = FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE |
	    FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE,
	FS_OF_FILE = FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE,

	NET_BIND_TCP = 1 << 0,
	NET_CONNECT_TCP = 1 << 1,

	SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0,
	SCOPE_SIGNAL = 1 << 1,
};

struct ruleset {
	uint64_t	handled_fs;
	uint64_t	handled_net;	/* version 4 */
	uint64_t	scoped;		/* version 6 */
};

struct path_beneath {
	uint64_t	allowed;
	int32_t		parent_fd;
} __attribute__((packed));

struct net_port {
	uint64_t	allowed;
	uint64_t	port;		/* in host order */
};

/* The rule for ${p}.  Return 0 or -1. */
static int
add_path(int rules, const struct landlock_path *p, uint64_t handled)
{
	struct path_beneath rule = {
		.allowed = (p->can_write ? FS_READ | FS_WRITE : FS_READ) &
		    handled,
		.parent_fd = open(p->path, O_PATH | O_CLOEXEC)
	};
	struct stat st;
	int rc = -1;

	if (rule.parent_fd == -1)
		return errno == ENOENT ? 0 : -1;
	if (fstat(rule.parent_fd, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			rule.allowed &= FS_OF_FILE;
		rc = (int)syscall(NR_ADD_RULE, rules, RULE_PATH_BENEATH, &rule,
		    0);
	}
	close(rule.parent_fd);
	return rc;
}

/* TCP sockets may be connected to that port, whatever the address; 0: bound to
 * any that the system chooses. */
static int
add_port(int rules, unsigned int port)
{
	const struct net_port rule = {
		port == 0 ? NET_BIND_TCP : NET_CONNECT_TCP, port };

	return (int)syscall(NR_ADD_RULE, rules, RULE_NET_PORT, &rule, 0);
}

int
landlock_rules(const struct landlock_path *paths, size_t n,
    const unsigned int *ports, size_t nports, unsigned int *has_r)
{
	int version = (int)syscall(NR_CREATE_RULESET, NULL, 0, VERSION);
	struct ruleset set = { .handled_fs = FS_ALL };
	size_t octets = sizeof(set), i;
	int fd, saved;

	*has_r = LANDLOCK_FILES;
	if (version < VERSION_LEAST) {
		if (version != -1)
			errno = EOPNOTSUPP;
		return -1;
	}
	if (version < VERSION_IOCTL)
		set.handled_fs &= ~(uint64_t)FS_IOCTL_DEV;
	if (version < VERSION_TRUNCATE)
		set.handled_fs &= ~(uint64_t)FS_TRUNCATE;
	if (version >= VERSION_NET) {
		set.handled_net = NET_BIND_TCP | NET_CONNECT_TCP;
		*has_r |= LANDLOCK_NET;
	} else
		octets = offsetof(struct ruleset, handled_net);
	if (version >= VERSION_SCOPE) {
		set.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
		*has_r |= LANDLOCK_SCOPE;
	} else if (version >= VERSION_NET)
		octets = offsetof(struct ruleset, scoped);
	/* the kernel makes the descriptor close-on-exec */
	if ((fd = (int)syscall(NR_CREATE_RULESET, &set, octets, 0)) == -1)
		return -1;
	for (i = 0; i < n; i++)
		if (add_path(fd, &paths[i], set.handled_fs) == -1)
			goto err1;
	for (i = 0; i < nports && set.handled_net != 0; i++)
		if (add_port(fd, ports[i]) == -1)
			goto err1;
	return fd;
err1:
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int
landlock_enter(int fd)
{
	int rc = (int)syscall(NR_RESTRICT_SELF, fd, 0), saved = errno;

	fileio_close(fd);
	errno = saved;
	return rc;
}

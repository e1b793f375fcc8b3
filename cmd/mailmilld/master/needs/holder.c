/* Who holds an address: see holder.h.
 * The kernel lists listening sockets with their inodes (proc(5), net/tcp, net/unix), and
 * the descriptors of a process name theirs. */

#include "cmd/mailmilld/master/needs/holder.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/addr.h"

#define LISTENING	0x0A	/* the state TCP_LISTEN */
#define ACCEPTS		0x10000	/* the flag __SO_ACCEPTCON of a Unix socket */

/* "0100007F:0019", or four such words of IPv6, each as it lies in memory. */
static int
parse_local(const char *text, union addr *addr_r)
{
	unsigned int port, words[4];

	memset(addr_r, 0, sizeof(*addr_r));
	if (sscanf(text, "%8x%8x%8x%8x:%x", &words[0], &words[1], &words[2],
	    &words[3], &port) == 5) {
		addr_r->in6.sin6_family = AF_INET6;
		memcpy(&addr_r->in6.sin6_addr, words, sizeof(words));
		addr_r->in6.sin6_port = htons((uint16_t)port);
		return 0;
	}
	if (sscanf(text, "%8x:%x", &words[0], &port) != 2)
		return -1;
	addr_r->in.sin_family = AF_INET;
	addr_r->in.sin_addr.s_addr = words[0];
	addr_r->in.sin_port = htons((uint16_t)port);
	return 0;
}

static bool
is_wildcard(const union addr *a)
{
	static const unsigned char zeros[16];
	int family;
	const unsigned char *octets = addr_octets(&a->sa, &family);

	return memcmp(octets, zeros, family == AF_INET ? 4 : 16) == 0;
}

/* The list does not say whether a wildcard holds the addresses of both
 * families: take it that it does. */
static bool
overlap(const union addr *a, const union addr *b)
{
	const unsigned char *oa, *ob;
	int fa, fb;

	if (addr_port(&a->sa) != addr_port(&b->sa))
		return false;
	if (is_wildcard(a) || is_wildcard(b))
		return true;
	oa = addr_octets(&a->sa, &fa);
	ob = addr_octets(&b->sa, &fb);
	return fa == fb && memcmp(oa, ob, fa == AF_INET ? 4 : 16) == 0;
}

/* Has process ${pid} the socket with that inode?  Not, as far as is known, if
 * its descriptors could not be listed to the end. */
static bool
has_socket(pid_t pid, unsigned long inode)
{
	char path[64], wanted[64], found[64];
	struct dirent *de;
	bool is_there = false;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	if ((d = opendir(path)) == NULL)
		return false;
	while (!is_there && (de = readdir(d)) != NULL) {
		n = readlinkat(dirfd(d), de->d_name, found, sizeof(found) - 1);
		if (n == -1)
			continue;
		found[n] = '\0';
		is_there = strcmp(found, wanted) == 0;
	}
	closedir(d);
	return is_there;
}

/* Of the sockets in one list: do all that overlap with ${addr} belong to
 * ${pid}?  *n_r is increased by their number. */
static bool
all_are_of(const char *list, pid_t pid, const union addr *addr, size_t *n_r)
{
	char line[512], local[64];
	unsigned long inode;
	unsigned int state;
	union addr bound;
	bool rc = true;
	FILE *fp;

	if ((fp = fopen(list, "re")) == NULL)
		return true;		/* a host without IPv6 */
	while (rc && fgets(line, sizeof(line), fp) != NULL) {
		if (sscanf(line, " %*[^:]: %63s %*s %x %*s %*s %*s %*s %*s "
		    "%lu", local, &state, &inode) != 3 ||
		    state != LISTENING || parse_local(local, &bound) == -1 ||
		    !overlap(&bound, addr))
			continue;
		(*n_r)++;
		rc = has_socket(pid, inode);
	}
	/* of the rest of the list nothing is known */
	rc = rc && !ferror(fp);
	fclose(fp);
	return rc;
}

bool
holder_is(pid_t pid, const struct sockaddr *sa)
{
	union addr addr;
	size_t n = 0;

	addr_copy(&addr.sa, sa);
	return all_are_of("/proc/net/tcp", pid, &addr, &n) &&
	    all_are_of("/proc/net/tcp6", pid, &addr, &n) && n > 0;
}

bool
holder_is_at(pid_t pid, const char *path)
{
	char line[512];
	unsigned long inode;
	unsigned int flags;
	bool rc = true;
	size_t n = 0;
	int at;
	FILE *fp;

	if ((fp = fopen("/proc/net/unix", "re")) == NULL)
		return false;
	while (rc && fgets(line, sizeof(line), fp) != NULL) {
		at = 0;
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*[^:]: %*x %*x %x %*x %*x %lu %n", &flags,
		    &inode, &at) < 2 || at == 0 || (flags & ACCEPTS) == 0 ||
		    strcmp(line + at, path) != 0)
			continue;
		n++;
		rc = has_socket(pid, inode);
	}
	rc = rc && !ferror(fp) && n > 0;
	fclose(fp);
	return rc;
}

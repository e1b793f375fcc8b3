/* A process, and what others may send it: an octet for its role, then
 *	f n NAME LF octets	a file, before the process begins
 *	d ...			a row of the deferred store (folder.h), likewise
 * and after the first octet that is neither
 *	m	a message (below)	r n	answers of channel n are read
 *	p	the loop goes round	w n	it waits n * n ms for something
 *	c n	channel n is closed
 * A message: the channel; which of those that its row allows there; flags; octets
 * of the base and of the entries, each with their number in front, two octets for
 * that of entries.  Flags: 1 the base, 2 the entries begin as those of the last
 * answer that was read, and what the input has is added bit by bit (XOR);
 * the next three bits say which descriptor comes with it.
 *
 * Whatever others send, the process goes on, unless they may end it; what it sends fits its row; keyd signs
 * nothing but what a TLS server signs. */

#include "test/fuzz/fuzz.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/creds/creds.h"
#include "cmd/mailmilld/role/ended.h"
#include "cmd/mailmilld/role/vouch.h"
#include "core/process/sealed.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/role.h"
#include "test/lib/simtls.h"

#define ALIGN		8
#define CONNECTIONS	8
#define NAME_LEN	80

enum { FD_NONE, FD_FILE, FD_NULL, FD_SOCKET, FD_LAST, FD_RIGHT, FD_SEALED,
	FD_FOLDER };

struct talk {
	struct fuzz_input	 in;
	struct fuzz_role	*r;
	int			 conns[CONNECTIONS];	/* other ends of sockets */
	unsigned int		 nconns;
	enum role_id		 sender;	/* of the last message */
	uint32_t		 senders;	/* ROLE_BIT() of those of all */
	int			 last_fd;	/* of an answer; -1: none */
	size_t			 nbase, nentries;	/* octets that are remembered */
	unsigned int		 nforms;	/* requests for signatures that keyd may make */
	unsigned int		 nsigned;
	union {
		uint64_t	 align;
		unsigned char	 octets[CHANNEL_MSG_MAX];
	} packet;
	unsigned char		 base[2048], entries[2048];
};

static size_t
padded(size_t octets)
{
	return (octets + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t
number(struct fuzz_input *in)
{
	size_t n = fuzz_octet(in);

	n |= (size_t)fuzz_octet(in) << 8;
	return n < in->left ? n : in->left;
}

/* --- descriptors ---------------------------------------------------------- */

static int
memory(const void *octets, size_t len)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	FUZZ_HOLDS(fd != -1 && write(fd, octets, len) == (ssize_t)len);
	return fd;
}

static int
memory_of_input(struct talk *t, bool is_sealed)
{
	size_t len = number(&t->in);
	int fd = memory(t->in.p, len);

	t->in.p += len;
	t->in.left -= len;
	if (is_sealed)
		(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
		    F_SEAL_WRITE);
	return fd;
}

/* A socket of that type, into which the client has sent what the input says. */
static int
connection(struct talk *t, int type)
{
	size_t len = number(&t->in);
	int fds[2];

	FUZZ_HOLDS(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    fds) == 0);
	if (len > 0)
		(void)send(fds[0], t->in.p, len, MSG_NOSIGNAL);
	t->in.p += len;
	t->in.left -= len;
	if (t->nconns == CONNECTIONS)
		close(fds[0]);
	else
		t->conns[t->nconns++] = fds[0];
	return fds[1];
}

/* One certificate, of a key that nobody else has, as creds.h passes it on. */
static int
bundle(const struct settings *s)
{
	struct {
		char		 magic[8];
		uint64_t	 npairs, ncas;
		struct { uint64_t offset, len; } places[2];
		char		 cert[4096];
	} b = { .magic = "mailmill", .npairs = 1 };
	const char *cert, *key;
	struct bundle *read;
	int fd;

	simtls_server_pem(&cert, &key);
	b.places[0].offset = sizeof(b) - sizeof(b.cert);
	b.places[0].len = strlcpy(b.cert, cert, sizeof(b.cert));
	FUZZ_HOLDS(b.places[0].len < sizeof(b.cert));
	fd = memory(&b, sizeof(b));
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW |
	    F_SEAL_WRITE);
	if (s->tls->npairs == 1) {
		FUZZ_HOLDS((read = bundle_read(fd, s)) != NULL);
		bundle_free(read);
	}
	return fd;
}

/* Sessions of two clients, with the handles 1 and 2. */
static int
vouched(void)
{
	struct vouched who = { .listener = 0,
		.peer = { .in = { .sin_family = AF_INET } } };
	struct vouch *v = vouch_create(16);
	int fd;

	FUZZ_HOLDS(v != NULL);
	vouch_put(v, 1, &who);
	who.listener = 1;
	vouch_put(v, 2, &who);
	fd = vouch_fd(v);
	vouch_free(v);
	return fd;
}

static int
segment(struct talk *t)
{
	size_t len;
	unsigned char *octets = folder_segment(&t->in, &len);
	int fd = memory(octets, len);

	free(octets);
	return fd;
}

/* What belongs to a message of that type. */
static int
right_one(struct talk *t, unsigned int type, unsigned int role)
{
	const char *cert, *key;
	int fd = -1;

	switch (type) {
	case M_PEER:
		(void)role_link(t->r, role % NROLES, &fd);
		return fd;
	case M_CERTS:
		return bundle(t->r->child.settings);
	case M_KEY:
		simtls_server_pem(&cert, &key);
		return memory(key, strlen(key));
	case M_VOUCH:
		return vouched();
	case M_ENDED:
		return ended_create();
	case D_SOURCE:
		return segment(t);
	case M_WRITER:
		return connection(t, SOCK_SEQPACKET);
	default:
		return connection(t, SOCK_STREAM);
	}
}

static int
descriptor(struct talk *t, unsigned int kind, unsigned int type,
    unsigned int role)
{
	switch (kind) {
	case FD_NONE:
		return -1;
	case FD_FILE:
		return memory_of_input(t, false);
	case FD_SEALED:
		return memory_of_input(t, true);
	case FD_NULL:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case FD_FOLDER:
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case FD_SOCKET:
		return connection(t, SOCK_STREAM);
	case FD_LAST:
		return t->last_fd == -1 ? -1 : fcntl(t->last_fd,
		    F_DUPFD_CLOEXEC, 0);
	default:
		return right_one(t, type, role);
	}
}

/* --- messages ------------------------------------------------------------- */

/* The ${n}th type that ${peer} may send to the process; NMSGS: none. */
static unsigned int
type_of(const struct talk *t, enum role_id peer, unsigned int n)
{
	unsigned int types[NMSGS], i, found = 0;

	for (i = 0; i < NMSGS; i++)
		if (channel_row_goes(&msg_rows[i], peer, t->r->role->id))
			types[found++] = i;
	return found == 0 ? NMSGS : types[n % found];
}

static void
fill(struct fuzz_input *in, unsigned char *to, size_t max, size_t n,
    const unsigned char *from, size_t nfrom)
{
	size_t i;

	memset(to, 0, max);
	if (from != NULL)
		memcpy(to, from, nfrom < max ? nfrom : max);
	for (i = 0; i < n; i++) {
		if (i < max)
			to[i] ^= in->p[i];
	}
	in->p += n;
	in->left -= n;
}

/* Does a TLS server sign this: the hash of a handshake with its context string
 * (RFC 8446 4.4.3), or randoms and a named curve with a point (RFC 8422 5.4)? */
static bool
is_of_server(const unsigned char *p, size_t len)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";

	if (len == 64 + sizeof(context) + 32 ||
	    len == 64 + sizeof(context) + 48)
		if (memcmp(p + 64, context, sizeof(context)) == 0)
			return strspn((const char *)p, " ") == 64;
	return len > 68 && p[64] == 3 && len == 68u + p[67];
}

static void
message(struct talk *t)
{
	unsigned int link = fuzz_octet(&t->in) % t->r->nlinks, flags, type;
	const struct channel_row *row;
	unsigned char *p = t->packet.octets;
	size_t at, n, max;
	uint32_t head[2], role;
	int fd;

	t->sender = t->r->links[link].role;
	t->senders |= ROLE_BIT(t->sender);
	type = type_of(t, t->sender, fuzz_octet(&t->in));
	flags = fuzz_octet(&t->in);
	if (type == NMSGS || t->r->links[link].fd == -1)
		return;
	row = &msg_rows[type];
	at = sizeof(head) + padded(row->base_octets);
	n = fuzz_octet(&t->in);
	fill(&t->in, p + sizeof(head), padded(row->base_octets),
	    n < t->in.left ? n : t->in.left,
	    (flags & 1) != 0 ? t->base : NULL, t->nbase);
	n = row->max_entries > 0 ? number(&t->in) : 0;
	max = row->max_entries * row->entry_octets;
	max = max < sizeof(t->packet) - at ? max : sizeof(t->packet) - at;
	fill(&t->in, p + at, max, n,
	    (flags & 2) != 0 ? t->entries : NULL, t->nentries);
	head[0] = type;
	head[1] = n == 0 ? 0 : (uint32_t)((n - 1) / row->entry_octets + 1);
	head[1] = head[1] < row->max_entries ? head[1] : row->max_entries;
	memcpy(p, head, sizeof(head));
	memcpy(&role, p + sizeof(head), sizeof(role));
	fd = row->has_fd ? descriptor(t, flags >> 2 & 7, type, role) : -1;
	t->nforms += type == K_SIGN && is_of_server(p + at, head[1]);
	fuzz_send(t->r->links[link].fd, p, at + head[1] * row->entry_octets,
	    fd);
	if (fd != -1)
		close(fd);
	role_pass(t->r);
}

/* --- answers -------------------------------------------------------------- */

/* It is one that the process may send, whole. */
static void
check_answer(struct talk *t, enum role_id peer, size_t len, bool has_fd)
{
	const struct channel_row *row;
	struct msg_signed answer;
	uint32_t head[2];

	FUZZ_HOLDS(len >= sizeof(head));
	memcpy(head, t->packet.octets, sizeof(head));
	FUZZ_HOLDS(head[0] < NMSGS);
	row = &msg_rows[head[0]];
	FUZZ_HOLDS(channel_row_goes(row, t->r->role->id, peer));
	FUZZ_HOLDS(head[1] <= row->max_entries && has_fd == row->has_fd);
	FUZZ_HOLDS(len == sizeof(head) + padded(row->base_octets) +
	    head[1] * row->entry_octets);
	if (head[0] == S_FILE)
		FUZZ_HOLDS((fcntl(t->last_fd, F_GETFL) & O_ACCMODE) ==
		    O_WRONLY);
	if (head[0] != K_SIGNED)
		return;
	memcpy(&answer, t->packet.octets + sizeof(head), sizeof(answer));
	t->nsigned += answer.status == 0;
	FUZZ_HOLDS(t->nsigned <= t->nforms);
}

static void
remember(struct talk *t, size_t len)
{
	const struct channel_row *row;
	uint32_t type;
	size_t at;

	memcpy(&type, t->packet.octets, sizeof(type));
	row = &msg_rows[type];
	at = ALIGN + padded(row->base_octets);
	t->nbase = row->base_octets < sizeof(t->base) ? row->base_octets :
	    sizeof(t->base);
	memcpy(t->base, t->packet.octets + ALIGN, t->nbase);
	t->nentries = len - at < sizeof(t->entries) ? len - at :
	    sizeof(t->entries);
	memcpy(t->entries, t->packet.octets + at, t->nentries);
	/* a job's number, for its result */
	if (row->base_octets == sizeof(struct msg_empty) && t->nentries > 0) {
		t->nbase = t->nentries;
		memcpy(t->base, t->entries, t->nbase);
	}
}

/* Return whether there was one. */
static bool
answer(struct talk *t, unsigned int link)
{
	union {
		struct cmsghdr align;
		char octets[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = t->packet.octets,
		.iov_len = sizeof(t->packet) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.octets,
		.msg_controllen = sizeof(control.octets) };
	struct cmsghdr *c;
	ssize_t n;

	n = recvmsg(t->r->links[link].fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return false;
	c = CMSG_FIRSTHDR(&m);
	if (c != NULL) {
		if (t->last_fd != -1)
			close(t->last_fd);
		memcpy(&t->last_fd, CMSG_DATA(c), sizeof(t->last_fd));
	}
	check_answer(t, t->r->links[link].role, (size_t)n, c != NULL);
	remember(t, (size_t)n);
	return true;
}

/* --- the input ------------------------------------------------------------ */

static void
file(struct talk *t)
{
	bool is_segment = fuzz_octet(&t->in) & 1;
	char name[NAME_LEN];
	unsigned char *octets;
	size_t len, n;
	const char *s = fuzz_line(&t->in, &len);

	if (len == 0 || len >= sizeof(name) || *s == '/' ||
	    memchr(s, '\0', len) != NULL || memmem(s, len, "..", 2) != NULL)
		return;
	memcpy(name, s, len);
	name[len] = '\0';
	if (is_segment) {
		octets = folder_segment(&t->in, &n);
		folder_file(name, octets, n);
		free(octets);
		return;
	}
	n = number(&t->in);
	folder_file(name, t->in.p, n);
	t->in.p += n;
	t->in.left -= n;
}

static void
files(void *closure)
{
	struct talk *t = closure;
	char queue[FUZZ_PATH];

	snprintf(queue, sizeof(queue), "%s/queue",
	    t->r->child.settings->spool);
	while (t->in.left > 0 && (*t->in.p == 'f' || *t->in.p == 'd'))
		if (fuzz_octet(&t->in) == 'f')
			file(t);
		else
			folder_row(queue, &t->in);
}

static void
step(struct talk *t, uint8_t op)
{
	unsigned int link, n;

	switch (op) {
	case 'm':
		message(t);
		break;
	case 'p':
		role_pass(t->r);
		break;
	case 'w':
		n = fuzz_octet(&t->in);
		role_wait(t->r, n * n);
		break;
	case 'r':
		link = fuzz_octet(&t->in) % t->r->nlinks;
		while (t->r->links[link].fd != -1 && answer(t, link))
			continue;
		break;
	case 'c':
		link = fuzz_octet(&t->in) % t->r->nlinks;
		if (t->r->links[link].fd != -1)
			close(t->r->links[link].fd);
		t->r->links[link].fd = -1;
		role_pass(t->r);
		break;
	default:
		break;
	}
}

/* Nobody ends a process but the master; and who gives it all its work, which it
 * could not do any more.  What spoold says is heard by a thread of the worker: others
 * may have sent something by the time it ends. */
static bool
may_end(const struct talk *t)
{
	if (t->r->child.is_draining || t->sender == ROLE_MASTER)
		return true;
	return t->r->role->id == ROLE_WORKER ?
	    (t->senders & ROLE_BIT(ROLE_SPOOLD)) != 0 :
	    (ROLE_BIT(t->r->role->id) & ROLES_DELIVERING) != 0 &&
	    t->sender == ROLE_QUEUE;
}

static void
talk(void *closure, struct fuzz_role *r)
{
	struct talk *t = closure;
	unsigned int i;

	role_pass(r);
	FUZZ_HOLDS(!r->is_over);
	while (t->in.left > 0 && !r->is_over)
		step(t, fuzz_octet(&t->in));
	FUZZ_HOLDS(!r->is_over || may_end(t));
	for (i = 0; i < r->nlinks; i++)
		while (r->links[i].fd != -1 && answer(t, i))
			continue;
}

void
fuzz_role(const uint8_t *data, size_t len)
{
	static const enum role_id roles[] = { ROLE_KEYD, ROLE_QUEUE,
		ROLE_DELIVER, ROLE_SPOOLD, ROLE_LOGGER, ROLE_AUTHD,
		ROLE_WORKER, ROLE_RELAY, ROLE_RESOLVER, ROLE_PIPE,
		ROLE_STS };
	static struct talk t;
	struct fuzz_role r = { .files = files, .talk = talk,
		.closure = &t };
	enum role_id id;

	t.in = (struct fuzz_input){ data, len };
	t.r = &r;
	t.last_fd = -1;
	t.nconns = t.nforms = t.nsigned = 0;
	t.nbase = t.nentries = 0;
	FUZZ_HOLDS(simtls_setup() == 0);
	/* each role but the master, which has all the others */
	_Static_assert(sizeof(roles) / sizeof(roles[0]) == NROLES - 1,
	    "a role that is not run");
	id = roles[fuzz_octet(&t.in) % (sizeof(roles) / sizeof(roles[0]))];
	t.sender = id;		/* nobody */
	t.senders = 0;
	role_run(&r, id);
	while (t.nconns > 0)
		close(t.conns[--t.nconns]);
	if (t.last_fd != -1)
		close(t.last_fd);
}

/* Messages between processes over a SOCK_SEQPACKET socketpair.
 * Owns: the layout of a packet, its validation against the row, descriptors in
 * transit, the bounded queue of messages that the peer has not read yet.
 * Knows nothing of what a message means.
 *
 * A packet: struct wire_head; the base struct; zeros up to a multiple of
 * WIRE_ALIGN; the entries.  At most one descriptor in SCM_RIGHTS. */

#include "core/process/channel.h"

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/passed.h"
#include "core/util/fileio.h"

#define WIRE_ALIGN	8	/* base and entries start at multiples of this */

struct wire_head {
	uint32_t	type;
	uint32_t	nentries;
};

_Static_assert(CHANNEL_BASE_AT == sizeof(struct wire_head), "see channel.h");

struct kept {
	STAILQ_ENTRY(kept)	 link;
	int			 fd;	/* owned; -1: none */
	size_t			 len;
	unsigned char		 packet[];
};

struct channel {
	int				 fd;
	const struct channel_row	*rows;
	size_t				 nrows;
	unsigned int			 self;
	unsigned int			 peer;
	STAILQ_HEAD(, kept)		 queue;
	size_t				 queued;
	size_t				 queued_octets;
	size_t				 packet_max;	/* octets of the largest that may come */
	unsigned char			*packet;	/* the last one received */
	size_t				 packet_len;
	bool				 is_short;	/* see channel_is_short() */
};

static size_t
base_padded(const struct channel_row *row)
{
	return (row->base_octets + WIRE_ALIGN - 1) / WIRE_ALIGN * WIRE_ALIGN;
}

static size_t
packet_octets(const struct channel_row *row, unsigned int nentries)
{
	return sizeof(struct wire_head) + base_padded(row) +
	    row->entry_octets * nentries;
}

size_t
channel_packet(const struct channel_row *row, unsigned int type,
    const void *base, void *packet_r, size_t max)
{
	const struct wire_head head = { .type = type };
	size_t len = packet_octets(row, 0);

	if (len > max)
		return 0;
	memset(packet_r, 0, len);
	memcpy(packet_r, &head, sizeof(head));
	memcpy((unsigned char *)packet_r + CHANNEL_BASE_AT, base,
	    row->base_octets);
	return len;
}

int
channel_pair(int fds_r[2])
{
	return socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_r);
}

bool
channel_row_goes(const struct channel_row *row, unsigned int from, unsigned int to)
{
	return (row->senders & (1u << from)) != 0 &&
	    (row->receivers & (1u << to)) != 0;
}

struct channel *
channel_open(int fd, const struct channel_row *rows, size_t nrows,
    unsigned int self, unsigned int peer)
{
	struct channel *c;
	size_t i, octets;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->packet_max = sizeof(struct wire_head);
	for (i = 0; i < nrows; i++) {
		if (!channel_row_goes(&rows[i], peer, self))
			continue;
		octets = packet_octets(&rows[i], rows[i].max_entries);
		if (octets > c->packet_max)
			c->packet_max = octets;
	}
	if (c->packet_max > CHANNEL_MSG_MAX) {
		errno = EMSGSIZE;
		goto err1;
	}
	if ((c->packet = malloc(c->packet_max)) == NULL)
		goto err1;
	c->fd = fd;
	c->rows = rows;
	c->nrows = nrows;
	c->self = self;
	c->peer = peer;
	STAILQ_INIT(&c->queue);
	return c;
err1:
	free(c);
	return NULL;
}

static void
queue_pop(struct channel *c)
{
	struct kept *k = STAILQ_FIRST(&c->queue);

	STAILQ_REMOVE_HEAD(&c->queue, link);
	c->queued--;
	c->queued_octets -= k->len;
	(void)fileio_close_passed(k->fd);
	explicit_bzero(k->packet, k->len);
	free(k);
}

int
channel_fd(const struct channel *c)
{
	return c->fd;
}

unsigned int
channel_peer(const struct channel *c)
{
	return c->peer;
}

bool
channel_wants_write(const struct channel *c)
{
	return !STAILQ_EMPTY(&c->queue);
}

/* Return 0, or -1: EAGAIN (not now), EPIPE (never). */
static int
send_packet(struct channel *c, struct iovec *iov, size_t niov, int fd)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = niov };
	struct cmsghdr *cm;

	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	c->is_short = false;
	while (sendmsg(c->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == -1) {
		switch (errno) {
		case EINTR:
			continue;
		case ENOBUFS:
		case ENOMEM:
		case ETOOMANYREFS:	/* too many descriptors in transit */
			c->is_short = true;
			/* FALLTHROUGH */
		case EAGAIN:
			errno = EAGAIN;
			return -1;
		default:
			errno = EPIPE;
			return -1;
		}
	}
	return 0;
}

bool
channel_is_short(const struct channel *c)
{
	return c->is_short && channel_wants_write(c);
}

int
channel_flush(struct channel *c)
{
	struct kept *k;
	struct iovec iov;

	while ((k = STAILQ_FIRST(&c->queue)) != NULL) {
		iov.iov_base = k->packet;
		iov.iov_len = k->len;
		if (send_packet(c, &iov, 1, k->fd) == -1)
			return -1;
		queue_pop(c);
	}
	return 0;
}

static int
keep(struct channel *c, const struct iovec *iov, size_t niov, int fd)
{
	struct kept *k;
	size_t i, len = 0;

	for (i = 0; i < niov; i++)
		len += iov[i].iov_len;
	if (c->queued >= CHANNEL_QUEUE_MAX ||
	    c->queued_octets + len > CHANNEL_QUEUE_OCTETS ||
	    (k = malloc(sizeof(*k) + len)) == NULL) {
		errno = ENOBUFS;
		return -1;
	}
	k->fd = fd;
	k->len = 0;
	for (i = 0; i < niov; i++) {
		if (iov[i].iov_len == 0)
			continue;
		memcpy(k->packet + k->len, iov[i].iov_base, iov[i].iov_len);
		k->len += iov[i].iov_len;
	}
	STAILQ_INSERT_TAIL(&c->queue, k, link);
	c->queued++;
	c->queued_octets += len;
	return 0;
}

static void
iov_set(struct iovec *iov, const void *base, size_t len)
{
	/* sendmsg(2) reads only, but struct iovec has no const */
	memcpy(&iov->iov_base, &base, sizeof(base));
	iov->iov_len = len;
}

int
channel_send(struct channel *c, unsigned int type, const void *base,
    const void *entries, unsigned int nentries, int fd)
{
	static const unsigned char zeros[WIRE_ALIGN];
	const struct channel_row *row;
	struct wire_head head = { .type = type, .nentries = nentries };
	struct iovec iov[4];

	if (type >= c->nrows) {
		errno = EINVAL;
		return -1;
	}
	row = &c->rows[type];
	if (!channel_row_goes(row, c->self, c->peer) || nentries > row->max_entries ||
	    row->has_fd != (fd != -1) || (base == NULL && row->base_octets) ||
	    (entries == NULL && nentries > 0)) {
		errno = EINVAL;
		return -1;
	}
	iov_set(&iov[0], &head, sizeof(head));
	iov_set(&iov[1], base, row->base_octets);
	iov_set(&iov[2], zeros, base_padded(row) - row->base_octets);
	iov_set(&iov[3], entries, row->entry_octets * nentries);

	if (channel_flush(c) == 0 && send_packet(c, iov, 4, fd) == 0) {
		(void)fileio_close_passed(fd);
		return 0;
	}
	if (errno != EAGAIN)
		return -1;
	return keep(c, iov, 4, fd);
}

/* Check a packet of ${len} octets against its row and point *msg_r into it. */
static int
parse_packet(const struct channel *c, size_t len, struct channel_msg *msg_r)
{
	const struct channel_row *row;
	struct wire_head head;

	if (len < sizeof(head))
		return -1;
	memcpy(&head, c->packet, sizeof(head));
	if (head.type >= c->nrows)
		return -1;
	row = &c->rows[head.type];
	if (!channel_row_goes(row, c->peer, c->self) ||
	    head.nentries > row->max_entries ||
	    len != packet_octets(row, head.nentries))
		return -1;
	msg_r->type = head.type;
	msg_r->base = c->packet + sizeof(head);
	/* also when there are none: memcpy(3) of no octets from NULL is not
	 * defined */
	msg_r->entries = c->packet + sizeof(head) + base_padded(row);
	msg_r->nentries = head.nentries;
	return 0;
}

/* Whether the errno ${e} means that the peer of a socket is gone. */
static bool
peer_is_gone(int e)
{
	return e == ECONNRESET || e == EPIPE || e == ENOTCONN || e == EBADF;
}

int
channel_recv(struct channel *c, struct channel_msg *msg_r)
{
	union passed_control control;
	struct iovec iov = { .iov_base = c->packet, .iov_len = c->packet_max };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf) };
	unsigned int nfds;
	ssize_t len;
	int fd;

	memset(msg_r, 0, sizeof(*msg_r));
	msg_r->fd = -1;
	/* When the peer ends with messages unread, the kernel reports
	 * ECONNRESET once.  What the peer had sent can be read after that. */
	do
		len = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (len == -1 && (errno == EINTR || errno == ECONNRESET));
	if (len == -1)
		return peer_is_gone(errno) ? 0 : -1;
	c->packet_len = (size_t)len;

	nfds = passed_take(&mh, &fd);
	if (len == 0 && nfds == 0)
		return 0;
	if ((mh.msg_flags & MSG_TRUNC) != 0 ||
	    parse_packet(c, (size_t)len, msg_r) == -1)
		goto err1;
	if (c->rows[msg_r->type].has_fd && nfds == 0 &&
	    (mh.msg_flags & MSG_CTRUNC) != 0) {
		errno = EMFILE;
		return -1;
	}
	if ((mh.msg_flags & MSG_CTRUNC) != 0 ||
	    nfds != (c->rows[msg_r->type].has_fd ? 1 : 0))
		goto err1;
	msg_r->fd = fd;
	return 1;
err1:
	(void)fileio_close_passed(fd);
	errno = EPROTO;
	return -1;
}

void
channel_shut(struct channel *c)
{
	(void)shutdown(c->fd, SHUT_RD);
}

/* Read the packets that are left, and close the descriptors in them.  Else the
 * kernel would close these, and would wait for a socket that lingers. */
static void
discard_unread(struct channel *c)
{
	struct channel_msg msg;
	int rc;

	channel_shut(c);
	while ((rc = channel_recv(c, &msg)) == 1 ||
	    (rc == -1 && (errno == EPROTO || errno == EMFILE))) {
		(void)fileio_close_passed(msg.fd);
		explicit_bzero(c->packet, c->packet_len);
	}
}

void
channel_free(struct channel *c)
{
	int saved = errno;

	if (c == NULL)
		return;
	while (!STAILQ_EMPTY(&c->queue))
		queue_pop(c);
	discard_unread(c);
	fileio_close(c->fd);
	free(c->packet);
	free(c);
	errno = saved;
}

void
channel_wipe(struct channel *c)
{
	explicit_bzero(c->packet, c->packet_len);
	c->packet_len = 0;
}

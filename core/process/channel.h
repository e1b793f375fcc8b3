/* Messages between the processes of the server: a SOCK_SEQPACKET socketpair,
 * one row per message, a descriptor may travel with it.
 * Owns: framing, validation from the row, descriptor passing, the bounded
 * queue of messages that the peer has not read yet.
 * A message is a header (type, count), a base struct and ${count} entries; the
 * receiver gets it only if type, sizes, count, sender, and the presence of a
 * descriptor fit the row.  The peer is hostile until parsed. */

#ifndef CORE_PROCESS_CHANNEL_H
#define CORE_PROCESS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel_row {
	const char	*name;
	unsigned int	 senders;	/* 1 << role, or'd */
	unsigned int	 receivers;
	size_t		 base_octets;
	size_t		 entry_octets;	/* 0: no entries */
	unsigned int	 max_entries;
	bool		 has_fd;
	bool		 is_secret;	/* to be overwritten when it has been read */
};

/* channel_row_goes(row, from, to): Whether ${from} may send it to ${to}. */
bool channel_row_goes(const struct channel_row *row, unsigned int from,
    unsigned int to);

struct channel;

struct channel_msg {
	unsigned int	 type;		/* row number */
	const void	*base;		/* aligned for any type; valid until the next recv */
	const void	*entries;	/* never NULL */
	unsigned int	 nentries;
	int		 fd;		/* -1, or the receiver's to close */
};

#define CHANNEL_MSG_MAX		65536	/* octets of one message */
#define CHANNEL_QUEUE_MAX	4096	/* messages kept for a peer that does not read */
#define CHANNEL_QUEUE_OCTETS	(8 * 1024 * 1024) /* and octets of them */

/* channel_pair(fds): Two connected non-blocking close-on-exec sockets.
 * Return 0 or -1. */
int channel_pair(int fds_r[2]);

/* channel_open(fd, rows, nrows, self, peer): ${self} and ${peer} are role
 * numbers (bit positions of the rows' masks).  takes ${fd}.  NULL: ENOMEM. */
struct channel *channel_open(int fd, const struct channel_row *rows,
    size_t nrows, unsigned int self, unsigned int peer);
void channel_free(struct channel *c);		/* closes, also descriptors that
						 * were not read; NULL does
						 * nothing */
int channel_fd(const struct channel *c);
unsigned int channel_peer(const struct channel *c);

/* channel_send(c, type, base, entries, nentries, fd): Send, or keep it until
 * the peer reads.  takes ${fd} (-1: none) when it succeeds.  Return 0; -1 with
 * errno: ENOBUFS (queue full), EPIPE (peer gone), EINVAL (does not fit the
 * row). */
int channel_send(struct channel *c, unsigned int type, const void *base,
    const void *entries, unsigned int nentries, int fd);

/* channel_packet(row, type, base, packet_r, max): Write the packet of a message
 * without entries and descriptor to ${packet_r}, to be sent with send(2) where
 * channel_send() cannot be called.  ${base} is at CHANNEL_BASE_AT in it.
 * Return the number of octets, or 0: they are more than ${max}. */
#define CHANNEL_BASE_AT	8
size_t channel_packet(const struct channel_row *row, unsigned int type,
    const void *base, void *packet_r, size_t max);

/* channel_wants_write(c): something is kept; channel_flush(c): try again on
 * E_WRITE.  Return 0, -1 with errno EAGAIN (still kept) or EPIPE. */
bool channel_wants_write(const struct channel *c);
int channel_flush(struct channel *c);

/* channel_is_short(c): Messages wait because the kernel has no memory, or
 * allows no more descriptors in transit.  poll(2) calls the socket writable all
 * the same, so the caller has to try again after some time. */
bool channel_is_short(const struct channel *c);

/* channel_recv(c, &msg_r): Return 1 with a message, 0 when the peer is gone,
 * -1 with errno: EAGAIN; EPROTO: a message was thrown away because it did not
 * fit its row (call again); EMFILE: a good message whose descriptor was lost
 * because this process is out of them: *msg_r is filled in, fd -1 (answer it
 * if the sender waits for an answer, and call again). */
int channel_recv(struct channel *c, struct channel_msg *msg_r);

/* channel_shut(c): From now on the peer can send nothing.  What it has sent
 * before can still be read; after that channel_recv() returns 0. */
void channel_shut(struct channel *c);

/* channel_wipe(c): Overwrite the message that channel_recv() gave last, which
 * held a secret.  Messages in channel_send()'s queue are always wiped after
 * they have been sent. */
void channel_wipe(struct channel *c);

#endif

/* mailmilld with an attacker who runs code in one of its processes: the objects
 * of mailmilld, and tricks.
 *
 * Each process does its work as it always does, until it gets the signal
 * SIGRTMIN twice (sigqueue(3)): then it plays the trick of trick.def whose number
 * came with the first, with the number that came with the second.  By then it has told M_READY, so it is
 * bound by everything that binds its role.  The test knows what an attacker
 * would have to guess (segments, process ids), and passes it as that number.
 *
 * The linker puts functions of this folder between the objects and child_run(),
 * channel_open(), channel_free(), channel_send(), channel_recv() and
 * spool_end_encode() (--wrap). */

#ifndef TEST_HOSTILE_HOSTILE_H
#define TEST_HOSTILE_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/role/child.h"

#define HOSTILE_LINKS	64
#define HOSTILE_FDS	5	/* of different kinds, made before the process is bound */
#define HOSTILE_KEPT	4096	/* handles, jobs */

/* A channel of the process. */
struct hostile_link {
	struct channel	*ch;
	unsigned int	 peer;		/* enum role_id */
};

/* The last honest message of a type: what a forged one is made of. */
struct hostile_sent {
	bool		 is_there;
	unsigned int	 nentries;
	size_t		 len;		/* octets of entries */
	unsigned char	 base[1024];
	unsigned char	 entries[1024];
};

struct hostile {
	struct child		*child;
	struct hostile_link	 links[HOSTILE_LINKS];
	unsigned int		 nlinks;
	struct hostile_sent	 sent[NMSGS];
	Event			*timer;		/* of the next turn */
	int			 fds[HOSTILE_FDS];

	/* a worker's sessions; a deliver's jobs */
	uint64_t		 kept[HOSTILE_KEPT];
	unsigned int		 nkept;

	struct ended		*ended;		/* a worker's, once more */
	bool			 is_silent;	/* it keeps new connections and says nothing */
	bool			 is_hoarder;	/* it counts them as taken */
	bool			 is_liar;	/* it reports them as ended */
	bool			 is_forger;	/* its signatures are wrong */
};
extern struct hostile hostile;

/* A trick: called in each turn of the loop until it returns true.  ${turn} counts
 * from 0. */
#define TRICK(name, what) bool trick_##name(uint64_t arg, unsigned int turn);
#include "test/hostile/trick.def"
#undef TRICK

/* hostile_packet(type, base, entries, n, buf): The octets of a message that fits
 * its row.  Return their number. */
#define HOSTILE_PACKET	(CHANNEL_MSG_MAX + 4096)
size_t hostile_packet(unsigned int type, const void *base, const void *entries,
    unsigned int n, unsigned char *buf);

/* hostile_write(link, buf, len, fds, nfds): Any octets as one message.  Return 0;
 * -1 with errno: EAGAIN, the peer reads too slowly. */
int hostile_write(const struct hostile_link *link, const void *buf, size_t len,
    const int *fds, unsigned int nfds);

/* hostile_link_to(peer): The first channel to a process of that role, or NULL. */
const struct hostile_link *hostile_link_to(unsigned int peer);

/* hostile_send(peer, type, base, entries, n): A message to the first process of
 * that role, when it can take it; waits for that a little.  Return 0 or -1. */
int hostile_send(unsigned int peer, unsigned int type, const void *base,
    const void *entries, unsigned int n);

/* hostile_has(v): Is it a session, or a job, that this process was given? */
bool hostile_has(uint64_t v);

/* hostile_say(what, n): A line in the log for the test. */
void hostile_say(const char *what, uint64_t n);

#endif

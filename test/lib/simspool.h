/* A spool that keeps messages in memory, commits them when the virtual clock
 * says so, and fails when a test asks for it.
 * Owns: its messages, the check that each call keeps the contract of
 * core/spool.h, the count of what is still open.
 * Knows nothing of sessions but their handles: it calls their owner with the
 * handle, and the owner may find that the session has ended. */

#ifndef TEST_LIB_SIMSPOOL_H
#define TEST_LIB_SIMSPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spool.h"
#include "test/lib/simclock.h"
#include "test/lib/simrand.h"

enum simspool_state {
	SIMSPOOL_OPEN,		/* begun, neither committed nor aborted */
	SIMSPOOL_COMMITTING,	/* taken, not yet decided */
	SIMSPOOL_SAFE,		/* durable */
	SIMSPOOL_FAILED		/* the commit failed: no trace on disk */
};

/* What simspool can do wrong on purpose, to show that a test notices. */
enum simspool_mutation {
	SIMSPOOL_HONEST,
	SIMSPOOL_EARLY,		/* says done before the commit */
	SIMSPOOL_LYING,		/* says done though the commit failed */
	SIMSPOOL_MUTE,		/* never says done */
	SIMSPOOL_CORRUPT	/* changes an octet of the body */
};

struct spool_msg {
	struct spool_msg	*next;
	struct simspool		*spool;
	enum simspool_state	 state;
	uint64_t		 handle;
	uint64_t		 number;
	uint64_t		 ticket;	/* of its commit */
	char			 id[SPOOL_ID_MAX + 1];
	char			*body;
	size_t			 len, size;
	size_t			 nbuffered;	/* of len, counted in spool */
	/* the envelope, copied by commit() */
	char			*sender;
	char			**rcpts;
	size_t			 nrcpts;
	char			*client, *helo, *session;
	struct timeval		 received;
	unsigned int		 flags;
	char			*said;		/* what parameters have said: simsaid.h */
	uint64_t		 safe_us;	/* when it became durable */
	bool			 is_checked;	/* for the test's own use */
};

struct simspool {
	struct simclock		*clock;
	struct spool_msg	*msgs;		/* newest first */
	uint64_t		 number;
	size_t			 nopen, ncommitting, nsafe, nfailed;
	size_t			 buffered;	/* octets open or committing */

	/* the failures that a test has asked for; 0: none */
	int			 begin_errno;
	int			 append_errno;
	size_t			 append_after;	/* octets that still fit */
	int			 refuse_errno;	/* commit() returns -1 */
	int			 commit_errno;	/* the completion says so */
	uint64_t		 commit_delay_us;
	bool			 is_held;	/* decide on simspool_release() */
	bool			 is_inside;	/* decide inside commit() */
	size_t			 room;		/* bound on buffered */
	uint64_t		 stream_us;	/* when full, to disk after so long; 0: never */
	/* what the completion says of these recipients alone */
	struct { char addr[128], text[128]; int code; } of_rcpt[4];
	size_t			 nof_rcpt;
	struct simrand		*rand;		/* faults by chance: */
	unsigned int		 begin_permille, append_permille,
				 refuse_permille, commit_permille;
	uint64_t		 delay_max_us;
	enum simspool_mutation	 mutation;

	/* the session that waits for room */
	uint64_t		 waiting[64];
	size_t			 nwaiting;
	bool			 is_streaming;

	/* done(arg, handle, ticket, error): the commit is decided;
	 * room_again(arg, handle): look again; violation: contract broken */
	void			(*done)(void *arg, uint64_t handle,
				    uint64_t ticket, int error);
	void			(*room_again)(void *arg, uint64_t handle);
	void			(*violation)(void *arg, const char *text);
	void			*arg;
};

extern const struct spool_ops simspool_ops;

void simspool_init(struct simspool *s, struct simclock *c);

/* simspool_clear(s): Forget all messages; simspool_init() again before use. */
void simspool_clear(struct simspool *s);

/* simspool_release(s): Decide what is_held has kept waiting, and hold no
 * more. */
void simspool_release(struct simspool *s);

/* simspool_set_room(s, octets): Change the bound; wakes the sessions that
 * wait for room. */
void simspool_set_room(struct simspool *s, size_t octets);

/* simspool_find(s, id, len): The message of that id, or NULL. */
struct spool_msg *simspool_find(const struct simspool *s, const char *id,
    size_t len);

#endif

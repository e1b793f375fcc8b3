/* What the files of the ledger share: ledger.c counts sessions, ledger_again.c
 * bounds how often the client of one is asked for again. */

#ifndef CMD_MAILMILLD_MASTER_STATE_LEDGER_INT_H
#define CMD_MAILMILLD_MASTER_STATE_LEDGER_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/role/vouch.h"
#include "core/util/bucket.h"

/* The client that a session is counted for. */
struct ledger_key {
	unsigned char	network[16];	/* addr_network() */
	unsigned char	kind;		/* enum ledger_kind */
};

struct session {
	uint32_t	 number;	/* the upper half of its handle, never 0 */
	union {
		uint32_t next_free;	/* not in use */
		struct {		/* in use */
			bool	 is_asked;	/* book_asked() */
			bool	 may_name;	/* book_may_name() */
			uint16_t peer;		/* once is_asked: index in its
						 * book's peers; or BOOK_PEERS */
		};
	};
	struct part	*listener;
	struct part	*service;
	struct part	*client;	/* NULL: not in use */
};

/* A client or a proxy that has connected, and that has named others. */
struct peer {
	struct ledger_key key;
	unsigned int	  n;		/* sessions */
	bool		  is_used;	/* has ever asked again */
	struct bucket	  again;
};

/* Sessions are in blocks that do not move: there is never more memory than for
 * one block that is not used, nor a copy of all of them. */
struct book {
	struct ledger	*ledger;
	struct vouch	*vouch;		/* NULL: they are not shown */
	struct session	**blocks;
	uint32_t	 size;		/* sessions in all blocks */
	uint32_t	 free;		/* NONE: all in use */
	unsigned int	 n;
	unsigned int	 max;
	unsigned int	 round;		/* the last one in which it was picked */
	unsigned int	 picked;	/* how often in that one */
	struct peer	*peers;		/* BOOK_PEERS, and one for all others;
					 * NULL: not needed yet */
};

/* ledger.c
 * book_find(b, handle): The session of ${handle}; NULL with errno ENOENT.
 * ledger_key_of(s): Whose session it is. */
struct session *book_find(struct book *b, uint64_t handle);
const struct ledger_key *ledger_key_of(const struct session *s);

#endif

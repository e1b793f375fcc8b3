/* A transaction: what MAIL and RCPT have said, and its message.
 * Owns: struct esmtp_txn, the recipients, the memory that they take, the replies
 * of LMTP that are left.
 * Knows nothing of commands. */

#ifndef PROTO_SERVER_ESMTP_TXN_H
#define PROTO_SERVER_ESMTP_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lim.h"
#include "proto/esmtp_factory.h"
#include "proto/parse/esmtp_data.h"
#include "proto/parse/esmtp_header.h"
#include "proto/parse/esmtp_line.h"
#include "proto/server/esmtp_host_struct.h"

struct esmtp_lmtp;
struct esmtp_submit;
struct esmtp_step;

/* The recipients accepted so far: one block of text, and 8 octets for each. */
struct esmtp_rcpts {
	char		*text;		/* each with its NUL, one behind the other */
	uint32_t	*at;		/* where each begins, in the order of RCPT */
	uint32_t	*sorted;	/* the same, by domain and address in any case: finds a repeated one, whatever a client chooses */
	uint32_t	*said;		/* of each, where in the text its parameters are; 0: it has none; NULL: no one has */
	size_t		 n, len;	/* of them; of the text */
	size_t		 ndomains;	/* that they have, each counted once */
	size_t		 text_size, at_size, sorted_size, said_size;
	size_t		*held;		/* the host's sum of what is allocated */
	struct esmtp_client *client;	/* that it counts for, too; NULL: none yet */
};

/* How far the phase for each recipient has come.  Its modules may change the
 * list. */
struct esmtp_each {
	size_t	 at, end;	/* the recipient, and behind the last one */
	char	*rcpt;		/* a copy of it; NULL: none is asked about */
	bool	 is_gone;	/* from the list, and another has its number */
};

/* One mail transaction: from MAIL to the reply after the data. */
struct esmtp_txn {
	struct esmtp_rcpts	 rcpts;
	struct esmtp_each	 each;
	struct spool_msg	*msg;		/* NULL before DATA, and when the spool has taken or lost it */
	uint64_t		 octets;	/* of the message so far */
	int64_t			 started;	/* moment.h */
	int64_t			 data_since;	/* DATA, the first BDAT; when all of it has come, since then */
	struct esmtp_data	 data;
	struct esmtp_header	 header;
	struct esmtp_line	 line;
	int			 failure;	/* reply that must follow the data; -1: none yet */
	unsigned int		 env_flags;	/* SPOOL_ENV_* */
	int			 priority;	/* what MAIL has said, as in struct spool_envelope */
	int64_t			 hold_until;
	int64_t			 deliver_by;
	char			*envid;		/* NULL: not said */
	char			*solicit;	/* NULL: not said */
	char			*fields;	/* that modules have added to the header, each with its CRLF; NULL: none */
	struct esmtp_lmtp	*lmtp;		/* NULL: it is SMTP */
	struct esmtp_submit	*submit;	/* NULL: the header is not looked at */
	unsigned int		 is_in_body : 1; /* octets of the message come */
	unsigned int		 is_chunked : 1; /* by BDAT, and LAST has not come */
	unsigned int		 has_priority : 1; /* MAIL has said one */
	unsigned int		 is_noted : 1;	/* a CR or LF that stood alone is to be logged */
	unsigned int		 is_rcpt_new : 1; /* the last RCPT has added one to the list */
	unsigned int		 is_answering : 1; /* it is over, but replies of LMTP are left to be written */
	char			 id[SPOOL_ID_MAX + 1];
	char			 sender[];	/* "" for the null reverse-path */
};

/* esmtp_txn.c */
struct esmtp_txn *esmtp_txn_new(struct esmtp_host *host,
    const struct mailaddr *sender, const struct timeval *now);
void esmtp_txn_reset(message_construct *mc);
/* esmtp_txn_end(st, mark): The reply that is in st->out from ${mark} on answers the
 * message: the transaction is over; in LMTP, with the replies that are left. */
void esmtp_txn_end(struct esmtp_step *st, size_t mark);
/* esmtp_txn_is_late(t, now): Has the time passed after which it is to go back,
 * and not to be delivered?  RFC 2852 4. */
bool esmtp_txn_is_late(const struct esmtp_txn *t, const struct timeval *now);
/* esmtp_txn_commit(st): Give the message to the spool, which answers later.
 * Return 0, or -1 with errno. */
int esmtp_txn_commit(struct esmtp_step *st);

/* esmtp_rcpts.c
 * esmtp_rcpts_get(r, i): Recipient number ${i}, valid until the next change.
 * esmtp_rcpts_octets(r): The memory they take.
 * esmtp_rcpts_add(r, addr, is_unique): Return 1 when added, 0 when it was there
 * (with ${is_unique}), -1: ENOMEM.
 * esmtp_rcpts_remove(r, addr): Remove the first one that is ${addr} in any case
 * of its letters; return its old number, or -1 with errno ENOENT: there is none,
 * or ENOMEM: it is not known (one that is written as ${addr} is removed in any
 * case).
 * esmtp_rcpts_find(r, addr, first_r, end_r): Those that are ${addr} in any case of
 * its letters: 1, and in the order of addresses they are *${first_r} to before
 * *${end_r}; 0: there is none; -1: ENOMEM.
 * esmtp_rcpts_number(r, i): The number of the one that is at ${i} in the order of
 * addresses.
 * esmtp_rcpts_say(r, notify, orcpt): Note what RCPT has said of the one that was
 * added last; ${orcpt} is "" when it was not said.  0, or -1: ENOMEM.
 * esmtp_rcpts_said(r, i, orcpt_r): Return SPOOL_NOTIFY_* of number ${i}, 0: not
 * said; *orcpt_r is NULL or valid until the next change. */
static inline char *
esmtp_rcpts_get(const struct esmtp_rcpts *r, size_t i)
{
	return r->text + r->at[i];
}

size_t esmtp_rcpts_octets(const struct esmtp_rcpts *r);
int esmtp_rcpts_add(struct esmtp_rcpts *r, const char *addr, bool is_unique);
int esmtp_rcpts_remove(struct esmtp_rcpts *r, const char *addr);
int esmtp_rcpts_find(const struct esmtp_rcpts *r, const char *addr,
    size_t *first_r, size_t *end_r);
size_t esmtp_rcpts_number(const struct esmtp_rcpts *r, size_t i);
void esmtp_rcpts_clear(struct esmtp_rcpts *r);
int esmtp_rcpts_say(struct esmtp_rcpts *r, unsigned int notify,
    const char *orcpt);
unsigned int esmtp_rcpts_said(const struct esmtp_rcpts *r, size_t i,
    const char **orcpt_r);

/* esmtp_client.c
 * esmtp_client_has_room(mc): Does the share of the client allow that the
 * recipients of this transaction become more?  From the first call on they count
 * for it.
 * esmtp_client_leave(host, r): ${r}, which was cleared, counts no more. */
bool esmtp_client_has_room(message_construct *mc);
void esmtp_client_leave(struct esmtp_host *host, struct esmtp_rcpts *r);

/* esmtp_lmtp.c: LMTP.
 * esmtp_lmtp_begin(st, t): ${t} begins: in a session of LMTP, get what it needs.
 * 0, or -1: ENOMEM.
 * esmtp_lmtp_free(l): NULL does nothing.
 * esmtp_lmtp_octets(l): The memory its recipients take; 0 for NULL.
 * esmtp_lmtp_count_for(l, client): From now on it counts for ${client}, as the
 * recipients of the transaction do.  NULL, of either, does nothing.
 * esmtp_lmtp_count(l): How many RCPT were accepted; 0 for NULL.
 * esmtp_lmtp_accept(l, addr): RCPT is accepted: there will be a reply for it
 * behind the message.  NULL does nothing.  -1: ENOMEM.
 * esmtp_lmtp_refuse(st, mark, rcpt): The reply that is in st->out from ${mark} on
 * is for ${rcpt} alone.  1: it is given with those for the others; 0: no RCPT has
 * named ${rcpt}, which a policy has added, and the reply is still there; -1,
 * ENOMEM: it is lost.
 * esmtp_lmtp_is_complete(l): Has each RCPT that was accepted a reply of its own?
 * False for NULL.
 * esmtp_lmtp_answer(st, mark): The reply that is in st->out from ${mark} on
 * answers the message; there may be none where the list is complete.  True: it is for each recipient that has none of its own,
 * esmtp_lmtp_next() writes them, and the transaction ends with the last one.
 * False: it is SMTP, or the session ends.
 * esmtp_lmtp_next(st): Write the next one.  Return whether there are more. */
int esmtp_lmtp_begin(struct esmtp_step *st, struct esmtp_txn *t);
void esmtp_lmtp_free(struct esmtp_lmtp *l);
size_t esmtp_lmtp_octets(const struct esmtp_lmtp *l);
void esmtp_lmtp_count_for(struct esmtp_lmtp *l, struct esmtp_client *client);
size_t esmtp_lmtp_count(const struct esmtp_lmtp *l);
int esmtp_lmtp_accept(struct esmtp_lmtp *l, const char *addr);
int esmtp_lmtp_refuse(struct esmtp_step *st, size_t mark, const char *rcpt);
bool esmtp_lmtp_is_complete(const struct esmtp_lmtp *l);
bool esmtp_lmtp_answer(struct esmtp_step *st, size_t mark);
bool esmtp_lmtp_next(struct esmtp_step *st);

#endif

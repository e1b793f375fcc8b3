/* What the files of the role worker share: the worker, and what each of them
 * does for the others.  Nobody else includes this. */

#ifndef CMD_MAILMILLD_WORKER_WORKER_INT_H
#define CMD_MAILMILLD_WORKER_WORKER_INT_H

#include <sys/tree.h>

#include <netinet/in.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/role/child.h"
#include "core/lim.h"
#include "core/spool/spool_writer.h"
#include "proto/esmtp_factory.h"

#define CLOSED_MAX	1024	/* handles in one M_CLOSED, as in msg.def */

struct wire_exchange;
struct wire_tls;
RB_HEAD(wire_exchanges, wire_exchange);

/* sessions.c */
struct sessions {
	accept_construct	**v;		/* by HANDLE_INDEX() */
	size_t			 size;
	size_t			 n;
	uint64_t		 ended[CLOSED_MAX]; /* handles for M_CLOSED */
	unsigned int		 nended;
};

/* tell.c */
struct tell {
	struct chanev		*queue;		/* NULL: none now */
	struct spool_position	 held;		/* not told yet; segment 0: none */
	Event			*timer;		/* set while it is held */
	uint64_t		 told_ms;	/* when it was last told something */
	bool			 is_lost;	/* its channel was full */
};

struct worker {
	struct child		*child;
	struct esmtp_host	 host;
	struct spool_writer	*spool;
	struct tell		 tell;
	struct sessions		 sessions;
	struct wire_tls		*tls;		/* NULL: there is no TLS */
	struct chanev		*authd;		/* NULL: none now */
	struct wire_exchanges	 exchanges;	/* of AUTH, by id */
	uint64_t		 exchange_ids;	/* so many there were */
	uint32_t		 counter;	/* for session ids */
	pid_t			 pid;		/* likewise */
	char			 scratch[LIM_SCRATCH];
	char			 output[LIM_OUTPUT];
};

/* wire_open(w): Fill in w->host.  */
void wire_open(struct worker *w);

/* wire_spool_callbacks: for spool_writer_open(), closure: the worker. */
extern const struct spool_writer_callbacks wire_spool_callbacks;

/* wire_session(w, ms, fd): Start the session of an accepted socket.  takes
 * ${fd}.  Whatever happens, the master is told when it is over. */
void wire_session(struct worker *w, const struct msg_session *ms, int fd);

/* wire_drain(w, is_reconfig): Have every session end as soon as it may, and
 * with the last one the process. */
void wire_drain(struct worker *w, bool is_reconfig);

/* wire_free(w): Forget every session that is left, without a word to its
 * client. */
void wire_free(struct worker *w);

/* sessions.c: the table of sessions.
 * sessions_find(w, handle): the session, or NULL: it has ended.
 * sessions_add(w, ac): 0, or -1 with errno (ENOMEM, ERANGE; EEXIST: another
 * session has its index).
 * sessions_remove(w, ac): take it out and tell the master that it has ended.
 * sessions_ended(w, handle): tell that of a session that was never added.
 * sessions_flush(w): send what the memory shared with the master had no room
 * for; again at the end of each pass. */
accept_construct *sessions_find(const struct worker *w, uint64_t handle);
int sessions_add(struct worker *w, accept_construct *ac);
void sessions_remove(struct worker *w, const accept_construct *ac);
void sessions_ended(struct worker *w, uint64_t handle);
void sessions_flush(struct worker *w);

/* wire_peer_text(ac, buf): The client's address. */
const char *wire_peer_text(const accept_construct *ac,
    char buf[INET6_ADDRSTRLEN]);

/* host_sender.c: may_send_as() and auth_mechanisms() of esmtp_host.h. */
int wire_may_send_as(void *host, accept_construct *ac, const char *login,
    const struct mailaddr *sender);
const char *const *wire_auth_mechanisms(void *host, accept_construct *ac);

/* host_auth.c: auth_start(), auth_step() and auth_cancel() of esmtp_host.h.
 * wire_auth_connect(w, fd): From now on ask the authd at ${fd}, which it takes;
 * exchanges of another before are lost.  wire_auth_disconnect(w): no more. */
int wire_auth_start(void *host, accept_construct *ac, const char *mech,
    const char *initial, size_t len);
int wire_auth_step(void *host, accept_construct *ac, const char *response,
    size_t len);
void wire_auth_cancel(void *host, accept_construct *ac);
void wire_auth_connect(struct worker *w, int fd);
void wire_auth_disconnect(struct worker *w);

/* tell.c: what the queue process is told of commits.
 * tell_connect(w, fd): from now on tell the queue at ${fd}, which it takes; it
 * is told every position at once.
 * tell_committed(w, position): tell it soon.
 * tell_end_of_pass(w): tell it again what its channel had no room for.
 * tell_close(w): tell what is held back, and close the channel. */
void tell_connect(struct worker *w, int fd);
void tell_committed(struct worker *w, const struct spool_position *position);
void tell_end_of_pass(struct worker *w);
void tell_close(struct worker *w);

#endif

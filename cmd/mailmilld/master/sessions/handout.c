/* From the listening socket to a worker.
 * Owns: accepting, the 421 of what admit.c refuses, the choice of the worker,
 * what happens when descriptors run out.
 * Never reads from a client: the limits are answered in place of the banner,
 * and where TLS or a PROXY header comes first, not at all. */

#include "cmd/mailmilld/master/sessions/sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/state/ledger.h"
#include "cmd/mailmilld/master/state/note.h"
#include "core/lim.h"
#include "core/util/fileio.h"

#define ACCEPTS_PER_PASS	64	/* of one listener */
#define PAUSE_MS		50	/* when descriptors have run out */
#define ROOM_MS			10	/* when all workers are behind */
#define SAY_MS			10000	/* between warnings of that */

/* --- accepting one -------------------------------------------------------- */

static bool
is_unix(const struct listener *l)
{
	return l->wanted.sa.sa_family == AF_UNIX;
}

/* The account at the other end of ${fd}, as it was when that connected.  Return 0
 * or -1. */
static int
account_of(int fd, union addr *peer_r)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return -1;
	addr_local(peer_r, cred.uid);
	return 0;
}

static int
accept_one(const struct listener *l, union addr *peer)
{
	socklen_t len = sizeof(*peer);
	int fd;

	memset(peer, 0, sizeof(*peer));
	fd = accept4(l->fd, &peer->sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1)
		return -1;
	if (!is_unix(l))
		addr_copy(&peer->sa, &peer->sa);
	else if (account_of(fd, peer) == -1) {
		close(fd);
		errno = ECONNABORTED;
		return -1;
	}
	return fd;
}

/* --- refusing ------------------------------------------------------------- */

/* Does a session begin with a banner in the clear?  A client that expects TLS
 * would take a line of text for a broken handshake, and a proxy sends its
 * header before it reads anything. */
static bool
is_greeted(const struct listener *l, const union addr *peer)
{
	const struct esmtp_options *o = settings_options_for(
	    l->master->config.settings, l->index, &peer->sa);

	return !o->use_ssl && !o->proxy_protocol;
}

/* Answer in place of the banner, without waiting, and close. */
static void
refuse(const struct listener *l, const union addr *peer, int fd,
    enum esmtp_reply_id id)
{
	char buf[LIM_REPLY_LINE];
	size_t len;

	if (is_greeted(l, peer)) {
		len = esmtp_reply_row_format(id, buf, sizeof(buf));
		/* a new socket has room for one line; if not, the client only
		 * sees that the connection ends */
		(void)!send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	close(fd);
}

/* As in the configuration. */
static const char *
listener_of(const struct listener *l)
{
	return l->master->config.settings->listens[l->index].name;
}

/* --- handing out ---------------------------------------------------------- */

/* Can a connection that is accepted now be sent to a worker, or be answered that
 * all have as many as they can have?  If not, one has room soon. */
static bool
has_room(struct master *m)
{
	bool is_behind = false, is_full = false;
	struct proc *p;

	TAILQ_FOREACH(p, &m->procs, link) {
		if (!able_is(p) || taken_is_late(p))
			continue;
		if (book_is_full(p->book))
			is_full = true;
		else if (taken_has_room(p))
			return true;
		else if (taken_has_room_soon(p))
			is_behind = true;
	}
	return is_full && !is_behind;
}

/* The worker for the next session; NULL: all are full, or there is none.  One
 * that ${has_nowhere} else to wait goes to a worker that is behind, too; and so
 * does one when only workers that have their share (admit_is_over()) have room. */
static struct proc *
pick_worker(struct master *m, const struct admitted *as, bool has_nowhere)
{
	struct book *books[BOOKS_MAX];
	struct proc *procs[BOOKS_MAX], *p;
	bool is_shared = false;
	size_t n = 0;
	int i;

	TAILQ_FOREACH(p, &m->procs, link) {
		if (n == BOOKS_MAX || !able_is(p) ||
		    (has_nowhere ? taken_is_late(p) : !taken_has_room(p)))
			continue;
		if (as->nshares > 0 && admit_is_over(as, p->book,
		    able_is_alone(p))) {
			is_shared = true;
			continue;
		}
		books[n] = p->book;
		procs[n++] = p;
	}
	i = n == 0 ? -1 : book_pick(books, n, &m->rotor);
	if (i == -1 && is_shared && !has_nowhere)
		return pick_worker(m, as, true);
	return i == -1 ? NULL : procs[i];
}

/* Give ${fd} to a worker: a new session, or one that has been ${moved}.  Takes
 * ${fd} when it returns 0. */
static int
hand_out(struct listener *l, int fd, const union addr *peer,
    const struct admitted *as, struct msg_move *moved,
    enum esmtp_reply_id *refusal_r)
{
	struct msg_session new = { 0 }, *ms = moved == NULL ? &new :
	    &moved->session;
	bool has_nowhere = moved != NULL;
	struct proc *p;
	int error;

	ms->listener = (uint32_t)l->index;
	addr_copy(&ms->peer.sa, &peer->sa);
	*refusal_r = RPL_SESSIONS;
	while ((p = pick_worker(l->master, as, has_nowhere)) != NULL) {
		if (book_add(p->book, &peer->sa, as->kind, &l->sessions,
		    l->service, &ms->handle) == -1)
			break;
		admit_naming(l, peer, p->book, ms->handle);
		/* before the worker can speak of it to authd */
		book_vouch(p->book, ms->handle, l->index, &peer->sa);
		if (chanev_send(p->ce, moved == NULL ? M_SESSION : M_MOVE,
		    moved == NULL ? (void *)ms : moved, NULL, 0, fd) == 0) {
			taken_add(p);
			return 0;
		}
		error = errno;
		book_remove(p->book, ms->handle);
		*refusal_r = RPL_SHUTDOWN;
		if (error != EPIPE)
			break;
		/* it has died, but SIGCHLD has not been read yet.  The others
		 * may be behind, but this connection is accepted */
		p->is_lost = has_nowhere = true;
	}
	return -1;
}

static void
handle_connection(struct listener *l, int fd, union addr *peer)
{
	enum esmtp_reply_id refusal;
	struct admitted as;

	stats_inc(STATS_CONNECTIONS);
	refusal = admit_new(l, peer, &as);
	if (refusal == RPL_OK) {
		if (hand_out(l, fd, peer, &as, NULL, &refusal) == 0)
			return;
		if (refusal == RPL_SESSIONS)
			refusal = admit_no_worker(l, peer, &as);
		else
			admit_refused(l, peer, "workers", &l->refusals);
	}
	refuse(l, peer, fd, refusal);
}

/* --- moving --------------------------------------------------------------- */

/* It was greeted by the old worker: where no worker takes it, this is its end.
 */
static void
say_goodbye(int fd)
{
	char buf[LIM_REPLY_LINE];
	size_t len = esmtp_reply_row_format(RPL_SHUTDOWN, buf, sizeof(buf));

	(void)!send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)fileio_close_passed(fd);
}

/* An option of SOL_SOCKET, or -1. */
static int
option_of(int fd, int option)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value :
	    -1;
}

/* Is ${fd} a socket of the kind that ${l} accepts? */
static bool
is_of(const struct listener *l, int fd)
{
	int protocol;

	if (is_unix(l))
		return option_of(fd, SO_DOMAIN) == AF_UNIX &&
		    option_of(fd, SO_TYPE) == SOCK_STREAM &&
		    option_of(fd, SO_ACCEPTCONN) == 0;
	/* mptcpize(8) may have made the listening sockets */
	protocol = option_of(fd, SO_PROTOCOL);
	return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
}

/* The other end of the connection ${fd}.  Return 0, or -1: it has ended. */
static int
other_end(const struct listener *l, int fd, union addr *peer_r)
{
	socklen_t len = sizeof(*peer_r);

	memset(peer_r, 0, sizeof(*peer_r));
	if (getpeername(fd, &peer_r->sa, &len) == -1)
		return -1;
	if (is_unix(l))
		return account_of(fd, peer_r);
	addr_copy(&peer_r->sa, &peer_r->sa);
	return 0;
}

/* Can the session go on as it was greeted, with the configuration of now? */
static bool
can_go_on(const struct listener *l, const union addr *peer,
    const struct esmtp_moved *moved)
{
	const struct esmtp_options *o = settings_options_for(
	    l->master->config.settings, l->index, &peer->sa);

	return is_greeted(l, peer) &&
	    options_is_lmtp(o) == (moved->kind == ESMTP_KIND_LMTP);
}

/* An attacker may control the old worker.  It can only give away a session that
 * it has, and a socket that is connected to that session's client.  What it
 * says about the session grants nothing that the client could not get by
 * itself. */
int
handout_move(struct proc *p, struct msg_move *move, int fd)
{
	/* it has been admitted already */
	const struct admitted as = { .kind = LEDGER_DIRECT };
	uint64_t handle = move->session.handle;
	struct master *m = p->master;
	enum esmtp_reply_id refusal;
	struct tally *tally = book_listener(p->book, handle);
	struct listener *l = tally == NULL ? NULL :
	    (struct listener *)(void *)((char *)tally -
	    offsetof(struct listener, sessions));
	union addr peer;

	if (l == NULL || p->state != PROC_DRAINING ||
	    (fd != -1 && !is_of(l, fd))) {
		proc_offends(p, "M_MOVE");
		return -1;
	}
	/* without a descriptor: this process had none left */
	if (fd == -1 || other_end(l, fd, &peer) == -1) {
		/* the client has left meanwhile */
		(void)book_remove(p->book, handle);
		return -1;
	}
	if (!book_is_from(p->book, handle, &peer.sa, LEDGER_DIRECT)) {
		proc_offends(p, "M_MOVE");
		return -1;
	}
	(void)book_remove(p->book, handle);
	if (l->fd == -1 || m->phase != MASTER_RUNNING ||
	    !can_go_on(l, &peer, &move->moved) ||
	    hand_out(l, fd, &peer, &as, move, &refusal) == -1)
		say_goodbye(fd);
	return 0;
}

/* --- pauses ------------------------------------------------------------------ */

static void
pause_for(struct master *m, unsigned int ms)
{
	m->accept_ms = master_after(m, ms);
	master_has_news(m);
}

/* There is no descriptor for the connection that waits in the backlog.  Close
 * the spare one, accept and answer that connection, and pause; the others stay
 * in the backlog meanwhile. */
static void
out_of_descriptors(struct listener *l)
{
	struct master *m = l->master;
	uint64_t now_ms = m->ops->now_ms();
	union addr peer;
	int fd;

	if (now_ms >= m->exhausted_ms) {
		log_warn("accept", "listener=%s effect=%s",
		    listener_of(l), "one at a time is answered 421");
		m->exhausted_ms = now_ms + SAY_MS;
	}
	if (m->spare_fd != -1) {
		close(m->spare_fd);
		if ((fd = accept_one(l, &peer)) != -1) {
			stats_inc(STATS_CONNECTIONS);
			stats_inc(STATS_CONNECTIONS_REFUSED);
			refuse(l, &peer, fd, RPL_SHUTDOWN);
		}
		m->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	pause_for(m, PAUSE_MS);
}

/* --- accepting ------------------------------------------------------------ */

bool
handout_wants(const struct master *m)
{
	const struct proc *p;

	if (m->phase != MASTER_RUNNING || m->accept_ms != 0)
		return false;
	TAILQ_FOREACH(p, &m->procs, link)
		if (able_is(p))
			return true;
	/* connections wait in the backlog for the next worker */
	return false;
}

int
handout_accept(Event *, int, void *closure, struct timeval *)
{
	struct listener *l = closure;
	union addr peer;
	int i, fd;

	if (!handout_wants(l->master))
		return 0;
	/* sessions that have ended must not count against a limit */
	procs_collect(l->master);
	for (i = 0; i < ACCEPTS_PER_PASS; i++) {
		if (!has_room(l->master)) {
			/* connections wait in the backlog until one has */
			pause_for(l->master, ROOM_MS);
			return 0;
		}
		if ((fd = accept_one(l, &peer)) != -1) {
			handle_connection(l, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			out_of_descriptors(l);
			return 0;
		}
		/* the client has closed it already: take the next one */
		if (errno != EINTR && errno != ECONNABORTED &&
		    errno != EPROTO)
			break;
	}
	return E_READ;
}

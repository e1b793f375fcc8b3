/* The connections of listeners: see netlistener.h.
 * Owns: the event of a listening socket, how many are accepted at once, what
 * happens when none can be accepted. */

#include "proto/listener/netlistener_int.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ec_malloc.h"
#include "core/loop/registry.h"
#include "core/scheduler.h"

/* --- one connection ------------------------------------------------------- */

static void
drop(Event *e, accept_construct *ac)
{
	(void)event_close(e);
	event_free(e);
	netlistener_clean_accept_construct(ac);
	ec_free(MEMTYPE_ACCEPT_CONSTRUCT, ac);
}

static accept_construct *
ac_new(netlistener_instance *inst, const struct timeval *now)
{
	accept_construct *ac = calloc(1, sizeof(*ac));

	if (ac == NULL)
		return NULL;
	ac->inst = inst;
	netlistener_instance_addref(inst);
	inst->nconnections++;
	ac->accept_construct_closure.vptr = inst->def->closure;
	ec_generate_connection_id(&ac->conn_id, now->tv_sec);
	return ac;
}

/* A client of a Unix socket chooses the name that its own socket is bound to.  An
 * abstract one could look like the account of another client (addr.h). */
static void
forget_abstract(ec_sockaddr *peer)
{
	if (peer->sa.sa_family != AF_UNIX || peer->unixaddr.sun_path[0] != '\0')
		return;
	memset(peer, 0, sizeof(*peer));
	peer->sa.sa_family = AF_UNIX;
}

/* The connection ${fd}: its event, which the server's code gets.  Return 0, or
 * -1: there was no memory, and it is closed. */
static int
begin(netlistener_instance *inst, int fd, const ec_sockaddr *peer,
    struct timeval *now)
{
	EventFunc hook = inst->def->accepthook;
	accept_construct *ac;
	Event *e;

	e = build_fd_event(fd, E_READ | E_WRITE, E_AGGRESSIVE_NONE,
	    inst->def->servercode, NULL);
	if (e == NULL) {
		(void)close(fd);
		return -1;
	}
	if ((ac = ac_new(inst, now)) == NULL) {
		(void)event_close(e);
		event_free(e);
		return -1;
	}
	ac->event = e;
	ac->remote_addr = *peer;
	e->closure = ac;
	/* schedule first, since that can fail: the hook may keep ${ac}, which
	 * could not be dropped then */
	if (schedule_event(e) == -1) {
		drop(e, ac);
		return -1;
	}
	if (hook != NULL && hook(e, E_READ, ac, now) == 0)
		drop(e, ac);
	return 0;
}

/* --- the listening socket ------------------------------------------------- */

/* Accept nothing for a second, or until a connection ends and gives back the
 * descriptor or the memory that is missing. */
static int
pause_for(netlistener_instance *inst, Event *e, const struct timeval *now)
{
	inst->is_paused = 1;
	e->trigger = *now;
	e->trigger.tv_sec += NETLISTENER_PAUSE_MS / 1000;
	return E_TIMEOUT | E_ASYNC;
}

/* Is that an error of the connection that was to be accepted (accept(2))? */
static bool
is_of_connection(int errnum)
{
	static const int errors[] = { ECONNABORTED, ECONNRESET, EPROTO, EPERM,
		ETIMEDOUT, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH,
		ENOPROTOOPT, ENONET };
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i] == errnum)
			return true;
	return false;
}

/* Accept one.  Return 0: go on; or the mask to wait for. */
static int
accept_one(netlistener_instance *inst, Event *e, struct timeval *now)
{
	ec_sockaddr peer;
	socklen_t len = sizeof(peer);
	int fd;

	if (netlistener_is_full(inst)) {
		/* its part of the connections grows when another instance
		 * stops */
		if (inst->is_sharing)
			return pause_for(inst, e, now);
		inst->is_paused = 1;
		return E_ASYNC;
	}
	memset(&peer, 0, sizeof(peer));
	fd = event_accept(e, &peer.sa, &len);
	if (fd != -1) {
		forget_abstract(&peer);
		return begin(inst, fd, &peer, now) == 0 ? 0 :
		    pause_for(inst, e, now);
	}
	inst->last_errno = errno;
	if (errno == EAGAIN)
		return E_READ;
	/* after an error of this connection, take the next one.  Any other
	 * error, such as a lack of descriptors or memory, would come again at
	 * once */
	return is_of_connection(errno) ? 0 : pause_for(inst, e, now);
}

static int
on_ready(Event *e, int, void *closure, struct timeval *now)
{
	netlistener_instance *inst = closure;
	int n = inst->def->opt_events_per_iter, mask = 0;

	if (n <= 0)
		n = NETLISTENER_AT_ONCE;
	/* the hook may stop it */
	netlistener_instance_addref(inst);
	inst->is_accepting = 1;
	inst->is_paused = 0;
	while (n-- > 0 && mask == 0 && inst->event == e)
		mask = accept_one(inst, e, now);
	inst->is_accepting = 0;
	if (mask == 0)
		mask = E_READ;
	if (inst->event != e)
		mask = 0;
	netlistener_instance_delref(inst);
	return mask;
}

int
netlistener_watch(netlistener_instance *inst)
{
	inst->scheduler = registry_own();
	inst->event = build_fd_event(inst->fd, E_READ, E_AGGRESSIVE_NONE,
	    on_ready, inst);
	return inst->event == NULL ? -1 : schedule_event(inst->event);
}

void
netlistener_shut(netlistener_instance *inst)
{
	Event *e = netlistener_event(inst);

	netlistener_remove_file(inst);
	netlistener_share(inst, false);
	if (e == NULL && inst->fd != -1)
		(void)close(inst->fd);
	inst->event = NULL;
	inst->fd = -1;
	if (e == NULL)
		return;
	(void)event_close(e);
	/* from within its callback, the loop frees it */
	if (!inst->is_accepting)
		event_free(e);
}

/* Listening sockets: accept connections on our scheduler, and hand each to a
 * server's code.  The names are those of the documented API. */

#ifndef PROTO_NETLISTENER_H
#define PROTO_NETLISTENER_H

#include <sys/types.h>

#include <stdint.h>

#include <mailmill/api.h>
#include <mailmill/ec_config.h>
#include <mailmill/esmtp_factory.h>
#include <mailmill/event.h>

MAILMILL_BEGIN

struct _netlistener_instance;
typedef struct _netlistener_def netlistener_def;
typedef struct _netlistener_instance netlistener_instance;

/* where the start of an instance has failed */
enum netlistener_syscall {
	NLSN_SYS_NEVER_ATTEMPTED,
	NLSN_SYS_SOCKET,
	NLSN_SYS_IOCTL,
	NLSN_SYS_BIND,
	NLSN_SYS_LISTEN
};

/* A kind of service, such as "ESMTP": what is done with the connections of all
 * its instances.  The members behind accepthook may be changed before an
 * instance is started. */
struct _netlistener_def {
	const char	*prefix;	/* copied */
	const char	*hashkey;	/* the same */
	EventFunc	 servercode;
	void		*closure;
	unsigned int	 skip : 1;	/* no instance is started any more */
	unsigned int	 _spare : 31;
	EventFunc	 accepthook;
	/* not options by number, as documented, but their values; 0: as the
	 * system has it */
	int		 opt_file_mode;	/* of a socket in the file system */
	int		 opt_backlog;
	/* connections at a time of an instance; 0: its part of half as many as the
	 * process may have descriptors, which is divided among all instances of
	 * the process that say 0; less: any number */
	int		 opt_concurrency;
	int		 opt_events_per_iter; /* accepted in one pass */
	int		 opt_recvbuf;
	int		 opt_sendbuf;
	int		 opt_disable_nagle;
	/* its own */
	int		 refs;		/* instances, and the caller's */
	/* of the last instance that could not be started */
	int		 last_errno;
	enum netlistener_syscall failed_syscall;
};

/* One listening socket. */
struct _netlistener_instance {
	netlistener_def	*def;
	const char	*address;	/* as it was given */
	int		 fd;		/* -1: stopped */
	int		 last_errno;	/* of the start, or of the last accept */
	enum netlistener_syscall failed_syscall;
	unsigned int	 from_config : 1;	/* 0 */
	unsigned int	 pending_cull : 1;	/* 0 */
	unsigned int	 is_accepting : 1;	/* its own callback runs */
	/* it accepts nothing until a connection ends, or for a second */
	unsigned int	 is_paused : 1;
	unsigned int	 has_file : 1;	/* in the file system, to be removed */
	unsigned int	 is_sharing : 1; /* its opt_concurrency was 0 */
	unsigned int	 _spare : 26;
	int		 refcnt;	/* connections, and the list's */
	int		 nconnections;
	/* its own */
	Event		*event;
	netlistener_instance *next;
	int		 most;		/* connections that all may have which share */
	dev_t		 file_dev;	/* which file that is */
	ino_t		 file_ino;
	uint64_t	 scheduler;	/* number of the one that has event */
};

/* netlistener_register4(prefix, servercode, closure, accepthook, recvbuf,
 * sendbuf): A new definition.  ${recvbuf}, ${sendbuf}: octets of the sockets'
 * buffers, as text; NULL: as the system has them.
 * For each connection an accept_construct is made, with ${closure} in
 * accept_construct_closure.vptr, and its Event, with the accept_construct as
 * closure.  The event is scheduled, and ${accepthook} is called, if there is
 * one, with E_READ; if it returns 0 the connection is closed.  Then ${servercode} is called by the loop
 * whenever the event is ready, at first for E_WRITE.  It may put something of
 * its own in accept_construct_closure.vptr, and another function in
 * event->callback, which it then calls and whose value it returns; it does not
 * change event->closure.
 * At the end it calls event_close(), netlistener_clean_accept_construct() and
 * ec_free(MEMTYPE_ACCEPT_CONSTRUCT, ac), and returns 0.
 * Return the definition, or NULL with errno: EINVAL, without ${prefix} or
 * ${servercode}, or a size that is no number; ENOMEM.
 * netlistener_register3(prefix, servercode, accepthook, closure): The same with
 * the system's buffers.
 * netlistener_unregister(def): Stop its instances, and free it when the last
 * connection of them has ended; before scheduler_destroy(), which frees the
 * events of their sockets: later it ends the process, and so does
 * netlistener_stop_instance().  NULL does nothing. */
netlistener_def *netlistener_register4(const char *listener_prefix,
    EventFunc servercode, void *closure, EventFunc accepthook,
    const char *recvbuf, const char *sendbuf);
netlistener_def *netlistener_register3(const char *listener_prefix,
    EventFunc servercode, EventFunc accepthook, void *closure);
void mailmill_netlistener_unregister(netlistener_def *def);

/* netlistener_register_option(def, option): An option of the listeners of ${def}:
 * ec_config.h.  Return its slot; or -1 with errno: as ec_config_register_option();
 * EINVAL without ${def}; EEXIST, such listeners have one of that name. */
int netlistener_register_option(netlistener_def *def,
    ec_config_option_def *option);

/* netlistener_instantiate_addr(def, hdr, addr): Listen at ${addr}:
 * "192.0.2.1:25", "[2001:db8::1]:25", "*:25" (all of IPv4), "[::]:25" (all of
 * both), "/path" of a socket in the file system.  Port 0 is any.  ${hdr} is
 * NULL.  Scheduler thread.
 * A socket in the file system that nobody listens on is replaced; a file named
 * ".NAME.mailmill-lock", which is there meanwhile, is locked (flock(2)) for
 * other processes of the same user that start one there.
 * Return 1; or 0 with errno, which def->last_errno keeps: EINVAL, ${addr} is
 * none, ${def} is to be skipped, or the thread has no scheduler; EEXIST, there
 * is an instance of that address in this thread; or what failed, in
 * def->failed_syscall.
 * netlistener_stop_instance(addr): Stop it; its connections go on.  A socket in
 * the file system is removed.  Return 1; 0, this thread has none.
 * netlistener_find(addr): The instance, or NULL.
 * netlistener_port(inst): Its port; 0: it has none. */
int netlistener_instantiate_addr(netlistener_def *def, ec_config_header *hdr,
    const char *addr);
int netlistener_stop_instance(const char *addr);
netlistener_instance *mailmill_netlistener_find(const char *addr);
int mailmill_netlistener_port(const netlistener_instance *inst);

/* netlistener_instance_addref(inst), _delref(inst): Keep it, and let it go.  NULL
 * does nothing.
 * netlistener_clean_accept_construct(ac): ${ac} lets its instance go: it counts
 * no longer as a connection.  Once; a second call does nothing. */
void netlistener_instance_addref(netlistener_instance *inst);
void netlistener_instance_delref(netlistener_instance *inst);
void netlistener_clean_accept_construct(accept_construct *ac);

MAILMILL_END

#endif

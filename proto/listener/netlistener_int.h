/* What the files of netlistener.h share: netlistener.c, definitions and
 * instances; netlistener_ref.c, the references to them; netlistener_open.c, the
 * listening sockets; netlistener_accept.c, their connections. */

#ifndef PROTO_LISTENER_NETLISTENER_INT_H
#define PROTO_LISTENER_NETLISTENER_INT_H

#include <stdbool.h>

#include "proto/netlistener.h"

#define NETLISTENER_BUF_MAX	(64 << 20)	/* octets of a socket's buffer */
#define NETLISTENER_BACKLOG	128
#define NETLISTENER_AT_ONCE	16	/* accepted in one pass */
#define NETLISTENER_PAUSE_MS	1000	/* between tries to accept */
#define NETLISTENER_LOCK_MS	1000	/* how long the lock is waited for */

/* netlistener_open(inst): Bind and listen.  netlistener_watch(inst): Accept
 * from now on.  Both return 0, or -1 with errno.
 * netlistener_shut(inst): Accept no more, and close the socket.
 * netlistener_remove_file(inst): Remove the socket's file, unless another
 * socket has taken its place. */
int netlistener_open(netlistener_instance *inst);
int netlistener_watch(netlistener_instance *inst);
void netlistener_shut(netlistener_instance *inst);
void netlistener_remove_file(netlistener_instance *inst);

/* netlistener_event(inst): The event of its socket; NULL: it has none.  Ends the
 * process if that was freed with its scheduler. */
Event *netlistener_event(const netlistener_instance *inst);

/* netlistener_def_delref(def): Give up a reference; the last one frees ${def}.
 * netlistener_share(inst, is_sharing): Count ${inst}, or no longer, among the
 * instances that the number of connections is divided among.
 * netlistener_is_full(inst): Has it as many connections as it may have? */
void netlistener_def_delref(netlistener_def *def);
void netlistener_share(netlistener_instance *inst, bool is_sharing);
bool netlistener_is_full(const netlistener_instance *inst);

#endif

/* The clients of a worker's sessions, as the master knows them: memory that only
 * the master can write, and that authd reads.
 * An attacker may control the worker.  So the worker names a session by its
 * handle, and authd looks up here which client has connected, and to which
 * listener.
 * Owns: the memory, its layout.
 * Knows nothing of what authd makes of it. */

#ifndef CMD_MAILMILLD_ROLE_VOUCH_H
#define CMD_MAILMILLD_ROLE_VOUCH_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/addr.h"

#define VOUCH_MAX	(1u << 20)	/* sessions; a worker takes no more */
#define VOUCH_ENDED_MAX	1024	/* ended sessions that it remembers; a power of two */

struct vouched {
	uint32_t	listener;	/* in the configuration of the worker */
	bool		is_proxy;	/* that listener wants a PROXY header of this peer */
	bool		is_named;	/* the worker has said that the peer speaks for
					 * ${client}, which a peer with these options may */
	union addr	peer;		/* has connected */
	union addr	client;		/* AF_UNSPEC, where is_named: it is not known */
};

/* vouched_client(who): The client: the peer, or whom it speaks for.
 * vouched_via(who): The peer, where it is a proxy or speaks for another client;
 * NULL: the client has connected itself. */
static inline const struct sockaddr *
vouched_client(const struct vouched *who)
{
	return who->is_named ? &who->client.sa : &who->peer.sa;
}

static inline const struct sockaddr *
vouched_via(const struct vouched *who)
{
	return who->is_named || who->is_proxy ? &who->peer.sa : NULL;
}

enum vouch_answer {
	VOUCH_NONE,		/* there is no such session of this worker */
	VOUCH_ENDED,		/* it has just ended */
	VOUCH_FOUND
};

struct vouch;

/* vouch_create(max): The master's: for at most ${max} sessions, whose indexes
 * (HANDLE_INDEX()) are below that; from VOUCH_MAX on a session is not shown.
 * NULL with errno.
 * vouch_fd(v): A descriptor of it for authd, which is the caller's; -1 with
 * errno. */
struct vouch *vouch_create(unsigned int max);
int vouch_fd(const struct vouch *v);

/* vouch_attach(fd): authd's: map it; ${fd} remains the caller's.  NULL with
 * errno: EINVAL, it is not of vouch_create(). */
struct vouch *vouch_attach(int fd);
void vouch_free(struct vouch *v);	/* NULL does nothing */

/* The master's, each done when it returns; NULL ${v} does nothing.
 * vouch_put(v, handle, who): A session begins.
 * vouch_name(v, handle, client): It is that of ${client} from now on; another
 * family than those of addr.h: of one that is not known.
 * vouch_end(v, handle): It has ended. */
void vouch_put(struct vouch *v, uint64_t handle, const struct vouched *who);
void vouch_name(struct vouch *v, uint64_t handle,
    const struct sockaddr *client);
void vouch_end(struct vouch *v, uint64_t handle);

/* vouch_find(v, handle, &who_r): authd's.  ${who_r} is filled in when it returns
 * VOUCH_FOUND.  NULL ${v}: VOUCH_NONE. */
enum vouch_answer vouch_find(const struct vouch *v, uint64_t handle,
    struct vouched *who_r);

#endif

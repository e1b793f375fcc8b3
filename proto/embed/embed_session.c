/* Sessions for embedders: made, ended and asked by functions, so that programs
 * need not know how large they are.
 * Owns: the memory of the accept_constructs that esmtp_session_new() makes.
 * Knows nothing of what is said in a session. */

#include "proto/esmtp_factory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/addr.h"
#include "core/util/require.h"
#include "proto/factory/esmtp_embed.h"
#include "proto/server/esmtp_tls.h"
#include "proto/server/esmtp_txn.h"

static bool
is_internet(const struct sockaddr *peer)
{
	return peer != NULL && (peer->sa_family == AF_INET ||
	    peer->sa_family == AF_INET6);
}

accept_construct *
esmtp_session_new(struct esmtp_host *host, const struct esmtp_options *options,
    int fd, const struct sockaddr *peer, void *context)
{
	accept_construct *ac;

	if (host == NULL || options == NULL) {
		errno = EINVAL;
		return NULL;
	}
	/* there may be many, and few have another address than these */
	ac = calloc(1, is_internet(peer) ? ACCEPT_CONSTRUCT_INET : sizeof(*ac));
	if (ac == NULL)
		return NULL;
	ac->event = build_fd_event(fd, E_READ | E_WRITE, E_AGGRESSIVE_NONE,
	    esmtp_message_factory, ac);
	if (ac->event == NULL) {
		free(ac);
		return NULL;
	}
	if (is_internet(peer))
		addr_copy(&ac->remote_addr.sa, peer);
	else
		ac->remote_addr.sa.sa_family = AF_UNIX;
	ac->host = host;
	ac->options = options;
	ac->context = context;
	ac->handle = ++host->nsessions;
	snprintf(ac->id, sizeof(ac->id), "%" PRIx64, ac->handle);
	esmtp_host_enter(ac);
	return ac;
}

void
esmtp_session_free(accept_construct *ac)
{
	message_construct *mc;

	if (ac == NULL)
		return;
	mc = esmtp_session_in(ac);
	REQUIRE_OUTSIDE("esmtp_session_free", mc != NULL && mc->step != NULL,
	    "a step of the session", "esmtp_session_close()");
	esmtp_destroy_message_construct(mc);
	/* else the loop frees it, for its callback returns 0 */
	if (!ac->is_left) {
		/* a listener's has no host before its first step */
		if (ac->host != NULL)
			esmtp_tls_end(ac);
		(void)event_close(ac->event);
		event_free(ac->event);
	}
	/* one that has had no step */
	if (!ac->is_ended)
		esmtp_host_leave(ac);
	free(ac);
}

/* --- what the program has said of it -------------------------------------- */

void *
esmtp_session_context(const accept_construct *ac)
{
	return ac->context;
}

void
esmtp_session_set_context(accept_construct *ac, void *context)
{
	ac->context = context;
}

Event *
esmtp_session_event(const accept_construct *ac)
{
	return ac->event;
}

const char *
esmtp_session_id(const accept_construct *ac)
{
	return ac->id;
}

/* The id is written to the log as one word, and to the spool, so it has neither
 * spaces nor controls. */
int
esmtp_session_set_id(accept_construct *ac, const char *id)
{
	size_t i;

	for (i = 0; id != NULL && i < sizeof(ac->id); i++)
		if (id[i] <= ' ' || id[i] > 126)
			break;
	if (id == NULL || i == 0 || i == sizeof(ac->id) || id[i] != '\0') {
		errno = EINVAL;
		return -1;
	}
	memcpy(ac->id, id, i + 1);
	return 0;
}

const struct esmtp_options *
esmtp_session_options(const accept_construct *ac)
{
	return ac->options;
}

void
esmtp_session_set_options(accept_construct *ac,
    const struct esmtp_options *options)
{
	if (ac->protocol == P_ESMTP && !ac->is_ended) {
		options_release(ac->options);
		options_take(options);
	}
	ac->options = options;
}

const struct sockaddr *
esmtp_session_peer(const accept_construct *ac)
{
	return &ac->remote_addr.sa;
}

const struct esmtp_tls *
esmtp_session_tls(const accept_construct *ac)
{
	return ac->tls;
}

void
esmtp_session_set_tls(accept_construct *ac, struct esmtp_tls *tls)
{
	ac->tls = tls;
}

/* --- what the client has said --------------------------------------------- */

static const struct esmtp_txn *
txn_of(const accept_construct *ac)
{
	const message_construct *mc = esmtp_session_in(ac);

	return mc != NULL ? mc->txn : NULL;
}

const struct sockaddr *
esmtp_session_via(const accept_construct *ac)
{
	const message_construct *mc = esmtp_session_in(ac);

	return mc != NULL && mc->told != NULL && mc->told->is_named ?
	    &mc->told->via.sa : NULL;
}

const char *
esmtp_session_attribute(const accept_construct *ac, enum esmtp_attribute what)
{
	const message_construct *mc = esmtp_session_in(ac);

	return mc != NULL && mc->told != NULL && what >= 0 &&
	    what < ESMTP_NATTRIBUTES ? mc->told->text[what] : NULL;
}

const char *
esmtp_session_helo(const accept_construct *ac)
{
	const message_construct *mc = esmtp_session_in(ac);

	return mc != NULL ? mc->helo : NULL;
}

const char *
esmtp_session_sender(const accept_construct *ac)
{
	const struct esmtp_txn *t = txn_of(ac);

	return t != NULL ? t->sender : NULL;
}

const char *
esmtp_session_rcpt(const accept_construct *ac, size_t i)
{
	const struct esmtp_txn *t = txn_of(ac);

	return t != NULL && i < t->rcpts.n ? esmtp_rcpts_get(&t->rcpts, i) :
	    NULL;
}

accept_construct *
esmtp_session_of(const message_construct *mc)
{
	return mc != NULL ? mc->ac : NULL;
}

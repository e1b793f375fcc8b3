/* The recipients that questions name; see mailmill_server.h.
 * Each recipient knows the one before it, and does not change.  So the
 * questions of a transaction share those that they have in common, whatever the
 * session adds later and however long a question stays open. */

#include "proto/service/server_int.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct server_rcpt {
	struct server_rcpt	*before;	/* NULL: it is the first */
	struct server_client	*client;	/* whose memory it is */
	size_t			 number;	/* from 0 */
	atomic_uint		 refs;
	char			 text[];
};

struct server_rcpt *
server_rcpts_ref(struct server_rcpt *r)
{
	if (r != NULL)
		atomic_fetch_add(&r->refs, 1);
	return r;
}

void
server_rcpts_unref(struct server_rcpt *r)
{
	struct server_rcpt *before;
	struct server_client *c;
	size_t octets;

	while (r != NULL && atomic_fetch_sub(&r->refs, 1) == 1) {
		before = r->before;
		c = r->client;
		octets = sizeof(*r) + strlen(r->text) + 1;
		free(r);
		server_client_give(c, octets);
		r = before;
	}
}

/* A list with ${text} behind ${before}, whose reference it takes.  NULL with
 * errno. */
static struct server_rcpt *
append(struct server_session *s, struct server_rcpt *before, const char *text)
{
	size_t len = strlen(text) + 1, octets;
	struct server_rcpt *r;

	octets = sizeof(*r) + len;
	if (server_client_take(s->client, octets, s->server->share) == -1)
		return NULL;
	if ((r = malloc(octets)) == NULL) {
		server_client_give(s->client, octets);
		return NULL;
	}
	r->before = before;
	r->client = s->client;
	r->number = before != NULL ? before->number + 1 : 0;
	atomic_init(&r->refs, 1);
	memcpy(r->text, text, len);
	return r;
}

/* The part of the session's former list that is still what it has. */
static struct server_rcpt *
still_so(const struct server_session *s)
{
	struct server_rcpt *r, *same = s->rcpts;
	const char *text;

	for (r = s->rcpts; r != NULL; r = r->before) {
		text = esmtp_session_rcpt(s->ac, r->number);
		if (text == NULL || strcmp(text, r->text) != 0)
			same = r->before;
	}
	return same;
}

int
server_rcpts_follow(struct server_session *s)
{
	struct server_rcpt *r = server_rcpts_ref(still_so(s));
	const char *text;

	server_rcpts_unref(s->rcpts);
	s->rcpts = r;
	while ((text = esmtp_session_rcpt(s->ac, r != NULL ? r->number + 1 :
	    0)) != NULL) {
		if ((r = append(s, r, text)) == NULL)
			return -1;
		s->rcpts = r;
	}
	return 0;
}

const char *
server_rcpts_get(const struct server_rcpt *r, size_t i)
{
	while (r != NULL && r->number > i)
		r = r->before;
	return r != NULL && r->number == i ? r->text : NULL;
}

/* Logins that may have no more messages held (RFC 4865).
 * Owns: the list of these logins, as the queue process has told it.  While there
 * is no queue process, the list stays as it was. */

#include "cmd/mailmilld/worker/worker_int.h"

#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "core/util/array.h"

/* The place of ${login}, ${len} octets; held->n: it has none. */
static size_t
find(const struct host_held *held, const char *login, size_t len)
{
	size_t i;

	for (i = 0; i < held->n; i++)
		if (strlen(held->v[i]) == len &&
		    memcmp(held->v[i], login, len) == 0)
			break;
	return i;
}

static void
forget(struct host_held *held, size_t i)
{
	free(held->v[i]);
	held->v[i] = held->v[--held->n];
}

static void
add(struct host_held *held, const char *login, size_t len)
{
	char **v = array_fit(held->v, &held->room, held->n + 1, sizeof(*v));

	if (v != NULL)
		held->v = v;
	if (v != NULL && (v[held->n] = strndup(login, len)) != NULL)
		held->n++;
	else
		log_warn("held-full", "login=%.*s effect=%s", (int)len, login,
		    "more is held for it");
}

void
host_held_on_full(void *closure, struct channel_msg *msg)
{
	struct worker *w = closure;
	struct msg_full mf;
	size_t i;

	memcpy(&mf, msg->base, sizeof(mf));
	if (msg->nentries == 0) {
		while (w->held.n > 0)
			forget(&w->held, 0);
		return;
	}
	i = find(&w->held, msg->entries, msg->nentries);
	if (i == w->held.n && mf.is_full != 0)
		add(&w->held, msg->entries, msg->nentries);
	else if (i < w->held.n && mf.is_full == 0)
		forget(&w->held, i);
}

int
host_held_may(void *host, accept_construct *, const char *login)
{
	const struct worker *w = host;

	return find(&w->held, login, strlen(login)) == w->held.n;
}

void
host_held_free(struct worker *w)
{
	while (w->held.n > 0)
		forget(&w->held, 0);
	free(w->held.v);
}

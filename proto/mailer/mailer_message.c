/* Messages of mailmill_client.h: what a program makes of them, and what becomes
 * of them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/array.h"
#include "core/util/require.h"
#include "proto/mailer/mailer_int.h"

/* what MAIL can say */
#define FLAGS	(SPOOL_ENV_8BITMIME | SPOOL_ENV_BINARYMIME | \
	SPOOL_ENV_SMTPUTF8 | SPOOL_ENV_REQUIRETLS | SPOOL_ENV_RET_FULL | \
	SPOOL_ENV_RET_HDRS | SPOOL_ENV_BY_RETURN | SPOOL_ENV_BY_TRACE)

struct mailmill_message *
mailmill_message_new(const char *sender, mailmill_message_rcpt rcpt,
    mailmill_message_done done, void *closure)
{
	struct mailmill_message *m;

	if (sender == NULL || rcpt == NULL) {
		errno = EINVAL;
		return NULL;
	}
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return NULL;
	if ((m->sender = strdup(sender)) == NULL) {
		free(m);
		return NULL;
	}
	m->on_rcpt = rcpt;
	m->on_done = done;
	m->closure = closure;
	m->env.sender = m->sender;
	return m;
}

void
mailmill_message_free(struct mailmill_message *m)
{
	size_t i;

	if (m == NULL)
		return;
	REQUIRE("mailmill_message_free", m->client == NULL,
	    "not while a client has the message: call it when it is done");
	for (i = 0; i < m->env.nrcpts; i++) {
		free(m->rcpts[i]);
		free(m->orcpts[i]);
	}
	free(m->rcpts);
	free(m->orcpts);
	free(m->notify);
	free(m->sender);
	free(m->envid);
	free(m);
}

/* --- what it is ----------------------------------------------------------- */

/* Room for ${n} recipients.  Return 0, or -1: ENOMEM. */
static int
fit(struct mailmill_message *m, size_t n)
{
	void *v;

	if ((v = array_fit(m->rcpts, &m->rcpts_room, n,
	    sizeof(*m->rcpts))) == NULL)
		return -1;
	m->rcpts = v;
	if ((v = array_fit(m->orcpts, &m->orcpts_room, n,
	    sizeof(*m->orcpts))) == NULL)
		return -1;
	m->orcpts = v;
	if ((v = array_fit(m->notify, &m->notify_room, n,
	    sizeof(*m->notify))) == NULL)
		return -1;
	m->notify = v;
	m->env.rcpts = (const char *const *)m->rcpts;
	m->env.orcpts = (const char *const *)m->orcpts;
	m->env.notify = m->notify;
	return 0;
}

int
mailmill_message_add(struct mailmill_message *m, const char *address,
    unsigned int notify, const char *orcpt)
{
	size_t i = m->env.nrcpts;
	char *s, *o = NULL;

	if (m->client != NULL) {
		errno = EBUSY;
		return -1;
	}
	if (fit(m, i + 1) == -1 || (s = strdup(address)) == NULL)
		return -1;
	if (orcpt != NULL && (o = strdup(orcpt)) == NULL) {
		free(s);
		return -1;
	}
	m->rcpts[i] = s;
	m->orcpts[i] = o;
	m->notify[i] = (uint8_t)notify;
	m->env.nrcpts++;
	return 0;
}

const char *
mailmill_message_address(const struct mailmill_message *m, size_t i)
{
	return i < m->env.nrcpts ? m->rcpts[i] : NULL;
}

void
mailmill_message_body(struct mailmill_message *m, const void *body, size_t len)
{
	m->read = NULL;
	m->body = body;
	m->octets = len;
}

void
mailmill_message_source(struct mailmill_message *m,
    mailmill_message_read source, uint64_t octets)
{
	m->read = source;
	m->body = NULL;
	m->octets = octets;
}

void
mailmill_message_ready(struct mailmill_message *m)
{
	if (m->client != NULL)
		mailer_wake(m->client);
}

void
mailmill_message_flags(struct mailmill_message *m, unsigned int flags)
{
	m->env.flags = flags & FLAGS;
}

int
mailmill_message_envid(struct mailmill_message *m, const char *envid)
{
	char *s = strdup(envid);

	if (s == NULL)
		return -1;
	free(m->envid);
	m->envid = s;
	m->env.envid = s;
	return 0;
}

void
mailmill_message_priority(struct mailmill_message *m, int priority)
{
	m->env.priority = priority < -9 ? -9 : priority > 9 ? 9 : priority;
}

void
mailmill_message_deliver_by(struct mailmill_message *m, int64_t seconds)
{
	m->env.deliver_by = seconds;
}

/* --- what becomes of it --------------------------------------------------- */

_Static_assert((int)MAILMILL_CLIENT_ACCEPTED == SMTP_ACCEPTED &&
    (int)MAILMILL_CLIENT_DEFERRED == SMTP_DEFERRED &&
    (int)MAILMILL_CLIENT_REFUSED == SMTP_REFUSED &&
    (int)MAILMILL_CLIENT_UNSENT == SMTP_UNSENT &&
    (int)MAILMILL_CLIENT_UNCERTAIN == SMTP_UNCERTAIN,
    "the outcomes are numbered as those of the engine");

void
mailer_result(const struct smtp_result *r,
    struct mailmill_client_result *result_r)
{
	*result_r = (struct mailmill_client_result){
		.outcome = (enum mailmill_client_outcome)r->outcome,
		.code = r->code,
		.enhanced = r->enhanced,
		.words = r->words,
		.command = r->command,
		.errnum = r->errnum,
		.is_reply = r->why == SMTP_WHY_SAID
	};
}

int
mailmill_client_send(struct mailmill_client *client,
    struct mailmill_message *m)
{
	if (m->env.nrcpts == 0 || (m->read == NULL && m->body == NULL))
		return errno = EINVAL, -1;
	if (m->client != NULL)
		return errno = EBUSY, -1;
	if (client->is_over || client->is_leaving || client->is_stopped ||
	    client->is_freed)
		return errno = ESHUTDOWN, -1;
	m->client = client;
	TAILQ_INSERT_TAIL(&client->queue, m, link);
	mailer_wake(client);
	return 0;
}

enum smtp_next
mailer_message_next(struct mailmill_client *client, struct smtp_message *m_r)
{
	struct mailmill_message *m = TAILQ_FIRST(&client->queue);

	if (m == NULL)
		return client->is_leaving ? SMTP_NEXT_QUIT : SMTP_NEXT_NONE;
	client->current = m;
	client->nbegun++;
	m_r->env = &m->env;
	m_r->octets = m->octets;
	return SMTP_NEXT_MESSAGE;
}

ssize_t
mailer_message_octets(struct mailmill_message *m, uint64_t offset, char *buf,
    size_t size)
{
	if (m->read != NULL)
		return m->read(m->closure, m, offset, buf, size);
	if (offset >= m->octets)
		return 0;
	if (size > m->octets - offset)
		size = (size_t)(m->octets - offset);
	memcpy(buf, m->body + offset, size);
	return (ssize_t)size;
}

void
mailer_message_told(struct mailmill_message *m, size_t i,
    const struct mailmill_client_result *r)
{
	m->on_rcpt(m->closure, m, i, r);
}

void
mailer_message_over(struct mailmill_message *m)
{
	struct mailmill_client *client = m->client;

	TAILQ_REMOVE(&client->queue, m, link);
	if (client->current == m)
		client->current = NULL;
	m->client = NULL;
	/* it may free the message, or give it to a client again */
	if (m->on_done != NULL)
		m->on_done(m->closure, m);
}

void
mailer_messages_fail(struct mailmill_client *client,
    const struct mailmill_client_result *r)
{
	bool was_over = client->is_over;
	struct mailmill_message *m;
	size_t i;

	/* what a function gives back at once would make this endless */
	client->is_over = true;
	while ((m = TAILQ_FIRST(&client->queue)) != NULL) {
		for (i = 0; i < m->env.nrcpts; i++)
			mailer_message_told(m, i, r);
		mailer_message_over(m);
	}
	client->is_over = was_over;
}

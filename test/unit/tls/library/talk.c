#include "test/unit/tls/library/talk.h"

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No test sends a message. */
static int
no_begin(void *, uint64_t, const struct timeval *, struct spool_msg **)
{
	return -1;
}

static const char *
no_id(const struct spool_msg *)
{
	return "";
}

static int
no_append(struct spool_msg *, const char *, size_t)
{
	return -1;
}

static int
no_commit(struct spool_msg *, const struct spool_envelope *)
{
	return -1;
}

static void
no_abort(struct spool_msg *)
{
}

static const struct spool_ops no_spool = { .size = sizeof(no_spool),
	.begin = no_begin, .id = no_id, .append = no_append,
	.commit = no_commit, .abort = no_abort };

static const struct timeval now = { 1700000000, 0 };

struct talk *
talk_new(void)
{
	struct talk *t = calloc(1, sizeof(*t));

	t->ops.size = sizeof(t->ops);
	t->options = esmtp_options_new("mx.example.test");
	cr_assert_not_null(t->options);
	t->fd = -1;
	return t;
}

void
talk_option(struct talk *t, const char *name, const char *value)
{
	char why[256];

	cr_assert_eq(esmtp_options_set(t->options, name, value, why,
	    sizeof(why)), 0, "%s", why);
}

void
talk_connect(struct talk *t)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
	    0);
	t->fd = fds[1];
	t->host = esmtp_host_new(&t->ops, t, &no_spool, NULL);
	cr_assert_not_null(t->host);
	t->ac = esmtp_session_new(t->host, t->options, fds[0], NULL, t);
	cr_assert_not_null(t->ac);
	(void)talk_step(t, E_WRITE);
}

/* What the session waits for, and does not have to wait for. */
static int
ready(const struct talk *t)
{
	const Event *e = t->ac->event;
	struct pollfd p = { .fd = e->fd };

	if (e->mask & E_READ)
		p.events |= POLLIN;
	if (e->mask & E_WRITE)
		p.events |= POLLOUT;
	(void)poll(&p, 1, 0);
	return (p.revents & (POLLIN | POLLHUP) ? E_READ : 0) |
	    (p.revents & POLLOUT ? E_WRITE : 0) |
	    (event_pending(t->ac->event) & e->mask);
}

static void
dispatch(struct talk *t, int eventtype)
{
	Event *e = t->ac->event;
	struct timeval at = now;

	e->mask = e->callback(e, eventtype, e->closure, &at);
	if (e->mask != 0)
		return;
	esmtp_session_free(t->ac);
	event_free(e);
	t->ac = NULL;
}

static int
client_read(struct talk *t)
{
	size_t room = sizeof(t->heard) - t->nheard - 1;
	ssize_t n = t->ssl != NULL ?
	    SSL_read(t->ssl, t->heard + t->nheard, (int)room) :
	    read(t->fd, t->heard + t->nheard, room);

	if (n > 0)
		t->nheard += (size_t)n;
	t->heard[t->nheard] = '\0';
	return n > 0;
}

static void
settle(struct talk *t)
{
	int type;

	while (t->ac != NULL && (type = ready(t)) != 0)
		dispatch(t, type);
}

const char *
talk_step(struct talk *t, int eventtype)
{
	t->nheard = 0;
	t->heard[0] = '\0';
	dispatch(t, eventtype);
	settle(t);
	while (client_read(t))
		;
	return t->heard;
}

const char *
talk_say(struct talk *t, const char *text)
{
	int len = (int)strlen(text);

	t->nheard = 0;
	t->heard[0] = '\0';
	cr_assert_eq(t->ssl != NULL ? SSL_write(t->ssl, text, len) :
	    (int)write(t->fd, text, (size_t)len), len);
	settle(t);
	while (client_read(t))
		;
	return t->heard;
}

bool
talk_tls(struct talk *t)
{
	int i, rc = 0;

	t->ctx = SSL_CTX_new(TLS_client_method());
	t->ssl = SSL_new(t->ctx);
	SSL_set_connect_state(t->ssl);
	SSL_set_fd(t->ssl, t->fd);
	for (i = 0; i < 20 && rc != 1; i++) {
		rc = SSL_do_handshake(t->ssl);
		settle(t);
	}
	t->nheard = 0;
	while (rc == 1 && client_read(t))
		;
	return rc == 1;
}

void
talk_end(struct talk *t)
{
	if (t->fd != -1)
		close(t->fd);
	if (t->ac != NULL)
		settle(t);
	cr_expect_null(t->ac);
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	esmtp_host_free(t->host);
	esmtp_options_free(t->options);
	free(t);
}

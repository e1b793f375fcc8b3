/* Sessions in libevent's loop, with STARTTLS and logins:
 *	libevent PORT CERTIFICATE KEY
 * A message is printed, and is safe a moment later, as if a disk had to be waited
 * for.  Names of functions are libevent's: ours have the prefix mailmill_ where
 * both have one. */

#define MAILMILL_PREFIX_ONLY
#include <mailmill/mailmill_sasl.h>
#include <mailmill/mailmill_tls.h>

#include <event2/event.h>
#include <event2/listener.h>

#include <netinet/in.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One session: the context of its accept_construct, and its message. */
struct spool_msg {
	accept_construct *ac;
	struct event *ready;	/* what it waits for */
	struct event *stored;	/* the message is safe */
	esmtp_ticket ticket;	/* of that answer */
	char *text;
	size_t len;
	FILE *file;
};

static struct event_base *base;
static struct esmtp_host *host;
static struct esmtp_options *options;
static struct spool_msg *current;	/* the session whose step it is */

/* --- the store --------------------------------------------------------- */

static int
begin(void *spool, uint64_t handle, const struct timeval *now, struct spool_msg **msg_r)
{
	(void)spool, (void)handle, (void)now;
	*msg_r = current;
	return (current->file = open_memstream(&current->text, &current->len)) != NULL ? 0 : -1;
}

static int
append(struct spool_msg *m, const char *buf, size_t len)
{
	return fwrite(buf, 1, len, m->file) == len ? 0 : -1;
}

static void
forget(struct spool_msg *m)
{
	if (m == NULL || m->file == NULL)
		return;
	fclose(m->file);
	free(m->text);
	m->file = NULL;
	m->text = NULL;
}

static int
commit(struct spool_msg *m, const struct spool_envelope *env)
{
	struct timeval soon = { 0, 10000 };

	if (fflush(m->file) != 0 || printf("%s to %s\n", env->sender, env->rcpts[0]) < 0 ||
	    fwrite(m->text, 1, m->len, stdout) != m->len || fflush(stdout) != 0 ||
	    event_add(m->stored, &soon) == -1)
		return -1;
	forget(m);
	m->ticket = env->ticket;
	return 0;
}

/* --- the loop ---------------------------------------------------------- */

static void
forget_session(struct spool_msg *s)
{
	if (s->ready != NULL)
		event_free(s->ready);
	if (s->stored != NULL)
		event_free(s->stored);
	free(s);
}

static void
step(struct spool_msg *s, int type)
{
	Event *e = esmtp_session_event(s->ac);
	struct timeval now, left;
	short what = 0;

	current = s;
	evutil_gettimeofday(&now, NULL);
	/* what the TLS layer has read already, poll(2) does not see */
	do
		e->mask = e->callback(e, type, e->closure, &now);
	while (e->mask != 0 && (type = mailmill_event_pending(e) & e->mask) != 0);
	event_del(s->ready);
	if (e->mask == 0) {
		esmtp_session_free(s->ac);
		mailmill_event_free(e);
		forget_session(s);
		return;
	}
	if (e->mask & E_READ)
		what |= EV_READ;
	if (e->mask & E_WRITE)
		what |= EV_WRITE;
	evutil_timersub(&e->trigger, &now, &left);
	if (left.tv_sec < 0)
		evutil_timerclear(&left);
	event_assign(s->ready, base, what != 0 ? e->fd : -1, what, event_get_callback(s->ready), s);
	event_add(s->ready, e->mask & E_TIMEOUT ? &left : NULL);
}

static void
on_ready(evutil_socket_t fd, short what, void *closure)
{
	(void)fd;
	step(closure, (what & EV_READ ? E_READ : 0) | (what & EV_WRITE ? E_WRITE : 0) | (what & EV_TIMEOUT ? E_TIMEOUT : 0));
}

static void
on_stored(evutil_socket_t fd, short what, void *closure)
{
	struct spool_msg *s = closure;

	(void)fd, (void)what;
	esmtp_answer(host, s->ticket, 0);
	step(s, E_ASYNC);
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *peer, int len, void *closure)
{
	struct spool_msg *s = calloc(1, sizeof(*s));

	(void)l, (void)len, (void)closure;
	if (s != NULL && (s->ready = event_new(base, fd, EV_WRITE, on_ready, s)) != NULL &&
	    (s->stored = event_new(base, -1, 0, on_stored, s)) != NULL &&
	    (s->ac = esmtp_session_new(host, options, fd, peer, s)) != NULL) {
		step(s, E_WRITE);
		return;
	}
	/* there is no memory for this client */
	if (s != NULL)
		forget_session(s);
	evutil_closesocket(fd);
}

static enum mailmill_sasl_verdict
password(void *closure, accept_construct *ac, const char *user, const char *word, uint64_t question)
{
	(void)closure, (void)ac, (void)question;
	return strcmp(user, "user") == 0 && strcmp(word, "secret") == 0 ? MAILMILL_SASL_YES : MAILMILL_SASL_NO;
}

static void
set(const char *name, const char *value)
{
	char why[256];

	if (esmtp_options_set(options, name, value, why, sizeof(why)) == -1)
		errx(1, "%s", why);
}

int
main(int argc, char **argv)
{
	struct spool_ops spool = { .size = sizeof(spool), .begin = begin, .append = append, .commit = commit, .abort = forget };
	struct esmtp_host_ops ops = { .size = sizeof(ops) };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	char why[MAILMILL_TLS_ERROR_MAX];
	struct mailmill_sasl *sasl;
	struct mailmill_tls *tls;

	if (argc != 4)
		errx(2, "usage: libevent PORT CERTIFICATE KEY");
	if ((options = esmtp_options_new("mx.example.test")) == NULL)
		err(1, "options");
	set("TLS_Certificate", argv[2]);
	set("TLS_Key", argv[3]);
	set("Require_Auth", "true");
	if ((tls = mailmill_tls_new(options, why, sizeof(why))) == NULL)
		errx(1, "%s", why);
	if ((sasl = mailmill_sasl_new(password, NULL, NULL)) == NULL ||
	    mailmill_tls_host(tls, &ops) == -1 || mailmill_sasl_host(sasl, &ops) == -1 ||
	    (host = esmtp_host_new(&ops, NULL, &spool, NULL)) == NULL || (base = event_base_new()) == NULL)
		err(1, "libevent");
	at.sin_port = htons((in_port_t)atoi(argv[1]));
	if (evconnlistener_new_bind(base, on_accept, NULL, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&at, sizeof(at)) == NULL)
		err(1, "port %s", argv[1]);
	return event_base_dispatch(base);
}

/* A program that is not mailmill and receives mail with its engine: an example
 * of what an embedder writes, and the proof that it is enough.
 * Owns: a loop (poll(2), one session), a clock that starts in 1970 and passes
 * as it likes, a spool of one message in memory.  Of core/ it uses events.
 *
 * Only libmailmill.a is linked; that neither our scheduler nor the system's
 * clock comes along is checked by nm(1) in embed_check.sh. */

#include <sys/socket.h>
#include <sys/time.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mailmill/esmtp_factory.h>
#include <mailmill/spool.h>

/* --- the clock: whatever the embedder says ----------------------------- */

static struct timeval now = { 77, 999999 };

static void
pass_time(long ms)
{
	now.tv_usec += (ms % 1000) * 1000;
	now.tv_sec += ms / 1000 + now.tv_usec / 1000000;
	now.tv_usec %= 1000000;
}

/* --- the spool: one message in memory --------------------------------- */

struct spool_msg {
	char	 body[8192];
	size_t	 len;
	char	 sender[128], rcpts[256];
	esmtp_ticket ticket;		/* of its commit */
	bool	 is_committed;		/* taken; safe when the loop says so */
	bool	 is_safe;
	bool	 is_in_use;
};

static struct spool_msg mail;

static int
mem_begin(void *, uint64_t, const struct timeval *,
    struct spool_msg **msg_r)
{
	if (mail.is_in_use) {
		errno = ENOSPC;
		return -1;
	}
	mail.is_in_use = true;
	*msg_r = &mail;
	return 0;
}

static const char *
mem_id(const struct spool_msg *)
{
	return "EMBED1";
}

static size_t
mem_room(void *, uint64_t)
{
	return sizeof(mail.body) - mail.len;
}

static int
mem_append(struct spool_msg *m, const char *buf, size_t len)
{
	if (len > sizeof(m->body) - m->len) {
		errno = ENOSPC;
		return -1;
	}
	memcpy(m->body + m->len, buf, len);
	m->len += len;
	return 0;
}

static int
mem_commit(struct spool_msg *m, const struct spool_envelope *env)
{
	size_t i, n = 0;

	snprintf(m->sender, sizeof(m->sender), "%s", env->sender);
	for (i = 0; i < env->nrcpts && n < sizeof(m->rcpts); i++)
		n += (size_t)snprintf(m->rcpts + n, sizeof(m->rcpts) - n,
		    "%s%s", i > 0 ? "," : "", env->rcpts[i]);
	m->ticket = env->ticket;
	m->is_committed = true;
	return 0;
}

static void
mem_abort(struct spool_msg *m)
{
	if (m != NULL)
		memset(m, 0, sizeof(*m));
}

static const struct spool_ops mem_ops = {
	.size = sizeof(mem_ops),
	.begin = mem_begin,
	.id = mem_id,
	.room = mem_room,
	.append = mem_append,
	.commit = mem_commit,
	.abort = mem_abort,
};

/* --- the host ---------------------------------------------------------- */

static bool is_ended;

static void
report(void *, accept_construct *, const struct esmtp_report *r)
{
	if (r->kind == ESMTP_REPORT_ACCEPTED)
		printf("accepted %s, %llu octets\n", r->id,
		    (unsigned long long)r->octets);
}

static void
session_end(void *, accept_construct *ac)
{
	esmtp_session_free(ac);
	is_ended = true;
}

static const struct esmtp_host_ops host_ops = {
	.size = sizeof(host_ops),
	.report = report,
	.session_end = session_end,	/* lookup_rcpt NULL: every mailbox is ours */
};

static struct esmtp_host *host;

/* --- the client, at the other end of the socketpair -------------------- */

struct client {
	int			 fd;
	const char *const	*script;	/* wait for this, send that, ... */
	char			 heard[4096];
	size_t			 nheard, seen;
};

static void
fail(const char *what, const char *detail)
{
	fprintf(stderr, "FAIL embed: %s: %s\n", what, detail);
	exit(1);
}

static void
client_step(struct client *c)
{
	const char *found;
	ssize_t n;

	n = read(c->fd, c->heard + c->nheard, sizeof(c->heard) - c->nheard - 1);
	if (n > 0)
		c->nheard += (size_t)n;
	c->heard[c->nheard] = '\0';
	while (c->script[0] != NULL
	    && (found = strstr(c->heard + c->seen, c->script[0])) != NULL) {
		c->seen = (size_t)(found - c->heard) + strlen(c->script[0]);
		if (c->script[1] == NULL) {
			c->script++;
			break;
		}
		if (write(c->fd, c->script[1], strlen(c->script[1])) == -1)
			fail("client", strerror(errno));
		c->script += 2;
	}
}

/* --- the loop ---------------------------------------------------------- */

/* What has come true of what the event waits for. */
static int
wait_for(const Event *e, long ms_per_pass)
{
	struct pollfd p = { .fd = e->fd };
	int type = 0;

	if (e->mask & E_READ)
		p.events |= POLLIN;
	if (e->mask & E_WRITE)
		p.events |= POLLOUT;
	if (poll(&p, 1, 0) == -1)
		fail("poll", strerror(errno));
	pass_time(ms_per_pass);
	if (p.revents & (POLLIN | POLLHUP))
		type |= E_READ;
	if (p.revents & POLLOUT)
		type |= E_WRITE;
	if (e->mask & E_TIMEOUT && !timercmp(&now, &e->trigger, <))
		type |= E_TIMEOUT;
	return type;
}

static void
run(Event *e, struct client *c, long ms_per_pass)
{
	accept_construct *ac = e->closure;
	int type, npasses, nwaiting = 0;

	is_ended = false;
	for (npasses = 0; npasses < 10000; npasses++) {
		type = wait_for(e, ms_per_pass);
		/* "the disk" takes three passes */
		if (mail.is_committed && !mail.is_safe && ++nwaiting == 3) {
			mail.is_safe = true;
			esmtp_answer(host, mail.ticket, 0);
			if (esmtp_answered(host) != ac)
				fail("answer", "for another session");
			type |= E_ASYNC;
		}
		if (type != 0 && (e->mask = e->callback(e, type, e->closure,
		    &now)) == 0) {
			client_step(c);
			event_free(e);
			return;
		}
		client_step(c);
		if (strstr(c->heard, "queued as") != NULL && !mail.is_safe)
			fail("order", "250 before the commit");
	}
	fail("loop", "the session does not end");
}

static void
session(const struct esmtp_options *o, const char *const *script,
    struct client *c, long ms_per_pass)
{
	accept_construct *ac;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == -1)
		fail("socketpair", strerror(errno));
	memset(c, 0, sizeof(*c));
	c->fd = fds[1];
	c->script = script;
	if ((ac = esmtp_session_new(host, o, fds[0], NULL, c)) == NULL)
		fail("session", strerror(errno));
	if (esmtp_session_context(ac) != c)
		fail("session", "another context");
	run(esmtp_session_event(ac), c, ms_per_pass);
	close(c->fd);
	if (!is_ended)
		fail("session", "session_end() was not called");
	if (c->script[0] != NULL)
		fail("client never heard", c->script[0]);
}

/* --- the proof --------------------------------------------------------- */

static const char *const sends_mail[] = {
	"220 embedded.example", "EHLO client.example\r\n",
	"250 ", "MAIL FROM:<a@client.example>\r\n"
	    "RCPT TO:<b@embedded.example>\r\nRCPT TO:<c@embedded.example>\r\n"
	    "DATA\r\n",
	"354 ", "Subject: hello\r\n\r\n..a dot\r\nHello.\r\n.\r\nQUIT\r\n",
	"250 2.0.0 OK: queued as EMBED1\r\n221 2.0.0 ", NULL
};

static const char *const says_nothing[] = { "220 ", "NOOP\r\n", "250 ", "",
	"421 4.4.2 ", NULL };

static void
check_mail(void)
{
	static const char want[] = "Subject: hello\r\n\r\n.a dot\r\nHello.\r\n";
	const char *body = strstr(mail.body, "Subject: ");

	if (!mail.is_safe || strcmp(mail.sender, "a@client.example") != 0
	    || strcmp(mail.rcpts, "b@embedded.example,c@embedded.example") != 0)
		fail("envelope", mail.rcpts);
	if (body == NULL || strcmp(body, want) != 0)
		fail("body", mail.body);
	/* our clock, and no other, dates it */
	if (strncmp(mail.body, "Received: from client.example", 29) != 0
	    || strstr(mail.body, "Thu, 01 Jan 1970 00:01:") == NULL)
		fail("Received header", mail.body);
}

int
main(void)
{
	struct esmtp_options *options = esmtp_options_new("embedded.example");
	char why[256];
	struct client c;
	struct timeval began;

	host = esmtp_host_new(&host_ops, NULL, &mem_ops, NULL);
	if (options == NULL || host == NULL)
		fail("start", strerror(errno));
	if (esmtp_options_set(options, "Command_Timeout", "2m", why,
	    sizeof(why)) == -1)
		fail("options", why);
	session(options, sends_mail, &c, 7);
	check_mail();
	began = now;
	session(options, says_nothing, &c, 1000);
	/* two minutes, and of our clock: no time passed */
	if (now.tv_sec - began.tv_sec < 120 || now.tv_sec - began.tv_sec > 130)
		fail("timeout", "not on our clock");
	esmtp_host_free(host);
	esmtp_options_free(options);
	printf("2 passed, 0 failed\n");
	return 0;
}

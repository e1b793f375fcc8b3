/* A session, its client and its spool: see receiver.h.
 * In the C of 1999, with the documented names, of the installed headers alone. */

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mailmill/version.h>

#include "receiver.h"

static void
fail(const char *what)
{
	fprintf(stderr, "FAIL receiver: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the spool -------------------------------------------------------- */

struct spool_msg {
	char	body[8192];
	size_t	len;
	char	rcpt[128];
	esmtp_ticket ticket;
};

static struct spool_msg mail;
static int is_taken, must_commit, is_safe;

static int
mem_begin(void *spool, uint64_t handle, const struct timeval *now,
    struct spool_msg **msg_r)
{
	(void)spool, (void)handle, (void)now;
	if (is_taken) {
		errno = ENOSPC;
		return -1;
	}
	is_taken = 1;
	*msg_r = &mail;
	return 0;
}

static const char *
mem_id(const struct spool_msg *m)
{
	(void)m;
	return "MEMORY1";
}

static size_t
mem_room(void *spool, uint64_t handle)
{
	(void)spool, (void)handle;
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
	strncpy(m->rcpt, env->rcpts[0], sizeof(m->rcpt) - 1);
	m->ticket = env->ticket;
	must_commit = 1;
	return 0;
}

static void
mem_abort(struct spool_msg *m)
{
	if (m != NULL)
		is_taken = 0;
}

static const struct spool_ops mem_ops = {
	sizeof(struct spool_ops), mem_begin, mem_id, mem_room, mem_append, mem_commit, mem_abort, 0
};

/* --- the host ---------------------------------------------------------- */

static void
report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	(void)host, (void)ac, (void)r;
}

static void
session_end(void *host, accept_construct *ac)
{
	(void)host;
	esmtp_session_free(ac);
}

static struct esmtp_host_ops host_ops;
static struct esmtp_host *host;
static struct esmtp_options *options;
static accept_construct *session;

/* --- the client -------------------------------------------------------- */

static pid_t client;
static int confirmed[2];	/* a pipe: the client has the 250 of the message */

/* Read until a reply has begun with ${code} and its last line is whole. */
static void
expect(FILE *in, const char *code)
{
	char line[1024];

	do {
		if (fgets(line, sizeof(line), in) == NULL)
			fail("the client was left");
		if (strncmp(line, code, 3) != 0) {
			fprintf(stderr, "client: %s expected: %s", code, line);
			_exit(1);
		}
	} while (line[3] == '-');
}

static void
be_client(int fd)
{
	static const char *const says[] = { "EHLO client.example\r\n",
		"MAIL FROM:<a@client.example>\r\n",
		"RCPT TO:<b@receiver.example>\r\n", "DATA\r\n",
		"Subject: hello\r\n\r\nHello.\r\n.\r\n", "QUIT\r\n" };
	static const char *const hears[] = { "250", "250", "250", "354", "250",
		"221" };
	FILE *in = fdopen(fd, "r");
	size_t i;

	expect(in, "220");
	for (i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
		if (write(fd, says[i], strlen(says[i])) == -1)
			fail("write");
		expect(in, hears[i]);
		if (says[i][0] == 'S' && write(confirmed[1], "", 1) == -1)
			fail("write");
	}
	_exit(0);
}

/* --- the session ------------------------------------------------------- */

Event *
receiver_start(void)
{
	int fds[2];

	if (mailmill_version_number() != MAILMILL_VERSION_NUMBER
	    || strcmp(mailmill_version(), MAILMILL_VERSION) != 0)
		fail("the header's version is not the library's");
	options = esmtp_options_new("receiver.example");
	host_ops.size = sizeof(host_ops);
	host_ops.report = report;
	host_ops.session_end = session_end;
	host = esmtp_host_new(&host_ops, NULL, &mem_ops, NULL);
	if (options == NULL || host == NULL
	    || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1
	    || fcntl(fds[0], F_SETFL, O_NONBLOCK) == -1
	    || pipe(confirmed) == -1)
		fail("start");
	if ((client = fork()) == -1)
		fail("fork");
	if (client == 0) {
		close(fds[0]);
		be_client(fds[1]);
	}
	close(fds[1]);
	close(confirmed[1]);
	session = esmtp_session_new(host, options, fds[0], NULL, NULL);
	if (session == NULL)
		fail("esmtp_session_new");
	return esmtp_session_event(session);
}

int
receiver_step(Event *e, int eventtype)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	e->mask = e->callback(e, eventtype, e->closure, &now);
	if (e->mask != 0)
		return e->mask;
	event_free(e);
	return 0;
}

int
receiver_must_commit(void)
{
	int must = must_commit;

	must_commit = 0;
	return must;
}

/* Does the client have the 250 after at most so long? */
static int
is_confirmed(int ms)
{
	struct pollfd p = { 0, POLLIN, 0 };
	char c;

	p.fd = confirmed[0];
	return poll(&p, 1, ms) == 1 && read(confirmed[0], &c, 1) == 1;
}

void
receiver_commit(void)
{
	if (is_confirmed(100))
		fail("250 before the commit");
	is_safe = 1;
	if (esmtp_answer(host, mail.ticket, 0) == -1
	    || esmtp_answered(host) != session)
		fail("nobody waits for the commit");
}

long
receiver_timeout_ms(const Event *e)
{
	struct timeval now;
	long ms;

	gettimeofday(&now, NULL);
	ms = (long)(e->trigger.tv_sec - now.tv_sec) * 1000
	    + (long)(e->trigger.tv_usec - now.tv_usec) / 1000 + 1;
	return ms > 0 ? ms : 1;
}

int
receiver_check(const char *program)
{
	static const char want[] = "Subject: hello\r\n\r\nHello.\r\n";
	int status;

	esmtp_host_free(host);
	esmtp_options_free(options);
	if (waitpid(client, &status, 0) == -1 || status != 0)
		fail("the client is not content");
	if (!is_safe || !is_confirmed(0) || strcmp(mail.rcpt, "b@receiver.example") != 0)
		fail("no message");
	if (strstr(mail.body, want) == NULL)
		fail("another message");
	printf("%s: received %lu octets with mailmill %s\n", program,
	    (unsigned long)mail.len, mailmill_version());
	return 0;
}

/* See send_submit.h.  The engine of proto/client speaks SMTP. */

#include "cmd/sendmail/send_submit.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"
#include "core/util/fileio.h"
#include "proto/client/smtp_client.h"

struct submit {
	const struct send_message	*m;
	struct spool_envelope		 env;
	struct send_said		*said;
	bool				 is_whole, is_given_up, is_begun,
					 is_ended;
	char				*why;
};

static void
note(struct send_said *said, const struct smtp_result *r)
{
	static const enum send_verdict verdicts[] = {
		[SMTP_ACCEPTED] = SEND_TAKEN, [SMTP_DEFERRED] = SEND_LATER,
		[SMTP_REFUSED] = SEND_REFUSED, [SMTP_UNSENT] = SEND_LATER,
		[SMTP_UNCERTAIN] = SEND_UNKNOWN
	};

	said->verdict = verdicts[r->outcome];
	said->is_reply = r->why == SMTP_WHY_SAID;
	said->is_deferred = said->is_reply && r->outcome == SMTP_DEFERRED;
	said->code = r->code;
	snprintf(said->enhanced, sizeof(said->enhanced), "%s", r->enhanced);
	snprintf(said->words, sizeof(said->words), "%s%s%s%s",
	    r->why == SMTP_WHY_IO ? strerror(r->errnum) : r->words,
	    *r->command != '\0' ? " (reply to " : "", r->command,
	    *r->command != '\0' ? ")" : "");
}

static enum smtp_next
on_next(void *host, struct smtp_client *, struct smtp_message *m_r)
{
	struct submit *s = host;

	if (s->is_begun)
		return SMTP_NEXT_QUIT;
	s->is_begun = true;
	*m_r = (struct smtp_message){ .env = &s->env, .octets = s->m->octets };
	return SMTP_NEXT_MESSAGE;
}

static ssize_t
on_read(void *host, struct smtp_client *, uint64_t offset, char *buf,
    size_t size)
{
	struct submit *s = host;

	/* the server has not got the message before its end */
	if (s->is_given_up) {
		errno = ECANCELED;
		return -1;
	}
	return send_message_pread(s->m, offset, buf, size);
}

static void
on_rcpt(void *host, struct smtp_client *c, size_t i,
    const struct smtp_result *r)
{
	struct submit *s = host;

	note(&s->said[i], r);
	if (s->is_whole && !s->is_given_up && (r->outcome == SMTP_DEFERRED ||
	    r->outcome == SMTP_REFUSED)) {
		s->is_given_up = true;
		smtp_client_stop(c);
	}
}

static void
on_done(void *, struct smtp_client *)
{
}

static void
on_ended(void *host, struct smtp_client *, const struct smtp_result *r)
{
	struct submit *s = host;

	s->is_ended = true;
	if (r->why != SMTP_WHY_QUIT)
		snprintf(s->why, SEND_WORDS_MAX, "%s", r->words);
}

static const struct smtp_client_ops ops = {
	.next = on_next, .read = on_read, .rcpt = on_rcpt, .done = on_done,
	.ended = on_ended
};

int
send_submit_connect(const char *path, int type)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&sun,
	    sizeof(sun)) == -1) {
		fileio_close(fd);
		return -1;
	}
	return fd;
}

/* Run the client on ${fd}, which it closes.  Return 0, or -1 with errno. */
static int
run(struct submit *s, const char *helo, int fd)
{
	const struct smtp_client_options options = { .helo = helo };
	struct scheduler *sched = scheduler_create(NULL);
	struct smtp_client *c = NULL;
	Event *event = NULL;

	if (sched == NULL ||
	    (c = smtp_client_new(&options, &ops, s)) == NULL ||
	    (event = build_fd_event(fd, E_READ | E_WRITE, E_AGGRESSIVE_NONE,
	    smtp_client_event, c)) == NULL || schedule_event(event) == -1) {
		event_free(event);
		smtp_client_free(c);
		scheduler_destroy(sched);
		fileio_close(fd);
		return -1;
	}
	while (!s->is_ended && scheduler_pass(sched, -1) != -1)
		;
	scheduler_destroy(sched);
	return 0;
}

int
send_submit(const char *path, const char *helo,
    const struct send_envelope *env, const struct send_message *m,
    bool is_whole, struct send_said *said, char why[SEND_WORDS_MAX])
{
	struct submit s = { .m = m, .said = said, .is_whole = is_whole,
		.why = why };
	uint8_t *notify = NULL;
	int fd, rc;

	*why = '\0';
	memset(said, 0, env->rcpts.n * sizeof(*said));
	s.env = (struct spool_envelope){ .sender = env->sender,
		.rcpts = (const char *const *)env->rcpts.v,
		.nrcpts = env->rcpts.n, .flags = env->flags,
		.envid = env->envid[0] != '\0' ? env->envid : NULL };
	if (env->notify != 0) {
		if ((notify = malloc(env->rcpts.n)) == NULL)
			return -1;
		memset(notify, env->notify, env->rcpts.n);
		s.env.notify = notify;
	}
	fd = send_submit_connect(path, SOCK_STREAM);
	rc = fd == -1 ? -1 : run(&s, helo, fd);
	free(notify);
	return rc;
}

void
send_submit_keep(struct send_list *list, const struct send_said *said,
    unsigned int verdicts)
{
	size_t i, n = 0;

	for (i = 0; i < list->n; i++) {
		if ((verdicts & 1U << said[i].verdict) != 0)
			list->v[n++] = list->v[i];
		else
			free(list->v[i]);
	}
	list->n = n;
}

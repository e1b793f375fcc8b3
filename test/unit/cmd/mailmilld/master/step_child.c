/* The processes of the plays: see step_child.h. */

#include "test/unit/cmd/mailmilld/master/step_child.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/role/ended.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/role/vouch.h"

struct master step_master;
struct step_child step_children[STEP_CHILDREN_MAX];
int step_nchildren, step_nlogs;
bool step_no_fork;
unsigned int step_nmoved;
unsigned int step_limit_ms;
char step_said[1024];

void __attribute__((format(printf, 1, 2)))
step_say(const char *fmt, ...)
{
	size_t len = strlen(step_said);
	va_list ap;

	if (len > 0)
		strlcat(step_said, " ", sizeof(step_said));
	len = strlen(step_said);
	va_start(ap, fmt);
	vsnprintf(step_said + len, sizeof(step_said) - len, fmt, ap);
	va_end(ap);
}

const char *
step_name_of(const struct step_child *c)
{
	static char name[32];

	snprintf(name, sizeof(name), "%c%u@%u", *role_name(c->role), c->slot,
	    c->generation);
	return name;
}

pid_t
step_spawn(enum role_id role, int *fd_r)
{
	struct step_child *c = &step_children[step_nchildren];
	int fds[2];

	if (step_no_fork) {
		errno = EAGAIN;
		return -1;
	}
	cr_assert_lt(step_nchildren, STEP_CHILDREN_MAX);
	cr_assert_eq(channel_pair(fds), 0);
	memset(c, 0, sizeof(*c));
	c->role = role;
	c->ch = channel_open(fds[1], msg_rows, NMSGS, role, ROLE_MASTER);
	*fd_r = fds[0];
	return 1000 + step_nchildren++;
}

int
step_kill(pid_t pid, int signo)
{
	struct step_child *c = &step_children[pid - 1000];

	cr_assert_eq(signo, SIGKILL);
	cr_assert_not(c->has_exited, "%s", step_name_of(c));
	c->is_killed = true;
	step_say("!%s", step_name_of(c));
	return 0;
}

bool
step_is_traced(pid_t pid)
{
	return step_children[pid - 1000].is_traced;
}

/* --- what it is told ------------------------------------------------------ */

static unsigned int
generation_of(const struct step_child *c)
{
	const struct proc *p;

	TAILQ_FOREACH(p, &step_master.procs, link)
		if (p->pid == 1000 + (pid_t)(c - step_children))
			return p->generation;
	return 0;
}

static void
hear_hold(struct step_child *c, const struct msg_hold *hold)
{
	if (c->is_held != (hold->is_held != 0))
		step_say("%s:%s", step_name_of(c), c->is_held ? "free" : "held");
	c->is_held = hold->is_held != 0;
}

static void
keep_session(struct step_child *c, struct channel_msg *msg)
{
	cr_assert_lt(c->nsessions, STEP_SESSIONS_MAX);
	c->sessions[c->nsessions].handle =
	    ((const struct msg_session *)msg->base)->handle;
	c->sessions[c->nsessions++].fd = msg->fd;
	msg->fd = -1;
}

static void
hear_vouch(struct step_child *c, const struct msg_peer *who, int fd)
{
	cr_assert_eq(who->role, ROLE_WORKER);
	if (who->slot > STEP_SLOTS_MAX)
		return;
	vouch_free(c->vouches[who->slot]);
	cr_assert_not_null(c->vouches[who->slot] = vouch_attach(fd));
}

/* ${status}: of waitpid(2), where it was not killed. */
static void
end_child(struct step_child *c, int status)
{
	unsigned int i;

	channel_free(c->ch);
	c->ch = NULL;
	ended_free(c->ended);
	c->ended = NULL;
	for (i = 0; i <= STEP_SLOTS_MAX; i++) {
		vouch_free(c->vouches[i]);
		c->vouches[i] = NULL;
	}
	c->nleft = 0;
	proc_exited(&step_master, 1000 + (pid_t)(c - step_children),
	    c->is_killed ? SIGKILL : status);
	c->has_exited = true;
}

static void
exit_child(struct step_child *c)
{
	end_child(c, c->is_told ? 0 : 1 << 8);
}

static void
take_sessions(struct step_child *c)
{
	for (; c->nleft > 0 && !c->is_stuck; c->nleft--)
		ended_take(c->ended);
}

/* What ${c} has been sent. */
void
step_hear(struct step_child *c)
{
	struct channel_msg msg;
	const struct msg_init *init;
	uint32_t version;

	while (c->ch != NULL && channel_recv(c->ch, &msg) == 1) {
		switch (msg.type) {
		case M_INIT:
			init = msg.base;
			c->slot = init->slot;
			c->uid = init->uid;
			c->gid = init->gid;
			c->generation = generation_of(c);
			c->is_successor = init->is_successor != 0;
			break;
		case M_LOG:
			step_nlogs += c->role == ROLE_LOGGER;
			cr_assert_eq(((const struct msg_log *)msg.base)->kind ==
			    LOG_TO_LOGGER, c->role != ROLE_LOGGER);
			break;
		case M_WRITER:
			cr_assert_neq(msg.fd, -1);
			c->nwriters++;
			c->writer = ((const struct msg_writer *)msg.base)->
			    instance;
			break;
		case M_START:
			step_say("+%s", step_name_of(c));
			break;
		case M_DRAIN:
			c->is_told = true;
			step_limit_ms = ((const struct msg_drain *)msg.base)->
			    limit_ms;
			step_say("-%s", step_name_of(c));
			if (c->role == ROLE_LOGGER && !c->is_stuck)
				exit_child(c);
			break;
		case M_HOLD:
			hear_hold(c, msg.base);
			break;
		case M_CONTROL:
			step_say("%s?", step_name_of(c));
			break;
		case M_SESSION:
			step_say("%s<", step_name_of(c));
			keep_session(c, &msg);
			c->nleft++;
			break;
		case M_MOVE:
			step_nmoved++;
			c->nleft++;
			break;
		case M_TICKETS:
			memcpy(&c->tickets, msg.base, sizeof(c->tickets));
			break;
		case M_ENDED:
			c->ended = ended_attach(msg.fd);
			break;
		case M_VOUCH:
			hear_vouch(c, msg.base, msg.fd);
			break;
		case M_CERTS:
			version = ((const struct msg_certs *)msg.base)->version;
			if (version > 1 && version != c->version)
				step_say("%s=%u", step_name_of(c), version);
			c->version = version;
			break;
		}
		if (msg.fd != -1)
			close(msg.fd);
	}
	take_sessions(c);
}

/* --- what it does --------------------------------------------------------- */

static void
send_empty(struct step_child *c, enum msg_type type)
{
	struct msg_empty empty = { 0 };

	cr_assert_eq(channel_send(c->ch, type, &empty, NULL, 0, -1), 0);
}

static void
send_ready(struct step_child *c)
{
	struct msg_ready ready = { 0 };

	cr_assert_eq(channel_send(c->ch, M_READY, &ready, NULL, 0, -1), 0);
}

static void
send_trouble(struct step_child *c, const char *text)
{
	struct msg_empty empty = { 0 };

	cr_assert_eq(channel_send(c->ch, M_TROUBLE, &empty, text,
	    (unsigned int)strlen(text), -1), 0);
}

static void
answer_keys(struct step_child *c, bool is_good)
{
	struct msg_keys_ready msg = { .version = c->version,
		.is_good = is_good };

	cr_assert_eq(channel_send(c->ch, M_KEYS_READY, &msg, NULL, 0, -1), 0);
}

/* It gives all its sessions away. */
static void
move_sessions(struct step_child *c)
{
	struct msg_move move = { .moved.id = "0" };

	while (c->nsessions > 0) {
		move.session.handle = c->sessions[--c->nsessions].handle;
		cr_assert_eq(channel_send(c->ch, M_MOVE, &move, NULL, 0,
		    c->sessions[c->nsessions].fd), 0);
	}
}

/* Of seven sessions it has moved four and told two; or many more. */
static void
tell_drained(struct step_child *c, bool is_true)
{
	struct msg_drained md = { .nsessions = 7, .nmoved = 4,
		.ntold = is_true ? 2 : UINT32_MAX };

	cr_assert_eq(channel_send(c->ch, M_DRAINED, &md, NULL, 0, -1), 0);
}

bool
step_act(const char *verb, struct step_child *c)
{
	if (strcmp(verb, "ready") == 0) {
		if (!c->is_ready)
			send_ready(c);
		c->is_ready = true;
	} else if (strcmp(verb, "exit") == 0) {
		exit_child(c);
	} else if (strcmp(verb, "quit") == 0 || strcmp(verb, "fail") == 0) {
		end_child(c, *verb == 'q' ? 0 : 1 << 8);
	} else if (strcmp(verb, "crash") == 0) {
		end_child(c, SIGSEGV);
	} else if (strcmp(verb, "kill") == 0) {
		end_child(c, SIGTERM);
	} else if (strcmp(verb, "move") == 0) {
		move_sessions(c);
	} else if (strcmp(verb, "tell") == 0) {
		tell_drained(c, true);
	} else if (strcmp(verb, "lie") == 0) {
		tell_drained(c, false);
	} else if (strcmp(verb, "close") == 0) {
		channel_free(c->ch);
		c->ch = NULL;
	} else if (strcmp(verb, "stick") == 0 || strcmp(verb, "go") == 0) {
		c->is_stuck = *verb == 's';
	} else if (strcmp(verb, "trace") == 0 || strcmp(verb, "leave") == 0) {
		c->is_traced = *verb == 't';
	} else if (strcmp(verb, "relog") == 0) {
		send_empty(c, M_RELOG);
	} else if (strcmp(verb, "trouble") == 0) {
		send_trouble(c, "it is locked\n\xff");
	} else if (strcmp(verb, "well") == 0) {
		send_trouble(c, "");
	} else if (strcmp(verb, "usable") == 0) {
		answer_keys(c, true);
	} else if (strcmp(verb, "unusable") == 0) {
		answer_keys(c, false);
	} else {
		return false;
	}
	return true;
}

bool
step_is_named(const struct step_child *c, const char *who)
{
	if (c->has_exited)
		return false;
	if (strcmp(who, "all") == 0)
		return true;
	if (strcmp(who, "killed") == 0)
		return c->is_killed;
	if (strcmp(who, "drained") == 0)
		return c->is_told;
	return strcmp(who, step_name_of(c)) == 0;
}

struct step_child *
step_child_of(const char *name)
{
	int i;

	for (i = 0; i < step_nchildren; i++)
		if (strcmp(step_name_of(&step_children[i]), name) == 0 &&
		    !step_children[i].has_exited)
			return &step_children[i];
	cr_assert_fail("%s", name);
	return NULL;
}

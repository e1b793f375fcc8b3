/* The master's state machine without a fork: its processes are the other ends
 * of their channels, its checks are pipes, its clock is turned by hand.
 *
 * A test is a play: lines of what happens (several in one pass are parted by
 * ';') and of what the master does then.  Processes are named by role, slot
 * and generation: w2@1 is the second worker of the first configuration.
 *	+w1@1	is started		-w1@1	is told to drain
 *	!w1@1	is killed		w1@1=2	gets version 2 of certificates
 *	w1@1<	gets a session		?auth ?keys	a check begins
 *	running stopping ended		the phase; of the last, its status
 *	accept deaf			takes connections, or does not any more
 *	@2				that generation is in use
 *	ok, no:WHY			a reload is answered; of what is wrong in the
 *					configuration, no more than that */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/mailmilld/master/certs.h"
#include "cmd/mailmilld/master/master.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/clock.h"
#include "core/loop/after.h"
#include "core/scheduler.h"

#define CHILDREN_MAX	64

struct line {
	const char	*happens;
	const char	*follows;
};

struct child {
	struct channel	*ch;		/* NULL: has closed it */
	enum role_id	 role;
	unsigned int	 slot, generation;
	bool		 has_exited, is_ready, is_told, is_killed;
	uint32_t	 version;	/* of certificates */
};

static struct master m;
static struct child children[CHILDREN_MAX];
static int nchildren;
static int check_fds[CONFIG_NCHECKS];	/* where checks answer; -1: none runs */
static bool no_fork, no_timer;
static int nlogs;		/* logs that children were given */
static char top[64], conf[128], said[1024];
static struct timeval now;
/* as seen last */
static enum master_phase phase;
static bool is_accepting, is_over;
static unsigned int generation, answered;

/* --- what the master does ------------------------------------------------- */

static void __attribute__((format(printf, 1, 2)))
say(const char *fmt, ...)
{
	size_t len = strlen(said);
	va_list ap;

	if (len > 0)
		strlcat(said, " ", sizeof(said));
	len = strlen(said);
	va_start(ap, fmt);
	vsnprintf(said + len, sizeof(said) - len, fmt, ap);
	va_end(ap);
}

static const char *
name_of(const struct child *c)
{
	static char name[32];

	snprintf(name, sizeof(name), "%c%u@%u", *role_name(c->role), c->slot,
	    c->generation);
	return name;
}

static pid_t
fake_spawn(enum role_id role, int *fd_r)
{
	struct child *c = &children[nchildren];
	int fds[2];

	if (no_fork) {
		errno = EAGAIN;
		return -1;
	}
	cr_assert_lt(nchildren, CHILDREN_MAX);
	cr_assert_eq(channel_pair(fds), 0);
	memset(c, 0, sizeof(*c));
	c->role = role;
	c->ch = channel_open(fds[1], msg_rows, NMSGS, role, ROLE_MASTER);
	*fd_r = fds[0];
	return 1000 + nchildren++;
}

static int
fake_kill(pid_t pid, int signo)
{
	struct child *c = &children[pid - 1000];

	cr_assert_eq(signo, SIGKILL);
	cr_assert_not(c->has_exited, "%s", name_of(c));
	c->is_killed = true;
	say("!%s", name_of(c));
	return 0;
}

static struct probe *
fake_probe(const struct probe_spec *spec)
{
	enum config_check which = strncmp(spec->what, "Auth", 4) == 0 ?
	    CONFIG_AUTH : CONFIG_CREDS;
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	if (check_fds[which] != -1)
		close(check_fds[which]);
	check_fds[which] = fds[1];
	say(which == CONFIG_AUTH ? "?auth" : "?keys");
	return probe_adopt(spec->what, fds[0], -1, spec->limit_ms);
}

static uint64_t
fake_now_ms(void)
{
	return (uint64_t)loopclock_us(&now) / 1000;
}

static Event *
fake_timer(unsigned int ms, void (*callback)(void *closure), void *closure)
{
	return no_timer ? NULL : after_ms(ms, callback, closure);
}

static const struct master_ops ops = { .spawn = fake_spawn,
	.kill = fake_kill, .probe = fake_probe, .timer = fake_timer,
	.now_ms = fake_now_ms };

static void
clock_now(void *, struct timeval *now_r)
{
	*now_r = now;
}

static int
look_only(void *, struct pollfd *fds, nfds_t nfds, int)
{
	return poll(fds, nfds, 0);
}

static unsigned int
generation_of(const struct child *c)
{
	const struct proc *p;

	TAILQ_FOREACH(p, &m.procs, link)
		if (p->pid == 1000 + (pid_t)(c - children))
			return p->generation;
	return 0;
}

/* What ${c} has been sent. */
static void
hear(struct child *c)
{
	struct channel_msg msg;
	const struct msg_init *init;
	uint32_t version;

	while (c->ch != NULL && channel_recv(c->ch, &msg) == 1) {
		switch (msg.type) {
		case M_INIT:
			init = msg.base;
			c->slot = init->slot;
			c->generation = generation_of(c);
			break;
		case M_LOG:
			nlogs++;
			break;
		case M_START:
			say("+%s", name_of(c));
			break;
		case M_DRAIN:
			c->is_told = true;
			say("-%s", name_of(c));
			break;
		case M_SESSION:
			say("%s<", name_of(c));
			break;
		case M_CERTS:
			version = ((const struct msg_certs *)msg.base)->version;
			if (version > 1 && version != c->version)
				say("%s=%u", name_of(c), version);
			c->version = version;
			break;
		}
		if (msg.fd != -1)
			close(msg.fd);
	}
}

static void
look(void)
{
	static const char *const phases[] = { "starting", "running",
		"stopping" };
	const struct listener *l = TAILQ_FIRST(&m.listeners);
	bool accepts = l != NULL && l->fd != -1 &&
	    get_event_by_fd(l->fd) != NULL;

	if (m.config.generation != generation)
		say("@%u", generation = m.config.generation);
	if (m.phase != phase)
		say("%s", phases[phase = m.phase]);
	if (accepts != is_accepting)
		say((is_accepting = accepts) ? "accept" : "deaf");
	if (m.reload_answered != answered) {
		answered = m.reload_answered;
		if (*m.reload_error == '\0')
			say("ok");
		else
			say("no:%s", strncmp(m.reload_error, top,
			    strlen(top)) == 0 ? "conf" : m.reload_error);
	}
	if (phase == MASTER_STOPPING && TAILQ_EMPTY(&m.procs) && !is_over) {
		is_over = true;
		say("ended:%d", m.status);
	}
}

/* Until nothing moves any more. */
static void
settle(void)
{
	int passes = 0, quiet = 0, i, rc;

	while (quiet < 3) {
		cr_assert_lt(passes++, 100, "no rest");
		rc = scheduler_pass(m.sched, 0);
		cr_assert_geq(rc, 0);
		quiet = rc == 0 ? quiet + 1 : 0;
		for (i = 0; i < nchildren; i++)
			hear(&children[i]);
	}
	look();
}

/* --- what happens --------------------------------------------------------- */

static void
write_conf(const char *change)
{
	FILE *fp = fopen(conf, "w");

	cr_assert_not_null(fp);
	fprintf(fp, "hostname = mx.example.test\nspool = \"%s/spool\"\n"
	    "log = \"/dev/null\"\ncontrol = \"%s/sock\"\n"
	    "drain_time = 30\ndeliverers = 1\nkeyds = 1\n"
	    "tls_check_interval = 60\n%s\nESMTP_Listener {\n"
	    "TLS_Certificate = \"%s/crt\"\nTLS_Key = \"%s/key\"\n"
	    "Auth_Backend = \"passwd:%s/users\"\n"
	    "Listen \"127.0.0.1:0\" { }\n}\n", top, top, change, top, top, top);
	fclose(fp);
}

/* A file whose content was written ${age_s} seconds ago. */
static void
write_file(const char *name, int age_s)
{
	struct timespec ts[2] = { { .tv_sec = time(NULL) - age_s } };
	char path[128];
	int fd;

	ts[1] = ts[0];
	snprintf(path, sizeof(path), "%s/%s", top, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	cr_assert_neq(fd, -1);
	cr_assert_eq(write(fd, "x", 1), 1);
	cr_assert_eq(futimens(fd, ts), 0);
	close(fd);
}

static void
answer_check(enum config_check which, const char *text)
{
	cr_assert_neq(check_fds[which], -1);
	if (strcmp(text, "dies") != 0)
		probe_say(check_fds[which], "%s", strcmp(text, "good") == 0 ?
		    PROBE_GOOD : text);
	close(check_fds[which]);
	check_fds[which] = -1;
}

static void
exit_child(struct child *c)
{
	channel_free(c->ch);
	c->ch = NULL;
	proc_exited(&m, 1000 + (pid_t)(c - children),
	    c->is_killed ? SIGKILL : c->is_told ? 0 : 1 << 8);
	c->has_exited = true;
}

static void
send_empty(struct child *c, enum msg_type type)
{
	struct msg_empty empty = { 0 };

	cr_assert_eq(channel_send(c->ch, type, &empty, NULL, 0, -1), 0);
}

static void
answer_keys(struct child *c, bool is_good)
{
	struct msg_keys_ready msg = { .version = c->version,
		.is_good = is_good };

	cr_assert_eq(channel_send(c->ch, M_KEYS_READY, &msg, NULL, 0, -1), 0);
}

/* What "${verb} WHO" does to a process that WHO names.  Return whether it is
 * such a verb. */
static bool
act(const char *verb, struct child *c)
{
	if (strcmp(verb, "ready") == 0) {
		if (!c->is_ready)
			send_empty(c, M_READY);
		c->is_ready = true;
	} else if (strcmp(verb, "exit") == 0) {
		exit_child(c);
	} else if (strcmp(verb, "close") == 0) {
		channel_free(c->ch);
		c->ch = NULL;
	} else if (strcmp(verb, "relog") == 0) {
		send_empty(c, M_RELOG);
	} else if (strcmp(verb, "usable") == 0) {
		answer_keys(c, true);
	} else if (strcmp(verb, "unusable") == 0) {
		answer_keys(c, false);
	} else {
		return false;
	}
	return true;
}

static bool
is_named(const struct child *c, const char *who)
{
	if (c->has_exited)
		return false;
	if (strcmp(who, "all") == 0)
		return true;
	if (strcmp(who, "killed") == 0)
		return c->is_killed;
	if (strcmp(who, "drained") == 0)
		return c->is_told;
	return strcmp(who, name_of(c)) == 0;
}

static void
connect_client(void)
{
	const struct listener *l = TAILQ_FIRST(&m.listeners);
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(getsockname(l->fd, (struct sockaddr *)&in, &len), 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&in, len), 0);
	close(fd);
}

static void
happen(char *what)
{
	char *arg = strchr(what, ' ');
	int i, n = 0;

	if (arg != NULL)
		*arg++ = '\0';
	if (strcmp(what, "begin") == 0) {
		if (proc_start_all(&m, &m.config) == -1)
			master_fail(&m, "it cannot start");
	} else if (strcmp(what, "hup") == 0) {
		(void)master_wants_reload(&m);
	} else if (strcmp(what, "term") == 0) {
		master_wants_stop(&m, STOP_DRAIN);
	} else if (strcmp(what, "int") == 0) {
		master_wants_stop(&m, STOP_AT_ONCE);
	} else if (strcmp(what, "usr1") == 0) {
		master_wants_relog(&m, RELOG_NOW);
	} else if (strcmp(what, "wait") == 0) {
		now = loopclock_tv(loopclock_us(&now) +
		    atoll(arg) * 1000);
	} else if (strcmp(what, "auth") == 0) {
		answer_check(CONFIG_AUTH, arg);
	} else if (strcmp(what, "keys") == 0) {
		answer_check(CONFIG_CREDS, arg);
	} else if (strcmp(what, "conf") == 0) {
		write_conf(arg);
	} else if (strcmp(what, "fork") == 0) {
		no_fork = strcmp(arg, "fails") == 0;
	} else if (strcmp(what, "timer") == 0) {
		no_timer = strcmp(arg, "fails") == 0;
	} else if (strcmp(what, "renew") == 0) {
		write_file("crt", atoi(arg));
	} else if (strcmp(what, "connect") == 0) {
		connect_client();
	} else {
		for (i = 0; i < nchildren; i++)
			if (is_named(&children[i], arg)) {
				cr_assert(act(what, &children[i]), "%s", what);
				n++;
			}
		cr_assert_gt(n, 0, "%s %s", what, arg);
	}
}

/* What ${line} says, in one pass, and what follows. */
static const char *
happens(const char *line)
{
	char text[256], *rest, *what;

	*said = '\0';
	strlcpy(text, line, sizeof(text));
	for (rest = text; (what = strsep(&rest, ";")) != NULL;)
		happen(what + strspn(what, " "));
	settle();
	return said;
}

static void
play(const struct line *lines)
{
	for (; lines->happens != NULL; lines++) {
		happens(lines->happens);
		cr_assert_str_eq(said, lines->follows, "\"%s\":\n\t%s\n"
		    "and not\n\t%s", lines->happens, said, lines->follows);
	}
}

#define PLAY(...)	play((const struct line[]){ __VA_ARGS__, { 0 } })

/* --- setting up ----------------------------------------------------------- */

static void
setup(void)
{
	static const struct scheduler_backend backend = { .now = clock_now,
		.wait = look_only };
	char err[SETTINGS_ERROR_MAX];
	size_t i;

	strcpy(top, "/tmp/mailmill-step.XXXXXX");
	cr_assert_not_null(mkdtemp(top));
	snprintf(conf, sizeof(conf), "%s/conf", top);
	write_conf("workers = 2");
	write_file("crt", 100);
	write_file("key", 100);
	config_source(conf, NULL, 0);
	signal(SIGPIPE, SIG_IGN);
	memset(check_fds, -1, sizeof(check_fds));
	now.tv_sec = 1000000;
	m.sched = scheduler_create(&backend);
	m.is_foreground = true;
	cr_assert_eq(master_init(&m, &ops), 0);
	cr_assert_eq(config_load(1, &m.config, err, sizeof(err)), 0, "%s",
	    err);
	cr_assert_eq(config_check(&m.config, fake_probe, NULL, NULL, err,
	    sizeof(err)), 0);
	for (i = 0; i < CONFIG_NCHECKS; i++) {
		answer_check(i, "good");
		probe_wait(m.config.checks[i]);
	}
	cr_assert_eq(config_verdict(&m.config, err, sizeof(err)), 1, "%s",
	    err);
	m.stats_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	m.worker_sessions_max = 100;
	m.spare_fd = -1;
	cr_assert_eq(master_log_open(&m), 0);
	cr_assert_eq(listeners_bind(&m, m.config.settings), 0);
	generation = 1;
}

static void
teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	cr_assert(system(command) == 0);
}

TestSuite(step, .init = setup, .fini = teardown);

#define ALL_START	"+d1@1 +q1@1 +k1@1 +a1@1 +w1@1 +w2@1"
#define ALL_START_2	"+d1@2 +q1@2 +k1@2 +a1@2 +w1@2 +w2@2"
#define ALL_KILLED	"!d1@1 !q1@1 !k1@1 !a1@1 !w1@1 !w2@1"
#define ALL_KILLED_2	"!d1@2 !q1@2 !k1@2 !a1@2 !w1@2 !w2@2"
#define STARTED	\
	{ "begin", ALL_START }, { "ready all", "running accept" }
#define CHECKED	\
	{ "hup", "?auth ?keys" }, { "auth good; keys good", ALL_START_2 }
#define CHANGED_OVER	\
	CHECKED, { "ready all", "-q1@1 -w1@1 -w2@1 @2 ok" }
#define REFUSED "the server is stopping"

struct who {
	char	name[8];
};
static struct who first[] = { { "d1@1" }, { "q1@1" }, { "k1@1" }, { "a1@1" },
	{ "w1@1" } };
static struct who second[] = { { "d1@2" }, { "q1@2" }, { "k1@2" },
	{ "a1@2" }, { "w1@2" } };

static struct who awaited[] = { { "k1@2" }, { "a1@2" }, { "w2@2" } };

/* A test for each process of the table. */
#define FOR_EACH(name, table) \
	ParameterizedTestParameters(step, name) \
	{ \
		return cr_make_param_array(struct who, table, \
		    sizeof(table) / sizeof(table[0])); \
	} \
	ParameterizedTest(struct who *who, step, name)

/* "${verb} ${who}", and then ${follows}, where '%' is ${who}. */
static void
one(const char *verb, const char *who, const char *follows)
{
	char line[64], expected[256] = "";
	size_t len;

	snprintf(line, sizeof(line), "%s %s", verb, who);
	for (; *follows != '\0'; follows++) {
		len = strlen(expected);
		if (*follows == '%')
			strlcat(expected, who, sizeof(expected));
		else
			snprintf(expected + len, sizeof(expected) - len, "%c",
			    *follows);
	}
	cr_assert_str_eq(happens(line), expected, "\"%s\": %s and not %s",
	    line, said, expected);
}

/* --- start ---------------------------------------------------------------- */

Test(step, a_start_waits_for_all_that_sessions_need)
{
	PLAY({ "begin", ALL_START },
	    { "ready d1@1; ready k1@1; ready w1@1", "" },
	    { "ready a1@1", "" },
	    { "connect", "" },
	    { "ready w2@1", "w1@1< running accept" },
	    { "ready q1@1", "" },
	    { "connect", "w2@1<" });
}

FOR_EACH(a_crash_at_the_start_is_tried_again, first)
{
	PLAY({ "begin", ALL_START });
	one("exit", who->name, "+%");
	PLAY({ "ready all", "running accept" });
}

FOR_EACH(a_start_fails_when_a_process_does_not_start, first)
{
	PLAY({ "begin", ALL_START });
	one("exit", who->name, "+%");
	one("exit", who->name, "");
	PLAY({ "wait 249", "" });
	happens("wait 1");
	one("close", who->name, "!%");
	happens("exit killed");
	cr_expect_not_null(strstr(said, "!w2@1 stopping"), "%s", said);
	PLAY({ "exit killed", "ended:1" });
}

Test(step, a_start_that_cannot_fork_ends)
{
	PLAY({ "fork fails; begin", "stopping ended:1" });
}

/* --- a crash of one that is ready ----------------------------------------- */

FOR_EACH(a_crash_is_followed_by_a_new_process, first)
{
	PLAY(STARTED);
	one("exit", who->name, "+%");
	one("ready", who->name, "");
	/* again: it waits a little; there is another worker */
	one("exit", who->name, "");
	PLAY({ "connect; wait 249", *who->name == 'w' ? "w2@1<" : "w1@1<" });
	happens("wait 1");
	one("ready", who->name, "");
}

Test(step, successors_wait_longer_and_longer_until_one_lives_for_long)
{
	PLAY(STARTED,
	    { "exit k1@1", "+k1@1" }, { "exit k1@1", "" },
	    { "wait 249", "" }, { "wait 1", "+k1@1" }, { "exit k1@1", "" },
	    { "wait 499", "" }, { "wait 1", "+k1@1" }, { "exit k1@1", "" },
	    { "wait 999", "" }, { "wait 1", "+k1@1" },
	    { "ready k1@1; wait 20000", "" }, { "exit k1@1", "+k1@1" });
}

Test(step, one_that_cannot_be_forked_is_tried_again_later)
{
	PLAY(STARTED,
	    { "fork fails; exit q1@1", "" },
	    { "wait 9999; fork works", "" },
	    { "wait 1", "+q1@1" });
}

Test(step, deadlines_are_kept_when_a_timer_could_not_be_set)
{
	PLAY(STARTED, { "exit k1@1", "+k1@1" },
	    { "timer fails; exit k1@1", "" },
	    /* no timer ends this wait, but there is a pass */
	    { "timer works; wait 249", "" }, { "wait 1", "+k1@1" });
}

Test(step, without_a_worker_connections_wait)
{
	PLAY(STARTED,
	    { "exit w1@1; exit w2@1", "+w1@1 +w2@1" },
	    { "connect", "deaf" },
	    { "ready w2@1", "w2@1< accept" });
}

Test(step, one_that_closes_its_channel_is_killed)
{
	PLAY(STARTED, { "close a1@1", "!a1@1" }, { "connect", "w1@1<" },
	    { "exit a1@1", "+a1@1" });
}

/* --- reload --------------------------------------------------------------- */

Test(step, a_reload_checks_starts_and_changes_over)
{
	PLAY(STARTED,
	    { "hup", "?auth ?keys" },
	    { "keys good", "" },
	    { "connect", "w1@1<" },
	    { "auth good", ALL_START_2 },
	    { "ready w1@2; ready k1@2; ready a1@2; connect", "w2@1<" },
	    /* nothing waits for deliver and queue */
	    { "ready w2@2", "-q1@1 -w1@1 -w2@1 @2 ok" },
	    { "ready d1@2; ready q1@2; connect", "w1@2<" },
	    { "exit q1@1", "-d1@1" },
	    { "exit w1@1", "" },
	    { "exit w2@1", "-k1@1 -a1@1" },
	    { "exit drained", "" },
	    { "connect", "w2@2<" });
}

Test(step, old_processes_but_workers_drain_within_a_bound)
{
	PLAY(STARTED, CHANGED_OVER,
	    { "wait 30999", "" }, { "wait 1", "!q1@1" },
	    { "exit killed", "-d1@1" },
	    { "wait 31000", "!d1@1" },
	    { "wait 1000000", "" });
}

Test(step, a_bad_configuration_changes_nothing)
{
	PLAY(STARTED,
	    { "conf workers = x; hup",
	      "no:conf" },
	    { "connect", "w1@1<" },
	    { "conf workers = 2; hup", "?auth ?keys" });
}

Test(step, a_port_in_use_changes_nothing)
{
	char change[256];

	/* the one that it has itself, now in a second section */
	snprintf(change, sizeof(change), "conf workers = 3 ESMTP_Listener "
	    "{ Listen \"%s\" { } }; hup", TAILQ_FIRST(&m.listeners)->text);
	PLAY(STARTED, { change, "?auth ?keys" },
	    { "auth good; keys good", "no:conf" }, { "connect", "w1@1<" });
}

Test(step, a_bad_check_changes_nothing)
{
	PLAY(STARTED,
	    { "hup", "?auth ?keys" },
	    { "auth bad users: no such file", "no:users: no such file" },
	    { "hup", "?auth ?keys" },
	    { "auth good; keys dies", "no:TLS_Key: the check of keys has "
	      "failed: its process has died" },
	    { "hup", "?auth ?keys" },
	    { "auth good; wait 19999; connect", "w1@1<" },
	    { "wait 1", "no:TLS_Key: the check of keys takes longer than 20 "
	      "seconds" });
}

FOR_EACH(a_new_process_that_dies_ends_the_reload, second)
{
	char line[32];

	PLAY(STARTED, CHECKED);
	snprintf(line, sizeof(line), "exit %s", who->name);
	happens(line);
	cr_expect_not_null(strstr(said, "no:a process does not start with it"),
	    "%s", said);
	PLAY({ "exit killed", "" }, { "connect", "w1@1<" }, CHANGED_OVER);
}

FOR_EACH(a_new_process_that_does_not_get_ready_ends_the_reload, awaited)
{
	char expected[256];
	int i;

	/* no other deadline, such as that of the certificates, is the same */
	PLAY(STARTED, { "wait 1000", "" }, CHECKED);
	for (i = 0; i < nchildren; i++)
		if (children[i].generation == 2 &&
		    strcmp(name_of(&children[i]), who->name) != 0)
			act("ready", &children[i]);
	PLAY({ "wait 59999", "" }, { "connect; hup", "w1@1<" });
	happens("wait 1");
	/* and the one that waits has its turn */
	snprintf(expected, sizeof(expected), ALL_KILLED_2 " ?auth ?keys no:a "
	    "process does not get ready in 60 seconds: %s",
	    *who->name == 'k' ? "keyd" :
	    *who->name == 'a' ? "authd" : "worker");
	cr_expect_str_eq(said, expected, "%s", said);
	PLAY({ "exit killed; connect", "w2@1<" },
	    { "auth good; keys good", ALL_START_2 },
	    { "wait 59999", "" },
	    { "ready all", "-q1@1 -w1@1 -w2@1 @2 ok" },
	    { "wait 1", "" });
}

Test(step, a_reload_that_cannot_fork_changes_nothing)
{
	PLAY(STARTED, { "hup", "?auth ?keys" },
	    { "fork fails; auth good; keys good",
	      "no:cannot start processes" }, { "connect", "w1@1<" });
}

/* --- draining ------------------------------------------------------------- */

FOR_EACH(a_crash_of_an_old_process_is_its_end, first)
{
	PLAY(STARTED, CHANGED_OVER);
	happens("connect");
	one("exit", who->name, *who->name == 'q' ? "-d1@1" : "");
	PLAY({ "wait 10000", "" });
}

Test(step, a_crash_of_an_old_process_does_not_end_the_next_reload)
{
	PLAY(STARTED, CHANGED_OVER, { "hup", "?auth ?keys" },
	    { "exit k1@1; exit d1@1", "" },
	    { "auth good; keys good",
	      "+d1@3 +q1@3 +k1@3 +a1@3 +w1@3 +w2@3" },
	    { "exit a1@1; exit w1@1", "" },
	    { "ready all", "-q1@2 -w1@2 -w2@2 @3 ok" });
}

/* --- stop ----------------------------------------------------------------- */

Test(step, a_stop_drains_those_that_ask_first)
{
	PLAY(STARTED,
	    { "term", "-w1@1 -w2@1 stopping deaf" },
	    { "exit w1@1", "" },
	    { "exit w2@1", "-q1@1 -k1@1 -a1@1" },
	    { "exit k1@1; exit a1@1", "" },
	    { "exit q1@1", "-d1@1" },
	    { "exit d1@1", "ended:0" });
}

Test(step, a_stop_has_a_bound)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" },
	    { "wait 29999", "" }, { "wait 1", ALL_KILLED },
	    { "wait 100000", "" }, { "exit killed", "ended:0" });
}

Test(step, a_stop_that_cannot_be_bounded_kills)
{
	PLAY(STARTED, { "timer fails; term", ALL_KILLED " -w1@1 -w2@1"
	      " stopping deaf" }, { "exit killed", "ended:0" });
}

Test(step, a_stop_at_once_kills)
{
	PLAY(STARTED, { "int", ALL_KILLED " stopping deaf" },
	    { "exit killed", "ended:0" });
}

FOR_EACH(a_crash_while_stopping_is_its_end, first)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" });
	one("exit", who->name, *who->name == 'q' ? "-d1@1" : "");
	PLAY({ "wait 10000", "" });
}

/* --- the log -------------------------------------------------------------- */

/* How many logs the children are given when ${line} happens. */
static int
logs(const char *line)
{
	int before = nlogs;

	happens(line);
	return nlogs - before;
}

Test(step, the_log_is_opened_again_but_not_each_time_that_a_child_asks)
{
	PLAY(STARTED);
	cr_expect_eq(logs("usr1"), 6);
	cr_expect_eq(logs("usr1"), 6);
	/* those who may have asked before they got it wait for a moment */
	cr_expect_eq(logs("relog w1@1; relog k1@1"), 0);
	cr_expect_eq(logs("wait 1999; relog w2@1"), 6);
	cr_expect_eq(logs("relog w1@1"), 0);
	cr_expect_eq(logs("wait 1999"), 0);
	cr_expect_eq(logs("wait 1"), 6);
	cr_expect_eq(logs("wait 1000; relog d1@1"), 6);
	cr_expect_eq(logs("wait 10000"), 0);
}

/* --- mailmillctl ---------------------------------------------------------- */

/* A client of the control socket that has asked for a reload. */
static int
ask_reload(void)
{
	static const char request[] = "{\"command\":\"reload\"}\n";
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/sock", top);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	cr_assert_eq(write(fd, request, sizeof(request) - 1),
	    (ssize_t)sizeof(request) - 1);
	happens("wait 0");
	return fd;
}

/* What it has been answered; "" when nothing yet, or when it was turned
 * away. */
static const char *
answer_of(int fd)
{
	static char text[SETTINGS_ERROR_MAX];
	ssize_t n = read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

#define CTL_OK		"{\"ok\":true,\"generation\":2}\n"

Test(step, a_client_that_waits_for_a_reload_may_leave)
{
	int i, fd, nevents;

	cr_assert_eq(control_open(&m), 0);
	PLAY(STARTED, CHECKED);
	nevents = scheduler_event_count(m.sched);
	/* more than the socket takes at a time */
	for (i = 0; i < 40; i++) {
		close(ask_reload());
		happens("wait 0");
		cr_assert_eq(scheduler_event_count(m.sched), nevents);
	}
	fd = ask_reload();
	PLAY({ "exit a1@2", "!d1@2 !q1@2 !k1@2 !w1@2 !w2@2 ?auth ?keys "
	      "no:a process does not start with it, the log says why" },
	    { "auth good; keys good", ALL_START_2 }, { "exit killed", "" },
	    { "ready all", "-q1@1 -w1@1 -w2@1 @2 ok" });
	cr_expect_str_eq(answer_of(fd), CTL_OK);
}

Test(step, a_client_that_has_sent_all_still_hears_of_its_reload)
{
	int fd;

	cr_assert_eq(control_open(&m), 0);
	PLAY(STARTED);
	fd = ask_reload();
	shutdown(fd, SHUT_WR);
	PLAY({ "auth good; keys good", ALL_START_2 },
	    { "ready all", "-q1@1 -w1@1 -w2@1 @2 ok" });
	cr_expect_str_eq(answer_of(fd), CTL_OK);
}

Test(step, each_client_is_told_why_its_own_reload_failed)
{
	int first_fd, second_fd;

	cr_assert_eq(control_open(&m), 0);
	PLAY(STARTED);
	first_fd = ask_reload();
	PLAY({ "auth good; keys good", ALL_START_2 });
	second_fd = ask_reload();
	PLAY({ "conf workers = x; exit a1@2",
	      "!d1@2 !q1@2 !k1@2 !w1@2 !w2@2 no:conf" });
	cr_expect_str_eq(answer_of(first_fd), "{\"error\":\"a process does "
	    "not start with it, the log says why\"}\n");
	cr_expect_not_null(strstr(answer_of(second_fd), "workers"));
}

Test(step, a_client_is_told_that_its_reload_takes_long)
{
	int fd;

	cr_assert_eq(control_open(&m), 0);
	PLAY({ "begin", ALL_START });
	fd = ask_reload();
	PLAY({ "wait 99999", "" });
	cr_expect_str_eq(answer_of(fd), "");
	PLAY({ "wait 1", "" });
	cr_expect_str_eq(answer_of(fd), "{\"error\":\"the reload is still in "
	    "progress, the log will say how it ends\"}\n");
	PLAY({ "ready all", "?auth ?keys running accept" });
}

/* --- two at once ---------------------------------------------------------- */

Test(step, a_stop_in_the_pass_of_a_reload_wins)
{
	PLAY(STARTED, { "hup; term",
	      "-w1@1 -w2@1 stopping deaf no:" REFUSED });
}

Test(step, a_stop_at_once_in_the_pass_of_a_stop_wins)
{
	PLAY(STARTED, { "int; term", ALL_KILLED " stopping deaf" });
}

Test(step, a_stop_at_once_ends_a_stop)
{
	PLAY(STARTED, { "term", "-w1@1 -w2@1 stopping deaf" },
	    { "int", ALL_KILLED });
}

Test(step, a_crash_in_the_pass_of_a_stop_has_no_successor)
{
	PLAY(STARTED, { "exit w1@1; exit q1@1; term",
	      "-d1@1 -w2@1 stopping deaf" });
}

Test(step, a_stop_ends_a_start)
{
	PLAY({ "begin", ALL_START }, { "ready k1@1", "" },
	    { "ready all; term", "-w1@1 -w2@1 stopping" });
}

Test(step, a_stop_ends_the_checks)
{
	struct pollfd p = { .events = POLLOUT };

	PLAY(STARTED, { "hup", "?auth ?keys" },
	    { "term", "-w1@1 -w2@1 stopping deaf no:" REFUSED });
	p.fd = check_fds[CONFIG_AUTH];
	cr_expect(poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0);
}

Test(step, a_stop_ends_a_reload)
{
	PLAY(STARTED, CHECKED,
	    { "term", ALL_KILLED_2 " -w1@1 -w2@1 stopping deaf no:" REFUSED },
	    { "exit killed; exit drained", "-q1@1 -k1@1 -a1@1" },
	    { "hup", "no:" REFUSED });
}

Test(step, a_reload_asked_for_during_the_start_follows_it)
{
	PLAY({ "begin; hup", ALL_START },
	    { "ready all", "?auth ?keys running accept" });
}

Test(step, a_reload_takes_the_place_of_one_that_is_being_checked)
{
	PLAY(STARTED, { "hup", "?auth ?keys" }, { "auth good", "" },
	    { "conf workers = x; hup",
	      "no:conf" },
	    { "conf workers = 2; hup", "?auth ?keys" }, { "hup; hup", "?auth ?keys" },
	    { "auth good; keys good", ALL_START_2 },
	    { "ready all", "-q1@1 -w1@1 -w2@1 @2 ok" });
	cr_expect_eq(m.reload_answered, 5);
}

Test(step, a_check_is_replaced_only_once)
{
	PLAY(STARTED, { "hup", "?auth ?keys" }, { "hup", "?auth ?keys" },
	    { "hup", "" }, { "wait 19999; hup", "" },
	    { "auth good; keys good", ALL_START_2 }, { "hup", "" },
	    /* all that wait have their turn together */
	    { "ready all", "?auth ?keys -q1@1 -w1@1 -w2@1 @2 ok" },
	    { "auth good; keys good",
	      "+d1@3 +q1@3 +k1@3 +a1@3 +w1@3 +w2@3" },
	    { "ready all", "-q1@2 -w1@2 -w2@2 @3 ok" });
	cr_expect_eq(m.reload_answered, 5);
}

Test(step, a_reload_waits_for_one_whose_processes_start)
{
	PLAY(STARTED, CHECKED, { "hup", "" },
	    { "ready all", "?auth ?keys -q1@1 -w1@1 -w2@1 @2 ok" },
	    { "auth good; keys good",
	      "+d1@3 +q1@3 +k1@3 +a1@3 +w1@3 +w2@3" });
}

Test(step, a_reload_waits_for_one_that_fails)
{
	PLAY(STARTED, CHECKED, { "hup", "" },
	    { "exit a1@2", "!d1@2 !q1@2 !k1@2 !w1@2 !w2@2 ?auth ?keys "
	      "no:a process does not start with it, the log says why" },
	    { "auth good; keys good", ALL_START_2 },
	    /* those of the first, which have the same numbers */
	    { "exit killed", "" },
	    { "ready all", "-q1@1 -w1@1 -w2@1 @2 ok" });
}

FOR_EACH(a_crash_during_a_reload_is_followed_by_a_new_process, first)
{
	PLAY(STARTED, { "hup", "?auth ?keys" });
	one("exit", who->name, "+%");
	PLAY({ "auth good; keys good", ALL_START_2 },
	    { "wait 20000", "" });
	one("exit", who->name, "+%");
	happens("ready all");
	cr_expect_not_null(strstr(said, " @2 ok"), "%s", said);
}

Test(step, ready_and_dead_in_one_pass_is_dead)
{
	PLAY({ "begin", ALL_START },
	    { "ready all; exit w1@1", "+w1@1" },
	    { "ready w1@1", "running accept" });
}

/* --- certificates --------------------------------------------------------- */

#define RENEWED	{ "renew 50; wait 60000", "?keys" }

Test(step, changed_certificates_go_to_keyd_and_then_to_workers)
{
	PLAY(STARTED, RENEWED, { "connect", "w1@1<" },
	    { "keys good", "k1@1=2" },
	    { "usable k1@1", "w1@1=2 w2@1=2" },
	    { "wait 60000", "" });
}

Test(step, changed_certificates_that_are_bad_change_nothing)
{
	PLAY(STARTED, RENEWED,
	    { "keys bad they do not belong together", "" },
	    { "wait 60000", "?keys" }, { "keys good", "k1@1=2" },
	    { "unusable k1@1", "" }, { "connect", "w1@1<" });
}

Test(step, a_keyd_that_dies_meanwhile_is_given_both)
{
	PLAY(STARTED, RENEWED, { "exit k1@1", "+k1@1" },
	    { "keys good", "" }, { "ready k1@1", "k1@1=2" },
	    { "exit k1@1; wait 250", "" }, { "wait 250", "k1@1=2 +k1@1" },
	    { "ready k1@1; usable k1@1", "w1@1=2 w2@1=2" });
}

Test(step, a_keyd_that_cannot_use_what_it_starts_with_is_killed)
{
	PLAY({ "begin", ALL_START }, { "unusable k1@1", "!k1@1" },
	    { "exit k1@1", "+k1@1" });
}

Test(step, a_reload_brings_its_own_certificates)
{
	PLAY(STARTED, RENEWED, CHANGED_OVER, { "wait 60000", "!q1@1" });
}

Test(step, a_stop_ends_the_check_of_certificates)
{
	struct pollfd p = { .events = POLLOUT };

	PLAY(STARTED, RENEWED, { "term", "-w1@1 -w2@1 stopping deaf" });
	p.fd = check_fds[CONFIG_CREDS];
	cr_expect(poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0);
}

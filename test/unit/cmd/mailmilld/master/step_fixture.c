/* Plays for the master's state machine: see step_fixture.h. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/mailmilld/master/config/config.h"
#include "cmd/mailmilld/master/master.h"
#include "cmd/mailmilld/master/needs/listen.h"
#include "cmd/mailmilld/master/procs/procs.h"
#include "cmd/mailmilld/master/start/start.h"
#include "cmd/mailmilld/master/state/note.h"
#include "core/loop/clock.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/scheduler.h"

int step_check_fds[CONFIG_NCHECKS];	/* where checks answer; -1: none runs */
char step_top[64];
static bool no_timer;
static char conf[128];
static struct timeval now;
static int client_fd = -1;	/* of the client that has connected last */
static int log_fd;
/* as seen last */
static enum master_phase phase;
static bool is_accepting, is_over;
static unsigned int generation, answered;

/* --- what the master does ------------------------------------------------- */

static struct probe *
fake_probe(const struct probe_spec *spec)
{
	enum config_check which = strncmp(spec->what, "Auth", 4) == 0 ?
	    CONFIG_AUTH : strncmp(spec->what, "Module", 6) == 0 ?
	    CONFIG_MODULES : CONFIG_CREDS;
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	if (step_check_fds[which] != -1)
		close(step_check_fds[which]);
	step_check_fds[which] = fds[1];
	step_say(which == CONFIG_AUTH ? "?auth" : which == CONFIG_MODULES ?
	    "?modules" : "?keys");
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

static const struct master_ops ops = { .spawn = step_spawn,
	.kill = step_kill, .is_traced = step_is_traced, .probe = fake_probe, .timer = fake_timer,
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

static void
look(void)
{
	static const char *const phases[] = { "starting", "running",
		"stopping" };
	const struct listener *l = TAILQ_FIRST(&step_master.listeners);
	bool accepts = l != NULL && l->fd != -1 &&
	    get_event_by_fd(l->fd) != NULL;

	if (step_nmoved > 0)
		step_say("%u moved", step_nmoved);
	step_nmoved = 0;
	if (step_master.config.generation != generation)
		step_say("@%u", generation = step_master.config.generation);
	if (step_master.phase != phase)
		step_say("%s", phases[phase = step_master.phase]);
	if (accepts != is_accepting)
		step_say((is_accepting = accepts) ? "accept" : "deaf");
	if (step_master.reload_answered != answered) {
		answered = step_master.reload_answered;
		if (*step_master.reload_error == '\0')
			step_say("ok");
		else
			step_say("no:%s", strncmp(step_master.reload_error, step_top,
			    strlen(step_top)) == 0 ? "conf" : step_master.reload_error);
	}
	if (phase == MASTER_STOPPING && TAILQ_EMPTY(&step_master.procs) &&
	    !respawns_are_due(&step_master) && !is_over) {
		is_over = true;
		step_say("ended:%d", step_master.status);
	}
}

/* Until nothing moves any more. */
static void
settle(void)
{
	int passes = 0, quiet = 0, i, rc;

	while (quiet < 3) {
		cr_assert_lt(passes++, 100, "no rest");
		rc = scheduler_pass(step_master.sched, 0);
		cr_assert_geq(rc, 0);
		quiet = rc == 0 ? quiet + 1 : 0;
		for (i = 0; i < step_nchildren; i++)
			step_hear(&step_children[i]);
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
	    "drain_time = 30\ndeliverers = 1\nkeyds = 1\nresolvers = 0\n"
	    "tls_check_interval = 60\n%s\nESMTP_Listener {\n"
	    "TLS_Certificate = \"%s/crt\"\nTLS_Key = \"%s/key\"\n"
	    "Auth_Backend = \"passwd:%s/users\"\n"
	    "Listen \"127.0.0.1:0\" { }\n}\n", step_top, step_top, change,
	    step_top, step_top, step_top);
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
	snprintf(path, sizeof(path), "%s/%s", step_top, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	cr_assert_neq(fd, -1);
	cr_assert_eq(write(fd, "x", 1), 1);
	cr_assert_eq(futimens(fd, ts), 0);
	close(fd);
}

static void
answer_check(enum config_check which, const char *text)
{
	cr_assert_neq(step_check_fds[which], -1);
	if (strcmp(text, "dies") != 0)
		probe_say(step_check_fds[which], "%s", strcmp(text, "good") == 0 ?
		    PROBE_GOOD : text);
	close(step_check_fds[which]);
	step_check_fds[which] = -1;
}

/* Each from an address of its own, so that there may be many; or, with a number,
 * from that one. */
static void
connect_client(const char *number)
{
	static uint32_t nclients;
	uint32_t host = number == NULL ? 256 + nclients++ :
	    (uint32_t)atoi(number);
	struct sockaddr_in client = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host) };
	const struct listener *l = TAILQ_FIRST(&step_master.listeners);
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&client, sizeof(client)), 0);
	cr_assert_eq(getsockname(l->fd, (struct sockaddr *)&in, &len), 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&in, len), 0);
	if (client_fd != -1)
		close(client_fd);
	client_fd = fd;
}

const char *
step_heard(void)
{
	static char text[512];
	ssize_t n = recv(client_fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
happen(char *what)
{
	char *arg = strchr(what, ' ');
	int i, n = 0;

	if (arg != NULL)
		*arg++ = '\0';
	if (strcmp(what, "begin") == 0) {
		if (proc_start_all(&step_master, &step_master.config) == -1)
			master_fail(&step_master, 1, "it cannot start");
	} else if (strcmp(what, "hup") == 0) {
		(void)master_wants_reload(&step_master);
	} else if (strcmp(what, "term") == 0) {
		master_wants_stop(&step_master, STOP_DRAIN);
	} else if (strcmp(what, "int") == 0) {
		master_wants_stop(&step_master, STOP_AT_ONCE);
	} else if (strcmp(what, "usr1") == 0) {
		master_wants_relog(&step_master, RELOG_NOW);
	} else if (strcmp(what, "wait") == 0) {
		now = loopclock_tv(loopclock_us(&now) +
		    atoll(arg) * 1000);
	} else if (strcmp(what, "auth") == 0) {
		answer_check(CONFIG_AUTH, arg);
	} else if (strcmp(what, "keys") == 0) {
		answer_check(CONFIG_CREDS, arg);
	} else if (strcmp(what, "modules") == 0) {
		answer_check(CONFIG_MODULES, arg);
	} else if (strcmp(what, "conf") == 0) {
		write_conf(arg);
	} else if (strcmp(what, "fork") == 0) {
		step_no_fork = strcmp(arg, "fails") == 0;
	} else if (strcmp(what, "timer") == 0) {
		no_timer = strcmp(arg, "fails") == 0;
	} else if (strcmp(what, "renew") == 0) {
		write_file("crt", atoi(arg));
	} else if (strcmp(what, "connect") == 0) {
		connect_client(arg);
	} else {
		for (i = 0; i < step_nchildren; i++)
			if (step_is_named(&step_children[i], arg)) {
				cr_assert(step_act(what, &step_children[i]), "%s", what);
				n++;
			}
		cr_assert_gt(n, 0, "%s %s", what, arg);
	}
}

const char *
step_happens(const char *line)
{
	char text[256], *rest, *what;

	*step_said = '\0';
	strlcpy(text, line, sizeof(text));
	for (rest = text; (what = strsep(&rest, ";")) != NULL;)
		happen(what + strspn(what, " "));
	settle();
	return step_said;
}

void
step_play(const struct step_line *lines)
{
	for (; lines->happens != NULL; lines++) {
		step_happens(lines->happens);
		cr_assert_str_eq(step_said, lines->follows, "\"%s\":\n\t%s\n"
		    "and not\n\t%s", lines->happens, step_said, lines->follows);
	}
}

/* --- setting up ----------------------------------------------------------- */

void
step_setup(void)
{
	static const struct scheduler_backend backend = {
		.size = sizeof(struct scheduler_backend), .now = clock_now,
		.wait = look_only };
	char err[SETTINGS_ERROR_MAX];
	size_t i;

	strcpy(step_top, "/tmp/mailmill-step.XXXXXX");
	cr_assert_not_null(mkdtemp(step_top));
	snprintf(conf, sizeof(conf), "%s/conf", step_top);
	write_conf("workers = 2");
	write_file("crt", 100);
	write_file("key", 100);
	config_source(conf, NULL, 0);
	signal(SIGPIPE, SIG_IGN);
	memset(step_check_fds, -1, sizeof(step_check_fds));
	now.tv_sec = 1000000;
	step_master.sched = scheduler_create(&backend);
	step_master.is_foreground = step_master.is_trial = true;
	cr_assert_eq(master_init(&step_master, &ops), 0);
	cr_assert_eq(config_load(1, &step_master.config, err, sizeof(err)), 0, "%s",
	    err);
	cr_assert_eq(config_check(&step_master.config, fake_probe, NULL, NULL, err,
	    sizeof(err)), 0);
	for (i = 0; i < CONFIG_NCHECKS; i++) {
		if (step_master.config.checks[i] == NULL)
			continue;
		answer_check(i, "good");
		probe_wait(step_master.config.checks[i]);
	}
	cr_assert_eq(config_verdict(&step_master.config, err, sizeof(err)), 1, "%s",
	    err);
	step_master.limits_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	step_master.worker_sessions_max = STEP_SESSIONS;
	step_master.spare_fd = -1;
	cr_assert_eq(master_log_open(&step_master), 0);
	cr_assert_eq(listeners_bind(&step_master, step_master.config.settings), 0);
	generation = 1;
}

void
step_setup_sessions(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < 2048) {
		rl.rlim_cur = rl.rlim_max < 2048 ? rl.rlim_max : 2048;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	step_setup();
	cr_assert_eq(stats_attach(stats_create()), 0);
}

void
step_teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", step_top);
	cr_assert(system(command) == 0);
}

void
step_log_aside(void)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	cr_assert_neq(log_fd, -1);
	log_init("test", LOG_TO_FILE, log_fd, LOG_LEVEL_INFO);
}

int
step_logged(const char *words)
{
	static char text[1 << 16];
	const char *p = text;
	ssize_t n;
	int found;

	log_flush();
	cr_assert_geq(n = pread(log_fd, text, sizeof(text) - 1, 0), 0);
	text[n] = '\0';
	for (found = 0; (p = strstr(p, words)) != NULL; p++)
		found++;
	return found;
}

void
step_one(const char *verb, const char *who, const char *follows)
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
	cr_assert_str_eq(step_happens(line), expected, "\"%s\": %s and not %s",
	    line, step_said, expected);
}

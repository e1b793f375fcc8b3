/* Starting a child.
 * Owns: fork, descriptor 3, what a child inherits (nothing else), exec, the
 * pipes of what children say on standard output and error, and of the logger's
 * lines.
 * Knows nothing of why a child is started. */

#include "cmd/mailmilld/role/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/child.h"
#include "core/lim.h"
#include "core/process/log.h"

#define SELF	"/proc/self/exe"

/* The environment of a child: PATH, which a module of PAM may need, and those
 * of these variables that the master has.  They name files that libraries read.
 * If the master uses other files than the system's, a child needs the same
 * ones: otherwise it might not start, or would not be bound to FIPS, for
 * example.  The variables of the sanitizers are in their builds only. */
static const struct kept {
	const char	*name;
	/* the octets that separate its paths.  Each path must begin with '/':
	 * otherwise a child would load libraries, as root, from the folder that
	 * the master was started in.  NULL: the paths are not checked */
	const char	*parted_by;
	bool		 is_kerberos;	/* for roles that may ask it */
} kept[] = {
	{ "TZ", NULL, false },
	{ "LD_LIBRARY_PATH", ":;", false },
	{ "OPENSSL_CONF", NULL, false },	/* child_load_crypto() looks at it */
	{ "OPENSSL_MODULES", "", false },
	{ "KRB5_CONFIG", NULL, true },
	{ "KRB5_KTNAME", NULL, true },
#ifdef __SANITIZE_ADDRESS__
	{ "ASAN_OPTIONS", NULL, false },
	{ "LSAN_OPTIONS", NULL, false },
	{ "UBSAN_OPTIONS", NULL, false },
#endif
};
#define NKEPT	(sizeof(kept) / sizeof(kept[0]))

static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
    "/sbin:/bin";
static char *variables[NKEPT];		/* "name=value"; NULL: it has none */
static bool is_left_out[NKEPT];		/* and the log does not say so yet */
static int output[2] = { -1, -1 };	/* read here, written by children */
static int lines[2] = { -1, -1 };	/* the same, by the logger alone */

bool
spawn_is_absolute(const char *value, const char *parted_by)
{
	for (;; value++) {
		if (*value != '/')
			return false;
		value += strcspn(value, parted_by);
		if (*value == '\0')
			return true;
	}
}

static void
note_variables(void)
{
	const char *value;
	size_t i;

	for (i = 0; i < NKEPT; i++) {
		value = secure_getenv(kept[i].name);
		if (value == NULL || *value == '\0')
			continue;
		is_left_out[i] = kept[i].parted_by != NULL &&
		    !spawn_is_absolute(value, kept[i].parted_by);
		if (!is_left_out[i] && asprintf(&variables[i], "%s=%s",
		    kept[i].name, value) == -1)
			variables[i] = NULL;
	}
}

/* When the log is open. */
static void
say_left_out(void)
{
	size_t i;

	for (i = 0; i < NKEPT; i++) {
		if (is_left_out[i])
			log_warnx("environment", "name=%s effect=%s",
			    kept[i].name, "not handed on to other processes: "
			    "it has a path that is empty or does not begin "
			    "with '/'");
		is_left_out[i] = false;
	}
}

static void
make_environment(enum role_id role, char *environment_r[NKEPT + 2])
{
	size_t i, n = 0;

	environment_r[n++] = path;
	for (i = 0; i < NKEPT; i++)
		if (variables[i] != NULL &&
		    (!kept[i].is_kerberos || role_of(role)->has_kerberos))
			environment_r[n++] = variables[i];
	environment_r[n] = NULL;
}

int
spawn_init(bool is_foreground)
{
	note_variables();
	if (!is_foreground)
		return 0;
	if (pipe2(output, O_CLOEXEC | O_NONBLOCK) == -1 ||
	    pipe2(lines, O_CLOEXEC | O_NONBLOCK) == -1)
		return -1;
	/* a sanitizer's report waits until it is read */
	return fcntl(output[1], F_SETFL, 0);
}

int
spawn_output(void)
{
	return output[0];
}

int
spawn_lines(void)
{
	return lines[0];
}

int
spawn_log(int fd)
{
	return fcntl(lines[1] == -1 || isatty(fd) == 0 ? fd : lines[1],
	    F_DUPFD_CLOEXEC, 0);
}

/* In the background the program that started us may read our output until all
 * copies of it are closed, so no child may keep one.  In the foreground our
 * output may be root's terminal, to which a child could push input. */
static void
leave_stdio(void)
{
	int null = open("/dev/null", O_RDWR);
	int out = output[1] == -1 ? null : output[1];

	if (null == -1)
		_exit(127);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
}

/* In the child, between fork and exec: only async-signal-safe calls. */
static void __attribute__((noreturn))
become_child(char **argv, char **environment, int fd)
{
	sigset_t none;

	/* without a terminal of its own; it is no leader of a group, so this
	 * does not fail */
	(void)setsid();
	leave_stdio();
	if (fd == CHILD_CHANNEL_FD)
		fcntl(fd, F_SETFD, 0);
	else if (dup2(fd, CHILD_CHANNEL_FD) == -1)
		_exit(127);
	/* no child gets a listening socket, or another child's channel */
	if (close_range(CHILD_CHANNEL_FD + 1, ~0U, 0) == -1)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(SELF, argv, environment);
	_exit(127);
}

pid_t
spawn_child(enum role_id role, int *fd_r)
{
	char self[] = "mailmilld", flag[] = "-x", name[LIM_NAME];
	char *argv[] = { self, flag, name, NULL };
	char *environment[NKEPT + 2];
	int fds[2], saved;
	pid_t pid;

	say_left_out();
	make_environment(role, environment);
	strlcpy(name, role_name(role), sizeof(name));
	if (channel_pair(fds) == -1)
		return -1;
	if ((pid = fork()) == 0)
		become_child(argv, environment, fds[1]);
	saved = errno;
	close(fds[1]);
	if (pid == -1)
		close(fds[0]);
	else
		*fd_r = fds[0];
	errno = saved;
	return pid;
}

bool
spawn_is_traced(pid_t pid)
{
	char file[64], line[128];
	unsigned int tracer = 0;
	FILE *fp;

	snprintf(file, sizeof(file), "/proc/%d/status", (int)pid);
	if ((fp = fopen(file, "re")) == NULL)
		return false;
	while (fgets(line, sizeof(line), fp) != NULL &&
	    sscanf(line, "TracerPid: %u", &tracer) != 1)
		continue;
	fclose(fp);
	return tracer != 0;
}

/* Would authd start?  Found out by a process of its own under authd's account,
 * which ends at once: so the master reads no file of users, and what may not be
 * read is said before anything is started, or a reload begun.
 * Owns: that process, its time, the pipe it answers through. */

#include "cmd/mailmilld/authd/auth_check.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "cmd/mailmilld/authd/back/auth_back.h"
#include "cmd/mailmilld/role/privs.h"
#include "cmd/mailmilld/role/roles.h"
#include "core/process/log.h"

#define CHECK_MS	20000	/* of all: a file server may be slow */
#define IS_GOOD		"ok"	/* the answer when there is no complaint */
#define ANSWER_MAX	4096	/* octets; PIPE_BUF, so it comes whole */

/* --- the process ---------------------------------------------------------- */

/* Return whether ${o}'s can be opened, else with the answer. */
static bool
check_back(const struct esmtp_options *o, char *answer_r)
{
	char why[AUTH_ERROR_MAX + 1024];
	struct auth_back *b;

	if ((b = auth_back_open(o->auth_backend, why, sizeof(why))) == NULL) {
		snprintf(answer_r, ANSWER_MAX, "Auth_Backend: %s", why);
		return false;
	}
	auth_back_free(b);
	return true;
}

/* One that several scopes have is opened as often: nothing is kept. */
static void
check_all(const struct settings *s, char *answer_r)
{
	const struct esmtp_options *o;
	size_t i, k;

	for (i = 0; i < s->nlistens; i++)
		for (k = 0; (o = settings_options_at(s, i, k)) != NULL; k++)
			if (*o->auth_backend != '\0' &&
			    !check_back(o, answer_r))
				return;
	strlcpy(answer_r, IS_GOOD, ANSWER_MAX);
}

/* Like authd, but that it has nothing else of the master: no key, no log. */
static void __attribute__((noreturn))
check_process(const struct settings *s, const struct account *account, int fd)
{
	char answer[ANSWER_MAX] = "";

	if (fd > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned int)fd - 1, 0);
	close_range((unsigned int)fd + 1, ~0U, 0);
	if (privs_drop_account(s->auth_user, account->uid, account->gid) == -1 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		_exit(1);
	check_all(s, answer);
	_exit(write(fd, answer, strlen(answer)) == -1);
}

/* --- who started it ------------------------------------------------------- */

/* Its answer, within the time; false: there is none. */
static bool
hear(int fd, char *answer_r)
{
	uint64_t now = monotonic_ms(), deadline_ms = now + CHECK_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = -1;
	int rc = -1;

	for (; now < deadline_ms; now = monotonic_ms()) {
		rc = poll(&p, 1, (int)(deadline_ms - now));
		if (rc != -1 || errno != EINTR)
			break;
	}
	if (rc == 1)
		n = read(fd, answer_r, ANSWER_MAX - 1);
	if (n <= 0)
		return false;
	answer_r[n] = '\0';
	return true;
}

static int
judge(const struct settings *s, bool is_heard, const char *answer, char *err_r,
    size_t errlen)
{
	if (!is_heard)
		snprintf(err_r, errlen, "Auth_Backend: opening what it names "
		    "has failed, or takes longer than %d seconds",
		    CHECK_MS / 1000);
	else if (strcmp(answer, IS_GOOD) == 0)
		return 0;
	else
		snprintf(err_r, errlen, "%s (opened as %s)", answer,
		    geteuid() == 0 ? s->auth_user : "who starts it");
	return -1;
}

int
auth_check(const struct settings *s, char *err_r, size_t errlen)
{
	char answer[ANSWER_MAX] = "";
	struct account account;
	int fds[2], status;
	bool is_heard;
	pid_t pid;

	if (!s->has_auth)
		return 0;
	account_look(s, ROLE_AUTHD, &account);
	if (pipe2(fds, O_CLOEXEC) == -1)
		goto err1;
	/* or it would be written twice */
	log_flush();
	if ((pid = fork()) == -1)
		goto err2;
	if (pid == 0)
		check_process(s, &account, fds[1]);
	close(fds[1]);
	is_heard = hear(fds[0], answer);
	close(fds[0]);
	if (!is_heard)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return judge(s, is_heard, answer, err_r, errlen);
err2:
	close(fds[0]);
	close(fds[1]);
err1:
	snprintf(err_r, errlen, "the check of Auth_Backend: %s",
	    strerror(errno));
	return -1;
}

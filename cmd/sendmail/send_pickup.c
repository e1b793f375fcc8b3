/* See send_pickup.h.
 * As root: this process only reads the names of the accounts.  For each one a
 * process opens its folder, and becomes that account, with its groups, before it
 * opens a file: so nothing that an account has written is read with more rights
 * than it has, and the server is told by the kernel who connects. */

#include "cmd/sendmail/send_pickup_int.h"

#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "cmd/maildrop/maildrop.h"
#include "cmd/sendmail/send_note.h"
#include "cmd/sendmail/send_submit.h"
#include "core/lim.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define AT_ONCE		16	/* accounts: some of them may have stopped their processes */
#define LOOK_MS		20

struct running {
	pid_t		pid;		/* 0: a free place */
	uid_t		uid;
	uint64_t	end_ms;
};

struct pass {
	const struct send_pickup	*p;
	int				 dirfd;
	gid_t				 gid;
	struct running			 running[AT_ONCE];
	bool				 is_all;	/* no message waits */
};

/* Become the account ${uid}, for good, with the groups by which it may connect to
 * the server (File_Group). */
static int
become(const struct pass *pass, uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);
	gid_t gid = pw != NULL ? pw->pw_gid : pass->gid;

	if ((pw != NULL ? initgroups(pw->pw_name, gid) :
	    setgroups(0, NULL)) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		return -1;
	/* what has the folder open is not for the account's debuggers */
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void __attribute__((noreturn))
account(const struct pass *pass, uid_t uid)
{
	int fd = maildrop_open_of(pass->dirfd, uid, false);
	bool is_all;

	if (fd == -1)
		_exit(errno == ENOENT ? 0 : EX_OSERR);
	/* its lock is that of send_pickup_every(), which must not last as long
	 * as the account has this process stopped */
	close(pass->dirfd);
	if (geteuid() == 0 && become(pass, uid) == -1) {
		send_note("uid=%u: %s", (unsigned int)uid,
		    strerror(errno));
		_exit(EX_OSERR);
	}
	is_all = send_pickup_account(pass->p, fd);
	_exit(is_all ? 0 : EX_TEMPFAIL);
}

/* Take note of processes that have ended, and end those that take too long: the
 * account may have stopped its own.  Return how many go on. */
static unsigned int
look(struct pass *pass)
{
	struct running *r;
	unsigned int n = 0;
	int status;

	for (r = pass->running; r < pass->running + AT_ONCE; r++) {
		if (r->pid == 0)
			continue;
		if (waitpid(r->pid, &status, WNOHANG) == 0) {
			if (monotonic_ms() > r->end_ms)
				(void)kill(r->pid, SIGKILL);
			n++;
			continue;
		}
		r->pid = 0;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			pass->is_all = false;
	}
	return n;
}

static void
wait_for(struct pass *pass, unsigned int most)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };

	while (look(pass) > most)
		nanosleep(&pause, NULL);
}

/* A process for the account, unless it has one from the pass before */
static void
start(struct pass *pass, uid_t uid)
{
	struct running *r;

	for (r = pass->running; r < pass->running + AT_ONCE; r++)
		if (r->pid != 0 && r->uid == uid)
			return;
	wait_for(pass, AT_ONCE - 1);
	for (r = pass->running; r->pid != 0; r++)
		;
	r->uid = uid;
	r->end_ms = monotonic_ms() + LIM_MAILDROP_SECONDS * 1000;
	if ((r->pid = fork()) == 0)
		account(pass, uid);
	if (r->pid == -1) {
		send_note("uid=%u: %s", (unsigned int)uid,
		    strerror(errno));
		r->pid = 0;
		pass->is_all = false;
	}
}

/* The number of an account, as its folder is named; -1: it is none */
static int64_t
account_of(const char *name)
{
	const char *problem;
	long long n = strtonum(name, 0, UINT32_MAX - 1, &problem);
	char again[16];

	snprintf(again, sizeof(again), "%lld", n);
	return problem == NULL && strcmp(again, name) == 0 ? n : -1;
}

static void
all_accounts(struct pass *pass)
{
	DIR *dir = fileio_opendir(pass->dirfd, ".");
	const struct dirent *de;
	int64_t uid;

	if (dir == NULL) {
		send_note("%s: %s", pass->p->maildrop, strerror(errno));
		pass->is_all = false;
		return;
	}
	while ((de = readdir(dir)) != NULL)
		if ((uid = account_of(de->d_name)) != -1)
			start(pass, (uid_t)uid);
	closedir(dir);
}

/* Start what there is to do in the folder ${dirfd}. */
static void
begin(struct pass *pass)
{
	struct stat st;

	if (fstat(pass->dirfd, &st) == -1) {
		pass->is_all = false;
		return;
	}
	pass->gid = st.st_gid;
	if (geteuid() == 0)
		all_accounts(pass);
	else
		start(pass, geteuid());
}

static int
open_maildrop(const struct send_pickup *p)
{
	char err[512];
	int fd = maildrop_open(p->maildrop, err, sizeof(err));

	if (fd == -1 && errno == EACCES && geteuid() != 0)
		send_note("%s: only root may empty it; while a server runs, "
		    "that is done each minute", p->maildrop);
	else if (fd == -1)
		send_note("%s", err);
	return fd;
}

int
send_pickup(const struct send_pickup *p)
{
	struct pass pass = { .p = p, .dirfd = open_maildrop(p),
		.is_all = true };

	if (pass.dirfd == -1)
		return EX_UNAVAILABLE;
	begin(&pass);
	wait_for(&pass, 0);
	close(pass.dirfd);
	return pass.is_all ? 0 : EX_TEMPFAIL;
}

/* Does a server listen?  A socket of another type learns that without being
 * connected (EPROTOTYPE), and the server has no session, and nothing to log. */
static bool
has_server(const struct send_pickup *p)
{
	int fd = send_submit_connect(p->socket, SOCK_DGRAM);
	bool is_gone = fd == -1 && (errno == ENOENT || errno == ECONNREFUSED);

	fileio_close(fd);
	return !is_gone;
}

static void
rest(struct pass *pass, unsigned int seconds)
{
	for (; seconds > 0; seconds--) {
		sleep(1);
		(void)look(pass);
	}
}

int
send_pickup_every(const struct send_pickup *p, unsigned int seconds)
{
	struct pass pass = { .p = p, .dirfd = open_maildrop(p) };

	if (pass.dirfd == -1)
		return EX_UNAVAILABLE;
	if (flock(pass.dirfd, LOCK_EX | LOCK_NB) == -1)
		return 0;
	if (daemon(0, 0) == -1) {
		send_note("%s", strerror(errno));
		return EX_OSERR;
	}
	do {
		/* an account whose process has not ended keeps no other one
		 * waiting */
		do {
			begin(&pass);
			rest(&pass, seconds);
		} while (has_server(p) || look(&pass) > 0);
		/* a server that was started a moment ago has left its messages
		 * to us */
		(void)flock(pass.dirfd, LOCK_UN);
	} while (has_server(p) && flock(pass.dirfd, LOCK_EX | LOCK_NB) == 0);
	return 0;
}

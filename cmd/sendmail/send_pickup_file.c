/* The messages of one account: see send_pickup_int.h.
 * Owns: what becomes of the file of a message: it is removed when the server has the
 * message for all of its recipients; it keeps those that the server may take later;
 * the sender is told, in a message of its own, of those that it refuses.
 * A kill between an answer of the server and the change of the file makes the
 * message come twice, and none loses it. */

#include "cmd/sendmail/send_pickup_int.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/maildrop/maildrop.h"
#include "cmd/sendmail/send_note.h"
#include "cmd/sendmail/send_submit.h"
#include "core/lim.h"
#include "core/spool.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"
#include "core/util/unique.h"
#include "proto/report/dsn.h"

#define RUN_FILE	"run"	/* whoever has locked it is at work in the folder */
#define NEW_FILE	"new"	/* what is to take the place of a file */
#define RETURN_OCTETS	(1 << 20)	/* of a message that are returned to its sender */
#define NOTE_SECONDS	3600	/* at least, between two lines about one account */

/* What waits in a file after its message was offered */
enum left {
	LEFT_NONE,
	LEFT_ALL,	/* or it cannot be told */
	LEFT_UNASKED,	/* all, and the server takes none of the account now: there is no session, or it has ended before the message */
	LEFT_FEWER	/* recipients than before: they may be offered at once, since the server may take only so many in a transaction */
};

struct file {
	const struct send_pickup	*p;
	int				 dirfd;
	const char			*name;
	int64_t				 arrival;
	struct send_envelope		 env;
	struct send_message		 m;
	struct send_said		*said;
	int				 new_fd;	/* NEW_FILE, if some recipients may stay; -1: none */
	bool				 is_quiet;	/* what waits is not told again */
};

/* --- reading ------------------------------------------------------------------ */

/* Only what the account itself has written, with a name of its own */
static int
open_file(struct file *f)
{
	struct stat st;

	f->m.fd = openat(f->dirfd, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	if (f->m.fd == -1 || fstat(f->m.fd, &st) == -1)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_nlink != 1) {
		errno = EPERM;
		return -1;
	}
	f->m.octets = (uint64_t)st.st_size;
	f->arrival = st.st_mtime;
	return 0;
}

static int
read_file(struct file *f)
{
	char *head = malloc(SEND_ENVELOPE_MAX);
	ssize_t n, used;

	if (head == NULL)
		return -1;
	n = fileio_pread(f->m.fd, head, SEND_ENVELOPE_MAX, 0);
	used = n == -1 ? -1 : send_envelope_read(head, (size_t)n, &f->env);
	free(head);
	if (used == -1)
		return -1;
	f->m.offset = (uint64_t)used;
	f->m.octets -= (uint64_t)used;
	return 0;
}

/* --- writing ------------------------------------------------------------------ */

static void
note_errno(const struct file *f)
{
	send_note("uid=%u file=%s: %s", (unsigned int)geteuid(), f->name,
	    strerror(errno));
}

/* It is no message, or nobody takes it, nor the news that nobody does. */
static void
put_aside(const struct file *f, const char *why)
{
	char bad[sizeof(MAILDROP_BAD) + NAME_MAX];

	snprintf(bad, sizeof(bad), MAILDROP_BAD "%s", f->name);
	send_note("uid=%u file=%s: %s; it is kept as %s and not tried "
	    "again", (unsigned int)geteuid(), f->name, why, bad);
	if (renameat(f->dirfd, f->name, f->dirfd, bad) == -1)
		send_note("%s: %s", bad, strerror(errno));
}

static int
copy_body(const struct send_message *m, FILE *out)
{
	char buf[65536];
	uint64_t at = 0;
	ssize_t n;

	while ((n = send_message_pread(m, at, buf, sizeof(buf))) > 0) {
		if (fwrite(buf, 1, (size_t)n, out) != (size_t)n)
			return -1;
		at += (uint64_t)n;
	}
	return (int)n;
}

/* Before a message is offered of which some recipients may stay: room for the file
 * without the others.  On a full disk it would come twice to these. */
static int
reserve(struct file *f)
{
	if (f->env.rcpts.n == 1)
		return 0;
	f->new_fd = openat(f->dirfd, NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC |
	    O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->new_fd == -1)
		return -1;
	return fallocate(f->new_fd, FALLOC_FL_KEEP_SIZE, 0,
	    (off_t)(f->m.offset + f->m.octets)) == 0 ||
	    errno == EOPNOTSUPP ? 0 : -1;
}

static void
release(struct file *f)
{
	if (f->new_fd == -1)
		return;
	close(f->new_fd);
	f->new_fd = -1;
	(void)unlinkat(f->dirfd, NEW_FILE, 0);
}

/* The file with fewer recipients, in the place of the one that is there */
static int
replace(struct file *f)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = f->arrival } };
	FILE *out = fdopen(f->new_fd, "w");
	int fd = f->new_fd, rc;

	if (out == NULL)
		return -1;
	f->new_fd = -1;
	send_envelope_write(&f->env, out);
	/* what it has less than the one before is given back */
	rc = copy_body(&f->m, out) == -1 || fflush(out) != 0 ||
	    ftruncate(fd, ftello(out)) == -1 || futimens(fd, times) == -1 ||
	    fsync(fd) == -1 ? -1 : 0;
	if (fclose(out) != 0 || rc == -1)
		return -1;
	return renameat(f->dirfd, NEW_FILE, f->dirfd, f->name);
}

/* --- what the sender is told ----------------------------------------------------- */

static void
fill_report(const struct file *f, struct dsn *d, struct dsn_rcpt *rcpts)
{
	size_t i;

	for (i = 0; i < f->env.rcpts.n; i++)
		if (f->said[i].verdict == SEND_REFUSED)
			rcpts[d->nrcpts++] = (struct dsn_rcpt){
				.rcpt = f->env.rcpts.v[i],
				.action = DSN_FAILED,
				.why = f->said[i].is_deferred ? DSN_EXPIRED :
				    DSN_REFUSED,
				.code = f->said[i].is_reply ?
				    (unsigned int)f->said[i].code : 0,
				.enhanced = f->said[i].enhanced,
				.remote = f->p->domain,
				.text = f->said[i].words,
				.last_attempt = d->now };
}

static char *
compose(const struct file *f, size_t *len_r, unsigned int *needs_r)
{
	struct dsn_rcpt *rcpts = calloc(f->env.rcpts.n, sizeof(*rcpts));
	char *text = malloc(RETURN_OCTETS), id[UNIQUE_TEXT], *report = NULL;
	struct timeval now;
	ssize_t n = -1;

	gettimeofday(&now, NULL);
	if (text != NULL && rcpts != NULL)
		n = send_message_pread(&f->m, 0, text, RETURN_OCTETS);
	if (n >= 0) {
		struct dsn d = { .hostname = f->p->domain,
			.id = unique_text(&now, id), .now = now.tv_sec,
			.to = f->env.sender, .of = f->name,
			.sender = f->env.sender, .arrival = f->arrival,
			.envid = *f->env.envid != '\0' ? f->env.envid : NULL,
			.is_utf8 = (f->env.flags & SPOOL_ENV_SMTPUTF8) != 0,
			.text = text, .len = (size_t)n,
			.is_whole = (uint64_t)n == f->m.octets &&
			    (f->env.flags & SPOOL_ENV_RET_HDRS) == 0,
			.rcpts = rcpts };

		fill_report(f, &d, rcpts);
		report = dsn_compose(&d, len_r, needs_r);
	}
	free(rcpts);
	free(text);
	return report;
}

/* Tell the sender of the recipients that are refused.  Return what the server says
 * of that message. */
static enum send_verdict
report(const struct file *f)
{
	struct send_envelope env = { .sender = "" };
	struct send_message m = { .fd = -1 };
	struct send_said said = { .verdict = SEND_LATER };
	char why[SEND_WORDS_MAX], *text;
	unsigned int needs = 0;
	size_t len = 0;

	if (f->env.sender[0] == '\0')
		return SEND_REFUSED;
	if ((f->env.notify & SPOOL_NOTIFY_NEVER) != 0 || (f->env.notify != 0 &&
	    (f->env.notify & SPOOL_NOTIFY_FAILURE) == 0))
		return SEND_TAKEN;	/* RFC 3461 4.1: it wants none */
	if ((text = compose(f, &len, &needs)) == NULL)
		return SEND_LATER;
	if ((needs & DSN_NEEDS_8BITMIME) != 0)
		env.flags |= SPOOL_ENV_8BITMIME;
	if ((needs & DSN_NEEDS_SMTPUTF8) != 0)
		env.flags |= SPOOL_ENV_SMTPUTF8;
	if (send_message_of(text, len, &m) == 0 &&
	    send_list_add(&env.rcpts, f->env.sender) == 0)
		(void)send_submit(f->p->socket, f->p->domain, &env, &m, true,
		    &said, why);
	send_message_close(&m);
	send_envelope_free(&env);
	free(text);
	return said.verdict;
}

/* --- one message ----------------------------------------------------------------- */

static size_t
count(const struct file *f, enum send_verdict verdict)
{
	size_t i, n = 0;

	for (i = 0; i < f->env.rcpts.n; i++)
		n += f->said[i].verdict == verdict;
	return n;
}

/* No recipient waits, some are refused for good, and the sender cannot be told: the
 * file becomes one for these alone, put aside. */
static enum left
set_aside_refused(struct file *f)
{
	if (count(f, SEND_REFUSED) < f->env.rcpts.n) {
		send_submit_keep(&f->env.rcpts, f->said, 1 << SEND_REFUSED);
		if (replace(f) == -1)
			return LEFT_ALL;
	}
	put_aside(f, "the server refuses it, and nobody can be told");
	return LEFT_NONE;
}

/* RFC 5321 4.5.4.1: recipients that the server has refused for now for so long are
 * given up. */
static void
give_up(struct file *f)
{
	struct timeval now;
	size_t i;

	gettimeofday(&now, NULL);
	for (i = 0; i < f->env.rcpts.n; i++)
		if (f->said[i].is_deferred && f->said[i].verdict ==
		    SEND_LATER && now.tv_sec - f->arrival >=
		    LIM_MAILDROP_LIFE)
			f->said[i].verdict = SEND_REFUSED;
}

/* The server has answered: change the file. */
static enum left
settle(struct file *f)
{
	size_t all = f->env.rcpts.n, n, i;
	enum send_verdict told = SEND_TAKEN;

	give_up(f);
	if (count(f, SEND_REFUSED) > 0)
		told = report(f);
	if (told == SEND_REFUSED && count(f, SEND_LATER) +
	    count(f, SEND_UNKNOWN) == 0)
		return set_aside_refused(f);
	if (told != SEND_TAKEN)
		/* they are offered again, and the sender is told then */
		for (i = 0; i < all; i++)
			if (f->said[i].verdict == SEND_REFUSED)
				f->said[i].verdict = SEND_LATER;
	send_submit_keep(&f->env.rcpts, f->said, 1 << SEND_LATER |
	    1 << SEND_UNKNOWN);
	if ((n = f->env.rcpts.n) == 0) {
		if (unlinkat(f->dirfd, f->name, 0) == 0)
			return LEFT_NONE;
	} else if (n == all)
		return LEFT_ALL;
	else if (replace(f) == 0)
		return LEFT_FEWER;
	note_errno(f);
	return LEFT_ALL;
}

/* Offer the message that was read. */
static enum left
offer(struct file *f)
{
	char why[SEND_WORDS_MAX];
	const char *words;
	bool is_unasked;
	int rc;

	if ((f->said = calloc(f->env.rcpts.n, sizeof(*f->said))) == NULL)
		return LEFT_ALL;
	rc = send_submit(f->p->socket, f->p->domain, &f->env, &f->m, false,
	    f->said, why);
	is_unasked = rc == -1 || (f->said[0].verdict == SEND_LATER &&
	    f->said[0].code == 0 && f->said[0].words[0] == '\0');
	words = rc == -1 ? strerror(errno) : *why != '\0' ? why :
	    f->said[0].words;
	if (!f->is_quiet && count(f, SEND_LATER) + count(f, SEND_UNKNOWN) ==
	    f->env.rcpts.n)
		send_note("uid=%u file=%s: waits, since %s: %s",
		    (unsigned int)geteuid(), f->name, f->p->socket, words);
	return is_unasked ? LEFT_UNASKED : settle(f);
}

/* Does the error tell that the account has put something else there? */
static bool
is_foreign(int errnum)
{
	return errnum == EBADMSG || errnum == EPERM || errnum == EACCES ||
	    errnum == ELOOP || errnum == ENXIO;
}

static enum left
pick_up(const struct send_pickup *p, int dirfd, const char *name,
    bool is_quiet)
{
	struct file f = { .p = p, .dirfd = dirfd, .name = name,
		.is_quiet = is_quiet, .m = { .fd = -1 }, .new_fd = -1 };
	enum left left = LEFT_ALL;

	if (open_file(&f) == -1 || read_file(&f) == -1) {
		if (is_foreign(errno))
			put_aside(&f, "it is no message that this program has "
			    "written");
		else if (errno != ENOENT)
			note_errno(&f);
	} else if (reserve(&f) == -1) {
		if (!is_quiet)
			note_errno(&f);
	} else
		left = offer(&f);
	release(&f);
	send_message_close(&f.m);
	send_envelope_free(&f.env);
	free(f.said);
	return left;
}

/* --- all of an account ------------------------------------------------------------- */

static int
is_message(const struct dirent *de)
{
	return maildrop_is_message(de->d_name);
}

/* Was it told within NOTE_SECONDS that messages of this account wait?  Its lock
 * has an octet that was written then. */
static bool
is_told(int run_fd)
{
	struct timeval now;
	struct stat st;

	gettimeofday(&now, NULL);
	return fstat(run_fd, &st) == 0 && st.st_size > 0 &&
	    st.st_mtime <= now.tv_sec &&
	    now.tv_sec - st.st_mtime < NOTE_SECONDS;
}

bool
send_pickup_account(const struct send_pickup *p, int dirfd)
{
	uint64_t end_ms = monotonic_ms() + p->seconds * UINT64_C(1000);
	bool is_quiet, is_all = true;
	enum left left = LEFT_NONE;
	struct dirent **names;
	int i, n, run_fd;

	run_fd = openat(dirfd, RUN_FILE, O_RDWR | O_CREAT | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (run_fd == -1 || flock(run_fd, LOCK_EX | LOCK_NB) == -1) {
		fileio_close(run_fd);
		return false;
	}
	is_quiet = is_told(run_fd);
	n = scandirat(dirfd, ".", &names, is_message, alphasort);
	for (i = 0; i < n && left != LEFT_UNASKED; i++) {
		do
			left = pick_up(p, dirfd, names[i]->d_name,
			    is_quiet || !is_all);
		while (left == LEFT_FEWER && monotonic_ms() < end_ms);
		is_all &= left == LEFT_NONE;
		/* who empties the maildrop ends processes that take long: it
		 * must not fall between an answer and the change of a file */
		if (monotonic_ms() >= end_ms && i + 1 < n) {
			is_all = false;
			break;
		}
	}
	for (i = 0; i < n; i++)
		free(names[i]);
	if (n >= 0)
		free(names);
	if (n > 0 && fsync(dirfd) == -1)
		is_all = false;
	if (!is_all && !is_quiet)
		(void)fileio_pwrite(run_fd, "\n", 1, 0);
	close(run_fd);
	return is_all && n >= 0;
}

/* A check in a process of its own: under an account, with a time limit, once.
 * So the master finds out what a role will be able to open or parse without
 * doing either as root.
 * Owns: that process, its time, the pipe that it answers through.
 * Knows nothing of what is checked.
 *
 * An answer is strings, each with its NUL: what the check has noticed
 * (PROBE_ABSENT, PROBE_LIMITED), and at its end PROBE_GOOD, or PROBE_BAD and
 * why. */

#ifndef CMD_MAILMILLD_ROLE_PROBE_H
#define CMD_MAILMILLD_ROLE_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/mailmilld/role/privs.h"

#define PROBE_GOOD	"good"
#define PROBE_BAD	"bad "	/* why follows */
#define PROBE_ABSENT	"absent "	/* what, which may come later; not the end */
#define PROBE_LIMITED	"limited "	/* what is missing, and what goes on without it; not the end */
#define PROBE_TEXT_MAX	2048	/* octets of one string; less than PIPE_BUF */

struct probe;

struct probe_spec {
	const char	*what;		/* in messages: "the check of keys" */
	/* what the process becomes; uid 0: it stays what it is.  With the
	 * groups that the account ${name} is in; NULL: with none */
	struct account	 account;
	const char	*name;
	/* descriptors it keeps, apart from standard input, output and error */
	const int	*fds;
	size_t		 nfds;
	unsigned int	 limit_ms;
	/* run in the process: answers with probe_say(fd, ...) and returns */
	void		(*run)(int fd, const struct probe_spec *spec);
	const void	*closure;
};

/* probe_start(spec): Fork; ${spec} is not needed after this call.  NULL with
 * errno. */
struct probe *probe_start(const struct probe_spec *spec);

/* probe_adopt(what, fd, pidfd, limit_ms): The same for a process that there is
 * already, or that a test plays (${pidfd} -1): its answer is read from ${fd}
 * until its end.  takes both, also when it fails.  NULL: ENOMEM. */
struct probe *probe_adopt(const char *what, int fd, int pidfd,
    unsigned int limit_ms);

/* probe_free(p): Also ends the process.  NULL does nothing. */
void probe_free(struct probe *p);

/* probe_say(fd, fmt, ...): One string of the answer, in the process. */
void probe_say(int fd, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* probe_watch(p, done, closure): Read the answer on the loop; ${done} is called
 * once, when probe_has_ended().  Return 0, or -1 with errno.
 * probe_wait(p): Without a loop: block until probe_has_ended(). */
int probe_watch(struct probe *p, void (*done)(void *closure), void *closure);
void probe_wait(struct probe *p);
bool probe_has_ended(const struct probe *p);

/* probe_judge(p, notice, closure, err_r, errlen): It has ended: call
 * ${notice} for each string but the last.  Return 0, or -1 with why: what the
 * check said, or that it died or took longer than its limit. */
int probe_judge(const struct probe *p,
    void (*notice)(void *closure, const char *text), void *closure,
    char *err_r, size_t errlen);

#endif

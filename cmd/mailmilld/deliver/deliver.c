/* The role deliver: a process that puts messages into Maildirs.
 * Owns: its timer; how it ends.
 * Knows nothing of how a batch is written (core/maildir/deliver.c), of the pace
 * of the batches (pace.c), and of the channel to the queue (agent/agent.c). */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/agent/agent.h"
#include "cmd/mailmilld/deliver/pace.h"
#include "cmd/mailmilld/role/child.h"
#include "cmd/mailmilld/role/privs.h"
#include "cmd/settings/route.h"
#include "core/loop/after.h"
#include "core/maildir/deliver.h"
#include "core/maildir/maildir.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"
#include "core/util/utf8.h"

struct role_state {
	struct child	*child;
	struct agent	 agent;
	struct deliver	*deliver;	/* of its queue process; NULL: there is none now */
	Event		*timer;
	struct pace	 pace;
	uint64_t	 due_ms;	/* when the timer is set; 0: it is not */
};

/* --- results -------------------------------------------------------------- */

static void
unsent(void *closure)
{
	struct role_state *s = closure;

	log_err("deliver-results", "effect=%s", "ending, to be started again");
	child_exit(s->child);
}

static void
error(void *closure, uint64_t job, const char *enhanced, const char *text)
{
	struct role_state *s = closure;
	struct job_error je = { .job = job };

	strlcpy(je.enhanced, enhanced, sizeof(je.enhanced));
	strlcpy(je.text, text, sizeof(je.text));
	agent_say_error(&s->agent, &je);
}

static void
done(void *closure, const struct job_result *results, unsigned int n)
{
	struct role_state *s = closure;

	agent_say_results(&s->agent, results, n);
}

/* The folder that has the name of the extension, as the address has it, or in lower
 * case: clients change the case of addresses.  Return 0, or -1: there is no memory. */
static int
find_folder(const struct route *route, struct deliver_route *route_r)
{
	char lower[3 * ROUTE_ADDRESS_MAX];
	ssize_t n;

	if (route->domain->extension_folder == EXTENSION_FOLDER_NONE ||
	    maildir_folder_name(route->extension, route_r->folders[0]) == -1) {
		route_r->folders[0][0] = '\0';
		return 0;
	}
	n = utf8_lower(route->extension, strlen(route->extension), lower,
	    sizeof(lower) - 1);
	if (n == -1)
		return -1;
	lower[n] = '\0';
	if (maildir_folder_name(lower, route_r->folders[1]) == -1)
		route_r->folders[1][0] = '\0';
	route_r->makes_folder = route->domain->extension_folder ==
	    EXTENSION_FOLDER_CREATE;
	route_r->folders_max =
	    (unsigned int)route->domain->extension_folder_limit;
	return 0;
}

static int
find_route(void *closure, const struct job *job, const char *rcpt,
    struct deliver_route *route_r, char *text_r)
{
	struct role_state *s = closure;
	struct route route;

	if (route_deliver(s->child->settings, job->section, rcpt, &route,
	    text_r) == -1)
		return -1;
	/* the queue has chosen with other settings */
	if (route.transport != TRANSPORT_MAILDIR) {
		strlcpy(text_r, "the settings have changed", JOB_TEXT);
		errno = EAGAIN;
		return -1;
	}
	if (find_folder(&route, route_r) == -1) {
		snprintf(text_r, JOB_TEXT, "there is no memory to find the "
		    "folder of %s: it is tried again", rcpt);
		errno = ENOMEM;
		return -1;
	}
	strlcpy(route_r->path, route.target, sizeof(route_r->path));
	route_r->fixed = route.fixed;
	route_r->is_lf = route.is_lf;
	route_r->adds = (route.domain->delivered_to ? DELIVER_TO : 0) |
	    (route.domain->x_original_to ? DELIVER_ORIGINAL : 0) |
	    (route.domain->maildir_virtual_size ? DELIVER_VIRTUAL_SIZE : 0);
	route_r->limit = (struct maildir_size){
		.octets = (uint64_t)route.domain->maildir_quota,
		.messages = (uint64_t)route.domain->maildir_quota_messages };
	route_r->is_deferred = route.domain->maildir_over_quota ==
	    MAILDIR_OVER_QUOTA_DEFER;
	/* that of files without it */
	route_r->mode = route.domain->maildir_file_mode == 0600 ? 0 :
	    (mode_t)route.domain->maildir_file_mode;
	return 0;
}

/* Has the queue closed its end of the channel?  Asked during a
 * batch, when the loop, which would notice, is not running. */
static bool
is_left(void *closure)
{
	struct role_state *s = closure;
	struct pollfd pfd = { .events = 0 };

	if (s->agent.queue == NULL)
		return true;
	pfd.fd = chanev_fd(s->agent.queue);
	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP) != 0;
}

static const struct deliver_ops deliver_ops = {
	.route = find_route,
	.error = error,
	.done = done,
	.is_left = is_left
};

/* --- batches -------------------------------------------------------------- */

static void set_timer(struct role_state *s);

static void
exit_if_done(struct role_state *s)
{
	if (s->child->is_draining && (s->deliver == NULL ||
	    (deliver_waiting(s->deliver) == 0 &&
	    deliver_unflushed(s->deliver) == 0)))
		child_exit(s->child);
}

static void
on_timer(void *closure)
{
	struct role_state *s = closure;
	uint64_t start = monotonic_ms();

	s->timer = NULL;
	s->due_ms = 0;
	/* a folder of Maildirs has been moved, or mounted */
	if (sandbox_is_stale(&s->child->sandbox)) {
		if (deliver_unflushed(s->deliver) > 0)
			deliver_flush(s->deliver);
		child_exit(s->child);
		return;
	}
	if (deliver_waiting(s->deliver) > 0)
		deliver_run(s->deliver, scheduler_now());
	else
		deliver_flush(s->deliver);
	s->pace.ran_ms = monotonic_ms();
	s->pace.took_ms = s->pace.ran_ms - start;
	set_timer(s);
	exit_if_done(s);
}

/* When there is something to do next; 0: nothing */
static uint64_t
next_due(const struct role_state *s)
{
	size_t n = deliver_waiting(s->deliver);

	if (n > 0 && s->child->is_draining)
		return 1;
	return pace_due(&s->pace, n, deliver_unflushed(s->deliver));
}

static void
set_timer(struct role_state *s)
{
	uint64_t due = s->deliver == NULL ? 0 : next_due(s), now;

	if (due == s->due_ms)
		return;
	after_cancel(&s->timer);
	s->due_ms = due;
	if (due == 0)
		return;
	now = monotonic_ms();
	s->timer = after_ms(due > now ? (unsigned int)(due - now) : 0,
	    on_timer, s);
	if (s->timer == NULL) {
		log_err("deliver-timer", "effect=%s",
		    "ending, to be started again");
		child_exit(s->child);
	}
}

/* --- the queue ------------------------------------------------------------ */

static int
on_source(void *closure, uint64_t source, int fd)
{
	struct role_state *s = closure;

	deliver_forget(s->deliver, source);
	if (fd != -1 && deliver_source(s->deliver, source, fd) == 0)
		return 0;
	log_warn("deliver-source", "source=%llu", (unsigned long long)source);
	return -1;
}

static void
on_forget(void *closure, uint64_t source)
{
	struct role_state *s = closure;

	deliver_forget(s->deliver, source);
}

static void
on_jobs(void *closure, const struct job *jobs, unsigned int n)
{
	struct role_state *s = closure;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (deliver_add(s->deliver, &jobs[i]) == -1) {
			log_err("deliver-jobs", "effect=%s",
			    "ending, to be started again");
			child_exit(s->child);
			return;
		}
	s->pace.came_ms = monotonic_ms();
	set_timer(s);
}

/* The queue process has ended: forget its jobs.  Files that are in new/ already
 * stay there; the next queue process gives these jobs out as repeated. */
static void
leave_queue(struct role_state *s)
{
	agent_leave(&s->agent);
	deliver_free(s->deliver);
	s->deliver = NULL;
	set_timer(s);
}

static void
queue_gone(void *closure)
{
	struct role_state *s = closure;

	leave_queue(s);
	exit_if_done(s);
}

/* D_STOP asks for nothing: what is here takes no longer than a flush. */
static const struct agent_ops agent_ops = {
	.source = on_source,
	.forget = on_forget,
	.jobs = on_jobs,
	.gone = queue_gone,
	.unsent = unsent
};

static void
on_peer(void *closure, const struct msg_peer *, int fd)
{
	struct role_state *s = closure;

	leave_queue(s);
	s->deliver = deliver_new(&deliver_ops, s,
	    s->child->settings->hostname);
	if (s->deliver == NULL) {
		log_err("deliver-start", "peer=%s", "queue");
		close(fd);
		return;
	}
	if (agent_join(&s->agent, ROLE_DELIVER, fd) == -1) {
		log_err("deliver-connect", "peer=%s", "queue");
		leave_queue(s);
	}
}

static void
on_drain(void *closure)
{
	struct role_state *s = closure;

	set_timer(s);
	exit_if_done(s);
}

static const struct child_ops child_ops = {
	.peer = on_peer,
	.drain = on_drain
};

/* Before the role has only what it needs. */
static int
read_tables(struct child *c)
{
	char err[SETTINGS_ERROR_MAX];

	if (settings_load_mailboxes(c->settings_owned, err, sizeof(err)) == 0)
		return 0;
	log_errx("recipients", "reason=%s", err);
	return -1;
}

static int
deliver_main(struct child *c)
{
	struct role_state s = { .child = c };
	int status;

	s.agent = (struct agent){ .ops = &agent_ops, .closure = &s };
	privs_raise_nofile();
	if (read_tables(c) == -1 || child_drop(c) == -1)
		return 1;
	status = child_run(c, &child_ops, &s);
	agent_last_words(&s.agent);
	after_cancel(&s.timer);
	leave_queue(&s);
	return status;
}

static unsigned int
deliver_count(const struct settings *s)
{
	return (unsigned int)s->deliverers;
}

/* The folders of all Maildirs of a domain: what is the same for all users. */
static bool
deliver_path(const struct settings *s, size_t i, struct role_path *path_r)
{
	char path[MAILDIR_PATH_MAX];
	const char *why;
	size_t fixed;

	if (i >= s->ndomains)
		return false;
	path_r->can_write = true;
	if (settings_is_maildir(&s->domains[i]) && maildir_expand(s->domains[i].maildir, "postmaster@example.org",
	    path, &fixed, &why) == 0)
		snprintf(path_r->path, sizeof(path_r->path), "%.*s",
		    fixed == 0 ? 1 : (int)fixed, path);
	return true;
}

const struct role role_deliver = {
	.id = ROLE_DELIVER,
	ROLE_ACCOUNT(delivery_user),
	.count = deliver_count,
	.main = deliver_main,
	.profile = {
		.calls = "fchmod fdatasync fsync ftruncate getdents64 geteuid "
		    "kill:0 linkat lstat mkdirat openat openat2 pread64 "
		    "pwrite64 renameat renameat2 syncfs unlinkat",
		.path = deliver_path
	}
};

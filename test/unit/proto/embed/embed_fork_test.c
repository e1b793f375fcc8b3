/* Hosts and sessions in a child that is forked off: what esmtp_host(3) and
 * validate(3) say of it. */

#include <sys/socket.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/event.h"
#include "proto/esmtp_host.h"
#include "proto/validate.h"
#include "test/lib/misuse.h"
#include "test/lib/simspool.h"
#include "test/unit/proto/server/fake.h"

static struct simclock clock_of_spool;
static struct simspool spool;
static struct esmtp_host *host;
static struct esmtp_options *options;
static struct timeval now = { .tv_sec = FAKE_START };

static void
session_end(void *, accept_construct *ac)
{
	esmtp_session_free(ac);
}

static void
setup(void)
{
	const struct esmtp_host_ops ops = { .size = sizeof(ops),
		.session_end = session_end };

	simclock_init(&clock_of_spool, 0);
	simspool_init(&spool, &clock_of_spool);
	host = esmtp_host_new(&ops, NULL, &simspool_ops, &spool);
	options = esmtp_options_new("mx.example.test");
	cr_assert_not_null(host);
	cr_assert_not_null(options);
}

static void
teardown(void)
{
	esmtp_options_free(options);
	esmtp_host_free(host);
	simspool_clear(&spool);
	simclock_clear(&clock_of_spool);
}

TestSuite(embed_fork, .init = setup, .fini = teardown, .timeout = 30);

/* A session, and the client's end of its connection. */
static accept_construct *
new_session(int *client_r)
{
	accept_construct *ac;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == -1)
		return NULL;
	*client_r = fds[1];
	if ((ac = esmtp_session_new(host, options, fds[0], NULL, NULL)) == NULL)
		close(fds[0]);
	return ac;
}

/* One step after the client has said ${says}: does the reply begin with
 * ${reply}? */
static bool
is_answered(accept_construct *ac, int client, const char *says,
    const char *reply)
{
	Event *e = esmtp_session_event(ac);
	char heard[500];
	ssize_t n;

	if (write(client, says, strlen(says)) != (ssize_t)strlen(says))
		return false;
	if (e->callback(e, E_READ | E_WRITE, e->closure, &now) == 0)
		event_free(e);
	n = read(client, heard, sizeof(heard));
	return n >= (ssize_t)strlen(reply) &&
	    memcmp(heard, reply, strlen(reply)) == 0;
}

/* A host of the child's own, which it frees before its sessions. */
static void
free_own_host(void *)
{
	struct esmtp_host *own = esmtp_host_new(NULL, NULL, &simspool_ops,
	    &spool);

	(void)esmtp_session_new(own, options, -1, NULL, NULL);
	esmtp_host_free(own);
}

/* What the child does: 0, or the number of what has failed. */
static int
in_child(accept_construct *parents, int parents_client)
{
	static const struct validate_module late = {
		.size = sizeof(late), .name = "late" };
	accept_construct *ac;
	int client;

	/* it lets the parent's session go without a word */
	close(esmtp_session_event(parents)->fd);
	close(parents_client);
	errno = 0;
	if (validate_module_register(&late) != -1 || errno != EBUSY)
		return 1;
	if ((ac = new_session(&client)) == NULL)
		return 2;
	/* both processes count from where the fork was */
	if (strcmp(esmtp_session_id(ac), "2") != 0)
		return 3;
	if (!is_answered(ac, client, "", "220 "))
		return 4;
	if (!is_answered(ac, client, "EHLO x\r\n", "250"))
		return 5;
	esmtp_session_free(ac);
	if (misuse_ends(free_own_host, NULL) == NULL)
		return 6;
	/* they have the parent's session, which goes on there */
	esmtp_host_free(host);
	esmtp_options_free(options);
	return 0;
}

Test(embed_fork, a_child_has_sessions_of_its_own_and_leaves_its_parents)
{
	accept_construct *ac, *next;
	int client, other, status;
	pid_t pid;

	cr_assert_not_null(ac = new_session(&client));
	cr_assert(is_answered(ac, client, "", "220 "));
	cr_assert_neq(pid = fork(), -1);
	if (pid == 0)
		_exit(in_child(ac, client));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "%d", WEXITSTATUS(status));
	cr_assert(is_answered(ac, client, "EHLO x\r\n", "250"));
	cr_assert(is_answered(ac, client, "MAIL FROM:<a@example.org>\r\n",
	    "250 "));
	cr_assert_not_null(next = new_session(&other));
	cr_expect_str_eq(esmtp_session_id(next), "2");
	esmtp_session_free(next);
	esmtp_session_free(ac);
	close(client);
	close(other);
}

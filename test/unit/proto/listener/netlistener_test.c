#include "proto/netlistener.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ec_malloc.h"
#include "core/lim.h"
#include "core/scheduler.h"
#include "core/util/addr.h"
#include "core/util/monotonic.h"
#include "test/lib/misuse.h"
#include "test/lib/simspool.h"

#define HERE	"127.0.0.1:0"

static struct scheduler *sched;
static netlistener_def *def;
static int nhooks, nbegun, nended;
static bool hook_refuses;
static const char *stop_at;
static accept_construct *last;

static int
worker(Event *e, int, void *closure, struct timeval *)
{
	accept_construct *ac = closure;
	char buf[64];
	int n, needmask = E_READ;

	n = event_read(e, buf, sizeof(buf), &needmask);
	if (n == -1 && errno == EAGAIN)
		return needmask;
	if (n > 0) {
		cr_assert_eq(event_write(e, buf, n, &needmask), n);
		return E_READ;
	}
	nended++;
	(void)event_close(e);
	netlistener_clean_accept_construct(ac);
	netlistener_clean_accept_construct(ac);	/* counts once */
	ec_free(MEMTYPE_ACCEPT_CONSTRUCT, ac);
	return 0;
}

static int
server(Event *e, int eventtype, void *closure, struct timeval *now)
{
	accept_construct *ac = closure;

	nbegun++;
	cr_expect_eq(ac->event, e);
	cr_expect_eq(ac->accept_construct_closure.vptr, &nbegun);
	ac->accept_construct_closure.vptr = NULL;
	e->callback = worker;
	return worker(e, eventtype, closure, now);
}

static int
hook(Event *e, int eventtype, void *closure, struct timeval *)
{
	nhooks++;
	last = closure;
	cr_expect_eq(eventtype, E_READ);
	cr_expect_eq(last->event, e);
	cr_expect_str_eq(last->inst->def->prefix, "ECHO");
	cr_expect_neq(fcntl(e->fd, F_GETFL) & O_NONBLOCK, 0);
	cr_expect_neq(fcntl(e->fd, F_GETFD) & FD_CLOEXEC, 0);
	if (stop_at != NULL)
		cr_expect_eq(netlistener_stop_instance(stop_at), 1);
	return !hook_refuses;
}

static void
setup(void)
{
	sched = scheduler_create(NULL);
	def = netlistener_register4("ECHO", server, &nbegun, hook, "20000",
	    "30000");
	cr_assert_not_null(def);
}

static void
teardown(void)
{
	netlistener_unregister(def);
	scheduler_destroy(sched);
}

TestSuite(netlistener, .init = setup, .fini = teardown, .timeout = 30);

#define WAIT_SECONDS	20

/* Passes until ${condition} holds. */
#define pass_until(condition) do { \
	uint64_t end_ = monotonic_ms() + WAIT_SECONDS * 1000; \
	\
	while (!(condition)) { \
		cr_assert_lt(monotonic_ms(), end_, "not yet: %s", #condition); \
		cr_assert_geq(scheduler_pass(sched, 10), 0); \
	} \
} while (0)

/* A few more: what must not happen has had its chance. */
static void
pass_on(void)
{
	int i;

	for (i = 0; i < 3; i++)
		cr_assert_geq(scheduler_pass(sched, 10), 0);
}

static void
start(const char *addr)
{
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, addr), 1, "%s: %s",
	    addr, strerror(errno));
}

static int
connected(const char *addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_port = htons((in_port_t)netlistener_port(
	    netlistener_find(addr)));
	cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

/* The server sends what it was sent. */
static void
expect_served(int fd)
{
	char buf[8];

	cr_assert_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
	pass_until(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == 5);
	cr_expect_arr_eq(buf, "hello", 5);
}

static void
expect_closed(int fd)
{
	char c;

	pass_until(recv(fd, &c, 1, MSG_DONTWAIT) == 0);
}

/* The client goes, and the server's code sees that. */
static void
leave(int fd)
{
	int before = nended;

	close(fd);
	pass_until(nended == before + 1);
}

Test(netlistener, connections_are_handed_to_the_server_s_code)
{
	int fds[3], i;

	start(HERE);
	for (i = 0; i < 3; i++)
		fds[i] = connected(HERE);
	for (i = 0; i < 3; i++)
		expect_served(fds[i]);
	cr_expect_eq(nhooks, 3);
	cr_expect_eq(nbegun, 3);
	cr_expect_eq(last->remote_addr.sa.sa_family, AF_INET);
	cr_expect_eq(netlistener_find(HERE)->nconnections, 3);
	for (i = 0; i < 3; i++) {
		leave(fds[i]);
		cr_expect_eq(netlistener_find(HERE)->nconnections, 2 - i);
	}
	cr_expect_eq(nended, 3);
	/* the listener's own event is left */
	cr_expect_eq(scheduler_event_count(sched), 1);
}

Test(netlistener, the_hook_can_refuse)
{
	int fd;

	start(HERE);
	hook_refuses = true;
	fd = connected(HERE);
	expect_closed(fd);
	cr_expect_eq(nhooks, 1);
	cr_expect_eq(nbegun, 0);
	cr_expect_eq(netlistener_find(HERE)->nconnections, 0);
	close(fd);
	hook_refuses = false;
	fd = connected(HERE);
	expect_served(fd);
	leave(fd);
}

Test(netlistener, the_hook_can_stop_the_listener)
{
	int fd;

	start(HERE);
	stop_at = HERE;
	fd = connected(HERE);
	expect_served(fd);
	cr_expect_null(netlistener_find(HERE));
	leave(fd);
	cr_expect_eq(nended, 1);
	cr_expect_eq(scheduler_event_count(sched), 0);
}

/* The definition and the instance live as long as their connections. */
Test(netlistener, connections_go_on_when_it_is_stopped)
{
	int fd;

	start(HERE);
	fd = connected(HERE);
	expect_served(fd);
	cr_expect_eq(netlistener_stop_instance(HERE), 1);
	cr_expect_eq(netlistener_stop_instance(HERE), 0);
	netlistener_unregister(def);
	expect_served(fd);
	cr_expect_str_eq(last->inst->def->prefix, "ECHO");
	cr_expect_eq(last->inst->fd, -1);
	leave(fd);
	cr_expect_eq(nended, 1);
	def = NULL;
}

Test(netlistener, so_many_are_served_at_a_time_and_others_wait)
{
	int fds[5], i;

	def->opt_concurrency = 2;
	start(HERE);
	for (i = 0; i < 5; i++)
		fds[i] = connected(HERE);
	pass_until(nbegun == 2);
	pass_on();
	cr_expect_eq(nbegun, 2);
	for (i = 0; i < 5; i++) {
		expect_served(fds[i]);
		leave(fds[i]);
	}
	cr_expect_eq(nended, 5);
}

Test(netlistener, so_many_are_accepted_in_one_pass)
{
	int fds[6], i;

	def->opt_events_per_iter = 2;
	start(HERE);
	for (i = 0; i < 6; i++)
		fds[i] = connected(HERE);
	for (i = 1; i <= 3; i++) {
		scheduler_pass(sched, 1000);
		cr_expect_eq(nhooks, 2 * i);
	}
	for (i = 0; i < 6; i++)
		close(fds[i]);
	pass_until(nended == 6);
}

Test(netlistener, without_descriptors_it_waits_for_a_moment)
{
	struct rlimit all, few;
	int fd, i;

	start(HERE);
	fd = connected(HERE);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = (rlim_t)fd;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	cr_assert_geq(scheduler_pass(sched, 1000), 1);
	cr_expect_eq(nhooks, 0);
	cr_expect_eq(netlistener_find(HERE)->last_errno, EMFILE);
	/* it does not spin */
	for (i = 0; i < 10; i++)
		cr_expect_eq(scheduler_pass(sched, 1), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	pass_until(nbegun == 1);
	expect_served(fd);
	leave(fd);
}

Test(netlistener, a_socket_in_the_file_system)
{
	char dir[] = "/tmp/netlistener.XXXXXX";
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char path[64];
	struct stat st;
	int fd, round;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	strcpy(un.sun_path, path);
	def->opt_file_mode = 0660;
	for (round = 0; round < 2; round++) {
		/* the second one finds what a process has left that died */
		if (round == 1) {
			fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
			cr_assert_eq(bind(fd, (struct sockaddr *)&un,
			    sizeof(un)), 0);
			close(fd);
		}
		start(path);
		cr_assert_eq(stat(path, &st), 0);
		cr_expect_eq(st.st_mode & 0777, 0660);
		cr_expect_eq(netlistener_instantiate_addr(def, NULL, path), 0);
		cr_expect_eq(errno, EEXIST);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cr_assert_eq(connect(fd, (struct sockaddr *)&un, sizeof(un)),
		    0);
		expect_served(fd);
		leave(fd);
		cr_expect_eq(netlistener_stop_instance(path), 1);
	}
	/* what is no socket stays */
	cr_assert_eq(access(path, F_OK), -1);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, path), 0);
	cr_expect_eq(errno, EADDRINUSE);
	cr_expect_eq(unlink(path), 0);
	rmdir(dir);
}

/* --- options and addresses ------------------------------------------------ */

static int
option_of(int fd, int level, int option)
{
	socklen_t len = sizeof(int);
	int value = -1;

	cr_assert_eq(getsockopt(fd, level, option, &value, &len), 0);
	return value;
}

/* The connections have them from the listening socket. */
Test(netlistener, options_of_the_sockets)
{
	int fd, nagle;

	for (nagle = 0; nagle < 2; nagle++) {
		def->opt_disable_nagle = nagle;
		start(HERE);
		fd = connected(HERE);
		expect_served(fd);
		/* the kernel doubles them: socket(7) */
		cr_expect_eq(option_of(last->event->fd, SOL_SOCKET, SO_RCVBUF),
		    2 * 20000);
		cr_expect_eq(option_of(last->event->fd, SOL_SOCKET, SO_SNDBUF),
		    2 * 30000);
		cr_expect_eq(option_of(last->event->fd, IPPROTO_TCP,
		    TCP_NODELAY) != 0, nagle != 0);
		leave(fd);
		cr_expect_eq(netlistener_stop_instance(HERE), 1);
	}
}

/* As many may wait as the backlog has, and one. */
Test(netlistener, the_backlog)
{
	char dir[] = "/tmp/netlistener.XXXXXX";
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fds[8], n = 0, i;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/sock", dir);
	def->opt_backlog = 3;
	start(un.sun_path);
	for (i = 0; i < 8; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0);
		if (connect(fds[i], (struct sockaddr *)&un, sizeof(un)) == 0)
			n++;
		else
			cr_expect_eq(errno, EAGAIN);
	}
	cr_expect_eq(n, 4);
	pass_until(nbegun == 4);
	for (i = 0; i < 8; i++)
		close(fds[i]);
	pass_until(nended == 4);
	cr_expect_eq(netlistener_stop_instance(un.sun_path), 1);
	unlink(un.sun_path);
	rmdir(dir);
}

/* addr.h: these octets are how root would look. */
Test(netlistener, a_client_does_not_choose_its_account)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX },
	    own = { .sun_family = AF_UNIX, .sun_path = { 0, 1 } };
	char dir[] = "/tmp/netlistener.XXXXXX";
	socklen_t len = sizeof(struct addr_local);
	uint32_t uid;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* no other test has that name */
	len += (socklen_t)sprintf((char *)&own + len, "%ld", (long)getpid());
	cr_assert_not_null(mkdtemp(dir));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/sock", dir);
	start(un.sun_path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&own, len), 0);
	cr_assert(addr_uid((struct sockaddr *)&own, &uid));
	cr_assert_eq(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	pass_until(nbegun == 1);
	cr_expect_eq(last->remote_addr.sa.sa_family, AF_UNIX);
	cr_expect_not(addr_uid(&last->remote_addr.sa, &uid));
	close(fd);
	pass_until(nended == 1);
	cr_expect_eq(netlistener_stop_instance(un.sun_path), 1);
	rmdir(dir);
}

Test(netlistener, all_addresses_of_ipv4)
{
	int fd;

	start("*:0");
	fd = connected("*:0");
	expect_served(fd);
	cr_expect_eq(last->remote_addr.sa.sa_family, AF_INET);
	leave(fd);
}

Test(netlistener, all_addresses_of_both_families)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == -1)
		cr_skip_test("no IPv6 here");
	close(fd);
	start("[::]:0");
	in6.sin6_port = htons((in_port_t)netlistener_port(
	    netlistener_find("[::]:0")));
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&in6, sizeof(in6)), 0);
	expect_served(fd);
	cr_expect_eq(last->remote_addr.sa.sa_family, AF_INET6);
	leave(fd);
	fd = connected("[::]:0");
	expect_served(fd);
	leave(fd);
}

Test(netlistener, one_that_is_in_use_is_not_taken)
{
	netlistener_instance *inst;
	char addr[32];

	start(HERE);
	inst = netlistener_find(HERE);
	cr_expect_gt(netlistener_port(inst), 0);
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", netlistener_port(inst));
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, addr), 0);
	cr_expect_eq(errno, EADDRINUSE);
	cr_expect_null(netlistener_find(addr));
}

Test(netlistener, addresses_that_are_none)
{
	static const char *const bad[] = { "", "25", ":25", "1.2.3:25",
		"1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:+5",
		"1.2.3.4:25x", "[::1]", "::1:25", "[::1:25", "[]:25",
		"[1.2.3.4]:25", "mail.example.test:25", "**:25" };
	char path[300];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		cr_expect_eq(netlistener_instantiate_addr(def, NULL, bad[i]),
		    0, "%s", bad[i]);
		cr_expect_eq(errno, EINVAL, "%s", bad[i]);
	}
	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, path), 0);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, NULL), 0);
	cr_expect_eq(netlistener_instantiate_addr(NULL, NULL, HERE), 0);
	def->skip = 1;
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, HERE), 0);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(scheduler_event_count(sched), 0);
}

Test(netlistener, definitions_that_are_none)
{
	cr_expect_null(netlistener_register4(NULL, server, NULL, NULL, NULL,
	    NULL));
	cr_expect_null(netlistener_register3("X", NULL, NULL, NULL));
	cr_expect_null(netlistener_register4("X", server, NULL, NULL, "4K",
	    NULL));
	cr_expect_null(netlistener_register4("X", server, NULL, NULL, NULL,
	    "-1"));
	cr_expect_eq(errno, EINVAL);
	netlistener_unregister(NULL);
	netlistener_clean_accept_construct(NULL);
}

Test(netlistener, instances_that_are_none)
{
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, HERE), 1);
	cr_expect_null(netlistener_find(NULL));
	cr_expect_null(netlistener_find("127.0.0.1:1"));
	cr_expect_eq(netlistener_stop_instance(NULL), 0);
	cr_expect_eq(netlistener_port(NULL), 0);
	netlistener_instance_addref(NULL);
	netlistener_instance_delref(NULL);
	cr_expect_not_null(netlistener_find(HERE));
}

/* --- sessions of the factory ---------------------------------------------- */

static int nsessions_ended;

static void
report(void *, accept_construct *, const struct esmtp_report *)
{
}

static void
session_end(void *, accept_construct *ac)
{
	nsessions_ended++;
	cr_expect_eq(ac->protocol, P_ESMTP);
	netlistener_clean_accept_construct(ac);
	ec_free(MEMTYPE_ACCEPT_CONSTRUCT, ac);
}

static const struct esmtp_host_ops host_ops = { .size = sizeof(host_ops),
	.report = report,
	.session_end = session_end };
static struct esmtp_host *host;

/* What the pages say of a listener's code: keep the state, change the callback,
 * call it. */
static int
esmtp_server(Event *e, int eventtype, void *closure, struct timeval *now)
{
	accept_construct *ac = closure;

	ac->options = ac->accept_construct_closure.vptr;
	ac->accept_construct_closure.vptr = NULL;
	ac->host = host;
	e->callback = esmtp_message_factory;
	return esmtp_message_factory(e, eventtype, closure, now);
}

/* What the server answers to ${text} begins with ${code}. */
static void
expect_reply(int fd, const char *text, const char *code)
{
	char buf[1024];
	ssize_t n;

	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL),
	    (ssize_t)strlen(text));
	pass_until((n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT)) != -1);
	cr_assert_geq(n, 3, "%s", text);
	buf[n] = '\0';
	cr_expect_eq(strncmp(buf, code, strlen(code)), 0, "%s", buf);
}

Test(netlistener, sessions_of_the_factory_are_served)
{
	netlistener_def *smtp;
	struct esmtp_options *options = esmtp_options_new("mx.example.test");
	int a, b;

	cr_assert_not_null(options);
	host = esmtp_host_new(&host_ops, NULL, &simspool_ops, NULL);
	cr_assert_not_null(host);
	smtp = netlistener_register3("ESMTP", esmtp_server, NULL, options);
	cr_assert_eq(netlistener_instantiate_addr(smtp, NULL, HERE), 1);
	a = connected(HERE);
	b = connected(HERE);
	expect_reply(a, "", "220 mx.example.test");
	expect_reply(b, "", "220 mx.example.test");
	expect_reply(a, "EHLO client.test\r\n", "250");
	expect_reply(a, "QUIT\r\n", "221");
	expect_closed(a);
	cr_expect_eq(nsessions_ended, 1);
	cr_expect_eq(netlistener_find(HERE)->nconnections, 1);
	close(b);
	pass_until(nsessions_ended == 2);
	cr_expect_eq(netlistener_find(HERE)->nconnections, 0);
	netlistener_unregister(smtp);
	esmtp_options_free(options);
	esmtp_host_free(host);
	close(a);
}

/* One whose closure is still the program's has had no step. */
static accept_construct *seen[2];
static int nseen;

static int
on_session(Event *, int, void *closure, struct timeval *)
{
	accept_construct *ac = closure;

	cr_expect_null(accept_construct_get_message_construct(ac));
	cr_expect_eq(esmtp_session_state(ac), MC_STATE_START);
	cr_expect_null(esmtp_session_helo(ac));
	cr_expect_null(esmtp_session_login(ac));
	cr_expect_eq(esmtp_session_close(ac, 421, "x"), -1);
	cr_assert_lt(nseen, 2);
	seen[nseen++] = ac;
	return 1;
}

/* It leaves the closure where it is. */
static int
hasty_server(Event *e, int eventtype, void *closure, struct timeval *now)
{
	accept_construct *ac = closure;

	ac->options = ac->accept_construct_closure.vptr;
	ac->host = host;
	e->callback = esmtp_message_factory;
	return esmtp_message_factory(e, eventtype, closure, now);
}

Test(netlistener, sessions_that_are_left_are_freed)
{
	struct esmtp_options *options = esmtp_options_new("mx.example.test");
	netlistener_def *smtp;
	int a, b, i;

	cr_assert_not_null(options);
	host = esmtp_host_new(&host_ops, NULL, &simspool_ops, NULL);
	smtp = netlistener_register3("ESMTP", hasty_server, on_session,
	    options);
	cr_assert_eq(netlistener_instantiate_addr(smtp, NULL, HERE), 1);
	nseen = 0;
	a = connected(HERE);
	expect_reply(a, "", "220 mx.example.test");
	cr_expect_not_null(accept_construct_get_message_construct(seen[0]));
	/* the other one has been accepted, and had no step */
	b = connected(HERE);
	pass_until(nseen == 2);
	cr_assert_null(accept_construct_get_message_construct(seen[1]));
	for (i = 0; i < 2; i++) {
		netlistener_clean_accept_construct(seen[i]);
		esmtp_session_free(seen[i]);
	}
	expect_closed(a);
	expect_closed(b);
	cr_expect_eq(netlistener_find(HERE)->nconnections, 0);
	netlistener_unregister(smtp);
	esmtp_host_free(host);
	esmtp_options_free(options);
}

/* A session that was not made by esmtp_session_new(). */
static void
free_host_in_session(void *arg)
{
	netlistener_def *smtp;

	host = esmtp_host_new(&host_ops, NULL, &simspool_ops, NULL);
	smtp = netlistener_register3("ESMTP", esmtp_server, NULL, arg);
	cr_assert_eq(netlistener_instantiate_addr(smtp, NULL, HERE), 1);
	expect_reply(connected(HERE), "", "220 ");
	esmtp_host_free(host);
}

Test(netlistener, the_host_of_a_session_is_not_freed)
{
	struct esmtp_options *options = esmtp_options_new("mx.example.test");

	cr_assert_not_null(options);
	cr_expect_str_eq(misuse_ends(free_host_in_session, options),
	    "mailmill: esmtp_host_free(): not before the end of the last of "
	    "its sessions: esmtp_session_free()");
	esmtp_options_free(options);
}

/* --- misuse --------------------------------------------------------------- */

static void
unregister_behind(void *)
{
	scheduler_destroy(sched);
	netlistener_unregister(def);
}

static void
stop_behind(void *)
{
	scheduler_destroy(sched);
	sched = scheduler_create(NULL);
	netlistener_stop_instance(HERE);
}

/* Its only connection ends, so that it may accept another one. */
static void
end_connection_behind(void *ac)
{
	scheduler_destroy(sched);
	netlistener_clean_accept_construct(ac);
}

static void
stop_before(void *)
{
	netlistener_unregister(def);
	scheduler_destroy(sched);
}

#define BEHIND	"mailmill: scheduler_destroy(): not before " \
	"netlistener_unregister(), or mailmill_server_free()"

Test(netlistener, a_scheduler_is_not_destroyed_before_its_listeners)
{
	int fds[2];

	def->opt_concurrency = 1;
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, HERE), 1);
	cr_expect_str_eq(misuse_ends(unregister_behind, NULL), BEHIND);
	cr_expect_str_eq(misuse_ends(stop_behind, NULL), BEHIND);
	cr_expect_null(misuse_ends(stop_before, NULL));
	fds[0] = connected(HERE);
	fds[1] = connected(HERE);
	pass_until(netlistener_find(HERE)->is_paused);
	cr_expect_str_eq(misuse_ends(end_connection_behind, last), BEHIND);
	close(fds[0]);
	close(fds[1]);
	pass_until(nended == 2);
}

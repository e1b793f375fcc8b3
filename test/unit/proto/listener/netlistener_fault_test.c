/* Listeners when something is wrong: with the socket, with what is at their
 * address, with clients that want all there is. */

#include "proto/netlistener.h"

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ec_malloc.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

#define HERE	"127.0.0.1:0"

static struct scheduler *sched;
static netlistener_def *def;
static int nbegun, nended, naccepts;

/* It serves until its client has gone. */
static int
server(Event *e, int, void *closure, struct timeval *)
{
	accept_construct *ac = closure;
	char buf[64];
	int n, needmask;

	if (ac->accept_construct_closure.vptr != NULL)
		nbegun++;
	ac->accept_construct_closure.vptr = NULL;
	n = event_read(e, buf, sizeof(buf), &needmask);
	if (n == -1 && errno == EAGAIN)
		return needmask;
	nended++;
	(void)event_close(e);
	netlistener_clean_accept_construct(ac);
	ec_free(MEMTYPE_ACCEPT_CONSTRUCT, ac);
	return 0;
}

static void
setup(void)
{
	sched = scheduler_create(NULL);
	cr_assert_not_null(sched);
	def = netlistener_register3("X", server, NULL, &nbegun);
	cr_assert_not_null(def);
}

static void
teardown(void)
{
	netlistener_unregister(def);
	scheduler_destroy(sched);
}

TestSuite(netlistener_fault, .init = setup, .fini = teardown, .timeout = 60);

static int
client_at(in_addr_t at, const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(at) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_port = htons((in_port_t)netlistener_port(
	    netlistener_find(address)));
	cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static int
client(void)
{
	return client_at(INADDR_LOOPBACK, HERE);
}

static void
pass_until(const int *counter, int n)
{
	uint64_t end = monotonic_ms() + 20000;

	while (*counter < n) {
		cr_assert_lt(monotonic_ms(), end, "%d of %d", *counter, n);
		cr_assert_geq(scheduler_pass(sched, 10), 0);
	}
}

/* accept(2) says so at each call, and poll(2) that it would not wait. */
Test(netlistener_fault, an_error_of_the_socket_itself_does_not_make_it_spin)
{
	netlistener_instance *inst;
	int i, ncalls = 0;

	cr_assert_eq(netlistener_instantiate_addr(def, NULL, HERE), 1);
	inst = netlistener_find(HERE);
	cr_assert_eq(shutdown(inst->fd, SHUT_RD), 0);
	for (i = 0; i < 30; i++)
		ncalls += scheduler_pass(sched, 1) > 0;
	cr_expect_eq(inst->last_errno, EINVAL);
	cr_expect_leq(ncalls, 2);
}

static int
counting_accept(Event *e, struct sockaddr *sa, socklen_t *len)
{
	naccepts++;
	return event_plain_opset.event_accept(e, sa, len);
}

/* One that has room all the time is not told of each end. */
Test(netlistener_fault, the_end_of_a_connection_is_no_cause_to_accept)
{
	event_io_opset opset = event_plain_opset;
	int fd, before;

	opset.event_accept = counting_accept;
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, HERE), 1);
	netlistener_find(HERE)->event->io_opset = &opset;
	fd = client();
	pass_until(&nbegun, 1);
	before = naccepts;
	close(fd);
	pass_until(&nended, 1);
	cr_assert_geq(scheduler_pass(sched, 0), 0);
	cr_assert_geq(scheduler_pass(sched, 0), 0);
	cr_expect_eq(naccepts, before);
	cr_assert_eq(netlistener_stop_instance(HERE), 1);
}

/* An instance that has seen a limit of 40 descriptors, and 25 clients. */
static void
start_with_few_descriptors(int clients[25])
{
	struct rlimit all, few;
	int i;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = 40;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, HERE), 1);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	for (i = 0; i < 25; i++)
		clients[i] = client();
}

Test(netlistener_fault, clients_cannot_take_all_descriptors)
{
	int fds[25], i;

	start_with_few_descriptors(fds);
	pass_until(&nbegun, 20);
	for (i = 0; i < 5; i++)
		cr_assert_geq(scheduler_pass(sched, 10), 0);
	cr_expect_eq(nbegun, 20);
	/* others follow when these end */
	for (i = 0; i < 25; i++)
		close(fds[i]);
	pass_until(&nended, 25);
}

/* One address has no more than its part, and the other one accepts still. */
Test(netlistener_fault, addresses_divide_the_descriptors)
{
	struct rlimit all, few;
	int fds[50], i;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = 40;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, HERE), 1);
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, "127.0.0.2:0"), 1);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	for (i = 0; i < 25; i++)
		fds[i] = client();
	pass_until(&nbegun, 10);
	for (i = 0; i < 5; i++)
		cr_assert_geq(scheduler_pass(sched, 10), 0);
	cr_expect_eq(nbegun, 10);
	for (i = 25; i < 50; i++)
		fds[i] = client_at(INADDR_LOOPBACK + 1, "127.0.0.2:0");
	pass_until(&nbegun, 20);
	for (i = 0; i < 5; i++)
		cr_assert_geq(scheduler_pass(sched, 10), 0);
	cr_expect_eq(nbegun, 20);
	/* the part of one that has stopped is the other one's */
	cr_assert_eq(netlistener_stop_instance("127.0.0.2:0"), 1);
	pass_until(&nbegun, 30);
	for (i = 0; i < 50; i++)
		close(fds[i]);
	pass_until(&nended, 35);
}

Test(netlistener_fault, a_negative_number_is_no_limit)
{
	int fds[25], i;

	def->opt_concurrency = -1;
	start_with_few_descriptors(fds);
	pass_until(&nbegun, 25);
	for (i = 0; i < 25; i++)
		close(fds[i]);
	pass_until(&nended, 25);
}

/* --- what has failed ------------------------------------------------------ */

Test(netlistener_fault, the_definition_says_where_a_start_has_failed)
{
	char addr[32];

	cr_assert_eq(netlistener_instantiate_addr(def, NULL, "25"), 0);
	cr_expect_eq(def->last_errno, EINVAL);
	cr_expect_eq(def->failed_syscall, NLSN_SYS_NEVER_ATTEMPTED);
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, HERE), 1);
	snprintf(addr, sizeof(addr), "127.0.0.1:%d",
	    netlistener_port(netlistener_find(HERE)));
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, addr), 0);
	cr_expect_eq(errno, EADDRINUSE);
	cr_expect_eq(def->last_errno, EADDRINUSE);
	cr_expect_eq(def->failed_syscall, NLSN_SYS_BIND);
}

/* No attempt is made on a socket, or all of them have succeeded. */
static void
expect_not_started(const char *addr, int errnum)
{
	def->last_errno = 0;
	def->failed_syscall = NLSN_SYS_BIND;
	errno = 0;
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, addr), 0);
	cr_expect_eq(errno, errnum);
	cr_expect_eq(def->last_errno, errnum);
	cr_expect_eq(def->failed_syscall, NLSN_SYS_NEVER_ATTEMPTED);
}

Test(netlistener_fault, the_definition_has_the_errno_of_each_failure)
{
	expect_not_started(NULL, EINVAL);
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, HERE), 1);
	expect_not_started(HERE, EEXIST);
	def->skip = 1;
	expect_not_started("127.0.0.2:0", EINVAL);
	def->skip = 0;
	/* a thread without a scheduler */
	cr_assert_eq(netlistener_stop_instance(HERE), 1);
	scheduler_destroy(sched);
	expect_not_started(HERE, EINVAL);
	sched = scheduler_create(NULL);
	errno = 0;
	cr_expect_eq(netlistener_instantiate_addr(NULL, NULL, HERE), 0);
	cr_expect_eq(errno, EINVAL);
}

/* --- sockets in the file system ------------------------------------------- */

static char dir[] = "/tmp/netlistener.XXXXXX";
static struct sockaddr_un un = { .sun_family = AF_UNIX };

static const char *
path_in_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/sock", dir);
	return un.sun_path;
}

static int
socket_at(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static bool
is_listening(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (struct sockaddr *)&un, sizeof(un));

	close(fd);
	return rc == 0;
}

Test(netlistener_fault, a_stop_removes_the_socket_unless_it_is_another_one)
{
	const char *path = path_in_dir();
	int fd;

	cr_assert_eq(netlistener_instantiate_addr(def, NULL, path), 1);
	cr_expect(is_listening());
	cr_assert_eq(netlistener_stop_instance(path), 1);
	cr_expect_eq(access(path, F_OK), -1);
	cr_assert_eq(netlistener_instantiate_addr(def, NULL, path), 1);
	cr_assert_eq(unlink(path), 0);
	fd = socket_at();
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(netlistener_stop_instance(path), 1);
	cr_expect(is_listening());
	close(fd);
	unlink(path);
	rmdir(dir);
}

/* What another process is about to listen on is not removed. */
Test(netlistener_fault, a_leftover_stays_while_another_process_starts)
{
	const char *path = path_in_dir();
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s/.sock.mailmill-lock", dir);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	close(socket_at());
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, path), 0);
	cr_expect_eq(errno, EADDRINUSE);
	cr_expect_eq(access(path, F_OK), 0);
	cr_assert_eq(flock(fd, LOCK_UN), 0);
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, path), 1);
	cr_expect(is_listening());
	/* nothing is left of the lock */
	cr_expect_eq(access(name, F_OK), -1);
	cr_assert_eq(netlistener_stop_instance(path), 1);
	close(fd);
	cr_expect_eq(rmdir(dir), 0);
}

/* Programs have lock files of their own beside their sockets. */
Test(netlistener_fault, a_lock_file_of_the_program_stays)
{
	const char *path = path_in_dir();
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(flock(fd, LOCK_EX), 0);
	close(socket_at());
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, path), 1);
	cr_expect(is_listening());
	cr_assert_eq(netlistener_stop_instance(path), 1);
	cr_expect_eq(access(name, F_OK), 0);
	close(fd);
	unlink(name);
	cr_expect_eq(rmdir(dir), 0);
}

/* A user who may read the folder can lock it, and in a folder like /tmp each
 * user can make a file of that name. */
Test(netlistener_fault, another_user_cannot_delay_a_start)
{
	const char *path = path_in_dir();
	uint64_t begin;
	char name[64];
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), theirs;

	cr_assert_eq(flock(fd, LOCK_EX), 0);
	close(socket_at());
	begin = monotonic_ms();
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, path), 1);
	cr_expect_lt(monotonic_ms() - begin, 900);
	cr_expect(is_listening());
	cr_assert_eq(netlistener_stop_instance(path), 1);
	close(fd);
	/* another user's, which only root can make */
	snprintf(name, sizeof(name), "%s/.sock.mailmill-lock", dir);
	theirs = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fchown(theirs, 65534, 65534) == 0) {
		cr_assert_eq(flock(theirs, LOCK_EX), 0);
		close(socket_at());
		begin = monotonic_ms();
		cr_expect_eq(netlistener_instantiate_addr(def, NULL, path), 1);
		cr_expect_lt(monotonic_ms() - begin, 900);
		cr_expect(is_listening());
		cr_assert_eq(netlistener_stop_instance(path), 1);
	}
	close(theirs);
	unlink(name);
	cr_expect_eq(rmdir(dir), 0);
}

/* A link that another user has put there is not followed, and keeps nobody from
 * starting. */
Test(netlistener_fault, the_lock_is_no_link)
{
	const char *path = path_in_dir();
	char name[64], target[64];

	snprintf(name, sizeof(name), "%s/.sock.mailmill-lock", dir);
	snprintf(target, sizeof(target), "%s/target", dir);
	cr_assert_eq(symlink(target, name), 0);
	close(socket_at());
	cr_expect_eq(netlistener_instantiate_addr(def, NULL, path), 1);
	cr_expect(is_listening());
	cr_expect_eq(access(target, F_OK), -1);
	cr_assert_eq(netlistener_stop_instance(path), 1);
	unlink(name);
	cr_expect_eq(rmdir(dir), 0);
}

/* A start in a process of its own.  Exit status 0: it listens, until it is told
 * to end by the end of ${until}. */
static int
compete(const char *path, int at, int until, int told)
{
	char c;
	bool is_mine;
	ssize_t n;

	sched = scheduler_create(NULL);
	def = netlistener_register3("X", server, NULL, &nbegun);
	n = read(at, &c, 1);
	is_mine = netlistener_instantiate_addr(def, NULL, path) == 1;
	n = write(told, is_mine ? "y" : "n", 1);
	n = read(until, &c, 1);
	return is_mine && n == 0 ? 0 : 1;
}

/* Several processes find what another one has left: one of them gets it, and
 * keeps it. */
Test(netlistener_fault, of_many_that_start_at_once_one_listens)
{
	enum { N = 4, ROUNDS = 8 };
	const char *path = path_in_dir();
	int at[2], until[2], told[2], i, round, nmine, status;
	pid_t pids[N];
	char c;

	scheduler_destroy(sched);
	for (round = 0; round < ROUNDS; round++) {
		close(socket_at());
		cr_assert_eq(pipe(at) | pipe(until) | pipe(told), 0);
		for (i = 0; i < N; i++) {
			if ((pids[i] = fork()) != 0)
				continue;
			alarm(30);
			close(at[1]);
			close(until[1]);
			_exit(compete(path, at[0], until[0], told[1]));
		}
		close(at[1]);
		for (i = nmine = 0; i < N; i++) {
			cr_assert_eq(read(told[0], &c, 1), 1);
			nmine += c == 'y';
		}
		cr_expect_eq(nmine, 1, "round %d", round);
		cr_expect(is_listening(), "round %d", round);
		close(until[1]);
		for (i = 0; i < N; i++)
			cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
		close(at[0]);
		close(until[0]);
		close(told[0]);
		close(told[1]);
		unlink(path);
	}
	cr_expect_eq(rmdir(dir), 0);
	sched = scheduler_create(NULL);
}

/* --- threads -------------------------------------------------------------- */

static void *
another(void *port)
{
	struct scheduler *s = scheduler_create(NULL);
	netlistener_def *d = netlistener_register3("Y", server, NULL,
	    &nbegun);

	cr_assert_null(netlistener_find(HERE));
	cr_expect_eq(netlistener_stop_instance(HERE), 0);
	cr_assert_eq(netlistener_instantiate_addr(d, NULL, HERE), 1);
	*(int *)port = netlistener_port(netlistener_find(HERE));
	netlistener_unregister(d);
	scheduler_destroy(s);
	return NULL;
}

Test(netlistener_fault, each_thread_has_its_own)
{
	netlistener_instance *inst;
	pthread_t thread;
	int port = 0;

	cr_assert_eq(netlistener_instantiate_addr(def, NULL, HERE), 1);
	inst = netlistener_find(HERE);
	cr_assert_eq(pthread_create(&thread, NULL, another, &port), 0);
	pthread_join(thread, NULL);
	cr_expect_neq(port, 0);
	cr_expect_neq(port, netlistener_port(inst));
	cr_expect_eq(netlistener_find(HERE), inst);
}

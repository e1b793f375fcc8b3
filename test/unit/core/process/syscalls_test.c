#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/process/syscalls.h"

/* They give the stack of their signal handlers back when a process ends. */
#ifdef __SANITIZE_ADDRESS__
#define OF_SANITIZERS	"sigaltstack "
#else
#define OF_SANITIZERS
#endif

#define ENOUGH	"memfd_create write read close exit exit_group tgkill:self getpid gettid " \
    "rt_sigprocmask rt_sigreturn futex munmap madvise mmap mprotect fcntl " \
    "openat:read kill:0 socket:unix socketpair shutdown:read fallocate:hole setsockopt sendto brk sched_yield " \
    "set_robust_list rseq " \
    OF_SANITIZERS

TestSuite(syscalls, .timeout = 60);

static int told[2];

static void
tell(int call)
{
	(void)!write(told[1], &call, sizeof(call));
}

/* In a child that may make the calls of ${list}, run ${func}.  Return what
 * waitpid(2) says of it, and the call that it told of, -1: none. */
static int
confined(const char *list, bool is_forbidden, void (*func)(void), int *call_r)
{
	char err[SYSCALLS_ERROR_MAX];
	int status;
	pid_t pid;

	cr_assert_eq(pipe(told), 0);
	if ((pid = fork()) == 0) {
		alarm(20);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
		    syscalls_tell(tell) == -1 || (is_forbidden ?
		    syscalls_forbid(&list, 1, err, sizeof(err)) :
		    syscalls_confine(&list, 1, err, sizeof(err))) == -1)
			_exit(100);
		func();
		_exit(0);
	}
	close(told[1]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (read(told[0], call_r, sizeof(*call_r)) != sizeof(*call_r))
		*call_r = -1;
	close(told[0]);
	return status;
}

static void
expect_fine(void (*func)(void), const char *what)
{
	int call, status = confined(ENOUGH, false, func, &call);

	cr_expect_eq(status, 0, "%s: status %x, call %d", what, status, call);
	cr_expect_eq(call, -1);
}

static void
expect_death(void (*func)(void), int nr, const char *what)
{
	int call, status = confined(ENOUGH, false, func, &call);

	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
	    "%s: status %x", what, status);
	cr_expect_eq(call, nr, "%s: call %d", what, call);
}

/* --- what a child tries --------------------------------------------------- */

static pid_t parent;

static void
must(bool is_done)
{
	if (!is_done)
		_exit(1);
}

static void *
map(int prot)
{
	return mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int
pair(void)
{
	int fds[2];

	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
	return fds[0];
}

static int
memfd(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	must(fd != -1);
	return fd;
}

#define TRY(name, what)	static void name(void) { what; }
TRY(data, must(map(PROT_READ | PROT_WRITE) != MAP_FAILED))
TRY(unix_socket, must(socket(AF_UNIX, SOCK_STREAM, 0) != -1))
TRY(get_flags, must(fcntl(0, F_GETFL) != -1))
TRY(read_file, must(open("/dev/null", O_RDONLY | O_CLOEXEC) != -1))
TRY(shut_read, must(shutdown(pair(), SHUT_RD) == 0))
TRY(hole, must(fallocate(memfd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
    0, 4096) == 0))
TRY(linger, must(setsockopt(pair(), SOL_SOCKET, SO_LINGER,
    &(struct linger){ 0 }, sizeof(struct linger)) == 0))
TRY(send_it, must(send(pair(), "x", 1, MSG_DONTWAIT) == 1))
TRY(is_there, must(syscall(SYS_kill, parent, 0) != -1))

TRY(no_socket, must(socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM))
TRY(inet_socket, (void)!socket(AF_INET, SOCK_STREAM, 0))
TRY(program, execl("/bin/true", "true", NULL))
TRY(code, map(PROT_READ | PROT_EXEC))
TRY(to_code, mprotect(map(PROT_READ), 4096, PROT_READ | PROT_EXEC))
TRY(set_owner, fcntl(0, F_SETOWN, 1))
TRY(lock, fcntl(0, F_SETLK, &(struct flock){ 0 }))
TRY(write_file, (void)!open("/dev/null", O_WRONLY))
TRY(make_file, (void)!open("/dev/null", O_RDONLY | O_CREAT, 0600))
TRY(end_it, syscall(SYS_kill, parent, SIGTERM))
TRY(end_it_so, syscall(SYS_tgkill, parent, parent, SIGABRT))
TRY(shut_write, shutdown(pair(), SHUT_WR))
TRY(shut_both, shutdown(pair(), SHUT_RDWR))
TRY(room, (void)!fallocate(memfd(), 0, 0, 4096))
TRY(hidden_room, (void)!fallocate(memfd(), FALLOC_FL_KEEP_SIZE, 0, 4096))
TRY(pass_ids, setsockopt(pair(), SOL_SOCKET, SO_PASSCRED, &(int){ 1 },
    sizeof(int)))
TRY(send_away, sendto(pair(), "x", 1, 0, (const struct sockaddr *)"xx", 2))
TRY(datagrams, (void)!socket(AF_UNIX, SOCK_DGRAM, 0))
TRY(no_handler, signal(SIGSYS, SIG_IGN))

Test(syscalls, are_those_of_the_lists)
{
	parent = getpid();
	expect_fine(data, "data");
	expect_fine(unix_socket, "a socket of this machine");
	expect_fine(get_flags, "fcntl");
	expect_fine(read_file, "openat to read");
	expect_fine(is_there, "kill 0");
	expect_fine(shut_read, "shutdown to read");
	expect_fine(hole, "fallocate to give room back");
	expect_fine(linger, "setsockopt");
	expect_fine(send_it, "send");
}

Test(syscalls, of_others_it_dies_and_says_which)
{
	parent = getpid();
	expect_death(inet_socket, SYS_socket, "a socket of TCP");
	expect_death(program, SYS_execve, "a program");
	expect_death(code, SYS_mmap, "code");
	expect_death(to_code, SYS_mprotect, "code of data");
	expect_death(set_owner, SYS_fcntl, "F_SETOWN");
	expect_death(lock, SYS_fcntl, "a lock without fcntl:locks");
	expect_death(write_file, SYS_openat, "openat to write");
	expect_death(make_file, SYS_openat, "openat to make");
	expect_death(end_it, SYS_kill, "kill");
	expect_death(end_it_so, SYS_tgkill, "tgkill of another");
	expect_death(shut_write, SYS_shutdown, "shutdown to write");
	expect_death(shut_both, SYS_shutdown, "shutdown");
	expect_death(room, SYS_fallocate, "fallocate");
	expect_death(hidden_room, SYS_fallocate, "fallocate, same size");
	expect_death(pass_ids, SYS_setsockopt, "another option");
	expect_death(send_away, SYS_sendto, "to another address");
	expect_death(datagrams, SYS_socket, "a socket of datagrams");
	expect_death(no_handler, SYS_rt_sigaction, "another handler");
}

TRY(end_itself, abort())

Test(syscalls, abort_is_no_refusal)
{
	int call, status = confined(ENOUGH, false, end_itself, &call);

	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	cr_assert_eq(call, -1);
}

static void
blocked(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	inet_socket();
}

/* It cannot say so, but it dies. */
Test(syscalls, a_blocked_signal_kills_too)
{
	int call, status = confined(ENOUGH, false, blocked, &call);

	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	cr_assert_eq(call, -1);
}

static int gate[2], begun[2];

static void *
thread_main(void *)
{
	char c;

	/* what a thread calls as it begins, with sanitizers, is over */
	(void)!write(begun[1], "", 1);
	(void)!read(gate[0], &c, 1);
	inet_socket();
	return NULL;
}

static void
let_thread(void)
{
	(void)!write(gate[1], "", 1);
	for (;;)
		sched_yield();
}

Test(syscalls, bind_threads_that_were_there_before)
{
	char err[SYSCALLS_ERROR_MAX];
	const char *list = ENOUGH;
	pthread_t thread;
	int status, call = -1;
	pid_t pid;
	char c;

	cr_assert_eq(pipe(told), 0);
	if ((pid = fork()) == 0) {
		alarm(20);
		if (pipe(gate) == -1 || pipe(begun) == -1 ||
		    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
		    pthread_create(&thread, NULL, thread_main, NULL) != 0 ||
		    read(begun[0], &c, 1) != 1 || syscalls_tell(tell) == -1 ||
		    syscalls_confine(&list, 1, err, sizeof(err)) == -1)
			_exit(100);
		let_thread();
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%x",
	    status);
	cr_assert_eq(read(told[0], &call, sizeof(call)), sizeof(call));
	cr_assert_eq(call, SYS_socket);
}

Test(syscalls, can_be_all_but_some)
{
	int call, status;

	status = confined("socket", true, data, &call);
	cr_assert_eq(status, 0);
	status = confined("socket", true, no_socket, &call);
	cr_assert_eq(status, 0);
	cr_assert_eq(call, -1);
}

Test(syscalls, a_word_that_is_none_is_refused)
{
	const char *lists[] = { "read", "write sokcet" };
	char err[SYSCALLS_ERROR_MAX];

	cr_assert_eq(syscalls_check("read openat:read fcntl", err,
	    sizeof(err)), 0);
	cr_assert_eq(syscalls_check("read openat:raed", err, sizeof(err)),
	    -1);
	cr_assert_str_eq(err, "openat:raed: no such call or rule");
	cr_assert_eq(syscalls_confine(lists, 2, err, sizeof(err)), -1);
	cr_assert_str_eq(err, "seccomp: sokcet: Invalid argument");
}

Test(syscalls, have_names)
{
	char buf[SYSCALLS_NAME_MAX];

	cr_assert_str_eq(syscalls_name(SYS_socket, buf, sizeof(buf)),
	    "socket");
	cr_assert_str_eq(syscalls_name(9999, buf, sizeof(buf)), "9999");
}

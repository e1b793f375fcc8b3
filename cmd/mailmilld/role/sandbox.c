/* The sandbox of a child; see sandbox.h.
 * Owns: the calls that all roles make, the order of the measures, what is told
 * of a call that was refused.
 * Knows nothing of what a role does: its struct has the profile. */

#include "cmd/mailmilld/role/sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/privs.h"
#include "core/process/caps.h"
#include "core/process/landlock.h"
#include "core/process/log.h"
#include "core/process/syscalls.h"
#include "core/util/array.h"

#define PATHS_MAX	256	/* different ones of a profile */
#define PACKET_MAX	64

/* What libc, the loop, the log, the channels and memory need, also where they
 * rarely come to: a mutex that somebody waits for, malloc(3) that gives memory
 * back or looks for processors, a clock without a vDSO, abort(3). */
static const char all_roles[] =
    "brk futex getpid gettid madvise membarrier mmap mprotect mremap munmap "
    "rseq rt_sigprocmask rt_sigreturn restart_syscall sched_getaffinity "
    "sched_yield set_robust_list sysinfo tgkill:self "
    "clock_gettime clock_getres clock_nanosleep gettimeofday nanosleep time "
    "getrandom exit exit_group "
    "epoll_create1 epoll_ctl epoll_pwait epoll_wait poll ppoll "
    "close dup fcntl fstat newfstatat lseek "
    "read readv write writev "
    "getsockopt recvfrom recvmsg sendmsg sendto setsockopt "
    "shutdown:read";

/* A program that a role has to run, such as a module of PAM, may do what its
 * account may.  It gets no hold on other processes or on the kernel. */
const char *const sandbox_never =
    "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp "
    "mount umount2 pivot_root chroot setns unshare move_mount open_tree fsopen "
    "fsconfig fsmount fspick mount_setattr quotactl swapon swapoff "
    "init_module finit_module delete_module kexec_load kexec_file_load reboot "
    "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter "
    "io_uring_register add_key request_key keyctl open_by_handle_at "
    "settimeofday clock_settime adjtimex clock_adjtime acct syslog personality "
    "iopl ioperm modify_ldt";

/* The sanitizers look at their own process, symbolize what they report, and end
 * with a thread that stops and traces the others: only their builds are not bound
 * to calls and limits. */
#ifdef __SANITIZE_ADDRESS__
enum { IS_SANITIZED = true };
#else
enum { IS_SANITIZED = false };
#endif

const char *
measure_name(enum measure id)
{
	static const char *const names[NMEASURES] = {
#define MEASURE(ID, name) [MEASURE_##ID] = name,
#include "cmd/mailmilld/role/measure.def"
#undef MEASURE
	};

	return names[id];
}

static void
hold(struct sandbox *sb, enum measure id)
{
	sb->holds |= MEASURE_BIT(id);
}

static bool
is_on(const struct sandbox *sb)
{
	return sb->settings->sandbox == SANDBOX_ON;
}

/* Does the profile name all that the process will do?  Not with PAM. */
static bool
is_known(const struct sandbox *sb)
{
	const struct role_profile *p = &sb->role->profile;

	return p->more_calls == NULL ||
	    p->more_calls(sb->settings) != PROFILE_ANY_CALLS;
}

static void
say(const struct sandbox *sb, enum measure id, const char *why)
{
	log_warnx("sandbox-measure", "role=%s slot=%u measure=%s reason=%s",
	    role_name(sb->role->id), sb->init.slot, measure_name(id), why);
}

/* --- files ---------------------------------------------------------------- */

/* Note which file the path names.  If it does not exist, take the nearest
 * folder above it that does: the rest may be made later. */
static void
find_file(struct sandbox_file *f)
{
	char *path = f->path.path, *slash;
	struct stat st;

	while (stat(path, &st) == -1 && errno == ENOENT &&
	    (slash = strrchr(path, '/')) != NULL && slash[1] != '\0')
		slash[slash == path] = '\0';
	if (stat(path, &st) == 0) {
		f->dev = st.st_dev;
		f->ino = st.st_ino;
	}
}

static bool
has_path(const struct sandbox *sb, const struct role_path *path)
{
	size_t i;

	for (i = 0; i < sb->nfiles; i++)
		if (strcmp(sb->files[i].path.path, path->path) == 0 &&
		    sb->files[i].path.can_write == path->can_write)
			return true;
	return *path->path == '\0';
}

/* Find the profile's paths, each once.  Return 0, or -1 with errno. */
static int
find_files(struct sandbox *sb)
{
	const struct role_profile *p = &sb->role->profile;
	struct role_path path = { .path = "" };
	size_t i;

	if ((sb->files = calloc(PATHS_MAX, sizeof(*sb->files))) == NULL)
		return -1;
	for (i = 0; p->path != NULL && p->path(sb->settings, i, &path); i++) {
		if (has_path(sb, &path))
			;
		else if (sb->nfiles == PATHS_MAX) {
			errno = E2BIG;
			return -1;
		} else {
			sb->files[sb->nfiles].path = path;
			find_file(&sb->files[sb->nfiles++]);
		}
		path = (struct role_path){ .path = "" };
	}
	return 0;
}

/* Return 0, or -1 with errno. */
static int
add_port(unsigned int **ports, size_t *n, size_t *room, unsigned int port)
{
	unsigned int *grown;
	size_t i;

	for (i = 0; i < *n; i++)
		if ((*ports)[i] == port)
			return 0;
	if ((grown = array_fit(*ports, room, *n + 1, sizeof(*grown))) == NULL)
		return -1;
	*ports = grown;
	grown[(*n)++] = port;
	return 0;
}

/* Find the profile's ports, each once, with 0 if it binds; *ports_r is to be freed.
 * Return 0, or -1 with errno. */
static int
find_ports(const struct sandbox *sb, unsigned int **ports_r, size_t *n_r)
{
	const struct role_profile *p = &sb->role->profile;
	unsigned int port = 0;
	size_t room = 0, i;

	for (i = 0; p->port != NULL && p->port(sb->settings, i, &port); i++) {
		if (port != 0 && add_port(ports_r, n_r, &room, port) == -1)
			return -1;
		port = 0;
	}
	return p->binds != NULL && p->binds(sb->settings) ?
	    add_port(ports_r, n_r, &room, 0) : 0;
}

/* The rules for Landlock, made while all paths can still be looked up.  Return
 * their descriptor, or -1. */
static int
file_rules(struct sandbox *sb, unsigned int *has_r)
{
	struct landlock_path paths[PATHS_MAX];
	unsigned int *ports = NULL;
	size_t nports = 0, i;
	int fd = -1;

	if (find_files(sb) == 0 && find_ports(sb, &ports, &nports) == 0) {
		for (i = 0; i < sb->nfiles; i++)
			paths[i] = (struct landlock_path){
			    sb->files[i].path.path,
			    sb->files[i].path.can_write };
		fd = landlock_rules(paths, sb->nfiles, ports, nports, has_r);
	}
	if (fd == -1) {
		say(sb, MEASURE_FILES, errno == ENOSYS || errno == EOPNOTSUPP ?
		    "the kernel has no Landlock, or an old one" :
		    strerror(errno));
		sb->nfiles = 0;
	}
	free(ports);
	return fd;
}

bool
sandbox_is_stale(const struct sandbox *sb)
{
	const struct sandbox_file *f;
	struct stat st;
	size_t i;

	for (i = 0; i < sb->nfiles; i++) {
		f = &sb->files[i];
		if (stat(f->path.path, &st) == 0 && (st.st_dev != f->dev ||
		    st.st_ino != f->ino)) {
			log_event(LOG_LEVEL_NOTICE, "sandbox-stale",
			    "role=%s slot=%u path=%s effect=%s",
			    role_name(sb->role->id), sb->init.slot,
			    f->path.path,
			    "it is another folder now: this process ends, "
			    "and the next one may use it");
			return true;
		}
	}
	return false;
}

void
sandbox_clear(struct sandbox *sb)
{
	free(sb->files);
	sb->files = NULL;
	sb->nfiles = 0;
}

static void
enter_rules(struct sandbox *sb, int fd, unsigned int has)
{
	if (fd == -1)
		return;
	if (landlock_enter(fd) == -1) {
		say(sb, MEASURE_FILES, strerror(errno));
		return;
	}
	hold(sb, MEASURE_FILES);
	if ((has & LANDLOCK_NET) != 0)
		hold(sb, MEASURE_NET);
	if ((has & LANDLOCK_SCOPE) != 0)
		hold(sb, MEASURE_SCOPE);
}

/* --- limits --------------------------------------------------------------- */

static bool
limit(int what, rlim_t value)
{
	const struct rlimit rl = { value, value };

	return setrlimit(what, &rl) == 0;
}

/* No core file: it would hold mail and passwords. */
static void
close_memory(struct sandbox *sb)
{
	bool has_core = !limit(RLIMIT_CORE, 0);

	if (!sb->role->has_secrets && (!is_on(sb) || IS_SANITIZED))
		return;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && !has_core)
		hold(sb, MEASURE_MEMORY);
}

static void
set_limits(struct sandbox *sb)
{
	const struct role_profile *p = &sb->role->profile;
	uint64_t max;

	if (!is_known(sb))
		return;
	if (limit(RLIMIT_NPROC, 0))
		hold(sb, MEASURE_FORK);
	max = p->file_max == NULL ? PROFILE_FILE_ANY : p->file_max(sb->settings);
	if (max != PROFILE_FILE_ANY && limit(RLIMIT_FSIZE, max))
		hold(sb, MEASURE_SIZE);
}

/* --- the account ---------------------------------------------------------- */

/* The path of the role's root, in ${path_r}; NULL: it has none of its own. */
static const char *
root_of(const struct sandbox *sb, char path_r[PATH_MAX])
{
	if (sb->role->root == NULL)
		return NULL;
	snprintf(path_r, PATH_MAX, "%s/%s", sb->settings->spool,
	    sb->role->root);
	return path_r;
}

int
sandbox_leave_root(struct sandbox *sb)
{
	char path[PATH_MAX];

	/* the rest of a drop would need what is given up */
	assert(!sb->role->keeps_groups && sb->role->profile.path == NULL);
	return privs_leave_root(sb->init.uid, sb->init.gid, root_of(sb, path));
}

static int
become(struct sandbox *sb)
{
	const struct role *role = sb->role;
	const struct msg_init *init = &sb->init;
	char path[PATH_MAX];

	if ((role->keeps_groups ? privs_drop_account(role_account(sb->settings,
	    role->id), init->uid, init->gid) : privs_drop(init->uid, init->gid,
	    root_of(sb, path))) == -1)
		return -1;
	hold(sb, MEASURE_PRIVS);
	if (geteuid() != 0)
		hold(sb, MEASURE_ACCOUNT);
	if (init->uid != 0 && role->root != NULL)
		hold(sb, MEASURE_ROOT);
	if (caps_are_empty(init->uid != 0))
		hold(sb, MEASURE_CAPS);
	return 0;
}

int
sandbox_drop(struct sandbox *sb)
{
	unsigned int has = 0;
	int rules = -1;

	if (is_on(sb) && is_known(sb) && !IS_SANITIZED)
		rules = file_rules(sb, &has);
	if (become(sb) == -1)
		return -1;
	close_memory(sb);
	enter_rules(sb, rules, has);
	return 0;
}

/* --- calls ---------------------------------------------------------------- */

/* What is sent of a call that was refused. */
static struct {
	int		 fd;
	unsigned char	 packet[PACKET_MAX];
	size_t		 len, at;
	void		(*words)(int signo);
} last;

/* In a signal handler. */
static void
tell(int call)
{
	memcpy(last.packet + last.at, &call, sizeof(call));
	(void)send(last.fd, last.packet, last.len, MSG_NOSIGNAL |
	    MSG_DONTWAIT);
	if (last.words != NULL)
		last.words(SIGSYS);
}

size_t
sandbox_calls(const struct sandbox *sb, const char *lists_r[SANDBOX_LISTS])
{
	const struct role_profile *p = &sb->role->profile;
	size_t n = 0;

	if (!is_known(sb))
		return 0;
	lists_r[n++] = all_roles;
	lists_r[n++] = p->calls;
	if (p->more_calls != NULL)
		lists_r[n++] = p->more_calls(sb->settings);
	return n;
}

void
sandbox_confine(struct sandbox *sb, int fd, const void *packet, size_t len,
    size_t at)
{
	const char *lists[SANDBOX_LISTS];
	char err[SYSCALLS_ERROR_MAX];
	size_t n;
	int rc;

	if (!is_on(sb) || IS_SANITIZED)
		return;
	set_limits(sb);
	last.fd = fd;
	last.len = len;
	last.at = at;
	last.words = sb->last_words;
	memcpy(last.packet, packet, len);
	if (syscalls_tell(tell) == -1) {
		say(sb, MEASURE_CALLS, strerror(errno));
		return;
	}
	n = sandbox_calls(sb, lists);
	rc = n > 0 ? syscalls_confine(lists, n, err, sizeof(err)) :
	    syscalls_forbid(&sandbox_never, 1, err, sizeof(err));
	if (rc == -1)
		say(sb, MEASURE_CALLS, err);
	else if (n > 0)
		hold(sb, MEASURE_CALLS);
}

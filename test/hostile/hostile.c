/* Between the objects of mailmilld and its channels; see hostile.h.
 * Owns: what was seen of honest messages, the signals, the turns of the tricks. */

#include "test/hostile/hostile.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/ended.h"
#include "core/loop/after.h"
#include "core/process/log.h"
#include "tls/remote.h"

#define TURN_MS		10
#define SEND_MS		1000	/* how long a message waits for its reader */
#define ALIGN		8
#define ORDERS		64

struct hostile hostile;

static const struct trick {
	const char	*name;
	bool		(*play)(uint64_t arg, unsigned int turn);
} tricks[] = {
#define TRICK(name, what) { #name, trick_##name },
#include "test/hostile/trick.def"
#undef TRICK
};
#define NTRICKS	(sizeof(tricks) / sizeof(tricks[0]))

/* What the signals have ordered, and the trick that is played. */
static struct order { uint64_t arg; unsigned int trick; } orders[ORDERS];
static unsigned int nordered, nplayed, turn;

/* Threads of the worker send, too. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- messages ------------------------------------------------------------- */

static size_t
padded(size_t octets)
{
	return (octets + ALIGN - 1) / ALIGN * ALIGN;
}

size_t
hostile_packet(unsigned int type, const void *base, const void *entries,
    unsigned int n, unsigned char *buf)
{
	const struct channel_row *row = &msg_rows[type];
	const uint32_t head[2] = { type, n };
	size_t at = sizeof(head) + padded(row->base_octets);

	memset(buf, 0, at);
	memcpy(buf, head, sizeof(head));
	memcpy(buf + sizeof(head), base, row->base_octets);
	if (n > 0)
		memcpy(buf + at, entries, n * row->entry_octets);
	return at + n * row->entry_octets;
}

int
hostile_write(const struct hostile_link *link, const void *buf, size_t len,
    const int *fds, unsigned int nfds)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(int) * HOSTILE_FDS)];
	} control;
	struct iovec iov = { .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cm;

	memcpy(&iov.iov_base, &buf, sizeof(buf));
	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
	}
	return sendmsg(channel_fd(link->ch), &mh,
	    MSG_NOSIGNAL | MSG_DONTWAIT) == -1 ? -1 : 0;
}

const struct hostile_link *
hostile_link_to(unsigned int peer)
{
	unsigned int i;

	for (i = 0; i < hostile.nlinks; i++)
		if (hostile.links[i].peer == peer)
			return &hostile.links[i];
	return NULL;
}

int
hostile_send(unsigned int peer, unsigned int type, const void *base,
    const void *entries, unsigned int n)
{
	static unsigned char buf[HOSTILE_PACKET];
	size_t len = hostile_packet(type, base, entries, n, buf);
	const struct hostile_link *link = hostile_link_to(peer);
	struct pollfd pfd = { .events = POLLOUT };

	if (link == NULL)
		return -1;
	pfd.fd = channel_fd(link->ch);
	(void)poll(&pfd, 1, SEND_MS);
	return hostile_write(link, buf, len, NULL, 0);
}

void
hostile_say(const char *what, uint64_t n)
{
	log_event(LOG_LEVEL_NOTICE, "trick-found", "what=%s n=%llu", what,
	    (unsigned long long)n);
}

/* --- channels ------------------------------------------------------------- */

struct channel *__real_channel_open(int fd, const struct channel_row *rows,
    size_t nrows, unsigned int self, unsigned int peer);
struct channel *__wrap_channel_open(int fd, const struct channel_row *rows,
    size_t nrows, unsigned int self, unsigned int peer);
void __real_channel_free(struct channel *c);
void __wrap_channel_free(struct channel *c);
int __real_channel_send(struct channel *c, unsigned int type, const void *base,
    const void *entries, unsigned int nentries, int fd);
int __wrap_channel_send(struct channel *c, unsigned int type, const void *base,
    const void *entries, unsigned int nentries, int fd);
int __real_channel_recv(struct channel *c, struct channel_msg *msg_r);
int __wrap_channel_recv(struct channel *c, struct channel_msg *msg_r);

struct channel *
__wrap_channel_open(int fd, const struct channel_row *rows, size_t nrows,
    unsigned int self, unsigned int peer)
{
	struct channel *c = __real_channel_open(fd, rows, nrows, self, peer);

	pthread_mutex_lock(&lock);
	if (c != NULL && hostile.nlinks < HOSTILE_LINKS)
		hostile.links[hostile.nlinks++] =
		    (struct hostile_link){ c, peer };
	pthread_mutex_unlock(&lock);
	return c;
}

void
__wrap_channel_free(struct channel *c)
{
	unsigned int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < hostile.nlinks; i++)
		if (hostile.links[i].ch == c) {
			hostile.links[i] = hostile.links[--hostile.nlinks];
			break;
		}
	pthread_mutex_unlock(&lock);
	__real_channel_free(c);
}

static void
note_sent(unsigned int type, const void *base, const void *entries,
    unsigned int n)
{
	struct hostile_sent *s = &hostile.sent[type];
	size_t len = n * msg_rows[type].entry_octets;

	assert(msg_rows[type].base_octets <= sizeof(s->base));
	s->is_there = true;
	memcpy(s->base, base, msg_rows[type].base_octets);
	s->nentries = n;
	s->len = len < sizeof(s->entries) ? len : sizeof(s->entries);
	if (s->len > 0)
		memcpy(s->entries, entries, s->len);
}

int
__wrap_channel_send(struct channel *c, unsigned int type, const void *base,
    const void *entries, unsigned int nentries, int fd)
{
	uint8_t wrong[TLS_SIG_MAX];

	pthread_mutex_lock(&lock);
	if (type < NMSGS)
		note_sent(type, base, entries, nentries);
	pthread_mutex_unlock(&lock);
	if (type == K_SIGNED && hostile.is_forger && nentries > 0) {
		memcpy(wrong, entries, nentries);
		wrong[nentries / 2] ^= 0x40;
		entries = wrong;
	}
	return __real_channel_send(c, type, base, entries, nentries, fd);
}

static void
keep(uint64_t v)
{
	hostile.kept[hostile.nkept++ % HOSTILE_KEPT] = v;
}

/* Return true: the honest code does not get it. */
static bool
on_session(const struct channel_msg *msg)
{
	const struct msg_empty empty = { 0 };
	struct msg_session ms;

	memcpy(&ms, msg->base, sizeof(ms));
	keep(ms.handle);
	/* as the honest code counts it, too */
	if (hostile.ended != NULL && (!hostile.is_silent || hostile.is_hoarder))
		ended_take(hostile.ended);
	if (hostile.is_liar)
		(void)hostile_send(ROLE_MASTER, M_CLOSED, &empty, &ms.handle, 1);
	return hostile.is_silent;
}

static bool
on_received(const struct channel_msg *msg)
{
	const struct job *jobs = msg->entries;
	unsigned int i;

	if (msg->type == M_SESSION)
		return on_session(msg);
	if (msg->type == M_ENDED && hostile.ended == NULL)
		hostile.ended = ended_attach(msg->fd);
	if (msg->type == D_JOBS)
		for (i = 0; i < msg->nentries; i++)
			keep(jobs[i].job);
	return false;
}

int
__wrap_channel_recv(struct channel *c, struct channel_msg *msg_r)
{
	int rc;

	do
		rc = __real_channel_recv(c, msg_r);
	while (rc == 1 && on_received(msg_r));
	return rc;
}

/* --- orders --------------------------------------------------------------- */

/* An order is two signals, which arrive in the order in which they were sent
 * (POSIX.1-2017 2.4.2) and in the thread of the loop, for the others block all:
 * the number of the trick, then the argument. */
static void
on_signal(int, siginfo_t *si, void *)
{
	static bool has_trick;
	uint64_t value = (uint64_t)(uintptr_t)si->si_value.sival_ptr;
	struct order *o = &orders[nordered % ORDERS];

	if (!has_trick) {
		o->trick = (unsigned int)(value % NTRICKS);
	} else {
		o->arg = value;
		__atomic_add_fetch(&nordered, 1, __ATOMIC_SEQ_CST);
	}
	has_trick = !has_trick;
}

static void wait_for_turn(void);

static void
on_turn(void *)
{
	const struct trick *t;
	uint64_t arg;

	wait_for_turn();
	if (!hostile.child->is_ready ||
	    nplayed == __atomic_load_n(&nordered, __ATOMIC_SEQ_CST))
		return;
	t = &tricks[orders[nplayed % ORDERS].trick];
	arg = orders[nplayed % ORDERS].arg;
	if (!t->play(arg, turn++))
		return;
	nplayed++;
	turn = 0;
	log_event(LOG_LEVEL_NOTICE, "trick-done", "trick=%s arg=%llu",
	    t->name, (unsigned long long)arg);
	log_flush();
}

static void
wait_for_turn(void)
{
	hostile.timer = after_ms(TURN_MS, on_turn, NULL);
}

/* --- the process ---------------------------------------------------------- */

/* Descriptors of every kind that a message can carry. */
static void
make_fds(void)
{
	int pair[2] = { -1, -1 }, *fds = hostile.fds;

	fds[0] = dup(STDIN_FILENO);
	fds[1] = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fds[2] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	fds[3] = pair[0];
	fds[4] = pair[1];
}

int __real_child_run(struct child *c, const struct child_ops *ops,
    void *closure);
int __wrap_child_run(struct child *c, const struct child_ops *ops,
    void *closure);

int
__wrap_child_run(struct child *c, const struct child_ops *ops, void *closure)
{
	struct sigaction sa = { .sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART };

	hostile.child = c;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGRTMIN, &sa, NULL);
	make_fds();
	wait_for_turn();
	return __real_child_run(c, ops, closure);
}

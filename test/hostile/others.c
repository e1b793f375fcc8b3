/* Tricks of the processes that a worker or the queue asks. */

#include "test/hostile/hostile.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/pipe/pipe_request.h"
#include "tls/remote.h"

/* --- deliver -------------------------------------------------------------- */

bool
hostile_has(uint64_t v)
{
	unsigned int i;

	for (i = 0; i < hostile.nkept && i < HOSTILE_KEPT; i++)
		if (hostile.kept[i] == v)
			return true;
	return false;
}

bool
trick_done(uint64_t arg, unsigned int)
{
	const struct msg_empty empty = { 0 };
	struct job_error error = { .text = "forged" };
	struct job_result results[JOBS_AT_ONCE];
	unsigned int n = 0;
	uint64_t job;

	memset(results, 0, sizeof(results));
	for (job = 0; job <= arg; job++) {
		if (hostile_has(job))
			continue;
		results[n++].job = job;
		if (n == JOBS_AT_ONCE || job == arg) {
			(void)hostile_send(ROLE_QUEUE, D_DONE, &empty, results,
			    n);
			n = 0;
		}
		error.job = job;
		memset(error.text, 'x', job % 2 == 0 ? sizeof(error.text) : 0);
		if (job % 16 == 0)
			(void)hostile_send(ROLE_QUEUE, D_ERROR, &error, NULL,
			    0);
	}
	return true;
}

#define PEEK_FDS	4096
#define PEEK_PIECE	65536

/* How often ${text} is in the file; not over the end of a piece. */
static unsigned int
count_in(int fd, const char *text)
{
	static char piece[PEEK_PIECE];
	size_t len = strlen(text);
	unsigned int found = 0;
	const char *p;
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, piece, sizeof(piece), at)) > 0) {
		for (p = piece; (p = memmem(p, (size_t)(piece + n - p), text,
		    len)) != NULL; p += len)
			found++;
		at += n;
	}
	return found;
}

bool
trick_peek(uint64_t, unsigned int)
{
	unsigned int own = 0, others = 0;
	struct stat st;
	int fd;

	for (fd = 0; fd < PEEK_FDS; fd++)
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
			own += count_in(fd, "Subject: for the agent");
			others += count_in(fd, "Subject: for others");
		}
	hostile_say("own", own);
	hostile_say("others", others);
	return true;
}

/* --- pipe ----------------------------------------------------------------- */

/* The starter's socket: none of the channels. */
static int
starter_fd(void)
{
	socklen_t len;
	unsigned int i;
	int fd, type;

	for (fd = STDERR_FILENO + 1; fd < PEEK_FDS; fd++) {
		len = sizeof(type);
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1 ||
		    type != SOCK_SEQPACKET)
			continue;
		for (i = 0; i < hostile.nlinks && fd !=
		    channel_fd(hostile.links[i].ch); i++)
			continue;
		if (i == hostile.nlinks)
			return fd;
	}
	return -1;
}

bool
trick_program(uint64_t arg, unsigned int)
{
	static const struct { const char *text; size_t len; } texts[] = {
#define TEXTS(s) { s, sizeof(s) }
		TEXTS("ID\0-f@x\0" "192.0.2.1\0helo\0-oX+-oY@piped.test"),
		TEXTS("ID\0a@x\0" "192.0.2.1\0helo\0a@piped.test"),
#undef TEXTS
		{ "ID\0a@x", 5 }
	};
	struct pipe_request pr = { .domain = (uint32_t)arg,
		.nstrings = PIPE_REQUEST_RCPTS + 1 };
	size_t which = (arg >> 32) % 3;
	struct pipe_answer answer = { .errnum = -1 };
	struct pollfd pfd = { .fd = starter_fd(), .events = POLLIN };
	unsigned char buf[256], control[256];
	struct iovec iov = { .iov_base = &answer, .iov_len = sizeof(answer) };
	/* the descriptors that come stay open: the program runs on */
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control) };

	memcpy(buf, &pr, sizeof(pr));
	memcpy(buf + sizeof(pr), texts[which].text, texts[which].len);
	if (send(pfd.fd, buf, sizeof(pr) + texts[which].len, MSG_NOSIGNAL) > 0)
		hostile_say("asked", 1);
	if (poll(&pfd, 1, 5000) == 1 && recvmsg(pfd.fd, &mh, MSG_DONTWAIT) ==
	    (ssize_t)sizeof(answer))
		hostile_say("errnum", (uint64_t)answer.errnum);
	return true;
}

/* --- authd ---------------------------------------------------------------- */

static const struct { const char *text; size_t len; } logins[] = {
#define LOGIN(s) { s, sizeof(s) - 1 }
	LOGIN(""), LOGIN("a\0b"), LOGIN("a\r\nEvil: header"), LOGIN("\377\376"),
	LOGIN("a b"), LOGIN("\"quoted"), LOGIN("a\nb event=accepted"),
	LOGIN("x\t\033[2J")
#undef LOGIN
};
#define NLOGINS	(sizeof(logins) / sizeof(logins[0]))

static int
reply_to(const struct hostile_link *link, uint64_t id, uint32_t status,
    const char *text, size_t len)
{
	static unsigned char buf[HOSTILE_PACKET];
	const struct msg_auth ma = { .id = id, .status = status,
	    .why = (uint32_t)id };

	return hostile_write(link, buf, hostile_packet(A_REPLY, &ma, text,
	    (unsigned int)len, buf), NULL, 0);
}

bool
trick_replies(uint64_t arg, unsigned int turn)
{
	static uint64_t id;
	unsigned int i;

	if (turn == 0)
		id = 0;
	/* not more than the workers read meanwhile */
	for (; id <= arg && id < turn * 64ULL + 64; id++)
		for (i = 0; i < hostile.nlinks; i++)
			if (hostile.links[i].peer == ROLE_WORKER) {
				(void)reply_to(&hostile.links[i], id,
				    ESMTP_AUTH_OK, logins[id % NLOGINS].text,
				    logins[id % NLOGINS].len);
				(void)reply_to(&hostile.links[i], id,
				    (uint32_t)id % 16, "x", 1);
			}
	return id > arg;
}

/* --- keyd ----------------------------------------------------------------- */

bool
trick_forger(uint64_t arg, unsigned int)
{
	struct msg_signed ms = { 0 };
	uint8_t signature[TLS_SIG_MAX];

	hostile.is_forger = true;
	memset(signature, 0x30, sizeof(signature));
	for (ms.id = 0; ms.id < arg; ms.id++)
		(void)hostile_send(ROLE_WORKER, K_SIGNED, &ms, signature,
		    (unsigned int)(ms.id % TLS_SIG_MAX));
	return true;
}

bool
trick_keys(uint64_t arg, unsigned int)
{
	const struct msg_keys_ready ready = { .version = (uint32_t)arg,
		.is_good = 1 };

	(void)hostile_send(ROLE_MASTER, M_KEYS_READY, &ready, NULL, 0);
	return true;
}

/* A worker that writes into its own segment what it likes.
 * Owns: where the next record goes, and with which nonce: as the last end mark
 * that the honest code made. */

#include "test/hostile/hostile.h"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_envelope.h"
#include "core/spool/spool_format.h"
#include "core/spool/spool_segment.h"

#define FDS		256
#define HELD_MAX	8	/* segments */
#define BODY		"Subject: forged\r\n\r\nforged\r\n"
#define LARGE_OCTETS	400000

static struct { uint64_t offset, nonce; uint32_t seq; } mark;

void __real_spool_end_encode(uint64_t offset, uint32_t seq, uint64_t nonce,
    unsigned char *buf);
void __wrap_spool_end_encode(uint64_t offset, uint32_t seq, uint64_t nonce,
    unsigned char *buf);

void
__wrap_spool_end_encode(uint64_t offset, uint32_t seq, uint64_t nonce,
    unsigned char *buf)
{
	/* not that of a segment which is made for later */
	if (seq > 1) {
		mark.offset = offset;
		mark.seq = seq;
		mark.nonce = nonce;
	}
	__real_spool_end_encode(offset, seq, nonce, buf);
}

void __real_spool_segment_close(struct spool_segment *segment);
void __wrap_spool_segment_close(struct spool_segment *segment);

/* No record goes behind the last mark of a segment that is closed. */
void
__wrap_spool_segment_close(struct spool_segment *segment)
{
	if (segment->header.nonce == mark.nonce)
		mark.seq = 0;
	__real_spool_segment_close(segment);
}

/* Is it a segment?  Not the log, or something else that grows. */
static bool
is_segment(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && (flags & O_APPEND) == 0 &&
	    fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size == hostile.child->settings->segment_size;
}

/* To all of its segments: only in one the nonce is right. */
static uint64_t
write_all(const void *buf, size_t len, uint64_t offset)
{
	uint64_t n = 0;
	int fd;

	for (fd = 0; fd < FDS; fd++)
		if (is_segment(fd) &&
		    pwrite(fd, buf, len, (off_t)offset) == (ssize_t)len) {
			(void)fdatasync(fd);
			n++;
		}
	return n;
}

/* A record with that id, and what ${said} has of parameters; ${is_large}: it says
 * that its body is the file of that message. */
static bool
forge(uint64_t id, bool is_large, const struct spool_envelope *said)
{
	static const char *const rcpts[] = { "later@example.test" };
	struct spool_envelope env = *said;
	struct spool_record rec = { .offset = mark.offset, .id = id,
		.seq = mark.seq, .flags = is_large ? SPOOL_RECORD_LARGE : 0,
		.received_us = id >> 12 };
	struct msg_committed mc;
	unsigned char buf[4096];
	size_t at = SPOOL_RECORD_HEADER;
	uint64_t n;

	/* it may have closed its segment: the next one, then */
	if (mark.seq == 0 || !hostile.sent[Q_COMMITTED].is_there)
		return false;
	env.sender = "forger@client.test";
	env.rcpts = rcpts;
	env.nrcpts = 1;
	env.session = env.helo = "forged";
	env.client = "192.0.2.66";
	memset(buf, 0, sizeof(buf));
	rec.envelope_octets = (uint32_t)spool_envelope_octets(&env);
	spool_envelope_encode(&env, (char *)buf + at);
	rec.envelope_sum = spool_sum(buf + at, rec.envelope_octets);
	at += rec.envelope_octets;
	rec.body_octets = is_large ? LARGE_OCTETS : sizeof(BODY) - 1;
	rec.body_sum = spool_sum(BODY, sizeof(BODY) - 1);
	if (!is_large)
		memcpy(buf + at, BODY, sizeof(BODY) - 1);
	rec.end = rec.offset + spool_record_octets(rec.envelope_octets,
	    is_large ? 0 : rec.body_octets);
	spool_record_encode(&rec, mark.nonce, buf);
	__wrap_spool_end_encode(rec.end, mark.seq + 1, mark.nonce,
	    buf + (rec.end - rec.offset));
	if ((n = write_all(buf, (size_t)(rec.end - rec.offset) +
	    SPOOL_RECORD_HEADER, rec.offset)) == 0)
		return false;
	hostile_say("forged", n);
	memcpy(&mc, hostile.sent[Q_COMMITTED].base, sizeof(mc));
	mc.end = rec.end;
	(void)hostile_send(ROLE_QUEUE, Q_COMMITTED, &mc, NULL, 0);
	return true;
}

static const struct spool_envelope nothing;

bool
trick_record(uint64_t arg, unsigned int)
{
	return forge(arg, false, &nothing);
}

bool
trick_claim(uint64_t arg, unsigned int)
{
	return forge(arg, true, &nothing);
}

bool
trick_terms(uint64_t arg, unsigned int)
{
	static const struct spool_envelope said = { .hold_until = INT64_MAX,
		.deliver_by = INT64_MAX, .priority = 9, .flags = UINT32_MAX &
		~(unsigned int)SPOOL_ENV_RET_FULL };

	return forge(arg, false, &said);
}

bool
trick_held(uint64_t arg, unsigned int)
{
	static const struct spool_envelope said = { .hold_until = INT64_MAX,
		.login = "alice" };

	return forge(arg, false, &said);
}

/* --- files ---------------------------------------------------------------- */

bool
trick_drop(uint64_t arg, unsigned int)
{
	const struct msg_ask ask = { .ask = UINT32_MAX, .value = arg };
	struct msg_drop drop = { .id = arg };
	const struct hostile_link *l;
	unsigned char buf[256];
	struct stat st;
	size_t len;
	int fd;

	(void)hostile_send(ROLE_SPOOLD, S_BODY, &ask, NULL, 0);
	(void)hostile_send(ROLE_SPOOLD, S_MADE, &ask, NULL, 0);
	if ((l = hostile_link_to(ROLE_SPOOLD)) == NULL)
		return false;
	/* with each of its own files, and others */
	for (fd = 0; fd < FDS; fd++) {
		if (fstat(fd, &st) == -1)
			continue;
		for (drop.is_segment = 0; drop.is_segment < 2;
		    drop.is_segment++) {
			len = hostile_packet(S_DROP, &drop, NULL, 0, buf);
			(void)hostile_write(l, buf, len, &fd, 1);
		}
	}
	return true;
}

#define HOARD_TURNS	1000
#define HOARD_OCTETS	(128 * 1024)

/* The descriptor in the next answer of spoold, whosever it is; -1: none. */
static int
answered_file(const struct hostile_link *l)
{
	union {
		struct cmsghdr	align;
		char		buf[CMSG_SPACE(sizeof(int))];
	} control;
	unsigned char packet[256];
	struct iovec iov = { .iov_base = packet, .iov_len = sizeof(packet) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf) };
	const struct cmsghdr *cm;
	int fd = -1;

	if (recvmsg(channel_fd(l->ch), &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) >
	    0 && (cm = CMSG_FIRSTHDR(&mh)) != NULL &&
	    cm->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	return fd;
}

bool
trick_hoard(uint64_t arg, unsigned int turn)
{
	static const char junk[HOARD_OCTETS] = "junk";
	const struct msg_ask ask = { .ask = UINT32_MAX,
		.value = arg + ((uint64_t)turn + 1) * 4096 };
	const struct hostile_link *l = hostile_link_to(ROLE_SPOOLD);
	static uint64_t n;
	int fd;

	(void)hostile_send(ROLE_SPOOLD, S_BODY, &ask, NULL, 0);
	if (l != NULL && (fd = answered_file(l)) != -1) {
		n += pwrite(fd, junk, sizeof(junk), 0) == sizeof(junk);
		(void)close(fd);
	}
	if (turn < HOARD_TURNS)
		return false;
	hostile_say("hoarded", n);
	return true;
}

#define FILL_FILES	16
#define FILL_OCTETS	(64 * 1024)	/* in a turn: 6 MB a second */
#define FILL_TURNS	6000

/* Files that it is given, the first FILL_FILES. */
static struct {
	int		fds[FILL_FILES];
	uint64_t	ids[FILL_FILES];
	unsigned int	n;
	uint64_t	octets;
} filled;

static void
take_files(uint64_t arg, unsigned int turn)
{
	const struct msg_ask ask = { .ask = UINT32_MAX,
		.value = arg + ((uint64_t)turn + 1) * 4096 };
	const struct hostile_link *l = hostile_link_to(ROLE_SPOOLD);
	static uint64_t asked;
	int fd;

	if (l == NULL || filled.n == FILL_FILES)
		return;
	/* one at a time, so that it knows whose the answer is */
	if (asked != 0 && (fd = answered_file(l)) != -1) {
		filled.ids[filled.n] = asked;
		filled.fds[filled.n++] = fd;
		asked = 0;
	}
	if (asked == 0 || turn % 20 == 0) {
		asked = ask.value;
		(void)hostile_send(ROLE_SPOOLD, S_BODY, &ask, NULL, 0);
	}
}

static bool
write_on(unsigned int turn)
{
	static const char junk[FILL_OCTETS] = "junk";

	if (filled.n > 0 && write(filled.fds[turn % filled.n], junk,
	    sizeof(junk)) > 0)
		filled.octets += sizeof(junk);
	if (turn < FILL_TURNS)
		return false;
	hostile_say("filled", filled.octets);
	return true;
}

bool
trick_fill(uint64_t arg, unsigned int turn)
{
	take_files(arg, turn);
	return write_on(turn);
}

/* spoold removes the name. */
bool
trick_filldrop(uint64_t arg, unsigned int turn)
{
	const struct hostile_link *l = hostile_link_to(ROLE_SPOOLD);
	unsigned int before = filled.n;
	unsigned char buf[256];
	struct msg_drop drop = { .is_segment = 0 };
	size_t len;

	take_files(arg, turn);
	if (l != NULL && filled.n > before) {
		drop.id = filled.ids[before];
		len = hostile_packet(S_DROP, &drop, NULL, 0, buf);
		(void)hostile_write(l, buf, len, &filled.fds[before], 1);
	}
	return write_on(turn);
}

/* What it once had for writing. */
static int held[HELD_MAX];
static unsigned int nheld;

static void
hold_files(void)
{
	int fd;

	for (fd = 0; fd < FDS && nheld < HELD_MAX; fd++)
		if (is_segment(fd))
			held[nheld++] = dup(fd);
}

bool
trick_unlock(uint64_t, unsigned int turn)
{
	static const char junk[SPOOL_PAGE] = "junk";
	off_t at, size = (off_t)hostile.child->settings->segment_size;
	unsigned int i;

	if (turn == 0)
		hold_files();
	for (i = 0; i < nheld; i++)
		if (turn == 0)
			(void)flock(held[i], LOCK_UN);
		else if (turn % 50 == 0)
			for (at = 0; at < size; at += SPOOL_PAGE)
				(void)!pwrite(held[i], junk, sizeof(junk), at);
	return turn >= 200;
}

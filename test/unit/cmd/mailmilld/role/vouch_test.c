/* What the master shows authd of the sessions of a worker. */

#include <sys/mman.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/msg.h"
#include "cmd/mailmilld/role/vouch.h"
#include "core/process/sealed.h"
#include "core/util/fileio.h"
#include "core/util/monotonic.h"

#define MAX	128
#define H(number, index)	((uint64_t)(number) << 32 | (index))

static struct vouch *master, *authd;

static void
setup(void)
{
	int fd;

	cr_assert_not_null(master = vouch_create(MAX));
	cr_assert_neq(fd = vouch_fd(master), -1);
	cr_assert_not_null(authd = vouch_attach(fd));
	fileio_close(fd);
}

static void
teardown(void)
{
	vouch_free(master);
	vouch_free(authd);
	vouch_free(NULL);
}

TestSuite(vouch, .init = setup, .fini = teardown);

static union addr
address(const char *text)
{
	union addr a = { .in.sin_port = htons(4711) };

	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1)
		a.sa.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1)
		a.sa.sa_family = AF_INET6;
	return a;
}

static void
put(uint64_t handle, const char *peer)
{
	vouch_put(master, handle, &(struct vouched){ .listener = 3,
	    .peer = address(peer) });
}

static const char *
text(const struct sockaddr *sa)
{
	static char buf[ADDR_PORT_TEXT];

	return sa == NULL ? "nobody" : addr_port_text(sa, buf);
}

Test(vouch, a_session_is_found_until_it_ends_and_known_as_ended_then)
{
	struct vouched who;

	cr_assert_eq(vouch_find(authd, H(1, 0), &who), VOUCH_NONE);
	put(H(1, 0), "192.0.2.1");
	put(H(7, MAX - 1), "2001:db8::1");
	cr_assert_eq(vouch_find(authd, H(1, 0), &who), VOUCH_FOUND);
	cr_assert_eq(who.listener, 3);
	cr_assert_str_eq(text(vouched_client(&who)), "192.0.2.1:4711");
	cr_assert_null(vouched_via(&who));
	cr_assert_eq(vouch_find(authd, H(7, MAX - 1), &who), VOUCH_FOUND);
	cr_assert_str_eq(text(vouched_client(&who)), "[2001:db8::1]:4711");
	vouch_end(master, H(1, 0));
	cr_assert_eq(vouch_find(authd, H(1, 0), &who), VOUCH_ENDED);
	/* its place has another one */
	put(H(2, 0), "192.0.2.2");
	cr_assert_eq(vouch_find(authd, H(1, 0), &who), VOUCH_ENDED);
	cr_assert_eq(vouch_find(authd, H(2, 0), &who), VOUCH_FOUND);
	cr_assert_str_eq(text(vouched_client(&who)), "192.0.2.2:4711");
}

Test(vouch, no_other_number_finds_a_session)
{
	static const uint64_t bad[] = { 0, 1, H(0, 5), H(9, 4), H(9, 6),
		H(8, 5), H(9, MAX), H(9, UINT32_MAX), UINT64_MAX };
	struct vouched who;
	size_t i;

	put(H(9, 5), "192.0.2.1");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(vouch_find(authd, bad[i], &who), VOUCH_NONE,
		    "%zu", i);
	cr_expect_eq(vouch_find(NULL, H(9, 5), &who), VOUCH_NONE);
	/* what has no place is not shown, and does no harm */
	put(H(9, MAX), "192.0.2.1");
	vouch_name(master, H(9, MAX), NULL);
	vouch_end(master, H(9, UINT32_MAX));
	vouch_end(NULL, H(9, 5));
	cr_expect_eq(vouch_find(authd, H(9, MAX), &who), VOUCH_NONE);
	cr_expect_eq(vouch_find(authd, H(9, UINT32_MAX), &who), VOUCH_NONE);
}

Test(vouch, one_that_has_been_named_has_both_addresses)
{
	union addr client = address("2001:db8::7");
	struct vouched who = { .is_proxy = true,
		.peer = address("192.0.2.1") };

	vouch_put(master, H(1, 1), &who);
	cr_assert_eq(vouch_find(authd, H(1, 1), &who), VOUCH_FOUND);
	/* of a proxy, before it has named anybody */
	cr_expect_str_eq(text(vouched_client(&who)), "192.0.2.1:4711");
	cr_expect_str_eq(text(vouched_via(&who)), "192.0.2.1:4711");
	vouch_name(master, H(1, 1), &client.sa);
	cr_assert_eq(vouch_find(authd, H(1, 1), &who), VOUCH_FOUND);
	cr_expect_str_eq(text(vouched_client(&who)), "[2001:db8::7]:4711");
	cr_expect_str_eq(text(vouched_via(&who)), "192.0.2.1:4711");
	vouch_name(master, H(1, 1), NULL);
	cr_assert_eq(vouch_find(authd, H(1, 1), &who), VOUCH_FOUND);
	cr_expect_str_eq(text(vouched_client(&who)), "unknown");
	/* the next one in its place has not */
	vouch_end(master, H(1, 1));
	put(H(2, 1), "192.0.2.3");
	cr_assert_eq(vouch_find(authd, H(2, 1), &who), VOUCH_FOUND);
	cr_expect_str_eq(text(vouched_client(&who)), "192.0.2.3:4711");
	cr_expect_null(vouched_via(&who));
}

Test(vouch, so_many_that_have_ended_are_remembered)
{
	struct vouched who;
	uint32_t i;

	for (i = 1; i <= 10 * VOUCH_ENDED_MAX; i++) {
		put(H(i, i % MAX), "192.0.2.1");
		vouch_end(master, H(i, i % MAX));
		if (i <= VOUCH_ENDED_MAX)
			continue;
		cr_assert_eq(vouch_find(authd, H(i - VOUCH_ENDED_MAX + 1,
		    (i - VOUCH_ENDED_MAX + 1) % MAX), &who), VOUCH_ENDED);
		cr_assert_eq(vouch_find(authd, H(i - VOUCH_ENDED_MAX,
		    (i - VOUCH_ENDED_MAX) % MAX), &who), VOUCH_NONE);
	}
}

Test(vouch, who_gets_the_descriptor_can_read_alone)
{
	int fd = vouch_fd(master);
	struct vouched who;
	void *p;

	put(H(1, 0), "192.0.2.1");
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_expect(p == MAP_FAILED && errno == EPERM);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	cr_assert(p != MAP_FAILED);
	cr_expect(mprotect(p, 4096, PROT_READ | PROT_WRITE) == -1);
	cr_expect(pwrite(fd, "x", 1, 0) == -1 && errno == EPERM);
	cr_expect(ftruncate(fd, 0) == -1 && errno == EPERM);
	munmap(p, 4096);
	fileio_close(fd);
	/* the master can still write */
	put(H(2, 1), "192.0.2.2");
	cr_expect_eq(vouch_find(authd, H(2, 1), &who), VOUCH_FOUND);
}

Test(vouch, memory_of_another_kind_is_refused)
{
	static const size_t sizes[] = { 1, 100, 8192, 8192 + 8 + 1,
		8192 + 8 + sizeof(struct vouched) };
	size_t i;
	int fd;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		cr_assert_neq(fd = sealed_create("test", sizes[i]), -1);
		cr_expect(vouch_attach(fd) == NULL && errno == EINVAL,
		    "%zu", i);
		fileio_close(fd);
	}
	cr_expect(vouch_attach(-1) == NULL && errno == EBADF);
}

/* --- at the same time ----------------------------------------------------- */

#define FOUND	2000		/* changes that are seen */
#define AT_LEAST_MS	1000	/* for both threads to run at the same time */
#define WAIT_MS	60000

static bool is_over;

/* In each session all octets of both addresses are its number. */
static void *
change(void *)
{
	struct vouched who = { 0 };
	union addr client;
	uint32_t i, octets;

	for (i = 1; !__atomic_load_n(&is_over, __ATOMIC_ACQUIRE); i++) {
		octets = (i % 200 + 1) * 0x01010101u;
		who.peer.in.sin_family = who.client.in.sin_family = AF_INET;
		who.peer.in.sin_addr.s_addr = octets;
		who.listener = octets;
		client = who.peer;
		vouch_put(master, H(1, 0), &who);
		vouch_name(master, H(1, 0), &client.sa);
		vouch_end(master, H(1, 0));
	}
	return NULL;
}

Test(vouch, no_half_of_a_session_is_seen_while_it_changes)
{
	uint64_t start = monotonic_ms(), ms = 0;
	unsigned int nfound = 0;
	uint32_t last = 0;
	struct vouched who;
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, change, NULL), 0);
	for (; ms < AT_LEAST_MS || (nfound < FOUND && ms < WAIT_MS);
	    ms = monotonic_ms() - start) {
		if (vouch_find(authd, H(1, 0), &who) != VOUCH_FOUND)
			continue;
		nfound += who.listener != last;
		last = who.listener;
		cr_assert_eq(who.listener, who.peer.in.sin_addr.s_addr);
		cr_assert_eq(who.is_named ? who.client.in.sin_addr.s_addr :
		    who.listener, who.listener);
	}
	__atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	cr_expect_geq(nfound, FOUND);
}

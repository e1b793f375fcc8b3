/* Policies of domains under a clock of the test, with a name server and an HTTPS
 * server of the test. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/sts/sts_cache.h"
#include "cmd/mailmilld/sts/sts_file.h"

#define DAY_MS	86400000ULL
#define START_MS	1000000ULL

static struct sts_cache *cache;
static uint64_t clock_ms;

/* What is under way; NULL: nothing. */
static struct sts_domain *asked, *fetched;
static char asked_name[LIM_DOMAIN + 1], fetched_name[LIM_DOMAIN + 1];
static unsigned int nasked, nfetched;
static bool is_unable;

static int
record(void *, const char *domain, struct sts_domain *d)
{
	nasked++;
	asked = d;
	strcpy(asked_name, domain);
	errno = EAGAIN;
	return is_unable ? -1 : 0;
}

static int
fetch(void *, const char *domain, struct sts_domain *d)
{
	nfetched++;
	fetched = d;
	strcpy(fetched_name, domain);
	return is_unable ? -1 : 0;
}

static uint64_t
now_ms(void)
{
	return clock_ms;
}

static const struct sts_cache_ops ops = { .record = record, .fetch = fetch,
	.now_ms = now_ms };

static void
setup(void)
{
	clock_ms = START_MS;
	asked = fetched = NULL;
	nasked = nfetched = 0;
	is_unable = false;
	cache = sts_cache_new(&ops, NULL);
	cr_assert_not_null(cache);
}

static void
teardown(void)
{
	sts_cache_free(cache);
}

TestSuite(sts_cache, .init = setup, .fini = teardown);

/* --- those that ask --------------------------------------------------------- */

struct answer {
	struct sts_waiter	 waiter;
	unsigned int		 n;
	bool			 has_policy;
	enum sts_mode		 mode;
	enum sts_failure	 failure;
};

static void
on_policy(struct sts_waiter *w, const struct sts_policy *p,
    enum sts_failure failure)
{
	struct answer *a = (struct answer *)w;

	a->n++;
	a->has_policy = p != NULL;
	a->mode = p == NULL ? STS_NONE : p->mode;
	a->failure = failure;
	if (p != NULL)
		cr_expect(sts_policy_check(p));
}

static void
ask_of(struct answer *a, const char *domain)
{
	memset(a, 0, sizeof(*a));
	a->waiter.on_policy = on_policy;
	sts_cache_ask(cache, domain, &a->waiter);
}

/* The name server says ${id}, or, NULL, nothing. */
static void
say_record(const char *id)
{
	struct sts_domain *d = asked;

	cr_assert_not_null(d);
	asked = NULL;
	sts_cache_record(d, id);
}

static struct sts_policy
policy_of(enum sts_mode mode, uint32_t max_age_s)
{
	struct sts_policy p = { .mode = mode, .max_age_s = max_age_s,
		.len = sizeof("mx.example"), .mx = "mx.example" };

	return p;
}

static void
say_policy(enum sts_mode mode, uint32_t max_age_s)
{
	const struct sts_policy p = policy_of(mode, max_age_s);
	struct sts_domain *d = fetched;

	cr_assert_not_null(d);
	fetched = NULL;
	sts_cache_fetched(d, STS_FETCHED, "", &p);
}

static void
say_failure(enum sts_failure failure)
{
	struct sts_domain *d = fetched;

	cr_assert_not_null(d);
	fetched = NULL;
	sts_cache_fetched(d, failure, "it is down", NULL);
}

/* One asks, the record has that id, and nothing is fetched. */
static void
ask_again(struct answer *a, const char *id)
{
	unsigned int n = nfetched;

	ask_of(a, "a.example");
	say_record(id);
	cr_expect_eq(a->n, 1);
	cr_expect_eq(nfetched, n);
}

/* a.example has a policy of the id "1". */
static void
learn(enum sts_mode mode, uint32_t max_age_s)
{
	struct answer a;

	ask_of(&a, "a.example");
	say_record("1");
	say_policy(mode, max_age_s);
	cr_assert_eq(a.n, 1);
	cr_assert(a.has_policy);
	cr_assert_eq(a.mode, mode);
}

/* --- the rules -------------------------------------------------------------- */

Test(sts_cache, without_a_record_there_is_no_policy_and_nothing_is_kept)
{
	struct answer a;

	ask_of(&a, "a.example");
	cr_expect_str_eq(asked_name, "a.example");
	cr_expect_eq(a.n, 0);
	say_record(NULL);
	cr_expect_eq(a.n, 1);
	cr_expect_not(a.has_policy);
	cr_expect_eq(a.failure, STS_FETCHED);
	cr_expect_eq(nfetched, 0);
	cr_expect_eq(sts_cache_domains(cache), 0);
}

Test(sts_cache, a_policy_is_fetched_once_for_all_that_wait_and_then_known)
{
	struct answer a, b, c;

	ask_of(&a, "a.example");
	ask_of(&b, "a.example");
	cr_expect_eq(nasked, 1);
	say_record("1");
	cr_expect_str_eq(fetched_name, "a.example");
	ask_of(&c, "a.example");
	cr_expect_eq(nasked, 1);
	cr_expect_eq(nfetched, 1);
	say_policy(STS_ENFORCE, 1000);
	cr_expect(a.has_policy && b.has_policy && c.has_policy);
	ask_again(&a, "1");
	cr_expect_eq(a.mode, STS_ENFORCE);
}

Test(sts_cache, another_id_has_it_fetched_anew)
{
	struct answer a;

	learn(STS_ENFORCE, 1000);
	ask_of(&a, "a.example");
	say_record("2");
	cr_expect_eq(a.n, 0);
	say_policy(STS_TESTING, 1000);
	cr_expect_eq(a.mode, STS_TESTING);
	ask_again(&a, "2");
	cr_expect_eq(a.mode, STS_TESTING);
}

/* RFC 8461 3.3, 10.2: it does not end because its record or server is gone */
Test(sts_cache, a_policy_stays_in_force_until_it_expires_whatever_fails)
{
	struct answer a;

	learn(STS_ENFORCE, 100000);
	ask_again(&a, NULL);
	cr_expect_eq(a.mode, STS_ENFORCE);
	ask_of(&a, "a.example");
	say_record("2");
	say_failure(STS_WEBPKI_INVALID);
	cr_expect_eq(a.mode, STS_ENFORCE);
	cr_expect_eq(a.failure, STS_WEBPKI_INVALID);
	clock_ms = START_MS + 100000000 - 1;
	ask_again(&a, NULL);
	cr_expect_eq(a.mode, STS_ENFORCE);
	clock_ms++;
	ask_again(&a, NULL);
	cr_expect_not(a.has_policy);
}

Test(sts_cache, after_a_failure_there_is_no_policy_and_no_attempt_for_a_time)
{
	struct answer a;

	ask_of(&a, "a.example");
	say_record("1");
	say_failure(STS_INVALID);
	cr_expect_eq(a.n, 1);
	cr_expect_not(a.has_policy);
	cr_expect_eq(a.failure, STS_INVALID);
	clock_ms += STS_RETRY_MS - 1;
	sts_cache_pass(cache);
	ask_again(&a, "1");
	cr_expect_eq(a.failure, STS_INVALID);
	clock_ms++;
	ask_of(&a, "a.example");
	say_record("1");
	cr_expect_eq(nfetched, 2);
	say_policy(STS_TESTING, 1000);
	cr_expect_eq(a.mode, STS_TESTING);
}

/* A domain that has mended its policy says so with another id. */
Test(sts_cache, another_id_is_fetched_soon_after_a_failure)
{
	struct answer a;

	ask_of(&a, "a.example");
	say_record("1");
	say_failure(STS_INVALID);
	ask_of(&a, "a.example");
	say_record("2");
	say_policy(STS_ENFORCE, 1000);
	cr_expect_eq(a.mode, STS_ENFORCE);
}

/* RFC 8461 10.2 */
Test(sts_cache, a_policy_of_a_day_is_fetched_again_and_nobody_waits)
{
	struct answer a, b;

	learn(STS_ENFORCE, 864000);
	clock_ms += DAY_MS;
	ask_of(&a, "a.example");
	say_record("1");
	cr_expect_eq(a.n, 1);
	cr_expect_eq(a.mode, STS_ENFORCE);
	cr_expect_eq(nfetched, 2);
	ask_of(&b, "a.example");
	cr_expect_eq(b.n, 1);
	cr_expect_eq(b.mode, STS_ENFORCE);
	say_policy(STS_ENFORCE, 864000);
	/* and lives so much longer */
	clock_ms = START_MS + 10 * DAY_MS + 1;
	ask_again(&a, NULL);
	cr_expect_eq(a.mode, STS_ENFORCE);
}

Test(sts_cache, a_policy_of_a_day_is_fetched_again_though_nobody_asks)
{
	learn(STS_ENFORCE, 864000);
	sts_cache_pass(cache);
	cr_expect_eq(nasked, 1);
	clock_ms += DAY_MS;
	sts_cache_pass(cache);
	cr_expect_eq(nasked, 2);
	say_record("1");
	cr_expect_eq(nfetched, 2);
	say_failure(STS_FETCH_ERROR);
	/* not again before its time */
	clock_ms += STS_RETRY_MS - 1;
	sts_cache_pass(cache);
	cr_expect_eq(nasked, 2);
	clock_ms++;
	sts_cache_pass(cache);
	say_record("1");
	cr_expect_eq(nfetched, 3);
	say_policy(STS_ENFORCE, 864000);
}

Test(sts_cache, a_policy_of_mode_none_is_left_to_expire)
{
	learn(STS_NONE, 100000);
	clock_ms += DAY_MS;
	sts_cache_pass(cache);
	cr_expect_eq(nasked, 1);
	cr_expect_eq(sts_cache_domains(cache), 1);
	clock_ms = START_MS + 100000000;
	sts_cache_pass(cache);
	cr_expect_eq(sts_cache_domains(cache), 0);
}

Test(sts_cache, a_max_age_of_zero_does_not_have_it_fetched_each_time)
{
	struct answer a;

	learn(STS_ENFORCE, 0);
	clock_ms += STS_LEAST_MS - 1;
	ask_again(&a, "1");
	cr_expect_eq(a.mode, STS_ENFORCE);
	clock_ms++;
	ask_of(&a, "a.example");
	say_record("1");
	cr_expect_eq(nfetched, 2);
	say_policy(STS_ENFORCE, 0);
}

Test(sts_cache, who_leaves_hears_nothing)
{
	struct answer a, b;

	ask_of(&a, "a.example");
	ask_of(&b, "a.example");
	sts_cache_leave(&a.waiter);
	sts_cache_leave(&a.waiter);
	say_record(NULL);
	cr_expect_eq(a.n, 0);
	cr_expect_eq(b.n, 1);
}

/* Nobody knows whether there is a policy: that is another thing than to know that
 * there is none. */
static void
expect_unknown(const struct answer *a)
{
	cr_expect_eq(a->n, 1);
	cr_expect_not(a->has_policy);
	cr_expect_eq(a->failure, STS_UNKNOWN);
}

Test(sts_cache, what_cannot_be_asked_is_not_known)
{
	struct answer a;

	is_unable = true;
	ask_of(&a, "b.example");
	expect_unknown(&a);
	is_unable = false;
	ask_of(&a, "b.example");
	is_unable = true;
	say_record("1");
	expect_unknown(&a);
	is_unable = false;
	ask_of(&a, "b.example");
	sts_cache_unknown(asked, "the resolver is down");
	expect_unknown(&a);
	ask_of(&a, "b.example");
	say_record("1");
	say_failure(STS_UNKNOWN);
	expect_unknown(&a);
	cr_expect_eq(sts_cache_domains(cache), 0);
	/* none of that was a failure of the domain: it is asked at once */
	ask_of(&a, "b.example");
	say_record("1");
	say_policy(STS_ENFORCE, 1000);
	cr_expect_eq(a.mode, STS_ENFORCE);
}

Test(sts_cache, what_cannot_be_asked_leaves_a_policy_in_force)
{
	struct answer a;
	int i;

	learn(STS_ENFORCE, 1000);
	for (i = 0; i < 4; i++) {
		is_unable = i == 0;
		ask_of(&a, "a.example");
		if (i == 1)
			sts_cache_unknown(asked, "the resolver is down");
		is_unable = i == 2;
		if (i >= 2)
			say_record("2");
		if (i == 3)
			say_failure(STS_UNKNOWN);
		cr_expect_eq(a.n, 1, "%d", i);
		cr_expect_eq(a.mode, STS_ENFORCE, "%d", i);
		cr_expect_eq(a.failure, STS_FETCHED, "%d", i);
	}
}

/* The failure of one policy says nothing of the next one. */
Test(sts_cache, another_id_that_cannot_be_asked_for_has_not_failed)
{
	struct answer a;
	int i;

	ask_of(&a, "a.example");
	say_record("1");
	say_failure(STS_INVALID);
	for (i = 0; i < 2; i++) {
		ask_of(&a, "a.example");
		is_unable = true;
		say_record("2");
		is_unable = false;
		expect_unknown(&a);
	}
}

Test(sts_cache, where_there_is_no_room_nothing_is_known)
{
	static struct answer busy[LIM_STS_DOMAINS];
	struct answer a;
	char name[64];
	unsigned int i;

	for (i = 0; i < LIM_STS_DOMAINS; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		ask_of(&busy[i], name);
	}
	cr_expect_eq(sts_cache_domains(cache), LIM_STS_DOMAINS);
	ask_of(&a, "a.example");
	expect_unknown(&a);
}

/* A policy of the greatest length. */
static void
say_long_policy(void)
{
	struct sts_policy p = { .mode = STS_ENFORCE, .max_age_s = STS_MAX_AGE,
		.len = LIM_STS_MX };
	size_t i;

	for (i = 0; i < sizeof(p.mx); i++)
		p.mx[i] = i % 64 == 63 ? '\0' : 'a';
	sts_cache_fetched(fetched, STS_FETCHED, "", &p);
}

Test(sts_cache, a_policy_that_cannot_be_kept_holds_for_those_that_wait)
{
	static struct answer busy[LIM_STS_DOMAINS];
	struct answer a;
	char name[64];
	unsigned int i;
	int j;

	/* until all the room has policies that are being used */
	for (i = 0; i < LIM_STS_DOMAINS; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		ask_of(&busy[i], name);
		say_record("1");
		say_long_policy();
		if (!sts_cache_is_changed(cache))
			break;
		ask_of(&busy[i], name);
	}
	cr_assert_gt(i, 1000);
	for (j = 1; j <= 2; j++) {
		ask_of(&a, "a.example");
		say_record("1");
		say_long_policy();
		cr_expect_eq(a.n, 1);
		cr_expect_eq(a.mode, STS_ENFORCE);
		/* and is fetched for the next one */
		cr_expect_eq(nfetched, i + j + 1);
	}
}

Test(sts_cache, those_asked_for_least_lately_make_room)
{
	char name[64];
	struct answer a;
	unsigned int i;

	learn(STS_ENFORCE, STS_MAX_AGE);
	for (i = 0; i <= LIM_STS_DOMAINS; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		ask_of(&a, name);
		say_record("1");
		say_policy(STS_ENFORCE, STS_MAX_AGE);
		if (i == LIM_STS_DOMAINS / 2)
			ask_again(&a, NULL);	/* a.example */
	}
	cr_expect_eq(sts_cache_domains(cache), LIM_STS_DOMAINS);
	ask_again(&a, NULL);
	cr_expect_eq(a.mode, STS_ENFORCE);
	ask_of(&a, "n0.example");
	say_record(NULL);
	cr_expect_not(a.has_policy);
}

/* ${domain} is asked for, and has a policy, of ${len} octets. */
static void
learn_of(const char *domain, enum sts_mode mode, size_t len)
{
	struct sts_policy p = { .mode = mode, .max_age_s = STS_MAX_AGE,
		.len = len };
	struct answer a;
	size_t i;

	for (i = 0; i < len; i++)
		p.mx[i] = i % 64 == 63 || i == len - 1 ? '\0' : 'a';
	ask_of(&a, domain);
	say_record("1");
	sts_cache_fetched(fetched, STS_FETCHED, "", &p);
	cr_assert_eq(a.n, 1);
}

static bool
is_known(const char *domain)
{
	struct answer a;

	ask_of(&a, domain);
	say_record(NULL);
	return a.has_policy;
}

/* RFC 8461 10.2: who has many domains does not have those of others forgotten. */
Test(sts_cache, the_domains_of_one_registrant_make_room_for_each_other)
{
	char name[64];
	unsigned int i;

	learn_of("a.example", STS_ENFORCE, 12);
	learn_of("mail.b.example", STS_ENFORCE, 12);
	for (i = 0; i < LIM_STS_DOMAINS + 500; i++) {
		snprintf(name, sizeof(name), "n%u.evil.test", i);
		learn_of(name, STS_ENFORCE, 12);
	}
	cr_expect_eq(sts_cache_domains(cache), LIM_STS_DOMAINS);
	cr_expect(is_known("a.example"));
	cr_expect(is_known("mail.b.example"));
	cr_expect_not(is_known("n0.evil.test"));
	cr_expect(is_known(name));
}

Test(sts_cache, long_policies_make_room_before_usual_ones)
{
	char name[64];
	unsigned int i;

	learn_of("a.example", STS_ENFORCE, STS_USUAL_OCTETS);
	for (i = 0; i < 2 * LIM_STS_OCTETS / LIM_STS_MX; i++) {
		/* each of another registrant */
		snprintf(name, sizeof(name), "n%u.test", i);
		learn_of(name, STS_ENFORCE, LIM_STS_MX);
	}
	cr_expect_lt(sts_cache_domains(cache), i);
	cr_expect(is_known("a.example"));
	cr_expect_not(is_known("n0.test"));
	cr_expect(is_known(name));
}

Test(sts_cache, what_is_not_enforced_makes_room_first)
{
	static const enum sts_mode modes[] = { STS_TESTING, STS_NONE };
	char name[64];
	unsigned int i, j;

	for (j = 0; j < 2; j++) {
		learn_of("a.example", STS_ENFORCE, 12);
		for (i = 0; i < LIM_STS_DOMAINS; i++) {
			snprintf(name, sizeof(name), "n%u.test", i);
			learn_of(name, modes[j], 12);
		}
		cr_expect_eq(sts_cache_domains(cache), LIM_STS_DOMAINS);
		cr_expect(is_known("a.example"));
		sts_cache_free(cache);
		setup();
	}
}

/* --- what can be seen, and done by hand ----------------------------------------- */

Test(sts_cache, what_is_known_of_a_domain_can_be_seen)
{
	struct sts_seen seen;
	struct answer a;

	cr_expect_not(sts_cache_see(cache, "a.example", &seen));
	learn(STS_ENFORCE, 1000);
	clock_ms += 10000;
	cr_assert(sts_cache_see(cache, "a.example", &seen));
	cr_expect_str_eq(seen.kept.id, "1");
	cr_expect_eq(seen.kept.policy->mode, STS_ENFORCE);
	cr_expect_eq(seen.kept.age_ms, 10000);
	cr_expect_eq(seen.kept.left_ms, 990000);
	cr_expect_eq(seen.failure, STS_FETCHED);
	cr_expect_not(seen.is_asked);
	ask_of(&a, "a.example");
	cr_assert(sts_cache_see(cache, "a.example", &seen));
	cr_expect(seen.is_asked);
	say_record("2");
	say_failure(STS_INVALID);
	clock_ms += 1000;
	cr_assert(sts_cache_see(cache, "a.example", &seen));
	cr_expect_str_eq(seen.kept.id, "1");
	cr_expect_eq(seen.failure, STS_INVALID);
	cr_expect_str_eq(seen.failed_id, "2");
	cr_expect_eq(seen.retry_ms, STS_RETRY_MS - 1000);
	clock_ms += STS_RETRY_MS;
	cr_assert(sts_cache_see(cache, "a.example", &seen));
	cr_expect_eq(seen.failure, STS_FETCHED);
	/* no policy any more */
	clock_ms += 1000000;
	cr_assert(sts_cache_see(cache, "a.example", &seen));
	cr_expect_null(seen.kept.policy);
}

Test(sts_cache, a_policy_is_fetched_anew_by_hand)
{
	struct answer a;

	/* the same id, and it is new */
	learn(STS_ENFORCE, 1000);
	cr_expect_eq(sts_cache_renew(cache, "a.example"), 0);
	say_record("1");
	cr_expect_eq(nfetched, 2);
	cr_expect_eq(sts_cache_renew(cache, "a.example"), 0);
	say_failure(STS_FETCH_ERROR);
	cr_expect_eq(nfetched, 2);
	ask_again(&a, "1");
	cr_expect_eq(a.mode, STS_ENFORCE, "it stays in force");
	/* it has just failed */
	cr_expect_eq(sts_cache_renew(cache, "a.example"), 0);
	say_record("1");
	say_policy(STS_TESTING, 1000);
	ask_again(&a, "1");
	cr_expect_eq(a.mode, STS_TESTING);
	/* one that nobody has asked for */
	cr_expect_eq(sts_cache_renew(cache, "b.example"), 0);
	cr_expect_str_eq(asked_name, "b.example");
	say_record(NULL);
	cr_expect_eq(sts_cache_domains(cache), 1);
	is_unable = true;
	cr_expect_eq(sts_cache_renew(cache, "b.example"), 0);
	cr_expect_eq(sts_cache_domains(cache), 1);
}

/* Nobody else waits for it, and it is to be fetched all the same. */
Test(sts_cache, what_is_fetched_by_hand_is_wanted_until_it_has_come)
{
	struct answer a;

	cr_expect_eq(sts_cache_renew(cache, "b.example"), 0);
	cr_expect(sts_cache_is_wanted(asked));
	say_record("1");
	cr_assert_eq(nfetched, 1);
	cr_expect(sts_cache_is_wanted(fetched));
	say_failure(STS_FETCH_ERROR);
	/* it was fetched: for others it is not, once more */
	ask_of(&a, "b.example");
	say_record("1");
	cr_expect_eq(a.n, 1);
	cr_expect_eq(nfetched, 1);
}

/* --- files -------------------------------------------------------------------- */

#define WALL_S	1800000000

static char folder[] = "/tmp/mailmill-sts.XXXXXX";
static int dirfd_;

static void
setup_files(void)
{
	setup();
	cr_assert_not_null(mkdtemp(folder));
	dirfd_ = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_neq(dirfd_, -1);
}

static void
teardown_files(void)
{
	teardown();
	(void)unlinkat(dirfd_, "policies.0", 0);
	(void)unlinkat(dirfd_, "policies.1", 0);
	close(dirfd_);
	rmdir(folder);
}

TestSuite(sts_file, .init = setup_files, .fini = teardown_files);

/* The process ends, and another one reads what it has left, ${later_s} later by
 * the wall clock.  Return sts_file_load(). */
static int
restart(struct sts_file **f, int64_t later_s)
{
	sts_file_close(*f);
	teardown();
	setup();
	*f = sts_file_open(dirfd_);
	cr_assert_not_null(*f);
	cr_assert(sts_file_lock(*f));
	return sts_file_load(*f, cache, WALL_S + later_s);
}

static struct sts_file *
saved(void)
{
	struct sts_file *f = sts_file_open(dirfd_);

	cr_assert_not_null(f);
	cr_assert_eq(sts_file_load(f, cache, WALL_S), 0);
	learn(STS_ENFORCE, 100000);
	cr_expect(sts_cache_is_changed(cache));
	cr_expect_not(sts_cache_is_changed(cache));
	cr_assert_eq(sts_file_save(f, cache, WALL_S), 0);
	return f;
}

Test(sts_file, a_restart_forgets_no_policy_and_no_time)
{
	struct sts_file *f = saved();
	struct answer a;

	cr_expect_eq(restart(&f, 1000), 1);
	ask_again(&a, "1");
	cr_expect_eq(a.mode, STS_ENFORCE);
	clock_ms += (100000 - 1000) * 1000ULL;
	ask_again(&a, NULL);
	cr_expect_not(a.has_policy, "it has expired");
	sts_file_close(f);
}

Test(sts_file, what_has_expired_meanwhile_is_forgotten)
{
	struct sts_file *f = saved();

	cr_expect_eq(restart(&f, 100000), 0);
	cr_expect_eq(sts_cache_domains(cache), 0);
	sts_file_close(f);
}

Test(sts_file, a_clock_that_was_wrong_makes_no_policy_last_longer)
{
	struct sts_file *f = saved();
	struct answer a;

	cr_expect_eq(restart(&f, -10000000), 1);
	clock_ms += 100000 * 1000ULL;
	ask_again(&a, NULL);
	cr_expect_not(a.has_policy);
	sts_file_close(f);
}

/* Return the octets of the file. */
static size_t
spoil(const char *name, off_t at)
{
	int fd = openat(dirfd_, name, O_RDWR | O_CLOEXEC);
	off_t end = lseek(fd, 0, SEEK_END);

	if (at == -1)
		cr_assert_eq(ftruncate(fd, end / 2), 0);
	else
		cr_assert_eq(pwrite(fd, "X", 1, at), 1);
	close(fd);
	return (size_t)end;
}

Test(sts_file, each_octet_of_a_file_counts_and_the_other_file_is_there)
{
	struct sts_file *f = saved();
	struct answer a;
	off_t i, end = 1;

	/* the first save has written policies.0, the next ones go by turns */
	ask_of(&a, "b.example");
	say_record("1");
	say_policy(STS_ENFORCE, 1000);
	for (i = 0; i < end; i++) {
		cr_assert_eq(sts_file_save(f, cache, WALL_S), 0);
		cr_assert_eq(sts_file_save(f, cache, WALL_S), 0);
		end = (off_t)spoil("policies.0", i);
		cr_expect_eq(restart(&f, 0), 2, "%lld", (long long)i);
	}
	cr_assert_gt(end, 50);
	cr_assert_eq(sts_file_save(f, cache, WALL_S), 0);
	cr_assert_eq(sts_file_save(f, cache, WALL_S), 0);
	spoil("policies.1", -1);
	cr_expect_eq(restart(&f, 0), 2);
	spoil("policies.0", 3);
	spoil("policies.1", 3);
	cr_expect_eq(restart(&f, 0), -1);
	sts_file_close(f);
}

Test(sts_file, one_process_writes_and_the_next_one_adds_what_it_has_learned)
{
	struct sts_file *f = saved(), *g;
	struct answer a;

	cr_assert(sts_file_lock(f));
	g = sts_file_open(dirfd_);
	cr_assert_not_null(g);
	cr_expect_not(sts_file_lock(g));
	sts_file_close(f);
	cr_expect(sts_file_lock(g));
	/* the one in memory was fetched later */
	clock_ms += 5000;
	ask_of(&a, "a.example");
	say_record("2");
	say_policy(STS_TESTING, 1000);
	cr_expect_eq(sts_file_load(g, cache, WALL_S + 5), 1);
	ask_again(&a, "2");
	cr_expect_eq(a.mode, STS_TESTING);
	sts_file_close(g);
}

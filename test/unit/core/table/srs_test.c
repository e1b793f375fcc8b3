#include "core/table/srs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/unit/core/table/table_file.h"

#define NOW	1577836860	/* 2020-01-01 00:01:00 UTC, as in the tests of postsrsd */
#define DAY	86400

static char err[400];

static struct srs *
load_mode(const char *keys, size_t len, mode_t mode)
{
	struct srs *srs;

	table_write(keys, len, mode);
	*err = '\0';
	srs = srs_load(table_path, err, sizeof(err));
	unlink(table_path);
	return srs;
}

static struct srs *
load(const char *keys)
{
	struct srs *srs = load_mode(keys, strlen(keys), 0600);

	cr_assert_not_null(srs, "%s", err);
	return srs;
}

/* What postsrsd answers, with the same key at the same time */
static const struct vector {
	const char	*sender;
	const char	*rewritten;
} forwards[] = {
	{ "test@otherdomain.com",
	    "SRS0=vmyz=2W=otherdomain.com=test@example.com" },
	{ "SRS0=opaque+string@otherdomain.com",
	    "SRS1=chaI=otherdomain.com==opaque+string@example.com" },
	{ "SRS1=X=thirddomain.com==opaque+string@otherdomain.com",
	    "SRS1=JIBX=thirddomain.com==opaque+string@example.com" },
};

static const struct reverse {
	const char	*address;
	const char	*sender;	/* NULL: refused ... */
	int		 errnum;	/* ... with this */
} reverses[] = {
	{ "SRS0=XjO9=2V=otherdomain.com=test@example.com",
	    "test@otherdomain.com", 0 },
	{ "SRS0=vmyz=2W=otherdomain.com=test@example.com",
	    "test@otherdomain.com", 0 },
	{ "SRS1=JIBX=thirddomain.com==opaque+string@example.com",
	    "SRS0=opaque+string@thirddomain.com", 0 },
	{ "srs0=xjo9=2v=otherdomain.com=test@example.com",
	    "test@otherdomain.com", 0 },
	{ "SRS0=XJO9=2V=OTHERDOMAIN.COM=TEST@EXAMPLE.COM",
	    "TEST@OTHERDOMAIN.COM", 0 },
	{ "test@example.com", NULL, EINVAL },
	{ "SRS2=XjO9=2V=otherdomain.com=test@example.com", NULL, EINVAL },
	{ "SRS0XjO9=2V=otherdomain.com=test@example.com", NULL, EINVAL },
	/* half a year old, and of half a year later */
	{ "SRS0=te87=T7=otherdomain.com=test@example.com", NULL, ETIME },
	{ "SRS0=VcIb=7N=otherdomain.com=test@example.com", NULL, ETIME },
	{ "SRS0=FAKE=2V=otherdomain.com=test@example.com", NULL, EBADMSG },
	{ "SRS0=XjO9=2W=otherdomain.com=test@example.com", NULL, EBADMSG },
	{ "SRS0=XjO=2V=otherdomain.com=test@example.com", NULL, EBADMSG },
	{ "SRS0=XjO9X=2V=otherdomain.com=test@example.com", NULL, EBADMSG },
	{ "SRS0==2V=otherdomain.com=test@example.com", NULL, EBADMSG },
	{ "SRS1=JIBX=thirddomain.com==opaque+strinG2@example.com", NULL,
	    EBADMSG },
	{ "SRS0=@example.com", NULL, EINVAL },
	{ "SRS0=XjO9@example.com", NULL, EINVAL },
	{ "SRS0=XjO9=2V@example.com", NULL, EINVAL },
	{ "SRS0=XjO9=2V=otherdomain.com@example.com", NULL, EINVAL },
	{ "SRS0=XjO9=2V==test@example.com", NULL, EINVAL },
	{ "SRS0=XjO9=2V=otherdomain.com=@example.com", NULL, EINVAL },
	{ "SRS1=JIBX@example.com", NULL, EINVAL },
	{ "SRS1=JIBX=thirddomain.com=@example.com", NULL, EINVAL },
	{ "SRS1=JIBX==x@example.com", NULL, EINVAL },
	{ "SRS0=XjO9=2V=otherdomain.com=test", NULL, EINVAL },
	{ "SRS0=XjO9=2V=otherdomain.com=test@", NULL, EINVAL },
	{ "@", NULL, EINVAL },
	{ "", NULL, EINVAL },
};

Test(srs, rewrites_as_postsrsd_does)
{
	struct srs *srs = load("tops3cr3t\n");
	char out[300];
	size_t i;

	for (i = 0; i < sizeof(forwards) / sizeof(forwards[0]); i++) {
		cr_assert_eq(srs_forward(srs, forwards[i].sender,
		    "example.com", NOW, out, sizeof(out)), 0);
		cr_expect_str_eq(out, forwards[i].rewritten);
		cr_expect(srs_is_address(out));
	}
	cr_expect_not(srs_is_address("test@otherdomain.com"));
	srs_free(srs);
}

Test(srs, goes_back_where_the_signature_and_the_time_are_right)
{
	struct srs *srs = load("tops3cr3t\n");
	const struct reverse *r;
	char out[300];
	size_t i;
	int rc;

	for (i = 0; i < sizeof(reverses) / sizeof(reverses[0]); i++) {
		r = &reverses[i];
		rc = srs_reverse(srs, r->address, NOW, out, sizeof(out));
		cr_expect_eq(rc, r->sender != NULL ? 0 : -1, "%s", r->address);
		if (rc == 0)
			cr_expect_str_eq(out, r->sender);
		else
			cr_expect_eq(errno, r->errnum, "%s: %s", r->address,
			    strerror(errno));
	}
	srs_free(srs);
}

/* What comes back is what was sent, whatever stands in it. */
static const char *const senders[] = {
	"a@b.test", "a=b@c.test", "a+b-c=d@e.test", "SRS0@x.test",
	"SRS1=x@x.test", "SRS1=a==@x.test", "\"a b\"@c.test",
	"\"a\\\"=b\"@c.test", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]",
	"d\xc3\xbcrer@x.test", "=@x.test", "postmaster@a.b.c.d.test",
};

Test(srs, every_sender_comes_back_as_it_was)
{
	struct srs *srs = load("tops3cr3t\n");
	char out[300], back[300];
	size_t i;

	for (i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		cr_assert_eq(srs_forward(srs, senders[i], "fwd.test", NOW, out,
		    sizeof(out)), 0, "%s", senders[i]);
		cr_expect_eq(strcmp(out + strlen(out) - 9, "@fwd.test"), 0);
		cr_assert_eq(srs_reverse(srs, out, NOW, back, sizeof(back)), 0,
		    "%s: %s", out, strerror(errno));
		cr_expect_str_eq(back, senders[i]);
	}
	srs_free(srs);
}

/* Two servers that forward, one behind the other: the way back is through both. */
Test(srs, a_second_forwarder_gives_it_back_to_the_first)
{
	struct srs *a = load("first-key-of-a\n"), *b = load("first-key-of-b\n");
	char one[300], two[300], three[300], back[300];

	cr_assert_eq(srs_forward(a, "joe@x.test", "a.test", NOW, one,
	    sizeof(one)), 0);
	cr_assert_eq(srs_forward(b, one, "b.test", NOW, two, sizeof(two)), 0);
	cr_assert_eq(srs_forward(a, two, "c.test", NOW, three, sizeof(three)),
	    0);
	cr_expect_eq(strncmp(three, "SRS1=", 5), 0);
	cr_expect_eq(strlen(three), strlen(two));
	cr_assert_eq(srs_reverse(a, three, NOW, back, sizeof(back)), 0);
	cr_expect_str_eq(back, one);
	cr_assert_eq(srs_reverse(b, two, NOW, back, sizeof(back)), 0);
	cr_expect_str_eq(back, one);
	cr_assert_eq(srs_reverse(a, back, NOW, three, sizeof(three)), 0);
	cr_expect_str_eq(three, "joe@x.test");
	cr_expect_eq(srs_reverse(b, one, NOW, back, sizeof(back)), -1);
	srs_free(a);
	srs_free(b);
}

Test(srs, is_good_for_three_weeks_also_where_the_days_begin_again)
{
	struct srs *srs = load("tops3cr3t\n");
	char out[300], back[300];
	int64_t at;

	/* all 1024 days */
	for (at = NOW; at < NOW + 1024LL * DAY; at += 7 * DAY) {
		cr_assert_eq(srs_forward(srs, "a@b.test", "f.test", at, out,
		    sizeof(out)), 0);
		cr_expect_eq(srs_reverse(srs, out, at, back, sizeof(back)), 0);
		cr_expect_eq(srs_reverse(srs, out, at + SRS_DAYS * DAY, back,
		    sizeof(back)), 0);
		/* another clock is slow */
		cr_expect_eq(srs_reverse(srs, out, at - DAY, back,
		    sizeof(back)), 0);
		cr_expect_eq(srs_reverse(srs, out, at + (SRS_DAYS + 1) * DAY,
		    back, sizeof(back)), -1);
		cr_expect_eq(errno, ETIME);
		cr_expect_eq(srs_reverse(srs, out, at - 2 * DAY, back,
		    sizeof(back)), -1);
	}
	srs_free(srs);
}

Test(srs, an_old_key_is_taken_and_a_new_one_signs)
{
	struct srs *old = load("tops3cr3t\n");
	struct srs *both = load("# of 2020\nnew-secret\n\n tops3cr3t2\r\n"
	    "tops3cr3t  \r\n");
	struct srs *new = load("new-secret");
	char out[300], back[300];

	cr_assert_eq(srs_forward(old, "a@b.test", "f.test", NOW, out,
	    sizeof(out)), 0);
	cr_expect_eq(srs_reverse(both, out, NOW, back, sizeof(back)), 0);
	cr_expect_eq(srs_reverse(new, out, NOW, back, sizeof(back)), -1);
	cr_assert_eq(srs_forward(both, "a@b.test", "f.test", NOW, out,
	    sizeof(out)), 0);
	cr_expect_eq(srs_reverse(new, out, NOW, back, sizeof(back)), 0);
	srs_free(old);
	srs_free(both);
	srs_free(new);
}

Test(srs, is_bounded)
{
	struct srs *srs = load("tops3cr3t\n");
	char sender[2000], out[300];
	size_t i;

	memset(sender, 'a', sizeof(sender));
	for (i = 0; i < sizeof(sender) - 10; i += 61) {
		memcpy(sender + i, "@b.test", 8);
		if (srs_forward(srs, sender, "f.test", NOW, out,
		    sizeof(out)) == -1)
			cr_expect(errno == ENAMETOOLONG || i == 0);
		else
			cr_expect_lt(strlen(out), sizeof(out));
		memset(sender + i, 'a', 8);
	}
	cr_expect_eq(srs_forward(srs, "a", "f.test", NOW, out, sizeof(out)),
	    -1);
	cr_expect_eq(errno, EINVAL);
	srs_free(srs);
}

static void
refused(const char *keys, size_t len, mode_t mode, const char *why)
{
	cr_expect_null(load_mode(keys, len, mode), "%s", why);
	cr_expect_not_null(strstr(err, why), "%s", err);
}

Test(srs, says_what_is_wrong_with_a_file_of_keys)
{
	char many[17 * 10 + 1] = "", long_[300];
	size_t i;

	for (i = 0; i < 17; i++)
		strcat(many, "12345678\n");
	memset(long_, 'x', sizeof(long_));
	refused("", 0, 0600, "there is no key in it");
	refused("# none\n", 7, 0600, "there is no key in it");
	refused("12345678\n1234567\n", 17, 0600, ":2: a key of less than 8");
	refused(long_, sizeof(long_), 0600, ":1: a key of more than 255");
	refused("12345678\00012345\n", 15, 0600, ":1: a NUL");
	refused(many, strlen(many), 0600, ":17: more than 16 keys");
	refused("12345678\n", 9, 0644, "others can read");
	refused("12345678\n", 9, 0660, "others can read or write");
	srs_free(load_mode("12345678\n", 9, 0640));
	cr_expect_null(srs_load("/nowhere/srs", err, sizeof(err)));
	cr_expect_not_null(strstr(err, "/nowhere/srs: cannot be read"));
	cr_expect_null(srs_load("/tmp", err, sizeof(err)));
	cr_expect_not_null(strstr(err, "/tmp: cannot be read"));
	srs_free(NULL);
}

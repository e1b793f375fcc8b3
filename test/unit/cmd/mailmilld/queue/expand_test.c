/* Who gets the mail of aliases. */

#include "cmd/mailmilld/queue/expand.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/settings/route_alias.h"
#include "core/lim.h"
#include "test/unit/cmd/settings/load.h"

#define NOW	1577836860

static char folder[] = "/tmp/expand-test.XXXXXX";
static struct settings *s;
static char err[SETTINGS_ERROR_MAX];
static struct queue_expansion x;
static char got[4096];

static void
put(const char *name, const char *text)
{
	char path[100];
	FILE *fp;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fp = fopen(path, "w");
	cr_assert_not_null(fp);
	fputs(text, fp);
	cr_assert_eq(fclose(fp), 0);
	cr_assert_eq(chmod(path, 0600), 0);
}

/* ${aliases}: those of a.test; b.test has none, all others are relayed. */
static int
load(const char *aliases)
{
	put("aliases", aliases);
	put("keys", "tops3cr3t\n");
	settings_free(s);
	s = load_good_settings(
	    "SRS_Domain = \"fwd.test\"\nSRS_Key_File = \"%s/keys\"\n"
	    "ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"
	    "Domain \"a.test\" { Aliases = \"file:%s/aliases\" }\n"
	    "Domain \"b.test\" { }\nDomain \"fwd.test\" { }\n"
	    "Domain \"*\" { Delivery = smtp Route = \"127.0.0.1:26\" }\n",
	    folder, folder);
	return settings_load_aliases(s, err, sizeof(err));
}

static void
setup(void)
{
	cr_assert_not_null(mkdtemp(folder));
}

static void
teardown(void)
{
	char cmd[100];

	settings_free(s);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", folder);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(expand, .init = setup, .fini = teardown);

static size_t
count(const char *const *v)
{
	size_t n;

	for (n = 0; v[n] != NULL; n++)
		continue;
	return n;
}

/* Expand ${aliases}; "sender>rcpt " of each, "!" for a list, then the verdicts, in
 * ${got}. */
static void
run(const char *sender, const char *const *aliases, const char *const *others)
{
	static const char *const verdicts[] = { "one", "many", "list",
		"failed" };
	size_t i;

	x = (struct queue_expansion){ .sender = sender, .now = NOW,
		.aliases = aliases, .naliases = count(aliases),
		.others = others, .nothers = count(others) };
	cr_assert_eq(expand(s, &x), 0);
	*got = '\0';
	for (i = 0; i < x.nrcpts && x.nrcpts < 50; i++) {
		const struct queue_expansion_sender *from =
		    &x.senders[x.rcpts[i].sender];

		snprintf(got + strlen(got), sizeof(got) - strlen(got),
		    "%s%s%s ", strcmp(from->address, sender) == 0 ? "" :
		    from->address, strcmp(from->address, sender) == 0 ?
		    (from->is_list ? "!>" : "") : from->is_list ? "!>" : ">",
		    x.rcpts[i].rcpt);
	}
	for (i = 0; i < x.naliases; i++) {
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s",
		    i > 0 ? " " : "", verdicts[x.verdicts[i].what]);
		if (x.verdicts[i].what == QUEUE_ALIAS_FAILED)
			snprintf(got + strlen(got), sizeof(got) - strlen(got),
			    "=%s", x.verdicts[i].enhanced);
	}
}

#define LIST(...)	((const char *const []){ __VA_ARGS__ __VA_OPT__(,) NULL })
#define EXPECT(sender, rcpts, others, text) do { \
	run(sender, rcpts, others); \
	cr_expect_str_eq(got, text, "%s", got); \
	expand_free(&x); \
} while (0)

static const char table[] =
    "ann: joe@b.test\n"
    "self: self, joe@b.test\n"
    "chain: link\nlink: end@a.test\n"
    "team: ann, eve@b.test, TEAM2\nteam2: eve@b.test, dan, Ann\n"
    "list: eve@b.test, ann, dan\nowner-list: eve\n"
    "outer: list, flo\n"
    "out: joe@else.test, in@b.test\n"
    "p: q\nq: p\n"
    "r: t, x@b.test\nt: r\n"
    "u: u\n"
    "@a.test: fall@b.test\n";

Test(expand, finds_who_gets_the_mail)
{
	cr_assert_eq(load(table), 0, "%s", err);
	EXPECT("s@b.test", LIST("ann@a.test"), LIST(), "joe@b.test one");
	EXPECT("s@b.test", LIST("ANN@A.test"), LIST(), "joe@b.test one");
	EXPECT("s@b.test", LIST("chain@a.test"), LIST(), "fall@b.test one");
	EXPECT("s@b.test", LIST("any@a.test"), LIST(), "fall@b.test one");
	EXPECT("s@b.test", LIST("u@a.test"), LIST(), "u@a.test one");
	EXPECT("s@b.test", LIST("postmaster"), LIST(), "fall@b.test one");
}

Test(expand, a_mailbox_is_listed_for_itself)
{
	cr_assert_eq(load("self: self, joe@b.test\n"), 0, "%s", err);
	EXPECT("s@b.test", LIST("self@a.test"), LIST(),
	    "self@a.test joe@b.test many");
}

Test(expand, nobody_gets_it_twice)
{
	cr_assert_eq(load("ann: joe@b.test\n"
	    "team: ann, eve@b.test, TEAM2\n"
	    "team2: eve@b.test, dan, Ann\n"), 0, "%s", err);
	EXPECT("s@b.test", LIST("team@a.test"), LIST(),
	    "joe@b.test eve@b.test dan@a.test many");
	/* by two aliases, and by itself */
	EXPECT("s@b.test", LIST("team@a.test", "ann@a.test", "team2@a.test"),
	    LIST(), "joe@b.test eve@b.test dan@a.test many many many");
	EXPECT("s@b.test", LIST("team@a.test"), LIST("EVE@b.test",
	    "dan@a.test"), "joe@b.test many");
	EXPECT("s@b.test", LIST("ann@a.test"), LIST("joe@b.test"), "many");
}

Test(expand, a_loop_ends_and_is_a_failure_if_nobody_is_left)
{
	cr_assert_eq(load("p: q\nq: p\nr: t, x@b.test\nt: r\n"
	    "v: w@a.test\nw: v@A.TEST\n"), 0, "%s", err);
	EXPECT("s@b.test", LIST("p@a.test"), LIST(), "failed=5.4.6");
	EXPECT("s@b.test", LIST("v@a.test"), LIST(), "failed=5.4.6");
	EXPECT("s@b.test", LIST("r@a.test"), LIST(), "x@b.test one");
	EXPECT("s@b.test", LIST("p@a.test", "r@a.test"), LIST(),
	    "x@b.test failed=5.4.6 one");
}

Test(expand, a_list_with_an_owner_has_that_as_sender)
{
	cr_assert_eq(load("list: eve@b.test, far@else.test\n"
	    "owner-list: eve@b.test\nouter: list, flo\n"), 0, "%s", err);
	EXPECT("s@b.test", LIST("list@a.test"), LIST(),
	    "owner-list@a.test!>eve@b.test owner-list@a.test!>far@else.test "
	    "list");
	EXPECT("s@b.test", LIST("outer@a.test"), LIST(),
	    "owner-list@a.test!>eve@b.test owner-list@a.test!>far@else.test "
	    "flo@a.test many");
	EXPECT("", LIST("list@a.test"), LIST(),
	    "!>eve@b.test !>far@else.test list");
	EXPECT("s@b.test", LIST("owner-list@a.test"), LIST(), "eve@b.test one");
}

Test(expand, what_is_forwarded_elsewhere_has_a_sender_of_ours)
{
	cr_assert_eq(load("out: joe@else.test, in@b.test, jim@far.test\n"), 0,
	    "%s", err);
	EXPECT("test@otherdomain.com", LIST("out@a.test"), LIST(),
	    "SRS0=vmyz=2W=otherdomain.com=test@fwd.test>joe@else.test "
	    "in@b.test "
	    "SRS0=vmyz=2W=otherdomain.com=test@fwd.test>jim@far.test many");
	/* a sender of ours, and none */
	EXPECT("eve@b.test", LIST("out@a.test"), LIST(),
	    "joe@else.test in@b.test jim@far.test many");
	EXPECT("", LIST("out@a.test"), LIST(),
	    "joe@else.test in@b.test jim@far.test many");
}

Test(expand, what_comes_back_goes_to_the_sender)
{
	const char *srs = "SRS0=vmyz=2W=otherdomain.com=test@fwd.test";

	cr_assert_eq(load("eve: joe@else.test\n"), 0, "%s", err);
	EXPECT("", LIST(srs), LIST(), "test@otherdomain.com one");
	EXPECT("s@b.test", LIST(srs), LIST(), "failed=5.7.1");
	EXPECT("", LIST("SRS0=FAKE=2W=otherdomain.com=test@fwd.test"), LIST(),
	    "failed=5.1.1");
	EXPECT("", LIST("SRS0=te87=T7=otherdomain.com=test@fwd.test"), LIST(),
	    "failed=5.1.1");
}

/* It was forwarded from here, came back, and was forwarded again. */
Test(expand, what_was_forwarded_twice_goes_to_the_sender)
{
	char one[200], two[200], three[200];

	cr_assert_eq(load("eve: joe@else.test\n"), 0, "%s", err);
	cr_assert_eq(srs_forward(s->srs, "joe@x.test", "fwd.test", NOW, one,
	    sizeof(one)), 0);
	/* by a server that has a name of its own */
	cr_assert_eq(srs_forward(s->srs, one, "mid.test", NOW, two,
	    sizeof(two)), 0);
	cr_assert_eq(srs_forward(s->srs, two, "fwd.test", NOW, three,
	    sizeof(three)), 0);
	EXPECT("", LIST(three), LIST(), "joe@x.test one");
}

/* RFC 3463 3.3: X.2.4, a problem of expansion */
Test(expand, is_bounded)
{
	size_t n = LIM_ALIAS_RCPTS + 1, i;
	char *text = malloc(n * 24 + 1000), *p = text;

	p += sprintf(p, "huge: half, rest\nhalf:");
	for (i = 0; i < n; i++)
		p += sprintf(p, "%s m%zu\n", i == n / 2 ? "rest:" : "", i);
	p += sprintf(p, "small: huge, ann\n");
	for (i = 0; i < LIM_ALIAS_DEPTH; i++)
		p += sprintf(p, "d%zu: d%zu\n", i, i + 1);
	p += sprintf(p, "d%zu: ann\n", i);
	cr_assert_eq(load(text), 0, "%s", err);
	free(text);
	EXPECT("s@b.test", LIST("huge@a.test"), LIST(), "failed=5.2.4");
	EXPECT("s@b.test", LIST("small@a.test"), LIST(), "failed=5.2.4");
	/* nor the other ones: somebody may be on both of the lists */
	EXPECT("s@b.test", LIST("d1@a.test", "huge@a.test"), LIST(),
	    "failed=5.2.4 failed=5.2.4");
	EXPECT("s@b.test", LIST("d0@a.test"), LIST(), "failed=5.2.4");
	EXPECT("s@b.test", LIST("d1@a.test"), LIST(), "ann@a.test one");
}

Test(expand, of_many_each_is_there_once)
{
	size_t n = 10000, i;
	char *text = malloc(n * 48), *p = text;

	p += sprintf(p, "a:");
	for (i = 0; i < n; i++)
		p += sprintf(p, " m%zu@b.test\n", i);
	p += sprintf(p, "b:");
	for (i = 0; i < n; i++)
		p += sprintf(p, " M%zu@b.test\n", i + n / 2);
	cr_assert_eq(load(text), 0, "%s", err);
	free(text);
	run("s@b.test", LIST("a@a.test", "b@a.test"), LIST());
	cr_expect_eq(x.nrcpts, n + n / 2);
	expand_free(&x);
}

static const struct {
	const char *aliases, *why;
} bad[] = {
	{ "a: <joe@b.test>\n", "an address is listed without < and >" },
	{ "a: *\n", "'*' is no address" },
	{ "*: a\n", "'*' is no address" },
	{ "x@b.test: a\n", "the Domain section for this alias does not use" },
	{ "a: b c@@d\n", "not an address" },
};

Test(expand, a_table_that_would_not_work_is_refused)
{
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(load(bad[i].aliases), -1, "%s", bad[i].aliases);
		cr_expect_not_null(strstr(err, "option 'Aliases'"), "%s", err);
		cr_expect_not_null(strstr(err, bad[i].why), "%s", err);
	}
}

Test(expand, a_file_of_several_domains_is_read_once)
{
	put("aliases", "ann: joe@b.test\n");
	put("other", "bob: joe@b.test\n");
	s = load_good_settings(
	    "ESMTP_Listener { Listen \"127.0.0.1:25\" { } }\n"
	    "Domain \"a.test\" { Aliases = \"file:%s/aliases\" }\n"
	    "Domain \"b.test\" { Aliases = \"file:%s/other\" }\n"
	    "Domain \"c.test\" { Aliases = \"file:%s/aliases\" }\n"
	    "Domain \"d.test\" { }\n", folder, folder, folder);
	cr_assert_eq(settings_load_aliases(s, err, sizeof(err)), 0, "%s", err);
	cr_expect_not_null(s->domains[0].aliases_table);
	cr_expect_eq(s->domains[2].aliases_table, s->domains[0].aliases_table);
	cr_expect_neq(s->domains[1].aliases_table,
	    s->domains[0].aliases_table);
	cr_expect_null(s->domains[3].aliases_table);
}

/* What the worker says at RCPT */
Test(expand, aliases_are_known_where_recipients_are_asked_for)
{
	struct route_alias_found found;

	cr_assert_eq(load("ann: joe@b.test\n"), 0, "%s", err);
	cr_expect_eq(route_alias(s, "ann@a.test", NOW, &found),
	    ROUTE_ALIAS_TABLE);
	cr_expect_eq(route_alias(s, "eve@a.test", NOW, &found),
	    ROUTE_ALIAS_NONE);
	cr_expect_eq(route_alias(s, "ann@b.test", NOW, &found),
	    ROUTE_ALIAS_NONE);
	cr_expect_eq(route_alias(s, "postmaster", NOW, &found),
	    ROUTE_ALIAS_NONE);
	cr_expect_eq(route_alias(s,
	    "SRS0=vmyz=2W=otherdomain.com=test@FWD.test", NOW, &found),
	    ROUTE_ALIAS_SRS);
	cr_expect_str_eq(found.sender, "test@otherdomain.com");
	cr_expect_eq(route_alias(s,
	    "SRS0=FAKE=2W=otherdomain.com=test@fwd.test", NOW, &found),
	    ROUTE_ALIAS_REFUSED);
	/* of another domain it is an address as any other */
	cr_expect_eq(route_alias(s,
	    "SRS0=FAKE=2W=otherdomain.com=test@b.test", NOW, &found),
	    ROUTE_ALIAS_NONE);
}

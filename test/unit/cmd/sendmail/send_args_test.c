#include "cmd/sendmail/send_args.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "core/spool.h"

#define WORDS	24

/* The words of ${line} as the arguments of sendmail */
static int
parse(const char *line, struct send_args *a, char err[512])
{
	static char copy[512];
	char *argv[WORDS + 1] = { NULL }, *save, *w;
	static char *kept[WORDS + 1];
	int argc = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	for (w = strtok_r(copy, " ", &save); w != NULL;
	    w = strtok_r(NULL, " ", &save)) {
		cr_assert(argc < WORDS);
		argv[argc++] = w;
	}
	/* what the result points to stays */
	memcpy(kept, argv, sizeof(kept));
	*err = '\0';
	return send_args_parse(argc, kept, a, err, 512);
}

Test(send_args, what_programs_call_it_with_is_taken)
{
	static const struct {
		const char	*line;
		bool		 is_dot_plain, takes_header;
		const char	*sender;
		int		 nrcpts;
	} cases[] = {
		/* cron of Debian, mutt, PHP, mdadm, git send-email, s-nail,
		 * logwatch, Python */
		{ "sendmail -FCronDaemon -i -B8BITMIME -oem root", true, false,
			NULL, 1 },
		{ "sendmail -oem -oi -f a@b -- c@d e@f", true, false, "a@b",
			2 },
		{ "sendmail -t -i", true, true, NULL, 0 },
		{ "sendmail -ti -fx@example.org", true, true, "x@example.org",
			0 },
		{ "sendmail -t", false, true, NULL, 0 },
		{ "sendmail -i a@b c@d", true, false, NULL, 2 },
		{ "sendmail -i -f a@b -r c@d x", true, false, "c@d", 1 },
		{ "sendmail -oi -oem -odb -om -o7 -em -m -n -G -U -h 3 -Ac "
			"-L tag x", true, false, NULL, 1 },
		{ "sendmail -bm -v -O DeliveryMode=b x", false, false, NULL,
			1 },
		{ "sendmail -OIgnoreDots=true x", true, false, NULL, 1 },
		{ "sendmail -- -x", false, false, NULL, 1 },
		/* behind an address there are no options */
		{ "sendmail a -i", false, false, NULL, 2 },
	};
	struct send_args a;
	char err[512];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(parse(cases[i].line, &a, err), 0, "%s: %s",
		    cases[i].line, err);
		cr_expect_eq(a.mode, SEND_MAIL, "%s", cases[i].line);
		cr_expect_eq(a.is_dot_plain, cases[i].is_dot_plain, "%s",
		    cases[i].line);
		cr_expect_eq(a.takes_header, cases[i].takes_header, "%s",
		    cases[i].line);
		cr_expect_eq(a.nrcpts, cases[i].nrcpts, "%s", cases[i].line);
		cr_expect_eq(a.sender == NULL, cases[i].sender == NULL, "%s",
		    cases[i].line);
		if (cases[i].sender != NULL && a.sender != NULL)
			cr_expect_str_eq(a.sender, cases[i].sender);
	}
}

Test(send_args, the_modes_are_those_of_b_q_and_the_names)
{
	static const struct { const char *line; enum send_mode mode; } cases[] = {
		{ "/usr/sbin/sendmail -bs", SEND_SESSION },
		{ "sendmail -bp", SEND_LIST }, { "/usr/bin/mailq", SEND_LIST },
		{ "sendmail -bi", SEND_ALIASES }, { "sendmail -I", SEND_ALIASES },
		{ "newaliases", SEND_ALIASES }, { "sendmail -q", SEND_QUEUE },
		{ "mailq -q", SEND_QUEUE }, { "sendmail -q5m", SEND_QUEUE }
	};
	struct send_args a;
	char err[512];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(parse(cases[i].line, &a, err), 0, "%s: %s",
		    cases[i].line, err);
		cr_expect_eq(a.mode, cases[i].mode, "%s", cases[i].line);
	}
}

Test(send_args, what_q_selects)
{
	struct send_args a;
	char err[512];

	cr_expect_eq(parse("sendmail -q", &a, err), 0);
	cr_expect(a.select == 0 && a.interval_s == 0);
	cr_expect_eq(parse("sendmail -qI0A1B", &a, err), 0);
	cr_expect(a.select == 'I' && strcmp(a.selected, "0A1B") == 0);
	cr_expect_eq(parse("sendmail -qRexample.org", &a, err), 0);
	cr_expect(a.select == 'R' && strcmp(a.selected, "example.org") == 0);
	cr_expect_eq(parse("sendmail -q1h30m", &a, err), 0);
	cr_expect_eq(a.interval_s, 5400);
	cr_expect_eq(parse("sendmail -q90s", &a, err), 0);
	cr_expect_eq(a.interval_s, 90);
}

Test(send_args, what_the_sender_is_told_and_when)
{
	struct send_args a;
	char err[512];

	cr_expect_eq(parse("sendmail -N failure,delay -R hdrs -V x1 -B 8bitmime "
	    "x", &a, err), 0, "%s", err);
	cr_expect_eq(a.notify, SPOOL_NOTIFY_FAILURE | SPOOL_NOTIFY_DELAY);
	cr_expect_eq(a.flags, SPOOL_ENV_RET_HDRS | SPOOL_ENV_8BITMIME);
	cr_expect_str_eq(a.envid, "x1");
	cr_expect_eq(parse("sendmail -Nnever -Rfull -Rhdrs -Rfull x", &a, err),
	    0);
	cr_expect_eq(a.notify, SPOOL_NOTIFY_NEVER);
	cr_expect_eq(a.flags, SPOOL_ENV_RET_FULL);
}

Test(send_args, what_is_not_understood_is_refused_by_name)
{
	static const struct { const char *line, *words; } cases[] = {
		{ "sendmail", "no recipients" }, { "sendmail -i", "no recip" },
		{ "sendmail -z x", "-z: there is no such option" },
		{ "sendmail -Z x", "-Z" }, { "sendmail -f", "-f: the argument" },
		{ "sendmail -bd", "mailmilld" }, { "sendmail -bt", "-bt" },
		{ "sendmail -bmx x", "-bmx" }, { "sendmail -oQ/tmp x", "-oQ" },
		{ "sendmail -N sometimes x", "-N sometimes" },
		{ "sendmail -N delay,,failure x", "-N" },
		{ "sendmail -N failure, x", "-N" },
		{ "sendmail -R all x", "-R all" }, { "sendmail -B 9 x", "-B 9" },
		{ "sendmail -ex x", "-ex" }, { "sendmail -q5", "-q5" },
		{ "sendmail -q0s", "-q0s" }, { "sendmail -qX", "-qX" },
		{ "sendmail -qI", "-qI" }, { "sendmail -q99999999999999h", "-q9" },
		{ "sendmail -O QueueDirectory=/tmp x", "-O QueueDirectory" },
		{ "sendmail -O Maildrop x", "-O Maildrop" },
		{ "sendmail -bs x", "only a message" },
		{ "mailq x", "only a message" }
	};
	struct send_args a;
	char err[512];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(parse(cases[i].line, &a, err), EX_USAGE, "%s",
		    cases[i].line);
		cr_expect(strstr(err, cases[i].words) != NULL, "%s: %s",
		    cases[i].line, err);
	}
}

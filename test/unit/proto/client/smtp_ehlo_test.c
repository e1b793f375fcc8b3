/* What a next hop offers. */

#include <criterion/criterion.h>
#include <string.h>
#include <strings.h>

#include "proto/auth/esmtp_auth_mech.h"
#include "proto/client/smtp_ehlo.h"
#include "proto/server/esmtp_ext.h"

static struct smtp_ehlo
said(const char *line)
{
	struct smtp_ehlo e = { 0 };

	smtp_ehlo_line(&e, line, strlen(line));
	return e;
}

Test(smtp_ehlo, keywords_are_known_in_any_case)
{
	char small[64];
	size_t i, k;

	for (i = 0; i < SMTP_NKEYWORDS; i++) {
		const char *name = smtp_keyword_name((enum smtp_keyword)i);

		cr_assert_eq(said(name).has, 1u << i, "%s", name);
		for (k = 0; name[k] != '\0'; k++)
			small[k] = (char)(name[k] >= 'A' && name[k] <= 'Z' ?
			    name[k] | 0x20 : name[k]);
		small[k] = '\0';
		cr_assert_eq(said(small).has, 1u << i, "%s", small);
	}
	cr_assert_eq(said("").has, 0);
	cr_assert_eq(said("SIZES").has, 0);
	cr_assert_eq(said("SIZ").has, 0);
	cr_assert_eq(said("X-SIZE 5").has, 0);
	cr_assert_eq(said("SIZE=5").has, 0);
}

/* Of each extension that our server has, the client knows what to do with it,
 * or that there is nothing to do. */
Test(smtp_ehlo, extensions_of_our_server_are_known)
{
	static const char *const of_no_use[] = { "FUTURERELEASE",
		"NO-SOLICITING", "ETRN", "XCLIENT", "XFORWARD", "XREMOTEIP",
		"XSETCONTEXT", "XDUMPCONTEXT" };
	size_t i, k, n = 0;

	for (i = 0; i < ESMTP_NEXTS; i++) {
		const char *keyword = esmtp_exts[i]->keyword;
		bool is_known = said(keyword).has != 0;

		for (k = 0; k < sizeof(of_no_use) / sizeof(of_no_use[0]); k++)
			if (strcmp(keyword, of_no_use[k]) == 0) {
				cr_assert_not(is_known, "%s", keyword);
				is_known = true;
				n++;
			}
		cr_assert(is_known, "%s", keyword);
	}
	cr_assert_eq(n, sizeof(of_no_use) / sizeof(of_no_use[0]));
}

Test(smtp_ehlo, size)
{
	static const struct { const char *line; uint64_t max; } cases[] = {
		{ "SIZE", 0 }, { "SIZE 0", 0 }, { "SIZE 1000", 1000 },
		{ "SIZE  1000 ", 1000 }, { "SIZE 1000 2000", 1000 },
		{ "SIZE 18446744073709551615", UINT64_MAX },
		{ "SIZE 18446744073709551616", UINT64_MAX },
		{ "SIZE 99999999999999999999999999", UINT64_MAX },
		{ "SIZE -1", 0 }, { "SIZE 10k", 0 }, { "SIZE x", 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_ehlo e = said(cases[i].line);

		cr_assert(smtp_ehlo_has(&e, SMTP_HAS(SIZE)));
		cr_assert_eq(e.size_max, cases[i].max, "%s", cases[i].line);
	}
}

Test(smtp_ehlo, mechanisms_are_those_of_the_table)
{
	struct smtp_ehlo e = said("AUTH plain X-OTHER SCRAM-SHA-256 LOGINS");
	const struct esmtp_auth_mech *m;
	size_t i;

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
		cr_assert_eq((e.mechanisms >> i) & 1,
		    strcmp(m->name, "PLAIN") == 0 ||
		    strcmp(m->name, "SCRAM-SHA-256") == 0, "%s", m->name);
	cr_assert_eq(said("AUTH").mechanisms, 0);
}

/* RFC 9422 3: what is not known or malformed is as if it were not there. */
Test(smtp_ehlo, limits)
{
	struct smtp_ehlo e = said("LIMITS RCPTMAX=20 mailmax=5 RCPTDOMAINMAX=1");

	cr_assert_eq(e.rcpt_max, 20);
	cr_assert_eq(e.mail_max, 5);
	cr_assert_eq(e.domain_max, 1);
	e = said("LIMITS RCPTMAX= MAILMAX=5x RCPTDOMAINMAX XMAX=3 =4 RCPTMAX=0");
	cr_assert_eq(e.rcpt_max, 0);
	cr_assert_eq(e.mail_max, 0);
	cr_assert_eq(e.domain_max, 0);
	e = said("LIMITS RCPTMAX=5000000000");
	cr_assert_eq(e.rcpt_max, UINT32_MAX);
}

/* All keywords at their longest have room. */
Test(smtp_ehlo, what_is_offered_can_be_shown)
{
	char buf[SMTP_EHLO_TEXT], line[64];
	const struct esmtp_auth_mech *m;
	struct smtp_ehlo e = { .has = 0 };
	unsigned int i;

	cr_assert_str_eq(smtp_ehlo_text(&e, buf), "");
	for (i = 0; i < 4; i++)
		smtp_ehlo_line(&e, ((const char *const[]){ "PIPELINING",
		    "SIZE 1000", "AUTH LOGIN PLAIN X",
		    "LIMITS RCPTMAX=20 MAILMAX=5" })[i],
		    ((const size_t[]){ 10, 9, 18, 27 })[i]);
	cr_assert_str_eq(smtp_ehlo_text(&e, buf), "SIZE=1000 PIPELINING "
	    "AUTH=PLAIN,LOGIN LIMITS=MAILMAX:5,RCPTMAX:20");
	memset(&e, 0xff, sizeof(e));
	e.by_min = INT64_MAX;
	smtp_ehlo_text(&e, buf);
	for (i = 0; i < SMTP_NKEYWORDS; i++)
		cr_expect_not_null(strstr(buf, smtp_keyword_name(i)), "%u", i);
	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
		cr_expect_not_null(strstr(buf, m->name), "%s", m->name);
	snprintf(line, sizeof(line), "DELIVERBY=%lld", (long long)INT64_MAX);
	cr_expect_not_null(strstr(buf, line), "%s", buf);
}

Test(smtp_ehlo, deliverby)
{
	cr_assert_eq(said("DELIVERBY").by_min, 0);
	cr_assert_eq(said("DELIVERBY 240").by_min, 240);
	cr_assert_eq(said("DELIVERBY x").by_min, 0);
	cr_assert_eq(said("DELIVERBY 99999999999999999999").by_min, INT32_MAX);
}

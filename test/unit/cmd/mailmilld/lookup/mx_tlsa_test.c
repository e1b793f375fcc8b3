/* Under which names TLSA records are looked for (RFC 7672 2.2.2, 2.2.3). */

#include "cmd/mailmilld/lookup/mx_tlsa.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Answers: "+" proven records, "!" proven and too many of them, "~" such that
 * nothing proves, "-" proven that there are none, "n" that the name does not
 * exist, "?" no answer. */
static struct lookup_answer
answer(char how)
{
	static const uint8_t octets[9] = { LOOKUP_R_TLSA, 3, 1, 1, 0, 3, 7, 7,
		7 };
	struct lookup_answer a = { .is_authentic = how != '~' && how != '?' };

	switch (how) {
	case '+':
	case '~':
		a.records = octets;
		a.len = sizeof(octets);
		a.status = LOOKUP_FOUND;
		break;
	case '!':
		a.status = LOOKUP_TOO_MUCH;
		break;
	case '-':
		a.status = LOOKUP_NO_DATA;
		break;
	case 'n':
		a.status = LOOKUP_NO_NAME;
		break;
	default:
		a.status = LOOKUP_TEMPORARY;
	}
	return a;
}

static const struct {
	const char	*alias;
	bool		 is_authentic;
	const char	*answers;
	const char	*questions;	/* all of them */
	enum mx_tlsa_status status;
	const char	*base;
} cases[] = {
	/* no alias */
	{ "", true, "+", "tlsa _26._tcp.mx.test", MX_TLSA_FOUND, "mx.test" },
	{ "", true, "-", "tlsa _26._tcp.mx.test", MX_TLSA_NONE, NULL },
	{ "", true, "n", "tlsa _26._tcp.mx.test", MX_TLSA_NONE, NULL },
	{ "", true, "~", "tlsa _26._tcp.mx.test", MX_TLSA_NONE, NULL },
	{ "", true, "?", "tlsa _26._tcp.mx.test", MX_TLSA_FAILED, NULL },
	{ "", true, "!", "tlsa _26._tcp.mx.test", MX_TLSA_FAILED, NULL },
	/* a zone that is not signed is not asked: RFC 7672 2.2.2 */
	{ "", false, "", "", MX_TLSA_NONE, NULL },
	/* proven to its end: that name first, then the host's */
	{ "end.test", true, "+", "tlsa _26._tcp.end.test", MX_TLSA_FOUND,
	    "end.test" },
	{ "end.test", true, "n+",
	    "tlsa _26._tcp.end.test tlsa _26._tcp.mx.test", MX_TLSA_FOUND,
	    "mx.test" },
	{ "end.test", true, "~+",
	    "tlsa _26._tcp.end.test tlsa _26._tcp.mx.test", MX_TLSA_FOUND,
	    "mx.test" },
	{ "end.test", true, "--",
	    "tlsa _26._tcp.end.test tlsa _26._tcp.mx.test", MX_TLSA_NONE,
	    NULL },
	{ "end.test", true, "?", "tlsa _26._tcp.end.test", MX_TLSA_FAILED,
	    NULL },
	{ "end.test", true, "-?",
	    "tlsa _26._tcp.end.test tlsa _26._tcp.mx.test", MX_TLSA_FAILED,
	    NULL },
	/* not to its end: the host's own, if its CNAME record is proven */
	{ "end.test", false, "++", "cname mx.test tlsa _26._tcp.mx.test",
	    MX_TLSA_FOUND, "mx.test" },
	{ "end.test", false, "+-", "cname mx.test tlsa _26._tcp.mx.test",
	    MX_TLSA_NONE, NULL },
	{ "end.test", false, "~", "cname mx.test", MX_TLSA_NONE, NULL },
	{ "end.test", false, "?", "cname mx.test", MX_TLSA_FAILED, NULL },
};

Test(mx_tlsa, which_names_are_asked_for_and_which_records_count)
{
	char name[LIM_DOMAIN + 1], asked[1024];
	struct mx_tlsa_search s;
	struct lookup_answer a;
	enum lookup_type type;
	size_t i, n, at;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mx_tlsa_begin(&s, "mx.test", cases[i].alias,
		    cases[i].is_authentic);
		*asked = '\0';
		for (n = at = 0; mx_tlsa_question(&s, 26, name, &type); n++) {
			at += (size_t)snprintf(asked + at, sizeof(asked) - at,
			    "%s%s %s", n > 0 ? " " : "",
			    lookup_type_name(type), name);
			cr_assert_neq(cases[i].answers[n], '\0', "%zu: %s", i,
			    asked);
			a = answer(cases[i].answers[n]);
			mx_tlsa_take(&s, &a);
		}
		cr_expect_str_eq(asked, cases[i].questions, "%zu: %s", i,
		    asked);
		cr_assert_eq(s.found.status, cases[i].status, "%zu: %d", i,
		    s.found.status);
		cr_expect_eq(s.found.is_too_much,
		    strchr(cases[i].answers, '!') != NULL, "%zu", i);
		if (cases[i].base == NULL)
			continue;
		cr_expect_str_eq(s.found.base, cases[i].base, "%zu", i);
		cr_expect_eq(s.found.len, 9);
	}
}

Test(mx_tlsa, it_is_known_whether_a_name_server_was_asked)
{
	char name[LIM_DOMAIN + 1];
	struct mx_tlsa_search s;
	struct lookup_answer a;
	enum lookup_type type;
	int i;

	for (i = 0; i < 2; i++) {
		mx_tlsa_begin(&s, "mx.test", "", true);
		cr_assert(mx_tlsa_question(&s, 25, name, &type));
		a = answer('?');
		a.is_unasked = i > 0;
		mx_tlsa_take(&s, &a);
		cr_assert_eq(s.found.status, MX_TLSA_FAILED);
		cr_expect_eq(s.found.is_unasked, i > 0);
	}
}

Test(mx_tlsa, a_host_with_the_longest_name_has_none)
{
	char host[LIM_DOMAIN + 1], name[LIM_DOMAIN + 1];
	struct mx_tlsa_search s;
	enum lookup_type type;

	memset(host, 'a', 253);
	host[253] = '\0';
	host[63] = host[127] = host[191] = '.';
	cr_assert_eq(lookup_name(host, name), 0);
	mx_tlsa_begin(&s, host, "", true);
	cr_assert(mx_tlsa_question(&s, 25, name, &type));
	cr_expect_eq(lookup_name(name, host), -1);
}

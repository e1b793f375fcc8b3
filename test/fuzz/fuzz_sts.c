/* What a domain says of MTA-STS.  The first octet says which:
 *	policy	the text that its HTTPS server sends
 *	record	a TXT record
 *	sent	a policy that another process sends */

#include "test/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/lookup/sts_policy.h"

enum { POLICY, RECORD, SENT, NKINDS };

/* Each of its patterns allows a host, and nothing that is no name. */
static void
match(const struct sts_policy *p)
{
	char host[LIM_DOMAIN + 3];
	const char *s;

	for (s = p->mx; s < p->mx + p->len; s += strlen(s) + 1) {
		FUZZ_HOLDS(strlcpy(host, s, sizeof(host)) < sizeof(host));
		if (*host == '*')
			*host = 'x';
		FUZZ_HOLDS(sts_policy_matches(p, host));
	}
	FUZZ_HOLDS(!sts_policy_matches(p, ""));
	FUZZ_HOLDS(!sts_policy_matches(p, "."));
	FUZZ_HOLDS(!sts_policy_matches(p, "*"));
}

/* What is read can be written, and is then the same. */
static void
write_again(const struct sts_policy *p)
{
	static char text[2 * LIM_STS_TEXT];
	static struct sts_policy q;
	char err[STS_ERROR_MAX];
	size_t len;
	const char *s;

	len = (size_t)snprintf(text, sizeof(text), "version: STSv1\r\n"
	    "mode: %s\r\nmax_age: %u\r\n", sts_mode_name(p->mode),
	    p->max_age_s);
	for (s = p->mx; s < p->mx + p->len; s += strlen(s) + 1)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "mx: %s\n", s);
	FUZZ_HOLDS(sts_policy_parse(text, len, &q, err, sizeof(err)) == 0);
	FUZZ_HOLDS(q.mode == p->mode && q.max_age_s == p->max_age_s);
	FUZZ_HOLDS(q.len == p->len && memcmp(q.mx, p->mx, q.len) == 0);
}

void
fuzz_sts(const uint8_t *data, size_t len)
{
	static struct sts_policy p;
	struct fuzz_input in = { data, len };
	char err[STS_ERROR_MAX] = "", id[LIM_STS_ID + 1];

	switch (fuzz_octet(&in) % NKINDS) {
	case POLICY:
		if (sts_policy_parse((const char *)in.p, in.left, &p, err,
		    sizeof(err)) == -1) {
			FUZZ_HOLDS(*err != '\0');
			return;
		}
		FUZZ_HOLDS(sts_policy_check(&p));
		break;
	case RECORD:
		if (sts_record_parse(in.p, in.left, id) == 1)
			FUZZ_HOLDS(sts_id_check(id));
		return;
	default:
		p.mode = fuzz_octet(&in);
		p.max_age_s = fuzz_octet(&in);
		p.len = in.left < sizeof(p.mx) ? in.left : sizeof(p.mx);
		memcpy(p.mx, in.p, p.len);
		if (!sts_policy_check(&p))
			return;
	}
	match(&p);
	write_again(&p);
}

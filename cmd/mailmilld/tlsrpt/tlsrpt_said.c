/* What relay tells of connections to MX hosts; see tlsrpt_said.h. */

#include "cmd/mailmilld/tlsrpt/tlsrpt_said.h"

#include <arpa/inet.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "cmd/mailmilld/lookup/lookup_answer.h"

/* type, result, sessions; then the texts, each with its NUL */
#define HEAD		(2 + sizeof(uint32_t))
#define NTEXTS		7

const char *
tlsrpt_result_name(enum tlsrpt_result r)
{
	static const char *const names[TLSRPT_NRESULTS] = {
#define TLSRPT_RESULT(id, name) [TLSRPT_RESULT_##id] = name,
#include "cmd/mailmilld/tlsrpt/tlsrpt_result.def"
#undef TLSRPT_RESULT
	};

	return names[r];
}

/* --- what is allowed ------------------------------------------------------- */

static bool
is_domain(const char *s)
{
	char name[LIM_DOMAIN + 1];

	return strlen(s) <= LIM_DOMAIN && lookup_name(s, name) == 0 &&
	    strcmp(s, name) == 0;
}

static bool
is_address(const char *s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;
	int family = strchr(s, ':') != NULL ? AF_INET6 : AF_INET;

	return strlen(s) < sizeof(text) && inet_pton(family, s, &addr) == 1 &&
	    inet_ntop(family, &addr, text, sizeof(text)) != NULL &&
	    strcmp(s, text) == 0;
}

static bool
is_text(const char *s, size_t most, bool has_lines)
{
	if (strlen(s) > most)
		return false;
	for (; *s != '\0'; s++)
		if ((*s < ' ' || *s > '~') && !(has_lines && *s == '\n'))
			return false;
	return true;
}

static bool
is_good(const struct tlsrpt_said *s)
{
	return (unsigned int)s->type < TLSRPT_NTYPES &&
	    (unsigned int)s->result < TLSRPT_NRESULTS && s->sessions > 0 &&
	    is_domain(s->domain) &&
	    (*s->policy_domain == '\0' || is_domain(s->policy_domain)) &&
	    (*s->mx_host == '\0' || is_domain(s->mx_host)) &&
	    (*s->sending_ip == '\0' || is_address(s->sending_ip)) &&
	    (*s->receiving_ip == '\0' || is_address(s->receiving_ip)) &&
	    is_text(s->policy, LIM_TLSRPT_POLICY, true) &&
	    is_text(s->reason, LIM_TLSRPT_REASON, false);
}

/* --- octets ------------------------------------------------------------------ */

/* ${s} as far as ${most} octets go, of lines only whole ones. */
static void
clean(char *buf, const char *s, size_t most, bool has_lines)
{
	size_t n = strlen(s), i;

	if (n > most)
		for (n = most; has_lines && n > 0 && s[n] != '\n'; n--)
			;
	for (i = 0; i < n; i++)
		buf[i] = (s[i] >= ' ' && s[i] <= '~') ||
		    (has_lines && s[i] == '\n') ? s[i] : '?';
	buf[n] = '\0';
}

int
tlsrpt_said_put(char *buf, size_t len, size_t *at,
    const struct tlsrpt_said *said)
{
	char policy[LIM_TLSRPT_POLICY + 1], reason[LIM_TLSRPT_REASON + 1];
	struct tlsrpt_said s = *said;
	const char *const texts[NTEXTS] = { s.domain, s.policy_domain, policy,
		s.mx_host, s.sending_ip, s.receiving_ip, reason };
	size_t i, need = HEAD;
	char *p;

	clean(policy, s.policy, LIM_TLSRPT_POLICY, true);
	clean(reason, s.reason, LIM_TLSRPT_REASON, false);
	s.policy = policy;
	s.reason = reason;
	if (!is_good(&s)) {
		errno = EINVAL;
		return -1;
	}
	for (i = 0; i < NTEXTS; i++)
		need += strlen(texts[i]) + 1;
	if (len - *at < need) {
		errno = ENOSPC;
		return -1;
	}
	p = buf + *at;
	*p++ = (char)s.type;
	*p++ = (char)s.result;
	p = mempcpy(p, &s.sessions, sizeof(s.sessions));
	for (i = 0; i < NTEXTS; i++)
		p = stpcpy(p, texts[i]) + 1;
	*at += need;
	return 0;
}

int
tlsrpt_said_next(const char *buf, size_t len, size_t *at,
    struct tlsrpt_said *s)
{
	const char **const texts[NTEXTS] = { &s->domain, &s->policy_domain,
		&s->policy, &s->mx_host, &s->sending_ip, &s->receiving_ip,
		&s->reason };
	const char *p = buf + *at, *end = buf + len, *nul;
	size_t i;

	if (p == end)
		return 0;
	if ((size_t)(end - p) < HEAD)
		return -1;
	s->type = (unsigned char)p[0];
	s->result = (unsigned char)p[1];
	memcpy(&s->sessions, p + 2, sizeof(s->sessions));
	p += HEAD;
	for (i = 0; i < NTEXTS; i++) {
		if ((nul = memchr(p, '\0', (size_t)(end - p))) == NULL)
			return -1;
		*texts[i] = p;
		p = nul + 1;
	}
	if (!is_good(s))
		return -1;
	*at = (size_t)(p - buf);
	return 1;
}

/* The Received field that each message gets, RFC 5321 4.4, RFC 3848, RFC 6531.
 * Owns: its form, and the form of dates (RFC 5322 3.3).
 * Pure: the time comes from the caller, zone +0000. */

#include "proto/parse/esmtp_received.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/lim.h"
#include "core/util/idna.h"
#include "core/util/utf8.h"

#define LINE_MAX_OCTETS	998	/* without CRLF; RFC 5322 2.1.1 */

struct text {
	char	*p;
	size_t	 n;
};

static void
put(struct text *t, const char *s)
{
	size_t len = strlen(s);

	memcpy(t->p + t->n, s, len);
	t->n += len;
}

/* Text of a client: at most ${max} octets, and of those only the ones that
 * ${others} allows beside letters and digits. */
static void
put_foreign(struct text *t, const char *s, size_t max, const char *others)
{
	size_t i;

	for (i = 0; i < max && s[i] != '\0'; i++) {
		char c = s[i];
		bool is_alnum = (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		t->p[t->n++] = is_alnum || strchr(others, c) != NULL ? c : '?';
	}
}

/* The same of a domain, or of an address, in a message that may be UTF-8.  RFC 6531
 * 3.7.3: its domain SHOULD have U-labels; it has A-labels where the name would be
 * longer than one can be. */
static void
put_utf8(struct text *t, const char *s, size_t max, const char *others)
{
	const char *at = strrchr(s, '@');
	size_t i, n, len, local = at == NULL ? 0 : (size_t)(at + 1 - s);
	char name[LIM_PATH + 1];

	if (local <= max && idna_unicode(s + local, strlen(s + local),
	    name + local, max + 1 - local) != -1) {
		memcpy(name, s, local);
		s = name;
	}
	len = strnlen(s, max);
	for (i = 0; i < len; i += n) {
		n = (unsigned char)s[i] >= 0x80 ? utf8_visible(s + i, len - i) :
		    0;
		if (n > 0)
			memcpy(t->p + t->n, s + i, n);
		t->n += n;
		if (n == 0)
			put_foreign(t, s + i, n = 1, others);
	}
}

static void
put_name(struct text *t, const char *s, size_t max, const char *others,
    bool is_utf8)
{
	if (is_utf8)
		put_utf8(t, s, max, others);
	else
		put_foreign(t, s, max, others);
}

static char *
put_number(char *p, unsigned int value, int digits)
{
	int i;

	for (i = digits - 1; i >= 0; i--, value /= 10)
		p[i] = (char)('0' + value % 10);
	return p + digits;
}

/* Days since 1970-01-01 to a date of the Gregorian calendar: the year is
 * counted from March, so that the leap day is its last. */
static void
civil(int64_t days, int64_t *year_r, unsigned int *month_r,
    unsigned int *day_r)
{
	int64_t z = days + 719468;		/* since 0000-03-01 */
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned int doe = (unsigned int)(z - era * 146097);
	unsigned int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) /
	    365;
	unsigned int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned int mp = (5 * doy + 2) / 153;

	*day_r = doy - (153 * mp + 2) / 5 + 1;
	*month_r = mp < 10 ? mp + 3 : mp - 9;
	*year_r = (int64_t)yoe + era * 400 + (*month_r <= 2);
}

void
esmtp_date_format(time_t seconds, char buf[ESMTP_DATE_MAX])
{
	static const char names[] = "ThuFriSatSunMonTueWed";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t secs = seconds < 0 ? 0 : seconds;
	int64_t days = secs / 86400, year;
	unsigned int rest = (unsigned int)(secs % 86400), month, day;
	char *p = buf;

	civil(days, &year, &month, &day);
	memcpy(p, names + days % 7 * 3, 3);
	memcpy(p + 3, ", ", 2);
	p = put_number(p + 5, day, 2);
	*p++ = ' ';
	memcpy(p, months + (month - 1) * 3, 3);
	p[3] = ' ';
	p = put_number(p + 4, (unsigned int)(year % 10000), 4);
	*p++ = ' ';
	p = put_number(p, rest / 3600, 2);
	*p++ = ':';
	p = put_number(p, rest / 60 % 60, 2);
	*p++ = ':';
	p = put_number(p, rest % 60, 2);
	memcpy(p, " +0000", 7);
}

/* TLS and the login, as a comment after the client's name. */
static void
put_tls(struct text *t, const struct esmtp_received *r)
{
	char bits[8];

	put(t, "\r\n\t(");
	put_foreign(t, r->tls_protocol, LIM_NAME, ".-_");
	put(t, " ");
	put_foreign(t, r->tls_cipher, LIM_NAME, ".-_");
	put(t, " ");
	*put_number(bits, (unsigned int)r->tls_bits, 3 + (r->tls_bits > 999))
	    = '\0';
	put(t, bits[0] == '0' ? bits + 1 : bits);
	put(t, r->tls_is_resumed ? " bits, resumed" : " bits");
	if (r->tls_peer != NULL) {
		put(t, ", client ");
		put_foreign(t, r->tls_peer, LIM_DOMAIN, "!#$%&'*+-/=?^_`{|}~.@");
	}
	put(t, ")");
}

/* RFC 5321 4.1.3, 4.4: TCP-info holds an address-literal, which a name may precede.
 * Who has come through a Unix socket has none: then it is the comment that CFWS
 * allows behind the name (RFC 5322 3.2.2). */
static void
put_client(struct text *t, const struct esmtp_received *r)
{
	char local[sizeof("local uid 4294967295")];

	put(t, " (");
	if (r->peer_name != NULL) {
		put_foreign(t, r->peer_name, LIM_DOMAIN, ".-_");
		put(t, " ");
	}
	if (r->is_local) {
		snprintf(local, sizeof(local), "local uid %" PRIu32, r->uid);
		put(t, local);
	} else {
		put(t, strchr(r->peer, ':') != NULL ? "[IPv6:" : "[");
		put(t, r->peer);
		put(t, "]");
	}
	put(t, ")");
}

/* RFC 3848, RFC 6531 4.3: what "with" says; HELO has no variants. */
static const char *
protocol(const struct esmtp_received *r)
{
	static const char *const names[4][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
		{ { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
		{ { "LMTP", "LMTPA" }, { "LMTPS", "LMTPSA" } },
		{ { "UTF8LMTP", "UTF8LMTPA" }, { "UTF8LMTPS", "UTF8LMTPSA" } }
	};

	return r->is_esmtp || r->is_lmtp ?
	    names[2 * r->is_lmtp + r->is_utf8][r->tls_protocol != NULL]
	    [r->is_auth] : "SMTP";
}

/* RFC 3865 2.6: a comment behind the protocol.  It has no blanks; a list that a line
 * has no room for is folded behind a comma all the same, and a class that none
 * has room for is left out. */
static void
put_solicit(struct text *t, const char *list)
{
	size_t line = t->n + 2, n;

	put(t, "\r\n\t(SOLICIT=");
	while (*list != '\0') {
		n = strcspn(list, ",");
		n += list[n] == ',';
		if (n + 2 <= LINE_MAX_OCTETS) {
			if (t->n + n + 1 - line > LINE_MAX_OCTETS) {
				put(t, "\r\n\t");
				line = t->n - 1;
			}
			put_foreign(t, list, n, ".-_:,");
		}
		list += n;
	}
	put(t, ")");
}

/* RFC 6710 7: a clause of its own, behind those of RFC 5321 */
static void
put_priority(struct text *t, int priority)
{
	const char digit[] = { (char)('0' + abs(priority) % 10), '\0' };

	put(t, "\r\n\tPRIORITY ");
	put(t, priority < 0 ? "-" : "");
	put(t, digit);
}

size_t
esmtp_received_format(const struct esmtp_received *r,
    char buf[ESMTP_RECEIVED_MAX])
{
	struct text t = { buf, 0 };
	char date[ESMTP_DATE_MAX];

	put(&t, "Received: from ");
	if (r->helo != NULL)
		put_foreign(&t, r->helo, LIM_DOMAIN, ".-_:[]");
	else
		put(&t, "unknown");
	put_client(&t, r);
	if (r->tls_protocol != NULL)
		put_tls(&t, r);
	if (r->login != NULL) {
		put(&t, "\r\n\t(authenticated as ");
		put_foreign(&t, r->login, LIM_DOMAIN,
		    "!#$%&'*+-/=?^_`{|}~.@ ");
		put(&t, ")");
	}
	put(&t, "\r\n\tby ");
	put_name(&t, r->by, LIM_DOMAIN, ".-_:[]", r->is_utf8);
	put(&t, " (mailmill) with ");
	put(&t, protocol(r));
	if (r->solicit != NULL)
		put_solicit(&t, r->solicit);
	put(&t, r->solicit != NULL ? "\r\n\tid " : " id ");
	put_foreign(&t, r->id, LIM_NAME, ".-_");
	if (r->rcpt != NULL) {
		put(&t, "\r\n\tfor <");
		put_name(&t, r->rcpt, LIM_PATH,
		    "!#$%&'*+-/=?^_`{|}~.@\"\\ :[](),;<>", r->is_utf8);
		put(&t, ">");
	}
	if (r->has_priority)
		put_priority(&t, r->priority);
	put(&t, r->rcpt != NULL || r->has_priority ? "; " : ";\r\n\t");
	esmtp_date_format(r->seconds, date);
	put(&t, date);
	put(&t, "\r\n");
	return t.n;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

size_t
esmtp_received_own(const char *text, size_t len,
    char buf[ESMTP_RECEIVED_OWN_MAX])
{
	static const char name[] = "Received:";
	const char *end;
	struct text t = { buf, 0 };
	size_t line = 0;

	if (len >= sizeof(name) - 1 &&
	    strncasecmp(text, name, sizeof(name) - 1) == 0) {
		text += sizeof(name) - 1;
		len -= sizeof(name) - 1;
	}
	for (end = text + len; end > text && is_blank(end[-1]); end--)
		continue;
	for (; text < end && is_blank(*text); text++)
		continue;
	if (text == end)
		return 0;
	put(&t, name);
	put(&t, " ");
	while (text < end) {
		if (*text == '\r' || *text == '\n') {
			put(&t, "\r\n\t");
			line = t.n - 1;
			while (is_blank(*text))
				text++;
		}
		buf[t.n++] = (*text < ' ' && *text != '\t') || *text > 126 ?
		    '?' : *text;
		text++;
		/* and room for a fold and the end */
		if (t.n - line > LINE_MAX_OCTETS ||
		    t.n > ESMTP_RECEIVED_OWN_MAX - 6)
			return 0;
	}
	put(&t, "\r\n");
	return t.n;
}

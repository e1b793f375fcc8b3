/* MAIL and RCPT with their parameters, and what a message needs of the server.
 * Owns: which of the envelope's wishes are told to which server.
 * Knows nothing of when they are sent. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/util/utf8.h"
#include "proto/client/smtp_client_int.h"
#include "proto/mailaddr.h"
#include "proto/parse/xtext.h"

#define BY_MAX	INT64_C(999999999)	/* seconds; RFC 2852 4: nine digits */

/* What is written of a command. */
struct text {
	char	*buf;
	size_t	 len, size;
	bool	 is_bad;	/* it did not fit, or may not be sent: */
	int	 error;		/* what end() sets; 0: EINVAL */
};

static void __attribute__((format(printf, 2, 3)))
add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->size - t->len)
		t->is_bad = true;
	else
		t->len += (size_t)n;
}

static bool
has(const struct smtp_client *c, unsigned int bit)
{
	return smtp_ehlo_has(&c->ehlo, bit);
}

static bool
needs(const struct smtp_client *c, unsigned int flag)
{
	return (c->txn.m.env->flags & flag) != 0;
}

/* The address in its angle brackets.  It is read as a server would: nothing
 * that an envelope holds can end the path, or the line. */
static void
add_path(struct text *t, const char *address, unsigned int flags)
{
	struct mailaddr a;
	size_t at = t->len, i;

	add(t, "<%s>", address);
	if (t->is_bad)
		return;
	for (i = at; i < t->len; i++)
		if ((unsigned char)t->buf[i] < ' ' || t->buf[i] == 0x7f) {
			t->is_bad = true;
			return;
		}
	if (mailaddr_parse(t->buf + at, t->len - at, flags |
	    MAILADDR_ALLOW_LITERAL | MAILADDR_ALLOW_LONG |
	    MAILADDR_ALLOW_DOTS | MAILADDR_ALLOW_UTF8, &a) !=
	    (int)(t->len - at)) {
		t->is_bad = true;
		t->error = errno == ENOMEM ? ENOMEM : EINVAL;
	}
}

/* Octets of the command; 0 with errno. */
static size_t
end(struct text *t)
{
	add(t, "\r\n");
	if (t->is_bad)
		errno = t->error != 0 ? t->error : EINVAL;
	return t->is_bad ? 0 : t->len;
}

/* A parameter that no server could read.  It is not left out: the sender has
 * asked for it. */
static void
bad_parameter(struct text *t)
{
	if (t->is_bad)
		return;
	t->is_bad = true;
	t->error = EBADMSG;
}

/* At most ${max} octets, as they are sent. */
static void
add_xtext(struct text *t, const char *s, bool is_utf8, size_t max)
{
	size_t len = strlen(s), room = t->size - t->len - 1;
	ssize_t n;

	if (t->is_bad)
		return;
	/* RFC 3461 4.2, 4.4: what is decoded is printable */
	if (len == 0 || (!is_utf8 && !xtext_is_printable(s, len))) {
		bad_parameter(t);
		return;
	}
	n = (is_utf8 ? xtext_encode_utf8 : xtext_encode)(s, len,
	    t->buf + t->len, room < max ? room : max);
	if (n == -1)
		bad_parameter(t);
	else
		t->len += (size_t)n;
}

/* RFC 8689 4.2.1: inside TLS, with the server that it should be, and that
 * promises the same for the rest of the way. */
bool
smtp_client_keeps_tls(const struct smtp_client *c)
{
	return has(c, SMTP_HAS(REQUIRETLS)) && smtp_is_verified(c);
}

/* RFC 3461 4.3, 4.4; RFC 6710 4; RFC 8689 2; RFC 2852 4.  What the server does
 * not know is left out: RFC 3461 5.2.2 and RFC 6710 5 say so. */
static void
add_wishes(const struct smtp_client *c, struct text *t)
{
	const struct spool_envelope *env = c->txn.m.env;
	int64_t by = env->deliver_by - c->now / MOMENT_S;

	if (has(c, SMTP_HAS(DSN)) && (env->flags & SPOOL_ENV_RET_FULL))
		add(t, " RET=FULL");
	if (has(c, SMTP_HAS(DSN)) && (env->flags & SPOOL_ENV_RET_HDRS))
		add(t, " RET=HDRS");
	if (has(c, SMTP_HAS(DSN)) && env->envid != NULL) {
		add(t, " ENVID=");
		add_xtext(t, env->envid, false, LIM_ENVID);
	}
	if (needs(c, SPOOL_ENV_REQUIRETLS) && smtp_client_keeps_tls(c))
		add(t, " REQUIRETLS");
	if (has(c, SMTP_HAS(MT_PRIORITY)) && env->priority != 0)
		add(t, " MT-PRIORITY=%d", env->priority);
	if (has(c, SMTP_HAS(DELIVERBY)) && env->deliver_by != 0) {
		by = by > BY_MAX ? BY_MAX : by < -BY_MAX ? -BY_MAX : by;
		add(t, " BY=%lld;%c%s", (long long)by,
		    needs(c, SPOOL_ENV_BY_RETURN) ? 'R' : 'N',
		    needs(c, SPOOL_ENV_BY_TRACE) ? "T" : "");
	}
}

size_t
smtp_mail(const struct smtp_client *c, char *buf, size_t size)
{
	const struct smtp_message *m = &c->txn.m;
	struct text t = { .buf = buf, .size = size };

	add(&t, "MAIL FROM:");
	add_path(&t, m->env->sender, MAILADDR_ALLOW_NULL);
	/* RFC 1870 6.3: not less than it will be, which nobody knows */
	if (has(c, SMTP_HAS(SIZE)) && m->octets > 0 && !c->txn.is_converted)
		add(&t, " SIZE=%llu", (unsigned long long)m->octets);
	if (c->txn.is_binary)
		add(&t, " BODY=BINARYMIME");
	else if (c->txn.is_8bit)
		add(&t, " BODY=8BITMIME");
	if (needs(c, SPOOL_ENV_SMTPUTF8))
		add(&t, " SMTPUTF8");
	add_wishes(c, &t);
	return end(&t);
}

/* RFC 3461 4.1: NEVER stands alone. */
static void
add_notify(struct text *t, unsigned int notify)
{
	static const struct { unsigned int flag; const char *word; } words[] = {
		{ SPOOL_NOTIFY_SUCCESS, "SUCCESS" },
		{ SPOOL_NOTIFY_FAILURE, "FAILURE" },
		{ SPOOL_NOTIFY_DELAY, "DELAY" },
	};
	const char *before = " NOTIFY=";
	size_t i;

	if (notify & SPOOL_NOTIFY_NEVER) {
		add(t, "%sNEVER", before);
		return;
	}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (notify & words[i].flag) {
			add(t, "%s%s", before, words[i].word);
			before = ",";
		}
}

/* RFC 3461 4.2: addr-type ";" xtext; RFC 6533 3 has another form for the type
 * "utf-8", in ASCII up to four times as long. */
static void
add_orcpt(struct text *t, const char *orcpt)
{
	size_t type = strcspn(orcpt, ";");

	if (orcpt[type] == '\0' || !xtext_is_type(orcpt, type)) {
		bad_parameter(t);
		return;
	}
	add(t, " ORCPT=%.*s;", (int)type, orcpt);
	add_xtext(t, orcpt + type + 1, type == strlen("utf-8") &&
	    strncasecmp(orcpt, "utf-8", type) == 0, t->size);
}

size_t
smtp_rcpt(const struct smtp_client *c, size_t i, char *buf, size_t size)
{
	const struct spool_envelope *env = c->txn.m.env;
	struct text t = { .buf = buf, .size = size };

	add(&t, "RCPT TO:");
	add_path(&t, env->rcpts[i], MAILADDR_ALLOW_POSTMASTER);
	if (has(c, SMTP_HAS(DSN)) && env->notify != NULL)
		add_notify(&t, env->notify[i]);
	if (has(c, SMTP_HAS(DSN)) && env->orcpts != NULL &&
	    env->orcpts[i] != NULL)
		add_orcpt(&t, env->orcpts[i]);
	return end(&t);
}

bool
smtp_is_verified(const struct smtp_client *c)
{
	return c->is_tls && c->ops->tls_is_verified != NULL &&
	    c->ops->tls_is_verified(c->host,
	    (struct smtp_client *)(uintptr_t)c);
}

/* RFC 2852 4: with mode R a message is not relayed to a server that could not
 * return it in time. */
static bool
is_too_late(const struct smtp_client *c)
{
	const struct spool_envelope *env = c->txn.m.env;
	int64_t by = env->deliver_by - c->now / MOMENT_S;

	return env->deliver_by != 0 && needs(c, SPOOL_ENV_BY_RETURN) &&
	    (by <= 0 || !has(c, SMTP_HAS(DELIVERBY)) || by < c->ehlo.by_min);
}

enum smtp_why
smtp_lacks_of_body(const struct smtp_client *c)
{
	/* RFC 3030 3: binary messages are sent with BDAT alone */
	if (needs(c, SPOOL_ENV_BINARYMIME))
		return has(c, SMTP_HAS(BINARYMIME)) &&
		    has(c, SMTP_HAS(CHUNKING)) ? SMTP_NWHYS : SMTP_WHY_BINARY;
	return needs(c, SPOOL_ENV_8BITMIME) && !has(c, SMTP_HAS(8BITMIME)) ?
	    SMTP_WHY_8BIT : SMTP_NWHYS;
}

enum smtp_why
smtp_lacks(const struct smtp_client *c)
{
	const struct smtp_message *m = &c->txn.m;
	enum smtp_why why = smtp_lacks_of_body(c);

	/* RFC 8689 5: a report is not lost because the way back has no REQUIRETLS */
	if (needs(c, SPOOL_ENV_REQUIRETLS) && !smtp_client_keeps_tls(c) &&
	    m->env->sender[0] != '\0')
		return SMTP_WHY_REQUIRETLS;
	if (needs(c, SPOOL_ENV_SMTPUTF8) && !has(c, SMTP_HAS(SMTPUTF8)))
		return SMTP_WHY_UTF8;
	if (!needs(c, SPOOL_ENV_SMTPUTF8) &&
	    !utf8_is_ascii(m->env->sender, strlen(m->env->sender)))
		return SMTP_WHY_UTF8_ADDRESS;
	if (why != SMTP_NWHYS && !c->options.may_convert)
		return why;
	/* RFC 1870 6.1 */
	if (c->ehlo.size_max > 0 && m->octets > c->ehlo.size_max)
		return SMTP_WHY_SIZE;
	if (is_too_late(c))
		return SMTP_WHY_BY;
	return SMTP_NWHYS;
}

enum smtp_why
smtp_lacks_of_rcpt(const struct smtp_client *c, size_t i)
{
	const char *address = c->txn.m.env->rcpts[i];

	return !needs(c, SPOOL_ENV_SMTPUTF8) &&
	    !utf8_is_ascii(address, strlen(address)) ?
	    SMTP_WHY_UTF8_ADDRESS : SMTP_NWHYS;
}

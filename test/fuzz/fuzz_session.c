/* A session: options, a line each, up to an empty line; then octets, among which
 * 0xf5, which is in no UTF-8, and a letter do something:
 *	P	wait for the replies		F n	fragments of n octets
 *	T n	n * n seconds pass		W n	the client reads so many octets
 *	H C R	half-close, close, reset	D n	the server drains
 *	E n	a fault of the spool		A n	a policy is asked, and waits
 *	a	it answers			L	lookups are answered later
 *	S n	the client begins TLS		r	it sends past its TLS; and no more
 *	f n	records in pieces of n octets	X i n	octet i of its next one changes
 *	K n	it asks for new keys; n odd: says close_notify
 *	G n	signatures take time, or are not made; g n: now they are, n odd: never
 *	U n	how logins are answered		N	another client comes instead
 *	v n	the verb of verb.h has its answer	e n	commits end otherwise for two recipients
 *	M	a message by DATA: up to the next 0xf5
 *	B n	a chunk by BDAT: the same; n odd: LAST
 * If nothing else is under way, the harness knows what is a message: it gets one
 * reply (LMTP: one for each recipient), at its end alone, and a command behind
 * it gets its own.  So nothing of a message has been run. */

#include "test/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/esmtp_options.h"
#include "test/fuzz/client.h"
#include "test/fuzz/verb.h"
#include "test/lib/simmsg.h"

#define MARK		0xf5
#define TEXT_MAX	8192

struct run {
	struct fuzz_client	 c;
	struct fuzz_input	 in;
	bool			 is_disturbed;	/* replies may come late, or not */
};

/* What is left up to the next mark. */
static const char *
stretch(struct run *r, size_t *len_r)
{
	const uint8_t *s = r->in.p, *end;

	end = r->in.left > 0 ? memchr(s, MARK, r->in.left) : NULL;
	*len_r = end == NULL ? r->in.left : (size_t)(end - s);
	r->in.p += *len_r;
	r->in.left -= *len_r;
	return (const char *)s;
}

/* Octets of ${s} before the end of data in it (RFC 5321 4.1.1.4), ${len} if
 * there is none: what is sent of it does not end the message. */
static size_t
without_end(const char *s, size_t len)
{
	bool is_start = true;
	size_t i;

	for (i = 0; i < len; i++) {
		if (is_start && len - i >= 3 && memcmp(s + i, ".\r\n", 3) == 0)
			return i;
		is_start = s[i] == '\n' && i > 0 && s[i - 1] == '\r';
	}
	return len;
}

/* The same message, as RFC 5321 4.5.2 says: without the dots that begin a line. */
static size_t
unstuffed(const char *s, size_t len, char *out)
{
	bool is_start = true;
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (!is_start || s[i] != '.')
			out[n++] = s[i];
		is_start = s[i] == '\n' && i > 0 && s[i - 1] == '\r';
	}
	return n;
}

/* With options that change nothing in a message, the spool has that one. */
static void
check_stored(struct run *r, const char *s, size_t len)
{
	const struct esmtp_options *o = &r->c.h->options;
	const struct spool_msg *m = r->c.h->spool.msgs;
	char text[TEXT_MAX], want[TEXT_MAX + 2];
	const char *why = NULL;
	size_t n, header;

	if (o->kind != ESMTP_KIND_SMTP || !o->trace_headers ||
	    o->lone_lf_in_body != ESMTP_LF_IGNORE || o->lone_lf_in_headers >
	    ESMTP_HEADER_LF_FIRST || o->max_line_length != ESMTP_LINE_IGNORE ||
	    o->date_header != 0 || o->messageid_header != 0 || len >= TEXT_MAX)
		return;
	n = unstuffed(s, len, text);
	n = simmsg_expect(text, n, want);
	FUZZ_HOLDS(m != NULL && m->state == SIMSPOOL_SAFE);
	header = simmsg_strip_received(m, &why);
	FUZZ_HOLDS(header > 0);
	FUZZ_HOLDS(m->len - header == n &&
	    memcmp(m->body + header, want, n) == 0);
}

/* The replies to the end of a message have come, and the session is as before. */
static void
check_answered(struct run *r)
{
	struct fuzz_client *c = &r->c;

	if (!client_is_open(c))
		return;
	FUZZ_HOLDS(c->begun == 0);
	FUZZ_HOLDS(c->nreplies == 1 || (c->nreplies > 1 &&
	    c->h->options.kind == ESMTP_KIND_LMTP));
	FUZZ_HOLDS(client_is_idle(c) || !client_is_open(c));
}

static void
message(struct run *r)
{
	/* an octet first, which makes no end of what is there */
	static const char end[] = "x\r\n.\r\n";
	struct fuzz_client *c = &r->c;
	size_t len;
	const char *s = stretch(r, &len);

	if (r->is_disturbed || !client_is_idle(c)) {
		client_send(c, "DATA\r\n", 6);
		client_send(c, s, len);
		return;
	}
	if (client_ask(c, "DATA\r\n") != 354)
		return;
	len = without_end(s, len);
	c->nreplies = c->naccepted = 0;
	client_send(c, s, len);
	client_settle(c);
	/* there may be a reason to close, but nothing has been done */
	FUZZ_HOLDS(c->naccepted == 0);
	if (!client_is_open(c))
		return;
	FUZZ_HOLDS(c->nreplies == 0);
	client_send(c, end, sizeof(end) - 1);
	client_settle(c);
	if (client_is_open(c) && c->nreplies == 1 && c->code == 250) {
		char text[TEXT_MAX + 3];

		if (len < TEXT_MAX) {
			memcpy(text, s, len);
			memcpy(text + len, end, 3);
			check_stored(r, text, len + 3);
		}
	}
	check_answered(r);
}

static void
chunk(struct run *r)
{
	struct fuzz_client *c = &r->c;
	bool is_last = fuzz_octet(&r->in) & 1;
	char line[40];
	size_t len;
	const char *s = stretch(r, &len);
	bool is_clear = !r->is_disturbed && client_is_idle(c) &&
	    c->h->options.smtp_extensions.n == 0;

	snprintf(line, sizeof(line), "BDAT %zu%s\r\n", len,
	    is_last ? " LAST" : "");
	c->nreplies = 0;
	client_say(c, line);
	client_send(c, s, len);
	client_settle(c);
	if (is_clear)
		check_answered(r);
}

static void
spool_fault(struct run *r, uint8_t n)
{
	static const int errors[] = { 0, ENOSPC, EIO, EDQUOT };
	struct simspool *sp = &r->c.h->spool;
	int error = errors[n / 8 % 4];

	switch (n % 8) {
	case 0:
		sp->begin_errno = error;
		break;
	case 1:
		sp->append_errno = error;
		sp->append_after = n;
		break;
	case 2:
		sp->refuse_errno = error;
		break;
	case 3:
		sp->commit_errno = error;
		break;
	case 4:
		sp->commit_delay_us = UINT64_C(100000) * n;
		r->is_disturbed = true;
		break;
	case 5:
		sp->is_held = true;
		r->is_disturbed = true;
		break;
	case 6:
		simspool_release(sp);
		break;
	default:
		simspool_set_room(sp, (size_t)n * n);
		r->is_disturbed = true;
	}
}

static void
policy(struct run *r, uint8_t n)
{
	struct simpolicy *p = &r->c.h->policy;

	p->mode[n % VALIDATE_NPHASES] = n & 0x80 ? SIMPOLICY_HOLD :
	    SIMPOLICY_DENY;
	p->code = n & 0x40 ? 550 : n & 0x20 ? 451 : 421;
	strlcpy(p->text, "5.7.1 Policy", sizeof(p->text));
	if (n & 0x80)
		r->is_disturbed = true;
}

/* Of the client. */
static bool
wire(struct run *r, uint8_t op)
{
	struct fuzz_client *c = &r->c;
	uint64_t n;

	switch (op) {
	case 'P':
		return true;
	case 'F':
		c->fragment = fuzz_octet(&r->in);
		return true;
	case 'T':
		n = fuzz_octet(&r->in);
		simhost_advance(c->h, n * n * 1000000);
		return true;
	case 'W':
		c->s->wire->window = (size_t)fuzz_octet(&r->in) * 8;
		r->is_disturbed = true;
		return true;
	case 'H':
		if (client_is_open(c))
			simwire_half_close(c->s->wire);
		return true;
	case 'C':
		if (client_is_open(c))
			simwire_close(c->s->wire);
		return true;
	case 'R':
		if (client_is_open(c))
			simwire_reset(c->s->wire);
		return true;
	default:
		return false;
	}
}

static void
signatures(struct run *r, uint8_t n)
{
	static const enum simtls_signing how[] = { SIMTLS_SIGNS, SIMTLS_SIGNS,
		SIMTLS_HOLDS, SIMTLS_REFUSES };

	simtls_sign(how[n % 4], UINT64_C(100000) * (n / 4));
	r->is_disturbed = true;
}

/* Of its TLS. */
static bool
tls(struct run *r, uint8_t op)
{
	struct fuzz_client *c = &r->c;

	switch (op) {
	case 'S':
		client_secure(c, fuzz_octet(&r->in));
		return true;
	case 'r':
		c->is_raw = !c->is_raw;
		r->is_disturbed = true;
		return true;
	case 'f':
		c->record = fuzz_octet(&r->in);
		return true;
	case 'X':
		c->damage_at = fuzz_octet(&r->in);
		c->damage = fuzz_octet(&r->in);
		return true;
	case 'K':
		if (fuzz_octet(&r->in) & 1) {
			client_finish(c);
			r->is_disturbed = true;
		} else
			client_rekey(c);
		return true;
	case 'G':
		signatures(r, fuzz_octet(&r->in));
		return true;
	case 'g':
		if (fuzz_octet(&r->in) & 1)
			simtls_break();
		else
			simtls_release();
		return true;
	default:
		return false;
	}
}

static void
logins(struct run *r, uint8_t n)
{
	static const char *const how[] = { "ok", "delay", "hold", "release",
		"mute", "unreachable", "later", "blocked", "malformed" };

	(void)simauth_set(r->c.h, how[n % 9], n / 9);
	r->is_disturbed = true;
}

static void
answers(struct run *r, uint8_t n)
{
	static const int codes[] = { 0, 250, 252, 354, 421, 450, 550, 99 };

	verb_answer(&r->c.h->host, codes[n % 8]);
}

/* LMTP has a reply for each recipient. */
static void
commits(struct run *r, uint8_t n)
{
	static const char *const rcpts[] = { "alice@example.test",
		"bob@example.test" };
	static const int codes[] = { 0, 451, 550, 452 };
	struct simspool *sp = &r->c.h->spool;
	size_t i;

	for (i = 0; i < 2; i++) {
		strlcpy(sp->of_rcpt[i].addr, rcpts[i],
		    sizeof(sp->of_rcpt[i].addr));
		strlcpy(sp->of_rcpt[i].text, "x", sizeof(sp->of_rcpt[i].text));
		sp->of_rcpt[i].code = codes[n >> 2 * i & 3];
	}
	sp->nof_rcpt = n & 0x80 ? 0 : 2;
}

static void
another(struct run *r)
{
	if (r->c.h->host.is_draining)
		return;
	client_leave(&r->c);
	client_connect(&r->c);
	client_settle(&r->c);
}

static void
step(struct run *r)
{
	struct simhost *h = r->c.h;
	uint8_t op = fuzz_octet(&r->in);

	if (op != 'M' && op != 'B')
		client_settle(&r->c);
	if (wire(r, op) || tls(r, op)) {
		client_settle(&r->c);
		return;
	}
	switch (op) {
	case 'D':
		simhost_drain(h, fuzz_octet(&r->in) & 1);
		break;
	case 'E':
		spool_fault(r, fuzz_octet(&r->in));
		break;
	case 'A':
		policy(r, fuzz_octet(&r->in));
		break;
	case 'a':
		simpolicy_release(h);
		break;
	case 'L':
		h->is_lookup_later = true;
		break;
	case 'U':
		logins(r, fuzz_octet(&r->in));
		break;
	case 'N':
		another(r);
		break;
	case 'v':
		answers(r, fuzz_octet(&r->in));
		break;
	case 'e':
		commits(r, fuzz_octet(&r->in));
		break;
	case 'M':
		message(r);
		break;
	case 'B':
		chunk(r);
		break;
	default:
		break;
	}
}

void
fuzz_session(const uint8_t *data, size_t len)
{
	struct run r = { .in = { data, len } };
	const char *s;
	size_t n;

	client_init(&r.c);
	while (s = fuzz_line(&r.in, &n), n > 0)
		client_option(&r.c, s, n);
	client_connect(&r.c);
	while (r.in.left > 0) {
		s = stretch(&r, &n);
		client_send(&r.c, s, n);
		if (r.in.left > 0) {
			fuzz_octet(&r.in);
			step(&r);
		}
	}
	client_settle(&r.c);
	client_end(&r.c);
}

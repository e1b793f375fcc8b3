/* A next hop that says anything, in any fragments, to a client with any
 * options: the client ends, and each recipient has one outcome
 * (test/lib/simhop.h checks that). The first octets choose the options and
 * messages; each piece of the rest is what the server says next, its first
 * octet says how. */

#include "test/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/scheduler.h"
#include "proto/client/smtp_reply.h"
#include "test/lib/simhop.h"

#define START_US	UINT64_C(1790000000000000)
#define END_US		UINT64_C(40000000000)	/* longer than a client waits for anything */

static struct simclock clock_;
static struct simnet net;
static struct scheduler *sched;
static struct simhop hop;

static void
violation(void *, const char *text)
{
	fuzz_broken("simhop", 0, text);
}

/* The reader alone: octet by octet it reads what it reads at once. */
static void
read_twice(const char *buf, size_t len)
{
	struct smtp_reader a, b;
	enum smtp_read whole = SMTP_READ_MORE, one = SMTP_READ_MORE;
	size_t at = 0, used, i;

	smtp_reader_init(&a);
	smtp_reader_init(&b);
	while (at < len && whole != SMTP_READ_BAD) {
		whole = smtp_reader_next(&a, buf + at, len - at, &used);
		FUZZ_HOLDS(used > 0 && used <= len - at);
		for (i = 0; i < used; i++) {
			one = smtp_reader_next(&b, buf + at + i, 1,
			    &(size_t){ 0 });
			FUZZ_HOLDS(i + 1 == used || one == SMTP_READ_MORE);
		}
		at += used;
		FUZZ_HOLDS(one == whole);
		FUZZ_HOLDS(a.reply.code == b.reply.code);
		FUZZ_HOLDS(strcmp(a.reply.words, b.reply.words) == 0);
		FUZZ_HOLDS(strcmp(a.reply.enhanced, b.reply.enhanced) == 0);
		FUZZ_HOLDS(whole != SMTP_READ_BAD ||
		    smtp_reader_why(&a)[0] != '\0');
	}
}

static void
choose(struct fuzz_input *in)
{
	static const char *const mechanisms[][4] = {
		{ "PLAIN", "LOGIN", "SCRAM-SHA-256", NULL },
		{ "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256-PLUS",
		    "SCRAM-SHA-1-PLUS" },
		{ "PLAIN", "LOGIN", "SCRAM-SHA-256", NULL }
	};
	struct smtp_client_options *o = &hop.options;
	unsigned int a = fuzz_octet(in), b = fuzz_octet(in), i;
	struct simhop_message *m;

	o->is_lmtp = a & 1;
	o->is_bdat_preferred = a & 2;
	o->may_login_clear = a & 4;
	o->may_convert = b & 8;
	o->tls = (enum smtp_tls_use)(a >> 3 & 3);
	o->login = (enum smtp_login_use)((a >> 5) % 3);
	hop.has_tls = o->tls != SMTP_TLS_NEVER;
	hop.login = mechanisms[(a >> 5) / 3][b & 3];
	hop.binding = "bound";
	hop.nonce = "x";
	hop.is_login_late = b & 4;
	hop.is_last = b & 8;
	hop.read_max = b & 16 ? 3 : SIZE_MAX;
	for (i = 0; i <= (b >> 5 & 3); i++) {
		m = simhop_add(&hop, i == 1 ? "" : "a@client.example", i == 2 ?
		    "bob@example.test" : "bob@example.test,carol@other.test,"
		    "dan@example.test", "one\n.\r\ntwo\r\n", 12);
		if (b & 0x80)
			simhop_envelope(m, i == 1 ? "binarymime" : "8bitmime");
	}
}

static void
settle(void)
{
	unsigned int n;

	for (n = 0; scheduler_pass(sched, 0) > 0; n++)
		FUZZ_HOLDS(n < 10000);
}

static void
let_time_pass(uint64_t us)
{
	uint64_t until = clock_.now_us + us;

	settle();
	while (clock_.now_us < until && hop.client != NULL) {
		clock_.limit_us = until;
		scheduler_pass(sched, 1000000);
		clock_.limit_us = 0;
		settle();
	}
}

/* What the server does: says a line, without its end, goes inside TLS, waits,
 * closes. */
static void
play(struct fuzz_input *in)
{
	const char *line, *out;
	unsigned int how;
	size_t len;

	how = fuzz_octet(in);
	line = fuzz_line(in, &len);
	if (how == 'w')
		let_time_pass(UINT64_C(1000000) * len * len);
	else if (how == 'c')
		simwire_close(hop.wire);
	else if (how == 'r')
		simwire_reset(hop.wire);
	else if (how == 't')
		simwire_send_now(hop.wire, SIMHOP_ANSWER,
		    strlen(SIMHOP_ANSWER));
	else if (how == 'a')
		simhop_login(&hop);
	else if (hop.is_inside) {
		for (; len > 0; line++, len--)
			simwire_send_now(hop.wire, &(char){ (char)(*line ^
			    SIMHOP_TURN) }, 1);
		if (how != 'n')
			simwire_send_now(hop.wire, "\x8d\x8a", 2);
	} else {
		simwire_send_now(hop.wire, line, len);
		if (how != 'n')
			simwire_send_now(hop.wire, "\r\n", 2);
	}
	simhop_wake(&hop);
	settle();
	out = simwire_peek(hop.wire, &len);
	(void)out;
	simwire_take(hop.wire, len);
}

void
fuzz_reply(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	struct scheduler_backend backend;

	read_twice((const char *)data, len);
	simclock_init(&clock_, START_US);
	simnet_init(&net, NULL);
	clock_.poll = simnet_poll;
	clock_.poll_arg = &net;
	simclock_backend(&clock_, &backend);
	FUZZ_HOLDS((sched = scheduler_create(&backend)) != NULL);
	simhop_init(&hop, &clock_);
	hop.violation = violation;
	choose(&in);
	FUZZ_HOLDS(simhop_connect(&hop, &net) == 0);
	settle();
	while (in.left > 0 && hop.client != NULL)
		play(&in);
	let_time_pass(END_US);
	FUZZ_HOLDS(hop.client == NULL);
	FUZZ_HOLDS(hop.nended == 1);
	simhop_clear(&hop);
	scheduler_destroy(sched);
	simnet_clear(&net);
	simclock_clear(&clock_);
}

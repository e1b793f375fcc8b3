/* The client of the targets: see client.h. */

/* of rand(7), to choose where random octets come from */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "test/fuzz/client.h"

#include <openssl/rand.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "test/fuzz/fuzz.h"
#include "test/fuzz/verb.h"
#include "tls/tlsctx.h"

#define START_US	UINT64_C(1790000000123456)
#define PATIENCE_US	UINT64_C(100000000000)	/* longer than all timeouts of a session together */
#define OPTION_VALUES	16
#define OPTION_TEXT	512
#define TLS_RECORDS_MAX	65536	/* octets that the client's TLS makes at once */

static struct simhost *host;

/* A password that a fuzzer puts into any other command is none; those of logins
 * are the simulator's to check. */
static void
violation(void *, const char *text)
{
	static const char said[] = "a password in a report";

	if (strncmp(text, said, sizeof(said) - 1) == 0)
		return;
	fprintf(stderr, "violation: %s\n", text);
	abort();
}

/* --- random octets -------------------------------------------------------- */

static struct simrand random_octets;

static int
random_get(unsigned char *buf, int len)
{
	int i;

	for (i = 0; i < len; i++)
		buf[i] = (unsigned char)simrand_next(&random_octets);
	return 1;
}

static int
random_is_there(void)
{
	return 1;
}

static const RAND_METHOD random_method = {
	.bytes = random_get,
	.pseudorand = random_get,
	.status = random_is_there,
};

/* --- the client ----------------------------------------------------------- */

/* Once per process. */
static void
make_host(void)
{
	simrand_seed(&random_octets, 0);
	host = calloc(1, sizeof(*host));
	if (host == NULL || simpolicy_register() == -1 ||
	    RAND_set_rand_method(&random_method) != 1 || simtls_setup() == -1)
		abort();
	verb_register();
}

void
client_init(struct fuzz_client *c)
{
	memset(c, 0, offsetof(struct fuzz_client, text));
	if (host == NULL)
		make_host();
	simrand_seed(&random_octets, 1);
	simtls_client_forget();
	c->h = host;
	if (simhost_init(host, START_US, NULL) == -1)
		abort();
	host->violation = violation;
	simtls_use(host);
}

/* The settings have looked at it, before a session gets it. */
static bool
is_protocols(const char *text)
{
	const struct tlsctx_config config = { .protocols = text,
		.ciphers = "", .ciphersuites = "", .groups = "" };
	char which, err[TLSCTX_ERROR_MAX];

	return tlsctx_check(&config, &which, err, sizeof(err)) == 0;
}

void
client_option(struct fuzz_client *c, const char *line, size_t len)
{
	char text[OPTION_TEXT], expected[256], *name = text, *values, *v;
	const char *list[OPTION_VALUES];
	const struct conf_field *row;
	size_t n = 0;

	if (len == 0 || len >= sizeof(text) || memchr(line, '\0', len) != NULL)
		return;
	memcpy(text, line, len);
	text[len] = '\0';
	values = text;
	name = strsep(&values, "=");
	if (values == NULL || (row = options_row(name)) == NULL ||
	    (strcasecmp(name, "TLS_Protocols") == 0 && !is_protocols(values)))
		return;
	while (n < OPTION_VALUES && (v = strsep(&values, ",")) != NULL)
		list[n++] = v;
	(void)options_set(&c->h->options, row, list, n, expected,
	    sizeof(expected));
}

void
client_connect(struct fuzz_client *c)
{
	verb_begin();
	c->s = simhost_connect(c->h, "192.0.2.1");
	if (c->s == NULL)
		abort();
}

/* A line of RFC 5321 4.2, without its CRLF. */
static void
one_line(struct fuzz_client *c, const char *s, size_t len)
{
	int code;
	size_t i;

	FUZZ_HOLDS(len >= 3 && len + 2 <= LIM_AUTH_LINE);
	FUZZ_HOLDS(s[0] >= '2' && s[0] <= '5' && isdigit((unsigned char)s[1])
	    && isdigit((unsigned char)s[2]));
	FUZZ_HOLDS(len == 3 || s[3] == ' ' || s[3] == '-');
	for (i = 0; i < len; i++)
		FUZZ_HOLDS(s[i] != '\r' && s[i] != '\n' && s[i] != '\0');
	code = atoi((char[]){ s[0], s[1], s[2], '\0' });
	FUZZ_HOLDS(code == 334 || len + 2 <= LIM_REPLY_LINE);
	FUZZ_HOLDS(c->begun == 0 || c->begun == code);
	c->begun = len > 3 && s[3] == '-' ? code : 0;
	if (c->begun == 0) {
		c->nreplies++;
		c->naccepted += code < 400;
		c->code = code;
	}
}

/* Lines of replies in ${s}.  Return the octets of whole ones. */
static size_t
all_lines(struct fuzz_client *c, const char *s, size_t len)
{
	size_t n, used = 0;
	const char *lf;

	while (len - used > 0 &&
	    (lf = memchr(s + used, '\n', len - used)) != NULL) {
		n = (size_t)(lf - s) + 1 - used;
		FUZZ_HOLDS(n >= 2 && lf[-1] == '\r');
		one_line(c, s + used, n - 2);
		used += n;
	}
	return used;
}

/* The server's turn, and nothing of what it says is read. */
static void
run(struct fuzz_client *c)
{
	(void)simhost_settle(c->h);
	simhost_check(c->h);
}

/* --- TLS ------------------------------------------------------------------ */

/* Send what the client's TLS has for the server. */
static void
send_records(struct fuzz_client *c)
{
	static char octets[TLS_RECORDS_MAX];
	const char *taken;
	size_t len = simtls_client_take(c->tls, &taken), n, at;

	if (len == 0)
		return;
	FUZZ_HOLDS(len <= sizeof(octets));
	memcpy(octets, taken, len);
	octets[c->damage_at % len] ^= (char)c->damage;
	c->damage = 0;
	for (at = 0; at < len && !c->s->wire->is_eof; at += n) {
		n = c->record != 0 && c->record < len - at ? c->record :
		    len - at;
		simwire_send_now(c->s->wire, octets + at, n);
		if (at + n < len)
			run(c);
	}
}

/* A handshake has ended: what was sent in the clear before is none of it (RFC
 * 3207 4.2), so that only a timeout or the end of the server is reported now. */
static void
check_silent(struct fuzz_client *c)
{
	const struct esmtp_options *o = &c->h->options;
	unsigned int n = c->nreplies;
	int code = c->code;

	if (o->use_ssl || o->starttls_injection_policy == ESMTP_INJECTION_ALLOW)
		return;
	c->nreplies = 0;
	client_settle(c);
	FUZZ_HOLDS(c->nreplies == 0 || (c->nreplies == 1 && c->code == 421));
	c->nreplies += n;
	if (c->nreplies == n)
		c->code = code;
}

/* What the client's TLS makes of the octets that it has got. */
static void
read_records(struct fuzz_client *c)
{
	size_t used;
	int n;

	if (c->is_shaking) {
		n = simtls_client_handshake(c->tls);
		send_records(c);
		if (n != 1)
			return;
		c->is_shaking = false;
		check_silent(c);
	}
	while ((n = simtls_client_read(c->tls, c->text + c->ntext,
	    sizeof(c->text) - c->ntext)) > 0) {
		c->ntext += (size_t)n;
		used = all_lines(c, c->text, c->ntext);
		c->ntext -= used;
		memmove(c->text, c->text + used, c->ntext);
		FUZZ_HOLDS(c->ntext < LIM_AUTH_LINE);
	}
	send_records(c);
}

void
client_secure(struct fuzz_client *c, unsigned int flags)
{
	client_settle(c);
	if (c->tls != NULL || !client_is_open(c))
		return;
	c->tls = simtls_client_new(flags);
	if (c->tls == NULL)	/* there is no session to resume */
		return;
	c->is_shaking = true;
	c->begun = 0;
	(void)simtls_client_handshake(c->tls);
	send_records(c);
	client_settle(c);
}

void
client_rekey(struct fuzz_client *c)
{
	if (c->tls == NULL || c->is_shaking)
		return;
	simtls_client_rekey(c->tls);
	send_records(c);
	client_settle(c);
}

void
client_finish(struct fuzz_client *c)
{
	if (c->tls == NULL)
		return;
	simtls_client_finish(c->tls);
	send_records(c);
	client_settle(c);
}

/* --- octets --------------------------------------------------------------- */

void
client_settle(struct fuzz_client *c)
{
	const char *s;
	size_t len, used;

	do {
		run(c);
		s = simwire_peek(c->s->wire, &len);
		used = len;
		if (c->tls == NULL)
			used = all_lines(c, s, len);
		else if (len > 0)
			simtls_client_feed(c->tls, s, len);
		simwire_take(c->s->wire, used);
		if (c->tls != NULL && used > 0)
			read_records(c);
	} while (used > 0);
}

static void
send_one(struct fuzz_client *c, const char *s, size_t len)
{
	if (c->s->wire->is_eof)
		return;
	if (c->tls == NULL || c->is_raw)
		simwire_send_now(c->s->wire, s, len);
	else if (!c->is_shaking && simtls_client_write(c->tls, s, len) == 0)
		send_records(c);
}

void
client_send(struct fuzz_client *c, const void *octets, size_t len)
{
	const char *s = octets;
	size_t n;

	while (len > 0) {
		n = c->fragment != 0 && c->fragment < len ? c->fragment : len;
		send_one(c, s, n);
		s += n;
		len -= n;
		if (len > 0)
			client_settle(c);
	}
}

void
client_say(struct fuzz_client *c, const char *line)
{
	client_send(c, line, strlen(line));
}

bool
client_is_open(const struct fuzz_client *c)
{
	return !c->s->wire->is_closed && !c->s->wire->is_eof &&
	    !c->s->wire->is_reset;
}

int
client_ask(struct fuzz_client *c, const char *line)
{
	client_settle(c);
	c->nreplies = 0;
	client_say(c, line);
	client_settle(c);
	return c->nreplies == 1 && c->begun == 0 ? c->code : 0;
}

bool
client_is_idle(struct fuzz_client *c)
{
	return client_is_open(c) && client_ask(c, "NOOP\r\n") == 250 &&
	    client_is_open(c);
}

void
client_leave(struct fuzz_client *c)
{
	simpolicy_release(c->h);
	simspool_release(&c->h->spool);
	(void)simauth_set(c->h, "release", 0);
	simtls_release();
	verb_answer(&c->h->host, 0);
	client_settle(c);
	if (!c->s->wire->is_reset)
		simwire_close(c->s->wire);
	client_settle(c);
	simhost_advance(c->h, PATIENCE_US);
	FUZZ_HOLDS(c->s->ac == NULL);
	FUZZ_HOLDS(simtls_nsigning() == 0);
	simhost_release(c->s);
	simtls_client_free(c->tls);
	c->tls = NULL;
	c->is_shaking = c->is_raw = false;
	c->damage = 0;
	c->ntext = 0;
	c->begun = 0;
}

void
client_end(struct fuzz_client *c)
{
	client_leave(c);
	FUZZ_HOLDS(c->h->spool.nopen == 0);
	simhost_clear(c->h);
}

/* The client of the targets: see client.h. */

#include "test/fuzz/client.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "test/fuzz/fuzz.h"

#define START_US	UINT64_C(1790000000123456)
#define PATIENCE_US	UINT64_C(100000000000)	/* longer than all timeouts of a session together */
#define OPTION_VALUES	16
#define OPTION_TEXT	512

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

void
client_init(struct fuzz_client *c)
{
	*c = (struct fuzz_client){ 0 };
	if (host == NULL) {
		host = calloc(1, sizeof(*host));
		if (host == NULL || simpolicy_register() == -1)
			abort();
	}
	c->h = host;
	if (simhost_init(host, START_US, NULL) == -1)
		abort();
	host->violation = violation;
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
	if (values == NULL || strncasecmp(name, "TLS", 3) == 0 ||
	    strcasecmp(name, "Use_SSL") == 0 ||
	    (row = options_row(name)) == NULL)
		return;
	while (n < OPTION_VALUES && (v = strsep(&values, ",")) != NULL)
		list[n++] = v;
	(void)options_set(&c->h->options, row, list, n, expected,
	    sizeof(expected));
}

void
client_connect(struct fuzz_client *c)
{
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

void
client_settle(struct fuzz_client *c)
{
	const char *s, *lf;
	size_t len, n, used;

	do {
		(void)simhost_settle(c->h);
		simhost_check(c->h);
		s = simwire_peek(c->s->wire, &len);
		used = 0;
		while (len - used > 0 &&
		    (lf = memchr(s + used, '\n', len - used)) != NULL) {
			n = (size_t)(lf - s) + 1 - used;
			FUZZ_HOLDS(n >= 2 && lf[-1] == '\r');
			one_line(c, s + used, n - 2);
			used += n;
		}
		simwire_take(c->s->wire, used);
	} while (used > 0);
}

void
client_send(struct fuzz_client *c, const void *octets, size_t len)
{
	const char *s = octets;
	size_t n;

	while (len > 0) {
		n = c->fragment != 0 && c->fragment < len ? c->fragment : len;
		if (!c->s->wire->is_eof)
			simwire_send_now(c->s->wire, s, n);
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
client_end(struct fuzz_client *c)
{
	simpolicy_release(c->h);
	simspool_release(&c->h->spool);
	(void)simauth_set(c->h, "release", 0);
	client_settle(c);
	if (!c->s->wire->is_reset)
		simwire_close(c->s->wire);
	client_settle(c);
	simhost_advance(c->h, PATIENCE_US);
	FUZZ_HOLDS(c->s->ac == NULL);
	FUZZ_HOLDS(c->h->spool.nopen == 0);
	simhost_release(c->s);
	simhost_clear(c->h);
}

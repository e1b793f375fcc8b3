/* One session on simulated parts: see fake.h. */

#include "test/unit/proto/server/fake.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void
violation(void *, const char *text)
{
	cr_assert_fail("violation: %s", text);
}

struct fake *
fake_new(void)
{
	struct fake *f = calloc(1, sizeof(*f));

	cr_assert_not_null(f);
	cr_assert_eq(simhost_init(&f->h, FAKE_START * UINT64_C(1000000), NULL),
	    0);
	f->h.violation = violation;
	return f;
}

static const char *
take(struct fake *f)
{
	const char *p;
	size_t n;

	simhost_settle(&f->h);
	p = simwire_peek(f->s->wire, &n);
	cr_assert_lt(n, sizeof(f->reply));
	if (n > 0)
		memcpy(f->reply, p, n);
	f->reply[n] = '\0';
	simwire_take(f->s->wire, n);
	return f->reply;
}

void
fake_connect(struct fake *f)
{
	f->s = simhost_connect(&f->h, "192.0.2.1");
	cr_assert_not_null(f->s);
	take(f);
}

struct fake *
fake_start(void)
{
	struct fake *f = fake_new();

	fake_connect(f);
	return f;
}

void
fake_end(struct fake *f)
{
	simhost_clear(&f->h);
	free(f);
}

void
fake_option(struct fake *f, const char *name, ...)
{
	const char *values[32];
	char expected[256];
	const struct conf_field *row;
	size_t n = 0;
	va_list ap;

	va_start(ap, name);
	while ((values[n] = va_arg(ap, const char *)) != NULL)
		n++;
	va_end(ap);
	row = options_row(name);
	cr_assert_not_null(row, "no option %s", name);
	cr_assert_eq(options_set(&f->h.options, row, values, n, expected, sizeof(expected)), 0, "%s: expected %s", name,
	    expected);
}

const char *
fake_say_n(struct fake *f, const char *buf, size_t len)
{
	simwire_send_now(f->s->wire, buf, len);
	return take(f);
}

const char *
fake_say(struct fake *f, const char *text)
{
	return fake_say_n(f, text, strlen(text));
}

const char *
fake_say_bytewise(struct fake *f, const char *text)
{
	for (; *text != '\0' && !fake_is_ended(f); text++) {
		simwire_send_now(f->s->wire, text, 1);
		simhost_settle(&f->h);
	}
	return take(f);
}

const char *
fake_wait(struct fake *f, unsigned int seconds)
{
	simhost_advance(&f->h, seconds * UINT64_C(1000000));
	return take(f);
}

const struct spool_msg *
fake_message(struct fake *f, unsigned int i)
{
	const struct spool_msg *m;
	unsigned int n = 0;

	for (m = f->h.spool.msgs; m != NULL; m = m->next)
		n += m->state == SIMSPOOL_SAFE;
	if (i >= n)
		return NULL;
	for (m = f->h.spool.msgs; m != NULL; m = m->next)
		if (m->state == SIMSPOOL_SAFE && --n == i)
			return m;
	return NULL;
}

bool
fake_is_ended(const struct fake *f)
{
	return f->s->is_ended;
}

message_construct *
fake_mc(const struct fake *f)
{
	return accept_construct_get_message_construct(f->s->ac);
}

void
fake_to_data(struct fake *f)
{
	fake_say(f, "EHLO client.example\r\n");
	fake_say(f, "MAIL FROM:<a@client.example>\r\n"
	    "RCPT TO:<alice@example.test>\r\n");
	cr_assert_str_eq(fake_say(f, "DATA\r\n"),
	    "354 End data with <CRLF>.<CRLF>\r\n");
}

/* Header fields that modules add. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "core/lim.h"
#include "proto/validate.h"
#include "test/unit/proto/server/fake.h"

/* What is added, and in which phase; each time it runs. */
static enum validate_phase phase_of = VALIDATE_PHASE_DATA;
static const char *name = "X-Policy", *value = "seen";
static int rc, error, result = VALIDATE_CONT;
static unsigned int times = 1;

static int
add(enum validate_phase phase, validate_context *vctx)
{
	unsigned int i;

	if (phase != phase_of)
		return VALIDATE_CONT;
	for (i = 0; i < times; i++) {
		errno = 0;
		rc = validate_context_add_header(vctx, name, value);
		error = errno;
	}
	if (result == VALIDATE_DONE)
		validate_context_set_code(vctx, 451, "4.7.1 later");
	return result;
}

#define CALLBACK(func, phase) \
static int \
func(const char *, const struct mailaddr *, accept_construct *, \
    validate_context *vctx, void *) \
{ \
	return add(phase, vctx); \
}
CALLBACK(on_ehlo, VALIDATE_PHASE_EHLO)
CALLBACK(on_mailfrom, VALIDATE_PHASE_MAILFROM)
CALLBACK(on_rcptto, VALIDATE_PHASE_RCPTTO)
CALLBACK(on_data, VALIDATE_PHASE_DATA)
CALLBACK(on_data_spool, VALIDATE_PHASE_DATA_SPOOL)

static const struct validate_module module = {
	.size = sizeof(struct validate_module), .name = "test",
	.phase = {
		[VALIDATE_PHASE_EHLO] = on_ehlo,
		[VALIDATE_PHASE_MAILFROM] = on_mailfrom,
		[VALIDATE_PHASE_RCPTTO] = on_rcptto,
		[VALIDATE_PHASE_DATA] = on_data,
		[VALIDATE_PHASE_DATA_SPOOL] = on_data_spool
	},
};

static struct fake *
start(void)
{
	struct fake *f;

	cr_assert_eq(validate_module_register(&module), 0);
	f = fake_new();
	fake_option(f, "RFC2822_Trace_Headers", "false", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	return f;
}

/* A message of one field, to ${n} recipients; what has become of it. */
static const char *
send_mail(struct fake *f, const char *mail, unsigned int i)
{
	static char body[LIM_VCTX_FIELDS + 1000];
	const struct spool_msg *m;

	fake_say(f, mail);
	fake_say(f, "RCPT TO:<bob@example.test>\r\n");
	fake_say(f, "DATA\r\n");
	fake_say(f, "Subject: x\r\n\r\n.\r\n");
	if ((m = fake_message(f, i)) == NULL)
		return f->reply;
	cr_assert_lt(m->len, sizeof(body));
	memcpy(body, m->body, m->len);
	body[m->len] = '\0';
	return body;
}

#define MAIL	"MAIL FROM:<a@client.example>\r\n"
#define SENT	"Subject: x\r\n\r\n"

Test(validate_header, a_field_comes_in_front_of_the_message)
{
	static const enum validate_phase good[] = { VALIDATE_PHASE_RCPTTO,
		VALIDATE_PHASE_DATA };
	struct fake *f = start();
	unsigned int i;

	times = 2;		/* an equal one once */
	for (i = 0; i < 2; i++) {
		phase_of = good[i];
		cr_expect_str_eq(send_mail(f, MAIL, i), "X-Policy: seen\r\n"
		    SENT);
		cr_expect_eq(rc, 0);
	}
	/* no other message has it */
	phase_of = VALIDATE_NPHASES;
	cr_expect_str_eq(send_mail(f, MAIL, 2), SENT);
	fake_end(f);
}

Test(validate_header, a_phase_that_runs_again_adds_nothing)
{
	struct fake *f = start();
	const struct spool_msg *m;

	result = VALIDATE_DONE;
	fake_say(f, MAIL "RCPT TO:<bob@example.test>\r\n");
	cr_assert_eq(strncmp(fake_say(f, "DATA\r\n"), "451 ", 4), 0);
	result = VALIDATE_CONT;
	fake_say(f, "DATA\r\n");
	fake_say(f, SENT ".\r\n");
	cr_assert_not_null(m = fake_message(f, 0), "%s", f->reply);
	cr_expect_eq(m->len, strlen("X-Policy: seen\r\n" SENT));
	fake_end(f);
}

Test(validate_header, it_comes_behind_received)
{
	struct fake *f = start();
	const struct spool_msg *m;

	fake_option(f, "RFC2822_Trace_Headers", "true", NULL);
	send_mail(f, MAIL, 1);
	cr_assert_not_null(m = fake_message(f, 0), "%s", f->reply);
	cr_expect_eq(strncmp(m->body, "Received: ", 10), 0);
	cr_expect_not_null(memmem(m->body, m->len,
	    "\r\nX-Policy: seen\r\n" SENT,
	    strlen("\r\nX-Policy: seen\r\n" SENT)));
	fake_end(f);
}

Test(validate_header, there_is_none_where_it_would_come_too_early_or_too_late)
{
	static const enum validate_phase bad[] = { VALIDATE_PHASE_EHLO,
		VALIDATE_PHASE_MAILFROM, VALIDATE_PHASE_DATA_SPOOL };
	struct fake *f = start();
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		phase_of = bad[i];
		rc = 0;
		fake_say(f, "EHLO x\r\n");
		cr_expect_str_eq(send_mail(f, MAIL, i), SENT, "%u", i);
		cr_expect_eq(rc, -1, "%u", i);
		cr_expect_eq(error, EPERM, "%u", i);
	}
	fake_end(f);
}

/* None of these could end the field, the header, or a line of the client's. */
Test(validate_header, what_is_no_field_is_refused)
{
	static char long_value[999];
	static const struct { const char *name, *value; } bad[] = {
		{ NULL, "x" }, { "X", NULL }, { "", "x" }, { "X Y", "x" },
		{ "X:", "x" }, { "X\r\nY", "x" }, { "X\t", "x" },
		{ "\xc3\xa9", "x" }, { "X", "" }, { "X", " \t" },
		{ "X", "a\r\nb" }, { "X", "a\n" }, { "X", "a\rb" },
		{ "X", "a\x7f" }, { "X", "a\x1b[0m" }, { "X", "\xc3\xa9" },
		{ "X", long_value }
	};
	struct fake *f = start();
	size_t i;

	memset(long_value, 'x', 996);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		name = bad[i].name;
		value = bad[i].value;
		rc = 0;
		cr_expect_str_eq(send_mail(f, MAIL, (unsigned int)i), SENT,
		    "%zu", i);
		cr_expect_eq(rc, -1, "%zu", i);
		cr_expect_eq(error, EINVAL, "%zu", i);
	}
	fake_end(f);
}

Test(validate_header, the_longest_line_and_a_tab_are_good)
{
	static char longest[996];
	static char expected[1100];
	struct fake *f = start();

	memset(longest, 'x', 995);
	longest[1] = '\t';
	name = "X";
	value = longest;
	snprintf(expected, sizeof(expected), "X: %s\r\n" SENT, longest);
	cr_expect_str_eq(send_mail(f, MAIL, 0), expected);
	fake_end(f);
}

Test(validate_header, utf_8_is_for_messages_with_smtputf8)
{
	struct fake *f = start();

	value = "gr\xc3\xbc\xc3\x9f";
	cr_expect_str_eq(send_mail(f, "MAIL FROM:<a@client.example> "
	    "SMTPUTF8\r\n", 0), "X-Policy: gr\xc3\xbc\xc3\x9f\r\n" SENT);
	value = "\xe2\x80\xae";		/* turns what follows round */
	cr_expect_str_eq(send_mail(f, "MAIL FROM:<a@client.example> "
	    "SMTPUTF8\r\n", 1), SENT);
	cr_expect_eq(error, EINVAL);
	fake_end(f);
}

static int
add_many(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	char text[32];
	unsigned int i;

	for (i = 0; rc == 0; i++) {
		snprintf(text, sizeof(text), "%u", i);
		rc = validate_context_add_header(vctx, "X-Number", text);
	}
	error = errno;
	return VALIDATE_CONT;
}

Test(validate_header, fields_are_bounded)
{
	static const struct validate_module many = {
		.size = sizeof(many), .name = "many",
		.phase[VALIDATE_PHASE_DATA] = add_many
	};
	struct fake *f;
	const struct spool_msg *m;

	cr_assert_eq(validate_module_register(&many), 0);
	phase_of = VALIDATE_NPHASES;
	f = start();
	send_mail(f, MAIL, 1);
	cr_expect_eq(error, E2BIG);
	cr_assert_not_null(m = fake_message(f, 0), "%s", f->reply);
	cr_expect_leq(m->len, LIM_VCTX_FIELDS + strlen(SENT));
	cr_expect_geq(m->len, LIM_VCTX_FIELDS - 32);
	fake_end(f);
}

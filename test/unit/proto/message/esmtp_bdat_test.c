/* BDAT: how a chunk is read, and what a refused one leaves behind.  What is
 * answered where: test/dialogues/bdat*.txt. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define ENVELOPE	"MAIL FROM:<a@client.example>\r\n" \
	"RCPT TO:<alice@example.test>\r\n"
#define CHUNK		"250 2.0.0 Chunk received\r\n"
#define QUEUED		"250 2.0.0 OK: queued as "
#define SEQUENCE	"503 5.5.1 Bad sequence of commands\r\n"

static struct fake *
start(const char *option, const char *value)
{
	struct fake *f = fake_new();

	if (option != NULL)
		fake_option(f, option, value, NULL);
	fake_connect(f);
	fake_say(f, "EHLO client.example\r\n");
	return f;
}

static void
envelope(struct fake *f)
{
	fake_say(f, ENVELOPE);
	cr_assert_not_null(strstr(f->reply, "250 2.1.5 "), "%s", f->reply);
}

/* Nothing is kept of what has come, whatever the size of the chunk. */
static void
check_nothing_kept(const struct fake *f)
{
	cr_assert_null(fake_mc(f)->in);
}

Test(esmtp_bdat, the_octets_of_a_chunk_are_passed_on_as_they_come)
{
	const size_t piece = 100000, npieces = 100;
	struct fake *f = start(NULL, NULL);
	char *buf = malloc(piece), line[40];
	size_t i, header;

	cr_assert_not_null(buf);
	memset(buf, 'x', piece);
	memcpy(buf, "A: b\r\n\r\n", 8);
	envelope(f);
	snprintf(line, sizeof(line), "BDAT %zu LAST\r\n", piece * npieces);
	cr_assert_str_eq(fake_say(f, line), "");
	header = f->h.spool.msgs->len;
	cr_assert_gt(header, 0, "the Received field is first");
	for (i = 1; i <= npieces; i++) {
		cr_assert_eq(esmtp_session_state(f->s->ac), ES_BODY);
		cr_assert_str_eq(f->reply, "");
		fake_say_n(f, buf, piece);
		cr_assert_eq(f->h.spool.msgs->len, header + i * piece);
		check_nothing_kept(f);
	}
	cr_assert_eq(strncmp(f->reply, QUEUED, strlen(QUEUED)), 0, "%s",
	    f->reply);
	free(buf);
	fake_end(f);
}

/* A size beyond 2^32 is not wrapped.  When that has been seen, the rest is made
 * short, for it would take long. */
Test(esmtp_bdat, a_refused_chunk_is_thrown_away_however_large)
{
	const size_t piece = 1 << 20;
	struct fake *f = start(NULL, NULL);
	char *buf = calloc(1, piece);
	uint64_t *left;

	cr_assert_not_null(buf);
	memcpy(buf, "QUIT\r\n", 6);
	cr_assert_str_eq(fake_say(f, "BDAT 4294967303 LAST\r\n"), "");
	cr_assert_str_eq(fake_say(f, "QUIT\r\nQ"), "");
	left = &fake_mc(f)->chunk;
	cr_assert_eq(*left, UINT64_C(1) << 32);
	cr_assert_str_eq(fake_say_n(f, buf, piece), "");
	cr_assert_eq(*left, (UINT64_C(1) << 32) - piece);
	check_nothing_kept(f);
	*left = 2 * piece;
	cr_assert_str_eq(fake_say_n(f, buf, piece), "");
	check_nothing_kept(f);
	cr_assert_str_eq(fake_say_n(f, buf, piece), SEQUENCE);
	cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
	free(buf);
	fake_end(f);
}

Test(esmtp_bdat, a_message_too_big_is_not_stored_when_its_chunk_says_so)
{
	struct fake *f = start("Max_Message_Size", "100");

	envelope(f);
	fake_say(f, "BDAT 18446744073709551615 LAST\r\n");
	/* it was begun, and is lost */
	cr_assert_eq(f->h.spool.number, 1);
	cr_assert_eq(f->h.spool.nopen, 0);
	cr_assert_eq(fake_mc(f)->txn->failure, RPL_TOO_BIG);
	cr_assert_str_eq(fake_say(f, "QUIT\r\n"), "");
	cr_assert_eq(esmtp_session_state(f->s->ac), ES_BODY);
	cr_assert_eq(fake_mc(f)->chunk, UINT64_MAX - 6);
	fake_end(f);
	/* with what came before; the sum is over 2^64 */
	f = start("Max_Message_Size", "100");
	envelope(f);
	cr_assert_str_eq(fake_say(f, "BDAT 3\r\nx\r\n"), CHUNK);
	cr_assert_eq(f->h.spool.nopen, 1);
	fake_say(f, "BDAT 18446744073709551614\r\n");
	cr_assert_eq(f->h.spool.nopen, 0);
	cr_assert_eq(fake_mc(f)->txn->failure, RPL_TOO_BIG);
	fake_end(f);
}

static int
deny(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	return validate_refuse(vctx, RPL_POLICY);
}

/* RFC 5321 3.1, RFC 3030 2: also of more than the buffer of a step. */
Test(esmtp_bdat, a_session_that_was_denied_throws_a_chunk_away)
{
	static const struct validate_module m = { .size = sizeof(m),
		.name = "deny", .phase[VALIDATE_PHASE_CONNECT] = deny };
	const size_t octets = 6 * (LIM_SCRATCH / 6 + 1000);
	char *buf = malloc(octets + 1);
	struct fake *f;
	size_t i;

	cr_assert_not_null(buf);
	for (i = 0; i < octets; i += 6)
		memcpy(buf + i, "QUIT\r\n", 6);
	cr_assert_eq(validate_module_register(&m), 0);
	f = fake_start();
	snprintf(buf, octets, "BDAT %zu\r\n", octets);
	cr_assert_str_eq(fake_say(f, buf), "");
	for (i = 0; i < octets; i += 6)
		memcpy(buf + i, "QUIT\r\n", 6);
	cr_assert_str_eq(fake_say_n(f, buf, octets), SEQUENCE);
	cr_assert_eq(strncmp(fake_say(f, "QUIT\r\n"), "221 ", 4), 0);
	free(buf);
	fake_end(f);
}

/* Room for one octet, of which RFC2822_Lone_LF_In_Body may make two. */
Test(esmtp_bdat, a_chunk_comes_through_a_spool_with_little_room)
{
	struct fake *f = start("RFC2822_Lone_LF_In_Body", "fix");
	const struct spool_msg *m;
	size_t i;

	envelope(f);
	fake_say(f, "BDAT 11 LAST\r\n");
	f->h.spool.room = 1;
	fake_say(f, "A: b\n\nx\ny\nz");
	/* what the reader of the header holds needs none */
	for (i = 0; i < 12 && f->reply[0] == '\0'; i++) {
		simspool_set_room(&f->h.spool, f->h.spool.buffered + 1);
		fake_say(f, "");
	}
	cr_assert_gt(i, 3);
	cr_assert_eq(strncmp(f->reply, QUEUED, strlen(QUEUED)), 0, "%s",
	    f->reply);
	m = fake_message(f, 0);
	cr_assert_not_null(m);
	cr_assert_eq(memcmp(m->body + m->len - 15, "A: b\r\n\r\nx\r\ny\r\nz",
	    15), 0);
	fake_end(f);
}

/* What the client sends behind a chunk is not taken for it, nor the other way
 * round, however large the buffer of a step is. */
Test(esmtp_bdat, a_chunk_ends_where_it_ends_in_buffers_of_any_size)
{
	static const size_t sizes[] = { LIM_COMMAND_READ, LIM_COMMAND_READ + 1,
		2 * LIM_COMMAND_READ, LIM_SCRATCH };
	const size_t octets = 3 * LIM_COMMAND_READ, noops = 4000;
	char *buf = malloc(octets + 6 * noops + 200);
	const struct spool_msg *m;
	size_t i, k, n;
	const char *p;

	cr_assert_not_null(buf);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fake *f = start(NULL, NULL);

		f->h.host.scratch_octets = sizes[i];
		n = (size_t)sprintf(buf, ENVELOPE "BDAT %zu LAST\r\n", octets);
		memcpy(buf + n, "A: b\r\n\r\n", 8);
		for (k = 8; k + 6 <= octets; k += 6)
			memcpy(buf + n + k, "QUIT\r\n", 6);
		memset(buf + n + k, 'x', octets - k);
		n += octets;
		for (k = 0; k < noops; k++, n += 6)
			memcpy(buf + n, "NOOP\r\n", 6);
		fake_say_n(f, buf, n);
		p = strstr(f->reply, QUEUED);
		cr_assert_not_null(p, "%zu: %.200s", sizes[i], f->reply);
		p = strchr(p, '\n') + 1;
		for (k = 0; strncmp(p, "250 2.0.0 OK\r\n", 14) == 0; k++)
			p += 14;
		cr_assert_str_eq(p, "");
		m = fake_message(f, 0);
		cr_assert_not_null(m);
		cr_assert_eq(memcmp(m->body + m->len - octets, "A: b\r\n\r\nQUIT",
		    12), 0);
		cr_assert_eq(k, noops);
		fake_end(f);
	}
	free(buf);
}

Test(esmtp_bdat, the_reports_name_the_verb)
{
	struct fake *f = start(NULL, NULL);

	envelope(f);
	fake_say(f, "BDAT 3\r\nx\r\n");
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_ACCEPTED], 0);
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_REJECTED], 0);
	fake_say(f, "BDAT 0 LAST\r\n");
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_ACCEPTED], 1);
	cr_assert_eq(f->h.spool.msgs->flags, 0);
	/* one refusal, one report, when the command is known */
	fake_say(f, "BDAT 3 LAST\r\n");
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_REJECTED], 1);
	cr_assert_str_eq(fake_say(f, "x\r\n"), SEQUENCE);
	cr_assert_eq(f->s->nreports[ESMTP_REPORT_REJECTED], 1);
	fake_end(f);
}

Test(esmtp_bdat, a_line_that_is_cut_short_is_no_command_before_it_ends)
{
	struct fake *f = start(NULL, NULL);

	envelope(f);
	cr_assert_str_eq(fake_say(f, "BDAT 1"), "");
	cr_assert_str_eq(fake_say(f, "0 LAS"), "");
	cr_assert_str_eq(fake_say(f, "T\r"), "");
	cr_assert_str_eq(fake_say(f, "\n12345678\r"), "");
	cr_assert_eq(strncmp(fake_say(f, "\n"), QUEUED, strlen(QUEUED)), 0);
	fake_end(f);
}

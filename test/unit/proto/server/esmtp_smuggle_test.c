/* Smuggling: what looks like the end of a message to somebody is none but
 * CRLF.CRLF (RFC 5321 4.1.1.4, 2.3.8).  All sequences of the octets that such an
 * end is made of are tried, not those alone that are known, cut at each place,
 * with a second transaction behind them. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/proto/server/fake.h"

#define OCTETS		"\r\n.\0"	/* of which a sequence is made, */
#define NOCTETS		4
#define LENGTH_MAX	5		/* and how many: CRLF.CRLF has as many */

#define EVIL	"MAIL FROM:<evil@client.example>\r\n" \
	"RCPT TO:<bob@example.test>\r\nDATA\r\nevil\r\n"
#define ENVELOPE "MAIL FROM:<a@client.example>\r\n" \
	"RCPT TO:<alice@example.test>\r\nDATA\r\n"
#define ENVELOPE_OK "250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n" \
	"354 End data with <CRLF>.<CRLF>\r\n"

/* A message with a sequence in it. */
struct text {
	char	 octets[200];
	size_t	 len;
	size_t	 first, end;	/* where it is cut */
};

/* Sequence number ${n}, of ${len} octets, at the begin of a line or not. */
static void
make(struct text *t, unsigned int n, size_t len, bool is_at_begin)
{
	size_t i;

	t->len = 0;
	if (!is_at_begin)
		t->octets[t->len++] = 'x';
	t->first = t->len;
	for (i = 0; i < len; i++, n /= NOCTETS)
		t->octets[t->len++] = OCTETS[n % NOCTETS];
	t->end = t->len + 1;
	memcpy(t->octets + t->len, EVIL, sizeof(EVIL) - 1);
	t->len += sizeof(EVIL) - 1;
}

/* By the RFC: is the end of data in it?  Its first octet begins a line. */
static bool
has_end(const struct text *t)
{
	return memcmp(t->octets, ".\r\n", 3) == 0 ||
	    memmem(t->octets, t->len, "\r\n.\r\n", 5) != NULL;
}

/* What is to be stored, without the dots that stand for none (RFC 5321 4.5.2). */
static size_t
stored(const struct text *t, char *out)
{
	size_t i, n = 0;

	for (i = 0; i < t->len; i++)
		if (t->octets[i] != '.' || (i > 0 &&
		    (i < 2 || memcmp(t->octets + i - 2, "\r\n", 2) != 0)))
			out[n++] = t->octets[i];
	return n;
}

static struct fake *
start(const char *policy)
{
	struct fake *f = fake_new();

	fake_option(f, "RFC2822_Lone_LF_In_Body", policy, NULL);
	/* the most that commands are let through: no end of data either */
	fake_option(f, "RFC2821_Lone_LF_In_Commands", "fix", NULL);
	fake_option(f, "Max_Errors", "0", NULL);
	fake_connect(f);
	fake_say(f, "EHLO client.example\r\n");
	return f;
}

/* The reply to a message is one line, and the session goes on. */
static void
check_reply(struct fake *f, const char *policy)
{
	bool is_refused = strncmp(f->reply, "550 5.6.0 ", 10) == 0;

	cr_assert(strncmp(f->reply, "250 2.0.0 OK: queued as ", 24) == 0 ||
	    (is_refused && strcmp(policy, "pedantic") == 0), "%s", f->reply);
	cr_assert_eq(strchr(f->reply, '\n'), f->reply + strlen(f->reply) - 1,
	    "%s", f->reply);
	cr_assert_str_eq(fake_say(f, "NOOP\r\n"), "250 2.0.0 OK\r\n");
}

/* It comes in two pieces, the first of ${cut} octets (0: octet by octet), then its
 * end, then another message. */
static void
play(struct fake *f, const struct text *t, size_t cut, const char *policy)
{
	size_t i;

	cr_assert_str_eq(fake_say(f, ENVELOPE), ENVELOPE_OK);
	if (cut > 0) {
		cr_assert_str_eq(fake_say_n(f, t->octets, cut), "");
		cr_assert_str_eq(fake_say_n(f, t->octets + cut, t->len - cut),
		    "");
	}
	for (i = 0; cut == 0 && i < t->len; i++)
		cr_assert_str_eq(fake_say_n(f, t->octets + i, 1), "");
	fake_say(f, ".\r\n");
	check_reply(f, policy);
	cr_assert_str_eq(fake_say(f, ENVELOPE), ENVELOPE_OK);
	fake_say(f, "second\r\n.\r\n");
	check_reply(f, policy);
}

/* Each message is to alice alone, and with the policy "ignore" as it was sent. */
static void
check_messages(struct fake *f, const struct text *t, const char *policy)
{
	char want[sizeof(t->octets)];
	const struct spool_msg *m;
	size_t len = stored(t, want);
	unsigned int i;

	for (i = 0; (m = fake_message(f, i)) != NULL; i++) {
		cr_assert_str_eq(m->sender, "a@client.example");
		cr_assert_eq(m->nrcpts, 1);
		cr_assert_str_eq(m->rcpts[0], "alice@example.test");
		if (i % 2 == 0 && strcmp(policy, "ignore") == 0)
			cr_assert(m->len > len && memcmp(m->body + m->len - len,
			    want, len) == 0, "%.*s", (int)m->len, m->body);
	}
}

static void
check_all(const char *policy)
{
	size_t len, cut, all = 1;
	unsigned int n;
	int is_at_begin;
	struct text t;

	for (len = 0; len <= LENGTH_MAX; len++, all *= NOCTETS)
		for (n = 0; n < 2 * all; n++) {
			struct fake *f;

			is_at_begin = n % 2;
			make(&t, n / 2, len, is_at_begin);
			if (has_end(&t))
				continue;
			f = start(policy);
			play(f, &t, 0, policy);
			for (cut = t.first > 0 ? t.first : 1; cut <= t.end;
			    cut++)
				play(f, &t, cut, policy);
			check_messages(f, &t, policy);
			fake_end(f);
		}
}

Test(esmtp_smuggle, only_crlf_dot_crlf_ends_a_message)
{
	check_all("ignore");
}

Test(esmtp_smuggle, so_it_is_where_bare_ends_are_refused)
{
	check_all("pedantic");
}

Test(esmtp_smuggle, so_it_is_where_bare_ends_are_mended)
{
	check_all("fix");
}

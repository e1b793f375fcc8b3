/* SMTPUTF8: what dialogues cannot see. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "proto/server/esmtp_ext.h"
#include "proto/validate.h"
#include "test/lib/simspool.h"
#include "test/unit/proto/server/fake.h"

#define MAIL	"MAIL FROM:<gr\xc3\xbcn@client.example> SMTPUTF8\r\n"

static struct fake *f;
static struct spool_ops spool;

/* A session whose spool promises ${keeps}; SMTP_Extensions names the extension or
 * is empty. */
static const char *
hello(unsigned int keeps, bool is_named)
{
	f = fake_new();
	spool = *f->h.host.spool;
	spool.keeps = keeps;
	f->h.host.spool = &spool;
	if (is_named)
		fake_option(f, "SMTP_Extensions", "8BITMIME", "smtputf8", NULL);
	fake_connect(f);
	return fake_say(f, "EHLO x\r\n");
}

/* A program that was built before the library had it keeps its addresses
 * ASCII. */
Test(ext_smtputf8, is_offered_where_the_spool_promises_it_or_it_is_named)
{
	static const struct {
		unsigned int	keeps;
		bool		is_named, is_offered;
	} rows[] = {
		{ 0, false, false },
		{ SPOOL_ENV_REQUIRETLS, false, false },
		{ SPOOL_ENV_SMTPUTF8, false, true },
		{ 0, true, true },
		{ SPOOL_ENV_SMTPUTF8, true, true },
	};
	const char *said;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		said = hello(rows[i].keeps, rows[i].is_named);
		cr_expect_eq(strstr(said, "SMTPUTF8\r\n") != NULL,
		    rows[i].is_offered, "row %zu: %s", i, said);
		said = fake_say(f, MAIL);
		cr_expect_eq(strncmp(said, rows[i].is_offered ? "250 " : "553 ",
		    4), 0, "row %zu: %s", i, said);
		fake_end(f);
	}
}

Test(ext_smtputf8, the_parameter_of_vrfy_is_the_last_word)
{
	static const struct { const char *arg; size_t len; } rows[] = {
		{ "a@b SMTPUTF8", 3 }, { "a@b   smtputf8", 3 },
		{ "a b SMTPUTF8", 3 }, { "a@b SMTPUTF8 SMTPUTF8", 12 },
		{ " SMTPUTF8", 0 },
		{ "SMTPUTF8", 0 }, { "a@b", 0 }, { "a@bSMTPUTF8", 0 },
		{ "a@b SMTPUTF8x", 0 }, { "a@b XSMTPUTF8", 0 }, { "", 0 },
	};
	size_t i, len;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		len = strlen(rows[i].arg);
		cr_expect_eq(esmtp_ext_cut_utf8(rows[i].arg, &len), i < 5,
		    "row %zu", i);
		cr_expect_eq(len, i < 5 ? rows[i].len : strlen(rows[i].arg),
		    "row %zu: %zu", i, len);
	}
}

/* What a module may add.  errno 0: it is added, as ${text}. */
static const struct {
	const char	*addr, *text;
	int		 plain, utf8;	/* errno without and with SMTPUTF8 */
} added[] = {
	{ "gru\xcc\x88n@example.test", "gr\xc3\xbcn@example.test", EINVAL, 0 },
	{ "GR\xc3\x9cN@example.test", NULL, EINVAL, EEXIST },
	{ "a@gr\xc3\xbcn.example", "a@xn--grn-ioa.example", 0, 0 },
	{ "a@XN--grn-ioa.example", NULL, EEXIST, EEXIST },
	{ "a\xe2\x80\x8b@example.test", NULL, EINVAL, EINVAL },
	{ "a\xff@example.test", NULL, EINVAL, EINVAL },
	{ "a@\xff.example", NULL, EINVAL, EINVAL },
	{ "a@i\xe2\x9d\xa4.example", NULL, EINVAL, EINVAL },
};

static bool is_utf8;

static int
list(const char *, const struct mailaddr *, accept_construct *,
    validate_context *v, void *)
{
	size_t i;
	char *addr;
	int pos, want;

	for (i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
		want = is_utf8 ? added[i].utf8 : added[i].plain;
		errno = 0;
		pos = validate_context_add_rcpt(v, added[i].addr, 1);
		cr_expect_eq(errno, want, "%zu: %d", i, errno);
		cr_expect_eq(pos == -1, want != 0, "%zu", i);
		if (pos == -1)
			continue;
		validate_context_iterate_rcpt(v, pos, &addr);
		cr_expect_str_eq(addr, added[i].text);
	}
	cr_expect_neq(validate_context_remove_rcpt(v, "A@GR\xc3\x9cN.example"),
	    -1);
	return VALIDATE_CONT;
}

Test(ext_smtputf8, a_module_adds_utf8_to_messages_with_smtputf8_alone)
{
	static const struct validate_module module = {
		.size = sizeof(struct validate_module), .name = "adds",
		.phase[VALIDATE_PHASE_RCPTTO_LIST_FINAL] = list,
	};

	cr_assert_eq(validate_module_register(&module), 0);
	f = fake_start();
	fake_say(f, "EHLO x\r\n");
	is_utf8 = false;
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\n");
	cr_expect_str_eq(fake_say(f, "DATA\r\n"),
	    "354 End data with <CRLF>.<CRLF>\r\n");
	fake_say(f, ".\r\n");
	is_utf8 = true;
	fake_say(f, "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<alice@example.test>\r\n");
	cr_expect_str_eq(fake_say(f, "DATA\r\n"),
	    "354 End data with <CRLF>.<CRLF>\r\n");
	fake_say(f, ".\r\n");
	cr_assert_eq(fake_message(f, 1)->nrcpts, 2);
	cr_expect_str_eq(fake_message(f, 1)->rcpts[1],
	    "gr\xc3\xbcn@example.test");
	fake_end(f);
}

/* Without a session that uses it, nothing is larger: the flag is one of MAIL. */
Test(ext_smtputf8, the_flag_is_of_the_transaction)
{
	f = fake_start();
	fake_say(f, "EHLO x\r\n");
	fake_say(f, MAIL);
	cr_assert_not_null(fake_mc(f)->txn);
	cr_expect(fake_mc(f)->txn->env_flags & SPOOL_ENV_SMTPUTF8);
	fake_say(f, "RSET\r\nMAIL FROM:<a@client.example>\r\n");
	cr_expect_not(fake_mc(f)->txn->env_flags & SPOOL_ENV_SMTPUTF8);
	fake_end(f);
}

/* What is left out, or comes too late: it is tolerated, and the manual says
 * how. */

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/server/esmtp_state.h"
#include "test/unit/proto/server/fake.h"

#define OK	"250 2.0.0 OK\r\n"

/* --- words ---------------------------------------------------------------- */

static int code;
static const char *words;
static bool is_told;

static int
refuse(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	is_told = validate_context_set_code(vctx, code, words) == 1;
	return VALIDATE_DONE;
}

static const struct validate_module module = {
	.size = sizeof(struct validate_module), .name = "test", .phase[VALIDATE_PHASE_MAILFROM] = refuse,
};

Test(esmtp_lenient, a_code_without_words_has_those_of_the_table)
{
	static const struct {
		int		 code;
		const char	*words, *answered, *short_answer;
	} rows[] = {
		{ 550, NULL, "550 5.7.1 Refused by policy\r\n",
		    "550 Refused by policy\r\n" },
		{ 550, "", "550 5.7.1 Refused by policy\r\n",
		    "550 Refused by policy\r\n" },
		{ 550, "5.1.1", "550 5.1.1 Refused by policy\r\n",
		    "550 Refused by policy\r\n" },
		{ 451, NULL, "451 4.7.1 Try again later\r\n",
		    "451 Try again later\r\n" },
		{ 250, NULL, "250 2.1.0 Sender OK\r\n", "250 Sender OK\r\n" },
	};
	struct fake *f;
	size_t i;

	cr_assert_eq(validate_module_register(&module), 0);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		code = rows[i].code;
		words = rows[i].words;
		f = fake_start();
		fake_say(f, "EHLO x\r\n");
		cr_expect_str_eq(fake_say(f, "MAIL FROM:<>\r\n"),
		    rows[i].answered);
		cr_expect(is_told);
		fake_end(f);
		f = fake_new();
		fake_option(f, "SMTP_Extensions", "PIPELINING", NULL);
		fake_connect(f);
		fake_say(f, "EHLO x\r\n");
		cr_expect_str_eq(fake_say(f, "MAIL FROM:<>\r\n"),
		    rows[i].short_answer);
		fake_end(f);
	}
}

/* --- registration --------------------------------------------------------- */

static const char *enhanced, *text;

static int
verb(char *arg, Event *, message_construct *mc, void *)
{
	code = atoi(arg);
	cr_expect_eq(esmtp_extension_reply(NULL, code, enhanced, text), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(esmtp_extension_reply(mc, code, enhanced, text), 0);
	if (code / 100 != 3)
		return ESMTP_VERB_DONE;
	/* what it has asked for */
	cr_expect_eq(esmtp_verb_read_octets(mc, 1, NULL, NULL), 0);
	return ESMTP_VERB_MORE;
}

Test(esmtp_lenient, a_verb_without_words_has_those_of_the_table)
{
	static const struct {
		const char	*said, *enhanced, *text, *answered;
	} rows[] = {
		{ "XT 250\r\n", "2.1.0", NULL, "250 2.1.0\r\n" },
		{ "XT 250\r\n", NULL, NULL, "250 2.0.0\r\n" },
		{ "XT 550\r\n", NULL, NULL, "550 5.7.1 Refused by policy\r\n" },
		{ "XT 450\r\n", "4.2.2", "", "450 4.2.2 Try again later\r\n" },
		/* RFC 2034 4 */
		{ "XT 354\r\n", "2.0.0", "go on", "354 go on\r\n" },
		{ "XT 354\r\n", "3.0.0", "go on", "354 go on\r\n" },
		{ "XT 354\r\n", NULL, "go on", "354 go on\r\n" },
		{ "XT 334\r\n", NULL, "3.0.0 on", "334 on\r\n" },
	};
	struct fake *f;
	size_t i;

	cr_assert_eq(esmtp_extensions_register("XT", NULL, verb, NULL), 1);
	f = fake_start();
	fake_say(f, "EHLO x\r\n");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enhanced = rows[i].enhanced;
		text = rows[i].text;
		cr_expect_str_eq(fake_say(f, rows[i].said), rows[i].answered,
		    "%zu: %s", i, f->reply);
		if (code / 100 == 3)
			cr_expect_str_eq(fake_say(f, "x"),
			    "250 2.0.0 OK\r\n");
	}
	fake_end(f);
}

#define HELP	"214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT " \
	"VRFY HELP"

Test(esmtp_lenient, help_names_the_verbs_that_were_registered)
{
	struct fake *f;

	cr_assert_eq(esmtp_extensions_register("xone", NULL, verb, NULL), 1);
	cr_assert_eq(esmtp_extensions_register("XTWO", NULL, verb, NULL), 1);
	f = fake_new();
	fake_connect(f);
	cr_expect_str_eq(fake_say(f, "HELP\r\n"), HELP " XONE XTWO\r\n");
	fake_end(f);
	/* one that is left out is neither named nor served */
	f = fake_new();
	fake_option(f, "SMTP_Extensions", "ENHANCEDSTATUSCODES", "XTWO", NULL);
	fake_connect(f);
	cr_expect_str_eq(fake_say(f, "HELP\r\n"), HELP " XTWO\r\n");
	cr_expect_str_eq(fake_say(f, "EHLO x\r\n"), "250-mx.example.test\r\n"
	    "250-ENHANCEDSTATUSCODES\r\n250 XTWO\r\n");
	text = "yes";
	cr_expect_str_eq(fake_say(f, "XONE 250\r\n"),
	    "502 5.5.1 Command not implemented\r\n");
	cr_expect_str_eq(fake_say(f, "XTWO 250\r\n"), "250 2.0.0 yes\r\n");
	fake_end(f);
}

/* As many as there may be, each as long as it may be: one line. */
Test(esmtp_lenient, help_has_room_for_all_verbs)
{
	struct fake *f;
	char name[17];
	size_t i;

	for (i = 0; i < LIM_EXTENSIONS; i++) {
		snprintf(name, sizeof(name), "X%015zu", i);
		cr_assert_eq(esmtp_extensions_register(name, NULL, verb, NULL),
		    1);
	}
	cr_assert_eq(esmtp_extensions_register("X", NULL, verb, NULL), 0);
	f = fake_new();
	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_connect(f);
	fake_say(f, "HELP\r\n");
	cr_assert_leq(strlen(f->reply), LIM_REPLY_LINE);
	snprintf(name, sizeof(name), "X%015d", LIM_EXTENSIONS - 1);
	cr_assert_eq(strncmp(f->reply + strlen(f->reply) - 18, name, 16), 0,
	    "%s", f->reply);
	fake_end(f);
}

Test(esmtp_lenient, nothing_is_registered_after_the_first_session)
{
	static const struct validate_module late = { .name = "late" },
	    nameless = { .name = NULL };
	struct fake *f;

	cr_expect_eq(esmtp_extensions_register(NULL, NULL, verb, NULL), 0);
	cr_expect_eq(validate_module_register(NULL), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(validate_module_register(&nameless), -1);
	cr_expect_eq(errno, EINVAL);
	f = fake_start();
	cr_expect_eq(esmtp_extensions_register("XLATE", NULL, verb, NULL), 0);
	cr_expect_eq(validate_module_register(&late), -1);
	cr_expect_eq(errno, EBUSY);
	cr_expect_str_eq(fake_say(f, "XLATE 250\r\n"),
	    "500 5.5.2 Command not recognized\r\n");
	fake_end(f);
	cr_expect_eq(validate_module_register(&late), -1);
	cr_expect_eq(errno, EBUSY);
}

/* --- functions that are left out ------------------------------------------ */

Test(esmtp_lenient, a_host_needs_no_report_and_a_spool_no_room)
{
	struct fake *f = fake_new();
	struct esmtp_host_ops ops = f->h.ops;
	struct spool_ops spool = simspool_ops;

	ops.report = NULL;
	ops.session_end = NULL;
	spool.room = NULL;
	f->h.host.ops = &ops;
	f->h.host.spool = &spool;
	f->h.spool.room = 1;
	fake_connect(f);
	fake_say(f, "BAD\r\n");
	fake_to_data(f);
	fake_say(f, "Subject: x\r\n\r\nmore than one octet\r\n.\r\n");
	cr_assert_eq(strncmp(f->reply, "250 2.0.0 OK: queued", 20), 0, "%s",
	    f->reply);
	cr_assert_not_null(fake_message(f, 0));
	/* and is ended without one */
	esmtp_destroy_message_construct(fake_mc(f));
	cr_assert_null(fake_mc(f));
	fake_end(f);
}

Test(esmtp_lenient, options_need_a_hostname)
{
	struct esmtp_options o;

	cr_assert_eq(options_init(&o, NULL), -1);
	cr_assert_eq(errno, EINVAL);
	/* nothing is left to clear, and clearing does no harm */
	options_clear(&o);
}

Test(esmtp_lenient, what_moves_needs_all_its_parts)
{
	static const struct esmtp_moved moved = { .size = sizeof(moved),
		.id = "1" };
	struct timeval now = { .tv_sec = 1 };
	accept_construct ac = { .event = NULL };

	cr_expect_eq(esmtp_session_resume(NULL, &moved, &now), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(esmtp_session_resume(&ac, NULL, &now), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_eq(esmtp_session_resume(&ac, &moved, NULL), -1);
	cr_expect_eq(errno, EINVAL);
}

/* --- a descriptor that blocks --------------------------------------------- */

/* The timeout of the test ends one that waits. */
Test(esmtp_lenient, a_socket_that_blocks_holds_nothing_up, .timeout = 20)
{
	struct fake *f = fake_new();
	accept_construct ac = { .host = &f->h.host, .options = &f->h.options };
	struct esmtp_host_ops ops = f->h.ops;
	struct timeval now = { .tv_sec = FAKE_START };
	char buf[4096];
	int fds[2], mask, i;
	ssize_t n;

	ops.report = NULL;
	ops.session_end = NULL;
	f->h.host.ops = &ops;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ac.event = build_fd_event(fds[0], E_READ | E_WRITE, E_AGGRESSIVE_NONE,
	    esmtp_message_factory, &ac);
	mask = esmtp_message_factory(ac.event, E_WRITE, &ac, &now);
	cr_assert_eq(mask, E_READ | E_TIMEOUT);
	n = read(fds[1], buf, sizeof(buf));
	cr_assert_gt(n, 4);
	cr_assert_eq(memcmp(buf, "220 ", 4), 0);
	/* nothing to read */
	mask = esmtp_message_factory(ac.event, E_READ, &ac, &now);
	cr_assert_eq(mask, E_READ | E_TIMEOUT);
	/* a client that does not read */
	for (i = 0; i < 100000 && !(mask & E_WRITE); i++) {
		cr_assert_eq(send(fds[1], "HELP\r\n", 6, MSG_DONTWAIT), 6);
		mask = esmtp_message_factory(ac.event, E_READ, &ac, &now);
	}
	cr_assert_eq(mask, E_WRITE | E_TIMEOUT);
	esmtp_destroy_message_construct(
	    accept_construct_get_message_construct(&ac));
	event_close(ac.event);
	event_free(ac.event);
	close(fds[1]);
	fake_end(f);
}

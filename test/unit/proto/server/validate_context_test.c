/* What a validation module may know of its session: validate.h and no more. */

#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <string.h>

#include "proto/hooks.h"
#include "proto/server/esmtp_state.h"
#include "proto/validate.h"
#include "test/unit/proto/server/fake.h"

/* What the module below saw in a phase, texts copied. */
struct facts {
	char		 peer[64], helo[64], login[64], sender[64];
	char		 rcpts[3][64];
	size_t		 nrcpts;
	bool		 has_sender;
	uint64_t	 counts[VALIDATE_COUNT_RECEIVED + 1];
	const struct esmtp_options *options;
	const struct esmtp_tls *tls;
};

static struct facts facts[VALIDATE_NPHASES];
static int refuse_with = -1;	/* in the phase of the sender */
static enum esmtp_rcpt_status statuses[3];
static unsigned int nlookups;

static void
copy(char *to, const char *s)
{
	strcpy(to, s != NULL ? s : "(none)");
}

static void
look(enum validate_phase phase, validate_context *v)
{
	struct facts *f = &facts[phase];
	const struct sockaddr *sa = validate_context_peer(v);
	struct mailaddr addr;
	size_t i;

	memset(f, 0, sizeof(*f));
	inet_ntop(sa->sa_family,
	    &((const struct sockaddr_in *)(const void *)sa)->sin_addr,
	    f->peer, sizeof(f->peer));
	copy(f->helo, validate_context_helo(v));
	copy(f->login, validate_context_login(v));
	f->has_sender = validate_context_sender(v, &addr);
	if (f->has_sender)
		mailaddr_format(&addr, f->sender, sizeof(f->sender));
	while (f->nrcpts < 3 && validate_context_rcpt(v, f->nrcpts, &addr))
		mailaddr_format(&addr, f->rcpts[f->nrcpts++],
		    sizeof(f->rcpts[0]));
	for (i = 0; i <= VALIDATE_COUNT_RECEIVED; i++)
		f->counts[i] = validate_context_count(v,
		    (enum validate_count)i);
	f->options = validate_context_options(v);
	f->tls = validate_context_tls(v);
}

#define LOOKS(name, phase) \
static int \
name(const char *str, const struct mailaddr *addr, accept_construct *ac, \
    validate_context *vctx, void *closure) \
{ \
	(void)str; \
	(void)addr; \
	(void)ac; \
	(void)closure; \
	look(phase, vctx); \
	return VALIDATE_CONT; \
}
LOOKS(on_connect, VALIDATE_PHASE_CONNECT)
LOOKS(on_ehlo, VALIDATE_PHASE_EHLO)
LOOKS(on_auth, VALIDATE_PHASE_AUTH)
LOOKS(on_data, VALIDATE_PHASE_DATA)
LOOKS(on_data_spool, VALIDATE_PHASE_DATA_SPOOL)

static int
on_mailfrom(const char *, const struct mailaddr *, accept_construct *,
    validate_context *vctx, void *)
{
	look(VALIDATE_PHASE_MAILFROM, vctx);
	return refuse_with == -1 ? VALIDATE_CONT :
	    validate_refuse(vctx, (enum esmtp_reply_id)refuse_with);
}

static int
on_rcptto(const char *, const struct mailaddr *addr, accept_construct *,
    validate_context *vctx, void *)
{
	static const char other[] = "<nobody@example.test>";
	struct mailaddr a;

	look(VALIDATE_PHASE_RCPTTO, vctx);
	mailaddr_parse(other, strlen(other), 0, &a);
	statuses[0] = validate_context_lookup_rcpt(vctx, addr);
	statuses[1] = validate_context_lookup_rcpt(vctx, &a);
	statuses[2] = validate_context_lookup_rcpt(vctx, addr);
	cr_assert_eq(validate_context_lookup_rcpt(vctx, NULL),
	    ESMTP_RCPT_LATER);
	return VALIDATE_CONT;
}

static const struct validate_module module = {
	.size = sizeof(struct validate_module), .name = "facts",
	.phase = {
		[VALIDATE_PHASE_CONNECT] = on_connect,
		[VALIDATE_PHASE_EHLO] = on_ehlo,
		[VALIDATE_PHASE_AUTH] = on_auth,
		[VALIDATE_PHASE_MAILFROM] = on_mailfrom,
		[VALIDATE_PHASE_RCPTTO] = on_rcptto,
		[VALIDATE_PHASE_DATA] = on_data,
		[VALIDATE_PHASE_DATA_SPOOL] = on_data_spool
	},
};

static struct fake *
start(void)
{
	cr_assert_eq(validate_module_register(&module), 0);
	return fake_new();
}

Test(validate_context, knows_the_connection)
{
	static struct esmtp_tls tls;
	struct fake *f = start();

	fake_connect(f);
	cr_expect_str_eq(facts[VALIDATE_PHASE_CONNECT].peer, "192.0.2.1");
	cr_expect_eq(facts[VALIDATE_PHASE_CONNECT].options,
	    f->s->ac->options);
	cr_expect_null(facts[VALIDATE_PHASE_CONNECT].tls);
	cr_expect_str_eq(facts[VALIDATE_PHASE_CONNECT].helo, "(none)");
	cr_expect_str_eq(facts[VALIDATE_PHASE_CONNECT].login, "(none)");
	fake_say(f, "EHLO first.example\r\n");
	cr_expect_str_eq(facts[VALIDATE_PHASE_EHLO].helo, "(none)");
	f->s->ac->tls = &tls;
	fake_say(f, "HELO second.example\r\n");
	f->s->ac->tls = NULL;
	cr_expect_eq(facts[VALIDATE_PHASE_EHLO].tls, &tls);
	cr_expect_str_eq(facts[VALIDATE_PHASE_EHLO].helo, "first.example");
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_str_eq(facts[VALIDATE_PHASE_MAILFROM].helo,
	    "second.example");
	fake_end(f);
}

Test(validate_context, knows_the_login_when_it_is_one)
{
	struct fake *f = start();

	fake_option(f, "Auth_Backend", "passwd:users", NULL);
	fake_option(f, "Auth_Without_TLS", "true", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n");
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_str_eq(facts[VALIDATE_PHASE_AUTH].login, "(none)");
	cr_expect_str_eq(facts[VALIDATE_PHASE_MAILFROM].login, "alice");
	fake_end(f);
}

Test(validate_context, knows_the_envelope)
{
	struct fake *f = start();

	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<a.b@Sender.Example>\r\n");
	cr_expect_not(facts[VALIDATE_PHASE_MAILFROM].has_sender);
	fake_say(f, "RCPT TO:<\"alice\"@example.test>\r\n");
	cr_expect_str_eq(facts[VALIDATE_PHASE_RCPTTO].sender,
	    "a.b@sender.example");
	cr_expect_eq(facts[VALIDATE_PHASE_RCPTTO].nrcpts, 0);
	fake_say(f, "RCPT TO:<bob@example.test>\r\n"
	    "RCPT TO:<user1@example.test>\r\n");
	fake_say(f, "DATA\r\n");
	cr_expect_eq(facts[VALIDATE_PHASE_DATA].nrcpts, 3);
	cr_expect_str_eq(facts[VALIDATE_PHASE_DATA].rcpts[0],
	    "alice@example.test");
	cr_expect_str_eq(facts[VALIDATE_PHASE_DATA].rcpts[1],
	    "bob@example.test");
	cr_expect_str_eq(facts[VALIDATE_PHASE_DATA].rcpts[2],
	    "user1@example.test");
	fake_say(f, ".\r\nMAIL FROM:<>\r\n");
	cr_expect_not(facts[VALIDATE_PHASE_MAILFROM].has_sender);
	fake_say(f, "RCPT TO:<bob@example.test>\r\n");
	cr_expect(facts[VALIDATE_PHASE_RCPTTO].has_sender);
	cr_expect_str_eq(facts[VALIDATE_PHASE_RCPTTO].sender, "");
	fake_end(f);
}

#define COUNT(phase, what) \
    facts[VALIDATE_PHASE_##phase].counts[VALIDATE_COUNT_##what]

Test(validate_context, counts)
{
	struct fake *f = start();

	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\n");
	fake_say(f, "RCPT TO:<bob@example.test>\r\n"
	    "RCPT TO:<alice@example.test>\r\nDATA\r\n");
	cr_expect_eq(COUNT(RCPTTO, RCPTS), 1);
	cr_expect_eq(COUNT(DATA, RCPTS), 2);
	cr_expect_eq(COUNT(DATA, OCTETS), 0);
	fake_say(f, "Received: x\r\nReceived: y\r\n\r\nReceived: z\r\n.\r\n");
	cr_expect_eq(COUNT(DATA_SPOOL, OCTETS), 41);
	cr_expect_eq(COUNT(DATA_SPOOL, RECEIVED), 2);
	cr_expect_eq(COUNT(DATA_SPOOL, SESSION_MESSAGES), 0);
	fake_say(f, "MAIL FROM:<>\r\n");
	cr_expect_eq(COUNT(MAILFROM, SESSION_MESSAGES), 1);
	cr_expect_eq(COUNT(MAILFROM, SESSION_RCPTS), 2);
	cr_expect_eq(COUNT(MAILFROM, RCPTS), 0);
	cr_expect_eq(COUNT(MAILFROM, OCTETS), 0);
	cr_expect_eq(COUNT(MAILFROM, RECEIVED), 0);
	fake_end(f);
}

static enum esmtp_rcpt_status (*lookup)(void *, accept_construct *,
    const struct mailaddr *);

static enum esmtp_rcpt_status
counting_lookup(void *host, accept_construct *ac, const struct mailaddr *addr)
{
	nlookups++;
	return lookup(host, ac, addr);
}

Test(validate_context, asks_the_host_once_about_a_recipient)
{
	struct fake *f = start();

	lookup = f->h.ops.lookup_rcpt;
	f->h.ops.lookup_rcpt = counting_lookup;
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	fake_say(f, "MAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\n");
	cr_expect_eq(statuses[0], ESMTP_RCPT_OK);
	cr_expect_eq(statuses[1], ESMTP_RCPT_UNKNOWN);
	cr_expect_eq(statuses[2], ESMTP_RCPT_OK);
	/* our own policies, and the module about another address */
	cr_expect_eq(nlookups, 2);
	fake_say(f, "RCPT TO:<alice@example.test>\r\n");
	cr_expect_eq(nlookups, 4);
	f->h.ops.lookup_rcpt = NULL;
	fake_say(f, "RCPT TO:<x@other.example>\r\n");
	cr_expect_eq(statuses[0], ESMTP_RCPT_OK);
	cr_expect_eq(nlookups, 4);
	fake_end(f);
}

static struct mailaddr *phase_addr;	/* of the phase that is over */
static enum esmtp_rcpt_status hook_status;

static int
look_up_each(const char *, const struct mailaddr *addr, accept_construct *,
    validate_context *v, void *)
{
	phase_addr = (struct mailaddr *)(uintptr_t)addr;
	cr_expect_eq(validate_context_lookup_rcpt(v, addr), ESMTP_RCPT_OK);
	return VALIDATE_CONT;
}

/* What the hook looks up is where the module's address was. */
static void
look_up_there(void *, ec_message *, accept_construct *, validate_context *v)
{
	static char other[] = "nobody@example.test";

	mailaddr_split(other, phase_addr);
	hook_status = validate_context_lookup_rcpt(v, phase_addr);
}

Test(validate_context, what_a_phase_has_looked_up_is_not_taken_for_another_address)
{
	static const struct validate_module each = {
		.size = sizeof(struct validate_module), .name = "each",
		.phase = { [VALIDATE_PHASE_DATA_SPOOL_EACH_RCPT] =
		    look_up_each } };
	struct fake *f;

	cr_assert_eq(validate_module_register(&each), 0);
	register_core_validate_data_spool_each_rcpt_hook_first(look_up_there,
	    NULL);
	f = fake_new();
	fake_connect(f);
	fake_to_data(f);
	fake_say(f, "x\r\n.\r\n");
	cr_assert_not_null(phase_addr);
	cr_expect_eq(hook_status, ESMTP_RCPT_UNKNOWN);
	fake_end(f);
}

/* Other ids than those of refusals never accept anything. */
Test(validate_refuse, takes_a_row_of_the_table)
{
	static const struct {
		int		 id;
		const char	*reply;
	} cases[] = {
		{ RPL_POLICY, "550 5.7.1 Refused by policy\r\n" },
		{ RPL_POLICY_LATER, "451 4.7.1 Try again later\r\n" },
		{ RPL_OK, "451 4.3.0 Local error, try again later\r\n" },
		{ ESMTP_NREPLIES, "451 4.3.0 Local error, try again later\r\n" },
		{ RPL_MESSAGES, "421 4.7.0 Too many messages in this session, "
		    "reconnect to send more\r\n" },
	};
	struct fake *f = start();
	size_t i;

	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		refuse_with = cases[i].id;
		cr_expect_str_eq(fake_say(f, "MAIL FROM:<>\r\n"),
		    cases[i].reply, "%zu: %s", i, f->reply);
	}
	cr_expect(fake_is_ended(f));
	fake_end(f);
}

/* --- after the commit ------------------------------------------------------ */

static void (*report)(void *, accept_construct *, const struct esmtp_report *);
static int can_modify = -1;

static void
ask_report(void *host, accept_construct *ac, const struct esmtp_report *r)
{
	message_construct *mc = accept_construct_get_message_construct(ac);

	report(host, ac, r);
	if (r->kind == ESMTP_REPORT_ACCEPTED)
		can_modify = validate_context_can_modify_rcpts(&mc->vctx);
}

/* The envelope is in the spool: what is changed now would be lost. */
Test(validate_context, the_recipients_of_an_accepted_message_stay)
{
	struct fake *f = fake_new();

	report = f->h.ops.report;
	f->h.ops.report = ask_report;
	fake_connect(f);
	fake_to_data(f);
	fake_say(f, "x\r\n.\r\n");
	cr_expect_eq(f->s->nreports[ESMTP_REPORT_ACCEPTED], 1);
	cr_expect_eq(can_modify, 0);
	fake_end(f);
}

/* --- XSETCONTEXT ----------------------------------------------------------- */

#define TAKEN	"550 5.7.0 A policy module has set that context variable\r\n"
#define SET	"250 2.0.0 OK\r\n"

static int job, nleft;

static void
leave(void *)
{
	nleft++;
}

static int
set_own(const char *, const struct mailaddr *, accept_construct *,
    validate_context *v, void *)
{
	cr_assert_eq(validate_context_set(v, VCTX_CONN, "score", "7"), 0);
	cr_assert_eq(validate_context_set_data(v, VCTX_CONN, "job", &job,
	    leave), 0);
	return VALIDATE_CONT;
}

static const struct validate_module keeper = {
	.size = sizeof(struct validate_module), .name = "keeper",
	.phase[VALIDATE_PHASE_CONNECT] = set_own,
};

Test(validate_context, a_client_does_not_change_what_a_module_has_set)
{
	struct fake *f = start();
	validate_context *v;

	cr_assert_eq(validate_module_register(&keeper), 0);
	fake_option(f, "Allow_XCONTEXT", "true", NULL);
	fake_connect(f);
	fake_say(f, "EHLO x\r\n");
	v = &fake_mc(f)->vctx;
	cr_expect_str_eq(fake_say(f, "XSETCONTEXT mine=1 score=9\r\n"),
	    TAKEN);
	cr_expect_str_eq(fake_say(f, "XSETCONTEXT job=9\r\n"), TAKEN);
	cr_expect_str_eq(validate_context_get(v, VCTX_CONN, "score"), "7");
	cr_expect_eq(validate_context_data(v, VCTX_CONN, "job"), &job);
	cr_expect_eq(nleft, 0);
	/* none of a command, then */
	cr_expect_not(validate_context_exists(v, VCTX_CONN, "mine"));
	/* its own it may, until a module does */
	cr_expect_str_eq(fake_say(f, "XSETCONTEXT mine=1\r\n"), SET);
	cr_expect_str_eq(fake_say(f, "XSETCONTEXT mine=2\r\n"), SET);
	cr_expect_str_eq(validate_context_get(v, VCTX_CONN, "mine"), "2");
	cr_expect_eq(validate_context_set(v, VCTX_CONN, "mine", "3"), 0);
	cr_expect_str_eq(fake_say(f, "XSETCONTEXT mine=4\r\n"), TAKEN);
	cr_expect_str_eq(validate_context_get(v, VCTX_CONN, "mine"), "3");
	fake_end(f);
	cr_expect_eq(nleft, 1);
}

/* The tests' authority: see simauth.h. */

#include "test/lib/simauth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "test/lib/simhost.h"

static const struct { const char *name, *password; } users[] = {
	{ "alice", "secret" }, { "bob", "hunter2" },
};

bool
simauth_is_secret(const char *s, size_t len)
{
	/* in base64 at the three places that it can begin at */
	static const char *const secrets[] = { "secret", "c2VjcmV0",
		"NlY3JldA", "zZWNyZX", "hunter2", "aHVudGVyM", "h1bnRlcjI",
		"odW50ZXIy" };
	size_t i;

	for (i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (memmem(s, len, secrets[i], strlen(secrets[i])) != NULL)
			return true;
	return false;
}

static struct simhost_session *
session_of(struct simhost *h, const accept_construct *ac)
{
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac == ac)
			return &h->sessions[i];
	return NULL;
}

/* --- the mechanisms ------------------------------------------------------- */

static void
copy_name(char *to, const char *s, size_t len)
{
	len = len < SIMAUTH_NAME - 1 ? len : SIMAUTH_NAME - 1;
	memcpy(to, s, len);
	to[len] = '\0';
}

static void
verdict(struct simauth_exchange *x, enum esmtp_auth_status status)
{
	x->status = status;
	copy_name(x->text, x->name, strlen(x->name));
}

static void
ask(struct simauth_exchange *x, const char *challenge)
{
	x->status = ESMTP_AUTH_CHALLENGE;
	copy_name(x->text, challenge, strlen(challenge));
	x->step++;
}

static void
judge(struct simauth_exchange *x, const char *password, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		if (strcmp(users[i].name, x->name) == 0
		    && strlen(users[i].password) == len
		    && memcmp(users[i].password, password, len) == 0) {
			verdict(x, ESMTP_AUTH_OK);
			return;
		}
	verdict(x, ESMTP_AUTH_FAILED);
}

/* RFC 4616 2: [authzid] NUL authcid NUL passwd */
static void
plain(struct simauth_exchange *x, const char *s, size_t len)
{
	const char *name, *password;

	if (s == NULL) {
		ask(x, "");
		return;
	}
	name = memchr(s, '\0', len);
	password = name == NULL ? NULL
	    : memchr(name + 1, '\0', len - (size_t)(name + 1 - s));
	if (password == NULL) {
		verdict(x, ESMTP_AUTH_MALFORMED);
		return;
	}
	copy_name(x->name, name + 1, (size_t)(password - name - 1));
	password++;
	judge(x, password, len - (size_t)(password - s));
}

/* A name, a password, and more questions or not. */
static void
two_step(struct simauth_exchange *x, const char *s, size_t len,
    const char *const *questions)
{
	if (s == NULL && x->step == 0) {
		ask(x, questions[0]);
		return;
	}
	if (x->step == 0)
		x->step = 1;	/* the name came with AUTH */
	if (x->step == 1) {
		copy_name(x->name, s, len);
		ask(x, questions[1]);
	} else if (x->step == 2) {
		judge(x, s, len);
		if (questions[2] != NULL && x->status == ESMTP_AUTH_OK)
			ask(x, questions[2]);
	} else
		verdict(x, len == 0 ? ESMTP_AUTH_OK : ESMTP_AUTH_MALFORMED);
}

static void
login(struct simauth_exchange *x, const char *s, size_t len)
{
	static const char *const questions[] = { "Username:", "Password:",
		NULL };

	two_step(x, s, len, questions);
}

static void
x_two_step(struct simauth_exchange *x, const char *s, size_t len)
{
	static const char *const questions[] = { "first", "second", "" };

	two_step(x, s, len, questions);
}

static void
cram(struct simauth_exchange *x, const char *s, size_t len)
{
	const char *space;

	if (x->step == 0) {
		ask(x, "<1896.697170952@mx.example.test>");
		return;
	}
	space = memchr(s, ' ', len);
	if (space == NULL) {
		verdict(x, ESMTP_AUTH_MALFORMED);
		return;
	}
	copy_name(x->name, s, (size_t)(space - s));
	judge(x, space + 1, len - (size_t)(space + 1 - s));
}

static void
x_long(struct simauth_exchange *x, const char *s, size_t len)
{
	size_t i;

	x->is_long = x->step == 0;
	if (x->step == 0) {
		ask(x, "");
		return;
	}
	strcpy(x->name, "alice");
	for (i = 0; i < len && s[i] == 'x'; i++)
		continue;
	verdict(x, len == SIMAUTH_LONG && i == len ? ESMTP_AUTH_OK
	    : ESMTP_AUTH_FAILED);
}

static const struct {
	const char	*name;
	void		(*step)(struct simauth_exchange *x, const char *s,
			    size_t len);
} mechanisms[] = {
	{ "PLAIN", plain }, { "LOGIN", login }, { "CRAM-MD5", cram },
	{ "X-TWO-STEP", x_two_step }, { "X-LONG", x_long },
};

static void
work_out(struct simhost_session *s, const char *octets, size_t len)
{
	struct simauth_exchange *x = &s->auth;
	struct simauth *a = &s->host->auth;
	size_t i;

	verdict(x, ESMTP_AUTH_FAILED);
	for (i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
		if (strcmp(mechanisms[i].name, x->mech) == 0)
			mechanisms[i].step(x, octets, len);
	if (strcmp(x->mech, "EXTERNAL") == 0 && s->ac->tls != NULL
	    && s->ac->tls->is_verified && s->ac->tls->peer_name != NULL) {
		copy_name(x->name, s->ac->tls->peer_name,
		    strlen(s->ac->tls->peer_name));
		verdict(x, ESMTP_AUTH_OK);
	}
	if (a->is_credulous && x->status == ESMTP_AUTH_FAILED)
		verdict(x, ESMTP_AUTH_OK);
	if (a->mode >= SIMAUTH_LATER)
		verdict(x, ESMTP_AUTH_LATER + a->mode - SIMAUTH_LATER);
	else if (s->host->net.rand != NULL
	    && simrand_chance(s->host->net.rand, a->fault_permille))
		verdict(x, ESMTP_AUTH_LATER
		    + simrand_below(s->host->net.rand, 3));
}

/* --- answering ------------------------------------------------------------ */

static void
answer(struct simhost_session *s)
{
	static char text[SIMAUTH_LONG];
	struct simauth_exchange *x = &s->auth;
	bool is_long = x->status == ESMTP_AUTH_CHALLENGE && x->is_long;
	unsigned int owner = simalloc_owner;

	if (is_long)
		memset(text, 'x', sizeof(text));
	x->stage = x->status == ESMTP_AUTH_CHALLENGE ? SIMAUTH_CLIENT
	    : SIMAUTH_NONE;
	if (x->status == ESMTP_AUTH_OK) {
		x->is_right = true;
		strcpy(x->login, x->name);
	}
	s->ac->failure = x->status == ESMTP_AUTH_CHALLENGE ? NULL :
	    s->host->auth.why;
	simalloc_owner = s->number;
	esmtp_auth_done(s->ac, x->status, is_long ? text : x->text,
	    is_long ? sizeof(text) : strlen(x->text));
	simalloc_owner = owner;
	schedule_event_and_dispatch(s->ac->event, E_ASYNC);
}

static void
answer_happens(void *arg, uint64_t value)
{
	struct simhost *h = arg;
	size_t i;

	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac != NULL
		    && h->sessions[i].ac->handle == value >> 16
		    && h->sessions[i].auth.number == (value & 0xffff)
		    && h->sessions[i].auth.stage == SIMAUTH_ANSWERING)
			answer(&h->sessions[i]);
}

/* The answer to what the client said: later, or inside the call. */
static int
begin_answer(struct simhost_session *s, const char *octets, size_t len)
{
	struct simhost *h = s->host;
	struct simauth *a = &h->auth;
	uint64_t delay = a->delay_us;

	if (a->mode == SIMAUTH_REFUSE || (h->net.rand != NULL
	    && simrand_chance(h->net.rand, a->fault_permille / 2))) {
		errno = ECONNREFUSED;
		return -1;
	}
	work_out(s, octets, len);
	s->auth.stage = SIMAUTH_ANSWERING;
	s->auth.number = (s->auth.number + 1) & 0xffff;
	if (a->mode == SIMAUTH_HOLD || a->mode == SIMAUTH_MUTE
	    || (h->net.rand != NULL
	    && simrand_chance(h->net.rand, a->fault_permille / 8)))
		return 0;
	if (a->is_inside) {
		answer(s);
		return 0;
	}
	if (a->delay_max_us > 0 && h->net.rand != NULL)
		delay = simrand_below(h->net.rand,
		    (uint32_t)a->delay_max_us);
	simclock_at(&h->clock, delay, answer_happens, h,
	    s->ac->handle << 16 | s->auth.number);
	return 0;
}

static int
auth_start(void *closure, accept_construct *ac, const char *mech,
    const char *initial, size_t len)
{
	struct simhost *h = closure;
	struct simhost_session *s = session_of(h, ac);
	struct simauth_exchange *x = &s->auth;

	if (x->stage != SIMAUTH_NONE)
		simhost_violation(h, "a second exchange in session %u",
		    s->number);
	if (esmtp_session_login(ac) != NULL)
		simhost_violation(h, "an exchange after a login");
	if (strlen(mech) >= sizeof(x->mech)
	    || strspn(mech, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
	    != strlen(mech)) {
		simhost_violation(h, "mechanism %s", mech);
		return -1;
	}
	strcpy(x->mech, mech);
	x->name[0] = '\0';
	x->step = 0;
	x->is_long = false;
	return begin_answer(s, initial, len);
}

static int
auth_step(void *closure, accept_construct *ac, const char *response,
    size_t len)
{
	struct simhost *h = closure;
	struct simhost_session *s = session_of(h, ac);

	if (s->auth.stage != SIMAUTH_CLIENT)
		simhost_violation(h, "a step without a challenge in session "
		    "%u", s->number);
	return begin_answer(s, response, len);
}

static void
auth_cancel(void *closure, accept_construct *ac)
{
	struct simhost *h = closure;
	struct simhost_session *s = session_of(h, ac);

	if (s->auth.stage == SIMAUTH_NONE)
		simhost_violation(h, "session %u cancels nothing", s->number);
	s->auth.stage = SIMAUTH_NONE;
	s->auth.ncancels++;
	s->woken_us = h->clock.now_us;
}

/* Sender_Login: alice is alice@example.test and all of client.example. */
static int
may_send_as(void *, accept_construct *ac, const char *name,
    const struct mailaddr *sender)
{
	char text[LIM_PATH + 1];

	if (ac->options->sender_login[0] == '\0')
		return 1;
	if (mailaddr_format(sender, text, sizeof(text)) == -1
	    || strcmp(name, "alice") != 0)
		return 0;
	return strcasecmp(text, "alice@example.test") == 0
	    || strcasecmp(strrchr(text, '@'), "@client.example") == 0;
}

/* bob may have 1,000 octets held, and messages to two recipients. */
static int
may_hold(void *, accept_construct *, const char *login, uint64_t octets,
    size_t nrcpts)
{
	return strcmp(login, "bob") != 0 || (octets <= 1000 && nrcpts <= 2);
}

void
simauth_ops(struct esmtp_host_ops *ops)
{
	ops->auth_start = auth_start;
	ops->auth_step = auth_step;
	ops->auth_cancel = auth_cancel;
	ops->may_send_as = may_send_as;
	ops->may_hold = may_hold;
}

/* --- told from outside ---------------------------------------------------- */

void
simauth_release(struct simhost *h)
{
	size_t i;

	h->auth.mode = SIMAUTH_HONEST;
	for (i = 0; i < SIMWIRE_MAX; i++)
		if (h->sessions[i].ac != NULL
		    && h->sessions[i].auth.stage == SIMAUTH_ANSWERING)
			answer(&h->sessions[i]);
}

int
simauth_set(struct simhost *h, const char *word, double seconds)
{
	static const char *const words[] = { "ok", "hold", "mute",
		"unreachable", "later", "blocked", "malformed" };
	size_t i;

	if (strcmp(word, "release") == 0) {
		simauth_release(h);
		return 0;
	}
	if (strcmp(word, "delay") == 0) {
		h->auth.mode = SIMAUTH_HONEST;
		h->auth.delay_us = (uint64_t)(seconds * 1e6);
		return 0;
	}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0) {
			h->auth.mode = (enum simauth_mode)i;
			return 0;
		}
	return -1;
}

/* --- checks --------------------------------------------------------------- */

void
simauth_check(struct simhost_session *s)
{
	const char *name = s->ac != NULL ? esmtp_session_login(s->ac) : NULL;

	if (name == NULL)
		return;
	if (!s->auth.is_right || strcmp(name, s->auth.login) != 0)
		simhost_violation(s->host, "session %u is %s without a "
		    "verdict", s->number, name);
}

void
simauth_check_report(struct simhost_session *s, const struct esmtp_report *r)
{
	if (simauth_is_secret(r->arg, strlen(r->arg))
	    || simauth_is_secret(r->detail, strlen(r->detail)))
		simhost_violation(s->host, "a password in a report: %s %s",
		    r->arg, r->detail);
	/* XCLIENT says so, of a client that may use it */
	if (r->kind == ESMTP_REPORT_CLIENT
	    && s->host->options.allow_xclient) {
		const char *name = esmtp_session_login(s->ac);

		s->auth.is_right = name != NULL;
		snprintf(s->auth.login, sizeof(s->auth.login), "%s",
		    name != NULL ? name : "");
	}
	if (r->kind == ESMTP_REPORT_AUTH && !s->auth.is_right)
		simhost_violation(s->host, "a login without a verdict");
	if (strcmp(r->verb, "AUTH") == 0
	    && r->kind == ESMTP_REPORT_REJECTED && *r->arg != '\0')
		simhost_violation(s->host, "AUTH reported with \"%s\"",
		    r->arg);
}

void
simauth_check_end(struct simhost_session *s)
{
	if (s->auth.stage != SIMAUTH_NONE)
		simhost_violation(s->host, "session %u ended within an "
		    "exchange", s->number);
}

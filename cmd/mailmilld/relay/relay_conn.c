/* One connection to a next hop: the socket, until it is connected; then the
 * client engine's host.
 * Owns: the socket's options, the time for connecting.
 * Knows nothing of which mail it is given, and of other connections. */

#include "cmd/mailmilld/relay/relay_int.h"

#include <sys/socket.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/process/log.h"
#include "core/scheduler.h"
#include "tls/tls_client.h"

/* --- the engine's host ---------------------------------------------------- */

/* What its TLS has come to is told, for reports; but not that a certificate is by none
 * of the authorities where this process has none. */
static void
tell_tls(struct relay_conn *conn, enum relay_result result, const char *reason)
{
	if (conn->told == NULL)
		return;
	if (!conn->is_blind || result != RELAY_RESULT_NOT_TRUSTED)
		conn->ops->tls(conn->closure, conn, result, reason);
	relay_told_free(conn->told);
	conn->told = NULL;
}

/* What TLS that is there has come to.  RFC 8461 5: where a policy is tested, as if its
 * mode were "enforce". */
static enum relay_result
result_of(const struct relay_conn *conn, const char **why_r)
{
	const struct tls_client_facts *f = tls_client_facts(conn->tls);

	*why_r = conn->is_testing ? f->why : "";
	return conn->is_testing ? relay_policy_result(f->verdict) :
	    RELAY_RESULT_GOOD;
}

/* It is ready for mail.  What would fail if a policy were not only tested is in the
 * log, too. */
static void
judge_tls(struct relay_conn *conn, const struct smtp_client *c)
{
	enum relay_result result = RELAY_RESULT_NO_STARTTLS;
	const char *why = "there is no TLS";

	if (conn->state != CONN_OPENING)
		return;
	if (smtp_client_is_tls(c))
		result = result_of(conn, &why);
	if (conn->is_testing && result != RELAY_RESULT_GOOD)
		log_event(LOG_LEVEL_INFO, "sts-testing", "remote=%s result=%s "
		    "reason=%s", conn->remote, relay_result_name(result), why);
	tell_tls(conn, result, why);
}

/* What TLS has come to, once for each connection.  One without it holds nothing
 * for it: that would be more than all else that an idle connection has. */
static void
see_tls(struct relay_conn *conn, const struct smtp_client *c)
{
	const struct tls_client_facts *f;

	if (conn->state != CONN_OPENING)
		return;
	if (!smtp_client_is_tls(c)) {
		tls_client_free(conn->tls);
		conn->tls = NULL;
		return;
	}
	f = tls_client_facts(conn->tls);
	log_event(LOG_LEVEL_INFO, "next-hop-tls", "remote=%s protocol=%s "
	    "cipher=%s resumed=%s verified=%s policy=%s demand=%s reason=%s",
	    conn->remote, f->protocol, f->cipher, f->is_resumed ? "yes" : "no",
	    f->is_verified ? "yes" : "no", relay_source_name(conn->source),
	    relay_level_name(conn->level), f->why);
}

static enum smtp_next
on_next(void *host, struct smtp_client *c, struct smtp_message *m_r)
{
	struct relay_conn *conn = host;

	see_tls(conn, c);
	judge_tls(conn, c);
	if (conn->state == CONN_OPENING)
		relay_said_ready(conn);
	if ((conn->mail = conn->ops->next(conn->closure, conn)) == NULL)
		return conn->state == CONN_LEAVING ? SMTP_NEXT_QUIT :
		    SMTP_NEXT_NONE;
	*m_r = (struct smtp_message){ .env = &conn->mail->env,
		.octets = conn->mail->record.body_octets };
	return SMTP_NEXT_MESSAGE;
}

static ssize_t
on_read(void *host, struct smtp_client *, uint64_t offset, char *buf,
    size_t size)
{
	struct relay_conn *conn = host;

	return conn->ops->read(conn->closure, conn->mail, offset, buf, size);
}

static void
on_rcpt(void *host, struct smtp_client *, size_t i,
    const struct smtp_result *result)
{
	struct relay_conn *conn = host;

	conn->ops->rcpt(conn->closure, conn, i, result);
}

static void
on_done(void *host, struct smtp_client *)
{
	struct relay_conn *conn = host;

	conn->ops->done(conn->closure, conn);
}

static void
on_leaving(void *host, struct smtp_client *)
{
	struct relay_conn *conn = host;

	conn->ops->leaving(conn->closure, conn);
}

/* Why no mail is sent without TLS; "": no other has demanded it. */
static const char *
demand_of(const struct relay_conn *conn)
{
	switch (conn->source) {
	case RELAY_BY_DANE:
		return " (its TLSA records demand TLS)";
	case RELAY_BY_STS:
		return " (the domain's MTA-STS policy demands TLS)";
	case RELAY_BY_SETTINGS:
	case RELAY_BY_NOBODY:
	case RELAY_NSOURCES:
		break;
	}
	return "";
}

/* The server has not met what others have published about it.  In other words
 * than the engine's. */
static void
explain_tls(struct relay_conn *conn, struct smtp_result *r, char *words,
    size_t len)
{
	const char *demand = demand_of(conn), *why = "";
	enum relay_result result = RELAY_RESULT_NO_STARTTLS;

	if (r->why != SMTP_WHY_TLS_MISSING && (r->why != SMTP_WHY_TLS_FAILED ||
	    conn->tls == NULL))
		return;
	if (r->why == SMTP_WHY_TLS_FAILED) {
		why = tls_client_facts(conn->tls)->why;
		result = relay_policy_result(
		    tls_client_facts(conn->tls)->verdict);
		r->errnum = 0;
	}
	tell_tls(conn, result, *why != '\0' ? why : r->words);
	snprintf(words, len, "%s%s%s%s", r->words, *why != '\0' ? ": " : "",
	    why, demand);
	r->words = words;
	if (*demand != '\0')
		log_event(LOG_LEVEL_INFO, "next-hop-policy", "remote=%s "
		    "policy=%s result=%s reason=%s", conn->remote,
		    relay_source_name(conn->source),
		    relay_result_name(result), words);
}

/* Where STARTTLS is offered, it is what the server was asked last. */
static bool
is_asked_for_tls(const struct smtp_client *c)
{
	return !smtp_client_is_tls(c) &&
	    smtp_ehlo_has(smtp_client_ehlo(c), SMTP_HAS(STARTTLS));
}

/* Its end is told of if TLS has to do with it, or has gone well before. */
static void
tell_end(struct relay_conn *conn, const struct smtp_client *c,
    const struct smtp_result *r)
{
	bool is_asked = is_asked_for_tls(c);
	enum relay_result result;
	const char *why;

	if (conn->told == NULL)
		return;
	if (smtp_client_is_tls(c)) {
		result = result_of(conn, &why);
		tell_tls(conn, result, why);
	} else if (is_asked && r->why == SMTP_WHY_SAID)
		tell_tls(conn, RELAY_RESULT_NO_STARTTLS, r->words);
	else if (is_asked && r->why != SMTP_WHY_STOPPED &&
	    r->why != SMTP_WHY_MEMORY)
		tell_tls(conn, RELAY_RESULT_VALIDATION, r->words);
}

static void
on_ended(void *host, struct smtp_client *c, const struct smtp_result *result)
{
	struct relay_conn *conn = host;
	char words[LIM_CLIENT_WORDS + TLS_CLIENT_WHY_MAX];
	struct smtp_result r = *result;
	struct job_error why;
	struct job_result jr;

	/* the dispatcher frees the event, the engine itself */
	conn->event = NULL;
	conn->client = NULL;
	conn->is_tls_failed = r.why == SMTP_WHY_TLS_FAILED;
	explain_tls(conn, &r, words, sizeof(words));
	tell_end(conn, c, &r);
	jr = relay_said_outcome(&r, true, 0, conn->remote, &why);
	conn->ops->ended(conn->closure, conn, &why,
	    jr.errnum != 0 ? jr.errnum : EAGAIN);
}

static int
on_tls_start(void *host, struct smtp_client *, Event *event)
{
	struct relay_conn *conn = host;

	return tls_client_start(conn->tls, event);
}

static int
on_tls_handshake(void *host, struct smtp_client *, Event *, int *needmask_r)
{
	struct relay_conn *conn = host;

	return tls_client_handshake(conn->tls, needmask_r);
}

static bool
on_tls_is_verified(void *host, struct smtp_client *)
{
	struct relay_conn *conn = host;

	return conn->is_sure && tls_client_facts(conn->tls)->is_verified;
}

/* --- its logins ----------------------------------------------------------- */

static void
on_auth_start(void *host, struct smtp_client *c, unsigned int mechanisms)
{
	struct relay_conn *conn = host;

	struct relay_login_offer offer = { .mechanisms = mechanisms };

	if (smtp_client_is_tls(c)) {
		offer.is_tls = true;
		offer.is_verified = on_tls_is_verified(conn, c);
		offer.binding = tls_client_binding(conn->tls,
		    conn->login.nrefused, offer.octets, &offer.len);
	}
	relay_login_begin(&conn->login, &offer);
}

static void
on_auth_step(void *host, struct smtp_client *, const char *challenge,
    size_t len)
{
	struct relay_conn *conn = host;

	relay_login_step(&conn->login, challenge, len);
}

static bool
on_auth_refused(void *host, struct smtp_client *c)
{
	struct relay_conn *conn = host;
	uint8_t octets[TLS_CLIENT_BINDING_MAX];
	size_t len;
	bool has_other = smtp_client_is_tls(c) && tls_client_binding(conn->tls,
	    conn->login.nrefused + 1, octets, &len) != TLS_CLIENT_UNBOUND;

	return relay_login_refused(&conn->login, has_other,
	    smtp_client_is_tls(c) && on_tls_is_verified(conn, c));
}

static bool
on_auth_end(void *host, struct smtp_client *, bool is_right)
{
	struct relay_conn *conn = host;

	return relay_login_end(&conn->login, is_right, conn->remote);
}

static void
say_login(void *closure, bool is_begun, const char *mechanism,
    const char *response, size_t len)
{
	struct relay_conn *conn = closure;

	if (is_begun)
		smtp_client_respond(conn->client, mechanism == NULL ? NULL :
		    response, len);
	else
		smtp_client_login(conn->client, mechanism, response, len);
	if (!conn->login.is_inside)
		relay_conn_wake(conn);
}

static const struct smtp_client_ops client_ops = {
	.auth_start = on_auth_start,
	.auth_step = on_auth_step,
	.auth_refused = on_auth_refused,
	.auth_end = on_auth_end,
	.tls_start = on_tls_start,
	.tls_handshake = on_tls_handshake,
	.tls_is_verified = on_tls_is_verified,
	.next = on_next,
	.read = on_read,
	.rcpt = on_rcpt,
	.done = on_done,
	.leaving = on_leaving,
	.ended = on_ended
};

/* --- connecting ----------------------------------------------------------- */

static void
fail(struct relay_conn *conn, int errnum)
{
	struct job_error why;

	event_close(conn->event);
	smtp_client_free(conn->client);
	conn->event = NULL;
	conn->client = NULL;
	relay_said_failure(errnum, NULL, conn->remote, &why);
	conn->ops->ended(conn->closure, conn, &why, errnum);
}

/* RFC 8460 4.4: "sending-mta-ip" */
static void
see_source(struct relay_conn *conn, int fd)
{
	union addr own;
	socklen_t len = sizeof(own);

	if (conn->told != NULL && getsockname(fd, &own.sa, &len) == 0)
		relay_told_from(conn->told, &own.sa);
}

/* Its head start is over: it goes on, but not alone. */
static int
be_late(struct relay_conn *conn, Event *event, const struct timeval *now)
{
	conn->is_late = true;
	conn->ops->late(conn->closure, conn);
	event->trigger = *now;
	event->trigger.tv_sec += RELAY_CONNECT_SECONDS;
	return E_WRITE | E_TIMEOUT;
}

/* The event's callback until the socket is connected. */
static int
on_connect(Event *event, int eventtype, void *closure, struct timeval *now)
{
	struct relay_conn *conn = closure;
	socklen_t len = sizeof(int);
	int errnum = ETIMEDOUT;

	if ((eventtype & ~E_TIMEOUT) == 0 && !conn->is_late)
		return be_late(conn, event, now);
	if ((eventtype & ~E_TIMEOUT) != 0 && getsockopt(event->fd, SOL_SOCKET,
	    SO_ERROR, &errnum, &len) == -1)
		errnum = errno;
	if (errnum != 0) {
		fail(conn, errnum);
		return 0;
	}
	conn->is_connected = true;
	see_source(conn, event->fd);
	conn->ops->connected(conn->closure, conn);
	event->callback = smtp_client_event;
	event->closure = conn->client;
	return smtp_client_event(event, E_WRITE, conn->client, now);
}

/* Return a socket that is connected, or is being connected; or -1. */
static int
begin_connect(const struct route_addr *addr, const union addr *source)
{
	bool is_unix = addr->kind == ROUTE_UNIX;
	int fd, one = 1, saved;
	socklen_t len = is_unix ? sizeof(addr->un) : addr_len(&addr->ip.sa);
	const struct sockaddr *sa = is_unix ?
	    (const struct sockaddr *)&addr->un : &addr->ip.sa;

	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1)
		return -1;
	/* commands come in groups, each in one write */
	if (!is_unix)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
	if (source->sa.sa_family != AF_UNSPEC && bind(fd, &source->sa,
	    addr_len(&source->sa)) == -1)
		goto err1;
	if (connect(fd, sa, len) == 0 || errno == EINPROGRESS ||
	    errno == EINTR)
		return fd;
err1:
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* What the server has to show.  Return 0, or -1 with errno. */
static int
prepare_tls(struct relay_conn *conn, const struct relay_conn_target *t)
{
	const struct relay_policy *p = t->policy;
	struct tls_client_server server = { .hop = t->route,
		.name = p->name, .names = p->names, .nnames = p->nnames,
		.tlsa = p->tlsa, .ntlsa = p->ntlsa,
		.must_verify = p->level == RELAY_VERIFY ||
		p->level == RELAY_DANE };
	char text[ADDR_TEXT];

	conn->level = p->level;
	conn->source = p->source;
	conn->is_sure = p->is_sure;
	conn->is_testing = p->is_testing;
	conn->wants_tls = t->tls != NULL;
	conn->is_blind = t->is_blind && p->level != RELAY_DANE;
	if (t->tls == NULL)
		return 0;
	if (*p->name == '\0' && t->addr->kind == ROUTE_IP)
		server.name = *t->addr->name != '\0' ? t->addr->name :
		    addr_text(&t->addr->ip.sa, text);
	conn->tls = tls_client_new(t->tls, &server);
	/* RFC 7672 2.2: records that seemed usable, and are not, demand TLS all
	 * the same */
	if (conn->tls == NULL && errno == ENOTSUP && !p->is_dane_only) {
		server.must_verify = false;
		conn->level = RELAY_ENCRYPT;
		conn->tls = tls_client_new(t->tls, &server);
	}
	return conn->tls == NULL ? -1 : 0;
}

struct relay_conn *
relay_conn_open(const struct relay_conn_target *target,
    const struct relay_conn_ops *ops, void *closure)
{
	struct relay_conn *conn;
	int fd, saved;

	if ((conn = calloc(1, sizeof(*conn))) == NULL) {
		relay_told_free(target->told);
		return NULL;
	}
	conn->told = target->told;
	conn->ops = ops;
	conn->closure = closure;
	conn->is_lmtp = target->options.is_lmtp;
	conn->helo = target->options.helo;
	conn->from = target->source;
	conn->login = (struct relay_login){ .logins = target->logins,
		.domain = target->domain, .route = target->value,
		.nrefused = target->nrefused,
		.say = say_login, .closure = conn };
	relay_said_remote(target->addr, conn->remote);
	if (prepare_tls(conn, target) == -1 ||
	    (fd = begin_connect(target->addr, &target->source)) == -1)
		goto err1;
	if ((conn->client = smtp_client_new(&target->options, &client_ops,
	    conn)) == NULL)
		goto err2;
	conn->event = build_event_from_now_f(RELAY_HEAD_START_MS / 1000.0, fd,
	    on_connect, conn);
	if (conn->event == NULL)
		goto err3;
	conn->event->mask = E_WRITE | E_TIMEOUT;
	if (schedule_event(conn->event) == 0)
		return conn;
	event_free(conn->event);
err3:
	smtp_client_free(conn->client);
err2:
	saved = errno;
	close(fd);
	errno = saved;
err1:
	saved = errno;
	relay_conn_free(conn);
	errno = saved;
	return NULL;
}

void
relay_conn_wake(struct relay_conn *conn)
{
	/* of a scheduled event, which this is, it cannot fail */
	(void)schedule_event_and_dispatch(conn->event, E_ASYNC);
}

void
relay_conn_stop(struct relay_conn *conn)
{
	smtp_client_stop(conn->client);
	relay_conn_wake(conn);
}

void
relay_conn_kill(struct relay_conn *conn)
{
	struct timeval now = *scheduler_now();
	Event *event = conn->event;

	if (event->callback == on_connect) {
		fail(conn, ECANCELED);
	} else {
		smtp_client_stop(conn->client);
		(void)smtp_client_event(event, E_ASYNC, conn->client, &now);
	}
	event_free(event);
}

void
relay_conn_give_up(struct relay_conn *conn, const char *why)
{
	if (conn->is_connected && is_asked_for_tls(conn->client))
		tell_tls(conn, RELAY_RESULT_VALIDATION, why);
	relay_conn_kill(conn);
}

void
relay_conn_free(struct relay_conn *conn)
{
	relay_told_free(conn->told);
	tls_client_free(conn->tls);
	free(conn);
}

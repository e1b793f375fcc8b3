/* AUTH, RFC 4954: the exchange between client and host, line by line.
 * Owns: which mechanisms a session is offered, the exchange in progress, the
 * login that it leads to.
 * Knows nothing of mechanisms but their names: the host does the rest. */

#ifndef PROTO_SERVER_ESMTP_AUTH_H
#define PROTO_SERVER_ESMTP_AUTH_H

#include "core/lim.h"
#include "proto/server/esmtp_state.h"

enum esmtp_auth_stage {
	ESMTP_AUTH_CLIENT,	/* the client is to answer a challenge */
	ESMTP_AUTH_HOST,	/* the host is to answer the client */
	ESMTP_AUTH_HEARD,	/* it has: esmtp_auth_done() was called */
	ESMTP_AUTH_PHASE	/* it is right; what does policy say? */
};

/* An exchange; only while there is one. */
struct esmtp_auth {
	enum esmtp_auth_stage stage;
	enum esmtp_auth_status status;	/* HEARD: of the host's answer */
	char	*octets;	/* of it, and a NUL; may be NULL */
	size_t	 len;
	bool	 is_lost;	/* there was no memory for them */
	char	 mechanism[LIM_AUTH_MECHANISM + 1];
};

/* esmtp_auth_closure(host): The first argument of the host's functions for AUTH. */
static inline void *
esmtp_auth_closure(const struct esmtp_host *host)
{
	return host->ops->auth_closure != NULL ? host->ops->auth_closure :
	    host->closure;
}

/* esmtp_auth_is_configured(mc): Can one log in here at all, if only over TLS?
 * esmtp_auth_is_offered(mc): Does EHLO say so now? */
bool esmtp_auth_is_configured(const message_construct *mc);
bool esmtp_auth_is_offered(const message_construct *mc);

/* esmtp_auth_names(mc, buf, len): Write the names of the mechanisms that are
 * offered now, those that fit. */
void esmtp_auth_names(const message_construct *mc, char *buf, size_t len);

/* esmtp_auth_choose(mc, name, len, mech_r): The mechanism ${name} (any case),
 * in capitals.  RPL_OK or the refusal. */
enum esmtp_reply_id esmtp_auth_choose(const message_construct *mc,
    const char *name, size_t len, char mech_r[LIM_AUTH_MECHANISM + 1]);

/* esmtp_auth_begin(st, mech, initial, len): Start an exchange; ${initial} is
 * the decoded initial response, NULL: there was none. */
void esmtp_auth_begin(struct esmtp_step *st, const char *mech,
    const char *initial, size_t len);

/* esmtp_auth_refuse(st, mech, len, id): An exchange of the mechanism ${mech}, as
 * the client has spelled it, cannot begin: answer with ${id}. */
void esmtp_auth_refuse(struct esmtp_step *st, const char *mech, size_t len,
    enum esmtp_reply_id id);

/* esmtp_auth_check(st, arg, len): RPL_OK, or how AUTH with this argument is
 * refused.
 * esmtp_auth_claim(mc, mech, status, octets, len): A verb of the program says
 * this: as if the host had answered an exchange; ${octets} (may be NULL) are
 * copied.  Return 0 or -1 (ENOMEM).
 * esmtp_auth_is_login(s, len): May ${s} be a login? */
enum esmtp_reply_id esmtp_auth_check(const struct esmtp_step *st,
    const char *arg, size_t len);
int esmtp_auth_claim(message_construct *mc, const char *mech,
    enum esmtp_auth_status status, const char *octets, size_t len);
bool esmtp_auth_is_login(const char *s, size_t len);

/* esmtp_auth_line(st, line, len): The client's answer to a challenge, without
 * its CRLF. */
void esmtp_auth_line(struct esmtp_step *st, const char *line, size_t len);

/* esmtp_auth_hear(mc): Take an answer of the host that was given by its ticket. */
void esmtp_auth_hear(message_construct *mc);

/* esmtp_auth_go_on(st): The line has been used up: if the host has answered it
 * inside auth_start() or auth_step(), go on with the answer.  W_GO, or as
 * esmtp_auth_resume() and esmtp_flush(). */
enum esmtp_want esmtp_auth_go_on(struct esmtp_step *st);

/* esmtp_auth_break(st, id): The client has broken the exchange off, or done
 * wrong: answer with ${id}. */
void esmtp_auth_break(struct esmtp_step *st, enum esmtp_reply_id id);

/* esmtp_auth_is_reading(mc): Is the next line one of the exchange? */
bool esmtp_auth_is_reading(const message_construct *mc);

/* esmtp_auth_is_secret(mc, s, len): May the input ${s} hold a password, or what
 * is left of one? */
bool esmtp_auth_is_secret(const message_construct *mc, const char *s,
    size_t len);

/* esmtp_auth_end(mc): Cancel the exchange, if there is one.
 * esmtp_auth_forget(mc): That, and the login too (RFC 3207 4.2; the end of the
 * session). */
void esmtp_auth_end(message_construct *mc);
void esmtp_auth_forget(message_construct *mc);

#endif

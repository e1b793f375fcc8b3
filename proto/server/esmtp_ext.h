/* Service extensions: one file with one exported struct each.
 * Owns: what EHLO says of them, the parameters of MAIL and RCPT, which of them
 * a session has (SMTP_Extensions).
 * Knows nothing of verbs: those are rows of esmtp_verb.def. */

#ifndef PROTO_ESMTP_EXT_H
#define PROTO_ESMTP_EXT_H

#include "proto/server/esmtp_int.h"

/* The parameters of one MAIL or RCPT command. */
struct esmtp_params {
	uint64_t	size;		/* SIZE=, 0: not said */
	unsigned int	env_flags;	/* SPOOL_ENV_* */
};

struct esmtp_param {
	const char	*keyword;
	bool		 is_for_rcpt;	/* of RCPT, else of MAIL */
	/* set: take the value (${value} NULL: there was no "="); RPL_OK, or the
	 * refusal */
	enum esmtp_reply_id (*set)(const struct esmtp_options *o,
	    struct esmtp_params *p, const char *value, size_t len);
};

struct esmtp_ext {
	const char	*keyword;	/* in the EHLO reply and SMTP_Extensions */
	/* is_offered: at this point of the session; NULL: always */
	bool		 (*is_offered)(const message_construct *mc);
	/* ehlo_arg: write what follows the keyword into ${buf}; NULL: nothing */
	void		 (*ehlo_arg)(const message_construct *mc, char *buf,
			    size_t len);
	const struct esmtp_param *params;	/* up to one without keyword; NULL: none */
};

extern const struct esmtp_ext esmtp_ext_pipelining, esmtp_ext_size,
    esmtp_ext_8bitmime, esmtp_ext_enhancedstatuscodes, esmtp_ext_starttls,
    esmtp_ext_auth;

/* The order of the EHLO reply, and of the bits of a session's set. */
enum {
	ESMTP_EXT_PIPELINING,
	ESMTP_EXT_SIZE,
	ESMTP_EXT_8BITMIME,
	ESMTP_EXT_ENHANCEDSTATUSCODES,
	ESMTP_EXT_STARTTLS,
	ESMTP_EXT_AUTH,
	ESMTP_NEXTS
};
#define ESMTP_EXT_BIT(name)	(1u << ESMTP_EXT_##name)

extern const struct esmtp_ext *const esmtp_exts[ESMTP_NEXTS];

/* esmtp_ext_enabled(o): The set that SMTP_Extensions selects; all of them when
 * it is empty.  esmtp_ext_is_listed: the same question for a registered
 * extension. */
unsigned int esmtp_ext_enabled(const struct esmtp_options *o);
bool esmtp_ext_is_listed(const struct esmtp_options *o, const char *keyword);

/* esmtp_ext_is_offered(mc, i): Is extension ${i} in the EHLO reply that this
 * session would get now? */
bool esmtp_ext_is_offered(const message_construct *mc, size_t i);

/* esmtp_ext_params(mc, s, len, is_rcpt, p): Parse what follows the address.
 * Return RPL_OK or the refusal. */
enum esmtp_reply_id esmtp_ext_params(const message_construct *mc,
    const char *s, size_t len, bool is_rcpt, struct esmtp_params *p);

#endif

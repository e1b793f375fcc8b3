/* Service extensions: one file with one exported struct each.
 * Owns: what EHLO says of them, the parameters of MAIL and RCPT, which of them
 * a session has (SMTP_Extensions).
 * Knows nothing of verbs: those are rows of esmtp_verb.def. */

#ifndef PROTO_SERVER_ESMTP_EXT_H
#define PROTO_SERVER_ESMTP_EXT_H

#include "proto/server/esmtp_state.h"

/* The parameters of one MAIL or RCPT command. */
struct esmtp_params {
	uint64_t	size;		/* SIZE=, 0: not said */
	unsigned int	env_flags;	/* SPOOL_ENV_* */
	unsigned int	notify;		/* NOTIFY=: SPOOL_NOTIFY_*, 0: not said */
	int64_t		hold_for;	/* HOLDFOR=, seconds, 0: not said */
	int64_t		hold_until;	/* that, or HOLDUNTIL=: unix seconds; 0: now */
	bool		has_hold;	/* one of them was said */
	int64_t		by;		/* BY=, seconds, if has_by */
	int64_t		deliver_by;	/* that in unix seconds; 0: not said */
	bool		has_by;
	bool		is_priority_changed;	/* it was more than the client may say */
	bool		has_priority;
	int		priority;	/* MT-PRIORITY=, if it was said */
	const char	*solicit;	/* SOLICIT=, in the command; NULL: not said */
	size_t		solicit_len;
	const char	*unwanted;	/* the class of it that is not wanted: RPL_SOLICITATION */
	size_t		unwanted_len;
	/* texts, "" when they were not said */
	char		envid[LIM_ENVID + 1];	/* ENVID=, decoded */
	char		orcpt[LIM_ORCPT + 1];	/* ORCPT=, "type;address", decoded */
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
	bool		 is_by_name;	/* an empty SMTP_Extensions does not mean it */
	/* may_use: RPL_OK, or how this session's use of its verb is refused;
	 * NULL: RPL_OK */
	enum esmtp_reply_id (*may_use)(const message_construct *mc);
	/* is_offered: what EHLO says now, when it may be used; NULL: yes */
	bool		 (*is_offered)(const message_construct *mc);
	/* ehlo_arg: write what follows the keyword into ${buf}; NULL: nothing */
	void		 (*ehlo_arg)(const message_construct *mc, char *buf,
			    size_t len);
	const struct esmtp_param *params;	/* up to one without keyword; NULL: none */
	/* check: all parameters of the command are in ${p}: RPL_OK, or the
	 * refusal; NULL: RPL_OK */
	enum esmtp_reply_id (*check)(const message_construct *mc,
			    struct esmtp_params *p);
};

#define ESMTP_EXT(id, ext) extern const struct esmtp_ext ext;
#include "proto/server/esmtp_ext.def"
#undef ESMTP_EXT

/* The order of the EHLO reply, and of the bits of a session's set. */
enum {
#define ESMTP_EXT(id, ext) ESMTP_EXT_##id,
#include "proto/server/esmtp_ext.def"
#undef ESMTP_EXT
	ESMTP_NEXTS,
	ESMTP_EXT_NONE = ESMTP_NEXTS	/* of a verb: the protocol itself */
};
#define ESMTP_EXT_BIT(name)	(1u << ESMTP_EXT_##name)

extern const struct esmtp_ext *const esmtp_exts[ESMTP_NEXTS];

/* esmtp_ext_enabled(o): The set that SMTP_Extensions selects; when it is empty,
 * all of them but those that want to be named.  esmtp_ext_is_listed: the same
 * question for a registered extension. */
unsigned int esmtp_ext_enabled(const struct esmtp_options *o);
bool esmtp_ext_is_listed(const struct esmtp_options *o, const char *keyword);

/* esmtp_ext_may_use(mc, i): RPL_OK, or how the verb of extension ${i} is
 * refused in this session.
 * esmtp_ext_is_offered(mc, i): Is extension ${i} in the EHLO reply that this
 * session would get now? */
enum esmtp_reply_id esmtp_ext_may_use(const message_construct *mc, size_t i);
bool esmtp_ext_is_offered(const message_construct *mc, size_t i);

/* esmtp_ext_set_body: The BODY parameter, which 8BITMIME and BINARYMIME share:
 * ext_8bitmime.c. */
enum esmtp_reply_id esmtp_ext_set_body(const struct esmtp_options *o,
    struct esmtp_params *p, const char *value, size_t len);

/* ext_smtputf8.c
 * esmtp_ext_may_utf8(mc): May the client use SMTPUTF8 now?
 * esmtp_ext_cut_utf8(s, &len): Does the argument ${s} of VRFY or EXPN end with its
 * parameter?  Then *len becomes that of what is before it.
 * esmtp_ext_names_utf8(s, len): Does it seem to be among the parameters of MAIL?
 * The path before them has not been parsed: it may be malformed, and its quotes may
 * hold anything. */
bool esmtp_ext_may_utf8(const message_construct *mc);
bool esmtp_ext_cut_utf8(const char *s, size_t *len);
bool esmtp_ext_names_utf8(const char *s, size_t len);

/* esmtp_ext_keyword(s, len): RFC 5321 4.1.1.1, 4.1.2: (ALPHA / DIGIT) *(ALPHA /
 * DIGIT / "-").  Return the octets of the keyword that ${s} begins with. */
size_t esmtp_ext_keyword(const char *s, size_t len);

/* esmtp_ext_params(mc, s, len, is_rcpt, p): Parse what follows the address.
 * Return RPL_OK or the refusal. */
enum esmtp_reply_id esmtp_ext_params(const message_construct *mc,
    const char *s, size_t len, bool is_rcpt, struct esmtp_params *p);

#endif

/* The verbs: the table and its columns.
 * Owns: the rows of esmtp_verb.def, and those that esmtp_extensions_register()
 * adds before the first session.
 * Knows nothing of what a verb does. */

#ifndef PROTO_SERVER_ESMTP_VERB_H
#define PROTO_SERVER_ESMTP_VERB_H

#include "proto/server/esmtp_ext.h"

/* Where a session stands; the second column is a set of these. */
#define ST_START	0x01	/* before EHLO */
#define ST_READY	0x02	/* greeted, no transaction */
#define ST_MAIL		0x04	/* sender known, no recipient yet */
#define ST_RCPT		0x08	/* a recipient known */
#define ST_CHUNKS	0x10	/* some of the message has come by BDAT */
#define ST_ANY		0x1f

#define VF_ARG		0x001	/* argument required */
#define VF_NOARG	0x002	/* argument refused */
#define VF_LAST		0x004	/* must end a pipelined group */
#define VF_BODY		0x008	/* data follow: input behind a refusal of it may be such data, and is not run as commands */
#define VF_DRAIN	0x010	/* still served when the server shuts down */
#define VF_DENIED	0x020	/* still served when refused at connect */
#define VF_CLEAR	0x040	/* still served when TLS is required first (RFC 3207 4) */
#define VF_NOAUTH	0x080	/* still served when AUTH is required first (RFC 4954 6) */
#define VF_RESET	0x100	/* ends the transaction, so it is not served in one while the server shuts down */
#define VF_SECRET	0x200	/* its argument, and lines after it, may hold a password: not reported */
#define VF_HIDDEN	0x400	/* not in the reply to HELP */
#define VF_PATH		0x800	/* its argument is an address, which may be UTF-8: the handler checks whether this one may */
#define VF_CHUNK	0x1000	/* its argument says how many octets follow the line, which are never run as commands */
#define VF_SMTP		0x2000	/* unknown where LMTP is spoken */
#define VF_LMTP		0x4000	/* unknown where SMTP is spoken */
#define VF_FIRST	0x10000	/* esmtp_verb_replace(): the program may refuse it, or leave it to us; its success means something to the session */
#define VF_OWN		0x20000	/* esmtp_verb_replace(): it may be something else */

struct esmtp_verb {
	const char	*name;
	unsigned int	 states;
	unsigned int	 flags;
	unsigned int	 extension;	/* ESMTP_EXT_* that brings it */
	esmtp_handler	*handler;
	size_t		 name_len;
};

/* A verb that esmtp_extensions_register() has added; or the function that
 * esmtp_verb_replace() has put in the place of a built-in one. */
struct esmtp_extension {
	char			 name[17];
	size_t			 name_len;
	unsigned int		 flags;	/* VF_BODY: esmtp_verb_has_input() */
	ESMTPExtensionSetup	 setup;
	ESMTPExtensionFunc	 func;
	void			*closure;
};

extern const struct esmtp_verb esmtp_verbs[];
extern const size_t esmtp_nverbs;

/* esmtp_last_verb(mc): The last that was not unknown; NULL: it was a registered one,
 * or there was none. */
static inline const struct esmtp_verb *
esmtp_last_verb(const message_construct *mc)
{
	return mc->verb == 0 ? NULL : &esmtp_verbs[mc->verb - 1];
}

/* esmtp_verb_find(s, len): The row of a verb in any case, or NULL. */
const struct esmtp_verb *esmtp_verb_find(const char *s, size_t len);

/* esmtp_verb_is_spoken(v, o): Is it a verb of the protocol that sessions with the
 * options ${o} speak, SMTP or LMTP? */
bool esmtp_verb_is_spoken(const struct esmtp_verb *v,
    const struct esmtp_options *o);

/* esmtp_verb_replacement(v): What stands in the place of ${v}, or NULL. */
const struct esmtp_extension *esmtp_verb_replacement(
    const struct esmtp_verb *v);

/* esmtp_verb_input(v, e): Does input follow the built-in verb ${v}, or else the
 * registered ${e}?  VF_CHUNK and VF_BODY, of the row or of what stands in its
 * place.
 * esmtp_verb_input_meant(s, len): The same of a line that is no command, by
 * what it begins with: with a tab in the place of the space, say, it may be
 * meant as one. */
unsigned int esmtp_verb_input(const struct esmtp_verb *v,
    const struct esmtp_extension *e);
unsigned int esmtp_verb_input_meant(const char *s, size_t len);

/* esmtp_verb_secret(s, len): The row with VF_SECRET whose name ${s} starts
 * with, in any case, or NULL.
 * esmtp_verb_is_own(v, e): Does the program say what the argument means?
 * esmtp_verb_may_be_secret(s, len): Does ${s} start with the name of either? */
const struct esmtp_verb *esmtp_verb_secret(const char *s, size_t len);
bool esmtp_verb_is_own(const struct esmtp_verb *v,
    const struct esmtp_extension *e);
bool esmtp_verb_may_be_secret(const char *s, size_t len);

/* esmtp_is_foreign(s, len, is_whole): Is ${s}, a line or with ${is_whole} false
 * the begin of one, of another protocol? */
bool esmtp_is_foreign(const char *s, size_t len, bool is_whole);

/* esmtp_extension_find(s, len), esmtp_extension_get(i): A registered one, or
 * NULL; find looks at those only that have a verb. */
const struct esmtp_extension *esmtp_extension_find(const char *s, size_t len);
const struct esmtp_extension *esmtp_extension_get(size_t i);

#define ESMTP_VERB(name, states, flags, extension, handler) \
	extern esmtp_handler handler;
#include "proto/server/esmtp_verb.def"
#undef ESMTP_VERB

#endif

/* The options of one session, resolved: what holds for this listener and this
 * peer.  Const while a session uses it; shared by all sessions of the same
 * listener and peer scope. */

#ifndef PROTO_ESMTP_OPTIONS_H
#define PROTO_ESMTP_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>

MAILMILL_BEGIN

/* What esmtp_options_number() says of the options that are a choice. */
enum { ESMTP_LF_IGNORE, ESMTP_LF_PEDANTIC, ESMTP_LF_FIX, ESMTP_LF_NOTE };
enum { ESMTP_HEADER_LF_BODY, ESMTP_HEADER_LF_FIRST }; /* of RFC2822_Lone_LF_In_Headers; the second and those behind it are ESMTP_LF_* */
enum { ESMTP_LINE_IGNORE, ESMTP_LINE_PEDANTIC, ESMTP_LINE_FIX };
enum { ESMTP_HEADER_ACCEPT, ESMTP_HEADER_REJECT };
enum { ESMTP_COMMAND_LF_PEDANTIC, ESMTP_COMMAND_LF_FIX };
enum { ESMTP_INJECTION_REJECT, ESMTP_INJECTION_IGNORE, ESMTP_INJECTION_ALLOW };
enum { ESMTP_VRFY_UNCERTAIN, ESMTP_VRFY_REFUSE, ESMTP_VRFY_LOOKUP };
enum { ESMTP_KIND_SMTP, ESMTP_KIND_LMTP, ESMTP_KIND_SUBMISSION };
enum { ESMTP_HEADER_IGNORE, ESMTP_HEADER_IF_NEEDED };
enum { ESMTP_VERIFY_OPTIONAL, ESMTP_VERIFY_NONE, ESMTP_VERIFY_REQUIRE };

struct esmtp_options;

/* esmtp_options_new(hostname): The defaults; ${hostname} is what the server
 * calls itself.  NULL with errno: EINVAL, not 1 to 255 printable ASCII
 * characters; ENOMEM.
 * esmtp_options_free(o): After the end of the last session that uses it: earlier
 * it ends the process, but in a child of fork(2), where no session of its parent
 * counts.  NULL does nothing. */
struct esmtp_options *esmtp_options_new(const char *hostname);
void esmtp_options_free(struct esmtp_options *o);

/* esmtp_options_set(o, name, value, error_r, len): Set the option ${name}, in any
 * case of its letters, from the text that mailmill.conf(5) has for it; a list
 * has commas between its values, and "" is the empty one.
 * Return 0; or -1 with errno (ENOENT: there is no such option; EINVAL, ERANGE,
 * EDOM; EBUSY: a session uses them; ENOMEM), the option unchanged, and in ${error_r}, whose ${len} octets may be
 * 0, what was wrong and what was expected:
 *	Max_Errors = "x": expected a number from 0 to 1000000 (replies)
 * Kind changes the defaults of some others, whether it is set before or behind
 * them: what has been set stays. */
int esmtp_options_set(struct esmtp_options *o, const char *name,
    const char *value, char *error_r, size_t len);

/* esmtp_options_name(i): The name of option number ${i}, from 0; NULL behind the
 * last one.
 * esmtp_options_number(o, name, &value_r): The value of an option that is a
 * number, a size in octets, a time in seconds, true (1) or false (0), or a
 * choice (see above).  Return 0, or -1 with errno: ENOENT, there is no such
 * option; EINVAL, it is a text or a list.
 * esmtp_options_text(o, name, i): The value of an option that is a text (${i} is
 * 0), or number ${i} of one that is a list; valid until it is set.  NULL: there
 * is none. */
const char *esmtp_options_name(size_t i);
int esmtp_options_number(const struct esmtp_options *o, const char *name,
    int64_t *value_r);
const char *esmtp_options_text(const struct esmtp_options *o,
    const char *name, size_t i);

MAILMILL_END

#endif

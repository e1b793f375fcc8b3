/* The options of one session, resolved: what holds for this listener and this
 * peer.  Const while a session uses it; shared by all sessions of the same
 * listener and peer scope. */

#ifndef PROTO_ESMTP_OPTIONS_H
#define PROTO_ESMTP_OPTIONS_H

#include <mailmill/api.h>
#include <mailmill/conf_field.h>

MAILMILL_BEGIN

enum { ESMTP_LF_IGNORE, ESMTP_LF_PEDANTIC, ESMTP_LF_FIX };
enum { ESMTP_COMMAND_LF_PEDANTIC, ESMTP_COMMAND_LF_FIX };
enum { ESMTP_INJECTION_REJECT, ESMTP_INJECTION_IGNORE, ESMTP_INJECTION_ALLOW };
enum { ESMTP_VERIFY_OPTIONAL, ESMTP_VERIFY_NONE, ESMTP_VERIFY_REQUIRE };

struct esmtp_options {
#define ESMTP_OPTION(name, field, type, ...) conf_field_##type field;
#include <mailmill/esmtp_option.def>
#undef ESMTP_OPTION
	char	*hostname;	/* global: what Banner_Hostname and Received_Hostname fall back to */
};

extern const struct conf_field esmtp_option_rows[];
extern const size_t esmtp_option_nrows;

/* esmtp_options_init(o, hostname): Every field its default.  Return 0 or -1
 * (ENOMEM; EINVAL: no hostname). */
int esmtp_options_init(struct esmtp_options *o, const char *hostname);

/* esmtp_options_set(o, row, values, nvalues, expected_r, len): Set one field
 * from text: one value, or for a list any number.  Return 0; or -1 with errno,
 * and in ${expected_r} what was expected ("a number from 1 to 1000
 * (recipients)"). */
int esmtp_options_set(struct esmtp_options *o, const struct conf_field *row,
    const char *const *values, size_t nvalues, char *expected_r, size_t len);

/* esmtp_options_clear(o): Free what init and set allocated. */
void esmtp_options_clear(struct esmtp_options *o);

MAILMILL_END

#endif

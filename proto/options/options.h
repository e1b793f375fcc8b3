/* The options of one session, as the engine, our policies and the server read
 * them: a struct with a member for each row of esmtp_option.def.  A program's
 * policies have esmtp_options_number(), which searches a name in the table: too
 * slow for what each RCPT needs.
 * Owns: that struct, which programs of others do not see (esmtp_options.h), so
 * that it may grow. */

#ifndef PROTO_OPTIONS_OPTIONS_H
#define PROTO_OPTIONS_OPTIONS_H

#include "core/lim.h"
#include "core/util/conf_field.h"
#include "proto/esmtp_options.h"

enum {
#define ESMTP_OPTION(name, field, ...) OPTION_##field,
#include "proto/options/esmtp_option.def"
#undef ESMTP_OPTION
	OPTIONS_NROWS
};

struct esmtp_options {
#define ESMTP_OPTION(name, field, type, ...) conf_field_##type field;
#include "proto/options/esmtp_option.def"
#undef ESMTP_OPTION
	char	*hostname;	/* global: what Banner_Hostname and Received_Hostname fall back to */
	bool	 is_set[OPTIONS_NROWS];	/* else it is a default */
	struct options_users *users;	/* esmtp_options_new()'s; NULL: not counted */
};

/* options_take(o), options_release(o): A session uses ${o}, and does no longer;
 * from any thread.  NULL does nothing.
 * options_are_used(o): Is there one?  In a child of fork(2) none counts, since
 * those that were there go on in the parent. */
void options_take(const struct esmtp_options *o);
void options_release(const struct esmtp_options *o);
bool options_are_used(const struct esmtp_options *o);

/* options_is_lmtp(o): Do its sessions speak LMTP, not SMTP?
 * options_needs(o, keyword): Do they have that extension, whatever
 * SMTP_Extensions says?
 * options_missing(o): The first of those that it does not name, though it names
 * others; or NULL. */
bool options_needs(const struct esmtp_options *o, const char *keyword);
const char *options_missing(const struct esmtp_options *o);

static inline bool
options_is_lmtp(const struct esmtp_options *o)
{
	return o->kind == ESMTP_KIND_LMTP;
}

#define OPTIONS_CLASSES_MAX	(LIM_REPLY_LINE - (int)sizeof("250-NO-SOLICITING \r\n") + 1) /* octets of No_Soliciting, with a comma between two */

extern const struct conf_field options_rows[];
extern const size_t options_nrows;

/* options_init(o, hostname): Every field its default.  Return 0 or -1 (ENOMEM;
 * EINVAL: no hostname). */
int options_init(struct esmtp_options *o, const char *hostname);

/* options_row(name): The row of that name, in any case, or NULL (${name}
 * may be NULL). */
const struct conf_field *options_row(const char *name);

/* options_set(o, row, values, nvalues, expected_r, len): Set one field from
 * text: one value, or for a list any number.  Return 0; or -1 with errno, and in
 * ${expected_r} what was expected ("a number from 1 to 1000 (recipients)"). */
int options_set(struct esmtp_options *o, const struct conf_field *row,
    const char *const *values, size_t nvalues, char *expected_r, size_t len);

/* options_kind_default(o, row): The default, as text, that Kind gives to row
 * number ${row}, in place of that of the table, if it is in force in ${o}; or
 * NULL. */
const char *options_kind_default(const struct esmtp_options *o, size_t row);

/* options_class(s, len): Return the octets of the class of solicitations (RFC
 * 3865) that ${s} begins with; 0: it begins with none.
 * options_classes(values, n, expected_r, len): Are these ${n} values classes of
 * solicitations, and few enough for the line of the EHLO reply?  Return 0, or -1
 * with errno EINVAL, and in ${expected_r} what was expected. */
size_t options_class(const char *s, size_t len);
int options_classes(const char *const *values, size_t n, char *expected_r,
    size_t len);

/* options_variable(s, len): Return the octets of the name of a variable that ${s}
 * begins with: letters, digits and "_-."; 0: it begins with none, or a longer one
 * than there may be.
 * options_pair(s, name_r): Of ${s}, "name=value" with spaces around the "=" or
 * without, copy the name, and return the value; NULL: it is no such text.
 * options_pairs(values, n, expected_r, len): Are these ${n} values such texts, each
 * of another name, and no more than OPTIONS_PAIRS_MAX?  Return 0, or -1 with
 * errno EINVAL, and in ${expected_r} what was expected. */
#define OPTIONS_PAIRS_MAX	(LIM_VCTX_PAIRS / 2)	/* the others are for policies and clients */
size_t options_variable(const char *s, size_t len);
const char *options_pair(const char *s, char name_r[LIM_VCTX_KEY + 1]);
int options_pairs(const char *const *values, size_t n, char *expected_r,
    size_t len);

/* options_lists(list, domain, len): Is the domain ${domain} one of those that a list
 * of them has ("example.test", "*.example.test", "*"), in any case?
 * options_may_etrn(o, domain, len, has_subdomains): Does ETRN_Domains allow to start
 * the queue for ${domain}, and with ${has_subdomains} for all that end with "."
 * and it? */
bool options_lists(const struct conf_list *list, const char *domain,
    size_t len);
bool options_may_etrn(const struct esmtp_options *o, const char *domain,
    size_t len, bool has_subdomains);

/* options_clear(o): Free what init and set allocated. */
void options_clear(struct esmtp_options *o);

#endif

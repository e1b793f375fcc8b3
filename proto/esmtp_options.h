/* The options of one session, resolved: what holds for this listener and this
 * peer.  Const while a session uses it; shared by all sessions of the same
 * listener and peer scope. */

#ifndef PROTO_ESMTP_OPTIONS_H
#define PROTO_ESMTP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum esmtp_option_type {
	ESMTP_OPT_BOOL,		/* bool */
	ESMTP_OPT_INT,		/* int64_t */
	ESMTP_OPT_STRING,	/* char *, never NULL */
	ESMTP_OPT_LIST,		/* struct esmtp_strlist */
	ESMTP_OPT_CHOICE	/* int: index into the row's a|b|c; the first is the default */
};

struct esmtp_strlist {
	char	**v;
	size_t	  n;
};

typedef bool			 esmtp_opt_BOOL;
typedef int64_t			 esmtp_opt_INT;
typedef char			*esmtp_opt_STRING;
typedef struct esmtp_strlist	 esmtp_opt_LIST;
typedef int			 esmtp_opt_CHOICE;

enum { ESMTP_LF_IGNORE, ESMTP_LF_PEDANTIC, ESMTP_LF_FIX };
enum { ESMTP_INJECTION_REJECT, ESMTP_INJECTION_IGNORE, ESMTP_INJECTION_ALLOW };
enum { ESMTP_VERIFY_OPTIONAL, ESMTP_VERIFY_NONE, ESMTP_VERIFY_REQUIRE };

struct esmtp_options {
#define ESMTP_OPTION(name, field, type, def, min, max, unit) \
	esmtp_opt_##type field;
#include "proto/esmtp_option.def"
#undef ESMTP_OPTION
	char	*hostname;	/* global: what Banner_Hostname and Received_Hostname fall back to */
};

struct esmtp_option_row {
	const char		*name;
	enum esmtp_option_type	 type;
	size_t			 offset;	/* in struct esmtp_options */
	const char		*def;		/* CHOICE: the choices, first is the default */
	int64_t			 min, max;	/* value, or length of a string */
	const char		*unit;
};

extern const struct esmtp_option_row esmtp_option_rows[];
extern const size_t esmtp_option_nrows;

/* esmtp_options_init(o, hostname): Every field its default (lists empty).
 * Return 0 or -1 (ENOMEM). */
int esmtp_options_init(struct esmtp_options *o, const char *hostname);

/* esmtp_options_set(o, row, values, nvalues): Set one field from text: one
 * value, or for a LIST any number.  Return 0, or -1 with errno EINVAL or
 * ERANGE, and then *expected_r says what was expected ("a number from 1 to
 * 86400 (seconds)"), a buffer of ${len} octets. */
int esmtp_options_set(struct esmtp_options *o,
    const struct esmtp_option_row *row, const char *const *values,
    size_t nvalues, char *expected_r, size_t len);

/* esmtp_options_clear(o): Free what init and set allocated. */
void esmtp_options_clear(struct esmtp_options *o);

#endif

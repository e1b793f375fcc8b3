/* The options of a session, from text.
 * Owns: the table's meaning: types, ranges, defaults, what is expected.
 * Knows nothing of scopes or files. */

#include "proto/esmtp_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/util/netmask.h"

const struct esmtp_option_row esmtp_option_rows[] = {
#define ESMTP_OPTION(name, field, type, def, min, max, unit) \
	{ name, ESMTP_OPT_##type, offsetof(struct esmtp_options, field), \
	    def, min, max, unit },
#include "proto/esmtp_option.def"
#undef ESMTP_OPTION
};

const size_t esmtp_option_nrows = sizeof(esmtp_option_rows) /
    sizeof(esmtp_option_rows[0]);

static void *
field(struct esmtp_options *o, const struct esmtp_option_row *row)
{
	return (char *)o + row->offset;
}

static int
bad(int errnum)
{
	errno = errnum;
	return -1;
}

static int
set_bool(bool *b, const char *value)
{
	static const char *const words[2][4] = {
		{ "false", "no", "off", "0" }, { "true", "yes", "on", "1" }
	};
	size_t i;

	for (i = 0; i < 8; i++)
		if (strcasecmp(value, words[i / 4][i % 4]) == 0) {
			*b = i / 4 != 0;
			return 0;
		}
	return bad(EINVAL);
}

static int
set_int(int64_t *n, const struct esmtp_option_row *row, const char *value)
{
	long long v;
	char *end;

	errno = 0;
	v = strtoll(value, &end, 10);
	if (end == value || *end != '\0')
		return bad(EINVAL);
	if (errno == ERANGE || v < row->min || v > row->max)
		return bad(ERANGE);
	*n = v;
	return 0;
}

/* A text of the configuration gets into replies and headers. */
static int
check_text(const struct esmtp_option_row *row, const char *value)
{
	const char *p;

	for (p = value; *p != '\0'; p++)
		if (*p < 32 || *p > 126)
			return bad(EINVAL);
	if (p - value > row->max)
		return bad(ERANGE);
	return 0;
}

static int
set_string(char **s, const struct esmtp_option_row *row, const char *value)
{
	char *copy;

	if (check_text(row, value) == -1 || (copy = strdup(value)) == NULL)
		return -1;
	free(*s);
	*s = copy;
	return 0;
}

static bool
is_networks(const struct esmtp_option_row *row)
{
	return row->offset == offsetof(struct esmtp_options, relay_hosts);
}

static void
list_free(struct esmtp_strlist *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	l->v = NULL;
	l->n = 0;
}

static int
set_list(struct esmtp_strlist *l, const struct esmtp_option_row *row,
    const char *const *values, size_t n)
{
	struct esmtp_strlist new = { NULL, 0 };
	struct netmask nm;
	size_t i;

	for (i = 0; i < n; i++) {
		if (check_text(row, values[i]) == -1)
			return -1;
		if (values[i][0] == '\0' || (is_networks(row) &&
		    netmask_parse(values[i], strlen(values[i]), &nm) == -1))
			return bad(EINVAL);
	}
	if (n > 0 && (new.v = calloc(n, sizeof(*new.v))) == NULL)
		return -1;
	for (; new.n < n; new.n++)
		if ((new.v[new.n] = strdup(values[new.n])) == NULL) {
			list_free(&new);
			return bad(ENOMEM);
		}
	list_free(l);
	*l = new;
	return 0;
}

/* The number of ${value} among "a|b|c", or -1. */
static int
set_choice(int *choice, const char *words, const char *value)
{
	size_t len = strlen(value), n;
	int i;

	for (i = 0; *words != '\0'; i++) {
		n = strcspn(words, "|");
		if (n == len && strncasecmp(words, value, n) == 0) {
			*choice = i;
			return 0;
		}
		words += n + (words[n] == '|');
	}
	return bad(EINVAL);
}

static void
describe(const struct esmtp_option_row *row, char *buf, size_t len)
{
	switch (row->type) {
	case ESMTP_OPT_BOOL:
		snprintf(buf, len, "true or false");
		break;
	case ESMTP_OPT_INT:
		snprintf(buf, len, "a number from %" PRId64 " to %" PRId64
		    " (%s)", row->min, row->max, row->unit);
		break;
	case ESMTP_OPT_STRING:
		snprintf(buf, len, "a text of at most %" PRId64
		    " printable ASCII characters", row->max);
		break;
	case ESMTP_OPT_LIST:
		if (is_networks(row))
			snprintf(buf, len, "addresses or networks, such as "
			    "192.0.2.1, 10.0.0.0/8 or 2001:db8::/32");
		else
			snprintf(buf, len, "a list of texts of at most %"
			    PRId64 " printable ASCII characters", row->max);
		break;
	case ESMTP_OPT_CHOICE:
		snprintf(buf, len, "one of %s", row->def);
		break;
	}
}

static int
set_field(struct esmtp_options *o, const struct esmtp_option_row *row,
    const char *const *values, size_t n)
{
	if (row->type == ESMTP_OPT_LIST)
		return set_list(field(o, row), row, values, n);
	if (n != 1)
		return bad(EINVAL);
	switch (row->type) {
	case ESMTP_OPT_BOOL:
		return set_bool(field(o, row), values[0]);
	case ESMTP_OPT_INT:
		return set_int(field(o, row), row, values[0]);
	case ESMTP_OPT_STRING:
		return set_string(field(o, row), row, values[0]);
	default:
		return set_choice(field(o, row), row->def, values[0]);
	}
}

int
esmtp_options_set(struct esmtp_options *o, const struct esmtp_option_row *row,
    const char *const *values, size_t nvalues, char *expected_r, size_t len)
{
	int errnum;

	if (set_field(o, row, values, nvalues) == 0)
		return 0;
	errnum = errno;
	if (errnum == ENOMEM)
		snprintf(expected_r, len, "more memory");
	else
		describe(row, expected_r, len);
	errno = errnum;
	return -1;
}

int
esmtp_options_init(struct esmtp_options *o, const char *hostname)
{
	const struct esmtp_option_row *row;
	size_t i;
	int r = 0;

	memset(o, 0, sizeof(*o));
	if ((o->hostname = strdup(hostname)) == NULL)
		return -1;
	for (i = 0; i < esmtp_option_nrows && r == 0; i++) {
		row = &esmtp_option_rows[i];
		/* a list is empty, of a choice the first is the default */
		if (row->type != ESMTP_OPT_LIST &&
		    row->type != ESMTP_OPT_CHOICE)
			r = set_field(o, row, &row->def, 1);
	}
	if (r == -1) {
		esmtp_options_clear(o);
		return bad(ENOMEM);
	}
	return 0;
}

void
esmtp_options_clear(struct esmtp_options *o)
{
	const struct esmtp_option_row *row;
	size_t i;

	for (i = 0; i < esmtp_option_nrows; i++) {
		row = &esmtp_option_rows[i];
		if (row->type == ESMTP_OPT_STRING)
			free(*(char **)field(o, row));
		else if (row->type == ESMTP_OPT_LIST)
			list_free(field(o, row));
	}
	free(o->hostname);
	memset(o, 0, sizeof(*o));
}

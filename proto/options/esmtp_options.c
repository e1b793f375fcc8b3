/* Options for embedders: see esmtp_options.h.
 * Owns: the words about a value that is refused, lists as one text, what a
 * program may read of them, how many sessions use them. */

#include "proto/esmtp_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/idna.h"
#include "core/util/require.h"
#include "core/util/utf8.h"
#include "proto/options/options.h"

#define EXPECTED_MAX	256	/* octets of what options_set() says */

struct options_users {
	int		n;
	pid_t		pid;	/* of the process that has made the options */
};

void
options_take(const struct esmtp_options *o)
{
	if (o != NULL && o->users != NULL)
		__atomic_add_fetch(&o->users->n, 1, __ATOMIC_RELAXED);
}

/* What the session has read comes before what is done by whoever sees that there
 * is none. */
void
options_release(const struct esmtp_options *o)
{
	if (o != NULL && o->users != NULL)
		__atomic_sub_fetch(&o->users->n, 1, __ATOMIC_RELEASE);
}

bool
options_are_used(const struct esmtp_options *o)
{
	return o->users != NULL &&
	    __atomic_load_n(&o->users->n, __ATOMIC_ACQUIRE) > 0 &&
	    o->users->pid == getpid();
}

struct esmtp_options *
esmtp_options_new(const char *hostname)
{
	struct esmtp_options *o;
	char expected[EXPECTED_MAX], ascii[IDNA_MAX + 1];

	/* it is said in replies and header fields, RFC 6531 3.7.1: as
	 * A-labels */
	if (hostname == NULL || *hostname == '\0' ||
	    conf_field_check(options_row("Banner_Hostname"), hostname, expected,
	    sizeof(expected)) == -1) {
		errno = EINVAL;
		return NULL;
	}
	if ((o = malloc(sizeof(*o))) == NULL)
		return NULL;
	if (!utf8_is_ascii(hostname, strlen(hostname)) && idna_ascii(hostname,
	    strlen(hostname), ascii, sizeof(ascii)) != -1)
		hostname = ascii;
	if (options_init(o, hostname) == 0) {
		if ((o->users = calloc(1, sizeof(*o->users))) != NULL) {
			o->users->pid = getpid();
			return o;
		}
		options_clear(o);
	}
	free(o);
	errno = ENOMEM;
	return NULL;
}

void
esmtp_options_free(struct esmtp_options *o)
{
	if (o == NULL)
		return;
	REQUIRE("esmtp_options_free", !options_are_used(o),
	    "not before the end of the last session that uses them");
	free(o->users);
	options_clear(o);
	free(o);
}

/* --- setting -------------------------------------------------------------- */

/* Cut ${text} at its commas, without the space around them.  Return how many
 * ${values} there are. */
static size_t
split(char *text, const char **values)
{
	char *part, *end;
	size_t n = 0;

	while ((part = strsep(&text, ",")) != NULL) {
		part += strspn(part, " \t");
		for (end = part + strlen(part); end > part &&
		    (end[-1] == ' ' || end[-1] == '\t'); end--)
			continue;
		*end = '\0';
		values[n++] = part;
	}
	return n;
}

static int
set_values(struct esmtp_options *o, const struct conf_field *row,
    const char *const *values, size_t n, char expected_r[EXPECTED_MAX])
{
	if (row->offset == offsetof(struct esmtp_options, no_soliciting) &&
	    options_classes(values, n, expected_r, EXPECTED_MAX) == -1)
		return -1;
	if (row->offset == offsetof(struct esmtp_options, context) &&
	    options_pairs(values, n, expected_r, EXPECTED_MAX) == -1)
		return -1;
	return options_set(o, row, values, n, expected_r, EXPECTED_MAX);
}

/* The same for a row that takes any number of values. */
static int
set_list(struct esmtp_options *o, const struct conf_field *row,
    const char *value, char expected_r[EXPECTED_MAX])
{
	size_t i, n = 1;
	const char **values;
	char *copy;
	int rc = -1;

	if (value[strspn(value, " \t")] == '\0')
		return options_set(o, row, NULL, 0, expected_r, EXPECTED_MAX);
	for (i = 0; value[i] != '\0'; i++)
		n += value[i] == ',';
	copy = strdup(value);
	values = calloc(n, sizeof(*values));
	if (copy != NULL && values != NULL)
		rc = set_values(o, row, values, split(copy, values),
		    expected_r);
	else
		snprintf(expected_r, EXPECTED_MAX, "more memory");
	free(values);
	free(copy);
	return rc;
}

int
esmtp_options_set(struct esmtp_options *o, const char *name, const char *value,
    char *error_r, size_t len)
{
	const struct conf_field *row = options_row(name);
	char expected[EXPECTED_MAX];
	int rc, errnum;

	if (len > 0)
		error_r[0] = '\0';
	if (row == NULL) {
		snprintf(error_r, len, "%s: there is no such option",
		    name != NULL ? name : "NULL");
		errno = ENOENT;
		return -1;
	}
	if (value == NULL) {
		snprintf(error_r, len, "%s: there is no value", row->name);
		errno = EINVAL;
		return -1;
	}
	if (options_are_used(o)) {
		snprintf(error_r, len, "%s: sessions use these options: set it "
		    "before the first one", row->name);
		errno = EBUSY;
		return -1;
	}
	rc = conf_field_is_list(row) ? set_list(o, row, value, expected) :
	    options_set(o, row, &value, 1, expected, sizeof(expected));
	if (rc == 0)
		return 0;
	errnum = errno;
	snprintf(error_r, len, "%s = \"%s\": expected %s", row->name, value,
	    expected);
	errno = errnum;
	return -1;
}

/* --- reading -------------------------------------------------------------- */

const char *
esmtp_options_name(size_t i)
{
	return i < options_nrows ? options_rows[i].name : NULL;
}

int
esmtp_options_number(const struct esmtp_options *o, const char *name,
    int64_t *value_r)
{
	const struct conf_field *row = options_row(name);
	const void *at;

	if (row == NULL) {
		errno = ENOENT;
		return -1;
	}
	at = (const char *)o + row->offset;
	switch (row->type) {
	case CONF_BOOL:
		*value_r = *(const bool *)at;
		return 0;
	case CONF_CHOICE:
		*value_r = *(const int *)at;
		return 0;
	case CONF_INT:
	case CONF_SIZE:
	case CONF_TIME:
		*value_r = *(const int64_t *)at;
		return 0;
	default:
		errno = EINVAL;
		return -1;
	}
}

const char *
esmtp_options_text(const struct esmtp_options *o, const char *name, size_t i)
{
	const struct conf_field *row = options_row(name);
	const struct conf_list *list;
	const void *at;

	if (row == NULL)
		return NULL;
	at = (const char *)o + row->offset;
	if (conf_field_is_list(row)) {
		list = at;
		return i < list->n ? list->v[i] : NULL;
	}
	if (i > 0 || !conf_field_is_text(row))
		return NULL;
	return *(char *const *)at;
}

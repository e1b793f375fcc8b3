/* The options of a session: the table, and all of its rows at once. */

#include "proto/options/options.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct conf_field options_rows[] = {
#define ESMTP_OPTION(...) CONF_FIELD(esmtp_options, __VA_ARGS__),
#include "proto/options/esmtp_option.def"
#undef ESMTP_OPTION
};

const size_t options_nrows = OPTIONS_NROWS;

const struct conf_field *
options_row(const char *name)
{
	size_t i;

	for (i = 0; name != NULL && i < options_nrows; i++)
		if (strcasecmp(options_rows[i].name, name) == 0)
			return &options_rows[i];
	return NULL;
}

/* --- defaults of a Kind --------------------------------------------------- */

static const struct {
	int		 kind;
	size_t		 row;
	const char	*value;
} kind_defaults[] = {
#define ESMTP_KIND_DEFAULT(kind, field, value) \
	{ ESMTP_KIND_##kind, OPTION_##field, value },
#include "proto/options/esmtp_kind.def"
#undef ESMTP_KIND_DEFAULT
};

#define NKIND_DEFAULTS	(sizeof(kind_defaults) / sizeof(kind_defaults[0]))

const char *
options_kind_default(const struct esmtp_options *o, size_t row)
{
	size_t i;

	for (i = 0; i < NKIND_DEFAULTS; i++)
		if (kind_defaults[i].kind == o->kind &&
		    kind_defaults[i].row == row && !o->is_set[row])
			return kind_defaults[i].value;
	return NULL;
}

/* Kind is another one: 0, or -1 with errno ENOMEM. */
static int
apply_kind(struct esmtp_options *o, char *expected_r, size_t len)
{
	const struct conf_field *row;
	const char *value;
	size_t i;

	for (i = 0; i < NKIND_DEFAULTS; i++) {
		row = &options_rows[kind_defaults[i].row];
		if (o->is_set[kind_defaults[i].row])
			continue;
		value = options_kind_default(o, kind_defaults[i].row);
		if ((value == NULL ? conf_field_default(o, row) :
		    conf_field_set(o, row, &value, 1, expected_r, len)) == -1)
			return -1;
	}
	return 0;
}

int
options_set(struct esmtp_options *o, const struct conf_field *row,
    const char *const *values, size_t nvalues, char *expected_r, size_t len)
{
	if (conf_field_set(o, row, values, nvalues, expected_r, len) == -1)
		return -1;
	o->is_set[row - options_rows] = true;
	return row == &options_rows[OPTION_kind] ?
	    apply_kind(o, expected_r, len) : 0;
}

/* --- extensions ----------------------------------------------------------- */

/* RFC 3865 2.3: solicitation-keywords = word *("," word), word = ALPHA
 * *(wordchar). */
size_t
options_class(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		bool is_alpha = (s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z';
		bool is_digit = s[i] >= '0' && s[i] <= '9';

		if (!is_alpha && (i == 0 || (!is_digit &&
		    (s[i] == '\0' || strchr(".-_:", s[i]) == NULL))))
			break;
	}
	return i;
}

int
options_classes(const char *const *values, size_t n, char *expected_r,
    size_t len)
{
	size_t i, used, octets = 0;

	for (i = 0; i < n; i++) {
		used = options_class(values[i], strlen(values[i]));
		if (used == 0 || values[i][used] != '\0') {
			snprintf(expected_r, len, "a class of RFC 3865: a "
			    "letter, then letters, digits and .-_:");
			errno = EINVAL;
			return -1;
		}
		octets += used + (i > 0);
	}
	if (octets <= OPTIONS_CLASSES_MAX)
		return 0;
	snprintf(expected_r, len, "classes of at most %d octets together, "
	    "since EHLO tells them in one line", OPTIONS_CLASSES_MAX);
	errno = EINVAL;
	return -1;
}

/* --- variables of the connection ------------------------------------------ */

size_t
options_variable(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') ||
		    (s[i] >= 'A' && s[i] <= 'Z') ||
		    (s[i] >= '0' && s[i] <= '9') ||
		    memchr("_-.", s[i], 3) != NULL))
			break;
	return i <= LIM_VCTX_KEY ? i : 0;
}

const char *
options_pair(const char *s, char name_r[LIM_VCTX_KEY + 1])
{
	size_t n = options_variable(s, strlen(s));
	const char *value = s + n + strspn(s + n, " ");

	if (n == 0 || *value != '=')
		return NULL;
	memcpy(name_r, s, n);
	name_r[n] = '\0';
	value++;
	return value + strspn(value, " ");
}

/* Does one of the ${n} ${values}, which are right, have that name? */
static bool
has_name(const char *const *values, size_t n, const char *name)
{
	char other[LIM_VCTX_KEY + 1];
	size_t i;

	for (i = 0; i < n; i++)
		if (options_pair(values[i], other) != NULL &&
		    strcmp(other, name) == 0)
			return true;
	return false;
}

int
options_pairs(const char *const *values, size_t n, char *expected_r,
    size_t len)
{
	char name[LIM_VCTX_KEY + 1];
	const char *value;
	size_t i;

	for (i = 0; i < n; i++) {
		value = options_pair(values[i], name);
		if (value == NULL || strlen(value) > LIM_VCTX_VALUE)
			snprintf(expected_r, len, "\"name=value\", the name of "
			    "1 to %d letters, digits and _-., the value of at "
			    "most %d characters", LIM_VCTX_KEY, LIM_VCTX_VALUE);
		else if (has_name(values, i, name))
			snprintf(expected_r, len, "variables with a name each: "
			    "\"%s\" is there twice", name);
		else if (i == OPTIONS_PAIRS_MAX)
			snprintf(expected_r, len, "at most %d variables, since "
			    "policies and clients need room for theirs",
			    OPTIONS_PAIRS_MAX);
		else
			continue;
		errno = EINVAL;
		return -1;
	}
	return 0;
}

/* RFC 2033 5: what a server of LMTP MUST implement, for its clients send the
 * whole of an envelope at once. */
static const char *const lmtp_needs[] = { "PIPELINING",
	"ENHANCEDSTATUSCODES" };
#define NNEEDS	(sizeof(lmtp_needs) / sizeof(lmtp_needs[0]))

bool
options_needs(const struct esmtp_options *o, const char *keyword)
{
	size_t i;

	for (i = 0; options_is_lmtp(o) && i < NNEEDS; i++)
		if (strcasecmp(lmtp_needs[i], keyword) == 0)
			return true;
	return false;
}

const char *
options_missing(const struct esmtp_options *o)
{
	const struct conf_list *list = &o->smtp_extensions;
	size_t i, j;

	for (i = 0; options_is_lmtp(o) && list->n > 0 && i < NNEEDS; i++) {
		for (j = 0; j < list->n; j++)
			if (strcasecmp(list->v[j], lmtp_needs[i]) == 0)
				break;
		if (j == list->n)
			return lmtp_needs[i];
	}
	return NULL;
}

bool
options_lists(const struct conf_list *list, const char *domain, size_t len)
{
	char name[LIM_DOMAIN + 1];
	size_t i;

	if (len == 0 || len > LIM_DOMAIN)
		return false;
	memcpy(name, domain, len);
	name[len] = '\0';
	for (i = 0; i < list->n; i++)
		if (fnmatch(list->v[i], name, FNM_CASEFOLD | FNM_NOESCAPE) == 0)
			return true;
	return false;
}

/* Does "*.example.test", ${pattern}, match all that ends with "." and ${domain}?
 * It does with "example.test" and with "a.example.test". */
static bool
covers(const char *pattern, const char *domain, size_t len)
{
	size_t n = strlen(pattern);

	if (strcmp(pattern, "*") == 0)
		return true;
	if (n < 3 || strncmp(pattern, "*.", 2) != 0 ||
	    strpbrk(pattern + 2, "*?[") != NULL)
		return false;
	pattern += 2;
	n -= 2;
	return n <= len && strncasecmp(domain + len - n, pattern, n) == 0 &&
	    (n == len || domain[len - n - 1] == '.');
}

bool
options_may_etrn(const struct esmtp_options *o, const char *domain, size_t len,
    bool has_subdomains)
{
	const struct conf_list *list = &o->etrn_domains;
	bool may = options_lists(list, domain, len);
	size_t i;

	if (!may || !has_subdomains)
		return may;
	for (i = 0; i < list->n; i++)
		if (covers(list->v[i], domain, len))
			return true;
	return false;
}

int
options_init(struct esmtp_options *o, const char *hostname)
{
	size_t i;

	memset(o, 0, sizeof(*o));
	if (hostname == NULL) {
		errno = EINVAL;
		return -1;
	}
	if ((o->hostname = strdup(hostname)) == NULL)
		return -1;
	for (i = 0; i < options_nrows; i++)
		if (conf_field_default(o, &options_rows[i]) == -1) {
			options_clear(o);
			errno = ENOMEM;
			return -1;
		}
	return 0;
}

void
options_clear(struct esmtp_options *o)
{
	size_t i;

	for (i = 0; i < options_nrows; i++)
		conf_field_free(o, &options_rows[i]);
	free(o->hostname);
	memset(o, 0, sizeof(*o));
}

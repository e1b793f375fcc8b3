/* Fields that a configuration sets: text to values. */

#include "core/util/conf_field.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/util/idna.h"
#include "core/util/netmask.h"
#include "core/util/utf8.h"

#define MODE_DIGITS	4

/* Letters that may follow a number, the largest first. */
struct unit {
	char	letter;
	int64_t	factor;
};

static const struct unit sizes[] = {
	{ 'G', 1 << 30 }, { 'M', 1 << 20 }, { 'K', 1 << 10 }, { 'k', 1 << 10 },
	{ '\0', 1 }
};
static const struct unit times[] = {
	{ 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 }, { '\0', 1 }
};

static int
bad(int errnum)
{
	errno = errnum;
	return -1;
}

bool
conf_field_is_list(const struct conf_field *f)
{
	return f->type == CONF_LIST || f->type == CONF_DOMAINS ||
	    f->type == CONF_NETWORKS;
}

bool
conf_field_is_text(const struct conf_field *f)
{
	return f->type == CONF_STRING || f->type == CONF_TEXT ||
	    f->type == CONF_DOMAIN;
}

/* --- parsing -------------------------------------------------------------- */

static int
parse_bool(const char *value, int64_t *n_r)
{
	static const char *const words[] = { "false", "true", "no", "yes",
		"off", "on", "0", "1" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(value, words[i]) == 0) {
			*n_r = i % 2;
			return 0;
		}
	return bad(EINVAL);
}

/* The index of ${value} in "a|b=other|c", where b has two names. */
static int
parse_choice(const char *choices, const char *value, int64_t *n_r)
{
	size_t len = strlen(value), n;
	const char *p = choices;
	int64_t i = 0;

	for (;; p += n + 1) {
		n = strcspn(p, "|=");
		if (n == len && strncasecmp(p, value, n) == 0) {
			*n_r = i;
			return 0;
		}
		if (p[n] == '\0')
			return bad(EINVAL);
		i += p[n] == '|';
	}
}

/* Decimal digits at *p, which is moved behind them. */
static int
parse_digits(const char **p, int64_t *n_r)
{
	char *end;

	if (**p < '0' || **p > '9')
		return bad(EINVAL);
	errno = 0;
	*n_r = strtoll(*p, &end, 10);
	*p = end;
	return errno == 0 ? 0 : bad(ERANGE);
}

static int
parse_int(const char *value, int64_t *n_r)
{
	bool is_negative = *value == '-';

	value += is_negative;
	if (parse_digits(&value, n_r) == -1)
		return -1;
	if (is_negative)
		*n_r = -*n_r;
	return *value == '\0' ? 0 : bad(EINVAL);
}

/* A number alone; or a size, "10M"; or a time, "1h30m", whose units go from
 * large to small. */
static int
parse_units(const struct unit *u, const char *value, int64_t *n_r)
{
	bool is_one = u == sizes;
	const char *p = value;
	int64_t n;

	if (parse_digits(&p, n_r) == -1)
		return -1;
	if (*p == '\0')
		return 0;
	*n_r = 0;
	for (p = value; *p != '\0'; p++) {
		if (parse_digits(&p, &n) == -1)
			return -1;
		while (u->letter != '\0' && u->letter != *p)
			u++;
		if (u->letter == '\0' || (is_one && p[1] != '\0'))
			return bad(EINVAL);
		if (__builtin_mul_overflow(n, u->factor, &n) ||
		    __builtin_add_overflow(*n_r, n, n_r))
			return bad(ERANGE);
		u++;
	}
	return 0;
}

static int
parse_mode(const char *value, int64_t *n_r)
{
	size_t len = strspn(value, "01234567");

	if (len == 0 || len > MODE_DIGITS || value[len] != '\0')
		return bad(EINVAL);
	*n_r = strtol(value, NULL, 8);
	return 0;
}

static int
parse_number(const struct conf_field *f, const char *value, int64_t *n_r)
{
	int rc;

	switch (f->type) {
	case CONF_BOOL:
		return parse_bool(value, n_r);
	case CONF_CHOICE:
		return parse_choice(f->def, value, n_r);
	case CONF_SIZE:
		rc = parse_units(sizes, value, n_r);
		break;
	case CONF_TIME:
		rc = parse_units(times, value, n_r);
		break;
	case CONF_MODE:
		rc = parse_mode(value, n_r);
		break;
	default:
		rc = parse_int(value, n_r);
		break;
	}
	if (rc == 0 && (*n_r < f->min || *n_r > f->max))
		rc = bad(ERANGE);
	return rc;
}

/* Printable ASCII alone, since the text gets into replies and header fields. */
static bool
is_printable(const char *value)
{
	while (*value >= 32 && *value <= 126)
		value++;
	return *value == '\0';
}

/* The text that a field gets for ${value}, perhaps in ${room}; NULL with errno:
 * none. */
static const char *
text_of(const struct conf_field *f, const char *value, char room[IDNA_MAX + 1])
{
	size_t len = strlen(value);

	if ((f->type != CONF_DOMAIN && f->type != CONF_DOMAINS) ||
	    utf8_is_ascii(value, len))
		return value;
	if (idna_ascii(value, len, room, IDNA_MAX + 1) != -1)
		return room;
	bad(errno == ENOMEM ? ENOMEM : EINVAL);
	return NULL;
}

static int
check_text(const struct conf_field *f, const char *value)
{
	char room[IDNA_MAX + 1];
	struct netmask nm;
	int64_t len;

	if ((value = text_of(f, value, room)) == NULL)
		return -1;
	len = (int64_t)strlen(value);
	if (f->type != CONF_STRING && !is_printable(value))
		return bad(EINVAL);
	if (len < f->min || len > f->max)
		return bad(ERANGE);
	return f->type != CONF_NETWORKS ||
	    netmask_parse(value, (size_t)len, &nm) != -1 ? 0 : -1;
}

/* --- writing -------------------------------------------------------------- */

/* ${n} in the largest unit that divides it: "10M". */
static const char *
unit_text(const struct unit *units, int64_t n, char *buf, size_t len)
{
	while (units->letter != '\0' && (n == 0 || n % units->factor != 0))
		units++;
	snprintf(buf, len, units->letter != '\0' ? "%" PRId64 "%c" :
	    "%" PRId64, n / units->factor, units->letter);
	return buf;
}

/* Choice ${n} of "a|b=other|c". */
static const char *
choice_text(const char *choices, int n, char *buf, size_t len)
{
	while (n-- > 0)
		choices += strcspn(choices, "|") + 1;
	snprintf(buf, len, "%.*s", (int)strcspn(choices, "|="), choices);
	return buf;
}

const char *
conf_field_text(const void *base, const struct conf_field *f,
    char buf[CONF_FIELD_TEXT])
{
	static const struct unit none[] = { { '\0', 1 } };
	const void *at = (const char *)base + f->offset;

	switch (f->type) {
	case CONF_BOOL:
		return strcpy(buf, *(const bool *)at ? "true" : "false");
	case CONF_CHOICE:
		return choice_text(f->def, *(const int *)at, buf,
		    CONF_FIELD_TEXT);
	case CONF_INT:
	case CONF_SIZE:
	case CONF_TIME:
		return unit_text(f->type == CONF_SIZE ? sizes :
		    f->type == CONF_TIME ? times : none,
		    *(const int64_t *)at, buf, CONF_FIELD_TEXT);
	case CONF_MODE:
		snprintf(buf, CONF_FIELD_TEXT, "%04" PRIo64,
		    (uint64_t)*(const int64_t *)at);
		return buf;
	default:
		return NULL;
	}
}

/* --- what was expected ---------------------------------------------------- */

static void
describe_units(const struct conf_field *f, char *buf, size_t len)
{
	bool is_size = f->type == CONF_SIZE;
	const struct unit *units = is_size ? sizes : times;
	char min[32], max[32];

	snprintf(buf, len, "a %s from %s to %s (%s%s%s)", is_size ? "size" :
	    "time", unit_text(units, f->min, min, sizeof(min)),
	    unit_text(units, f->max, max, sizeof(max)), is_size ?
	    "octets, or with K, M or G" : "seconds, or such as 5m or 1h30m",
	    f->unit == NULL ? "" : "; ", f->unit == NULL ? "" : f->unit);
}

/* "a, b or c" of "a|b|c"; "a, b (or: other) or c" of "a|b=other|c". */
static void
describe_choices(const char *choices, char *buf, size_t len)
{
	size_t used = 0, n, first;
	const char *p;

	for (p = choices; used < len; p += n + 1) {
		n = strcspn(p, "|");
		first = strcspn(p, "|=");
		used += (size_t)snprintf(buf + used, len - used,
		    first < n ? "%s%.*s (or: %.*s)" : "%s%.*s",
		    p == choices ? "" : p[n] == '\0' ? " or " : ", ",
		    (int)first, p, (int)(n - first - (first < n)),
		    p + first + (first < n));
		if (p[n] == '\0')
			break;
	}
}

static void
describe_text(const struct conf_field *f, char *buf, size_t len)
{
	bool is_domain = f->type == CONF_DOMAIN || f->type == CONF_DOMAINS;

	snprintf(buf, len, "%s of %s%" PRId64 " %s%s",
	    conf_field_is_list(f) ? "texts" : "a text",
	    f->min > 0 ? "1 to " : "at most ", f->max,
	    f->type == CONF_STRING ? "octets" : "printable ASCII characters",
	    is_domain ? ", or a domain of IDNA2008 in UTF-8" : "");
}

static void
describe(const struct conf_field *f, int errnum, char *buf, size_t len)
{
	if (errnum == ENOMEM) {
		snprintf(buf, len, "more memory");
		return;
	}
	switch (f->type) {
	case CONF_BOOL:
		snprintf(buf, len, "true or false");
		break;
	case CONF_INT:
		snprintf(buf, len, "a number from %" PRId64 " to %" PRId64
		    "%s%s%s", f->min, f->max, f->unit == NULL ? "" : " (",
		    f->unit == NULL ? "" : f->unit, f->unit == NULL ? "" :
		    ")");
		break;
	case CONF_SIZE:
	case CONF_TIME:
		describe_units(f, buf, len);
		break;
	case CONF_CHOICE:
		describe_choices(f->def, buf, len);
		break;
	case CONF_MODE:
		snprintf(buf, len, "the rights of a file in octal, from %04"
		    PRIo64 " to %04" PRIo64 ", such as 0660",
		    (uint64_t)f->min, (uint64_t)f->max);
		break;
	case CONF_NETWORKS:
		snprintf(buf, len, errnum == EDOM ? "a network without bits "
		    "set behind its prefix" : "an address or network such as "
		    "192.0.2.0/24 or 2001:db8::/32, or \"unix\" or "
		    "\"unix:1000\" for Unix sockets");
		break;
	default:
		describe_text(f, buf, len);
		break;
	}
}

/* --- setting -------------------------------------------------------------- */

static void
list_free(struct conf_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static int
set_list(struct conf_list *l, const struct conf_field *f,
    const char *const *values, size_t n)
{
	struct conf_list new = { NULL, 0 };
	char room[IDNA_MAX + 1];
	const char *text;
	size_t i;

	for (i = 0; i < n; i++)
		if (check_text(f, values[i]) == -1)
			return -1;
	if (n > 0 && (new.v = calloc(n, sizeof(*new.v))) == NULL)
		return bad(ENOMEM);
	for (; new.n < n; new.n++)
		if ((text = text_of(f, values[new.n], room)) == NULL ||
		    (new.v[new.n] = strdup(text)) == NULL) {
			list_free(&new);
			return bad(ENOMEM);
		}
	list_free(l);
	*l = new;
	return 0;
}

static int
set_text(char **s, const struct conf_field *f, const char *value)
{
	char room[IDNA_MAX + 1], *copy;

	if (check_text(f, value) == -1)
		return -1;
	if ((value = text_of(f, value, room)) == NULL ||
	    (copy = strdup(value)) == NULL)
		return bad(ENOMEM);
	free(*s);
	*s = copy;
	return 0;
}

static int
set(void *at, const struct conf_field *f, const char *const *values,
    size_t n)
{
	int64_t number;

	if (conf_field_is_list(f))
		return set_list(at, f, values, n);
	if (n != 1)
		return bad(EINVAL);
	if (conf_field_is_text(f))
		return set_text(at, f, values[0]);
	if (parse_number(f, values[0], &number) == -1)
		return -1;
	if (f->type == CONF_BOOL)
		*(bool *)at = number != 0;
	else if (f->type == CONF_CHOICE)
		*(int *)at = (int)number;
	else
		*(int64_t *)at = number;
	return 0;
}

int
conf_field_set(void *base, const struct conf_field *f,
    const char *const *values, size_t n, char *expected_r, size_t len)
{
	int errnum;

	if (set((char *)base + f->offset, f, values, n) == 0)
		return 0;
	errnum = errno;
	describe(f, errnum, expected_r, len);
	return bad(errnum);
}

int
conf_field_default(void *base, const struct conf_field *f)
{
	char *copy, *rest, *part;
	const char *values[16];
	size_t n = 0;
	int rc;

	if ((copy = rest = strdup(f->def)) == NULL)
		return -1;
	if (conf_field_is_list(f)) {
		while (n < 16 && (part = strsep(&rest, ",")) != NULL)
			if (*part != '\0')
				values[n++] = part;
	} else
		values[n++] = f->type == CONF_CHOICE ? strsep(&rest, "|=") :
		    copy;
	rc = set((char *)base + f->offset, f, values, n);
	free(copy);
	return rc;
}

int
conf_field_check(const struct conf_field *f, const char *value,
    char *expected_r, size_t len)
{
	int64_t number;
	int errnum;

	if ((conf_field_is_text(f) || conf_field_is_list(f) ?
	    check_text(f, value) : parse_number(f, value, &number)) == 0)
		return 0;
	errnum = errno;
	describe(f, errnum, expected_r, len);
	return bad(errnum);
}

void
conf_field_free(void *base, const struct conf_field *f)
{
	void *at = (char *)base + f->offset;

	if (conf_field_is_list(f))
		list_free(at);
	else if (conf_field_is_text(f)) {
		free(*(char **)at);
		*(char **)at = NULL;
	}
}

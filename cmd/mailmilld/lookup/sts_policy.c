/* Policies of MTA-STS; see sts_policy.h. */

#include "cmd/mailmilld/lookup/sts_policy.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/mailmilld/lookup/txt.h"

#define VERSION		"v=STSv1;"
#define MAX_AGE_DIGITS	10

static const char *const mode_names[STS_NMODES] = {
	[STS_NONE] = "none",
	[STS_TESTING] = "testing",
	[STS_ENFORCE] = "enforce",
};

const char *
sts_group(const char *name)
{
	const char *at = name + strlen(name);
	unsigned int ndots = 0;

	while (at > name && (at[-1] != '.' || ++ndots < 2))
		at--;
	return at;
}

const char *
sts_failure_name(enum sts_failure failure)
{
	static const char *const names[STS_NFAILURES] = {
		[STS_FETCHED] = "none",
		[STS_FETCH_ERROR] = "sts-policy-fetch-error",
		[STS_INVALID] = "sts-policy-invalid",
		[STS_WEBPKI_INVALID] = "sts-webpki-invalid",
		[STS_UNKNOWN] = "unknown"
	};

	return names[failure];
}

const char *
sts_mode_name(enum sts_mode mode)
{
	return mode_names[mode];
}

static bool
has_controls(const struct txt_span *a)
{
	size_t i;

	for (i = 0; i < a->len; i++)
		if ((unsigned char)a->s[i] < ' ' || a->s[i] == 0x7f)
			return true;
	return false;
}

/* --- patterns ------------------------------------------------------------- */

/* ["*."] Domain (RFC 8461 3.2), in lower case. */
static bool
pattern(const char *text, char pattern_r[LIM_DOMAIN + 3])
{
	size_t stars = strncmp(text, "*.", 2) == 0 ? 2 : 0;

	memcpy(pattern_r, text, stars);
	return lookup_name(text + stars, pattern_r + stars) == 0;
}

bool
sts_policy_matches(const struct sts_policy *p, const char *host)
{
	const char *behind = strchr(host, '.'), *s;

	for (s = p->mx; s < p->mx + p->len; s += strlen(s) + 1)
		if (*s == '*' ? behind != NULL && behind != host &&
		    strcasecmp(behind, s + 1) == 0 : strcasecmp(host, s) == 0)
			return true;
	return false;
}

bool
sts_policy_check(const struct sts_policy *p)
{
	char same[LIM_DOMAIN + 3];
	const char *s;

	if (p->mode >= STS_NMODES || p->max_age_s > STS_MAX_AGE ||
	    p->len > sizeof(p->mx) ||
	    (p->len > 0 && p->mx[p->len - 1] != '\0') ||
	    (p->len == 0 && p->mode != STS_NONE))
		return false;
	for (s = p->mx; s < p->mx + p->len; s += strlen(s) + 1)
		if (strlen(s) > LIM_DOMAIN + 2 || !pattern(s, same) ||
		    strcmp(s, same) != 0)
			return false;
	return true;
}

/* --- policies ------------------------------------------------------------- */

struct parse {
	struct sts_policy	*p;
	bool			 has_version, has_mode, has_max_age;
	char			*err;
	size_t			 errlen;
};

static int
wrong(struct parse *x, const char *what)
{
	snprintf(x->err, x->errlen, "%s", what);
	return -1;
}

static int
take_version(struct parse *x, const struct txt_span *value)
{
	if (!x->has_version && !txt_is(value, "STSv1"))
		return wrong(x, "its version is not STSv1");
	x->has_version = true;
	return 0;
}

static int
take_mode(struct parse *x, const struct txt_span *value)
{
	unsigned int i;

	if (x->has_mode)
		return 0;
	for (i = 0; i < STS_NMODES; i++)
		if (txt_is(value, mode_names[i]))
			break;
	if (i == STS_NMODES)
		return wrong(x, "its mode is not enforce, testing or none");
	x->p->mode = i;
	x->has_mode = true;
	return 0;
}

static int
take_max_age(struct parse *x, const struct txt_span *value)
{
	uint64_t n = 0;
	size_t i;

	if (x->has_max_age)
		return 0;
	if (value->len == 0 || value->len > MAX_AGE_DIGITS)
		return wrong(x, "its max_age is no number of seconds");
	for (i = 0; i < value->len; i++) {
		if (!isdigit((unsigned char)value->s[i]))
			return wrong(x, "its max_age is no number of seconds");
		n = n * 10 + (uint64_t)(value->s[i] - '0');
	}
	x->p->max_age_s = n < STS_MAX_AGE ? (uint32_t)n : STS_MAX_AGE;
	x->has_max_age = true;
	return 0;
}

static int
take_mx(struct parse *x, const struct txt_span *value)
{
	char text[LIM_DOMAIN + 4], mx[LIM_DOMAIN + 3];
	size_t len;

	if (value->len >= sizeof(text) ||
	    memchr(value->s, '\0', value->len) != NULL)
		return wrong(x, "its mx is not the name of a host");
	memcpy(text, value->s, value->len);
	text[value->len] = '\0';
	if (!pattern(text, mx))
		return wrong(x, "its mx is not the name of a host");
	len = strlen(mx) + 1;
	if (len > sizeof(x->p->mx) - x->p->len)
		return wrong(x, "it has too many patterns of MX hosts");
	memcpy(x->p->mx + x->p->len, mx, len);
	x->p->len += len;
	return 0;
}

/* The fields of RFC 8461 3.2; of most the first one counts. */
static const struct field {
	const char	*name;
	int		(*take)(struct parse *x, const struct txt_span *value);
} fields[] = {
	{ "version", take_version },
	{ "mode", take_mode },
	{ "max_age", take_max_age },
	{ "mx", take_mx },
};

static int
take_line(struct parse *x, struct txt_span *line)
{
	struct txt_span name, value = *line;
	size_t i;

	txt_trim(&value);
	if (value.len == 0)
		return 0;
	if (memchr(value.s, ':', value.len) == NULL)
		return wrong(x, "a line has no colon");
	name = txt_take(&value, ':');
	txt_trim(&value);
	if (!txt_is_name(&name) || has_controls(&value))
		return wrong(x, "a line is not a name, a colon and a value");
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (txt_is(&name, fields[i].name))
			return fields[i].take(x, &value);
	return 0;
}

int
sts_policy_parse(const char *text, size_t len, struct sts_policy *policy_r,
    char *err_r, size_t errlen)
{
	struct parse x = { .p = policy_r, .err = err_r, .errlen = errlen };
	struct txt_span rest = { text, len }, line;

	policy_r->len = 0;
	if (len > LIM_STS_TEXT)
		return wrong(&x, "it is longer than 64 KiB");
	while (rest.len > 0) {
		line = txt_take(&rest, '\n');
		if (line.len > 0 && line.s[line.len - 1] == '\r')
			line.len--;
		if (take_line(&x, &line) == -1)
			return -1;
	}
	if (!x.has_version)
		return wrong(&x, "it has no version");
	if (!x.has_mode)
		return wrong(&x, "it has no mode");
	if (!x.has_max_age)
		return wrong(&x, "it has no max_age");
	/* RFC 8461 3.2: that of mode "none" needs none */
	if (policy_r->len == 0 && policy_r->mode != STS_NONE)
		return wrong(&x, "it has no mx");
	return 0;
}

/* --- records -------------------------------------------------------------- */

static bool
is_id(const struct txt_span *a)
{
	size_t i;

	if (a->len == 0 || a->len > LIM_STS_ID)
		return false;
	for (i = 0; i < a->len; i++)
		if (!isalnum((unsigned char)a->s[i]))
			return false;
	return true;
}

bool
sts_id_check(const char *id)
{
	const struct txt_span a = { id, strlen(id) };

	return is_id(&a);
}

int
sts_record_parse(const uint8_t *text, size_t len, char id_r[LIM_STS_ID + 1])
{
	struct txt_span rest, name, value;
	bool has_id = false;
	int rc;

	if (!txt_begin(text, len, VERSION, &rest))
		return 0;
	while ((rc = txt_next(&rest, &name, &value)) == 1) {
		if (!txt_is_name(&name) || !txt_is_value(&value))
			return -1;
		if (has_id || !txt_is(&name, "id"))
			continue;
		if (!is_id(&value))
			return -1;
		memcpy(id_r, value.s, value.len);
		id_r[value.len] = '\0';
		has_id = true;
	}
	return rc == 0 && has_id ? 1 : -1;
}

int
sts_record_find(const struct lookup_answer *a, char id_r[LIM_STS_ID + 1])
{
	struct lookup_record r;
	unsigned int n = 0;
	bool is_good = false;
	size_t at = 0;
	int is_record;

	if (a->status != LOOKUP_FOUND)
		return 0;
	while (lookup_record_next(a, &at, &r) == 1) {
		if (r.type != LOOKUP_R_TXT || (is_record = sts_record_parse(
		    r.data, r.len, id_r)) == 0)
			continue;
		n++;
		is_good = is_record == 1;
	}
	return n == 1 && is_good;
}

/* TXT records that are a version and fields; see txt.h. */

#include "cmd/mailmilld/lookup/txt.h"

#include <ctype.h>
#include <string.h>

#define NAME_OCTETS	32

bool
txt_is(const struct txt_span *a, const char *text)
{
	return a->len == strlen(text) && memcmp(a->s, text, a->len) == 0;
}

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

void
txt_trim(struct txt_span *a)
{
	while (a->len > 0 && is_wsp(*a->s)) {
		a->s++;
		a->len--;
	}
	while (a->len > 0 && is_wsp(a->s[a->len - 1]))
		a->len--;
}

struct txt_span
txt_take(struct txt_span *from, char delim)
{
	const char *end = memchr(from->s, delim, from->len);
	struct txt_span part = { from->s,
		end == NULL ? from->len : (size_t)(end - from->s) };
	size_t used = part.len + (end != NULL);

	from->s += used;
	from->len -= used;
	return part;
}

bool
txt_is_name(const struct txt_span *a)
{
	size_t i;

	if (a->len == 0 || a->len > NAME_OCTETS ||
	    !isalnum((unsigned char)*a->s))
		return false;
	for (i = 1; i < a->len; i++)
		if (!isalnum((unsigned char)a->s[i]) &&
		    (a->s[i] == '\0' || strchr("_-.", a->s[i]) == NULL))
			return false;
	return true;
}

bool
txt_is_value(const struct txt_span *a)
{
	size_t i;

	for (i = 0; i < a->len; i++)
		if (a->s[i] <= ' ' || a->s[i] > '~' || a->s[i] == '=')
			return false;
	return a->len > 0;
}

bool
txt_begin(const uint8_t *text, size_t len, const char *version,
    struct txt_span *rest_r)
{
	size_t used = strlen(version);

	if (len < used || memcmp(text, version, used) != 0)
		return false;
	*rest_r = (struct txt_span){ (const char *)text + used, len - used };
	txt_trim(rest_r);
	return true;
}

int
txt_next(struct txt_span *rest, struct txt_span *name_r,
    struct txt_span *value_r)
{
	if (rest->len == 0)
		return 0;
	*value_r = txt_take(rest, ';');
	txt_trim(value_r);
	txt_trim(rest);
	if (memchr(value_r->s, '=', value_r->len) == NULL)
		return -1;
	*name_r = txt_take(value_r, '=');
	return 1;
}

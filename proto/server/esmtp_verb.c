/* The verbs: the table and its columns.
 * Owns: the rows of esmtp_verb.def, and what esmtp_extensions_register() and
 * esmtp_verb_replace() add before the first session.
 * Knows nothing of what a verb does. */

#include "proto/server/esmtp_verb.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/lim.h"

const struct esmtp_verb esmtp_verbs[] = {
#define ESMTP_VERB(name, states, flags, extension, handler) \
	{ #name, states, flags, ESMTP_EXT_##extension, handler, \
	    sizeof(#name) - 1 },
#include "proto/server/esmtp_verb.def"
#undef ESMTP_VERB
};

const size_t esmtp_nverbs = sizeof(esmtp_verbs) / sizeof(esmtp_verbs[0]);

/* Filled before the first session, const afterwards. */
static struct esmtp_extension extensions[LIM_EXTENSIONS];
static size_t nextensions;
static struct esmtp_extension replacements[sizeof(esmtp_verbs) /
    sizeof(esmtp_verbs[0])];

const struct esmtp_verb *
esmtp_verb_find(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < esmtp_nverbs; i++)
		if (esmtp_verbs[i].name_len == len &&
		    strncasecmp(esmtp_verbs[i].name, s, len) == 0)
			return &esmtp_verbs[i];
	return NULL;
}

bool
esmtp_verb_is_spoken(const struct esmtp_verb *v, const struct esmtp_options *o)
{
	return !(v->flags & (options_is_lmtp(o) ? VF_SMTP : VF_LMTP));
}

const struct esmtp_extension *
esmtp_verb_replacement(const struct esmtp_verb *v)
{
	const struct esmtp_extension *e = &replacements[v - esmtp_verbs];

	return e->func != NULL ? e : NULL;
}

/* Does ${s} start with ${name}, in any case? */
static bool
is_begun(const char *s, size_t len, const char *name, size_t name_len)
{
	return len >= name_len && strncasecmp(name, s, name_len) == 0;
}

static const struct esmtp_extension *
registered(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < nextensions; i++)
		if (extensions[i].name_len == len &&
		    strncasecmp(extensions[i].name, s, len) == 0)
			return &extensions[i];
	return NULL;
}

const struct esmtp_extension *
esmtp_extension_find(const char *s, size_t len)
{
	const struct esmtp_extension *e = registered(s, len);

	return e != NULL && e->func != NULL ? e : NULL;
}

const struct esmtp_extension *
esmtp_extension_get(size_t i)
{
	return i < nextensions ? &extensions[i] : NULL;
}

/* --- what follows a verb -------------------------------------------------- */

unsigned int
esmtp_verb_input(const struct esmtp_verb *v, const struct esmtp_extension *e)
{
	unsigned int flags = v != NULL ?
	    v->flags | replacements[v - esmtp_verbs].flags : e->flags;

	return flags & (VF_CHUNK | VF_BODY);
}

unsigned int
esmtp_verb_input_meant(const char *s, size_t len)
{
	unsigned int flags;
	size_t i;

	/* what does not show, a byte order mark for example */
	for (; len > 0 && (*s <= ' ' || *s > '~'); s++)
		len--;
	for (i = 0; i < esmtp_nverbs; i++) {
		flags = esmtp_verb_input(&esmtp_verbs[i], NULL);
		if (flags != 0 && is_begun(s, len, esmtp_verbs[i].name,
		    esmtp_verbs[i].name_len))
			return flags;
	}
	for (i = 0; i < nextensions; i++)
		if (extensions[i].flags != 0 && is_begun(s, len,
		    extensions[i].name, extensions[i].name_len))
			return extensions[i].flags;
	return 0;
}

/* --- what is not reported ------------------------------------------------- */

const struct esmtp_verb *
esmtp_verb_secret(const char *s, size_t len)
{
	const struct esmtp_verb *v;

	for (v = esmtp_verbs; v < esmtp_verbs + esmtp_nverbs; v++)
		if (v->flags & VF_SECRET &&
		    is_begun(s, len, v->name, v->name_len))
			return v;
	return NULL;
}

bool
esmtp_verb_is_own(const struct esmtp_verb *v, const struct esmtp_extension *e)
{
	return v == NULL ? e != NULL : v->flags & VF_OWN &&
	    esmtp_verb_replacement(v) != NULL;
}

bool
esmtp_verb_may_be_secret(const char *s, size_t len)
{
	const struct esmtp_verb *v;
	size_t i;

	for (v = esmtp_verbs; v < esmtp_verbs + esmtp_nverbs; v++)
		if ((v->flags & VF_SECRET || esmtp_verb_is_own(v, NULL)) &&
		    is_begun(s, len, v->name, v->name_len))
			return true;
	for (i = 0; i < nextensions; i++)
		if (extensions[i].func != NULL && is_begun(s, len,
		    extensions[i].name, extensions[i].name_len))
			return true;
	return false;
}

/* --- what a program adds -------------------------------------------------- */

/* What clients of other protocols say first: browsers, which others can make
 * send a form with commands in it, and what looks for open ports. */
static const char *const foreign[] = {
	"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "CONNECT ",
	"TRACE ", "PATCH ",	/* RFC 9110 9, RFC 5789 */
	"PRI * HTTP/",		/* RFC 9113 3.4 */
	"SSH-",			/* RFC 4253 4.2 */
	"\x16\x03"		/* RFC 8446 5.1: a handshake of TLS */
};

/* How a request of HTTP ends, whatever its method (RFC 9112 3), and those of
 * protocols that took its form. */
static const char *const versions[] = { "HTTP/", "SIP/", "RTSP/", "ICAP/" };

static bool
is_request(const char *s, size_t len)
{
	const char *last = memrchr(s, ' ', len);
	size_t i, n, rest;

	if (last == NULL)
		return false;
	last++;
	rest = (size_t)(s + len - last);
	for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		n = strlen(versions[i]);
		if (rest > n && memcmp(last, versions[i], n) == 0)
			return true;
	}
	return false;
}

bool
esmtp_is_foreign(const char *s, size_t len, bool is_whole)
{
	size_t i, n;

	if (is_whole && is_request(s, len))
		return true;
	for (i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		n = strlen(foreign[i]);
		if (len >= n && memcmp(s, foreign[i], n) == 0)
			return esmtp_extension_find(s,
			    strcspn(foreign[i], " ")) == NULL;
	}
	return false;
}

int
esmtp_extensions_register(const char *command, ESMTPExtensionSetup s,
    ESMTPExtensionFunc f, void *closure)
{
	struct esmtp_extension *e;
	size_t i, len = command != NULL ? strlen(command) : 0;

	if (esmtp_has_begun() || len >= sizeof(e->name) || len == 0 ||
	    esmtp_ext_keyword(command, len) != len ||
	    nextensions == LIM_EXTENSIONS ||
	    esmtp_verb_find(command, len) != NULL ||
	    registered(command, len) != NULL)
		return 0;
	e = &extensions[nextensions++];
	for (i = 0; i < len; i++)
		e->name[i] = command[i] >= 'a' && command[i] <= 'z' ?
		    (char)(command[i] - 32) : command[i];
	e->name[len] = '\0';
	e->name_len = len;
	e->setup = s;
	e->func = f;
	e->closure = closure;
	return 1;
}

int
esmtp_verb_replace(const char *command, ESMTPExtensionFunc f, void *closure)
{
	const struct esmtp_verb *v = command != NULL ?
	    esmtp_verb_find(command, strlen(command)) : NULL;
	struct esmtp_extension *e;

	if (v == NULL || !(v->flags & (VF_FIRST | VF_OWN)) || f == NULL ||
	    esmtp_has_begun())
		return 0;
	e = &replacements[v - esmtp_verbs];
	if (e->func != NULL)
		return 0;
	e->func = f;
	e->closure = closure;
	return 1;
}

int
esmtp_verb_has_input(const char *command)
{
	size_t len = command != NULL ? strlen(command) : 0;
	const struct esmtp_verb *v;
	const struct esmtp_extension *e;

	if (len == 0 || esmtp_has_begun())
		return 0;
	v = esmtp_verb_find(command, len);
	if (v != NULL && !(v->flags & VF_OWN))
		return 0;
	e = v != NULL ? esmtp_verb_replacement(v) :
	    esmtp_extension_find(command, len);
	if (e == NULL)
		return 0;
	(v != NULL ? &replacements[v - esmtp_verbs] :
	    &extensions[e - extensions])->flags |= VF_BODY;
	return 1;
}

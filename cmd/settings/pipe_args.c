/* The arguments of the program of Delivery = "pipe"; see pipe_args.h. */

#include "cmd/settings/pipe_args.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mailaddr.h"

static const struct macro {
	const char	*name;
	bool		 is_of_rcpt;
	const char	*variable;
} macros[NPIPE_MACROS] = {
#define PIPE_MACRO(ID, name, of_rcpt, variable) \
	[PIPE_##ID] = { name, of_rcpt, variable },
#include "cmd/settings/pipe_macro.def"
#undef PIPE_MACRO
};

const char *
pipe_macro_name(enum pipe_macro m)
{
	return macros[m].name;
}

const char *
pipe_macro_variable(enum pipe_macro m)
{
	return macros[m].variable;
}

bool
pipe_macro_is_of_rcpt(enum pipe_macro m)
{
	return macros[m].is_of_rcpt;
}

/* The macro that ${*arg} begins with, behind which ${*arg} points then;
 * NPIPE_MACROS: it begins with none, or with one that is not known. */
static enum pipe_macro
read_macro(const char **arg)
{
	const char *name, *end;
	unsigned int m;

	if (strncmp(*arg, "${", 2) != 0)
		return NPIPE_MACROS;
	name = *arg + 2;
	if ((end = strchr(name, '}')) == NULL)
		return NPIPE_MACROS;
	for (m = 0; m < NPIPE_MACROS; m++)
		if (strlen(macros[m].name) == (size_t)(end - name) &&
		    strncmp(macros[m].name, name, (size_t)(end - name)) == 0) {
			*arg = end + 1;
			break;
		}
	return m;
}

/* The next macro of ${*arg}, behind which it points then; NPIPE_MACROS: there is
 * no more. */
static enum pipe_macro
next_macro(const char **arg)
{
	enum pipe_macro m;

	for (; **arg != '\0'; (*arg)++)
		if ((m = read_macro(arg)) != NPIPE_MACROS)
			return m;
	return NPIPE_MACROS;
}

/* A '$' before anything else than a known name would be one that somebody has
 * forgotten, or a shell's: no shell sees it. */
int
pipe_args_check(const char *arg, const char **why_r)
{
	while (*arg != '\0') {
		if (*arg == '$' && read_macro(&arg) == NPIPE_MACROS) {
			*why_r = "an argument in which each $ begins one of "
#define PIPE_MACRO(ID, name, of_rcpt, variable) "${" name "} "
#include "cmd/settings/pipe_macro.def"
#undef PIPE_MACRO
			    "in single quotes";
			return -1;
		}
		if (*arg != '\0' && *arg != '$')
			arg++;
	}
	return 0;
}

bool
pipe_args_has_macro(const char *arg)
{
	return next_macro(&arg) != NPIPE_MACROS;
}

bool
pipe_args_is_of_rcpt(const char *arg)
{
	enum pipe_macro m;

	while ((m = next_macro(&arg)) != NPIPE_MACROS)
		if (macros[m].is_of_rcpt)
			return true;
	return false;
}

/* --- values --------------------------------------------------------------- */

/* RFC 5321 4.1.2: what a Quoted-string means */
static void
unquote(const struct mailaddr *a, char *to)
{
	const char *s = a->local, *end = s + a->local_len;

	if (a->is_quoted && a->local_len >= 2) {
		s++;
		end--;
	}
	for (; s < end; s++) {
		if (a->is_quoted && *s == '\\' && s + 1 < end)
			s++;
		*to++ = *s;
	}
	*to = '\0';
}

int
pipe_args_rcpt(const char *address, struct pipe_rcpt *rcpt_r,
    struct pipe_values *values)
{
	struct mailaddr a;
	const char *plus;
	size_t i;

	if (strlen(address) >= PIPE_ADDRESS_MAX) {
		errno = EINVAL;
		return -1;
	}
	mailaddr_split(address, &a);
	unquote(&a, rcpt_r->local);
	for (i = 0; i < a.domain_len; i++)
		rcpt_r->domain[i] =
		    (char)tolower((unsigned char)a.domain[i]);
	rcpt_r->domain[i] = '\0';
	plus = strchr(rcpt_r->local, '+');
	/* "+x" has no user: all of it is one */
	if (plus == NULL || plus == rcpt_r->local)
		plus = rcpt_r->local + strlen(rcpt_r->local);
	snprintf(rcpt_r->user, sizeof(rcpt_r->user), "%.*s",
	    (int)(plus - rcpt_r->local), rcpt_r->local);
	snprintf(rcpt_r->extension, sizeof(rcpt_r->extension), "%s",
	    *plus == '\0' ? "" : plus + 1);
	values->v[PIPE_RECIPIENT] = address;
	values->v[PIPE_LOCAL] = rcpt_r->local;
	values->v[PIPE_USER] = rcpt_r->user;
	values->v[PIPE_EXTENSION] = rcpt_r->extension;
	values->v[PIPE_DOMAIN] = rcpt_r->domain;
	return 0;
}

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

/* How long the argument is at most. */
static size_t
octets(const char *arg, const struct pipe_values *values)
{
	size_t n = strlen(arg) + 1;
	enum pipe_macro m;

	while ((m = next_macro(&arg)) != NPIPE_MACROS)
		n += strlen(values->v[m]);
	return n;
}

char *
pipe_args_expand(const char *arg, const struct pipe_values *values,
    enum pipe_macro *bad_r)
{
	char *out = malloc(octets(arg, values)), *to = out;
	const char *value;
	enum pipe_macro m;

	if (out == NULL)
		return NULL;
	while (*arg != '\0') {
		if ((m = read_macro(&arg)) == NPIPE_MACROS) {
			*to++ = *arg++;
			continue;
		}
		value = values->v[m];
		if ((to == out && *value == '-') || has_control(value)) {
			free(out);
			*bad_r = m;
			errno = EINVAL;
			return NULL;
		}
		to = stpcpy(to, value);
	}
	*to = '\0';
	return out;
}

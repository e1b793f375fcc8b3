/* Header fields that a validation module adds to a message; see validate.h.
 * Owns: what may be added, the text until it goes to the spool: behind our
 * Received field, in front of what the client sends. */

#include "proto/validate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "core/util/utf8.h"
#include "proto/server/esmtp_state.h"
#include "proto/server/esmtp_txn.h"

#define LINE_MAX_OCTETS	998	/* RFC 5322 2.1.1, without CRLF */

/* RFC 5322 3.6.8: ftext */
static bool
is_name(const char *name)
{
	const char *p;

	for (p = name; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || *p == ':')
			return false;
	return p > name;
}

/* RFC 5322 2.2: no CR or LF.  RFC 6532: UTF-8 is for messages with SMTPUTF8. */
static bool
is_value(const char *value, bool may_be_utf8)
{
	bool is_blank = true;
	size_t n;

	for (; *value != '\0'; value += n) {
		n = 1;
		if (*value == '\t' || *value == ' ')
			continue;
		if ((*value < ' ' || *value > '~') && (!may_be_utf8 ||
		    (n = utf8_visible(value, strlen(value))) == 0))
			return false;
		is_blank = false;
	}
	return !is_blank;
}

/* Is ${line} one of ${fields}?  A phase may run twice: a function that was
 * suspended is called again, and DATA that was refused may be repeated. */
static bool
is_there(const char *fields, const char *line)
{
	size_t len = strlen(line);

	for (; fields != NULL && *fields != '\0';
	    fields = strchr(fields, '\n') + 1)
		if (strncmp(fields, line, len) == 0)
			return true;
	return false;
}

static int
append(struct esmtp_txn *t, const char *line)
{
	size_t used = t->fields != NULL ? strlen(t->fields) : 0;
	size_t len = strlen(line);
	char *grown;

	if (used + len > LIM_VCTX_FIELDS) {
		errno = E2BIG;
		return -1;
	}
	if ((grown = realloc(t->fields, used + len + 1)) == NULL)
		return -1;
	memcpy(grown + used, line, len + 1);
	t->fields = grown;
	return 0;
}

int
validate_context_add_header(validate_context *vctx, const char *name,
    const char *value)
{
	const message_construct *mc =
	    accept_construct_get_message_construct(vctx->ac);
	struct esmtp_txn *t = mc != NULL ? mc->txn : NULL;
	char line[LINE_MAX_OCTETS + sizeof("\r\n")];
	int n;

	/* the first octets of the message are in the spool with DATA, or the
	 * first BDAT */
	if (t == NULL || t->msg != NULL || (mc->state >= ES_BODY &&
	    mc->state <= ES_ASYNC_REPLY)) {
		errno = EPERM;
		return -1;
	}
	if (name == NULL || value == NULL || !is_name(name) ||
	    !is_value(value, (t->env_flags & SPOOL_ENV_SMTPUTF8) != 0) ||
	    strlen(name) + 2 + strlen(value) > LINE_MAX_OCTETS) {
		errno = EINVAL;
		return -1;
	}
	n = snprintf(line, sizeof(line), "%s: %s\r\n", name, value);
	if (n < 0 || (size_t)n >= sizeof(line)) {
		errno = EINVAL;
		return -1;
	}
	return is_there(t->fields, line) ? 0 : append(t, line);
}

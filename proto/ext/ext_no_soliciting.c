/* NO-SOLICITING, RFC 3865: a sender of solicitations says so with SOLICIT of
 * MAIL, in classes; a server says in EHLO which of them it does not want.
 * Owns: the grammar, the refusal.  The Received field has the classes (RFC 3865
 * 2.6); the field Solicitation in the header of a message is not looked at. */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/server/esmtp_ext.h"

#define CLASSES_MAX	1000	/* octets of the list, RFC 3865 2.3 */

static bool
is_offered(const message_construct *mc)
{
	return mc->ac->options->no_soliciting.n > 0;
}

/* RFC 3865 2.1: the classes that are not wanted.  They fit into the line, since
 * options_classes() refuses an option that has too many. */
static void
ehlo_arg(const message_construct *mc, char *buf, size_t len)
{
	const conf_field_LIST *list = &mc->ac->options->no_soliciting;
	size_t i, n = 0;

	for (i = 0; i < list->n && n < len; i++)
		n += (size_t)snprintf(buf + n, len - n, "%s%s",
		    i > 0 ? "," : "", list->v[i]);
}

static bool
is_unwanted(const struct esmtp_options *o, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < o->no_soliciting.n; i++)
		if (strlen(o->no_soliciting.v[i]) == len &&
		    strncasecmp(o->no_soliciting.v[i], s, len) == 0)
			return true;
	return false;
}

static enum esmtp_reply_id
set_solicit(const struct esmtp_options *o, struct esmtp_params *p,
    const char *value, size_t len)
{
	enum esmtp_reply_id answer = RPL_OK;
	size_t i = 0, n;

	if (len == 0 || len > CLASSES_MAX)
		return RPL_SYNTAX;
	do {
		n = options_class(value + i, len - i);
		if (n == 0 || (i + n < len && value[i + n] != ','))
			return RPL_SYNTAX;
		if (is_unwanted(o, value + i, n)) {
			answer = RPL_SOLICITATION;
			p->unwanted = value + i;
			p->unwanted_len = n;
		}
		i += n + 1;
	} while (i <= len);
	p->solicit = value;
	p->solicit_len = len;
	return answer;
}

static const struct esmtp_param params[] = {
	{ .keyword = "SOLICIT", .set = set_solicit },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_no_soliciting = {
	.keyword = "NO-SOLICITING",
	.is_offered = is_offered,
	.ehlo_arg = ehlo_arg,
	.params = params,
};

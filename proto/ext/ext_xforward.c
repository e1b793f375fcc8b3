/* XFORWARD (Postfix's XFORWARD_README): a client that is allowed to, such as a
 * mail filter, says where the next message came from.
 * Owns: what is kept of it until the end of that message.
 * It is for the log only: a client gets no rights by it. */

#include <stdlib.h>
#include <string.h>

#include "proto/parse/xattr.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_verb.h"

#define PROTO_MAX	64	/* octets; XFORWARD_README */

/* in the order of enum esmtp_attribute, from ESMTP_FORWARD_NAME on */
static const struct xattr_row rows[] = {
	{ .name = "NAME", .form = XATTR_TEXT },
	{ .name = "ADDR", .form = XATTR_PLACE },
	{ .name = "PORT", .form = XATTR_PORT },
	{ .name = "PROTO", .form = XATTR_TEXT, .max = PROTO_MAX },
	{ .name = "HELO", .form = XATTR_TEXT },
	{ .name = "IDENT", .form = XATTR_TEXT },
	{ .name = "SOURCE", .form = XATTR_WORD, .words = "LOCAL|REMOTE" }
};

#define NROWS	(sizeof(rows) / sizeof(rows[0]))
_Static_assert(ESMTP_FORWARD_NAME + NROWS == ESMTP_NATTRIBUTES,
    "rows and attributes differ");

/* All or nothing.  What is not given stays as the commands before it, for the
 * same message, have said. */
static int
keep(message_construct *mc, const struct xattr *v)
{
	char *text[NROWS] = { NULL };
	size_t i;

	if (mc->told == NULL &&
	    (mc->told = calloc(1, sizeof(*mc->told))) == NULL)
		return -1;
	for (i = 0; i < NROWS; i++) {
		if (!v[i].is_known || (text[i] = strdup(v[i].text)) != NULL)
			continue;
		while (i > 0)
			free(text[--i]);
		return -1;
	}
	for (i = 0; i < NROWS; i++) {
		if (!v[i].is_given)
			continue;
		free(mc->told->text[ESMTP_FORWARD_NAME + i]);
		mc->told->text[ESMTP_FORWARD_NAME + i] = text[i];
	}
	return 0;
}

enum esmtp_want
esmtp_cmd_xforward(struct esmtp_step *st, const char *arg, size_t len)
{
	struct xattr v[NROWS];
	struct xattr_bad bad;

	if (xattr_parse(arg, len, rows, NROWS, v, &bad) == -1)
		esmtp_reply_with(st, RPL_ATTRIBUTE, bad.name, bad.len);
	else
		esmtp_reply(st, keep(st->mc, v) == -1 ? RPL_NOMEM : RPL_OK);
	return W_GO;
}

static enum esmtp_reply_id
may_use(const message_construct *mc)
{
	return mc->ac->options->allow_xforward ? RPL_OK : RPL_NOT_AUTHORIZED;
}

static void
ehlo_arg(const message_construct *, char *buf, size_t len)
{
	xattr_names(rows, NROWS, buf, len);
}

const struct esmtp_ext esmtp_ext_xforward = {
	.keyword = "XFORWARD",
	.may_use = may_use,
	.ehlo_arg = ehlo_arg,
};

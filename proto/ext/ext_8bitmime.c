/* 8BITMIME, RFC 6152: the BODY parameter of MAIL.  Messages are kept as they
 * are in either case; the envelope remembers what was said. */

#include "proto/server/esmtp_ext.h"

#include <string.h>
#include <strings.h>

/* The values of BODY, and the extension that each belongs to.  A value is
 * refused where its extension is not offered. */
static const struct {
	const char	*value;
	const char	*keyword;	/* NULL: any that has BODY */
	unsigned int	 flag;		/* SPOOL_ENV_* */
} bodies[] = {
	{ "7BIT", NULL, 0 },		/* RFC 6152 2 */
	{ "8BITMIME", "8BITMIME", SPOOL_ENV_8BITMIME },
	{ "BINARYMIME", "BINARYMIME", SPOOL_ENV_BINARYMIME }, /* RFC 3030 3 */
};

enum esmtp_reply_id
esmtp_ext_set_body(const struct esmtp_options *o, struct esmtp_params *p,
    const char *value, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		if (strlen(bodies[i].value) != len ||
		    strncasecmp(bodies[i].value, value, len) != 0)
			continue;
		if (bodies[i].keyword != NULL &&
		    !esmtp_ext_is_listed(o, bodies[i].keyword))
			return RPL_SYNTAX;
		/* RFC 3030 3: BINARYMIME needs CHUNKING */
		if (bodies[i].flag == SPOOL_ENV_BINARYMIME &&
		    !esmtp_ext_is_listed(o, "CHUNKING"))
			return RPL_SYNTAX;
		p->env_flags |= bodies[i].flag;
		return RPL_OK;
	}
	return RPL_SYNTAX;
}

static const struct esmtp_param params[] = {
	{ .keyword = "BODY", .set = esmtp_ext_set_body },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_8bitmime = {
	.keyword = "8BITMIME",
	.params = params,
};

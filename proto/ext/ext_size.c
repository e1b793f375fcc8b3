/* SIZE, RFC 1870: the limit in the EHLO reply, the SIZE parameter of MAIL.
 * The message itself is measured as it arrives, whatever was declared. */

#include "proto/server/esmtp_ext.h"

#include <inttypes.h>
#include <stdio.h>

/* RFC 1870 4: 0 says that there is no fixed maximum. */
static void
ehlo_arg(const message_construct *mc, char *buf, size_t len)
{
	snprintf(buf, len, "%" PRId64, mc->ac->options->max_message_size);
}

static enum esmtp_reply_id
set_size(const struct esmtp_options *o, struct esmtp_params *p,
    const char *value, size_t len)
{
	uint64_t size = 0;
	size_t i;

	/* RFC 1870 5: size-value = 1*20DIGIT */
	if (len == 0 || len > 20)
		return RPL_SYNTAX;
	for (i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return RPL_SYNTAX;
		if (size > (UINT64_MAX - 9) / 10)
			size = UINT64_MAX;	/* 20 digits may be more */
		else
			size = size * 10 + (uint64_t)(value[i] - '0');
	}
	/* RFC 1870 6.1: a size over the maximum is refused at once */
	if (o->max_message_size > 0 && size > (uint64_t)o->max_message_size)
		return RPL_TOO_BIG;
	p->size = size;
	return RPL_OK;
}

static const struct esmtp_param params[] = {
	{ .keyword = "SIZE", .set = set_size },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_size = {
	.keyword = "SIZE",
	.ehlo_arg = ehlo_arg,
	.params = params,
};

/* MT-PRIORITY, RFC 6710: how urgent a message is, from -9 to 9.
 * Owns: the grammar, who may be urgent.  The queue orders by it, and the
 * Received field tells it (RFC 6710 7).
 *
 * RFC 6710 5.1, 9: a client that is not trusted must not get in front of
 * others: without a login it may only lower the priority of its message.  An
 * administrator who has clients that use the extension names it in
 * SMTP_Extensions. */

#include "proto/server/esmtp_ext.h"

static enum esmtp_reply_id
set_priority(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t len)
{
	size_t sign = len > 0 && value[0] == '-';

	/* RFC 6710 6: priority-value = (["-"] NZDIGIT) / "0" */
	if (len != sign + 1 || value[sign] < (sign ? '1' : '0') ||
	    value[sign] > '9')
		return RPL_SYNTAX;
	p->has_priority = true;
	p->priority = sign ? '0' - value[1] : value[0] - '0';
	return RPL_OK;
}

static enum esmtp_reply_id
check(const message_construct *mc, struct esmtp_params *p)
{
	if (p->priority > 0 && mc->login == NULL) {
		p->priority = 0;
		p->is_priority_changed = true;
	}
	return RPL_OK;
}

static const struct esmtp_param params[] = {
	{ .keyword = "MT-PRIORITY", .set = set_priority },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_mt_priority = {
	.keyword = "MT-PRIORITY",
	.is_by_name = true,
	.params = params,
	.check = check,
};

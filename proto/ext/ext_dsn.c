/* DSN, RFC 3461: what a client wants to be told of the fate of its message.
 * RET and ENVID of MAIL, NOTIFY and ORCPT of RCPT.
 * Owns: their grammar.  They are kept in the envelope for the program that
 * delivers the message, or returns it.
 *
 * RFC 3461 5.2: a server that offers DSN promises to send the notifications
 * that are asked for, or to pass the request on.  Nothing does that here yet,
 * so the extension is offered only where SMTP_Extensions names it: for a host
 * whose spool does, and for an administrator who wants the requests kept. */

#include <string.h>
#include <strings.h>

#include "proto/parse/xtext.h"
#include "proto/server/esmtp_ext.h"

static bool
is_word(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(s, word, len) == 0;
}

static enum esmtp_reply_id
set_ret(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t len)
{
	if (is_word(value, len, "FULL"))
		p->env_flags |= SPOOL_ENV_RET_FULL;
	else if (is_word(value, len, "HDRS"))
		p->env_flags |= SPOOL_ENV_RET_HDRS;
	else
		return RPL_SYNTAX;
	return RPL_OK;
}

static enum esmtp_reply_id
set_envid(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t len)
{
	ssize_t n;

	/* RFC 3461 4.4: at most 100 octets as they are sent; printable once
	 * decoded */
	if (len == 0 || len > LIM_ENVID ||
	    (n = xtext_decode(value, len, p->envid, LIM_ENVID)) == -1 ||
	    !xtext_is_printable(p->envid, (size_t)n))
		return RPL_SYNTAX;
	p->envid[n] = '\0';
	return RPL_OK;
}

/* One word of NOTIFY, or 0 */
static unsigned int
notify_word(const char *s, size_t len)
{
	static const struct { const char *word; unsigned int flag; } words[] = {
		{ "NEVER", SPOOL_NOTIFY_NEVER },
		{ "SUCCESS", SPOOL_NOTIFY_SUCCESS },
		{ "FAILURE", SPOOL_NOTIFY_FAILURE },
		{ "DELAY", SPOOL_NOTIFY_DELAY },
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (is_word(s, len, words[i].word))
			return words[i].flag;
	return 0;
}

static enum esmtp_reply_id
set_notify(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t len)
{
	unsigned int flag;
	size_t i = 0, n;

	if (len == 0)
		return RPL_SYNTAX;
	/* RFC 3461 4.1: "NEVER" / 1#( "SUCCESS" / "FAILURE" / "DELAY" ) */
	do {
		for (n = 0; i + n < len && value[i + n] != ','; n++)
			continue;
		if ((flag = notify_word(value + i, n)) == 0)
			return RPL_SYNTAX;
		p->notify |= flag;
		i += n + 1;
	} while (i <= len);
	/* NEVER stands alone */
	return (p->notify & SPOOL_NOTIFY_NEVER) != 0 &&
	    (p->notify != SPOOL_NOTIFY_NEVER || len != strlen("NEVER")) ?
	    RPL_SYNTAX : RPL_OK;
}

static enum esmtp_reply_id
set_orcpt(const struct esmtp_options *, struct esmtp_params *p,
    const char *value, size_t len)
{
	const char *address = len == 0 ? NULL : memchr(value, ';', len);
	size_t type, used;
	ssize_t n;

	/* RFC 3461 4.2: addr-type ";" xtext, at most 500 octets as they are
	 * sent */
	if (address == NULL || len > LIM_ORCPT ||
	    !xtext_is_type(value, type = (size_t)(address - value)))
		return RPL_SYNTAX;
	used = type + 1;
	memcpy(p->orcpt, value, used);
	/* RFC 6533 3: the type "utf-8" has an encoding of its own */
	if (is_word(value, type, "utf-8"))
		n = xtext_decode_utf8(value + used, len - used,
		    p->orcpt + used, LIM_ORCPT - used);
	else if ((n = xtext_decode(value + used, len - used, p->orcpt + used,
	    LIM_ORCPT - used)) != -1 &&
	    !xtext_is_printable(p->orcpt + used, (size_t)n))
		n = -1;
	if (n <= 0) {
		p->orcpt[0] = '\0';
		return RPL_SYNTAX;
	}
	p->orcpt[used + (size_t)n] = '\0';
	return RPL_OK;
}

static const struct esmtp_param params[] = {
	{ .keyword = "RET", .set = set_ret },
	{ .keyword = "ENVID", .set = set_envid },
	{ .keyword = "NOTIFY", .is_for_rcpt = true, .set = set_notify },
	{ .keyword = "ORCPT", .is_for_rcpt = true, .set = set_orcpt },
	{ .keyword = NULL }
};

const struct esmtp_ext esmtp_ext_dsn = {
	.keyword = "DSN",
	.is_by_name = true,
	.params = params,
};

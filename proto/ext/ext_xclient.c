/* XCLIENT (Postfix's XCLIENT_README): a client that is allowed to says for which
 * other one it speaks, by address, name or login.
 * Owns: what the attributes mean.
 * Knows nothing of their form: xattr.h does; nor of how the session begins
 * anew: esmtp_peer_claim(). */

#include <stdlib.h>
#include <string.h>

#include "core/util/addr.h"
#include "proto/parse/xattr.h"
#include "proto/server/esmtp_auth.h"
#include "proto/server/esmtp_output.h"
#include "proto/server/esmtp_proxy.h"
#include "proto/server/esmtp_tls.h"
#include "proto/server/esmtp_verb.h"

enum { NAME, ADDR, PORT, PROTO, HELO, LOGIN, DESTADDR, DESTPORT, NROWS };

static const struct xattr_row rows[NROWS] = {
	[NAME] = { .name = "NAME", .form = XATTR_HOST },
	[ADDR] = { .name = "ADDR", .form = XATTR_ADDR },
	[PORT] = { .name = "PORT", .form = XATTR_PORT },
	[PROTO] = { .name = "PROTO", .form = XATTR_WORD,
	    .words = "SMTP|ESMTP|LMTP" },
	[HELO] = { .name = "HELO", .form = XATTR_TEXT },
	[LOGIN] = { .name = "LOGIN", .form = XATTR_LOGIN, .max = LIM_LOGIN },
	[DESTADDR] = { .name = "DESTADDR", .form = XATTR_ADDR },
	[DESTPORT] = { .name = "DESTPORT", .form = XATTR_PORT }
};

/* those that are kept as text */
static const struct { unsigned int row; enum esmtp_attribute what; } kept[] = {
	{ NAME, ESMTP_CLIENT_NAME }, { PROTO, ESMTP_CLIENT_PROTO },
	{ HELO, ESMTP_CLIENT_HELO }, { DESTADDR, ESMTP_CLIENT_DESTADDR },
	{ DESTPORT, ESMTP_CLIENT_DESTPORT }
};

/* A command that is refused changes nothing: so all memory is got first. */
struct news {
	char	*text[ESMTP_NATTRIBUTES];
	char	*login;
	union addr peer;
	bool	 has_peer;
};

static void
news_free(struct news *n)
{
	unsigned int i;

	for (i = 0; i < ESMTP_NATTRIBUTES; i++)
		free(n->text[i]);
	free(n->login);
}

static char *
copy(const struct xattr *v, bool *is_lost)
{
	char *text = v->is_known ? strdup(v->text) : NULL;

	*is_lost |= v->is_known && text == NULL;
	return text;
}

/* The address and the port.  An address that is not available is none: the
 * client has no rights of the one that speaks for it. */
static void
find_peer(struct news *n, const struct xattr *v, const struct sockaddr *now)
{
	in_port_t port = 0;
	int family;

	if (v[PORT].is_given && v[PORT].is_known)
		(void)addr_port_parse(v[PORT].text, &port);
	n->has_peer = v[ADDR].is_given ||
	    (v[PORT].is_given && addr_octets(now, &family) != NULL);
	if (!v[ADDR].is_given)
		addr_copy(&n->peer.sa, now);
	else if (v[ADDR].is_known)
		(void)xattr_address(v[ADDR].text, &n->peer);
	if (n->peer.sa.sa_family == AF_INET)
		n->peer.in.sin_port = port;
	else if (n->peer.sa.sa_family == AF_INET6)
		n->peer.in6.sin6_port = port;
}

static int
gather(struct news *n, const struct xattr *v, message_construct *mc)
{
	bool is_lost = false;
	size_t i;

	memset(n, 0, sizeof(*n));
	if (mc->told == NULL &&
	    (mc->told = calloc(1, sizeof(*mc->told))) == NULL)
		return -1;
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		n->text[kept[i].what] = copy(&v[kept[i].row], &is_lost);
	n->login = copy(&v[LOGIN], &is_lost);
	find_peer(n, v, &mc->ac->remote_addr.sa);
	if (!is_lost)
		return 0;
	news_free(n);
	return -1;
}

/* XCLIENT_README: what is not given stays, but for what belongs to another
 * address than this one. */
static void
take(struct news *n, const struct xattr *v, message_construct *mc)
{
	struct esmtp_told *told = mc->told;
	size_t i;

	if (v[ADDR].is_given)
		esmtp_told_clear(told, ESMTP_CLIENT_NAME, ESMTP_CLIENT_NAME);
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (!v[kept[i].row].is_given)
			continue;
		esmtp_told_clear(told, kept[i].what, kept[i].what);
		told->text[kept[i].what] = n->text[kept[i].what];
	}
	esmtp_forget(mc);
	mc->login = n->login;
}

enum esmtp_want
esmtp_cmd_xclient(struct esmtp_step *st, const char *arg, size_t len)
{
	struct xattr v[NROWS];
	struct xattr_bad bad;
	struct news news;

	if (xattr_parse(arg, len, rows, NROWS, v, &bad) == -1) {
		esmtp_reply_with(st, RPL_ATTRIBUTE, bad.name, bad.len);
		return W_GO;
	}
	if (gather(&news, v, st->mc) == -1) {
		esmtp_reply(st, RPL_NOMEM);
		return W_GO;
	}
	take(&news, v, st->mc);
	esmtp_peer_claim(st, news.has_peer ? &news.peer.sa : NULL);
	return W_GO;
}

static enum esmtp_reply_id
may_use(const message_construct *mc)
{
	return mc->ac->options->allow_xclient ? RPL_OK : RPL_NOT_AUTHORIZED;
}

static void
ehlo_arg(const message_construct *, char *buf, size_t len)
{
	xattr_names(rows, NROWS, buf, len);
}

const struct esmtp_ext esmtp_ext_xclient = {
	.keyword = "XCLIENT",
	.may_use = may_use,
	.ehlo_arg = ehlo_arg,
};

/* TLS of clients for embedders; see mailmill_tls.h. */

#include "tls/library/mailmill_tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls_client.h"

_Static_assert(MAILMILL_CLIENT_BINDING == TLS_CLIENT_BINDING_MAX,
    "a binding fits");

struct mailmill_tls_client {
	struct tls_client_ctx	*ctx;
};

/* What a client has of it. */
struct use {
	struct mailmill_tls_client *tls;
	char	*name;		/* NULL: none */
	bool	 must_verify;
};

struct mailmill_tls_client *
mailmill_tls_client_new(const char *authorities, char *error_r, size_t len)
{
	struct tls_client_config config = { .protocols = "TLSv1.2 TLSv1.3" };
	struct mailmill_tls_client *tls = calloc(1, sizeof(*tls));
	char why[TLSCTX_ERROR_MAX] = "out of memory";

	if (tls != NULL && tls_authorities_read(authorities != NULL ?
	    authorities : "", &config.authorities, why, sizeof(why)) == 0) {
		tls->ctx = tls_client_ctx_new(&config, why, sizeof(why));
		free((void *)(uintptr_t)config.authorities.v);
	}
	if (tls != NULL && tls->ctx != NULL)
		return tls;
	free(tls);
	if (error_r != NULL)
		snprintf(error_r, len, "%s", why);
	return NULL;
}

void
mailmill_tls_client_free(struct mailmill_tls_client *tls)
{
	if (tls == NULL)
		return;
	tls_client_ctx_free(tls->ctx);
	free(tls);
}

/* --- the functions of a client -------------------------------------------- */

static void *
start(void *closure, struct mailmill_client *, Event *event)
{
	const struct use *u = closure;
	/* sessions are resumed with the same server: whoever has its name */
	struct tls_client_server server = { .hop = u->name, .name = u->name,
		.must_verify = u->must_verify };
	struct tls_client *t = tls_client_new(u->tls->ctx, &server);

	if (t == NULL || tls_client_start(t, event) == 0)
		return t;
	tls_client_free(t);
	return errno = ENOMEM, NULL;
}

static int
handshake(void *tls, int *needmask_r)
{
	return tls_client_handshake(tls, needmask_r);
}

static bool
is_verified(void *tls)
{
	return tls_client_facts(tls)->is_verified;
}

static size_t
binding(void *tls, const char **type_r, uint8_t *octets_r)
{
	size_t len;

	*type_r = tls_client_binding_name(tls_client_binding(tls, 0,
	    octets_r, &len));
	return len;
}

static const char *
why(void *tls)
{
	return tls_client_facts(tls)->why;
}

static void
end(void *tls)
{
	tls_client_free(tls);
}

static void
forget(void *closure)
{
	struct use *u = closure;

	free(u->name);
	free(u);
}

static const struct mailmill_client_tls_ops ops = { .size = sizeof(ops),
	.start = start, .handshake = handshake, .is_verified = is_verified,
	.binding = binding, .why = why, .end = end, .forget = forget };

/* Return 0, or -1 with errno: can a connection be made to ${u}'s server? */
static int
check(const struct use *u)
{
	struct tls_client_server server = { .hop = u->name, .name = u->name,
		.must_verify = u->must_verify };
	struct tls_client *t = tls_client_new(u->tls->ctx, &server);

	tls_client_free(t);
	return t != NULL ? 0 : -1;
}

int
mailmill_tls_client_use(struct mailmill_tls_client *tls,
    struct mailmill_client *client, const char *name, bool must_verify)
{
	struct use *u = calloc(1, sizeof(*u));
	int errnum;

	if (u == NULL)
		return -1;
	u->tls = tls;
	u->must_verify = must_verify;
	if ((name == NULL || (u->name = strdup(name)) != NULL) &&
	    check(u) == 0 && mailmill_client_set_tls(client, &ops, u) == 0)
		return 0;
	errnum = errno;
	forget(u);
	return errno = errnum, -1;
}

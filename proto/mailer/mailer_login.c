/* TLS and logins of mailmill_client.h: the functions that a program has set, as
 * the engine calls them. */

#include <errno.h>
#include <string.h>

#include "core/util/wipe.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/mailer/mailer_int.h"

#define MECHANISMS_MAX	512	/* octets of the names of all */

/* --- TLS ------------------------------------------------------------------ */

static int
tls_start(void *host, struct smtp_client *, Event *event)
{
	struct mailmill_client *client = host;

	client->tls = client->tls_ops.start(client->tls_closure, client,
	    event);
	return client->tls != NULL ? 0 : -1;
}

static int
tls_handshake(void *host, struct smtp_client *, Event *, int *needmask_r)
{
	struct mailmill_client *client = host;

	return client->tls_ops.handshake(client->tls, needmask_r);
}

static bool
tls_is_verified(void *host, struct smtp_client *)
{
	struct mailmill_client *client = host;

	return client->tls != NULL && client->tls_ops.is_verified(client->tls);
}

/* --- logins --------------------------------------------------------------- */

/* The names of ${mechanisms}, with blanks between them. */
static void
write_mechanisms(unsigned int mechanisms, char names[MECHANISMS_MAX])
{
	const struct esmtp_auth_mech *m;
	size_t i, len = 0, n;

	names[0] = '\0';
	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++) {
		n = strlen(m->name);
		if ((mechanisms & (1u << i)) == 0 ||
		    len + n + 2 > MECHANISMS_MAX)
			continue;
		if (len > 0)
			names[len++] = ' ';
		memcpy(names + len, m->name, n + 1);
		len += n;
	}
}

static bool
has_plus(unsigned int mechanisms)
{
	const struct esmtp_auth_mech *m;
	size_t i;

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
		if (mechanisms & (1u << i) &&
		    esmtp_auth_mech_is_plus(m->name, strlen(m->name)))
			return true;
	return false;
}

static void
auth_start(void *host, struct smtp_client *c, unsigned int mechanisms)
{
	struct mailmill_client *client = host;
	uint8_t binding[MAILMILL_CLIENT_BINDING];
	char names[MECHANISMS_MAX];
	struct mailmill_client_login_offer offer = { .mechanisms = names,
		.has_plus = has_plus(smtp_client_ehlo(c)->mechanisms),
		.is_tls = smtp_client_is_tls(c),
		.is_verified = tls_is_verified(client, c),
		.binding = binding };
	const char *mechanism = NULL;
	char *out = NULL;
	size_t len = 0;

	write_mechanisms(mechanisms, names);
	if (client->tls != NULL && client->tls_ops.binding != NULL)
		offer.binding_len = client->tls_ops.binding(client->tls,
		    &offer.binding_type, binding);
	if (offer.binding_len == 0)
		offer.binding_type = NULL;
	client->exchange = client->login_ops.begin(client->login_closure,
	    client, &offer, &mechanism, &out, &len);
	smtp_client_login(c, client->exchange == NULL ? NULL : mechanism, out,
	    len);
	wipe_free(out, len);
	explicit_bzero(binding, sizeof(binding));
}

/* A step has come to ${rc}. */
static void
answer(struct smtp_client *c, int rc, char *out, size_t len)
{
	if (rc == 1)
		smtp_client_again(c);
	else if (rc == 0)
		smtp_client_respond(c, out != NULL ? out : "", len);
	else
		smtp_client_respond(c, NULL, 0);
	wipe_free(out, len);
}

static void
auth_step(void *host, struct smtp_client *c, const char *challenge, size_t len)
{
	struct mailmill_client *client = host;
	char *out = NULL;
	size_t out_len = 0;
	int rc;

	rc = client->login_ops.step(client->exchange, challenge, len, &out,
	    &out_len);
	answer(c, rc, out, out_len);
}

static void
auth_go_on(void *host, struct smtp_client *c)
{
	struct mailmill_client *client = host;
	char *out = NULL;
	size_t len = 0;
	int rc = -1;

	if (client->login_ops.go_on != NULL)
		rc = client->login_ops.go_on(client->exchange, &out, &len);
	answer(c, rc, out, len);
}

static bool
auth_end(void *host, struct smtp_client *, bool is_right)
{
	struct mailmill_client *client = host;
	void *exchange = client->exchange;

	client->exchange = NULL;
	return exchange != NULL && client->login_ops.end(exchange, is_right);
}

/* --- what there is -------------------------------------------------------- */

void
mailer_ops(struct mailmill_client *client)
{
	if (client->tls_ops.size != 0) {
		client->ops.tls_start = tls_start;
		client->ops.tls_handshake = tls_handshake;
		client->ops.tls_is_verified = tls_is_verified;
	} else {
		client->ops.tls_start = NULL;
		client->ops.tls_handshake = NULL;
		client->ops.tls_is_verified = NULL;
	}
	if (client->login_ops.size != 0) {
		client->ops.auth_start = auth_start;
		client->ops.auth_step = auth_step;
		client->ops.auth_go_on = auth_go_on;
		client->ops.auth_end = auth_end;
	} else {
		client->ops.auth_start = NULL;
		client->ops.auth_step = NULL;
		client->ops.auth_go_on = NULL;
		client->ops.auth_end = NULL;
	}
}

/* Each member of the first version of these is needed, but those that may be
 * NULL; ${size} is that of the program's. */
int
mailmill_client_set_tls(struct mailmill_client *client,
    const struct mailmill_client_tls_ops *ops, void *closure)
{
	if (client->engine != NULL)
		return errno = EISCONN, -1;
	if (ops != NULL && (ops->size < sizeof(*ops) || ops->start == NULL ||
	    ops->handshake == NULL || ops->is_verified == NULL ||
	    ops->end == NULL))
		return errno = EINVAL, -1;
	if (client->tls_ops.size != 0 && client->tls_ops.forget != NULL)
		client->tls_ops.forget(client->tls_closure);
	if (ops == NULL)
		memset(&client->tls_ops, 0, sizeof(client->tls_ops));
	else
		client->tls_ops = *ops;
	client->tls_closure = closure;
	mailer_ops(client);
	return 0;
}

int
mailmill_client_set_login(struct mailmill_client *client,
    const struct mailmill_client_login_ops *ops, void *closure)
{
	if (client->engine != NULL)
		return errno = EISCONN, -1;
	if (ops != NULL && (ops->size < sizeof(*ops) || ops->begin == NULL ||
	    ops->step == NULL || ops->end == NULL))
		return errno = EINVAL, -1;
	if (client->login_ops.size != 0 && client->login_ops.forget != NULL)
		client->login_ops.forget(client->login_closure);
	if (ops == NULL)
		memset(&client->login_ops, 0, sizeof(client->login_ops));
	else
		client->login_ops = *ops;
	client->login_closure = closure;
	mailer_ops(client);
	return 0;
}

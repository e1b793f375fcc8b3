/* Logins of clients for embedders; see mailmill_sasl.h. */

#include "tls/library/mailmill_sasl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/wipe.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/sasl/sasl_client.h"

_Static_assert(MAILMILL_CLIENT_BINDING == SASL_CLIENT_BINDING_MAX,
    "a binding fits");

struct mailmill_sasl_client {
	char	*user, *secret;
	bool	 is_token;
};

/* --- a login -------------------------------------------------------------- */

/* Return 0, or -1 with errno: can an exchange be made of them? */
static int
check(const char *user, const char *secret, bool is_token)
{
	const struct sasl_client_login login = { .user = user,
		.secret = secret, .is_token = is_token };
	struct sasl_client *x;

	if (*user == '\0' || *secret == '\0')
		return errno = EINVAL, -1;
	x = sasl_client_new(is_token ? "XOAUTH2" : "PLAIN", &login);
	sasl_client_free(x);
	return x != NULL ? 0 : -1;
}

static void
wipe(char *s)
{
	if (s != NULL)
		wipe_free(s, strlen(s));
}

struct mailmill_sasl_client *
mailmill_sasl_client_new(const char *user, const char *secret, bool is_token)
{
	struct mailmill_sasl_client *l;

	if (check(user, secret, is_token) == -1 ||
	    (l = calloc(1, sizeof(*l))) == NULL)
		return NULL;
	l->is_token = is_token;
	l->user = strdup(user);
	l->secret = strdup(secret);
	if (l->user != NULL && l->secret != NULL)
		return l;
	mailmill_sasl_client_free(l);
	return errno = ENOMEM, NULL;
}

int
mailmill_sasl_client_set(struct mailmill_sasl_client *l, const char *secret)
{
	char *s;

	if (check(l->user, secret, l->is_token) == -1 ||
	    (s = strdup(secret)) == NULL)
		return -1;
	wipe(l->secret);
	l->secret = s;
	return 0;
}

void
mailmill_sasl_client_free(struct mailmill_sasl_client *l)
{
	if (l == NULL)
		return;
	free(l->user);
	wipe(l->secret);
	free(l);
}

/* --- the functions of a client -------------------------------------------- */

/* The bits of the names in ${names}, which have a blank between them. */
static unsigned int
bits_of(const char *names)
{
	const struct esmtp_auth_mech *m;
	unsigned int bits = 0;
	size_t i, len;

	for (; *names != '\0'; names += len + (names[len] == ' ')) {
		len = strcspn(names, " ");
		for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
			if (strlen(m->name) == len &&
			    memcmp(m->name, names, len) == 0)
				bits |= 1u << i;
	}
	return bits;
}

static void *
begin(void *closure, struct mailmill_client *,
    const struct mailmill_client_login_offer *offer, const char **mechanism_r,
    char **out_r, size_t *len_r)
{
	const struct mailmill_sasl_client *l = closure;
	const struct sasl_client_login login = { .user = l->user,
		.secret = l->secret, .is_token = l->is_token,
		.binding_type = offer->binding_type,
		.binding = offer->binding, .binding_len = offer->binding_len,
		.mechanisms = bits_of(offer->mechanisms) };
	struct sasl_client *x;

	if ((*mechanism_r = sasl_client_choose(&login)) == NULL ||
	    (x = sasl_client_new(*mechanism_r, &login)) == NULL)
		return NULL;
	if (sasl_client_begin(x, out_r, len_r) == 0)
		return x;
	sasl_client_free(x);
	return NULL;
}

static int
step(void *x, const char *challenge, size_t len, char **out_r, size_t *len_r)
{
	return sasl_client_step(x, challenge, len, out_r, len_r);
}

static int
go_on(void *x, char **out_r, size_t *len_r)
{
	return sasl_client_go_on(x, out_r, len_r);
}

static bool
end(void *x, bool is_right)
{
	bool is_good = is_right && sasl_client_is_done(x);

	sasl_client_free(x);
	return is_good;
}

int
mailmill_sasl_client_use(struct mailmill_sasl_client *l,
    struct mailmill_client *client)
{
	static const struct mailmill_client_login_ops ops = {
		.size = sizeof(ops), .begin = begin, .step = step,
		.go_on = go_on, .end = end };

	return mailmill_client_set_login(client, &ops, l);
}

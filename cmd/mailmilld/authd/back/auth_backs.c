/* The back ends by their names in Auth_Backend. */

#include "cmd/mailmilld/authd/back/auth_backs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct auth_back_ops *const ops[AUTH_SPEC_NKINDS] = {
#define AUTH_SPEC(kind, argument, example, all, usual) &auth_back_##kind,
#include "cmd/settings/auth_spec.def"
#undef AUTH_SPEC
};

struct auth_back *
auth_back_open(const char *spec, char *err_r, size_t errlen)
{
	enum auth_spec_kind kind;
	struct auth_back *b;
	const char *arg;

	if (auth_spec_check(spec, &kind, &arg, err_r, errlen) == -1)
		return NULL;
	snprintf(err_r, errlen, "no memory");
	if ((b = calloc(1, sizeof(*b))) == NULL)
		return NULL;
	b->ops = ops[kind];
	if ((b->state = b->ops->open(arg, err_r, errlen)) == NULL) {
		free(b);
		return NULL;
	}
	return b;
}

void
auth_back_free(struct auth_back *b)
{
	if (b == NULL)
		return;
	b->ops->free(b->state);
	free(b);
}

bool
auth_back_answers(struct auth_back *b, char *err_r, size_t errlen)
{
	return b->ops->answers == NULL ||
	    b->ops->answers(b->state, err_r, errlen);
}

const char *
auth_back_address(const struct auth_client *client, char buf[ADDR_TEXT])
{
	int family;

	return addr_octets(client->peer, &family) == NULL ? NULL :
	    addr_text(client->peer, buf);
}

/* The questions of mechanisms, through the table of a back end. */

#include "proto/sasl/auth_back.h"

#include <string.h>

enum auth_verdict
auth_back_password(struct auth_back *b, const struct auth_client *client,
    const char *login, const char *password)
{
	return b->ops->password(b->state, client, login, password);
}

enum auth_verdict
auth_back_token(struct auth_back *b, const struct auth_client *client,
    const char *login, const char *token)
{
	if (b->ops->token == NULL)
		return AUTH_UNSURE;
	return b->ops->token(b->state, client, login, token);
}

enum auth_verdict
auth_back_exists(struct auth_back *b, const struct auth_client *client,
    const char *login)
{
	if (b->ops->exists == NULL)
		return AUTH_UNSURE;
	return b->ops->exists(b->state, client, login);
}

enum auth_verdict
auth_back_scram(struct auth_back *b, const struct auth_client *client,
    const char *login, enum passwdfile_scram_hash hash,
    struct passwdfile_scram *scram_r)
{
	memset(scram_r, 0, sizeof(*scram_r));
	if (b->ops->scram == NULL)
		return AUTH_UNSURE;
	return b->ops->scram(b->state, client, login, hash, scram_r);
}

enum auth_verdict
auth_back_cleartext(struct auth_back *b, const struct auth_client *client,
    const char *login, char *buf, size_t len)
{
	if (len > 0)
		buf[0] = '\0';
	if (b->ops->cleartext == NULL)
		return AUTH_UNSURE;
	return b->ops->cleartext(b->state, client, login, buf, len);
}

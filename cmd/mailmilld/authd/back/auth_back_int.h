/* What the back ends are to auth_back.c. */

#ifndef CMD_MAILMILLD_AUTHD_BACK_AUTH_BACK_INT_H
#define CMD_MAILMILLD_AUTHD_BACK_AUTH_BACK_INT_H

#include "cmd/mailmilld/authd/back/auth_back.h"
#include "core/util/addr.h"

/* What a kind of back end does; see the functions of auth_back.h of the same
 * names.  NULL: it cannot do that, and the answer is AUTH_UNSURE. */
struct auth_back_ops {
	/* when it returns NULL without a message, there was no memory */
	void	*(*open)(const char *arg, char *err_r, size_t errlen);
	void	 (*free)(void *state);
	enum auth_verdict (*password)(void *state,
	    const struct auth_client *client, const char *login,
	    const char *password);
	enum auth_verdict (*token)(void *state,
	    const struct auth_client *client, const char *login,
	    const char *token);
	enum auth_verdict (*exists)(void *state,
	    const struct auth_client *client, const char *login);
	enum auth_verdict (*scram)(void *state,
	    const struct auth_client *client, const char *login,
	    enum auth_scram_hash hash, struct auth_scram *scram_r);
	enum auth_verdict (*cleartext)(void *state,
	    const struct auth_client *client, const char *login, char *buf,
	    size_t len);

	/* of those that do the mechanisms themselves; the exchange is theirs */
	enum auth_relay_status (*relay_start)(void *state,
	    const struct auth_client *client, const char *mech,
	    const char *initial, size_t len, void **relay_r, char **octets_r,
	    size_t *len_r);
	enum auth_relay_status (*relay_step)(void *relay,
	    const struct auth_client *client, const char *response, size_t len,
	    char **octets_r, size_t *len_r);
	void	 (*relay_free)(void *relay);
};

/* An open one. */
struct auth_back {
	const struct auth_back_ops	*ops;
	void				*state;
};

#define AUTH_SPEC(kind, argument, example, all, usual) \
	extern const struct auth_back_ops auth_back_##kind;
#include "cmd/settings/auth_spec.def"
#undef AUTH_SPEC

/* auth_back_address(client, buf): The client's address as text, without the
 * port.  NULL: it has none of the Internet. */
const char *auth_back_address(const struct auth_client *client,
    char buf[ADDR_TEXT]);

#endif

/* A back end with one user, and exchanges with it. */

#ifndef TEST_UNIT_PROTO_SASL_AUTH_MECH_FAKE_H
#define TEST_UNIT_PROTO_SASL_AUTH_MECH_FAKE_H

#include <gsasl.h>

#include "proto/sasl/auth_back.h"
#include "proto/sasl/auth_mech_int.h"

struct fake {
	struct auth_back	 back;		/* first */
	const char		*login, *password, *token;
	bool			 is_down;	/* no answer */
	unsigned int		 nasked;
	char			 asked[AUTH_LOGIN_MAX + 1];
	char			 secret[AUTH_PASSWORD_MAX + 1];
	struct auth_start	 start;		/* for fake_exchange() */
};

/* What a test sees of the last step. */
struct said {
	enum esmtp_auth_status	 status;
	char			 text[16384];
	size_t			 len;
};

/* fake_init(f): "user" with "pencil" and the token "abc". */
void fake_init(struct fake *f);

/* fake_exchange(f, mech): As f->start says. */
struct auth_exchange *fake_exchange(struct fake *f, const char *mech);

/* say(x, text, len, said_r): One step; say_text: of a string; NULL: there was
 * no initial response. */
enum esmtp_auth_status say(struct auth_exchange *x, const char *text,
    size_t len, struct said *said_r);
enum esmtp_auth_status say_text(struct auth_exchange *x, const char *text,
    struct said *said_r);

/* A client of GNU SASL's.  play(x, c): until the server has decided. */
struct client {
	Gsasl		*handle;
	Gsasl_session	*session;
};
void client_init(struct client *c, const char *mech, const char *login,
    const char *password);
void client_free(struct client *c);
enum esmtp_auth_status play(struct auth_exchange *x, struct client *c);

#endif

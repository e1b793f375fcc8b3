/* What the files of auth_mech share. */

#ifndef PROTO_SASL_AUTH_MECH_INT_H
#define PROTO_SASL_AUTH_MECH_INT_H

#include "core/util/addr.h"
#include "proto/sasl/auth_mech.h"

#define AUTH_BINDING_MAX	64	/* octets of a channel binding */

/* How a kind of mechanism is done.
 * begin(x): 0, or -1 with errno; may be NULL.
 * step(x, in, len, out): ${in} is followed by a NUL and lives until the step
 * is over; NULL: there was no initial response (only where the client does not
 * begin).  x->own->variant tells mechanisms of one family apart.
 * peek(x, in, len, name_r): the name that the response of this step shows, for
 * a back end that takes the step itself.  1 and ${name_r} of AUTH_LOGIN_MAX + 1
 * octets, or 0.
 * end(x): frees x->state; not called where it is NULL. */
struct auth_mech_ops {
	const void *variant;
	int	(*begin)(struct auth_exchange *x);
	enum esmtp_auth_status (*step)(struct auth_exchange *x,
		    const char *in, size_t len, struct auth_octets *out);
	int	(*peek)(const struct auth_exchange *x, const char *in,
		    size_t len, char *name_r);
	void	(*end)(struct auth_exchange *x);
};

extern const struct auth_mech_ops auth_mech_relay;
#define ESMTP_AUTH_MECH(name, needs, flags, how) \
	extern const struct auth_mech_ops auth_mech_##how;
#include "proto/auth/esmtp_auth_mech.def"
#undef ESMTP_AUTH_MECH

struct auth_binding {
	uint8_t	octets[AUTH_BINDING_MAX];
	size_t	len;
};

struct auth_exchange {
	const struct esmtp_auth_mech *mech;
	const struct auth_mech_ops *own;	/* the mechanism's */
	const struct auth_mech_ops *ops;	/* own, or auth_mech_relay */
	const char		*hostname;
	time_t			 now;
	struct auth_back	*back;
	struct auth_client	 client;
	union addr		 peer;
	char			*session, *peer_name;
	struct auth_binding	 exporter, endpoint;
	bool			 is_plus_offered;
	bool			 is_over, is_begun;
	bool			 is_initial;	/* this step is the first */
	bool			 is_refused;
	enum esmtp_auth_why		 why;		/* when it has failed */
	unsigned int		 nresponses;	/* before this step */
	char			 login[AUTH_LOGIN_MAX + 1]; /* "": not known */
	bool			(*may)(const char *login, void *closure);
	void			*may_closure;
	/* while the back end has not answered: what goes on then */
	enum esmtp_auth_status	(*resume)(struct auth_exchange *x,
				    enum auth_verdict v, struct auth_octets *out);
	char			*password;	/* as it was sent; NULL: not asked */
	bool			 is_last;	/* it, not the prepared one, was asked about */
	void			*state;		/* of ops */
};

/* auth_exchange.c: what a mechanism asks of its exchange.
 * auth_exchange_claim(x, name): The client claims to be ${name}: prepare it,
 * keep it as the login, ask the limit on failures.  ESMTP_AUTH_CHALLENGE: go
 * on; else this is the answer. */
enum esmtp_auth_status auth_exchange_claim(struct auth_exchange *x,
    const char *name);

/* auth_exchange_fail(x, why): ESMTP_AUTH_FAILED, and why.  Without it: a wrong
 * password. */
enum esmtp_auth_status auth_exchange_fail(struct auth_exchange *x,
    enum esmtp_auth_why why);

/* auth_exchange_may_act_as(x, authzid): Is ${authzid} empty, or the login?  No
 * user can act for another. */
bool auth_exchange_may_act_as(const struct auth_exchange *x,
    const char *authzid);

/* auth_exchange_password(x, password): Have the back end check it, prepared;
 * and if that does not match, as it was sent, where the two differ: hashes that
 * another program made are of what it was given. */
enum esmtp_auth_status auth_exchange_password(struct auth_exchange *x,
    const char *password);

/* auth_exchange_wait(x, resume): AUTH_STEP_PENDING: ${resume} gets the verdict. */
enum esmtp_auth_status auth_exchange_wait(struct auth_exchange *x,
    enum esmtp_auth_status (*resume)(struct auth_exchange *x,
    enum auth_verdict v, struct auth_octets *out));

/* auth_exchange_forget(x): Wipe the password that was asked about. */
void auth_exchange_forget(struct auth_exchange *x);

/* auth_octets_set(out, s, len): A copy.  Return ESMTP_AUTH_CHALLENGE, or
 * ESMTP_AUTH_LATER for want of memory. */
enum esmtp_auth_status auth_octets_set(struct auth_octets *out, const char *s,
    size_t len);

/* auth_verdict_status(v): The answer for a back end's verdict. */
enum esmtp_auth_status auth_verdict_status(enum auth_verdict v);

/* auth_name_copy(s, len, name_r): ${len} octets without a NUL into
 * AUTH_LOGIN_MAX + 1.  1, or 0: too long, empty, or no text. */
int auth_name_copy(const char *s, size_t len, char *name_r);

#endif

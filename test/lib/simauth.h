/* The other side of AUTH for tests: knows a few users, answers when and how the
 * test says.
 * Owns: the exchanges of all sessions, who may use which sender address.
 * Checks that the factory keeps to esmtp_host.h: one exchange at a time, a
 * step only after a challenge, no call after a cancel, none left at the end;
 * that a session has a login only after a verdict of OK; that no password is
 * in a report.
 *
 * alice's password is "secret", bob's "hunter2".  Mechanisms:
 *	PLAIN		RFC 4616
 *	LOGIN		"Username:", "Password:"; name with AUTH or not
 *	CRAM-MD5	"<nonce>"; right is "NAME PASSWORD", without MD5
 *	X-TWO-STEP	"first" -> NAME, "second" -> PASSWORD, "" -> ""
 *	X-LONG		a challenge of 9000 octets, answered with the same
 *	EXTERNAL	right; the login is the name of the certificate
 * and any other fails. */

#ifndef TEST_LIB_SIMAUTH_H
#define TEST_LIB_SIMAUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/lim.h"
#include "proto/esmtp_factory.h"

#define SIMAUTH_NAME	64
#define SIMAUTH_LONG	9000	/* octets of X-LONG's challenge */

struct simhost;
struct simhost_session;

enum simauth_mode {
	SIMAUTH_HONEST,
	SIMAUTH_HOLD,		/* answers after simauth_release() */
	SIMAUTH_MUTE,		/* never answers */
	SIMAUTH_REFUSE,		/* takes no exchange and no step */
	SIMAUTH_LATER,		/* the verdicts of that name */
	SIMAUTH_BLOCKED,
	SIMAUTH_MALFORMED
};

struct simauth {
	enum simauth_mode	 mode;
	bool			 is_credulous;	/* wrong on purpose: takes any password */
	bool			 is_inside;	/* answers inside the call */
	const char		*why;		/* the host's ac->failure with a verdict; NULL: it says none */
	uint64_t		 delay_us;
	unsigned int		 fault_permille; /* by chance: LATER, BLOCKED, MALFORMED, refused, mute */
	uint64_t		 delay_max_us;	/* by chance */
};

enum simauth_stage { SIMAUTH_NONE, SIMAUTH_CLIENT, SIMAUTH_ANSWERING };

/* Of one session. */
struct simauth_exchange {
	enum simauth_stage	 stage;
	unsigned int		 number;	/* an answer is for this one */
	unsigned int		 step;
	char			 mech[24];
	char			 name[SIMAUTH_NAME];
	enum esmtp_auth_status	 status;	/* the answer to come */
	char			 text[SIMAUTH_NAME];
	bool			 is_long;
	unsigned int		 ncancels;
	bool			 is_right;	/* a verdict of OK was given */
	char			 login[LIM_LOGIN + 1]; /* for this name */
};

/* simauth_ops(ops): Fill in the functions that are the authority's.  Their
 * closure is the simhost. */
void simauth_ops(struct esmtp_host_ops *ops);

/* simauth_release(h): Answer what is held; behave normally from now on. */
void simauth_release(struct simhost *h);

/* simauth_set(h, word, seconds): A mode by its name ("ok", "delay", "hold",
 * "release", "mute", "unreachable", "later", "blocked", "malformed").  Return 0 or
 * -1. */
int simauth_set(struct simhost *h, const char *word, double seconds);

/* Checks: after each step; of a report; of a session that ends. */
void simauth_check(struct simhost_session *s);
void simauth_check_report(struct simhost_session *s,
    const struct esmtp_report *r);
void simauth_check_end(struct simhost_session *s);

/* simauth_is_secret(s, len): Is one of the passwords in there, as it is or in
 * base64? */
bool simauth_is_secret(const char *s, size_t len);

#endif

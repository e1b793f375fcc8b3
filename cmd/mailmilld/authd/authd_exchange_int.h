/* What authd_exchange.c and authd_attempt.c share: an exchange, and what its
 * attempt to log in is charged to. */

#ifndef CMD_MAILMILLD_AUTHD_AUTHD_EXCHANGE_INT_H
#define CMD_MAILMILLD_AUTHD_AUTHD_EXCHANGE_INT_H

#include "cmd/mailmilld/authd/authd_int.h"
#include "proto/sasl/auth_mech.h"

/* See authd_exchange.c. */
enum stage { WORK, CLIENT, HELD };

struct authd_exchange {
	struct auth_job		 job;		/* first: a job is its exchange */
	RB_ENTRY(authd_exchange) node;
	LIST_ENTRY(authd_exchange) orphan;
	struct authd		*authd;
	struct authd_worker	*worker;	/* NULL: an orphan */
	struct authd_client	*client;	/* of the worker */
	enum stage		 stage;
	Event			*timer;		/* of the stage; may be NULL */
	struct authd_rest	 rest;		/* in the stage CLIENT */
	uint64_t		 began_ms;	/* when the step began */
	struct auth_request	 request;	/* without request.initial */
	struct vouched		 who;		/* whose session it is */
	unsigned int		 slot;		/* of the worker, which may be gone */
	const struct esmtp_options *options;
	struct auth_back	*back;
	/* in the stage WORK only the thread may touch these */
	struct auth_exchange	*x;
	char			*in;		/* NULL: no initial response */
	size_t			 in_len;
	enum esmtp_auth_status	 status;
	enum esmtp_auth_why		 why;
	char			*out;
	size_t			 out_len;
	char			 login[AUTH_LOGIN_MAX + 1];
	struct auth_attempt	 attempt;	/* under authd's limit_lock */
	bool			 has_attempt;
	bool			 is_blocked;
};

/* authd_attempt.c
 * authd_attempt_may(login, e): May the back end be asked?  Called on a thread.
 * authd_attempt_settle(e): Count the verdict of a step.  Over the limit it becomes
 * BLOCKED.
 * authd_attempt_take_back(e): The exchange ends without a verdict. */
bool authd_attempt_may(const char *login, void *closure);
void authd_attempt_settle(struct authd_exchange *e);
void authd_attempt_take_back(struct authd_exchange *e);

#endif

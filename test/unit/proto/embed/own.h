/* A verb of a program, for the unit tests: what it does, and what became of it.
 * Owns: the verb's function. */

#ifndef TEST_UNIT_PROTO_EMBED_OWN_H
#define TEST_UNIT_PROTO_EMBED_OWN_H

#include "test/unit/proto/server/fake.h"

struct own {
	/* what it does */
	int			 result;	/* is returned */
	bool			 is_reset;	/* it resets the transaction */
	const char		*reply;		/* "550 5.7.1 text"; NULL: none */
	const char		*login;		/* NULL: nobody logs in */
	enum esmtp_auth_status	 login_status;
	void			(*more)(message_construct *mc);	/* NULL: nothing */
	/* what became of it */
	unsigned int		 ncalls;
	char			 arg[256];	/* of the last call */
	esmtp_ticket		 ticket;	/* of the last LATER */
	int			 reply_rc, login_rc, login_errno;
};

extern struct own own;

/* own_verb(): The function.
 * own_begin(name): A session, greeted, of a program with the verb ${name}: it is
 * registered if it begins with X, and else put in the place of the built-in
 * one.
 * own_believe(f, login): The program, not simauth, finds that out.
 * own_told(f): The loop is told of answers; return what the client hears.
 * own_answer(f, value), own_answer_reply(), own_answer_auth(): The answers to
 * own.ticket.
 * own_expect(f, command, begins): Say ${command}; the reply begins so.
 * own_expect_reply(f, begins): So did the last one. */
int own_verb(char *arg, Event *e, message_construct *mc, void *closure);
struct fake *own_begin(const char *name);
void own_believe(struct fake *f, const char *login);
const char *own_told(struct fake *f);
int own_answer(struct fake *f, int value);
int own_answer_reply(struct fake *f, int code, const char *enhanced,
    const char *text);
int own_answer_auth(struct fake *f, enum esmtp_auth_status status,
    const char *octets);
void own_expect(struct fake *f, const char *command, const char *begins);
void own_expect_reply(const struct fake *f, const char *begins);

#endif

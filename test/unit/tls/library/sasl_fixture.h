/* A session of an embedder with logins, and the program that is asked about
 * them. */

#ifndef TEST_UNIT_TLS_LIBRARY_SASL_FIXTURE_H
#define TEST_UNIT_TLS_LIBRARY_SASL_FIXTURE_H

#include "test/unit/tls/library/talk.h"
#include "tls/library/mailmill_sasl.h"

#define GOOD	"AGFsaWNlAHNlY3JldA=="		/* alice, secret */

/* What the program's functions have been asked, and how they answer. */
extern struct sf_program {
	struct mailmill_sasl	*sasl;
	unsigned int		 nasked;
	char			 user[64], password[64];
	uint64_t		 question;
	enum mailmill_sasl_verdict verdict;	/* LATER: as it says */
	bool			 is_inside;	/* answers before it returns */
	const char		*keys;
} sf_program;

/* sf_password(), sf_keys(): The program's functions; their closure is
 * &sf_program. */
enum mailmill_sasl_verdict sf_password(void *closure, accept_construct *ac,
    const char *user, const char *word, uint64_t question);
enum mailmill_sasl_verdict sf_keys(void *closure, accept_construct *ac,
    const char *user, char *keys_r, size_t len, uint64_t question);

/* sf_start(p, k, is_clear): A session that has heard EHLO, with sf_program
 * zeroed but for its sasl; ${is_clear}: Auth_Without_TLS.
 * sf_stop(t): Its end.
 * sf_expect(t, say, want): The reply to ${say} begins with ${want}. */
struct talk *sf_start(mailmill_sasl_password p, mailmill_sasl_keys k,
    bool is_clear);
void sf_stop(struct talk *t);
void sf_expect(struct talk *t, const char *say, const char *want);

#endif

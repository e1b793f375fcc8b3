/* A policy module for tests: refuses a phase, or takes its time over it.
 * Owns: what it has been told to do in each phase, the one registration.
 * There is one simhost at a time, and it asks that one. */

#ifndef TEST_LIB_SIMPOLICY_H
#define TEST_LIB_SIMPOLICY_H

#include <stdint.h>

#include "proto/validate.h"
#include "test/lib/simclock.h"

struct simhost;

enum simpolicy_mode {
	SIMPOLICY_CONT,		/* no opinion */
	SIMPOLICY_DENY,		/* DONE, with code and text */
	SIMPOLICY_ALLOW,	/* DONE, without a code */
	SIMPOLICY_HOLD		/* AGAIN, until simpolicy_release() */
};

struct simpolicy {
	enum simpolicy_mode	 mode[VALIDATE_NPHASES];
	int			 code;
	char			 text[256];
	char			 only[256];	/* DENY: this address alone; "": all */
	unsigned int		 again_permille;	/* by chance: AGAIN, and an answer later */
	uint64_t		 delay_max_us;
};

/* simpolicy_register(): Once, before the first session.  Return 0 or -1. */
int simpolicy_register(void);

/* simpolicy_use(h): The host whose policy and sessions are meant from now. */
void simpolicy_use(struct simhost *h);

/* simpolicy_release(h): What is held in any session may go on. */
void simpolicy_release(struct simhost *h);

/* simpolicy_phase(name): The number of a phase, or -1. */
int simpolicy_phase(const char *name);

#endif

/* What the files of the dialogue player share: one run.
 * No other file includes it. */

#ifndef TEST_DIALOGUES_PLAY_INT_H
#define TEST_DIALOGUES_PLAY_INT_H

#include <setjmp.h>

#include "test/dialogues/dialogue.h"
#include "test/lib/simhost.h"
#include "test/lib/simtls.h"

struct run {
	const struct dialogue	*d;
	const struct step	*step;
	enum play_mode		 mode;
	size_t			 cut;
	bool			 is_traced;
	struct play_result	*result;
	struct simhost_session	*s;
	struct simtls_client	*tls;		/* NULL: in the clear */
	bool			 is_vanished;
	size_t			 window;
	char			*out;		/* from the server, not yet asked for */
	size_t			 nout, out_size;
	jmp_buf			 stop;
};

extern struct simhost *play_host;	/* one at a time, too large for a stack */

/* play_fail(r, fmt, ...): The first thing that went wrong; ends the step. */
void play_fail(struct run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* play_trace(r, who, buf, len): Print octets, when asked to. */
void play_trace(const struct run *r, const char *who, const char *buf,
    size_t len);

/* play_collect(r): Let the server do all it can, and take what it says. */
void play_collect(struct run *r);

/* play_need_session(r): Connect, unless that has been done. */
void play_need_session(struct run *r);

/* play_send_wire(r, buf, len): Octets of the client on the wire, in the way of
 * this run; what the server says to them is collected. */
void play_send_wire(struct run *r, const char *buf, size_t len);

/* play_keep(r, buf, len): The server has said that, in the clear or inside
 * TLS. */
void play_keep(struct run *r, const char *buf, size_t len);

/* secure.c: the client's TLS */
void play_tls(struct run *r, const struct step *s);
void play_tls_send(struct run *r, const char *buf, size_t len);
void play_tls_received(struct run *r, const char *buf, size_t len);
void play_set_sign(struct run *r, const struct step *s);

/* facts.c: what must have happened */
void play_check_message(struct run *r);
void play_check_received(struct run *r, const struct step *s);
void play_check_said(struct run *r, const struct step *s);
void play_check_report(struct run *r, const struct step *s);
void play_check_login(struct run *r, const struct step *s);
void play_check_state(struct run *r, const struct step *s);

/* look.c: what the server has said, and where the session stands */
void play_look(struct run *r);

/* world.c: what the world around the session does */
void play_set_options(struct run *r);
void play_set_fault(struct run *r, const struct step *s);
void play_set_of_rcpt(struct run *r, const struct step *s);
void play_set_policy(struct run *r, const struct step *s);
void play_set_extension(bool is_on);

#endif

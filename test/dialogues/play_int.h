/* What the files of the dialogue player share: one run.
 * No other file includes it. */

#ifndef TEST_DIALOGUES_PLAY_INT_H
#define TEST_DIALOGUES_PLAY_INT_H

#include <setjmp.h>

#include "test/dialogues/dialogue.h"
#include "test/lib/simhost.h"
#include "test/lib/simtls.h"

struct run;

/* What differs between the roles. */
struct play_side {
	const char	*tester, *tested;	/* in the trace */
	/* settle(r): let what is tested do all it can
	 * wait(r): ... and longer than it waits for anything */
	void		(*settle)(struct run *r);
	void		(*wait)(struct run *r);
	/* received(r, buf, len): it has sent that; play_keep() what is in it */
	void		(*received)(struct run *r, const char *buf,
			    size_t len);
};

struct run {
	const struct play_side	*side;
	const struct dialogue	*d;
	const struct step	*step;
	enum play_mode		 mode;
	size_t			 cut;
	bool			 is_traced;
	struct play_result	*result;
	struct simwire		*wire;		/* NULL: not connected yet */
	struct simhost_session	*s;
	struct simtls_client	*tls;		/* NULL: in the clear */
	bool			 is_vanished;
	size_t			 window;
	struct hop_world	*hop;		/* of the client role: hop.c */
	char			*out;		/* from what is tested, not yet asked for */
	size_t			 nout, out_size;
	jmp_buf			 stop;
};

extern struct simhost *play_host;	/* one at a time, too large for a stack */

/* line.c
 * play_fail(r, fmt, ...): The first thing that went wrong; ends the step.
 * play_note(r, fmt, ...): The same, and the step goes on. */
void play_fail(struct run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));
void play_note(struct run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* play_trace(r, who, buf, len): Print octets, when asked to. */
void play_trace(const struct run *r, const char *who, const char *buf,
    size_t len);

/* play_collect(r): Let what is tested do all it can, and take what it says.
 * play_keep(r, buf, len): It has said that, in the clear or inside TLS. */
void play_collect(struct run *r);
void play_keep(struct run *r, const char *buf, size_t len);

/* play_send_wire(r, buf, len): Octets of the test on the wire, in the way of
 * this run; what is said to them is collected. */
void play_send_wire(struct run *r, const char *buf, size_t len);

/* play_need_no_output(r): All that was said has been asked for.
 * play_next_line(r, wanted): The octets of the first line of it, with its CRLF.
 * play_drop(r, len): They have been asked for.
 * play_expect_line(r, pattern): The line is like that.
 * play_expect_octets(r, buf, len): What was said begins so. */
void play_need_no_output(struct run *r);
size_t play_next_line(struct run *r, const char *wanted);
void play_drop(struct run *r, size_t len);
void play_expect_line(struct run *r, const char *pattern);
void play_expect_octets(struct run *r, const char *buf, size_t len);

/* play_steps(r, step, finish): All steps, then the end, until something goes
 * wrong, or the test goes. */
void play_steps(struct run *r, void (*step)(struct run *r,
    const struct step *s), void (*finish)(struct run *r));

/* play.c
 * play_need_session(r): Connect, unless that has been done. */
void play_need_session(struct run *r);

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

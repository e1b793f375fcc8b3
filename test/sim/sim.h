/* The simulator: many sessions of the real factory on the real scheduler,
 * every choice made by one seed.
 * sim.c runs seeds, client.c is the client's side of the wire, commands.c and
 * chunks.c what it sends, model.c which reply each command must get, invariants.c
 * what must hold for each session, verb.c a verb of the program around them. */

#ifndef TEST_SIM_SIM_H
#define TEST_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "test/lib/simhost.h"
#include "test/lib/simrand.h"
#include "test/lib/simtls.h"
#include "test/sim/body.h"

#define SIM_CLIENTS	6
#define SIM_PENDING	64	/* commands sent and not answered, at most */
#define SIM_RCPTS	64
#define SIM_SAID	64	/* times 1 to SIM_WAYS, added to the number of an address: with which parameters it comes, that are kept */
#define SIM_WAYS	7

enum cmd_kind {
	CMD_BANNER,		/* no command: the greeting is owed */
	CMD_EHLO, CMD_HELO,
	CMD_MAIL, CMD_MAIL_SYNTAX, CMD_MAIL_BIG, CMD_MAIL_PARAM,
	CMD_MAIL_UNWANTED,	/* SOLICIT with a class that is refused */
	CMD_MAIL_BY_SHORT,	/* BY with less time than EHLO says */
	CMD_MAIL_HOLD_LONG,	/* HOLDFOR with more */
	CMD_MAIL_HOLD_LATE,	/* held until after the time of BY */
	CMD_RCPT,
	CMD_RCPT_LABEL,		/* its domain is one label */
	CMD_RCPT_UNKNOWN, CMD_RCPT_FOREIGN, CMD_RCPT_LATER,
	CMD_RCPT_SYNTAX,
	CMD_DATA,
	CMD_BODY,		/* the message and its final dot */
	CMD_BDAT, CMD_BDAT_LAST,
	CMD_BDAT_BAD,		/* its size cannot be read */
	CMD_RSET, CMD_NOOP, CMD_VRFY, CMD_HELP,
	CMD_UNKNOWN, CMD_LONG, CMD_NUL, CMD_TAKE,
	CMD_XCLIENT, CMD_XCLIENT_LOGIN,
	CMD_QUIT,
	CMD_AUTH, CMD_AUTH_WRONG, CMD_AUTH_JUNK, CMD_AUTH_LOGIN,
	/* lines of the exchange that AUTH LOGIN begins */
	CMD_AUTH_NAME, CMD_AUTH_PASSWORD, CMD_AUTH_WRONG_PASSWORD,
	CMD_AUTH_CANCEL, CMD_AUTH_BAD_LINE,
	CMD_STARTTLS
};

struct cmd {
	enum cmd_kind	kind;
	unsigned int	arg;	/* MAIL, RCPT: which address; BDAT: octets of the message with this chunk */
};

enum fragments { FRAG_WHOLE, FRAG_CUT, FRAG_DELAYED, FRAG_BYTES };
enum ending { END_QUIT, END_CLOSE, END_RESET, END_HALF_CLOSE, END_SILENCE };

struct client {
	struct sim		*sim;
	struct simhost_session	*s;
	unsigned int		 number;
	/* what it is like */
	enum fragments		 frag;
	enum ending		 ending;
	bool			 is_pipelining, is_early, never_reads, is_slow;
	size_t			 window;	/* 0: without bound */
	uint64_t		 vanish_after;	/* octets sent; 0: no */
	unsigned int		 groups_left;
	struct simtls_client	*tls;		/* NULL: in the clear */
	bool			 is_shaking;	/* the TLS handshake is running */
	/* what it has sent */
	struct cmd		 pending[SIM_PENDING];
	unsigned int		 first, npending;
	uint64_t		 nsent;
	bool			 is_arriving;	/* octets are on their way */
	bool			 is_acting;	/* a next step is scheduled */
	bool			 is_reading;	/* a read is scheduled */
	bool			 is_gone;	/* has closed or reset */
	bool			 is_half_closed;
	bool			 is_over;	/* 221, 421, or gone: expects nothing */
	bool			 wants_body;	/* 354 was answered */
	enum cmd_kind		 wants;		/* what 334 asks; 0: nothing */
	bool			 is_chunking;	/* BDAT was sent, and is to go on */
	size_t			 chunked;	/* octets of the body sent so */
	bool			 is_ended;	/* the end has been checked */
	uint64_t		 progress_us;	/* when it last acted */
	uint64_t		 nread_seen;
	/* a reply that has not come to its end */
	char			 line[600];
	size_t			 nline;
	int			 code;
	/* the model: the state that the replies so far have led to */
	bool			 is_greeted, is_esmtp, has_mail, is_unclear;
	bool			 has_login, is_body_refused;
	bool			 is_bob;	/* as whom: he may have little held */
	bool			 is_chunked;	/* BDAT has begun the message, or has lost it */
	bool			 is_chunk_bad;	/* where it ends, the server cannot know */
	char			 chunk_refusal[16]; /* how the reply to its chunks begins; "": none was refused */
	unsigned int		 sender, nrcpts, rcpts[SIM_RCPTS];
	unsigned int		 ntold;		/* LMTP: RCPT that were accepted, */
	unsigned int		 nrepeats;	/* replies that are owed beside the first, */
	char			 repeat[600];	/* and how each must be */
	unsigned int		 nerrors, naccepted;
	struct body		 body;
};

enum sim_mutation {
	MUT_NONE, MUT_SPOOL_EARLY, MUT_SPOOL_LYING, MUT_SPOOL_MUTE,
	MUT_SPOOL_CORRUPT, MUT_TIMER_EARLY, MUT_TIMER_LOST, MUT_TIMEOUT_LONG,
	MUT_TIMEOUT_SHORT, MUT_REPLY_LOST, MUT_REPLY_TWICE, MUT_LEAK,
	MUT_SECRET, MUT_AUTH_ANYBODY, MUT_STALL, MUT_DEAF,
	MUT_NAMED_BY_ANYBODY,
	MUT_NMUTATIONS
};

struct sim {
	struct simhost		 host;
	struct simrand		 rand;
	uint64_t		 seed;
	struct client		 clients[SIM_CLIENTS];
	unsigned int		 nclients;
	enum sim_mutation	 mutation;
	void			*leak;		/* MUT_LEAK's */
	bool			 has_spool_faults, is_drained;
	bool			 has_auth, has_auth_faults;
	bool			 has_tls, has_sign_faults;
	bool			 may_be_lone, has_said;
	bool			 may_name;	/* XCLIENT */
	bool			 is_lmtp, is_submission;
	bool			 is_clock_set;	/* once at least */
	size_t			 body_max;
	/* what the model believes of the options */
	uint64_t		 timeout_min_us, timeout_max_us;
	unsigned int		 max_errors, max_rcpts;
	uint64_t		 max_size;
	bool			 is_traced;
	bool			 is_failed;
	char			 text[512];	/* the first violation */
	/* totals over all seeds */
	unsigned long		 ncommands, nmessages, nsessions, nfailed_allocs,
				 ntimeouts, nhandshakes;
};

/* sim_violation(sim, fmt, ...): Remember the first. */
void sim_violation(struct sim *sim, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* client.c */
void client_init(struct client *c, struct sim *sim, unsigned int number);
void client_after_pass(struct client *c);
bool client_is_done(const struct client *c);

/* invariants.c
 * client_check_alive(c): After each pass, while the session lives.
 * client_check_closed(c): The server has closed, and all that it sent has been
 * read.
 * client_check_ended(c): The session is freed; the client's TLS is not yet.
 * client_check_end(c): The seed is over. */
void client_check_alive(struct client *c);
void client_check_closed(struct client *c);
void client_check_ended(struct client *c);
void client_check_end(struct client *c);

/* verb.c
 * sim_verb_register(): Add XTAKE to the server.  Return 0 or -1.
 * sim_verb_format(nlines, buf, size): The command, and what it reads, which looks
 * like commands.  Return how many octets. */
int sim_verb_register(void);
size_t sim_verb_format(unsigned int nlines, char *buf, size_t size);

/* client.c, for commands.c
 * client_below(c, n): A number below ${n}, chosen by the seed.
 * client_chance(c, permille): True with that chance.
 * client_expect(c, kind, arg): Note that a reply is owed.  False: too many are.
 * client_send(c, buf, len): Send, through TLS if it is on. */
uint32_t client_below(struct client *c, uint32_t n);
bool client_chance(struct client *c, uint32_t permille);
bool client_expect(struct client *c, enum cmd_kind kind, unsigned int arg);
void client_send(struct client *c, const char *buf, size_t len);

/* secure.c
 * client_tls_begin(c): Send the first octets of the handshake.
 * client_tls_send(c, buf, len): Encrypt and send.
 * client_tls_receive(c, buf, len): Octets of the server: continue the
 * handshake, or decrypt replies. */
void client_tls_begin(struct client *c);
void client_tls_send(struct client *c, const char *buf, size_t len);
void client_tls_receive(struct client *c, const char *buf, size_t len);

/* client.c, for secure.c
 * client_send_wire(c, buf, len): Send octets as they are.
 * client_hear(c, buf, len): Octets of replies, decrypted.
 * client_give_up(c): Close. */
void client_send_wire(struct client *c, const char *buf, size_t len);
void client_hear(struct client *c, const char *buf, size_t len);
void client_give_up(struct client *c);

/* commands.c
 * client_put_command(c, kind): Send a command of that kind.
 * client_send_group(c): Send a group of commands (RFC 2920, PIPELINING).
 * client_send_one(c): Send one command that fits the state.
 * client_answer_challenge(c): Send what c->wants says, or something wrong. */
void client_put_command(struct client *c, enum cmd_kind kind);
void client_send_group(struct client *c);
void client_send_one(struct client *c);
void client_answer_challenge(struct client *c);

/* chunks.c
 * client_owes_chunk(c): Has a BDAT no reply yet?
 * client_begin_chunks(c): Send a new message by BDAT, or its first chunks.  False:
 * another message has not come to its end.
 * client_send_chunks(c): Go on with it. */
bool client_owes_chunk(const struct client *c);
bool client_begin_chunks(struct client *c);
void client_send_chunks(struct client *c);

/* said.c
 * said_choose(c, arg, is_sender): ${arg} as it is, or with SIM_SAID.
 * said_may_hold(c): May the client say HOLDFOR?
 * said_is_held(arg), said_has_deadline(arg): Does it say that, or BY, with that
 * sender?
 * said_mail(arg, buf, size), said_rcpt(...): The parameters, each with a space
 * in front.
 * said_check(c, said): A violation if ${said}, as test/lib/simsaid.h has it, is
 * not what the envelope that was accepted must keep. */
unsigned int said_choose(struct client *c, unsigned int arg, bool is_sender);
bool said_may_hold(const struct client *c);
bool said_is_held(unsigned int arg);
bool said_has_deadline(unsigned int arg);
void said_mail(unsigned int arg, char *buf, size_t size);
void said_rcpt(unsigned int arg, char *buf, size_t size);
void said_check(struct client *c, const char *said);

/* model_reply(c, code, line, len): The last line of a reply: a violation if it
 * is not allowed for the oldest command without a reply. */
void model_reply(struct client *c, int code, const char *line, size_t len);
const char *model_command_name(enum cmd_kind kind);
void model_address(unsigned int arg, bool is_sender, char *buf, size_t size);

#endif

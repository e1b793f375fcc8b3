/* A client of the simulated wire: proto/client/ with a host that keeps messages
 * in memory, and what became of their recipients.
 * Owns: the messages, the results, a transport that stands for TLS; the checks
 * that hold for any client (below).
 * Knows nothing of what the server says: a test plays it, or is one.
 *
 * Always checked, and reported by violation():
 *   a callback comes only for what was waited for, and no timer early;
 *   a client waits for a timer;
 *   each recipient has one result, before done(); each message that was taken is
 *   done, before ended(); the wire is closed once; no next() after leaving();
 *   a result is worded as the client promises.
 *
 * TLS is two lines, SIMHOP_HELLO of the client and SIMHOP_ANSWER of the server,
 * and then each octet with the eighth bit turned. */

#ifndef TEST_LIB_SIMHOP_H
#define TEST_LIB_SIMHOP_H

#include "proto/client/smtp_client.h"
#include "test/lib/simclock.h"
#include "test/lib/simwire.h"

#define SIMHOP_HELLO	"[client hello]\r\n"
#define SIMHOP_ANSWER	"[server hello]\r\n"
#define SIMHOP_TURN	0x80
#define SIMHOP_MESSAGES	32

struct simhop_result {
	bool			 is_told;
	enum smtp_outcome	 outcome;
	enum smtp_why		 why;
	int			 code;
	int			 errnum;
	char			 enhanced[16];
	char			 words[520];
	char			 command[24];
};

struct simhop_message {
	struct spool_envelope	 env;
	char			*text;		/* addresses */
	char			*words[16];	/* the rest of the envelope */
	size_t			 nwords;
	const char		**rcpts, **orcpts;
	uint8_t			*notify;
	char			*body;
	size_t			 len;
	uint64_t		 octets;	/* what SIZE says */
	struct simhop_result	*results;
	bool			 is_done;
};

struct simhop {
	struct simclock		*clock;
	struct simwire		*wire;
	struct smtp_client	*client;	/* NULL: it has ended */
	Event			*event;
	struct smtp_client_options options;
	struct simhop_message	 messages[SIMHOP_MESSAGES];
	size_t			 nmessages;
	size_t			 ntaken;	/* by next() */
	bool			 is_last;	/* behind the last message: SMTP_NEXT_QUIT */
	bool			 has_tls;	/* tls_start() and the rest are there */
	struct tls_client_ctx	*tls_ctx;	/* real TLS; NULL: what stands for it */
	struct tls_client	*tls;		/* of the connection */
	bool			 is_verified;	/* the server is who it should be */
	size_t			 source_max;	/* octets of the body that can be read now */
	int			 source_errno;	/* why no more can be; 0: EAGAIN */
	size_t			 read_max;	/* octets that read() gives at once */
	const char		*login;		/* PLAIN, ...: see sasl_client.h; NULL: none can be made */
	const char		*other_login;	/* what is tried when the server has refused that; NULL: nothing */
	const char		*user, *password, *nonce;
	const char		*binding;	/* of TLS, "tls-exporter"; NULL: none */
	bool			 is_login_late;	/* answers of the host come with simhop_login() */
	int			 mask;
	uint64_t		 trigger_us;
	bool			 is_begun;
	unsigned int		 nleaving;
	unsigned int		 nended;
	struct simhop_result	 end;		/* of ended() */
	bool			 is_traced;
	unsigned int		 owner;		/* simalloc_owner of what the client allocates */
	bool			 is_inside;	/* the handshake is done */
	size_t			 nhello;	/* octets of it that are written */
	size_t			 nanswer;	/* and read */
	struct sasl_client	*sasl;
	unsigned int		 mechanisms;	/* that the server offers */
	unsigned int		 nslices;	/* of work on answers to it */
	char			 challenge[2048];
	size_t			 challenge_len;
	bool			 is_asked;	/* auth_start() or auth_step() waits */
	void			(*violation)(void *arg, const char *text);
	void			*arg;
};

/* simhop_init(h, clock): No messages, options of a client of SMTP without TLS.
 * simhop_clear(h): Frees what there is, a living client included. */
void simhop_init(struct simhop *h, struct simclock *clock);
void simhop_clear(struct simhop *h);

/* simhop_add(h, sender, rcpts, body, len): One more message to send; ${rcpts}
 * are separated by commas.  Its envelope may be changed until it is taken.
 * simhop_envelope(m, word): Change it as ${word} says: "8bitmime",
 * "binarymime", "smtputf8", "requiretls", "ret=full", "ret=hdrs", "envid=TEXT",
 * "priority=N", "by=UNIX;R", "notify=success,failure", "orcpt=TYPE;ADDRESS"
 * (both of all recipients), "octets=N".  Return false: it is none of these. */
struct simhop_message *simhop_add(struct simhop *h, const char *sender,
    const char *rcpts, const char *body, size_t len);
bool simhop_envelope(struct simhop_message *m, const char *word);

/* simhop_connect(h, net): Begin, on a wire of ${net}.  0 or -1.
 * simhop_wake(h): There is a message, or more of one: E_ASYNC.
 * simhop_login(h): Answer what is_login_late has put off. */
int simhop_connect(struct simhop *h, struct simnet *net);
void simhop_wake(struct simhop *h);
void simhop_login(struct simhop *h);

/* simhop_text(r, buf, size): As in dialogues: "OUTCOME CODE ENHANCED WORDS;
 * COMMAND", with the name of the reason for words where there are none, and
 * without what is empty. */
void simhop_text(const struct simhop_result *r, char *buf, size_t size);

#endif

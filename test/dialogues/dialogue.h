/* A dialogue: a text file (FORMAT.md) as a list of steps.
 * parse.c makes it, play.c plays it once, run.c says in which ways. */

#ifndef TEST_DIALOGUES_DIALOGUE_H
#define TEST_DIALOGUES_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>

enum step_kind {
	STEP_SEND,		/* text: bytes the client sends */
	STEP_LINE,		/* text: pattern of one line from the server */
	STEP_REPLY,		/* text: pattern of the last line of a reply */
	STEP_PAUSE,		/* what was sent so far arrives by itself */
	STEP_CONNECT,
	STEP_HELLO,		/* banner, EHLO, its reply */
	STEP_TLS,		/* text: what the handshake is like */
	STEP_SIGN,		/* word: what becomes of signatures; seconds */
	STEP_TLS_START,		/* errnum: TLS cannot be started */
	STEP_ADVANCE,		/* seconds */
	STEP_TRICKLE,		/* seconds, an octet in each */
	STEP_CLOSE,
	STEP_HALF_CLOSE,
	STEP_RESET,
	STEP_EXPECT_CLOSE,
	STEP_EXPECT_SILENCE,
	STEP_COMMIT,		/* word, errnum, seconds */
	STEP_COMMIT_RCPT,	/* word, text */
	STEP_BEGIN,
	STEP_APPEND,
	STEP_ROOM,		/* number */
	STEP_WINDOW,		/* number */
	STEP_LOOKUP,
	STEP_POLICY,		/* word: phase, text: what */
	STEP_AUTH,		/* word, seconds */
	STEP_LOGIN,		/* word */
	STEP_CANCELS,		/* number */
	STEP_DRAIN,
	STEP_HOLD,
	STEP_RELEASE_HOLD,
	STEP_RECONFIG,
	STEP_EXTENSION,
	STEP_MESSAGE,		/* sender, rcpts, flags, text: body */
	STEP_MESSAGES,		/* number */
	STEP_RECEIVED,		/* text: pattern of the Received field */
	STEP_SAID,		/* text: pattern of what parameters have said */
	STEP_REPORT,		/* word, number */
	STEP_STATE,		/* text */
	STEP_LOOK,		/* into the result: what was said, and the state */
	/* of the client role */
	STEP_CLIENT,		/* text: how the client is */
	STEP_OCTETS,		/* text: just these octets from the client */
	STEP_MAIL,		/* as STEP_MESSAGE, to be sent; word: more of its envelope */
	STEP_RESULT,		/* word: recipient, text: pattern */
	STEP_ENDED,		/* text: pattern */
	STEP_SOURCE,		/* number: octets of the body that there are */
	STEP_SOURCE_FAIL,	/* errnum */
	STEP_LAST,		/* QUIT behind the last message */
	STEP_STOP,
	STEP_ANSWER		/* of the client's host, to a login */
};

struct step {
	enum step_kind	 kind;
	int		 line;		/* in the file */
	char		*text;		/* NUL terminated, may hold NULs too */
	size_t		 len;
	char		*word;
	char		*sender, *rcpts;
	bool		 is_8bit, is_binary;
	int		 errnum;
	double		 seconds;
	long		 number;	/* -1: without bound */
};

struct option_setting {
	char	*name;
	char	*values[16];
	size_t	 nvalues;
};

struct dialogue {
	char			*path;
	struct step		*steps;
	size_t			 nsteps, steps_size;
	struct option_setting	*options;
	size_t			 noptions;
	char			*peer;
	bool			 is_sim_only;
	bool			 is_whole_only;
	bool			 is_vanishing;	/* the client may go anywhere */
	bool			 is_of_client;	/* the roles are turned: it is the client that is tested */
};

/* dialogue_parse(path): NULL after a message on stderr with file and line.
 * dialogue_parse_text(name, text): The same of a text; messages call it ${name}. */
struct dialogue *dialogue_parse(const char *path);
struct dialogue *dialogue_parse_text(const char *name, const char *text);
void dialogue_free(struct dialogue *d);

/* How a dialogue is played. */
enum play_mode {
	PLAY_WHOLE,	/* each group of lines arrives at once */
	PLAY_SPLIT,	/* ... but for one cut after ${cut} octets */
	PLAY_BYTES,	/* one octet at a time */
	PLAY_DRIP,	/* at once; but the client takes one octet at a time */
	PLAY_VANISH,	/* the client closes after ${cut} octets, ... */
	PLAY_STALL,	/* ... or is silent from there on */
	PLAY_NMODES
};

struct play_result {
	bool	 is_failed;
	char	 text[1024];	/* what went wrong */
	size_t	 noctets;	/* the client sent, as they were on the wire */
	bool	 is_boundary;	/* PLAY_SPLIT: the cut fell between groups */
	/* @look */
	char	 said[64];	/* the replies' codes; "none": nothing was said */
	char	 state[64];	/* where the session stands */
	int	 number;	/* of its state, enum esmtp_state; -1: it has ended */
};

/* play(d, mode, cut, is_traced, r): Play it once.  hop_play(): The same of the client
 * role, which play() calls. */
void hop_play(const struct dialogue *d, enum play_mode mode, size_t cut,
    bool is_traced, struct play_result *r);
void play(const struct dialogue *d, enum play_mode mode, size_t cut,
    bool is_traced, struct play_result *r);

/* table_check(path, is_printed, is_traced): Play each cell of the table in
 * ${path} (FORMAT.md).  ${is_printed}: instead of comparing, print the table with
 * what was seen.  Return how many cells and rules were found wrong; *ncells_r:
 * how many cells there are. */
unsigned long table_check(const char *path, bool is_printed, bool is_traced,
    unsigned long *ncells_r);

/* play_setup(): Once, before the first play(): the test's extension. */
int play_setup(void);

/* pattern_match(pattern, s, len): * matches any run of octets, \* a star, \\ a
 * backslash. */
bool pattern_match(const char *pattern, const char *s, size_t len);

#endif

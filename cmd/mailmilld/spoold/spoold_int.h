/* Shared by the files of the role spoold: spoold.c, the process;
 * spoold_worker.c, the channels of the workers; spoold_request.c, what they
 * ask; spoold_answer.c, what they are answered; spoold_given.c, the files that
 * workers have open; spoold_share.c, all files of a worker on the disk;
 * spoold_watch.c, when they are looked at although a worker asks nothing. */

#ifndef CMD_MAILMILLD_SPOOLD_SPOOLD_INT_H
#define CMD_MAILMILLD_SPOOLD_SPOOLD_INT_H

#include <sys/queue.h>
#include <sys/tree.h>

#include <stdbool.h>
#include <stdint.h>

#include "cmd/mailmilld/role/chanev.h"
#include "cmd/settings/settings.h"
#include "core/scheduler.h"
#include "core/spool/spool_folder.h"
#include "core/util/log_bound.h"

#define SPOOLD_SEGMENT_MIN	(1U << 20)	/* octets; segment_size can be no less */

/* Files that one worker may have open.  Files that it has closed count only for
 * its share of the disk (spoold_share.c). */
#define SPOOLD_SEGMENTS_MAX	8	/* locked: the current one, the next one, some that wait to be wiped */
#define SPOOLD_BODIES_MAX	8192	/* locked: large messages in progress */

/* Answers that wait here for a worker which does not read: the one that the
 * socket has not taken, and the one after it.  While there are two, the worker's
 * requests are not read. */
#define SPOOLD_UNSENT_MAX	2

#define SPOOLD_REPLACED_MAX	16	/* requests that a worker may replace before one is answered */
#define SPOOLD_BUSY_MS		5000	/* wait so long for another process to unlock a number */

TAILQ_HEAD(spoold_workers, spoold_worker);
TAILQ_HEAD(spoold_lefts, spoold_left);

struct spoold {
	const struct settings	*settings;
	int			 dirfd;		/* spool/incoming */
	struct spoold_workers	 workers;
	struct spoold_lefts	 lefts;
	size_t			 nofile;	/* descriptors that this process can have */
	size_t			 ngiven;	/* that it has of files which workers have open */
	unsigned int		 lag_ms;	/* spoold_lag_ms() */
	bool			 is_draining;	/* another spoold gets the workers */
	uint64_t		 room_ms, room_octets;	/* the last look at the free space: when, and what it was */
	Event			*watch;		/* the next look; NULL: none is due */
	/* done(closure): the last worker has gone.
	 * beyond(closure, who): ${who} goes on to write when it has its share
	 * of the disk */
	void			(*done)(void *closure);
	void			(*beyond)(void *closure, const struct msg_peer *who);
	void			*closure;
};

/* A file that a worker has open */
struct spoold_open {
	uint64_t	 id;
	int		 fd;		/* of it, for reading */
	uint64_t	 size, blocks;	/* octets, the most that it has had, or may have: what is more has grown */
};

/* Files of one kind that a worker has been given */
struct spoold_given {
	struct spoold_open *files;
	size_t		 n, room;
	size_t		 hand;		/* index of the next one to look at */
};

struct spoold_file {
	RB_ENTRY(spoold_file) entry;
	uint64_t	 id;
	uint64_t	 octets;
	int		 fd;		/* of it, of spoold_given; -1: the worker has closed it */
	bool		 is_body;
};

RB_HEAD(spoold_files, spoold_file);
RB_PROTOTYPE(spoold_files, spoold_file, entry, )

/* The files of a worker on the disk: those that it was given, until they are
 * gone, and those of its number that the queue process has set aside. */
struct spoold_share {
	struct spoold_files files;
	struct spoold_file *hand;	/* the next to be looked at; NULL: the first */
	uint64_t	 n, octets;	/* of files */
	uint64_t	 kept_files, kept_octets;	/* set aside, as the last scan found them */
	uint64_t	 gone_octets;	/* of segments that have gone since that scan */
	uint64_t	 scanned_ms, looked_ms;
	uint64_t	 nscans, nlooks;	/* counted for the tests */
	bool		 is_over;	/* it has its share: its files may not grow */
	bool		 is_settled;	/* it has been told so, SETTLE_MS ago */
	bool		 is_written;	/* the file system says what it had written by then */
	uint64_t	 over_ms;	/* since when is_over, or its last breach */
	uint64_t	 measured_ms;	/* when that was last found to be true */
	uint64_t	 grown;		/* octets by which its files have become longer; while is_settled, since then */
	uint64_t	 filled;	/* octets that they have got on the disk; while is_written, since then */
	uint64_t	 seen;		/* grown + filled at the last look */
	struct log_bound refusals;
};

/* One worker's channel. */
struct spoold_worker {
	TAILQ_ENTRY(spoold_worker) link;
	struct spoold	*sp;
	struct msg_peer	 who;
	struct chanev	*ce;
	struct spool_folder folder;	/* .ids holds its number */
	bool		 is_open;	/* it has its number */
	uint64_t	 asked_ms;	/* since when it waits for its number */
	Event		*timer;		/* tries again while another process has the number */
	uint64_t	 base_us, base_ms;	/* the mark of its ids when it got the number, and when that was */
	struct spoold_given segments, bodies;
	struct spoold_share share;
	bool		 is_stuck;	/* it does not read its answers */
	struct log_bound refusals, stucks;
	/* the answer that is sent at the end of the pass; there is at most
	 * one */
	unsigned int	 answer;	/* S_DONE, S_FILE; 0: none */
	bool		 wants_flush;	/* flush the folder before the answer */
	unsigned int	 nreplaced;	/* answers dropped because a newer request came */
	struct msg_answer done;
	struct msg_file	 file;
	int		 fd;
	uint64_t	 made;		/* ${fd} is the body of that id; 0: it is a segment */
};

/* Files that a worker has still open although it has closed its channel. */
struct spoold_left {
	TAILQ_ENTRY(spoold_left) link;
	struct msg_peer	 who;
	struct spoold_given segments, bodies;
	uint64_t	 since_ms;	/* when it closed that, or was last found to have them */
};

/* spoold_worker_open(sp, who, fd): Answer the worker ${who} on the channel
 * ${fd}; takes ${fd}.  Return 0, or -1 with errno. */
int spoold_worker_open(struct spoold *sp, const struct msg_peer *who, int fd);

/* spoold_pass(sp): At the end of each pass of the loop: one flush of the folder
 * for all that wait for it, then the answers. */
void spoold_pass(struct spoold *sp);

/* spoold_workers_close(sp): Close all channels, without a call of done(). */
void spoold_workers_close(struct spoold *sp);

/* What a worker asks; closure: its struct spoold_worker. */
void spoold_on_segment(void *closure, struct channel_msg *msg);
void spoold_on_made(void *closure, struct channel_msg *msg);
void spoold_on_body(void *closure, struct channel_msg *msg);
void spoold_on_flush(void *closure, struct channel_msg *msg);
void spoold_on_room(void *closure, struct channel_msg *msg);
void spoold_on_drop(void *closure, struct channel_msg *msg);
void spoold_on_mark(void *closure, struct channel_msg *msg);

/* spoold_number_open(w): Lock the number of ${w}.  Return 0, or -1 with errno:
 * EADDRINUSE, another process still has it locked.
 * spoold_refused(w, type, value): Count and log a request that no honest worker
 * makes.
 * spoold_owns(w, type, id): Has ${id} the number of ${w}?  If not, that is
 * refused. */
int spoold_number_open(struct spoold_worker *w);
void spoold_refused(struct spoold_worker *w, unsigned int type,
    uint64_t value);
bool spoold_owns(struct spoold_worker *w, unsigned int type, uint64_t id);

/* spoold_take(w, msg, ask_r): Copy the request in ${msg} to *ask_r and prepare
 * its answer.  Return whether the caller is to serve it; false: it is refused,
 * or already has its answer.
 * spoold_answer_done(w, errnum), spoold_answer_file(w, fd): What the answer is;
 * the second takes ${fd}.
 * spoold_take_back(w): It is not going to be sent: remove its file, which no
 * worker has.
 * spoold_send_answer(w, error): Send it.  ${error}: an errno with which the
 * flush that it waits for has failed; 0: it has not. */
void spoold_take_back(struct spoold_worker *w);
bool spoold_take(struct spoold_worker *w, const struct channel_msg *msg,
    struct msg_ask *ask_r);
void spoold_answer_done(struct spoold_worker *w, int errnum);
void spoold_answer_file(struct spoold_worker *w, int fd);
void spoold_send_answer(struct spoold_worker *w, int error);

/* spoold_given_room(sp, g, max): Make room in ${g} for one more file.  Return 0,
 * or -1 with errno: EMFILE, ${g} has ${max} files already, or too many of the
 * descriptors of this process; ENOMEM.
 * spoold_given_add(w, is_body, id, name, octets): ${w} has the file ${name} open,
 * which is in its list, and may have ${octets} without having grown.  Return 0,
 * or -1 with errno as spoold_given_room() and openat(2).
 * spoold_given_look(w, is_body, n): Look at the next ${n} files of that kind,
 * and forget those that the worker has closed.
 * spoold_given_measure(w): Note how much its files have grown.
 * spoold_given_has(g, id): Is there a file with that id?
 * spoold_given_prune(sp, g, is_named_kept): Forget all that are closed and, if
 * not ${is_named_kept}, those that have a name.
 * spoold_given_free(sp, g): Forget all. */
int spoold_given_room(const struct spoold *sp, struct spoold_given *g,
    size_t max);
int spoold_given_add(struct spoold_worker *w, bool is_body, uint64_t id,
    const char *name, uint64_t octets);
void spoold_given_look(struct spoold_worker *w, bool is_body, size_t n);
void spoold_given_measure(struct spoold_worker *w);
bool spoold_given_has(const struct spoold_given *g, uint64_t id);
void spoold_given_prune(struct spoold *sp, struct spoold_given *g,
    bool is_named_kept);
void spoold_given_free(struct spoold *sp, struct spoold_given *g);

/* spoold_files.c
 * spoold_file_octets(octets): What a file with so many counts for.
 * spoold_file_find(s, id, is_body): The file of the list; NULL: it has none such.
 * spoold_file_forget(s, f): Take it off the list, and free it. */
uint64_t spoold_file_octets(uint64_t octets);
struct spoold_file *spoold_file_find(struct spoold_share *s, uint64_t id,
    bool is_body);
void spoold_file_forget(struct spoold_share *s, struct spoold_file *f);

/* spoold_share_scan(w): Read the folder and list the files of ${w}, which has
 * its number.  spoold_share_add(s, id, is_body, octets): Add a file, or note
 * the new size of one.  Both return 0, or -1 with errno.
 * spoold_share_free(s): Empty the list.
 * spoold_share_check(w, more): May ${w} have another file, of ${more} octets?
 * Return 0, or -1 with errno: ENOSPC, nothing is free, or ${w} has its share
 * already; EDQUOT.
 * spoold_share_opened(s, id, is_body, fd): ${w} has that file of the list open,
 * and ${fd} is a descriptor of it, which is not taken: it counts although its
 * name goes.  spoold_share_closed(): It has closed it.
 * spoold_share_given(w): Find out which of its files it has open: another spoold
 * gave it these.
 * spoold_share_is_over(w): Has it still its share, so that its files may not grow?
 * False where no look has found that it has.
 * spoold_lag_ms(dirfd): How long it may take until the file system says what a
 * file takes on the disk; 0: it says so at once.
 * spoold_share_watch(w, now_ms): Look at all files that it has open.  Return
 * whether it goes on to write although it has its share. */
int spoold_share_scan(struct spoold_worker *w);
int spoold_share_add(struct spoold_share *s, uint64_t id, bool is_body,
    uint64_t octets);
void spoold_share_free(struct spoold_share *s);
int spoold_share_check(struct spoold_worker *w, uint64_t more);
void spoold_share_opened(struct spoold_share *s, uint64_t id, bool is_body,
    int fd);
void spoold_share_closed(struct spoold_share *s, uint64_t id, bool is_body,
    int fd);
void spoold_share_given(struct spoold_worker *w);
bool spoold_share_is_over(struct spoold_worker *w);
unsigned int spoold_lag_ms(int dirfd);
bool spoold_share_watch(struct spoold_worker *w, uint64_t now_ms);

/* spoold_watch(sp): There is a worker: look at its files from now on, once in
 * SPOOLD_WATCH_MS.  spoold_watch_left(w): ${w} has closed its channel, or has got
 * another one: go on to look at the files that it keeps open, and take them out of
 * ${w}.  spoold_watch_stop(sp): No longer. */
#define SPOOLD_WATCH_MS		1000
#define SPOOLD_WATCH_OVER_MS	250	/* while one has its share */
#define SPOOLD_WATCH_LEFT_MS	100	/* while one that has closed its channel has files: it may be about to end */
#define SPOOLD_LEFT_MS		5000	/* a worker that ends closes its files long before */
void spoold_watch(struct spoold *sp);
void spoold_watch_left(struct spoold_worker *w);
void spoold_watch_stop(struct spoold *sp);

#endif

/* What the role spoold's files share: spoold.c, the process; spoold_worker.c,
 * which answers the workers; spoold_given.c, the files that they hold;
 * spoold_share.c, all that they have on the disk. */

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

/* Of one worker.  Those that it has closed do not count here, but in its
 * share. */
#define SPOOLD_SEGMENTS_MAX	8	/* locked: the current one, the next one, some that wait to be wiped */
#define SPOOLD_BODIES_MAX	8192	/* locked: large messages in progress */

#define SPOOLD_REPLACED_MAX	16	/* requests of one worker that gather while this process is held up */
#define SPOOLD_BUSY_MS		5000	/* for another process to let go of a number */

TAILQ_HEAD(spoold_workers, spoold_worker);

struct spoold {
	const struct settings	*settings;
	int			 dirfd;		/* spool/incoming */
	struct spoold_workers	 workers;
	uint64_t		 room_ms, room_octets;	/* when a worker's share was seen last: what was free */
	/* done(closure): the last worker has gone */
	void			(*done)(void *closure);
	void			*closure;
};

/* Files of one kind that a worker has been given */
struct spoold_given {
	uint64_t	*ids;
	size_t		 n, room;
	size_t		 hand;		/* the next to be looked at */
};

RB_HEAD(spoold_files, spoold_file);

/* What a worker has on the disk: those that it was given, until they are gone,
 * and of those the ones that the queue has set aside. */
struct spoold_share {
	struct spoold_files files;
	struct spoold_file *hand;	/* the next to be looked at; NULL: the first */
	uint64_t	 n, octets;	/* of them */
	uint64_t	 kept_files, kept_octets;	/* set aside, when the folder was read */
	uint64_t	 gone_octets;	/* of segments that have gone since */
	uint64_t	 scanned_ms, looked_ms;
	uint64_t	 nscans, nlooks;	/* what it has cost, for the tests */
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
	uint64_t	 asked_ms;	/* for the number, while another process has it */
	Event		*timer;		/* then: to try again */
	uint64_t	 base_us, base_ms;	/* where its ids were, and when */
	struct spoold_given segments, bodies;
	struct spoold_share share;
	bool		 is_stuck;	/* it does not read its answers */
	struct log_bound refusals, stucks;
	/* the answer at the end of the pass, which is the only one till then */
	unsigned int	 answer;	/* S_DONE, S_FILE; 0: none */
	bool		 wants_flush;	/* of the folder, before it */
	unsigned int	 nreplaced;	/* answers that were not sent, since a newer request came */
	struct msg_answer done;
	struct msg_file	 file;
	int		 fd;
	uint64_t	 made;		/* what is in it: that body; 0: a segment */
};

/* spoold_worker_open(sp, who, fd): Answer a worker; takes ${fd}.  Return 0, or -1
 * with errno. */
int spoold_worker_open(struct spoold *sp, const struct msg_peer *who, int fd);

/* spoold_pass(sp): At the end of each pass of the loop: one flush of the folder
 * for all that wait for it, then the answers. */
void spoold_pass(struct spoold *sp);

/* spoold_workers_close(sp): All of them, without done(). */
void spoold_workers_close(struct spoold *sp);

/* spoold_given_look(g, dirfd, n, is_file_closed): Take out of ${g} what has been
 * closed, of the next ${n} in it.
 * spoold_given_room(g, max): Room for one more?  Return 0, or -1 with errno:
 * EMFILE, there are ${max}; ENOMEM. */
void spoold_given_look(struct spoold_given *g, int dirfd, size_t n,
    bool (*is_file_closed)(int dirfd, uint64_t id));
int spoold_given_room(struct spoold_given *g, size_t max);

/* spoold_segment_is_closed(dirfd, id), spoold_body_is_closed(): Has its writer
 * closed it? */
bool spoold_segment_is_closed(int dirfd, uint64_t id);
bool spoold_body_is_closed(int dirfd, uint64_t id);

/* spoold_share_scan(w): Read the folder for what ${w}, whose number is known, has
 * there.  spoold_share_add(s, id, is_body, octets): One more, or of another
 * size.  Return 0, or -1 with errno.  spoold_share_free(s): Empty it.
 * spoold_share_check(w, more): May it have another file, of ${more} octets?
 * Return 0, or -1 with errno: ENOSPC, nothing is free, or it has its share of
 * it; EDQUOT. */
int spoold_share_scan(struct spoold_worker *w);
int spoold_share_add(struct spoold_share *s, uint64_t id, bool is_body,
    uint64_t octets);
void spoold_share_free(struct spoold_share *s);
int spoold_share_check(struct spoold_worker *w, uint64_t more);

#endif

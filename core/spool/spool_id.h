/* Message ids: 64 bits, unique in a spool, in the order of time.
 * Owns: their text, the numbers that keep processes apart.
 * 52 bits of unix microseconds, never twice in a process, then 12 bits of
 * instance.  A process locks an octet of the file "instances" for its instance,
 * so that no two running processes have the same one.  The file also has, for
 * each instance, a mark of how far its ids may have gone, so that no id is
 * repeated after the clock was set back. */

#ifndef CORE_SPOOL_SPOOL_ID_H
#define CORE_SPOOL_SPOOL_ID_H

#include <sys/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_ID_TEXT		13	/* octets of an id as text */
#define SPOOL_INSTANCES		4096

struct spool_id_source {
	int		 fd;		/* holds the lock; -1: none */
	unsigned int	 instance;
	uint64_t	 last_us;
	uint64_t	 mark_us;	/* on disk: about how far ids have gone */
};

/* spool_id_text(id, buf): SPOOL_ID_TEXT octets of [0-9A-Z] without ILOU, and a
 * NUL; sorts as the numbers do. */
void spool_id_text(uint64_t id, char buf[SPOOL_ID_TEXT + 1]);

/* spool_id_parse(s, len, id_r): Return 0, or -1 (EINVAL): not such a text. */
int spool_id_parse(const char *s, size_t len, uint64_t *id_r);

/* spool_id_now_us(): The wall clock, for ids and for what lies on disk. */
uint64_t spool_id_now_us(void);

/* spool_id_open(dirfd, preferred, now_us, source_r): Hold an instance number,
 * ${preferred} if it is free.  Return 0, or -1 with errno (EAGAIN: all are
 * taken).  spool_id_close(): Release it. */
int spool_id_open(int dirfd, unsigned int preferred, uint64_t now_us,
    struct spool_id_source *source_r);
void spool_id_close(struct spool_id_source *source);

/* spool_id_next(source, now_us): The next id; never blocks, never fails. */
uint64_t spool_id_next(struct spool_id_source *source, uint64_t now_us);

/* spool_id_is_due(source): Whether ids have gone so far that the mark on disk
 * should be moved; from any thread.  spool_id_extend(source): Move it.  May
 * block: for a thread other than the loop's. */
bool spool_id_is_due(const struct spool_id_source *source);
void spool_id_extend(struct spool_id_source *source);

#endif

/* Message ids: 64 bits, unique in a spool, in the order of time.
 * Owns: their text, the numbers that keep processes apart.
 * 52 bits of unix microseconds, never twice in a process, then 12 bits of the
 * writer's number.  Its segments have that number, too, so that they show whose
 * they are.  An octet of the file "instances" is locked for a number in use, so
 * that no two running writers have the same one.  The file also has, for each
 * number, a mark of how far its ids may have gone, so that no id is repeated
 * after the clock was set back. */

#ifndef CORE_SPOOL_SPOOL_ID_H
#define CORE_SPOOL_SPOOL_ID_H

#include <sys/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_ID_TEXT		13	/* octets of an id as text */
#define SPOOL_NUMBER_BITS	12
#define SPOOL_NUMBER_QUEUE	4095	/* of the queue itself; writers have 1 to 4094 */

/* spool_number(id): The number of the writer of a message or segment. */
static inline unsigned int
spool_number(uint64_t id)
{
	return ((unsigned int)id & ((1u << SPOOL_NUMBER_BITS) - 1));
}

struct spool_id_source {
	int		 fd;		/* holds the lock; -1: somebody else does */
	unsigned int	 number;
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

/* spool_id_open(dirfd, number, now_us, source_r): Hold that number.  Return 0,
 * or -1 with errno: EINVAL, it is none; EAGAIN, another process has it.
 * spool_id_close(): Release it.
 * spool_id_start(number, lowest_us, source_r): The same where another process
 * holds it, and has the mark: ids begin behind ${lowest_us}. */
int spool_id_open(int dirfd, unsigned int number, uint64_t now_us,
    struct spool_id_source *source_r);
void spool_id_close(struct spool_id_source *source);
void spool_id_start(unsigned int number, uint64_t lowest_us,
    struct spool_id_source *source_r);

/* spool_id_next(source, now_us): The next id; never blocks, never fails. */
uint64_t spool_id_next(struct spool_id_source *source, uint64_t now_us);

/* spool_id_is_due(source): Whether ids have gone so far that the mark on disk
 * should be moved; from any thread.  spool_id_extend(source): Move it, and
 * return how far.  May block: for a thread other than the loop's.
 * spool_id_reach(source, us): At least ${us} has been used. */
bool spool_id_is_due(const struct spool_id_source *source);
uint64_t spool_id_extend(struct spool_id_source *source);
void spool_id_reach(struct spool_id_source *source, uint64_t us);

#endif

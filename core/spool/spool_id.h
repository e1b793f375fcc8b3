/* Message ids: 64 bits, unique in a spool, in the order of time.
 * Owns: their text, the numbers that keep processes apart.
 * An id is 52 bits of unix microseconds, never twice in a process, then 12 bits
 * of the writer's number.  The ids of its segments end in that number, too, so
 * that they show whose they are.  An octet of the file "instances" is locked
 * while a writer has a number, so that no two running writers have the same
 * one.  The file also has a mark for each number: up to which time its ids may
 * have been used.  So no id is repeated after the clock was set back. */

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
	int		 fd;		/* has the lock; -1: another process has it */
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

/* spool_id_open(dirfd, number, now_us, source_r): Lock the number.  Return 0,
 * or -1 with errno: EINVAL, a writer cannot have it; EAGAIN, another process
 * has it.
 * spool_id_close(): Unlock it.
 * spool_id_start(number, lowest_us, source_r): Make ids with a number that
 * another process has locked for this one, and whose mark that process moves:
 * ids begin after ${lowest_us}. */
int spool_id_open(int dirfd, unsigned int number, uint64_t now_us,
    struct spool_id_source *source_r);
void spool_id_close(struct spool_id_source *source);
void spool_id_start(unsigned int number, uint64_t lowest_us,
    struct spool_id_source *source_r);

/* spool_id_next(source, now_us): The next id; never blocks, never fails. */
uint64_t spool_id_next(struct spool_id_source *source, uint64_t now_us);

/* spool_id_is_due(source): Whether so many ids have been used that the mark on
 * disk should be moved; from any thread.
 * spool_id_extend(source): Move it, and return where it is now.  May block: for
 * a thread other than the loop's.
 * spool_id_reach(source, us): Ids up to ${us} have been used elsewhere. */
bool spool_id_is_due(const struct spool_id_source *source);
uint64_t spool_id_extend(struct spool_id_source *source);
void spool_id_reach(struct spool_id_source *source, uint64_t us);

#endif

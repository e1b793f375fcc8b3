/* Lines of the log about segments.
 * Owns: the bounds on their number: a hostile worker can cause any number of
 * errors by what it writes to its segments and what it says about them. */

#include "core/store/queue_spool_int.h"

#include <errno.h>

#include "core/process/log.h"
#include "core/process/stats.h"
#include "core/spool/spool_id.h"

void
queue_segment_damage(struct queue_spool *sp, struct queue_segment *seg,
    const struct spool_damage *damage, bool is_torn)
{
	struct queue_writer *w = &sp->writers[spool_number(seg->id)];
	char name[SPOOL_NAME], text[SPOOL_ID_TEXT + 1] = "-";
	uint64_t n = log_burst_count(&w->damage_burst, (uint64_t)sp->now_ms,
	    QUEUE_DAMAGE_LINES);

	if (!is_torn)
		stats_inc(STATS_SPOOL_DAMAGE);
	if (n == 0)
		return;
	if (damage->id != 0)
		spool_id_text(damage->id, text);
	spool_segment_name("seg", seg->id, name);
	log_event(is_torn ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR,
	    is_torn ? "spool-torn" : "spool-damage",
	    "file=%s offset=%llu octets=%llu reason=%s id=%s times=%llu", name,
	    (unsigned long long)damage->offset,
	    (unsigned long long)damage->octets, damage->what, text,
	    (unsigned long long)n);
}

static const char *
advice_for(int errnum)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
	case EROFS:
		return "it must be readable and writable for the account of "
		    "the queue process";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files";
	case EIO:
		return "look for failures of the disk in the system's log";
	default:
		return "it is tried again";
	}
}

void
queue_segment_trouble(struct queue_spool *sp, const struct queue_segment *seg,
    bool is_open)
{
	uint64_t n = log_bound_count(is_open ? &sp->read_bound :
	    &sp->open_bound, (uint64_t)sp->now_ms);
	char name[SPOOL_NAME];

	if (n == 0)
		return;
	spool_segment_name("seg", seg->id, name);
	if (is_open)
		log_warn("segment-read", "file=incoming/%s times=%llu "
		    "advice=%s", name, (unsigned long long)n,
		    advice_for(errno));
	else
		log_warn("segment-open", "file=incoming/%s times=%llu "
		    "advice=%s", name, (unsigned long long)n,
		    advice_for(errno));
}

void
queue_segment_foreign(struct queue_spool *sp, unsigned int writer,
    uint64_t segment)
{
	uint64_t n = log_bound_count(&sp->foreign_bound, (uint64_t)sp->now_ms);
	char name[SPOOL_NAME];

	stats_inc(STATS_SPOOL_REFUSED);
	if (n == 0)
		return;
	spool_segment_name("seg", segment, name);
	log_warnx("segment-foreign", "writer=%u file=%s times=%llu", writer,
	    name, (unsigned long long)n);
}

void
queue_segment_wrong_end(struct queue_spool *sp,
    const struct queue_segment *seg, uint64_t end)
{
	struct queue_writer *w = &sp->writers[spool_number(seg->id)];
	uint64_t n = log_bound_count(&w->end_bound, (uint64_t)sp->now_ms);
	char name[SPOOL_NAME];

	stats_inc(STATS_SPOOL_REFUSED);
	if (n == 0)
		return;
	spool_segment_name("seg", seg->id, name);
	log_warnx("segment-end", "file=%s end=%llu times=%llu", name,
	    (unsigned long long)end, (unsigned long long)n);
}

/* What one process logs: see relay.h. */

#include "cmd/mailmilld/logger/relay.h"

#include <string.h>

#include "core/process/log_record.h"
#include "core/process/log_relay.h"

void
relay_init(struct relay *r, const char *name, pid_t pid, uint32_t rate,
    uint64_t now_ms)
{
	memset(r, 0, sizeof(*r));
	strlcpy(r->name, name, sizeof(r->name));
	log_ident_set(&r->ident, name, pid);
	if (rate < RELAY_RATE_MIN)
		rate = RELAY_RATE_MIN;
	/* a second's at once: they may have waited for a new logger */
	bucket_init_room(&r->lines, rate, rate, now_ms);
	bucket_init_room(&r->octets, (uint64_t)rate * RELAY_LINE_OCTETS,
	    (uint64_t)rate * RELAY_LINE_OCTETS, now_ms);
}

static void
bad_lines(struct relay *r, uint64_t n, uint64_t now_ms)
{
	r->nbad += n;
	if (log_bound_count(&r->bad, now_ms) > 0)
		log_warnx("log-protocol", "process=%s lines=%llu", r->name,
		    (unsigned long long)r->nbad);
}

/* Is there a share left for a line of ${len} octets? */
static bool
may_log(struct relay *r, size_t len, uint64_t now_ms)
{
	/* the octets first: a process that has used them up may still log
	 * shorter lines */
	return bucket_take_n(&r->octets, len, now_ms) &&
	    bucket_take_n(&r->lines, 1, now_ms);
}

bool
relay_record(struct relay *r, const char *rec, size_t len, uint64_t now_ms)
{
	struct log_record_line line;
	uint64_t nbad = 0;
	size_t before = r->at;
	int rc;

	while ((rc = log_record_next(rec, len, &r->at, &line)) != 0) {
		if (rc == -1)
			nbad++;
		else if (!log_has_room())
			break;
		else if (!may_log(r, line.len, now_ms))
			r->left_out++;
		else
			(void)log_relay(&r->ident, line.level, line.text,
			    line.len);
		before = r->at;
	}
	if (nbad > 0)
		bad_lines(r, nbad, now_ms);
	if (r->left_out > 0)
		(void)relay_report(r, now_ms);
	r->at = rc == 0 ? 0 : before;
	return rc == 0;
}

static void
report(struct relay *r)
{
	log_warnx("log-throttled", "process=%s left_out=%llu", r->name,
	    (unsigned long long)r->left_out);
	r->left_out = 0;
}

unsigned int
relay_report(struct relay *r, uint64_t now_ms)
{
	if (r->left_out == 0)
		return 0;
	if (now_ms < r->report_ms)
		return (unsigned int)(r->report_ms - now_ms);
	r->report_ms = now_ms + RELAY_REPORT_MS;
	report(r);
	return 0;
}

void
relay_end(struct relay *r)
{
	if (r->left_out > 0)
		report(r);
}

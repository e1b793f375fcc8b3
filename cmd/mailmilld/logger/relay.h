/* What one process logs, as the logger takes it.
 * Owns: the name that its lines get, its share of the log (a rate of lines and
 * one of octets), the count of what was left out.
 * Every octet of it is hostile: whoever sends it may write lines in the name of
 * that process, bounded in number, and nothing else. */

#ifndef CMD_MAILMILLD_LOGGER_RELAY_H
#define CMD_MAILMILLD_LOGGER_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/process/log_prefix.h"
#include "core/util/bucket.h"
#include "core/util/log_bound.h"

#define RELAY_LINE_OCTETS	400	/* of a line's share: two of a message's
					 * have less */
#define RELAY_RATE_MIN		10	/* so that the longest line has room */
#define RELAY_REPORT_MS		1000	/* between reports of lines left out */

struct relay {
	char		 name[LIM_NAME];	/* "mailmilld/worker-1" */
	struct log_ident ident;
	struct bucket	 lines;
	struct bucket	 octets;
	uint64_t	 left_out;	/* lines, not yet reported */
	uint64_t	 report_ms;	/* when to report the next */
	uint64_t	 nbad;		/* lines that were none */
	struct log_bound bad;
	size_t		 at;		/* in a record of which a part is taken */
};

/* relay_init(r, name, pid, rate, now_ms): ${rate} lines a second, and as many
 * at once. */
void relay_init(struct relay *r, const char *name, pid_t pid, uint32_t rate,
    uint64_t now_ms);

/* relay_record(r, rec, len, now_ms): Log the lines of a record.  Return whether
 * all of it is taken.  If not, the log has no room: call again with the same
 * record later, it goes on where it stopped. */
bool relay_record(struct relay *r, const char *rec, size_t len,
    uint64_t now_ms);

/* relay_report(r, now_ms): If lines were left out and that is due, log how
 * many.  Return in how many milliseconds to call again; 0: not. */
unsigned int relay_report(struct relay *r, uint64_t now_ms);

/* relay_end(r): Nothing more comes: log what was not reported yet. */
void relay_end(struct relay *r);

#endif

/* From the counts of a day and domain (core/deferred/deferred_tls.h) to their
 * report.
 * Owns: which counts make up one policy of a report.
 * Knows nothing of where counts are kept.  No I/O. */

#ifndef CMD_MAILMILLD_TLSRPT_TLSRPT_DAY_H
#define CMD_MAILMILLD_TLSRPT_TLSRPT_DAY_H

#include "cmd/mailmilld/tlsrpt/tlsrpt_report.h"
#include "core/deferred/deferred_tls.h"

struct tlsrpt_day;

/* tlsrpt_day_new(): Without counts.  NULL: ENOMEM.
 * tlsrpt_day_free(day): NULL does nothing. */
struct tlsrpt_day *tlsrpt_day_new(void);
void tlsrpt_day_free(struct tlsrpt_day *day);

/* tlsrpt_day_add(day, t): One row, in the order of deferred_tls_rows(), whose
 * function this is; its texts are copied.  One whose policy_type is unknown, which
 * somebody has edited, is passed over.  Return 0, or -1: ENOMEM, also of
 * tlsrpt_day_json() from then on. */
int tlsrpt_day_add(void *day, const struct deferred_tls *t);

/* tlsrpt_day_json(day, about): The report: ${about} but for its policies and times,
 * which are those of the counts.  The caller frees it.  NULL with errno: ENOMEM;
 * ENOENT: there are no counts. */
char *tlsrpt_day_json(const struct tlsrpt_day *day,
    const struct tlsrpt_report *about);

#endif

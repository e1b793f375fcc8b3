/* For the tests of targets: mail for them, and what the agents say of it. */

#ifndef TEST_UNIT_CORE_QUEUE_QUEUE_TARGET_FIXTURE_H
#define TEST_UNIT_CORE_QUEUE_QUEUE_TARGET_FIXTURE_H

#include "test/unit/core/queue/queue_fixture.h"

extern struct qf qt;
extern struct qf_segment qt_segment;
extern unsigned int qt_relay;		/* the agent of QF_RELAY */

/* qt_setup(), qt_teardown(): of a test.
 * qt_open_queue(): The queue, after qf_close(), and both agents.
 * qt_end_segment(): All that was sent is committed. */
void qt_setup(void);
void qt_teardown(void);
void qt_open_queue(void);
void qt_end_segment(void);

/* qt_mail(rcpt, n): Send ${n} messages to ${rcpt}, which is kept.
 * qt_mail_from(sender, rcpt, n): The same, from ${sender}.
 * qt_mail_large(rcpt, n): The same; they have bodies of their own.
 * qt_mail_together(rcpt, n, last): One message to ${n} recipients, of which the last is
 * ${last}, behind one to y@near.test. */
void qt_mail(const char *rcpt, unsigned int n);
void qt_mail_from(const char *sender, const char *rcpt, unsigned int n);
void qt_mail_large(const char *rcpt, unsigned int n);
void qt_mail_together(const char *rcpt, size_t n, const char *last);

/* qt_rcpt_of(job): Whom it was sent to.
 * qt_jobs_for(rcpt): How many jobs for ${rcpt} the agents have.
 * qt_finish(rcpt, max, errnum, flags): The result of these, at most ${max} of them;
 * the rest stay.
 * qt_finish_all(rcpt, errnum, flags): Of all of them.
 * qt_deliver(rcpt): The same in each pass until nothing more comes.
 * The last three return how many. */
const char *qt_rcpt_of(const struct job *job);
size_t qt_jobs_for(const char *rcpt);
size_t qt_finish(const char *rcpt, size_t max, int errnum,
    unsigned int flags);
size_t qt_finish_all(const char *rcpt, int errnum, unsigned int flags);
size_t qt_deliver(const char *rcpt);

/* qt_rows(): How many rows there are, how many of them wait for a target, and the
 * attempts of all. */
struct qt_rows {
	unsigned int n, nparked, nattempts;
};
struct qt_rows qt_rows(void);

#endif

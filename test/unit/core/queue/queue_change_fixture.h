/* For the tests of what an administrator changes in the queue. */

#ifndef TEST_UNIT_CORE_QUEUE_QUEUE_CHANGE_FIXTURE_H
#define TEST_UNIT_CORE_QUEUE_QUEUE_CHANGE_FIXTURE_H

#include "test/unit/core/queue/queue_fixture.h"

/* QF_CHANGE_SUITE(name): As QF_SUITE; and these, of its queue: qf_asked(),
 * qf_states(), qf_three_places(), qf_restart(). */
#define QF_CHANGE_SUITE(name) \
	QF_SUITE(name); \
	static inline const char * \
	asked(const char *action, const char *rest) \
	{ \
		return qf_asked(&f, action, rest); \
	} \
	static inline const char * \
	listed(const char *filter) \
	{ \
		return qf_states(&f, filter); \
	} \
	static inline void \
	make_three(void) \
	{ \
		qf_three_places(&f, &s); \
	} \
	static inline void \
	restart(void) \
	{ \
		qf_restart(&f, &s); \
	} \
	_Static_assert(true, "takes the semicolon")

/* qf_times(text, what): How often ${what} is in ${text}.
 * qf_fill_disk(), qf_free_disk(): No file gets longer, from the first to the second. */
size_t qf_times(const char *text, const char *what);
void qf_fill_disk(void);
void qf_free_disk(void);

#endif

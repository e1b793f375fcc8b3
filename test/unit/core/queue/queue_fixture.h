/* For the tests of the queue and of deliveries: segments that the test writes,
 * and agents that do nothing but list the jobs that they get. */

#ifndef TEST_UNIT_CORE_QUEUE_QUEUE_FIXTURE_H
#define TEST_UNIT_CORE_QUEUE_QUEUE_FIXTURE_H

#include <jansson.h>

#include "core/deferred/deferred.h"
#include "core/queue/queue.h"
#include "core/spool/spool_reader.h"
#include "core/spool/spool_segment.h"

#define QF_JOBS		8192
#define QF_SOURCES	65536

/* Recipients whose names begin with "own" have the first of config.times.
 * Transports; QF_FAR is for far.test, QF_RELAY for domains that end with ".hop",
 * each a target */
enum { QF_NEAR, QF_FAR, QF_RELAY, QF_TRANSPORTS };
#define QF_WRITER	1	/* the number of the writer of all these segments */
#define QF_ID(n)	(((uint64_t)1700000000000000 + (uint64_t)(n)) << 12 | \
			    QF_WRITER)
#define QF_SEGMENT(n)	((uint64_t)(n) << 12 | QF_WRITER)

extern size_t qf_no_memory_for;	/* elements, for which reallocarray() fails; 0: never */
extern const char *const qf_three[3];	/* recipients */
extern const char *const qf_abc[3];	/* those of qf_three_places() */
/* By which an administrator may let mail go: where mail for these domains goes; jobs
 * have QF_SECTION */
extern const char *const qf_sections[3];
#define QF_SECTION	42

struct qf_segment {
	struct spool_segment	 file;	/* locked while open */
	uint64_t		 end;
	uint32_t		 seq;
	unsigned int		 env_flags;	/* SPOOL_ENV_* of what is appended */
};

struct qf_job {
	struct job	 job;
	unsigned int		 agent;
};

struct qf {
	char			 path[64];
	int			 incoming, folder;
	struct queue_config	 config;
	struct queue		*q;
	struct timeval		 now;	/* a test may set it */
	int64_t			 ms;	/* the monotonic clock */
	/* what the queue has told the agents */
	struct qf_job		*jobs;
	size_t			 njobs;
	int			 sources[QF_SOURCES];	/* by number; -1: none */
	unsigned int		 nknow[QF_SOURCES];	/* agents that know it */
	bool			 is_deaf;	/* no agent takes anything */
	char			 told[128];	/* the logins of which something has changed, each with a blank */
	unsigned int		 agent;
	unsigned int		 nreports;	/* that were composed */
	bool			 has_no_reports;	/* there is no memory for one */
	/* of QF_RELAY */
	const char		*hop;	/* the target of all; NULL: the domain is */
	unsigned int		 hop_first, hop_max, hop_rate;	/* limits of each target */
	unsigned int		 stream_rate, stream_window; /* of all domains together that begin with the same octet */
	bool			 is_hopless;	/* such domains are QF_NEAR's */
	unsigned int		 reports_left;	/* unless 0: there is memory for so many, and then for none */
	size_t			 nmembers;	/* of an alias; 0: two */
	bool			 is_later;	/* later@alias.test cannot be expanded */
	bool			 has_no_sections;	/* qf_sections are not there */
};

void qf_init(struct qf *f);
void qf_open(struct qf *f);		/* the queue, and one agent */
void qf_close(struct qf *f);
void qf_free(struct qf *f);

/* QF_SUITE(name): A suite whose tests begin with an open queue, f, and end with
 * the segment s closed. */
#define QF_SUITE(name) \
	static struct qf f; \
	static struct qf_segment s; \
	static void \
	setup(void) \
	{ \
		qf_init(&f); \
		qf_open(&f); \
		s.file.fd = -1; \
	} \
	static void \
	teardown(void) \
	{ \
		spool_segment_close(&s.file); \
		qf_free(&f); \
	} \
	TestSuite(name, .init = setup, .fini = teardown)

/* A segment of the number QF_SEGMENT(n). */
void qf_segment(struct qf *f, struct qf_segment *s, uint64_t n);
/* Append a record; return its offset. */
uint64_t qf_append(struct qf_segment *s, uint64_t id, const char *sender,
    const char *const *rcpts, size_t nrcpts, const char *body);
/* The same, for qf_three unless ${said} has recipients, with what it has of parameters */
uint64_t qf_append_said(struct qf_segment *s, uint64_t id,
    const struct spool_envelope *said);
/* The same, for joe@example.test */
uint64_t qf_mail(struct qf_segment *s, uint64_t id);
/* The same, with a body of its own */
uint64_t qf_large(struct qf *f, struct qf_segment *s, uint64_t id,
    const char *body, size_t octets);
uint64_t qf_large_to(struct qf *f, struct qf_segment *s, uint64_t id,
    const char *rcpt, const char *body, size_t octets);
void qf_committed(struct qf *f, const struct qf_segment *s, bool is_sealed);

/* Let ${ms} pass, with every pass of the queue that is due meanwhile. */
void qf_pass(struct qf *f, int ms);
/* Read the recipient of job number ${i} from its segment or file. */
void qf_rcpt(struct qf *f, size_t i, char *buf, size_t len);
/* Read its sender, what its NOTIFY and its ORCPT are, and ENVID: "sender notify orcpt
 * envid flags", with "-" for what is not said. */
void qf_said(struct qf *f, size_t i, char *buf, size_t len);
/* Read the text of job number ${i}. */
void qf_text(struct qf *f, size_t i, char *buf, size_t len);
/* Report ${errnum} (0: delivered) and JOB_* for one job. */
void qf_done(struct qf *f, unsigned int agent, uint64_t job, int errnum);
void qf_done_with(struct qf *f, unsigned int agent, uint64_t job, int errnum,
    unsigned int flags);
/* Report ${errnum} (0: delivered) for all jobs, and forget them. */
void qf_finish(struct qf *f, int errnum);
/* Ask as mailmillctl does; the caller frees the answer. */
char *qf_ask(struct qf *f, const char *request);
/* The answer to a request of ${action} with the members ${rest}, compact, until the
 * next one. */
const char *qf_asked(struct qf *f, const char *action, const char *rest);
/* "n:recipient=state " of each recipient in the list with the filter ${filter}, where
 * the message has QF_ID(n). */
const char *qf_states(struct qf *f, const char *filter);
/* The message 1 is deferred, 2 is in memory and 3 is not read: each for qf_abc, which
 * are a@x.test, b@y.test and c@x.test.  No agent takes anything. */
void qf_three_places(struct qf *f, struct qf_segment *s);
/* Another queue begins with what is on disk, and agents take jobs. */
void qf_restart(struct qf *f, struct qf_segment *s);
/* The queue's list; and how many messages there are in it. */
json_t *qf_list(struct qf *f);
size_t qf_listed(struct qf *f);
bool qf_exists(struct qf *f, int dirfd, const char *name);
unsigned int qf_count(struct qf *f, enum spool_entry kind);

#endif

/* A delivery engine with jobs made by hand, for its tests. */

#ifndef TEST_UNIT_CORE_MAILDIR_DELIVER_FIXTURE_H
#define TEST_UNIT_CORE_MAILDIR_DELIVER_FIXTURE_H

#include "core/maildir/deliver.h"
#include "test/unit/core/queue/queue_fixture.h"

#define ID	((uint64_t)1700000000123456 << 12)
#define SOURCE	3
#define MAX	2048

struct df {
	struct qf		 f;
	struct qf_segment	 s;
	struct deliver		*d;
	char			 pattern[128];
	char			 mail[96];
	bool			 is_lf, has_route;
	unsigned int		 adds;		/* of the route */
	mode_t			 mode;
	char			 folders[2][MAILDIR_FOLDER_MAX];
	bool			 makes_folder, is_deferred;
	unsigned int		 folders_max;
	struct maildir_size	 limit;
	struct timeval		 now;
	uint64_t		 next_job;
	/* what has been reported, by job */
	bool			 is_done[MAX];
	int			 errnum[MAX];
	uint32_t		 flags[MAX];
	char			 enhanced[MAX][12];
	char			 text[MAX][JOB_TEXT];
	unsigned int		 ndone, nsyncs;
	int			 sync_errno;	/* of the next ones */
	bool			 is_left;
	const char		*at_sync;	/* a command, in mail/, at the next one */
};

extern struct df x;

void df_setup(void);
void df_teardown(void);
void df_begin(void);		/* another agent takes its place */

/* A record for one recipient; its offset.  A job for a recipient of it. */
uint64_t df_mail(uint64_t id, const char *rcpt, const char *body);
uint64_t df_job(uint64_t offset, uint32_t rcpt, bool is_repeated);

/* All batches, and the last flush. */
void df_all(void);

/* Run a command of the shell in mail/. */
void df_run(const char *cmd);

/* Count the files of a folder below mail/; the last one's name and text. */
unsigned int df_files(const char *folder, char name_r[256], char *text_r,
    size_t len);
unsigned int df_count(const char *folder);

#endif

#include "test/unit/core/maildir/deliver_fixture.h"

#include <sys/stat.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct df x;

static int
route(void *, const struct job *, const char *rcpt,
    struct deliver_route *route_r, char *text_r)
{
	char whole[128];
	const char *why;

	route_r->is_lf = x.is_lf;
	route_r->adds = x.adds;
	route_r->mode = x.mode;
	strcpy(route_r->folders[0], x.folders[0]);
	strcpy(route_r->folders[1], x.folders[1]);
	route_r->makes_folder = x.makes_folder;
	route_r->folders_max = x.folders_max;
	route_r->limit = x.limit;
	route_r->is_deferred = x.is_deferred;
	snprintf(whole, sizeof(whole), "%s%s", rcpt,
	    strcmp(rcpt, "postmaster") == 0 ? "@d" : "");
	if (!x.has_route) {
		snprintf(text_r, JOB_TEXT, "no place for %s", rcpt);
		errno = ENXIO;
		return -1;
	}
	if (maildir_expand(x.pattern, whole, route_r->path, &route_r->fixed,
	    &why) == 0)
		return 0;
	strlcpy(text_r, why, JOB_TEXT);
	return -1;
}

static void
error(void *, uint64_t job, const char *enhanced, const char *text)
{
	cr_assert_lt(job, MAX);
	strlcpy(x.enhanced[job], enhanced, sizeof(x.enhanced[job]));
	strlcpy(x.text[job], text, JOB_TEXT);
}

static void
done(void *, const struct job_result *results, unsigned int n)
{
	unsigned int i;

	cr_assert_leq(n, JOBS_AT_ONCE);
	for (i = 0; i < n; i++) {
		cr_assert_lt(results[i].job, MAX);
		cr_assert_not(x.is_done[results[i].job], "reported twice");
		x.is_done[results[i].job] = true;
		x.errnum[results[i].job] = results[i].errnum;
		x.flags[results[i].job] = results[i].flags;
		x.ndone++;
	}
}

void
df_run(const char *cmd)
{
	char whole[800];

	snprintf(whole, sizeof(whole), "cd %s && %s", x.mail, cmd);
	cr_assert_eq(system(whole), 0, "%s", whole);
}

static int
sync_fs(void *, int)
{
	const char *cmd = x.at_sync;

	x.nsyncs++;
	x.at_sync = NULL;
	if (cmd != NULL)
		df_run(cmd);
	if (x.sync_errno == 0)
		return 0;
	errno = x.sync_errno;
	return -1;
}

static bool
is_left(void *)
{
	return x.is_left;
}

static const struct deliver_ops ops = {
	.route = route,
	.error = error,
	.done = done,
	.sync = sync_fs,
	.is_left = is_left
};

void
df_begin(void)
{
	struct spool_header header;

	deliver_free(x.d);
	x.d = deliver_new(&ops, NULL, "mx.test");
	cr_assert_not_null(x.d);
	cr_assert_eq(deliver_source(x.d, SOURCE,
	    spool_segment_open(x.f.incoming, QF_SEGMENT(1), &header)), 0);
}

void
df_setup(void)
{
	qf_init(&x.f);
	qf_segment(&x.f, &x.s, 1);
	snprintf(x.mail, sizeof(x.mail), "%s/mail", x.f.path);
	cr_assert_eq(mkdir(x.mail, 0700), 0);
	snprintf(x.pattern, sizeof(x.pattern), "%s/%%d/%%u", x.mail);
	x.has_route = true;
	x.now.tv_sec = 1700000000;
	df_begin();
}

void
df_teardown(void)
{
	deliver_free(x.d);
	spool_segment_close(&x.s.file);
	qf_free(&x.f);
}

uint64_t
df_job(uint64_t offset, uint32_t rcpt, bool is_repeated)
{
	struct job job = {.job = x.next_job++,
	    .source = SOURCE,
	    .offset = offset,
	    /* each offset is another record's */
	    .origin = { .segment = QF_SEGMENT(1), .generation = 1,
		.seq = (uint32_t)(offset / 64), .rcpt = rcpt },
	    .is_repeated = is_repeated};

	cr_assert_eq(deliver_add(x.d, &job), 0);
	return job.job;
}

uint64_t
df_mail(uint64_t id, const char *rcpt, const char *body)
{
	return qf_append(&x.s, id, "s@b.test", &rcpt, 1, body);
}

void
df_all(void)
{
	while (deliver_waiting(x.d) > 0)
		deliver_run(x.d, &x.now);
	deliver_flush(x.d);
}

unsigned int
df_files(const char *folder, char name_r[256], char *text_r, size_t len)
{
	struct dirent *de;
	unsigned int n = 0;
	char path[512];
	ssize_t got;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", x.mail, folder);
	if ((dir = opendir(path)) == NULL)
		return 0;
	while ((de = readdir(dir)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		n++;
		if (name_r != NULL)
			strlcpy(name_r, de->d_name, 256);
		if (text_r == NULL)
			continue;
		fd = openat(dirfd(dir), de->d_name, O_RDONLY);
		got = read(fd, text_r, len - 1);
		cr_assert_geq(got, 0);
		text_r[got] = '\0';
		close(fd);
	}
	closedir(dir);
	return n;
}

unsigned int
df_count(const char *folder)
{
	return df_files(folder, NULL, NULL, 0);
}

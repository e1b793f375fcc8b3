#include <sys/wait.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/probe.h"
#include "core/scheduler.h"

static char err[256], notices[256];

static void
note(void *, const char *text)
{
	strlcat(notices, text, sizeof(notices));
	strlcat(notices, ";", sizeof(notices));
}

/* --- what the processes do ------------------------------------------------ */

static void
good(int fd, const struct probe_spec *)
{
	probe_say(fd, "note %d", 1);
	probe_say(fd, "note 2");
	probe_say(fd, PROBE_GOOD);
}

static void
bad(int fd, const struct probe_spec *spec)
{
	probe_say(fd, PROBE_BAD "%s is no good", (const char *)spec->closure);
	probe_say(fd, PROBE_GOOD);
}

static void
silent(int, const struct probe_spec *)
{
}

static void
cut(int fd, const struct probe_spec *)
{
	(void)!write(fd, PROBE_GOOD, 2);
}

static void
never(int, const struct probe_spec *)
{
	for (;;)
		pause();
}

static void
closed(int fd, const struct probe_spec *spec)
{
	close(fd);
	never(fd, spec);
}

static void
endless(int fd, const struct probe_spec *)
{
	for (;;)
		probe_say(fd, "a certificate");
}

/* Good if it has the descriptors that it was to keep, and no other. */
static void
descriptors(int fd, const struct probe_spec *spec)
{
	int i, n = 0;

	for (i = STDERR_FILENO + 1; i < 64; i++)
		n += fcntl(i, F_GETFD) != -1;
	if (n == 3 && fcntl(fd, F_GETFD) != -1 &&
	    fcntl(spec->fds[0], F_GETFD) != -1 &&
	    fcntl(spec->fds[1], F_GETFD) != -1)
		probe_say(fd, PROBE_GOOD);
	probe_say(fd, PROBE_BAD "%d descriptors", n);
}

/* --- blocking ------------------------------------------------------------- */

static struct probe *
start(void (*run)(int, const struct probe_spec *), unsigned int limit_ms)
{
	struct probe_spec spec = { .what = "it", .limit_ms = limit_ms,
		.run = run, .closure = "hay" };
	struct probe *p = probe_start(&spec);

	cr_assert_not_null(p);
	return p;
}

static void
no_child_is_left(void)
{
	int tries = 0;

	/* one that was killed may need a moment */
	while (waitpid(-1, NULL, WNOHANG) != -1 && tries++ < 5000)
		usleep(1000);
	cr_expect_eq(errno, ECHILD);
}

static const struct {
	void		(*run)(int, const struct probe_spec *);
	unsigned int	 limit_ms;
	const char	*why;		/* NULL: good */
	const char	*notices;
} cases[] = {
	{ good, 20000, NULL, "note 1;note 2;" },
	{ bad, 20000, "hay is no good", "" },
	{ silent, 20000, "it has failed: its process has died", "" },
	{ cut, 20000, "it has failed: its process has died", NULL },
	{ closed, 20000, "it has failed: its process has died", "" },
	{ endless, 20000, "it has failed: its process says too much", "" },
	{ never, 1000, "it takes longer than 1 seconds", "" },
};

static void
expect(const struct probe *p, size_t i)
{
	int rc;

	*notices = '\0';
	rc = probe_judge(p, note, NULL, err, sizeof(err));
	cr_expect_eq(rc, cases[i].why == NULL ? 0 : -1, "%zu", i);
	if (cases[i].why != NULL)
		cr_expect_str_eq(err, cases[i].why);
	if (cases[i].notices != NULL)
		cr_expect_str_eq(notices, cases[i].notices, "%zu %s", i,
		    notices);
}

Test(probe, each_end_is_told_apart)
{
	struct probe *p;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p = start(cases[i].run, cases[i].limit_ms);
		probe_wait(p);
		cr_expect(probe_has_ended(p));
		expect(p, i);
		probe_free(p);
	}
	no_child_is_left();
}

Test(probe, the_process_has_its_descriptors_and_no_other)
{
	int fds[2] = { dup(1), dup(1) }, other = dup(1);
	struct probe_spec spec = { .what = "it", .limit_ms = 20000,
		.run = descriptors, .fds = fds, .nfds = 2 };
	struct probe *p;

	cr_assert_not_null(p = probe_start(&spec));
	probe_wait(p);
	cr_expect_eq(probe_judge(p, NULL, NULL, err, sizeof(err)), 0, "%s",
	    err);
	probe_free(p);
	close(other);
}

/* --- on the loop ---------------------------------------------------------- */

static void
count(void *closure)
{
	++*(int *)closure;
}

Test(probe, several_run_beside_the_loop)
{
	struct scheduler *s = scheduler_create(NULL);
	struct probe *p[sizeof(cases) / sizeof(cases[0])];
	int ended[sizeof(cases) / sizeof(cases[0])] = { 0 };
	size_t i, n = sizeof(cases) / sizeof(cases[0]);

	for (i = 0; i < n; i++) {
		p[i] = start(cases[i].run, cases[i].limit_ms);
		cr_assert_eq(probe_watch(p[i], count, &ended[i]), 0);
	}
	cr_expect_eq(scheduler_run(s), 0);
	for (i = 0; i < n; i++) {
		cr_expect_eq(ended[i], 1);
		expect(p[i], i);
		probe_free(p[i]);
	}
	no_child_is_left();
	scheduler_destroy(s);
}

Test(probe, one_that_is_not_wanted_any_more_is_ended)
{
	struct scheduler *s = scheduler_create(NULL);
	struct probe *p = start(never, 20000);
	int ended = 0;

	cr_assert_eq(probe_watch(p, count, &ended), 0);
	cr_expect_eq(scheduler_pass(s, 0), 0);
	cr_expect_not(probe_has_ended(p));
	probe_free(p);
	cr_expect_eq(scheduler_event_count(s), 0);
	cr_expect_eq(ended, 0);
	no_child_is_left();
	scheduler_destroy(s);
}

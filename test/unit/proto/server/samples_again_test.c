/* What the documentation shows of a module that waits for a job, as modules of
 * our own that make the same calls in the same order; and what may become of the
 * session meanwhile. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io_wrapper.h"
#include "core/scheduler.h"
#include "proto/validate.h"
#include "test/unit/proto/server/fake.h"

#define SENDER_OK "250 2.1.0 Sender OK\r\n"

static struct fake *fake;
static sem_t gate, written;	/* what workers wait for, and post */
static int ncalls;		/* of a module */
static char path[] = "/tmp/mailmill-again-XXXXXX";

static void
init(void)
{
	int fd = mkstemp(path);

	cr_assert_neq(fd, -1);
	cr_assert_eq(write(fd, "good", 4), 4);
	close(fd);
}

static void
fini(void)
{
	unlink(path);
}
TestSuite(samples_again, .init = init, .fini = fini);

/* --- the sample ----------------------------------------------------------- */

/* What the module keeps of the session that waits. */
static struct {
	io_job	*job;
	string	 text;
} mystate;
static const char *filename = path;

static int
ask_a_file(const char *, const struct mailaddr *, accept_construct *,
    validate_context *ctx, void *)
{
	io_job *job = mystate.job;
	int is_good;

	if (job == NULL) {
		mystate.text.len = 0;
		job = mystate.job = io_wrapper_create_read_job(filename);
		job->buffer = &mystate.text;
		ec_async_wake_validation_module(job, ctx);
		ec_queue_async_job(job);
		return VALIDATE_AGAIN;
	}
	if (!mailmill_async_job_is_done(&job->job))
		return VALIDATE_AGAIN;
	is_good = job->status == IOJ_COMPLETED &&
	    strcmp(mystate.text.buffer, "good") == 0;
	mystate.job = NULL;
	io_wrapper_free_read_job(job);
	return is_good ? VALIDATE_CONT : validate_refuse(ctx, RPL_POLICY);
}

static const struct validate_module sample = {
	.size = sizeof(struct validate_module), .name = "sample",
	.phase = { [VALIDATE_PHASE_MAILFROM] = ask_a_file } };

static void
start(const struct validate_module *m)
{
	cr_assert_eq(validate_module_register(m), 0);
	fake = fake_start();
	fake_say(fake, "HELO x\r\n");
}

/* What is queued is done, and the loop runs. */
static const char *
jobs_are_done(void)
{
	mailmill_thread_pool_shutdown();
	return fake_say(fake, "");
}

/* What is answered at once, for the job may be quick, and later. */
static const char *
answered(const char *text)
{
	static char all[1000];

	strcpy(all, fake_say(fake, text));
	return strcat(all, jobs_are_done());
}

Test(samples_again, a_module_waits_for_a_job)
{
	start(&sample);
	cr_expect_str_eq(answered("MAIL FROM:<>\r\n"), SENDER_OK);
	fake_say(fake, "RSET\r\n");
	filename = "/nowhere/at/all";
	cr_expect_str_eq(answered("MAIL FROM:<>\r\nNOOP\r\n"),
	    "550 5.7.1 Refused by policy\r\n250 2.0.0 OK\r\n");
	string_destroy(&mystate.text);
	fake_end(fake);
}

/* An answer to somebody else, or a mistake: the job is at work, and has written
 * something already. */
static void
write_and_wait(ec_async_job *job, void *)
{
	((io_job *)(void *)job)->status = IOJ_COMPLETED;
	sem_post(&written);
	sem_wait(&gate);
}

static int
wait_for_it(const char *, const struct mailaddr *, accept_construct *,
    validate_context *ctx, void *)
{
	io_job *job = mystate.job;

	if (job == NULL) {
		job = mystate.job = io_wrapper_create_read_job(path);
		job->job.worker = write_and_wait;
		ec_async_wake_validation_module(job, ctx);
		cr_expect_eq(ec_queue_async_job(job), 1);
		return VALIDATE_AGAIN;
	}
	ncalls++;
	if (!mailmill_async_job_is_done(&job->job))
		return VALIDATE_AGAIN;
	cr_expect_eq(job->status, IOJ_COMPLETED);
	mystate.job = NULL;
	io_wrapper_free_read_job(job);
	return VALIDATE_CONT;
}

static const struct validate_module patient = {
	.size = sizeof(struct validate_module), .name = "patient",
	.phase = { [VALIDATE_PHASE_MAILFROM] = wait_for_it } };

Test(samples_again, a_module_that_is_called_early_waits_on)
{
	sem_init(&gate, 0, 0);
	sem_init(&written, 0, 0);
	start(&patient);
	cr_expect_str_eq(fake_say(fake, "MAIL FROM:<>\r\n"), "");
	sem_wait(&written);
	schedule_event_and_dispatch(fake->s->ac->event, E_ASYNC);
	cr_expect_str_eq(fake_say(fake, ""), "");
	cr_expect_eq(ncalls, 1);
	sem_post(&gate);
	cr_expect_str_eq(jobs_are_done(), SENDER_OK);
	cr_expect_eq(ncalls, 2);
	fake_end(fake);
}

/* --- what may happen ------------------------------------------------------ */

static ec_async_job jobs[3];
static int njobs, result;

static void
wait_at_gate(ec_async_job *, void *)
{
	sem_wait(&gate);
}

static int
queue_jobs(const char *, const struct mailaddr *, accept_construct *,
    validate_context *ctx, void *)
{
	int i;

	if (ncalls++ > 0)
		return VALIDATE_CONT;
	for (i = 0; i < njobs; i++) {
		jobs[i] = (ec_async_job){ .worker = wait_at_gate };
		ec_async_wake_validation_module(&jobs[i], ctx);
		cr_expect_eq(ec_queue_async_job(&jobs[i]), 1);
	}
	return result;
}

static const struct validate_module hostile = {
	.size = sizeof(struct validate_module), .name = "hostile",
	.phase = { [VALIDATE_PHASE_MAILFROM] = queue_jobs,
	    [VALIDATE_PHASE_RCPTTO] = queue_jobs } };

static void
open_gate(void)
{
	int i;

	for (i = 0; i < njobs; i++)
		sem_post(&gate);
}

Test(samples_again, a_session_may_end_before_its_jobs)
{
	njobs = 3;
	result = VALIDATE_AGAIN;
	sem_init(&gate, 0, 0);
	start(&hostile);
	cr_expect_str_eq(fake_say(fake, "MAIL FROM:<>\r\n"), "");
	esmtp_destroy_message_construct(fake_mc(fake));
	fake_end(fake);
	open_gate();
	mailmill_thread_pool_shutdown();
	cr_expect_eq(ncalls, 1);
	for (njobs = 0; njobs < 3; njobs++)
		cr_expect_eq(mailmill_async_job_is_done(&jobs[njobs]), 1);
}

Test(samples_again, a_session_may_time_out_before_its_jobs)
{
	njobs = 2;
	result = VALIDATE_AGAIN;
	sem_init(&gate, 0, 0);
	start(&hostile);
	fake_say(fake, "MAIL FROM:<>\r\n");
	cr_expect_str_eq(fake_wait(fake, 601),
	    "451 4.3.0 The check takes too long, try again later\r\n"
	    "421 4.4.2 Timeout, closing the channel\r\n");
	cr_expect(fake_is_ended(fake));
	open_gate();
	mailmill_thread_pool_shutdown();
	simhost_settle(&fake->h);
	cr_expect_eq(ncalls, 1);
	fake_end(fake);
}

Test(samples_again, a_module_that_answers_twice_answers_once)
{
	njobs = 3;
	result = VALIDATE_AGAIN;
	sem_init(&gate, 0, 0);
	start(&hostile);
	fake_say(fake, "MAIL FROM:<>\r\nNOOP\r\n");
	open_gate();
	cr_expect_str_eq(jobs_are_done(), SENDER_OK "250 2.0.0 OK\r\n");
	cr_expect_str_eq(fake_say(fake, "NOOP\r\n"), "250 2.0.0 OK\r\n");
	cr_expect_eq(ncalls, 2);
	fake_end(fake);
}

Test(samples_again, a_module_that_does_not_wait_for_its_job_is_not_called_for_it)
{
	njobs = 2;
	result = VALIDATE_CONT;
	sem_init(&gate, 0, 0);
	start(&hostile);
	cr_expect_str_eq(fake_say(fake, "MAIL FROM:<>\r\n"), SENDER_OK);
	open_gate();
	cr_expect_str_eq(jobs_are_done(), "");
	cr_expect_str_eq(fake_say(fake, "NOOP\r\n"), "250 2.0.0 OK\r\n");
	cr_expect_eq(ncalls, 1);
	fake_end(fake);
}

/* A session of another loop could not be told. */
static int
queue_elsewhere(const char *, const struct mailaddr *, accept_construct *ac,
    validate_context *ctx, void *)
{
	unsigned int number = ac->event->scheduled_number;
	ec_async_job job = { .worker = wait_at_gate };

	ac->event->scheduled_number = 0;
	ec_async_wake_validation_module(&job, ctx);
	errno = 0;
	cr_expect_eq(ec_queue_async_job(&job), 0);
	cr_expect_eq(errno, EINVAL);
	ac->event->scheduled_number = number;
	return VALIDATE_CONT;
}

static const struct validate_module foreign = {
	.size = sizeof(struct validate_module), .name = "foreign",
	.phase = { [VALIDATE_PHASE_MAILFROM] = queue_elsewhere } };

Test(samples_again, a_session_of_a_foreign_loop_has_no_jobs_of_modules)
{
	start(&foreign);
	cr_expect_str_eq(fake_say(fake, "MAIL FROM:<>\r\n"), SENDER_OK);
	fake_end(fake);
}

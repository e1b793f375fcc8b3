/* A module for mailmilld that looks each client up in a file with an address on each
 * line, File = "/etc/blocked", and notes that in the header of its mail.  A disk may be
 * slow, so a thread reads the file, and the session waits.
 * See mailmill-module(7), validate(3), ec_thread_pool(3). */

#include <mailmill/ec_config.h>
#include <mailmill/ec_malloc.h>
#include <mailmill/ec_thread_pool.h>
#include <mailmill/mailmill_module.h>
#include <mailmill/validate.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NONE, CLEAN, LISTED, FAILED };
struct question { atomic_int users, answer; char line[66]; };	/* the last of its users frees it */
static int fd = -1;

static void
leave(void *question)
{
	if (atomic_fetch_sub(&((struct question *)question)->users, 1) == 1)
		free(question);
}

static void
look_up(ec_async_job *job, void *closure)	/* in the thread */
{
	struct question *q = closure;
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = size == -1 ? NULL : calloc(1, (size_t)size + 3);	/* a FIFO has none */

	(void)job;
	if (text != NULL && pread(fd, text + 1, size, 0) == size) {
		text[0] = text[size + 1] = '\n';
		atomic_store(&q->answer, strstr(text, q->line) != NULL ? LISTED : CLEAN);
	} else
		atomic_store(&q->answer, FAILED);
	free(text), leave(q);
}

static int
ask(accept_construct *ac, validate_context *vctx)
{
	ec_async_job *job = ec_malloc_size(MEMTYPE_EC_ASYNC_JOB, sizeof(*job));
	struct question *q = calloc(1, sizeof(*q));

	if (job == NULL || q == NULL || validate_context_set_data(vctx, VCTX_CONN, "blocklist", q, leave) == -1)
		return ec_free(MEMTYPE_EC_ASYNC_JOB, job), free(q), validate_refuse(vctx, RPL_NOMEM);
	q->line[0] = '\n';
	sockaddr_to_string_opt(&ac->remote_addr.sa, q->line + 1, sizeof(q->line) - 2, EC_SA2S_NO_PORT);
	strcat(q->line, "\n");
	q->users = 2;
	*job = (ec_async_job){ .job_class = ECTP_CLASS_IO, .worker = look_up, .closure = q,
	    .free_on_completion_memtype = MEMTYPE_EC_ASYNC_JOB };
	ec_async_wake_validation_module(job, vctx);
	if (ec_queue_async_job(job))
		return VALIDATE_AGAIN;
	leave(q);
	validate_context_delete(vctx, VCTX_CONN, "blocklist");
	return ec_free(MEMTYPE_EC_ASYNC_JOB, job), validate_refuse(vctx, RPL_POLICY_LATER);
}

static int
data(const char *str, const struct mailaddr *addr, accept_construct *ac, validate_context *vctx, void *closure)
{
	struct question *q = validate_context_data(vctx, VCTX_CONN, "blocklist");
	int answer = q != NULL ? atomic_load(&q->answer) : NONE;

	(void)str, (void)addr, (void)closure;
	if (answer == NONE)
		return q != NULL ? VALIDATE_AGAIN : ask(ac, vctx);
	if (answer == CLEAN && validate_context_add_header(vctx, "X-Blocklist", "not listed") == 0)
		return VALIDATE_CONT;
	return validate_refuse(vctx, answer == LISTED ? RPL_POLICY : RPL_POLICY_LATER);
}

static int
config(const char *name, const char *value, char *why, size_t len)
{
	if (name != NULL)
		fd = strcmp(name, "File") == 0 ? open(value, O_RDONLY | O_CLOEXEC) : -1;
	return fd != -1 ? 0 : (snprintf(why, len, "expected File = \"...\", which can be read"), -1);
}

static int
init(const struct mailmill_module_worker *worker, char *why, size_t len)
{
	static struct validate_module policy = { .size = sizeof(policy), .name = "blocklist" };

	policy.phase[VALIDATE_PHASE_DATA] = data;
	worker->log(worker, "a blocklist of %lld octets", (long long)lseek(fd, 0, SEEK_END));
	return validate_module_register(&policy) == 0 ? 0 : (snprintf(why, len, "too many modules"), -1);
}

MAILMILL_MODULE = { MAILMILL_MODULE_HEAD, .name = "blocklist", .config = config, .init = init, .job_threads = 2 };

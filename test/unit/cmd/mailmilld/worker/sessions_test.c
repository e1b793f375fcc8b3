/* The worker's table of sessions. */

#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/mailmilld/role/ended.h"
#include "cmd/mailmilld/worker/worker_int.h"

#define HANDLE(generation, index)	((uint64_t)(generation) << 32 | (index))

static struct child child;
static struct ended *master;	/* the master's view of w->sessions.shared */
static struct worker *w;

static void
setup(void)
{
	int fd = ended_create();

	cr_assert_neq(fd, -1);
	w = calloc(1, sizeof(*w));
	cr_assert_not_null(w);
	w->child = &child;
	w->sessions.shared = ended_attach(fd);
	master = ended_attach(fd);
	close(fd);
	cr_assert_not_null(w->sessions.shared);
	cr_assert_not_null(master);
}

static void
teardown(void)
{
	sessions_free(w);
	free(w);
	ended_free(master);
}

TestSuite(sessions, .init = setup, .fini = teardown);

Test(sessions, one_is_found_by_its_handle_alone)
{
	accept_construct a = { .handle = HANDLE(1, 3) };

	cr_assert_null(sessions_find(w, HANDLE(1, 3)));
	cr_assert_eq(sessions_add(w, &a), 0);
	cr_assert_eq(w->sessions.n, 1);
	cr_assert_eq(sessions_find(w, HANDLE(1, 3)), &a);
	cr_assert_null(sessions_find(w, HANDLE(3, 3)), "a later generation");
	cr_assert_null(sessions_find(w, HANDLE(1, 2)));
	cr_assert_null(sessions_find(w, HANDLE(1, 0xffffffff)));
}

Test(sessions, the_table_grows)
{
	accept_construct a = { .handle = HANDLE(1, 0) };
	accept_construct b = { .handle = HANDLE(1, 1000) };

	cr_assert_eq(sessions_add(w, &a), 0);
	cr_assert_eq(sessions_add(w, &b), 0);
	cr_assert_eq(sessions_find(w, a.handle), &a);
	cr_assert_eq(sessions_find(w, b.handle), &b);
	cr_assert_null(sessions_find(w, HANDLE(1, 999)));
}

Test(sessions, an_index_that_is_taken_or_too_large_is_refused)
{
	accept_construct a = { .handle = HANDLE(1, 5) };
	accept_construct b = { .handle = HANDLE(3, 5) };
	accept_construct c = { .handle = HANDLE(1, 0x80000000) };

	cr_assert_eq(sessions_add(w, &a), 0);
	cr_assert_eq(sessions_add(w, &b), -1);
	cr_assert_eq(errno, EEXIST);
	cr_assert_eq(sessions_add(w, &c), -1);
	cr_assert_eq(errno, ERANGE);
	cr_assert_eq(w->sessions.n, 1);
	cr_assert_eq(sessions_find(w, a.handle), &a);
}

/* 0 is what the handle of a session becomes that is moved to another worker */
Test(sessions, no_session_has_the_handle_0)
{
	accept_construct a = { .handle = 0 };

	cr_assert_eq(sessions_add(w, &a), -1);
	cr_assert_eq(errno, EINVAL);
	cr_assert_eq(w->sessions.n, 0);
}

Test(sessions, the_master_is_told_of_each_that_ended)
{
	accept_construct a = { .handle = HANDLE(1, 5) };
	uint64_t handle;

	cr_assert_eq(sessions_add(w, &a), 0);
	sessions_remove(w, &a);
	cr_assert_eq(w->sessions.n, 0);
	cr_assert_null(sessions_find(w, a.handle));
	cr_assert(ended_get(master, &handle));
	cr_assert_eq(handle, a.handle);
	cr_assert_not(ended_get(master, &handle));
}

/* The master knows a session as long as something is asked for one. */
Test(sessions, what_ends_before_an_answer_is_told_behind_the_question)
{
	const struct msg_verdict verdict = { .handle = HANDLE(1, 7) };
	struct channel_msg msg = { .type = M_VERDICT, .base = &verdict };
	uint64_t handle;

	w->sessions.nasked = 1;
	sessions_ended(w, HANDLE(1, 7));
	cr_assert_not(ended_get(master, &handle));
	cr_assert_eq(w->sessions.nended, 1);
	cr_assert_eq(w->sessions.ended[0], HANDLE(1, 7));
	session_on_verdict(w, &msg);
	sessions_ended(w, HANDLE(1, 8));
	cr_assert(ended_get(master, &handle));
	cr_assert_eq(handle, HANDLE(1, 8));
	/* there is no answer without a question */
	session_on_verdict(w, &msg);
	cr_assert_eq(w->sessions.nasked, 0);
}

Test(sessions, the_master_can_see_that_one_was_taken)
{
	struct msg_session ms = { .handle = HANDLE(1, 5), .listener = 1000 };
	struct settings settings = { 0 };

	child.settings = &settings;
	session_start(w, &ms, NULL, -1);
	cr_assert_eq(ended_taken(master), 1);
}

Test(sessions, handles_that_find_no_room_are_kept_for_the_end_of_the_pass)
{
	uint32_t i;

	for (i = 0; i < ENDED_MAX; i++)
		sessions_ended(w, HANDLE(1, i));
	cr_assert_eq(w->sessions.nended, 0);
	sessions_ended(w, HANDLE(1, i));
	cr_assert_eq(w->sessions.nended, 1);
	cr_assert_eq(w->sessions.ended[0], HANDLE(1, i));
	sessions_flush(w);	/* to a master that is gone */
	cr_assert_eq(w->sessions.nended, 0);
}

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/server/esmtp_host_struct.h"
#include "test/lib/simspool.h"

static void
no_session(void *, struct _accept_construct *)
{
}

Test(embed_host, tables_are_copied_and_buffers_made)
{
	struct esmtp_host_ops ops = { .size = sizeof(ops),
		.session_end = no_session };
	struct spool_ops spool = simspool_ops;
	struct esmtp_host *h = esmtp_host_new(&ops, &ops, &spool, &spool);

	cr_assert_not_null(h);
	memset(&ops, 0, sizeof(ops));
	memset(&spool, 0, sizeof(spool));
	cr_expect_eq(h->ops->session_end, no_session);
	cr_expect_null(h->ops->report);
	cr_expect_eq(h->closure, &ops);
	cr_expect_eq(h->spool->commit, simspool_ops.commit);
	cr_expect_eq(h->spool_closure, &spool);
	cr_expect_geq(h->scratch_octets, LIM_COMMAND_READ);
	cr_expect_geq(h->output_octets, LIM_OUTPUT);
	memset(h->scratch, 'x', h->scratch_octets);
	memset(h->output, 'x', h->output_octets);
	esmtp_host_free(h);
	esmtp_host_free(NULL);
}

/* A program that was compiled before the last functions were there. */
Test(embed_host, an_older_program_has_shorter_tables)
{
	struct esmtp_host_ops ops = { .session_end = no_session };
	struct esmtp_host *h;

	ops.size = offsetof(struct esmtp_host_ops, session_end);
	h = esmtp_host_new(&ops, NULL, &simspool_ops, NULL);
	cr_assert_not_null(h);
	cr_expect_null(h->ops->session_end, "what lies behind was read");
	esmtp_host_free(h);
}

Test(embed_host, what_no_session_can_do_without_is_asked_for)
{
	struct esmtp_host_ops ops = { .size = 0 };
	struct spool_ops bad[6];
	size_t i;

	for (i = 0; i < 6; i++)
		bad[i] = simspool_ops;
	bad[0].begin = NULL;
	bad[1].append = NULL;
	bad[2].commit = NULL;
	bad[3].abort = NULL;
	bad[4].size = 0;
	bad[5].size = offsetof(struct spool_ops, abort);
	for (i = 0; i < 6; i++) {
		errno = 0;
		cr_expect_null(esmtp_host_new(NULL, NULL, &bad[i], NULL));
		cr_expect_eq(errno, EINVAL, "%zu", i);
	}
	cr_expect_null(esmtp_host_new(NULL, NULL, NULL, NULL));
	cr_expect_null(esmtp_host_new(&ops, NULL, &simspool_ops, NULL));
	cr_expect_eq(errno, EINVAL);
}

Test(embed_host, settings_are_by_number)
{
	struct esmtp_host *h = esmtp_host_new(NULL, NULL, &simspool_ops, NULL);

	cr_assert_not_null(h);
	cr_expect_eq(esmtp_host_set(h, ESMTP_HOST_DRAINING, 2), 0);
	cr_expect_eq(h->is_draining, true);
	cr_expect_eq(esmtp_host_set(h, ESMTP_HOST_RECONFIGURED, 1), 0);
	cr_expect_eq(h->is_reconfigured, true);
	cr_expect_eq(esmtp_host_set(h, ESMTP_HOST_HELD, UINT64_MAX), 0);
	cr_expect_eq(h->is_held, true);
	cr_expect_eq(esmtp_host_set(h, ESMTP_HOST_RCPTS_MAX, 12345), 0);
	cr_expect_eq(h->held_max, 12345);
	cr_expect_eq(esmtp_host_set(h, ESMTP_HOST_CLIENT_RCPTS_MAX, 1234), 0);
	cr_expect_eq(h->client_max, 1234);
	cr_expect_eq(h->held_max, 12345);
	cr_expect_eq(esmtp_host_set(h, ESMTP_HOST_DRAINING, 0), 0);
	cr_expect_eq(h->is_draining, false);
	errno = 0;
	cr_expect_eq(esmtp_host_set(h, (enum esmtp_host_setting)99, 1), -1);
	cr_expect_eq(errno, EINVAL);
	esmtp_host_free(h);
}

/* QUIT, and why.
 * Owns: how a connection on which nothing is under way is ended. */

#include "proto/client/smtp_client_int.h"

void
smtp_quit(struct smtp_client *c)
{
	struct smtp_result r;

	smtp_result_why(c, SMTP_WHY_QUIT, 0, &r);
	smtp_note_end(c, &r);
	smtp_set_state(c, SS_QUIT);
	c->owed = 1;
	smtp_put(c, "QUIT", NULL);
	if (c->ops->leaving != NULL)
		c->ops->leaving(c->host, c);
}

static void
leave(struct smtp_client *c, const struct smtp_result *r)
{
	smtp_note_end(c, r);
	smtp_quit(c);
}

void
smtp_leave_why(struct smtp_client *c, enum smtp_why why)
{
	struct smtp_result r;

	smtp_result_why(c, why, 0, &r);
	leave(c, &r);
}

void
smtp_leave_said(struct smtp_client *c)
{
	struct smtp_result r;

	smtp_result_said(c, &r);
	leave(c, &r);
}

/* RFC 5321 4.1.1.10: the server says 221 and closes.  Whatever it does, that
 * was all: the reason to leave is noted. */
void
smtp_on_quit(struct smtp_client *c)
{
	smtp_end(c, SMTP_WHY_QUIT, 0);
}

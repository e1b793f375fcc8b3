/* What must have happened: messages, reports, states.
 * Owns: how a stored message is compared with what a dialogue says. */

#include "test/dialogues/play_int.h"

#include <stdlib.h>
#include <string.h>

#include "test/lib/simmsg.h"

static struct spool_msg *
oldest_unchecked(void)
{
	struct spool_msg *m, *found = NULL;

	for (m = play_host->spool.msgs; m != NULL; m = m->next)
		if (m->state == SIMSPOOL_SAFE && !m->is_checked)
			found = m;
	return found;
}

static void
check_envelope(struct run *r, const struct spool_msg *m)
{
	char rcpts[4096] = "";
	size_t i;

	if (strcmp(m->sender, r->step->sender) != 0)
		play_fail(r, "message from \"%s\", expected \"%s\"", m->sender,
		    r->step->sender);
	for (i = 0; i < m->nrcpts; i++) {
		if (i > 0)
			strlcat(rcpts, ",", sizeof(rcpts));
		strlcat(rcpts, m->rcpts[i], sizeof(rcpts));
	}
	if (strcmp(rcpts, r->step->rcpts) != 0)
		play_fail(r, "message to \"%s\", expected \"%s\"", rcpts,
		    r->step->rcpts);
	if (((m->flags & SPOOL_ENV_8BITMIME) != 0) != r->step->is_8bit)
		play_fail(r, "the 8BITMIME flag is %s", r->step->is_8bit
		    ? "missing" : "set");
	if (((m->flags & SPOOL_ENV_BINARYMIME) != 0) != r->step->is_binary)
		play_fail(r, "the BINARYMIME flag is %s", r->step->is_binary
		    ? "missing" : "set");
}

void
play_check_message(struct run *r)
{
	struct spool_msg *m = oldest_unchecked();
	const char *why = "";
	size_t skip = 0, len;
	char *want;

	if (m == NULL)
		play_fail(r, "no message was committed");
	m->is_checked = true;
	check_envelope(r, m);
	if (play_host->options.trace_headers) {
		skip = simmsg_strip_received(m, &why);
		if (skip == 0)
			play_fail(r, "%s", why);
	}
	if ((want = malloc(r->step->len + 2)) == NULL)
		abort();
	len = simmsg_expect(r->step->text, r->step->len, want);
	if (m->len - skip != len
	    || memcmp(m->body + skip, want, len) != 0) {
		play_trace(r, "body", m->body, m->len);
		play_fail(r, "the stored body differs: %zu octets, expected "
		    "%zu: %.*s", m->len - skip, len, (int)(m->len - skip),
		    m->body + skip);
	}
	free(want);
}

/* Its lines as one, folded by a space. */
void
play_check_received(struct run *r, const struct step *s)
{
	struct spool_msg *m = oldest_unchecked();
	char line[4096];
	const char *why = "no message was committed";
	size_t len = m == NULL ? 0 : simmsg_strip_received(m, &why), i, n = 0;

	if (len == 0)
		play_fail(r, "%s", why);
	for (i = 0; i < len - 2 && n < sizeof(line); i++)
		if (m->body[i] != '\r' && m->body[i] != '\n')
			line[n++] = m->body[i] == '\t' ? ' ' : m->body[i];
	if (!pattern_match(s->text, line, n))
		play_fail(r, "expected \"%s\", got \"%.*s\"", s->text, (int)n,
		    line);
}

/* What parameters have said, as test/lib/simsaid.h has it */
void
play_check_said(struct run *r, const struct step *s)
{
	struct spool_msg *m = oldest_unchecked();

	if (m == NULL)
		play_fail(r, "no message was committed");
	if (!pattern_match(s->text, m->said, strlen(m->said)))
		play_fail(r, "expected \"%s\", got \"%s\"", s->text, m->said);
}

void
play_check_report(struct run *r, const struct step *s)
{
	size_t i;

	for (i = 0; i < SIMHOST_NKINDS; i++)
		if (s->word != NULL
		    && strcmp(s->word, simhost_report_names[i]) == 0)
			break;
	if (i == SIMHOST_NKINDS)
		play_fail(r, "@report: no such kind");
	if (r->s == NULL || r->s->nreports[i] != (unsigned int)s->number)
		play_fail(r, "%u %s reports, expected %ld",
		    r->s == NULL ? 0 : r->s->nreports[i],
		    simhost_report_names[i], s->number);
}

/* @login NAME, @login -, @cancels N */
void
play_check_login(struct run *r, const struct step *s)
{
	const char *name, *wanted = s->word;

	play_need_session(r);
	if (s->kind == STEP_CANCELS) {
		if (r->s->auth.ncancels != (unsigned int)s->number)
			play_fail(r, "%u exchanges cancelled, expected %ld",
			    r->s->auth.ncancels, s->number);
		return;
	}
	if (r->s->ac == NULL)
		play_fail(r, "the session has ended");
	name = esmtp_session_login(r->s->ac);
	if (name == NULL)
		name = "-";
	if (wanted == NULL || strcmp(name, wanted) != 0)
		play_fail(r, "the login is \"%s\", expected \"%s\"", name,
		    wanted);
}

void
play_check_state(struct run *r, const struct step *s)
{
	const char *name;

	play_need_session(r);
	if (r->s->ac == NULL)
		play_fail(r, "the session has ended");
	name = esmtp_message_factory_state(esmtp_session_state(r->s->ac));
	if (strcmp(name, s->text) != 0)
		play_fail(r, "state \"%s\", expected \"%s\"", name, s->text);
}

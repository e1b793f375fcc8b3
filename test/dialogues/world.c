/* The world around a session: options, faults of the spool, policy, a verb of
 * the test's own.
 * Owns: the meaning of the directives that change it. */

#include "test/dialogues/play_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_extension_on;

void
play_set_options(struct run *r)
{
	const struct option_setting *o;
	char expected[128] = "";
	const struct conf_field *row;
	size_t i;

	for (i = 0; i < r->d->noptions; i++) {
		o = &r->d->options[i];
		if ((row = options_row(o->name)) == NULL)
			play_fail(r, "@option: no option %s", o->name);
		if (options_set(&play_host->options, row,
		    (const char *const *)(const void *)o->values, o->nvalues,
		    expected, sizeof(expected)) == -1)
			play_fail(r, "@option %s: expected %s", o->name, expected);
	}
}

void
play_set_fault(struct run *r, const struct step *s)
{
	struct simspool *sp = &play_host->spool;
	bool is_refuse = strcmp(s->word, "refuse") == 0;

	switch (s->kind) {
	case STEP_BEGIN:
		sp->begin_errno = s->errnum;
		break;
	case STEP_APPEND:
		sp->append_errno = s->errnum;
		sp->append_after = (size_t)s->number;
		break;
	default:
		sp->refuse_errno = is_refuse ? s->errnum : 0;
		sp->commit_errno = is_refuse ? 0 : s->errnum;
		sp->commit_delay_us = (uint64_t)(s->seconds * 1e6);
		if (strcmp(s->word, "hold") == 0)
			sp->is_held = true;
		if (strcmp(s->word, "release") == 0) {
			simspool_release(sp);
			play_collect(r);
		}
	}
}

/* @policy PHASE hold | allow | CODE text, and @policy release. */
void
play_set_policy(struct run *r, const struct step *s)
{
	struct simpolicy *p = &play_host->policy;
	int phase;

	if (s->word != NULL && strcmp(s->word, "release") == 0) {
		simpolicy_release(play_host);
		play_collect(r);
		return;
	}
	phase = s->word == NULL ? -1 : simpolicy_phase(s->word);
	if (phase == -1)
		play_fail(r, "@policy: no such phase");
	if (strcmp(s->text, "hold") == 0)
		p->mode[phase] = SIMPOLICY_HOLD;
	else if (strcmp(s->text, "allow") == 0)
		p->mode[phase] = SIMPOLICY_ALLOW;
	else {
		p->mode[phase] = SIMPOLICY_DENY;
		p->code = atoi(s->text);
		strlcpy(p->text, strlen(s->text) > 4 ? s->text + 4 : "",
		    sizeof(p->text));
	}
}

void
play_set_extension(bool is_on)
{
	is_extension_on = is_on;
}

/* XECHO text: an extension as a user of the library would write it. */
static int
xecho_setup(char *arg, message_construct *, void *)
{
	if (!is_extension_on)
		return 0;
	strlcpy(arg, "LOUD QUIET", ESMTP_EXTENSION_ARG_MAX);
	return 1;
}

static int
xecho(char *arg, Event *, message_construct *mc, void *)
{
	if (arg == NULL || *arg == '\0')
		return 0;
	return esmtp_extension_reply(mc, 250, "2.0.0", arg) == 0;
}

int
play_setup(void)
{
	play_host = calloc(1, sizeof(*play_host));
	if (play_host == NULL || simpolicy_register() == -1
	    || simtls_setup() == -1)
		return -1;
	return esmtp_extensions_register("XECHO", xecho_setup, xecho, NULL)
	    == 1 ? 0 : -1;
}

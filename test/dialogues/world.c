/* The world around a session: options, faults of the spool, policy, a verb of
 * the test's own.
 * Owns: the meaning of the directives that change it. */

#include "test/dialogues/play_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_extension_on;

/* @commit-rcpt ADDRESS CODE text, and @commit-rcpt ok. */
void
play_set_of_rcpt(struct run *r, const struct step *s)
{
	struct simspool *sp = &play_host->spool;
	size_t n = sp->nof_rcpt;

	if (s->word == NULL || strcmp(s->word, "ok") == 0) {
		sp->nof_rcpt = 0;
		return;
	}
	if (n == sizeof(sp->of_rcpt) / sizeof(sp->of_rcpt[0]) ||
	    strlen(s->text) < 4)
		play_fail(r, "@commit-rcpt: expected ADDRESS CODE text");
	strlcpy(sp->of_rcpt[n].addr, s->word, sizeof(sp->of_rcpt[n].addr));
	sp->of_rcpt[n].code = atoi(s->text);
	strlcpy(sp->of_rcpt[n].text, s->text + 4, sizeof(sp->of_rcpt[n].text));
	sp->nof_rcpt++;
}

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

/* @policy PHASE hold | allow | CODE text, @policy only ADDRESS, and @policy
 * release. */
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
	if (s->word != NULL && strcmp(s->word, "only") == 0) {
		strlcpy(p->only, s->text, sizeof(p->only));
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

/* XTAKE reads lines up to a dot, and XTAKE n so many octets, up to 20: it refuses
 * more, and throws them away. */
static unsigned int ntaken;

static int
xtake_setup(char *, message_construct *, void *)
{
	return 0;
}

static int
say_taken(message_construct *mc, const char *what)
{
	char text[40];

	snprintf(text, sizeof(text), "%u %s", ntaken, what);
	(void)esmtp_extension_reply(mc, 250, "2.6.0", text);
	return ESMTP_VERB_DONE;
}

static int
take_line(message_construct *mc, const char *line, size_t len, void *)
{
	if (line == NULL)
		return ESMTP_VERB_DONE;
	if (len == 1 && line[0] == '.')
		return say_taken(mc, "lines");
	ntaken++;
	return ESMTP_VERB_MORE;
}

static int
take_octets(message_construct *mc, const char *octets, size_t len, void *n)
{
	if (octets == NULL)
		return ESMTP_VERB_DONE;
	ntaken += (unsigned int)len;
	return ntaken < (uintptr_t)n ? ESMTP_VERB_MORE :
	    say_taken(mc, "octets");
}

static int
xtake(char *arg, Event *, message_construct *mc, void *)
{
	unsigned int n = (unsigned int)strtoul(arg, NULL, 10);
	int rc;

	ntaken = 0;
	if (*arg == '\0')
		rc = esmtp_extension_reply(mc, 354, NULL, "Go on") == -1 ? -1 :
		    esmtp_verb_read_lines(mc, 10, 30, take_line, NULL);
	else
		rc = esmtp_verb_read_octets(mc, n, n <= 20 ? take_octets :
		    NULL, (void *)(uintptr_t)n);
	if (rc == 0 && n > 20)
		rc = esmtp_extension_reply(mc, 552, "5.3.4", "Too much");
	return rc == 0 ? ESMTP_VERB_MORE : ESMTP_VERB_SYNTAX;
}

int
play_setup(void)
{
	play_host = calloc(1, sizeof(*play_host));
	if (play_host == NULL || simpolicy_register() == -1
	    || simtls_setup() == -1)
		return -1;
	return esmtp_extensions_register("XECHO", xecho_setup, xecho, NULL)
	    == 1 && esmtp_extensions_register("XTAKE", xtake_setup, xtake,
	    NULL) == 1 ? 0 : -1;
}

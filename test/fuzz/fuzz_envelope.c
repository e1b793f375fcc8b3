/* Envelopes: what can be read can be written, and is then read as the same. */

#include "test/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/spool/spool_envelope.h"

#define RCPTS	64	/* that are looked at */

struct said {
	const char	*rcpts[RCPTS];
	const char	*orcpts[RCPTS];
	uint8_t		 notify[RCPTS];
};

static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* All that it says of recipients and in items lies inside. */
static void
walk(const struct spool_envelope_view *v, struct said *s)
{
	const char *cursor = NULL, *said = NULL, *rcpt;
	struct spool_envelope_rcpt one;
	struct spool_item item;
	uint32_t i, n = 0;

	for (i = 0; (rcpt = spool_envelope_rcpt_next(v, &cursor)) != NULL;
	    i++) {
		FUZZ_HOLDS(rcpt > v->envelope && rcpt < v->end);
		spool_envelope_said(v, i, &said, &one);
		if (i >= RCPTS)
			continue;
		FUZZ_HOLDS(spool_envelope_rcpt(v, i) == rcpt);
		s->rcpts[i] = rcpt;
		s->orcpts[i] = one.orcpt;
		s->notify[i] = (uint8_t)one.notify;
	}
	FUZZ_HOLDS(i == v->nrcpts);
	FUZZ_HOLDS(spool_envelope_rcpt(v, v->nrcpts) == NULL);
	cursor = NULL;
	while (spool_envelope_item_next(v, &cursor, &item)) {
		FUZZ_HOLDS(item.value >= v->envelope &&
		    item.value + item.len < v->end);
		FUZZ_HOLDS(item.value[item.len] == '\0');
		n++;
	}
	FUZZ_HOLDS(n <= (size_t)(v->end - v->envelope));
}

static void
check_again(const struct spool_envelope_view *v, const struct said *s,
    size_t room)
{
	const struct spool_envelope env = { .sender = v->sender,
		.rcpts = s->rcpts, .nrcpts = v->nrcpts, .session = v->session,
		.client = v->client, .helo = v->helo, .flags = v->flags,
		.envid = v->envid, .solicit = v->solicit,
		.hold_until = v->hold_until, .deliver_by = v->deliver_by,
		.priority = v->priority, .login = v->holder,
		.notify = s->notify, .orcpts = s->orcpts };
	struct spool_envelope_view w;
	struct said again = { 0 };
	size_t n = spool_envelope_octets(&env);
	uint32_t i;
	char *buf;

	/* what is written has bounds that what is read need not have */
	if (n == 0)
		return;
	FUZZ_HOLDS(n <= room + 600);
	if ((buf = malloc(n)) == NULL)
		abort();
	spool_envelope_encode(&env, buf);
	FUZZ_HOLDS(spool_envelope_decode(buf, n, &w) == 0);
	walk(&w, &again);
	FUZZ_HOLDS(w.nrcpts == v->nrcpts && w.flags == v->flags &&
	    w.priority == v->priority && w.deliver_by == v->deliver_by);
	FUZZ_HOLDS(is_same(w.sender, v->sender) && is_same(w.helo, v->helo) &&
	    is_same(w.envid, v->envid) && is_same(w.solicit, v->solicit));
	for (i = 0; i < v->nrcpts; i++)
		FUZZ_HOLDS(is_same(s->rcpts[i], again.rcpts[i]) &&
		    is_same(s->orcpts[i], again.orcpts[i]) &&
		    s->notify[i] == again.notify[i]);
	free(buf);
}

void
fuzz_envelope(const uint8_t *data, size_t len)
{
	struct spool_envelope_view v;
	struct said s = { 0 };

	if (spool_envelope_decode((const char *)data, len, &v) == -1)
		return;
	walk(&v, &s);
	if (v.nrcpts <= RCPTS)
		check_again(&v, &s, len);
}

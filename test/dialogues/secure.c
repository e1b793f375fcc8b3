/* The client's TLS in a dialogue.
 * Owns: the handshake, and what is between the octets of a dialogue and those
 * on the wire. */

#include "test/dialogues/play_int.h"

#include <string.h>

#define STEPS_MAX	20	/* of a handshake: two round trips at most */

void
play_tls_received(struct run *r, const char *buf, size_t len)
{
	char text[4096];
	int n;

	simtls_client_feed(r->tls, buf, len);
	while ((n = simtls_client_read(r->tls, text, sizeof(text))) > 0)
		play_keep(r, text, (size_t)n);
}

void
play_tls_send(struct run *r, const char *buf, size_t len)
{
	const char *octets;
	size_t n;

	if (simtls_client_write(r->tls, buf, len) == -1)
		play_fail(r, "the client's TLS is broken");
	n = simtls_client_take(r->tls, &octets);
	play_send_wire(r, octets, n);
}

struct manner {
	unsigned int	flags;
	bool		is_stalling, must_fail, goes_on;
};

static void
read_manner(struct run *r, const char *text, struct manner *m)
{
	static const struct { const char *word; unsigned int flag; } words[] = {
		{ "1.1", SIMTLS_V11 },
		{ "1.2", SIMTLS_V12 },
		{ "cert", SIMTLS_CERT },
		{ "foreign-cert", SIMTLS_CERT | SIMTLS_FOREIGN },
		{ "resume", SIMTLS_RESUME },
	};
	size_t n, i;

	memset(m, 0, sizeof(*m));
	for (; *(text += strspn(text, " ")) != '\0'; text += n) {
		n = strcspn(text, " ");
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].word) == n
			    && strncmp(words[i].word, text, n) == 0)
				break;
		if (i < sizeof(words) / sizeof(words[0]))
			m->flags |= words[i].flag;
		else if (n == 5 && strncmp(text, "stall", n) == 0)
			m->is_stalling = true;
		else if (n == 4 && strncmp(text, "fail", n) == 0)
			m->must_fail = true;
		else if (n == 5 && strncmp(text, "go-on", n) == 0)
			m->goes_on = true;
		else
			play_fail(r, "@tls: unknown word %.*s", (int)n, text);
	}
}

/* One flight of the client.  1: it is through, 0: not yet, -1: never. */
static int
one_flight(struct run *r)
{
	const char *octets;
	int done = simtls_client_handshake(r->tls);
	size_t n = simtls_client_take(r->tls, &octets);

	if (n > 0)
		play_send_wire(r, octets, n);
	if (done == 0 && r->s->wire->is_closed)
		return -1;
	return done == 0 && n == 0 ? -1 : done;
}

/* The server may refuse what the client took for done: TLS 1.3 clients are
 * through before the server has seen their certificate. */
void
play_tls(struct run *r, const struct step *s)
{
	struct manner m;
	int done = 0, i;

	read_manner(r, s->text, &m);
	if (!m.goes_on) {
		simtls_client_free(r->tls);
		r->tls = simtls_client_new(m.flags);
	}
	if (r->tls == NULL)
		play_fail(r, "@tls: no session to resume, or to go on with");
	for (i = 0; done == 0 && i < (m.is_stalling ? 1 : STEPS_MAX); i++)
		done = one_flight(r);
	if (m.is_stalling)
		return;
	if (done == 1 && r->s->wire->is_closed && m.must_fail)
		return;
	if (m.must_fail != (done != 1))
		play_fail(r, m.must_fail ? "the handshake came to a good end"
		    : "the handshake failed%s", r->s->wire->is_closed
		    ? " (closed)" : "");
}

/* @sign ok | delay SECONDS | hold | release | break | nobody */
void
play_set_sign(struct run *r, const struct step *s)
{
	if (strcmp(s->word, "release") == 0)
		simtls_release();
	else if (strcmp(s->word, "break") == 0)
		simtls_break();
	else if (strcmp(s->word, "hold") == 0)
		simtls_sign(SIMTLS_HOLDS, 0);
	else if (strcmp(s->word, "nobody") == 0)
		simtls_sign(SIMTLS_REFUSES, 0);
	else
		simtls_sign(SIMTLS_SIGNS, (uint64_t)(s->seconds * 1e6));
	play_collect(r);
}

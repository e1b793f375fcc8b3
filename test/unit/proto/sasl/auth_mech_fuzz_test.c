/* Exchanges of which one message is damaged: cut short at each octet, each
 * octet another, and at random; bounded, always the same. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "test/lib/simrand.h"
#include "test/unit/proto/sasl/auth_mech_fake.h"

static const struct dialogue {
	const char	*mech;
	struct { const char *text; size_t len; } steps[2];
	unsigned int	 nsteps;
} dialogues[] = {
#define S(text)	{ text, sizeof(text) - 1 }
	{ "PLAIN", { S("\0user\0pencil") }, 1 },
	{ "LOGIN", { S("user"), S("pencil") }, 2 },
	{ "EXTERNAL", { S("user") }, 1 },
	{ "OAUTHBEARER", { S("n,a=user,\1auth=Bearer abc\1\1"), S("\1") }, 2 },
	{ "XOAUTH2", { S("user=user\1auth=Bearer abc\1\1"), S("") }, 2 },
	{ "SCRAM-SHA-1", { S("n,a=user,n=user,r=fyko+d2lbbF,x=1"),
	    S("c=biws,r=fyko,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=") }, 2 },
	{ "SCRAM-SHA-256", { S("n,,n=us=2C=3Der,r=rOprNGfwEbeRWgbNEkqO"),
	    S("c=biws,r=rOpr,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	    }, 2 },
	{ "SCRAM-SHA-256-PLUS", { S("p=tls-exporter,,n=user,r=rOprNGfw"),
	    S("c=cD10bHMtZXhwb3J0ZXIsLA==,r=rOpr,p=dHzbZapWIk4jUhN+Ute9ytag"
	    "9zjfMHgsqmmiz7AndVQ=") }, 2 },
	{ "SCRAM-SHA-1-PLUS", { S("p=tls-server-end-point,,n=user,r=rOprNG"),
	    S("c=cD10bHM=,r=rOpr,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=") }, 2 },
#undef S
};
#define NDIALOGUES	(sizeof(dialogues) / sizeof(dialogues[0]))

static void
fuzz_init(struct fake *f)
{
	static const uint8_t octets[32];

	fake_init(f);
	f->start.client.peer_name = "user";
	f->start.exporter = f->start.endpoint = octets;
	f->start.exporter_len = f->start.endpoint_len = sizeof(octets);
}

/* A status is one of those that an exchange may have, and a proof is never good
 * by chance. */
static void
expect_sane(const struct fake *f, const struct dialogue *d,
    const struct said *said)
{
	cr_assert_neq(said->status, ESMTP_AUTH_BLOCKED);
	cr_assert_neq(said->status, ESMTP_AUTH_LATER);
	cr_assert_leq(said->len, 4096);
	if (said->status != ESMTP_AUTH_OK)
		return;
	cr_assert_null(strstr(d->mech, "SCRAM"));
	cr_assert_str_eq(f->asked, "user");
}

/* ${text} takes the place of message ${which}; those before it are right. */
static void
run(struct fake *f, const struct dialogue *d, unsigned int which,
    const char *text, size_t len)
{
	struct auth_exchange *x = fake_exchange(f, d->mech);
	struct said said = { .status = ESMTP_AUTH_CHALLENGE };
	unsigned int i;

	for (i = 0; i < d->nsteps && said.status == ESMTP_AUTH_CHALLENGE;
	    i++) {
		if (i == which)
			say(x, text, len, &said);
		else
			say(x, d->steps[i].text, d->steps[i].len, &said);
		expect_sane(f, d, &said);
	}
	auth_exchange_free(x);
}

Test(auth_mech_fuzz, messages_cut_short_at_each_octet)
{
	const struct dialogue *d;
	struct fake f;
	unsigned int i;
	size_t len;

	fuzz_init(&f);
	for (d = dialogues; d < dialogues + NDIALOGUES; d++) {
		for (i = 0; i < d->nsteps; i++) {
			for (len = 0; len < d->steps[i].len; len++)
				run(&f, d, i, d->steps[i].text, len);
		}
	}
}

Test(auth_mech_fuzz, messages_of_which_an_octet_is_another)
{
	static const char others[] = { '\0', '\1', ',', '=', ' ', 'A', '\xff' };
	const struct dialogue *d;
	struct fake f;
	char text[256];
	unsigned int i;
	size_t at, o;

	fuzz_init(&f);
	for (d = dialogues; d < dialogues + NDIALOGUES; d++) {
		for (i = 0; i < d->nsteps; i++) {
			for (at = 0; at < d->steps[i].len; at++) {
				o = at % sizeof(others);
				memcpy(text, d->steps[i].text,
				    d->steps[i].len);
				text[at] = others[o];
				run(&f, d, i, text, d->steps[i].len);
			}
		}
	}
}

/* Up to four changes: an octet, a piece gone, a piece twice. */
static size_t
damage(struct simrand *r, char *text, size_t len, size_t size)
{
	unsigned int n = simrand_below(r, 4) + 1;
	size_t at, piece;

	for (; n > 0 && len > 0; n--) {
		at = simrand_below(r, (uint32_t)len);
		piece = simrand_below(r, (uint32_t)(len - at)) + 1;
		switch (simrand_below(r, 3)) {
		case 0:
			text[at] = (char)simrand_below(r, 256);
			break;
		case 1:
			memmove(text + at, text + at + piece, len - at - piece);
			len -= piece;
			break;
		default:
			if (len + piece > size)
				break;
			memmove(text + at + piece, text + at, len - at);
			len += piece;
		}
	}
	return len;
}

Test(auth_mech_fuzz, messages_damaged_at_random)
{
	const struct dialogue *d;
	struct simrand r;
	struct fake f;
	char text[1024];
	unsigned int i, n;
	size_t len;

	fuzz_init(&f);
	simrand_seed(&r, 3);
	for (n = 0; n < 1500; n++) {
		d = &dialogues[n % NDIALOGUES];
		i = simrand_below(&r, d->nsteps);
		len = d->steps[i].len;
		memcpy(text, d->steps[i].text, len);
		run(&f, d, i, text, damage(&r, text, len, sizeof(text)));
	}
}

Test(auth_mech_fuzz, octets_at_random_of_every_length)
{
	static const size_t lengths[] = { 1, 2, 15, 16, 17, 255, 256, 1024,
		4096, AUTH_RESPONSE_MAX };
	static char text[AUTH_RESPONSE_MAX];
	const struct dialogue *d;
	struct simrand r;
	struct fake f;
	size_t i, j;

	fuzz_init(&f);
	simrand_seed(&r, 4);
	for (i = 0; i < sizeof(text); i++)
		text[i] = (char)simrand_below(&r, 256);
	for (d = dialogues; d < dialogues + NDIALOGUES; d++) {
		for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			for (j = 0; j < d->nsteps; j++)
				run(&f, d, (unsigned int)j, text, lengths[i]);
		}
	}
}

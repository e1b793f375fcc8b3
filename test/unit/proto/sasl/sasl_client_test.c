/* The client's side of SASL: with our server, with GNU SASL's, and with servers
 * that do not know the password. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/auth/esmtp_auth_mech.h"
#include "proto/sasl/sasl_client.h"
#include "test/unit/proto/sasl/auth_mech_fake.h"

static const char exporter[] = "0123456789abcdef0123456789abcdef";

static struct fake f;
static struct sasl_client_login login;

static void
setup(void)
{
	fake_init(&f);
	login = (struct sasl_client_login){ .user = "user",
		.secret = "pencil" };
}

TestSuite(sasl_client, .init = setup);

static unsigned int ncalls;		/* of sasl_client_go_on(), for one answer */

/* The answer to a challenge, with all the work that it takes. */
static int
answer(struct sasl_client *c, const char *challenge, size_t len, char **out_r,
    size_t *len_r)
{
	int rc = sasl_client_step(c, challenge, len, out_r, len_r);

	for (ncalls = 0; rc == 1; ncalls++) {
		cr_assert_null(*out_r);
		cr_assert_not(sasl_client_is_done(c));
		rc = sasl_client_go_on(c, out_r, len_r);
	}
	return rc;
}

/* Both sides until the server has decided.  *is_done_r: what the client thinks.
 * */
static enum esmtp_auth_status
talk(const char *mech, bool *is_done_r)
{
	struct sasl_client *c = sasl_client_new(mech, &login);
	struct auth_exchange *x = fake_exchange(&f, mech);
	struct said said;
	char *out;
	size_t len;
	int rc;

	cr_assert_not_null(c, "%s", mech);
	rc = sasl_client_begin(c, &out, &len);
	cr_assert_eq(rc, 0);
	say(x, out, len, &said);
	free(out);
	while (said.status == ESMTP_AUTH_CHALLENGE) {
		rc = answer(c, said.text, said.len, &out, &len);
		if (rc == -1) {
			cr_assert_eq(errno, EPROTO);
			cr_assert_null(out);
			break;
		}
		say(x, out, len, &said);
		free(out);
	}
	*is_done_r = sasl_client_is_done(c);
	sasl_client_free(c);
	auth_exchange_free(x);
	return said.status;
}

Test(sasl_client, logs_in_at_our_server)
{
	static const struct {
		const char	*mech;
		bool		 is_token;
		const char	*type;
	} rows[] = {
		{ "PLAIN", false, NULL }, { "LOGIN", false, NULL },
		{ "SCRAM-SHA-1", false, NULL },
		{ "SCRAM-SHA-256", false, NULL },
		{ "SCRAM-SHA-1-PLUS", false, "tls-exporter" },
		{ "SCRAM-SHA-256-PLUS", false, "tls-exporter" },
		{ "SCRAM-SHA-1-PLUS", false, "tls-server-end-point" },
		{ "SCRAM-SHA-256-PLUS", false, "tls-server-end-point" },
		{ "OAUTHBEARER", true, NULL }, { "XOAUTH2", true, NULL },
	};
	bool is_done;
	size_t i;

	f.start.exporter = (const uint8_t *)exporter;
	f.start.exporter_len = 32;
	f.start.endpoint = (const uint8_t *)exporter;
	f.start.endpoint_len = 32;
	f.start.is_plus_offered = true;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		login.is_token = rows[i].is_token;
		login.binding_type = rows[i].type;
		login.binding = (const uint8_t *)exporter;
		login.binding_len = rows[i].type != NULL ? 32 : 0;
		login.secret = rows[i].is_token ? "abc" : "pencil";
		cr_assert_eq(talk(rows[i].mech, &is_done), ESMTP_AUTH_OK, "%s",
		    rows[i].mech);
		cr_assert(is_done, "%s", rows[i].mech);
		login.secret = "wrong";
		cr_assert_eq(talk(rows[i].mech, &is_done), ESMTP_AUTH_FAILED,
		    "%s", rows[i].mech);
	}
}

static unsigned int
bit(const char *name)
{
	size_t i;

	for (i = 0; strcmp(esmtp_auth_mech_at(i)->name, name) != 0; i++)
		continue;
	return 1u << i;
}

/* RFC 5802 6: a server that has lost its -PLUS on the way is noticed by the
 * server. */
Test(sasl_client, tells_that_it_could_be_bound)
{
	bool is_done;

	login.binding_type = "tls-exporter";
	login.binding = (const uint8_t *)exporter;
	login.binding_len = 32;
	f.start.exporter = (const uint8_t *)exporter;
	f.start.exporter_len = 32;
	f.start.is_plus_offered = true;
	cr_assert_neq(talk("SCRAM-SHA-256", &is_done), ESMTP_AUTH_OK);
	cr_assert_not(is_done);
	/* RFC 5802 6: it knows that the server knows it, of any hash */
	login.mechanisms = bit("SCRAM-SHA-1-PLUS");
	cr_assert_eq(talk("SCRAM-SHA-256", &is_done), ESMTP_AUTH_OK);
}

/* RFC 5802 6: a server at the other end of another connection: what a man in the
 * middle passes on is of no use. */
Test(sasl_client, a_proof_is_for_the_connection_that_it_is_bound_to)
{
	static const char *const types[] = { "tls-exporter",
		"tls-server-end-point" };
	bool is_done;
	size_t i;

	f.start.exporter = f.start.endpoint = (const uint8_t *)exporter;
	f.start.exporter_len = f.start.endpoint_len = 32;
	f.start.is_plus_offered = true;
	login.binding = (const uint8_t *)exporter + 1;
	login.binding_len = 31;
	for (i = 0; i < 2; i++) {
		login.binding_type = types[i];
		cr_assert_neq(talk("SCRAM-SHA-256-PLUS", &is_done),
		    ESMTP_AUTH_OK);
	}
	/* and a kind that the server does not know */
	login.binding = (const uint8_t *)exporter;
	login.binding_len = 32;
	login.binding_type = "tls-unique";
	cr_assert_neq(talk("SCRAM-SHA-256-PLUS", &is_done), ESMTP_AUTH_OK);
	login.binding_type = "a-type-with-a-very-long-name";
	cr_assert_null(sasl_client_new("SCRAM-SHA-256-PLUS", &login));
	cr_assert_eq(errno, EINVAL);
}

/* RFC 7677 3, and the same with other first messages of a server. */
static int
scram(const char *first, const char *final)
{
	struct sasl_client *c;
	int rc = 0;
	char *out;
	size_t len;

	login.nonce = "rOprNGfwEbeRWgbNEkqO";
	c = sasl_client_new("SCRAM-SHA-256", &login);
	cr_assert_not_null(c);
	cr_assert_eq(sasl_client_begin(c, &out, &len), 0);
	cr_assert_str_eq(out, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
	cr_assert_eq(len, strlen(out));
	free(out);
	rc = answer(c, first, strlen(first), &out, &len);
	if (rc == 0) {
		cr_assert_not(sasl_client_is_done(c));
		free(out);
		rc = answer(c, final, strlen(final), &out, &len);
		cr_assert_eq(sasl_client_is_done(c), rc == 0);
		free(out);
	}
	if (rc == 0) {
		/* there is no more to say */
		cr_assert_eq(sasl_client_step(c, "", 0, &out, &len), -1);
		cr_assert_not(sasl_client_is_done(c));
	}
	sasl_client_free(c);
	return rc;
}

#define NONCE	"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT	",s=W22ZaJ0SNY7soEsUEjb6gQ=="
#define FINAL	"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

Test(sasl_client, scram_as_rfc_7677_has_it)
{
	cr_assert_eq(scram(NONCE SALT ",i=4096", FINAL), 0);
}

Test(sasl_client, scram_knows_its_server)
{
	static const char *const finals[] = { "", "v=",
		"v=0rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==",
		"e=invalid-proof", "x" FINAL };
	size_t i;

	for (i = 0; i < sizeof(finals) / sizeof(finals[0]); i++)
		cr_assert_eq(scram(NONCE SALT ",i=4096", finals[i]), -1, "%s",
		    finals[i]);
}

Test(sasl_client, scram_reads_strictly)
{
	static const char *const firsts[] = { "",
		"r=rOprNGfwEbeRWgbNEkqO" SALT ",i=4096",	/* our nonce alone */
		"r=xOprNGfwEbeRWgbNEkqOabc" SALT ",i=4096",
		"m=x," NONCE SALT ",i=4096",
		NONCE ",i=4096", NONCE ",s=,i=4096", NONCE ",s=W2,i=4096",
		NONCE SALT, NONCE SALT ",i=", NONCE SALT ",i=0",
		NONCE SALT ",i=04096", NONCE SALT ",i=-1",
		NONCE SALT ",i=1", NONCE SALT ",i=4095",
		NONCE SALT ",i=1000001", NONCE SALT ",i=4294967297",
		NONCE SALT ",i=4096x", NONCE SALT " ,i=4096",
	};
	size_t i;

	for (i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++)
		cr_assert_eq(scram(firsts[i], FINAL), -1, "%s", firsts[i]);
}

/* RFC 5802 5.1 */
Test(sasl_client, scram_writes_names)
{
	struct sasl_client *c;
	char *out;
	size_t len;

	login.user = "a,b=c";
	login.nonce = "x";
	c = sasl_client_new("SCRAM-SHA-1", &login);
	cr_assert_eq(sasl_client_begin(c, &out, &len), 0);
	cr_assert_str_eq(out, "n,,n=a=2Cb=3Dc,r=x");
	free(out);
	sasl_client_free(c);
}

/* Each call makes so many iterations and no more; the result is that of RFC
 * 7677 3, and others follow by the same steps. */
Test(sasl_client, scram_works_in_slices)
{
	static const struct { const char *i; unsigned int ncalls; } rows[] = {
		{ "4096", 4 }, { "4097", 4 }, { "4098", 5 },
		{ "100000", 98 },
	};
	char first[128];
	size_t i;

	cr_assert_eq(scram(NONCE SALT ",i=4096", FINAL), 0);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sasl_client *c = sasl_client_new("SCRAM-SHA-256",
		    &login);
		char *out;
		size_t len;

		cr_assert_eq(sasl_client_begin(c, &out, &len), 0);
		free(out);
		snprintf(first, sizeof(first), "%s,i=%s", NONCE SALT,
		    rows[i].i);
		cr_assert_eq(answer(c, first, strlen(first), &out, &len), 0);
		cr_expect_eq(ncalls, rows[i].ncalls, "%s: %u", rows[i].i,
		    ncalls);
		free(out);
		sasl_client_free(c);
	}
}

/* It may be given up in the middle, and nothing else is done meanwhile. */
Test(sasl_client, scram_may_be_given_up)
{
	static const char first[] = NONCE SALT ",i=1000000";
	struct sasl_client *c;
	char *out;
	size_t len;

	login.nonce = "rOprNGfwEbeRWgbNEkqO";
	c = sasl_client_new("SCRAM-SHA-256", &login);
	cr_assert_eq(sasl_client_begin(c, &out, &len), 0);
	free(out);
	cr_assert_eq(sasl_client_step(c, first, strlen(first), &out, &len), 1);
	cr_assert_eq(sasl_client_go_on(c, &out, &len), 1);
	cr_assert_eq(sasl_client_step(c, first, strlen(first), &out, &len),
	    -1);
	cr_assert_eq(errno, EPROTO);
	sasl_client_free(c);
}

Test(sasl_client, chooses_the_best_that_can_be_done)
{
	login.mechanisms = ~0u;
	login.binding_len = 0;
	cr_assert_str_eq(sasl_client_choose(&login), "SCRAM-SHA-256");
	login.binding_type = "tls-exporter";
	login.binding_len = 32;
	cr_assert_str_eq(sasl_client_choose(&login), "SCRAM-SHA-256-PLUS");
	/* bound to the channel before a stronger hash */
	login.mechanisms &= ~bit("SCRAM-SHA-256-PLUS");
	cr_assert_str_eq(sasl_client_choose(&login), "SCRAM-SHA-1-PLUS");
	login.mechanisms &= ~bit("SCRAM-SHA-1-PLUS");
	cr_assert_str_eq(sasl_client_choose(&login), "SCRAM-SHA-256");
	login.is_token = true;
	cr_assert_str_eq(sasl_client_choose(&login), "OAUTHBEARER");
	login.mechanisms = 0;
	cr_assert_null(sasl_client_choose(&login));
}

Test(sasl_client, refuses_what_is_none)
{
	char text[SASL_CLIENT_SECRET_MAX + 2];

	cr_assert_null(sasl_client_new("NTLM", &login));
	cr_assert_eq(errno, EINVAL);
	cr_assert_null(sasl_client_new("XOAUTH2", &login));
	cr_assert_null(sasl_client_new("SCRAM-SHA-256-PLUS", &login));
	login.user = "\xff";
	cr_assert_null(sasl_client_new("PLAIN", &login));
	cr_assert_eq(errno, EILSEQ);
	login.user = "user";
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	login.secret = text;
	cr_assert_null(sasl_client_new("PLAIN", &login));
	cr_assert_eq(errno, EINVAL);
	login.secret = "a\1b";
	login.is_token = true;
	cr_assert_null(sasl_client_new("XOAUTH2", &login));
	cr_assert_eq(errno, EINVAL);
}

/* A server that never ends. */
Test(sasl_client, ends)
{
	static const char *const mechs[] = { "PLAIN", "LOGIN", "XOAUTH2",
		"OAUTHBEARER" };
	struct sasl_client *c;
	unsigned int n;
	size_t i, len;
	char *out;

	for (i = 0; i < 4; i++) {
		login.is_token = i >= 2;
		c = sasl_client_new(mechs[i], &login);
		cr_assert_eq(sasl_client_begin(c, &out, &len), 0);
		free(out);
		for (n = 0; sasl_client_step(c, "", 0, &out, &len) == 0; n++)
			free(out);
		cr_assert_eq(errno, EPROTO);
		cr_assert(n <= 2);
		cr_assert_not(sasl_client_is_done(c));
		sasl_client_free(c);
	}
}

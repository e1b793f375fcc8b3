#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/role/auth_request.h"

static uint8_t octets[MSG_AUTH_START_OCTETS];
static struct msg_auth_start base;

static struct auth_request
sample(void)
{
	struct auth_request r = { .id = 7, .session = 1ULL << 32 | 5,
		.is_tls = true,
		.mech = "SCRAM-SHA-256-PLUS", .log_id = "abc123",
		.peer_name = "client.test", .exporter_len = 32,
		.endpoint_len = 48, .initial = "n,,n=user,r=x",
		.initial_len = 13 };

	memset(r.exporter, 'e', sizeof(r.exporter));
	memset(r.endpoint, 'p', 48);
	return r;
}

static int
put(const struct auth_request *r)
{
	return auth_request_put(r, &base, octets, sizeof(octets));
}

/* A copy of exactly that size, so that a reader that goes too far is seen. */
static int
parse(unsigned int n, struct auth_request *r_r)
{
	uint8_t *exact = malloc(n == 0 ? 1 : n);
	int rc;

	memcpy(exact, octets, n);
	rc = auth_request_parse(&base, n == 0 ? NULL : exact, n, r_r);
	r_r->initial = NULL;
	free(exact);
	return rc;
}

Test(auth_request, what_was_put_is_parsed)
{
	struct auth_request in = sample(), out;
	int n = put(&in);

	cr_assert_gt(n, 0);
	cr_assert_eq(auth_request_parse(&base, octets, (unsigned int)n,
	    &out), 0);
	cr_assert_eq(out.id, 7);
	cr_assert_eq(out.session, 1ULL << 32 | 5);
	cr_assert(out.is_tls);
	cr_assert_str_eq(out.mech, in.mech);
	cr_assert_str_eq(out.log_id, in.log_id);
	cr_assert_str_eq(out.peer_name, in.peer_name);
	cr_assert_eq(out.initial_len, 13);
	cr_assert_arr_eq(out.initial, in.initial, 13);
	cr_assert_eq(out.exporter_len, 32);
	cr_assert_arr_eq(out.exporter, in.exporter, 32);
	cr_assert_eq(out.endpoint_len, 48);
	cr_assert_arr_eq(out.endpoint, in.endpoint, 48);
}

Test(auth_request, an_empty_initial_response_is_not_none)
{
	struct auth_request in = sample(), out;

	in.initial = "";
	in.initial_len = 0;
	cr_assert_eq(auth_request_parse(&base, octets,
	    (unsigned int)put(&in), &out), 0);
	cr_assert_not_null(out.initial);
	cr_assert_eq(out.initial_len, 0);
	in.initial = NULL;
	cr_assert_eq(auth_request_parse(&base, octets,
	    (unsigned int)put(&in), &out), 0);
	cr_assert_null(out.initial);
}

Test(auth_request, lengths_must_add_up_exactly)
{
	struct auth_request in = sample(), out;
	unsigned int n = (unsigned int)put(&in), i;

	for (i = 0; i < n; i++)
		cr_assert_eq(parse(i, &out), -1, "%u of %u", i, n);
	cr_assert_eq(parse(n, &out), 0);
	cr_assert_eq(parse(n + 1, &out), -1);
}

Test(auth_request, no_length_is_believed)
{
	static const uint16_t bad[] = { 0, 1, 21, 33, 64, 65, 255, 256, 12288,
		12289, 12800, 32767, 32768, 65535 };
	struct auth_request in = sample(), out;
	unsigned int n = (unsigned int)put(&in);
	struct msg_auth_start good = base;
	uint16_t *const fields[] = { &base.mech, &base.log_id, &base.initial,
		&base.exporter, &base.endpoint, &base.peer_name };
	size_t i, k;

	for (i = 0; i < 6; i++)
		for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
			base = good;
			if (*fields[i] == bad[k])
				continue;
			*fields[i] = bad[k];
			cr_assert_eq(parse(n, &out), -1, "%zu: %u", i,
			    bad[k]);
		}
}

Test(auth_request, what_no_sound_worker_sends_is_refused)
{
	struct auth_request in = sample(), out;
	unsigned int n = (unsigned int)put(&in);
	struct msg_auth_start good = base;

	base.flags |= 0x80;
	cr_assert_eq(parse(n, &out), -1);
	base = good;
	/* octets of an initial response that is said not to be there */
	base.flags = MSG_AUTH_TLS;
	cr_assert_eq(parse(n, &out), -1);
	/* bindings of a channel that is not encrypted */
	base.flags = MSG_AUTH_INITIAL;
	cr_assert_eq(parse(n, &out), -1);
	base = good;
	octets[0] = 's';
	cr_assert_eq(parse(n, &out), -1, "not in capitals");
	octets[0] = '\0';
	cr_assert_eq(parse(n, &out), -1, "a NUL");
	octets[0] = 'S';
	octets[strlen(in.mech)] = '\0';
	cr_assert_eq(parse(n, &out), -1, "a NUL in the id");
}

Test(auth_request, any_octets_at_all_do_no_harm)
{
	struct auth_request out;
	unsigned int seed, n, i;

	for (seed = 1; seed < 20000; seed++) {
		srand(seed);
		n = (unsigned int)rand() % 200;
		for (i = 0; i < n; i++)
			octets[i] = (uint8_t)(rand() % 4 == 0 ? rand() : 'A');
		memset(&base, 0, sizeof(base));
		base.flags = (uint32_t)rand() % 5;
		base.mech = (uint16_t)(rand() % 30);
		base.log_id = (uint16_t)(rand() % 40);
		base.initial = (uint16_t)(rand() % 100);
		base.exporter = rand() % 2 ? 32 : 0;
		base.endpoint = (uint16_t)(rand() % 70);
		base.peer_name = (uint16_t)(n - base.mech - base.log_id -
		    base.initial - base.exporter - base.endpoint);
		if (parse(n, &out) == 0)
			cr_assert_lt(strlen(out.mech), sizeof(out.mech));
	}
}

Test(auth_request, what_does_not_fit_is_not_put)
{
	static char big[70000];
	struct auth_request in = sample();

	cr_assert_eq(auth_request_put(&in, &base, octets, 20), -1);
	in.initial = big;
	in.initial_len = AUTH_INITIAL_MAX + 1;
	cr_assert_eq(put(&in), -1);
	in.initial_len = sizeof(big);
	cr_assert_eq(put(&in), -1);
	in.initial_len = AUTH_INITIAL_MAX;
	cr_assert_gt(put(&in), 0);
	in.is_tls = false;
	cr_assert_eq(put(&in), -1);
	in = sample();
	strcpy(in.mech, "lower");
	cr_assert_eq(put(&in), -1);
}

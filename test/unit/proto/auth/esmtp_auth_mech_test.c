#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "proto/auth/esmtp_auth_mech.h"

#define ALL	(ESMTP_CAN_KNOWN_ONLY - 1)	/* each of the others */

static enum esmtp_reply_id
may(const struct esmtp_auth_scope *scope, const char *name)
{
	return esmtp_auth_mech_may(scope, name, strlen(name));
}

Test(esmtp_auth_mech, every_row_is_found_by_its_name_and_no_other)
{
	const struct esmtp_auth_mech *m;
	size_t i;

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++)
		cr_expect_eq(esmtp_auth_mech_find(m->name, strlen(m->name)), m,
		    "%s", m->name);
	cr_expect_gt(i, 0);
	cr_expect_str_eq(esmtp_auth_mech_find("plain", 5)->name, "PLAIN");
	cr_expect_null(esmtp_auth_mech_find("PLAIN", 4));
	cr_expect_null(esmtp_auth_mech_find("PLAIN\0x", 7));
	cr_expect_null(esmtp_auth_mech_find("NTLM", 4));
	cr_expect_null(esmtp_auth_mech_find("", 0));
}

Test(esmtp_auth_mech, what_binds_to_the_channel_shows_in_the_name)
{
	cr_expect(esmtp_auth_mech_is_plus("scram-sha-1-plus", 16));
	cr_expect_not(esmtp_auth_mech_is_plus("SCRAM-SHA-1", 11));
	cr_expect_not(esmtp_auth_mech_is_plus("-PLUS", 5));
}

/* One connection and what the host can do, and what AUTH says to each name. */
Test(esmtp_auth_mech, the_rule)
{
	static const char *const names[] = { "PLAIN", "scram-sha-256-plus",
		"EXTERNAL", "CRAM-MD5", "X-OURS", "X-OURS-PLUS", NULL };
	enum { OK = RPL_OK, NO = RPL_AUTH_MECHANISM, TLS = RPL_AUTH_TLS };
	static const struct {
		unsigned int	can;
		bool		without_tls, is_tls, is_verified;
		int		want[6];
	} rows[] = {
		{ ALL, 0, 0, 0, { TLS, TLS, TLS, TLS, TLS, TLS } },
		{ ALL, 1, 0, 0, { OK, TLS, TLS, OK, OK, TLS } },
		{ ALL, 0, 1, 0, { OK, OK, NO, OK, OK, OK } },
		{ ALL, 0, 1, 1, { OK, OK, OK, OK, OK, OK } },
		{ ALL | ESMTP_CAN_KNOWN_ONLY, 0, 1, 1,
		    { OK, OK, OK, OK, NO, NO } },
		{ 0, 1, 1, 1, { NO, NO, NO, NO, OK, NO } },
		{ ESMTP_CAN_PASSWORD, 0, 1, 1, { OK, NO, NO, NO, OK, NO } },
		{ ESMTP_CAN_KEYS, 0, 1, 1, { NO, NO, NO, NO, OK, NO } },
		{ ESMTP_CAN_BIND, 0, 1, 1, { NO, NO, NO, NO, OK, OK } },
		{ ESMTP_CAN_NAME, 0, 1, 1, { NO, NO, OK, NO, OK, NO } },
		{ ESMTP_CAN_CLEARTEXT, 0, 1, 1, { NO, NO, NO, OK, OK, NO } },
		/* what cannot be done is not promised for later */
		{ ESMTP_CAN_PASSWORD, 0, 0, 0, { TLS, NO, NO, NO, TLS, NO } },
	};
	struct esmtp_options o = { .auth_mechanisms = {
	    .v = (char **)(uintptr_t)names, .n = 6 } };
	struct esmtp_auth_scope scope = { .options = &o };
	struct esmtp_auth_can can = { 0 };
	size_t i, k;

	scope.can = &can;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		can.all = rows[i].can;
		o.auth_without_tls = rows[i].without_tls;
		scope.is_tls = rows[i].is_tls;
		scope.is_verified = rows[i].is_verified;
		for (k = 0; k < 6; k++)
			cr_expect_eq((int)may(&scope, names[k]),
			    rows[i].want[k], "row %zu: %s", i, names[k]);
		cr_expect_eq(may(&scope, "LOGIN"), RPL_AUTH_MECHANISM);
	}
}

Test(esmtp_auth_mech, without_a_list_the_usual_ones_are_listed_in_order)
{
	const struct esmtp_options o = { 0 };
	struct esmtp_auth_can can = { ALL, ESMTP_CAN_PASSWORD |
	    ESMTP_CAN_SHA1_KEYS };
	struct esmtp_auth_scope scope = { .options = &o, .can = &can };
	static const char *const want[] = { "SCRAM-SHA-256", "SCRAM-SHA-1",
		"PLAIN", "LOGIN" };
	size_t i;

	for (i = 0; i < 4; i++)
		cr_expect_str_eq(esmtp_auth_mech_listed(&scope, i), want[i]);
	cr_expect_null(esmtp_auth_mech_listed(&scope, 4));
	/* not every host has keys of both hashes */
	can.usual = ESMTP_CAN_KEYS;
	cr_expect_str_eq(esmtp_auth_mech_listed(&scope, 0), "SCRAM-SHA-256");
	cr_expect_null(esmtp_auth_mech_listed(&scope, 1));
	can.usual = 0;
	cr_expect_null(esmtp_auth_mech_listed(&scope, 0));
	scope.can = NULL;
	cr_expect_str_eq(esmtp_auth_mech_listed(&scope, 0), "SCRAM-SHA-256");
}

Test(esmtp_auth_mech, every_reason_of_a_failure_has_a_text_and_other_numbers_none)
{
	unsigned int why;

	cr_expect_str_eq(esmtp_auth_why_text(ESMTP_WHY_NONE), "");
	for (why = ESMTP_WHY_NONE + 1; why < ESMTP_NWHYS; why++)
		cr_expect_gt(strlen(esmtp_auth_why_text(why)), 8, "%u", why);
	cr_expect_str_eq(esmtp_auth_why_text(ESMTP_NWHYS), "");
	cr_expect_str_eq(esmtp_auth_why_text(UINT32_MAX), "");
}

/* RFC 4954 4: nobody can listen.  But there is no certificate, and no channel to
 * bind to. */
Test(esmtp_auth_mech, on_a_unix_socket_passwords_need_no_tls)
{
	static const char *const names[] = { "PLAIN", "SCRAM-SHA-256-PLUS",
		"EXTERNAL", "CRAM-MD5", NULL };
	static const enum esmtp_reply_id want[] = { RPL_OK, RPL_AUTH_TLS,
		RPL_AUTH_TLS, RPL_OK };
	struct esmtp_options o = { .auth_mechanisms = {
	    .v = (char **)(uintptr_t)names, .n = 4 } };
	struct esmtp_auth_scope scope = { .options = &o, .is_local = true };
	size_t i;

	for (i = 0; i < 4; i++)
		cr_expect_eq(may(&scope, names[i]), want[i], "%s", names[i]);
}

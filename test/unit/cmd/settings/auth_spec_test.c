#include <criterion/criterion.h>
#include <string.h>

#include "cmd/settings/auth_spec.h"
#include "proto/auth/esmtp_auth_mech.h"

static char err[AUTH_ERROR_MAX + 64];

static int
check(const char *spec)
{
	return auth_spec_check(spec, NULL, NULL, err, sizeof(err));
}

Test(auth_spec, kind_and_argument_are_told_apart)
{
	enum auth_spec_kind kind;
	const char *arg;

	cr_expect_eq(auth_spec_check("dovecot:/a:b", &kind, &arg, err,
	    sizeof(err)), 0);
	cr_expect_eq(kind, AUTH_SPEC_dovecot);
	cr_expect_str_eq(arg, "/a:b");
}

Test(auth_spec, spec_has_a_kind_and_an_argument_of_it)
{
	static const char *const good[] = { "passwd:/x", "pam:mailmill",
		"pam:a-b_c.1", "dovecot:/run/dovecot/auth-client" };
	static const char *const bad[] = { "", "x", "passwd", "passwd:",
		"passwd:x", "PASSWD:/x", "pam:", "pam:../x", "pam:a/b",
		"pam:.x", "pam:Mail", "dovecot:", "dovecot:inet:1", ":/x",
		"passwdx:/x", " passwd:/x" };
	char longest[200];
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect_eq(check(good[i]), 0, "%s: %s", good[i], err);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(check(bad[i]), -1, "%s", bad[i]);
		cr_expect(*err == '"' || strncmp(err, "the ", 4) == 0, "%s",
		    err);
	}
	strcpy(longest, "dovecot:/");
	memset(longest + 9, 'x', 107);
	longest[116] = '\0';
	cr_expect_eq(check(longest), -1);
	longest[115] = '\0';
	cr_expect_eq(check(longest), 0);
}

/* What a back end of that kind is offered for, to a client that may use all. */
static const char *
offered(const char *spec, const struct esmtp_options *o, char *list, size_t size)
{
	const struct esmtp_auth_scope scope = { .options = o,
	    .can = auth_spec_can(spec), .is_tls = true, .is_verified = true };
	const char *name;
	size_t i;

	*list = '\0';
	for (i = 0; (name = esmtp_auth_mech_listed(&scope, i)) != NULL; i++) {
		if (esmtp_auth_mech_may(&scope, name, strlen(name)) != RPL_OK)
			continue;
		if (*list != '\0')
			strlcat(list, " ", size);
		strlcat(list, name, size);
	}
	return list;
}

Test(auth_spec, a_kind_decides_what_is_offered)
{
#define SCRAM_PLUS	"SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS " \
			"SCRAM-SHA-1"
	static const struct { const char *spec, *usual, *all; } rows[] = {
		{ "passwd:/x", "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN", "EXTERNAL "
		    SCRAM_PLUS " OAUTHBEARER XOAUTH2 CRAM-MD5 PLAIN LOGIN" },
		{ "pam:x", "PLAIN LOGIN",
		    "EXTERNAL OAUTHBEARER XOAUTH2 PLAIN LOGIN" },
		{ "dovecot:/x", "PLAIN LOGIN", "EXTERNAL SCRAM-SHA-256 "
		    "SCRAM-SHA-1 OAUTHBEARER XOAUTH2 CRAM-MD5 PLAIN LOGIN" },
		{ "x:y", "", "" },
	};
	struct esmtp_options o = { 0 };
	const char *names[16];
	char list[256];
	size_t i, k;

	for (k = 0; esmtp_auth_mech_at(k) != NULL; k++)
		names[k] = esmtp_auth_mech_at(k)->name;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		o.auth_mechanisms.n = 0;
		cr_expect_str_eq(offered(rows[i].spec, &o, list, sizeof(list)),
		    rows[i].usual);
		o.auth_mechanisms.v = (char **)(uintptr_t)names;
		o.auth_mechanisms.n = k;
		cr_expect_str_eq(offered(rows[i].spec, &o, list, sizeof(list)),
		    rows[i].all);
	}
}

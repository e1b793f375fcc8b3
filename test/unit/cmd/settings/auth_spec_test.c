#include <criterion/criterion.h>
#include <string.h>

#include "cmd/settings/auth_spec.h"

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
		cr_expect_eq(strncmp(err, "expected ", 9), 0, "%s", err);
	}
	strcpy(longest, "dovecot:/");
	memset(longest + 9, 'x', 107);
	longest[116] = '\0';
	cr_expect_eq(check(longest), -1);
	longest[115] = '\0';
	cr_expect_eq(check(longest), 0);
}

static bool
has(const char *const *list, const char *name)
{
	while (*list != NULL && strcmp(*list, name) != 0)
		list++;
	return *list != NULL;
}

Test(auth_spec, defaults_are_among_what_can_be_done)
{
	static const char *const kinds[] = { "passwd:/x", "pam:x",
		"dovecot:/x" };
	const char *const *d;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		d = auth_spec_mechanisms(kinds[i], true);
		cr_expect(has(d, "PLAIN"));
		cr_expect_not(has(d, "CRAM-MD5"));
		cr_expect_not(has(d, "EXTERNAL"));
		for (; *d != NULL; d++)
			cr_expect(has(auth_spec_mechanisms(kinds[i], false),
			    *d), "%s", *d);
	}
	cr_expect_null(*auth_spec_mechanisms("x:y", false));
}

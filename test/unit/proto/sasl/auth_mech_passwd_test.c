/* Mechanisms and a file of users, as they are together. */

#include <crypt.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/authd/back/auth_backs.h"
#include "core/table/passwdfile.h"
#include "test/unit/proto/sasl/auth_mech_fake.h"

struct world {
	char			 dir[64], path[96];
	struct auth_start	 start;
};

static void
begin(struct world *w, const char *name, const char *password,
    const char *method)
{
	static const struct passwdfile_new new = { .mode = 0600,
		.gid = (gid_t)-1, .iterations = 4096 };
	char spec[128], err[PASSWDFILE_ERROR_MAX];

	memset(w, 0, sizeof(*w));
	strcpy(w->dir, "/tmp/mailmill-sasl.XXXXXX");
	cr_assert_not_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/users", w->dir);
	cr_assert_eq(passwdfile_set(w->path, name, password, false, method,
	    &new, err, sizeof(err)), 0, "%s", err);
	snprintf(spec, sizeof(spec), "passwd:%s", w->path);
	w->start.back = auth_back_open(spec, err, sizeof(err));
	cr_assert_not_null(w->start.back, "%s", err);
}

static void
end(struct world *w)
{
	char command[128];

	auth_back_free(w->start.back);
	snprintf(command, sizeof(command), "rm -r %s", w->dir);
	cr_assert_eq(system(command), 0);
}

static enum esmtp_auth_status
try(struct world *w, const char *mech, const char *name, const char *password)
{
	struct auth_exchange *x;
	enum esmtp_auth_status status;
	struct client c;

	w->start.mech = mech;
	cr_assert_not_null(x = auth_exchange_new(&w->start));
	client_init(&c, mech, name, password);
	status = play(x, &c);
	client_free(&c);
	auth_exchange_free(x);
	return status;
}

/* Every character of it is another once it is prepared. */
Test(auth_mech_passwd, a_password_is_the_same_wherever_it_is_prepared)
{
	static const char *const mechs[] = { "PLAIN", "LOGIN", "SCRAM-SHA-1",
		"SCRAM-SHA-256" };
	struct world w;
	size_t i;

	begin(&w, "a", "\xe2\x85\xa8\xc2\xa0\xc2\xaa", "sha512");
	for (i = 0; i < 4; i++) {
		cr_assert_eq(try(&w, mechs[i], "\xc2\xaa",
		    "\xe2\x85\xa8\xc2\xa0\xc2\xaa"), ESMTP_AUTH_OK, "%s",
		    mechs[i]);
		cr_assert_eq(try(&w, mechs[i], "a", "IX a"), ESMTP_AUTH_OK,
		    "%s", mechs[i]);
		cr_assert_eq(try(&w, mechs[i], "a", "IX  a"),
		    ESMTP_AUTH_FAILED, "%s", mechs[i]);
		cr_assert_eq(try(&w, mechs[i], "b", "IX a"),
		    ESMTP_AUTH_FAILED, "%s", mechs[i]);
	}
	end(&w);
}

/* Another program has hashed what it was given, unprepared. */
Test(auth_mech_passwd, a_hash_from_elsewhere_is_of_what_was_sent)
{
	static const char *const passwords[] = { "mu\xcc\x88ller",
		"m\xc2\xb2-\xc2\xbd", "\xef\xac\x81sh",
		"\xef\xbd\x81\xef\xbd\x82", "a\xc2\xa0" "b", "a\xc2\xad" "b" };
	static const char *const mechs[] = { "PLAIN", "LOGIN" };
	struct auth_exchange *x;
	struct said said;
	struct world w;
	size_t i, k;
	FILE *fp;
	char text[64];

	begin(&w, "user", "pencil", "plain");
	for (i = 0; i < sizeof(passwords) / sizeof(passwords[0]); i++) {
		cr_assert_not_null(fp = fopen(w.path, "w"));
		fprintf(fp, "user:%s\n", crypt(passwords[i],
		    "$5$rounds=1000$0123456789$"));
		fclose(fp);
		for (k = 0; k < 2; k++) {
			w.start.mech = mechs[k];
			x = auth_exchange_new(&w.start);
			snprintf(text, sizeof(text), "%cuser%c%s", 0, 0,
			    passwords[i]);
			if (k == 0)
				say(x, text, 6 + strlen(passwords[i]), &said);
			else {
				say_text(x, "user", &said);
				say_text(x, passwords[i], &said);
			}
			cr_expect_eq(said.status, ESMTP_AUTH_OK, "%s: %s",
			    mechs[k], passwords[i]);
			auth_exchange_free(x);
		}
		cr_expect_eq(try(&w, "PLAIN", "user", "muller"),
		    ESMTP_AUTH_FAILED);
	}
	end(&w);
}

Test(auth_mech_passwd, cram_md5_wants_the_password_itself)
{
	struct world w;

	begin(&w, "user", "pencil", "plain");
	cr_assert_eq(try(&w, "CRAM-MD5", "user", "pencil"), ESMTP_AUTH_OK);
	cr_assert_eq(try(&w, "CRAM-MD5", "user", "pen"), ESMTP_AUTH_FAILED);
	end(&w);
	begin(&w, "user", "pencil", "sha512");
	cr_assert_eq(try(&w, "CRAM-MD5", "user", "pencil"),
	    ESMTP_AUTH_FAILED);
	end(&w);
}

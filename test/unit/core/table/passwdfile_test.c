#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/table/passwdfile.h"

#define Y_PENCIL "$y$j75$abcdefgh$uSEEM7Zvf2pAxpcCjT91NjHUs3paELMhdshGm3r7811"
#define B_PENCIL "$2b$04$abcdefghijklmnopqrstuu/FyAyuZSl3DbPdvio4KrIBdz2k2yhV2"
#define S6_PENCIL "$6$rounds=1000$abcdefgh$Knnmxd98KHugNnOEMiuuOil9enL9wC." \
	"Gd0LZtfQJmggKQg10F6efqtTzhVr4DKX75QXLfDgIDLs3j7rHMhpQG."
#define S6_OPENSSL "$6$abcdefgh$BPABm5D7ZFU2YVfMLyE5XRqe91qwdcZ6APg7kB/YBeAD" \
	"xUUqXXhg3mlHBbjpyHcrE9xl/9BuqqivCjN2qGEi30"
#define S5_PENCIL "$5$abcdefgh$2fBC4A6a5zMUaFynrzCXz1gz3QtUtBsVxjmcncJUE67"
#define S7_PENCIL "$7$BU..../....abcdefgh$7Yvh1I5iLseVX.DNVPJG65Up1klMZg2h" \
	"ur/Q3eQJFZ6"
/* the passwords of RFC 5802 5 and RFC 7677 3; keys by Python's hmac */
#define SCRAM1 "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7v" \
	"K9Y=,D+CSWLOshSulAsxiupA+qs2/fTE="
#define SCRAM256 "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3Otc" \
	"Pnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQx" \
	"SrmfPwDl2dU="
/* of "opaque-token" */
/* keys of 20 and 32 octets */
#define K20 "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define K32 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define TOKEN "{TOKEN}$5$rounds=1000$tokentok$5LZebsVvq95qrKpaq0WvRxYx0I3eQe1" \
	"BfjMlIotUuu2"

static char path[64], err[PASSWDFILE_ERROR_MAX + 64];

static struct passwdfile *
load_octets(const char *text, size_t len)
{
	struct passwdfile *f;
	int fd;

	strcpy(path, "/tmp/passwdfile-XXXXXX");
	cr_assert_neq(fd = mkstemp(path), -1);
	cr_assert_eq(write(fd, text, len), (ssize_t)len);
	close(fd);
	*err = '\0';
	f = passwdfile_open(path, err, sizeof(err));
	unlink(path);
	return f;
}

static struct passwdfile *
load(const char *text)
{
	return load_octets(text, strlen(text));
}

Test(passwdfile, knows_each_kind_of_hash)
{
	static const char *const names[] = { "yescrypt", "bcrypt", "sha512",
		"openssl", "sha256", "scrypt", "crypt", "scram1", "scram256",
		"plain", "b64", "all", "dovecot" };
	struct passwdfile *f = load("# users\n\n"
	    "yescrypt:" Y_PENCIL "\n"
	    "bcrypt:" B_PENCIL "\r\n"
	    "sha512:" S6_PENCIL " \t\n"
	    "openssl:" S6_OPENSSL "\n"
	    "sha256:" S5_PENCIL "\n"
	    "scrypt:" S7_PENCIL "\n"
	    "crypt:{CRYPT}" Y_PENCIL "\n"
	    "dovecot:{SHA512-CRYPT}" S6_PENCIL "\n"
	    "scram1:" SCRAM1 "\n"
	    "scram256:" SCRAM256 "\n"
	    "plain:{PLAIN}pencil\n"
	    "b64:{PLAIN.b64}cGVuY2ls\n"
	    "all:" SCRAM1 ":" Y_PENCIL ":" SCRAM256 ":" TOKEN);
	size_t i;

	cr_assert_not_null(f, "%s", err);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cr_expect_eq(passwdfile_verify(f, names[i], "pencil"), 1, "%s",
		    names[i]);
		cr_expect_eq(passwdfile_verify(f, names[i], "pencil "), 0);
		cr_expect_eq(passwdfile_verify(f, names[i], ""), 0);
	}
	cr_expect_eq(passwdfile_verify(f, "nobody", "pencil"), 0);
	cr_expect_eq(passwdfile_verify(f, "", "pencil"), 0);
	cr_expect_eq(passwdfile_verify(f, "Plain", "pencil"), 0);
	passwdfile_free(f);
}

Test(passwdfile, gives_what_is_in_an_entry)
{
	struct passwdfile *f = load("all:" SCRAM1 ":" Y_PENCIL ":" SCRAM256
	    ":" TOKEN "\nplain:{PLAIN}pen cil\nnone:*:" TOKEN "\n");
	const struct passwdfile_entry *e = passwdfile_find(f, "all");

	cr_assert_not_null(e);
	cr_expect_str_eq(e->name, "all");
	cr_expect_str_eq(e->hash, Y_PENCIL);
	cr_expect_eq(e->scram[PASSWDFILE_SHA1]->iterations, 4096);
	cr_expect_eq(e->scram[PASSWDFILE_SHA1]->key_len, 20);
	cr_expect_eq(e->scram[PASSWDFILE_SHA1]->salt_len, 12);
	cr_expect_eq(e->scram[PASSWDFILE_SHA256]->key_len, 32);
	cr_expect_eq(e->scram[PASSWDFILE_SHA256]->salt[0], 0x5b);
	cr_expect_eq(e->scram[PASSWDFILE_SHA256]->stored_key[0], 0x58);
	cr_expect_eq(e->scram[PASSWDFILE_SHA256]->server_key[31], 0xd5);
	cr_expect_str_eq(passwdfile_find(f, "plain")->cleartext, "pen cil");
	e = passwdfile_find(f, "none");
	cr_expect_null(e->hash);
	cr_expect_null(e->cleartext);
	cr_expect_null(passwdfile_find(f, "al"));
	cr_expect_null(passwdfile_find(f, "alll"));
	passwdfile_free(f);
}

Test(passwdfile, a_token_is_not_a_password_nor_the_other_way)
{
	struct passwdfile *f = load("a:" Y_PENCIL ":" TOKEN "\nb:" Y_PENCIL
	    "\nc:*:" TOKEN "\n");

	cr_assert_not_null(f, "%s", err);
	cr_expect_eq(passwdfile_verify_token(f, "a", "opaque-token"), 1);
	cr_expect_eq(passwdfile_verify_token(f, "c", "opaque-token"), 1);
	cr_expect_eq(passwdfile_verify_token(f, "b", "opaque-token"), 0);
	cr_expect_eq(passwdfile_verify_token(f, "d", "opaque-token"), 0);
	cr_expect_eq(passwdfile_verify_token(f, "a", "pencil"), 0);
	cr_expect_eq(passwdfile_verify(f, "a", "opaque-token"), 0);
	cr_expect_eq(passwdfile_verify(f, "c", "opaque-token"), 0);
	cr_expect_eq(passwdfile_verify(f, "c", "pencil"), 0);
	passwdfile_free(f);
}

Test(passwdfile, passwords_are_compared_as_they_are)
{
	struct passwdfile *f = load("a:{PLAIN}IX\nb:{PLAIN}\xe2\x85\xa8\n");

	cr_expect_eq(passwdfile_verify(f, "a", "IX"), 1);
	cr_expect_eq(passwdfile_verify(f, "a", "\xe2\x85\xa8"), 0);
	cr_expect_eq(passwdfile_verify(f, "b", "\xe2\x85\xa8"), 1);
	cr_expect_eq(passwdfile_verify(f, "b", "IX"), 0);
	passwdfile_free(f);
}

Test(passwdfile, the_most_iterations_above_what_clients_take_are_found)
{
	struct passwdfile *f = load("a:*\n"
	    "b:{SCRAM-SHA-1}65536,QUJD," K20 "," K20 "\n");
	unsigned long line = 0;

	cr_expect_eq(passwdfile_excess(f, &line), 0);
	passwdfile_free(f);
	f = load("b:{SCRAM-SHA-1}65537,QUJD," K20 "," K20 "\n#\n"
	    "a:{SCRAM-SHA-1}4096,QUJD," K20 "," K20
	    ":{SCRAM-SHA-256}65538,QUJD," K32 "," K32 "\n"
	    "c:*\n");
	cr_expect_eq(passwdfile_excess(f, &line), 65538);
	cr_expect_eq(line, 3);
	passwdfile_free(f);
}

Test(passwdfile, passwords_of_any_length_are_right_or_wrong)
{
	struct passwdfile *f = load("a:" Y_PENCIL "\nb:" B_PENCIL "\n");
	char *big = malloc(20001);

	memset(big, 'x', 20000);
	big[20000] = '\0';
	cr_expect_eq(passwdfile_verify(f, "a", big), 0);
	cr_expect_eq(passwdfile_verify_token(f, "a", big), 0);
	for (size_t len = 505; len < 520; len++) {
		big[len] = '\0';
		cr_expect_eq(passwdfile_verify(f, "a", big), 0);
		big[len] = 'x';
	}
	free(big);
	passwdfile_free(f);
}

Test(passwdfile, says_the_line_of_what_is_wrong)
{
	static const struct {
		const char	*line, *want;
	} bad[] = {
		{ "alice", "expected NAME:HASH" },
		{ ":x", "expected a name" },
		{ "a:", "expected a hash" },
		{ "a:pencil", "expected a hash" },
		{ "a:x", "expected a hash" },
		{ "a:" Y_PENCIL ":", "expected a hash" },
		{ "a:abJ32bJMdTsnY", "can be broken quickly" },
		{ "a:$1$abcdefgh$Gqo0dW5ZZwRMuhky6A93q0", "can be broken" },
		{ "a:$apr1$abcdefgh$/LxyoszM/7Pi8/tGVFhVN1", "can be broken" },
		{ "a:{CRYPT}abJ32bJMdTsnY", "can be broken" },
		{ "a:$6$abcdefgh$BPABm5D7ZFU2YVfMLyE5XRqe91q", "not complete" },
		{ "a:$6$", "not complete" },
		{ "a:$2b$04$abcdefghij", "not complete" },
		{ "a:" Y_PENCIL "x", "not complete" },
		{ "a:$y$j75$abcdefgh$uSEEM7Zvf2pAxpcCjT91NjHUs3paELMhdshGm3r78,1",
		    "not complete" },
		{ "a:$9$abc$def", "expected a hash" },
		{ "a:" Y_PENCIL ":" Y_PENCIL, "a second hash" },
		{ "a:{PLAIN}x:{PLAIN}y", "a second {PLAIN}" },
		{ "a:" SCRAM1 ":" SCRAM1, "twice" },
		{ "a:" TOKEN ":" TOKEN, "a second {TOKEN}" },
		{ "a:*:" Y_PENCIL, "'*'" },
		{ "a:{PLAIN}", "an empty password" },
		{ "a:{PLAIN.b64}", "expected base64" },
		{ "a:{PLAIN.b64}AA==", "expected base64" },
		{ "a:{MD5}$1$abcdefgh$Gqo0dW5ZZwRMuhky6A93q0",
		    "unknown scheme" },
		{ "a:{", "unknown scheme" },
		{ "a:{SCRAM-SHA-1}", "expected ITERATIONS" },
		{ "a:{SCRAM-SHA-1}-1,QUJD,QUJD,QUJD", "expected ITERATIONS" },
		{ "a:{SCRAM-SHA-1}4095,QUJD,QUJD,QUJD", "iterations have" },
		{ "a:{SCRAM-SHA-1}99999999999999999999,QUJD,QUJD,QUJD",
		    "iterations have" },
		{ "a:{SCRAM-SHA-1}4096,,QUJD,QUJD", "the salt" },
		{ "a:{SCRAM-SHA-1}4096,QUJD", "the salt" },
		{ "a:{SCRAM-SHA-1}4096,QUJD,QUJD,QUJD", "a key" },
		{ "a:{SCRAM-SHA-256}4096,QUJD,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,"
		    "D+CSWLOshSulAsxiupA+qs2/fTE=", "a key" },
		{ "a:" SCRAM1 ",", "a key" },
		{ " a:*", "a blank" },
		{ "a\x01:*", "a control character" },
		{ "a\xff:*", "not UTF-8" },
		{ "o\xcc\x88:*", "no login is equal" },
		{ "a\xc2\xa0z:*", "no login is equal" },
		{ ":{SECRET}QUJD", "{SECRET}" },
	};
	char text[1024];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "#\nx:*\n%s\ny:*\n", bad[i].line);
		cr_expect_null(load(text), "%s", bad[i].line);
		cr_expect_not_null(strstr(err, ":3: "), "%s", err);
		cr_expect_not_null(strstr(err, bad[i].want), "%s: %s",
		    bad[i].line, err);
	}
}

Test(passwdfile, refuses_duplicates_nuls_and_names_that_are_too_long)
{
	char text[400];

	cr_expect_null(load("b:*\na:*\n\nb:*\n"));
	cr_expect_not_null(strstr(err, ":4: 'b' is in line 1 already"), "%s",
	    err);
	cr_expect_null(load_octets("a:*\nb:*\0x\n", 10));
	cr_expect_not_null(strstr(err, ":2: a NUL"), "%s", err);
	memset(text, 'n', 256);
	strcpy(text + 256, ":*");
	cr_expect_null(load(text));
	cr_expect_not_null(strstr(err, "longer than 255"), "%s", err);
}

Test(passwdfile, says_when_there_is_no_such_file_or_it_is_none)
{
	cr_expect_null(passwdfile_open("/nonexistent/x", err, sizeof(err)));
	cr_expect_not_null(strstr(err, "/nonexistent/x: cannot be opened: No"),
	    "%s", err);
	cr_expect_null(passwdfile_open("/tmp", err, sizeof(err)));
	cr_expect_not_null(strstr(err, "/tmp: cannot be"), "%s", err);
	cr_expect_null(passwdfile_open("/dev/zero", err, sizeof(err)));
}

Test(passwdfile, no_octet_that_is_missing_or_changed_does_harm)
{
	static const char text[] = "# x\n:{SECRET}hNPyPam19RsyaVZu/wXT+yNgfu74l"
	    "Wf5zSgLkMoNvFw=\na:" Y_PENCIL ":" SCRAM256 ":" SCRAM1 ":" TOKEN
	    "\nb:{PLAIN.b64}cGVuY2ls\n";
	char *spoilt = malloc(sizeof(text));
	size_t i;

	for (i = 0; i < sizeof(text); i++)
		passwdfile_free(load_octets(text, i));
	for (i = 0; i < sizeof(text) - 1; i++) {
		memcpy(spoilt, text, sizeof(text));
		spoilt[i] ^= (char)(1 << i % 8);
		passwdfile_free(load_octets(spoilt, sizeof(text) - 1));
	}
	free(spoilt);
}

Test(passwdfile, empty_file_has_no_users)
{
	struct passwdfile *f = load("");
	unsigned int iterations;
	size_t salt_len;
	uint8_t secret[PASSWDFILE_SECRET];

	cr_assert_not_null(f, "%s", err);
	cr_expect_eq(passwdfile_verify(f, "a", "b"), 0);
	cr_expect_eq(passwdfile_verify_token(f, "a", "b"), 0);
	passwdfile_common_scram(f, PASSWDFILE_SHA256, &iterations, &salt_len);
	cr_expect_eq(iterations, PASSWDFILE_ITERATIONS);
	cr_expect_eq(salt_len, PASSWDFILE_SALT);
	cr_expect_not(passwdfile_secret(f, secret));
	passwdfile_free(f);
}

Test(passwdfile, tells_what_most_entries_have)
{
	struct passwdfile *f = load("a:{SCRAM-SHA-1}5000,QUJDREVG,6dlGYMOdZcOPu"
	    "tkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=\n"
	    "b:" SCRAM1 "\nc:" SCRAM1 "\n");
	unsigned int iterations;
	size_t salt_len;

	passwdfile_common_scram(f, PASSWDFILE_SHA1, &iterations, &salt_len);
	cr_expect_eq(iterations, 4096);
	cr_expect_eq(salt_len, 12);
	passwdfile_free(f);
}

/* Processor time, so that other processes do not count. */
static double
cost(const struct passwdfile *f, const char *name, int times)
{
	struct timespec a, b;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	while (times-- > 0)
		passwdfile_verify(f, name, "wrong");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	return (double)(b.tv_sec - a.tv_sec) +
	    (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

Test(passwdfile, who_is_not_there_costs_as_much_as_most_who_are)
{
	/* the rare one costs 250 times as much */
	struct passwdfile *f = load("rare:$6$rounds=250000$abcdefgh$Knnmxd98KHug"
	    "NnOEMiuuOil9enL9wC.Gd0LZtfQJmggKQg10F6efqtTzhVr4DKX75QXLfDgIDLs3"
	    "j7rHMhpQG.\na:" S6_PENCIL "\nb:" S6_PENCIL "\nplain:{PLAIN}x\n"
	    "none:*\n");
	static const char *const names[] = { "nobody", "", "plain", "none" };
	double there, other;
	size_t i;

	cr_assert_not_null(f, "%s", err);
	cost(f, "a", 20);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		there = cost(f, "a", 100);
		other = cost(f, names[i], 100);
		cr_expect(other > there / 4 && other < there * 4,
		    "%s: %f, a: %f", names[i], other, there);
	}
	passwdfile_free(f);
}

/* The back end dovecot against a server that follows a script. */

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/mailmilld/authd/back/auth_backs.h"
#include "cmd/mailmilld/authd/back/auth_dovecot.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"

#define HELLO "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tSCRAM-SHA-256\n" \
	"MECH\tEXTERNAL\nMECH\tOAUTHBEARER\nSPID\t7\nCUID\t1\n" \
	"COOKIE\tab\nDONE\n"

/* What the server sends after each line of the client's but the first, which
 * comes with the second. */
struct script {
	const char	*say[6];
	size_t		 cut;		/* octets of all, then it closes; 0: all */
	bool		 is_slow;	/* octet by octet */
	bool		 is_mute;	/* keeps the connection open at the end */
	/* what it heard */
	char		 heard[4096];
	size_t		 nheard;
	int		 listener;
	pthread_t	 thread;
	volatile int	 is_over;
};

static char dir[] = "/tmp/auth-dovecot-XXXXXX";
static char path[64], spec[80], err[AUTH_ERROR_MAX];
static struct sockaddr_in peer;
static struct auth_client client = { .session = "s\t1", .is_tls = true,
	.peer = (struct sockaddr *)&peer };

static int
hear_line(struct script *s, int fd)
{
	while (s->nheard < sizeof(s->heard) - 1 &&
	    recv(fd, s->heard + s->nheard, 1, 0) == 1) {
		if (s->heard[s->nheard++] == '\n')
			return 0;
	}
	return -1;
}

static int
say(struct script *s, int fd, const char *text, size_t *left)
{
	size_t len = strlen(text), n;

	for (; len > 0; text += n, len -= n, *left -= n) {
		n = s->is_slow ? 1 : len;
		if (n > *left)
			n = *left;
		if (n == 0 || send(fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
			return -1;
	}
	return 0;
}

static void *
serve(void *closure)
{
	struct script *s = closure;
	size_t left = s->cut != 0 ? s->cut - 1 : SIZE_MAX, i;
	char c;
	int fd = accept(s->listener, NULL, NULL);

	if (fd == -1)
		return NULL;
	if (hear_line(s, fd) == 0) {
		for (i = 0; i < 6 && s->say[i] != NULL; i++) {
			if (hear_line(s, fd) == -1 ||
			    say(s, fd, s->say[i], &left) == -1)
				break;
		}
	}
	while (s->is_mute && recv(fd, &c, 1, 0) == 1)
		;
	close(fd);
	return NULL;
}

static struct auth_back *
begin(struct script *s)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct auth_back *b;

	strcpy(sun.sun_path, path);
	unlink(path);
	s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(s->listener, (struct sockaddr *)&sun, sizeof(sun)),
	    0);
	listen(s->listener, 4);
	cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
	cr_assert_not_null(b = auth_back_open(spec, err, sizeof(err)));
	client.deadline_ms = monotonic_ms() + 20000;
	return b;
}

static void
end(struct script *s, struct auth_back *b)
{
	auth_back_free(b);
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
}

static void
set_up(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/auth", dir);
	snprintf(spec, sizeof(spec), "dovecot:%s", path);
	peer.sin_family = AF_INET;
	inet_pton(AF_INET, "192.0.2.7", &peer.sin_addr);
}

static void
tear_down(void)
{
	unlink(path);
	rmdir(dir);
}

TestSuite(auth_dovecot, .init = set_up, .fini = tear_down);

static enum auth_verdict
relay_start(struct auth_back *b, const char *mech, const char *initial,
    size_t len, void **relay_r, char **octets_r, size_t *len_r)
{
	struct auth_octets out = { NULL, 0 };
	enum auth_verdict v;

	*relay_r = NULL;
	v = b->ops->relay_start(b->state, &client, mech, initial, len, relay_r,
	    &out);
	*octets_r = out.s;
	*len_r = out.len;
	return v;
}

static enum auth_verdict
relay_step(struct auth_back *b, void *relay, const char *response, size_t len,
    char **octets_r, size_t *len_r)
{
	struct auth_octets out = { NULL, 0 };
	enum auth_verdict v = b->ops->relay_step(relay, response, len, &out);

	*octets_r = out.s;
	*len_r = out.len;
	return v;
}

/* PLAIN, to its end. */
static enum auth_verdict
plain(struct auth_back *b, const char *login, const char *password)
{
	enum auth_verdict v;
	char text[64], *octets;
	size_t len;
	void *relay;
	int n = snprintf(text, sizeof(text), "%c%s%c%s", 0, login, 0, password);

	v = relay_start(b, "PLAIN", text, (size_t)n, &relay, &octets, &len);
	free(octets);
	b->ops->relay_free(relay);
	return v;
}

static enum auth_verdict
ask(struct script *s)
{
	struct auth_back *b = begin(s);
	enum auth_verdict v = plain(b, "al\tice", "pw");

	end(s, b);
	return v;
}

Test(auth_dovecot, password_is_asked_as_plain)
{
	struct script s = { .say = { HELLO, "OK\t1\tuser=alice\n" } };

	cr_expect_eq(ask(&s), AUTH_YES);
	cr_expect_eq(strncmp(s.heard, "VERSION\t1\t1\nCPID\t", 17), 0);
	cr_expect_not_null(strstr(s.heard, "\nAUTH\t1\tPLAIN\tservice=smtp\t"
	    "no-penalty\tsecured\tsession=s\001t1\trip=192.0.2.7\t"
	    "resp=AGFsCWljZQBwdw==\n"), "%s", s.heard);
}

Test(auth_dovecot, answers_mean_what_they_say)
{
	static const struct {
		const char		*answer;
		enum auth_verdict	 want;
	} rows[] = {
		{ "OK\t1\tuser=alice\n", AUTH_YES },
		{ "OK\t1\tfoo\tuser=alice\tbar=x\n", AUTH_YES },
		{ "OK\t1\tuser=alice\tresp=dj0x\n", AUTH_CHALLENGE },
		{ "OK\t1\tuser=alice\tnologin\n", AUTH_NO },
		{ "OK\t1\tuser=alice\tnologin=\n", AUTH_NO },
		{ "OK\t1\tproxy=y\thost=x\tuser=alice\n", AUTH_NO },
		{ "OK\t1\n", AUTH_UNSURE },
		{ "OK\t1\tuser=\n", AUTH_UNSURE },
		{ "OK\t1\tusername=alice\n", AUTH_UNSURE },
		{ "OK\t2\tuser=alice\n", AUTH_UNSURE },
		{ "OK\n", AUTH_UNSURE },
		{ "OKAY\t1\tuser=alice\n", AUTH_UNSURE },
		{ "FAIL\t1\n", AUTH_NO },
		{ "FAIL\t1\tuser=alice\n", AUTH_NO },
		{ "FAIL\t1\tuser=alice\tcode=user_disabled\n", AUTH_NO },
		{ "FAIL\t1\tuser=alice\tcode=pass_expired\n", AUTH_NO },
		{ "FAIL\t1\tuser=alice\tcode=temp_fail\n", AUTH_UNSURE },
		{ "FAIL\t1\ttemp\tuser=alice\n", AUTH_UNSURE },
		{ "FAIL\t9\n", AUTH_UNSURE },
		{ "CONT\t1\t\n", AUTH_CHALLENGE },
		{ "CONT\t1\t!\n", AUTH_UNSURE },
		{ "\n", AUTH_UNSURE },
		{ "\t\t\t\n", AUTH_UNSURE },
		{ "garbage \xff\xfe\n", AUTH_UNSURE },
		{ "HTTP/1.1 400 Bad Request\r\n", AUTH_UNSURE },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct script s = { .say = { HELLO, rows[i].answer } };

		cr_expect_eq(ask(&s), rows[i].want, "%s", rows[i].answer);
	}
}

Test(auth_dovecot, slow_server_is_heard_to_the_end)
{
	struct script s = { .say = { HELLO, "OK\t1\tuser=alice\n" },
	    .is_slow = true };

	cr_expect_eq(ask(&s), AUTH_YES);
}

Test(auth_dovecot, closed_at_any_octet_is_no_answer)
{
	const char *last = "OK\t1\tuser=alice\n";
	size_t all = strlen(HELLO) + strlen(last), i;

	for (i = 0; i < all; i++) {
		struct script s = { .say = { HELLO, last }, .cut = i + 1 };

		cr_expect_eq(ask(&s), AUTH_UNSURE, "%zu", i);
	}
}

Test(auth_dovecot, handshake_that_is_none_is_no_answer)
{
	static const char *const hellos[] = {
		"VERSION\t2\t0\nMECH\tPLAIN\nDONE\n",
		"VERSION\nDONE\n",
		"MECH\tPLAIN\nVERSION\t1\t1\nDONE\n",
		"VERSION\t1\t1\nMECH\tLOGIN\nDONE\n",
		"VERSION\t1\t1\nMECH\tPLAINX\nMECH\nDONE\n",
		"220 mail.example.test ESMTP\r\n",
	};
	size_t i;

	for (i = 0; i < sizeof(hellos) / sizeof(hellos[0]); i++) {
		struct script s = { .say = { hellos[i],
		    "OK\t1\tuser=alice\n" } };

		cr_expect_eq(ask(&s), AUTH_UNSURE, "%s", hellos[i]);
	}
}

Test(auth_dovecot, endless_lines_and_handshakes_are_left)
{
	char *big = malloc(60000);
	struct script s = { .say = { big } }, t = { .say = { big } };
	size_t n;

	memset(big, 'x', 59999);
	big[59999] = '\0';
	cr_expect_eq(ask(&s), AUTH_UNSURE);
	n = (size_t)sprintf(big, "VERSION\t1\t1\n");
	while (n < 50000)
		n += (size_t)sprintf(big + n, "MECH\tPLAIN\n");
	cr_expect_eq(ask(&t), AUTH_UNSURE);
	free(big);
}

Test(auth_dovecot, more_fields_than_are_looked_at_do_no_harm)
{
	char answer[2000] = "OK\t1";
	struct script s = { .say = { HELLO, answer } };
	int i;

	for (i = 0; i < 200; i++)
		strcat(answer, "\tx=1");
	strcat(answer, "\tuser=a\n");
	cr_expect_eq(ask(&s), AUTH_UNSURE);
}

Test(auth_dovecot, deadline_ends_every_wait)
{
	static const char *const hellos[] = { NULL, "VERSION\t1", HELLO };
	size_t i;

	for (i = 0; i < 3; i++) {
		struct script s = { .say = { hellos[i] }, .is_mute = true };
		struct auth_back *b = begin(&s);

		client.deadline_ms = monotonic_ms() + 60;
		cr_expect_eq(plain(b, "a", "b"),
		    AUTH_UNSURE);
		cr_expect_geq(monotonic_ms(), client.deadline_ms);
		end(&s, b);
	}
}

Test(auth_dovecot, nobody_there_is_no_answer)
{
	struct auth_back *b = auth_back_open(spec, err, sizeof(err));

	cr_assert_not_null(b, "%s", err);
	client.deadline_ms = monotonic_ms() + 5000;
	cr_expect_eq(plain(b, "a", "b"), AUTH_UNSURE);
	auth_back_free(b);
}

Test(auth_dovecot, full_backlog_is_waited_for_until_the_deadline)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fds[8], i;
	struct auth_back *b = auth_back_open(spec, err, sizeof(err));

	strcpy(sun.sun_path, path);
	cr_assert_eq(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	listen(listener, 0);
	for (i = 0; i < 8; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (struct sockaddr *)&sun, sizeof(sun));
	}
	client.deadline_ms = monotonic_ms() + 100;
	cr_expect_eq(plain(b, "a", "b"), AUTH_UNSURE);
	cr_expect_geq(monotonic_ms(), client.deadline_ms);
	for (i = 0; i < 8; i++)
		close(fds[i]);
	close(listener);
	auth_back_free(b);
}

Test(auth_dovecot, exchange_is_relayed_octet_by_octet)
{
	struct script s = { .say = { HELLO, "CONT\t1\tcj0B\n",
	    "CONT\t1\t\n", "OK\t1\tuser=al\001\0011ice\n" } };
	struct auth_back *b = begin(&s);
	void *r;
	char *octets;
	size_t len;

	cr_assert_eq(relay_start(b, "SCRAM-SHA-256", "\0x", 2,
	    &r, &octets, &len), AUTH_CHALLENGE);
	cr_expect_eq(len, 3);
	cr_expect_eq(memcmp(octets, "r=\001", 3), 0);
	free(octets);
	cr_assert_eq(relay_step(b, r, "abc", 3, &octets, &len),
	    AUTH_CHALLENGE);
	cr_expect_eq(len, 0);
	free(octets);
	cr_assert_eq(relay_step(b, r, "", 0, &octets, &len),
	    AUTH_YES);
	cr_expect_str_eq(octets, "al\0011ice");
	cr_expect_eq(len, strlen(octets));
	free(octets);
	b->ops->relay_free(r);
	end(&s, b);
	cr_expect_not_null(strstr(s.heard, "\tresp=AHg=\nCONT\t1\tYWJj\n"
	    "CONT\t1\t\n"), "%s", s.heard);
}

/* RFC 4954 4: a success has no octets of its own */
Test(auth_dovecot, octets_with_the_success_become_a_challenge)
{
	static const char *const last[] = { "", "x" };
	int i;

	for (i = 0; i < 2; i++) {
		struct script s = { .say = { HELLO,
		    "OK\t1\tuser=alice\tresp=dj0x\n" }, .is_mute = true };
		struct auth_back *b = begin(&s);
		void *r;
		char *octets;
		size_t len;

		cr_assert_eq(relay_start(b, "SCRAM-SHA-256", NULL,
		    0, &r, &octets, &len), AUTH_CHALLENGE);
		cr_expect_eq(len, 3);
		cr_expect_str_eq(octets, "v=1");
		free(octets);
		cr_expect_eq(relay_step(b, r, last[i],
		    strlen(last[i]), &octets, &len), i == 0 ? AUTH_YES :
		    AUTH_NO);
		cr_expect_str_eq(octets, "alice");
		free(octets);
		b->ops->relay_free(r);
		end(&s, b);
		cr_expect_null(strstr(s.heard, "resp="));
	}
}

Test(auth_dovecot, challenge_that_is_too_large_is_no_answer)
{
	char *answer = malloc(16000);
	struct script s = { .say = { HELLO, answer } };
	void *r;
	struct auth_back *b;
	char *octets;
	size_t len;

	strcpy(answer, "CONT\t1\t");
	memset(answer + 7, 'A', 12000);
	strcpy(answer + 12007, "\n");
	b = begin(&s);
	cr_expect_eq(relay_start(b, "SCRAM-SHA-256", NULL, 0, &r,
	    &octets, &len), AUTH_UNSURE);
	cr_expect_null(octets);
	b->ops->relay_free(r);
	end(&s, b);
	free(answer);
}

Test(auth_dovecot, external_needs_a_certificate_that_was_verified)
{
	struct script s = { .say = { HELLO, "OK\t1\tuser=alice\n" } };
	struct auth_back *b = begin(&s);
	void *r;
	char *octets;
	size_t len;

	cr_expect_eq(relay_start(b, "EXTERNAL", "", 0, &r,
	    &octets, &len), AUTH_NO);
	client.peer_name = "alice";
	cr_expect_eq(relay_start(b, "EXTERNAL", "", 0, &r,
	    &octets, &len), AUTH_YES);
	client.peer_name = NULL;
	free(octets);
	b->ops->relay_free(r);
	end(&s, b);
	cr_expect_not_null(strstr(s.heard, "\tvalid-client-cert\t"
	    "cert_username=alice\tresp=\n"), "%s", s.heard);
}

Test(auth_dovecot, values_are_escaped_and_back)
{
	char text[64], small[4];

	cr_expect_eq(auth_dovecot_escape("a\tb\nc\rd\001", text,
	    sizeof(text)), 12);
	cr_expect_str_eq(text, "a\001tb\001nc\001rd\0011");
	auth_dovecot_unescape(text);
	cr_expect_str_eq(text, "a\tb\nc\rd\001");
	strcpy(text, "x\0010y\001zq\001");
	auth_dovecot_unescape(text);
	cr_expect_str_eq(text, "xyzq\001");
	cr_expect_eq(auth_dovecot_escape("abcd", small, sizeof(small)), -1);
	cr_expect_eq(auth_dovecot_escape("\t\t", small, sizeof(small)), -1);
}

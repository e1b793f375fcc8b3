/* Servers in several threads, each with its own. */

#include "proto/mailmill_server.h"

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define THREADS	4
#define ROUNDS	300

static int
take(void *, struct mailmill_mail *, const char *)
{
	return 250;
}

static void *
make_and_free(void *)
{
	struct mailmill_server *s;
	long i, nmade = 0;

	for (i = 0; i < ROUNDS; i++) {
		s = mailmill_server_new("mx.example", take, NULL);
		nmade += s != NULL;
		mailmill_server_free(s);
	}
	return (void *)nmade;
}

TestSuite(server_threads, .timeout = 60);

/* Each thread may have servers; all sessions share the policies. */
Test(server_threads, servers_of_several_threads)
{
	pthread_t threads[THREADS];
	void *nmade;
	int i;

	for (i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, make_and_free,
		    NULL), 0);
	for (i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_join(threads[i], &nmade), 0);
		cr_expect_eq((long)nmade, ROUNDS);
	}
}

/* --- each receives mail --------------------------------------------------- */

struct one {
	struct mailmill_server	*server;
	atomic_int		 port;
	unsigned int		 nmails;
};

static int
count(void *closure, struct mailmill_mail *mail, const char *address)
{
	struct one *one = closure;

	cr_expect_str_eq(address, "b@mx.example");
	cr_expect_str_eq(mailmill_mail_rcpt(mail, 1), "c@mx.example");
	one->nmails++;
	return 250;
}

static int
stop_at_last(void *closure, struct mailmill_mail *, const char *address)
{
	struct one *one = closure;

	if (strcmp(address, "stop@x.example") == 0)
		mailmill_server_stop(one->server);
	return 250;
}

static void *
serve(void *closure)
{
	struct one *one = closure;

	one->server = mailmill_server_new("mx.example", count, one);
	mailmill_server_on_sender(one->server, stop_at_last);
	mailmill_server_on_rcpt(one->server, take);
	if (mailmill_server_listen(one->server, "127.0.0.1:0") == -1)
		return closure;
	atomic_store(&one->port, mailmill_server_port(one->server));
	(void)mailmill_server_run(one->server);
	mailmill_server_free(one->server);
	return NULL;
}

/* Read until ${want} has come. */
static void
hear(int fd, const char *want)
{
	char buf[4096];
	size_t n = 0;
	ssize_t got;

	do {
		got = read(fd, buf + n, sizeof(buf) - n);
		cr_assert_gt(got, 0, "%s: %.*s", want, (int)n, buf);
		n += (size_t)got;
	} while (memmem(buf, n, want, strlen(want)) == NULL);
}

/* Send all that is to be said; the other ones do the same meanwhile. */
static int
speak(struct one *one)
{
	static const char greeting[] = "EHLO x\r\n",
	    mail[] = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@mx.example>\r\n"
	    "RCPT TO:<c@mx.example>\r\nDATA\r\n", body[] = "x\r\n.\r\n",
	    stop[] = "MAIL FROM:<stop@x.example>\r\n";
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd, i;

	while ((i = atomic_load(&one->port)) == 0)
		(void)sched_yield();
	in.sin_port = htons((in_port_t)i);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	hear(fd, "220 ");
	cr_assert_gt(write(fd, greeting, sizeof(greeting) - 1), 0);
	hear(fd, "250 ");
	for (i = 0; i < 20; i++) {
		cr_assert_gt(write(fd, mail, sizeof(mail) - 1), 0);
		hear(fd, "354 ");
		cr_assert_gt(write(fd, body, sizeof(body) - 1), 0);
		hear(fd, "250 2.0.0 OK: queued");
	}
	cr_assert_gt(write(fd, stop, sizeof(stop) - 1), 0);
	return fd;
}

static void *
speak_there(void *closure)
{
	close(speak(closure));
	return NULL;
}

Test(server_threads, each_receives_mail)
{
	static struct one ones[THREADS];
	pthread_t servers[THREADS], clients[THREADS];
	void *failed;
	int i;

	for (i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_create(&servers[i], NULL, serve,
		    &ones[i]), 0);
		cr_assert_eq(pthread_create(&clients[i], NULL, speak_there,
		    &ones[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_join(clients[i], NULL), 0);
		cr_assert_eq(pthread_join(servers[i], &failed), 0);
		cr_expect_null(failed);
		cr_expect_eq(ones[i].nmails, 20);
	}
}

/* Servers of a child, which is forked off while other threads have some. */

#include "proto/mailmill_server.h"

#include <sys/wait.h>

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "proto/service/server_int.h"

#define NROUNDS	40

static atomic_bool is_over;
static sem_t has_begun;

static int
take(void *, struct mailmill_mail *, const char *)
{
	return 250;
}

/* A server, and both of the locks again and again. */
static void *
serve(void *)
{
	struct sockaddr_in none = { .sin_family = AF_INET };
	struct mailmill_server *s = mailmill_server_new("mx.example", take,
	    NULL);
	struct server_client *c;

	cr_assert_not_null(s);
	cr_assert_eq(mailmill_server_listen(s, "127.0.0.1:0"), 0);
	c = server_client_join((struct sockaddr *)&none, SERVER_DIRECT, 0);
	cr_assert_eq(server_client_take(c, SERVER_HELD, SERVER_HELD), 0);
	sem_post(&has_begun);
	while (!atomic_load(&is_over)) {
		(void)server_mail_register();
		server_client_leave(server_client_join((struct sockaddr *)
		    &none, SERVER_DIRECT, 0));
	}
	server_client_give(c, SERVER_HELD);
	server_client_leave(c);
	mailmill_server_free(s);
	return NULL;
}

/* What the parent's clients hold is not its own. */
static int
serve_too(void)
{
	struct sockaddr_in none = { .sin_family = AF_INET };
	struct mailmill_server *s = mailmill_server_new("mx.example", take,
	    NULL);
	struct server_client *c;

	if (s == NULL || mailmill_server_listen(s, "127.0.0.1:0") == -1)
		return 1;
	mailmill_server_free(s);
	c = server_client_join((struct sockaddr *)&none, SERVER_DIRECT, 1);
	return c != NULL && server_client_take(c, 1, SERVER_SHARE) == 0 ? 0 :
	    2;
}

Test(server_fork, a_child_has_servers_of_its_own, .timeout = 60)
{
	pthread_t thread;
	int i, status;
	pid_t pid;

	cr_assert_eq(sem_init(&has_begun, 0, 0), 0);
	cr_assert_eq(pthread_create(&thread, NULL, serve, NULL), 0);
	while (sem_wait(&has_begun) == -1)
		continue;
	for (i = 0; i < NROUNDS; i++) {
		cr_assert_neq(pid = fork(), -1);
		if (pid == 0) {
			alarm(10);
			_exit(serve_too());
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0, "round %d: %x", i,
		    (unsigned int)status);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
}

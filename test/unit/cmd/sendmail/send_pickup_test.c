#include "cmd/sendmail/send_pickup_int.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/maildrop/maildrop.h"
#include "cmd/sendmail/send_envelope.h"

/* The account's folder, and a server that takes every message */
static struct fixture {
	char	folder[64], socket[96];
	int	dirfd;
	pid_t	server;
} f;

static void
session(int fd)
{
	FILE *in = fdopen(fd, "r");
	bool is_text = false;
	char line[1024];

	dprintf(fd, "220 x.test\r\n");
	while (fgets(line, sizeof(line), in) != NULL) {
		if (is_text && strcmp(line, ".\r\n") != 0)
			continue;
		is_text = !is_text && strcmp(line, "DATA\r\n") == 0;
		dprintf(fd, is_text ? "354 go on\r\n" : "250 2.0.0 ok\r\n");
	}
	fclose(in);
}

static void
serve(int listener)
{
	int fd;

	signal(SIGPIPE, SIG_IGN);
	while ((fd = accept(listener, NULL, NULL)) != -1)
		session(fd);
	_exit(0);
}

static void
setup(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(f.folder, "/tmp/send-pickup.XXXXXX");
	cr_assert_neq(mkdtemp(f.folder), NULL);
	f.dirfd = open(f.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(f.socket, sizeof(f.socket), "%s/socket", f.folder);
	strcpy(sun.sun_path, f.socket);
	cr_assert_eq(bind(listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	cr_assert_eq(listen(listener, 5), 0);
	if ((f.server = fork()) == 0)
		serve(listener);
	close(listener);
}

static void
teardown(void)
{
	char command[96];

	kill(f.server, SIGKILL);
	waitpid(f.server, NULL, 0);
	close(f.dirfd);
	snprintf(command, sizeof(command), "rm -rf %s", f.folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(send_pickup, .init = setup, .fini = teardown, .timeout = 60);

static void
put(const char *subject)
{
	struct send_envelope env = { .sender = "a@x.test" };
	int fds[2];
	char *text, err[256];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	send_list_add(&env.rcpts, "b@x.test");
	send_envelope_write(&env, out);
	fprintf(out, "Subject: %s\r\n\r\n", subject);
	fclose(out);
	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(write(fds[1], text, len), (ssize_t)len);
	close(fds[1]);
	cr_assert_eq(maildrop_put(f.dirfd, fds[0], len, err, sizeof(err)), 0,
	    "%s", err);
	close(fds[0]);
	free(text);
	send_envelope_free(&env);
}

static unsigned int
waiting(void)
{
	DIR *dir = opendir(f.folder);
	const struct dirent *de;
	unsigned int n = 0;

	while ((de = readdir(dir)) != NULL)
		n += maildrop_is_message(de->d_name);
	closedir(dir);
	return n;
}

static bool
pick_up(unsigned int seconds)
{
	const struct send_pickup p = { .socket = f.socket,
		.domain = "x.test", .seconds = seconds };

	return send_pickup_account(&p, f.dirfd);
}

Test(send_pickup, all_that_wait_are_taken)
{
	put("1");
	put("2");
	put("3");
	cr_assert_eq(waiting(), 3);
	cr_assert(pick_up(60));
	cr_assert_eq(waiting(), 0);
}

/* It is killed when it takes long: so it ends by itself before, between two */
Test(send_pickup, when_its_time_is_over_the_next_message_is_left_for_the_next_time)
{
	put("1");
	put("2");
	cr_assert_not(pick_up(0));
	cr_assert_eq(waiting(), 1);
	cr_assert(pick_up(0), "the last one leaves nothing");
	cr_assert_eq(waiting(), 0);
}

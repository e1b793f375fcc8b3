/* See service_talk.h. */

#include "test/unit/proto/service/service_talk.h"

#include <sys/socket.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/scheduler.h"

struct mailmill_server *server;
struct scheduler *loop;
int client = -1;
static char heard[16384];

static struct sockaddr_in
local(in_addr_t last, int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((in_port_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK - 1 + last) } };
}

static void
dial_to(struct sockaddr_in from, struct sockaddr_in to)
{
	client = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(client, (struct sockaddr *)&from, sizeof(from)), 0);
	cr_assert_eq(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	cr_assert_eq(fcntl(client, F_SETFL, O_NONBLOCK), 0);
}

void
dial_at(in_addr_t last)
{
	dial_to(local(1, 0), local(last, mailmill_server_port(server)));
}

void
dial(void)
{
	dial_at(1);
}

void
dial_from(in_addr_t last)
{
	dial_to(local(last, 0), local(1, mailmill_server_port(server)));
}

const char *
hear(const char *want)
{
	char line[64];
	size_t n = 0;
	ssize_t got;
	int i;

	snprintf(line, sizeof(line), "\n%s", want);
	heard[n++] = '\n';
	heard[n] = '\0';
	for (i = 0; i < 400 && strstr(heard, line) == NULL; i++) {
		(void)scheduler_pass(loop, 10);
		got = read(client, heard + n, sizeof(heard) - n - 1);
		if (got > 0)
			n += (size_t)got;
		heard[n] = '\0';
	}
	cr_assert_not_null(strstr(heard, line), "%s: %s", want, heard);
	return heard + 1;
}

const char *
talk(const char *text, const char *want)
{
	cr_assert_eq(write(client, text, strlen(text)), (ssize_t)strlen(text));
	return hear(want);
}

void
begin(void)
{
	dial();
	hear("220 mx.example");
	talk("EHLO x\r\n", "250 ");
	talk(TO_RCPT, "250 2.1.5");
}

bool
is_closed(void)
{
	char buf[64];
	ssize_t got = -1;
	int i;

	for (i = 0; i < 400 && got != 0; i++) {
		got = read(client, buf, sizeof(buf));
		if (got == -1 && errno != EAGAIN)
			got = 0;
		if (got == -1)
			(void)scheduler_pass(loop, 10);
	}
	return got == 0;
}

/* Send what stands on standard input to some recipients, and print what has become
 * of each:
 *	send 127.0.0.1:2525 a@client.example user@example.test < message */

#include <mailmill/mailmill_client.h>
#include <mailmill/scheduler.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

static int status;

static void
rcpt(void *closure, struct mailmill_message *m, size_t i, const struct mailmill_client_result *r)
{
	(void)closure;
	printf("%s: %d %s %s\n", mailmill_message_address(m, i), r->code, r->enhanced, r->words);
	if (r->outcome != MAILMILL_CLIENT_ACCEPTED)
		status = 1;
}

int
main(int argc, char **argv)
{
	static char text[1 << 20];
	struct scheduler *loop = scheduler_create(NULL);
	struct mailmill_client *client = mailmill_client_new("client.example", NULL, NULL);
	struct mailmill_message *message;
	int i;

	if (argc < 4)
		errx(2, "usage: send ADDRESS:PORT SENDER RECIPIENT...");
	message = mailmill_message_new(argv[2], rcpt, NULL, NULL);
	if (loop == NULL || client == NULL || message == NULL)
		err(1, "send");
	for (i = 3; i < argc; i++)
		if (mailmill_message_add(message, argv[i], 0, NULL) == -1)
			err(1, "%s", argv[i]);
	mailmill_message_body(message, text, fread(text, 1, sizeof(text), stdin));
	if (mailmill_client_send(client, message) == -1 || mailmill_client_connect(client, argv[1]) == -1)
		err(1, "%s", argv[1]);
	mailmill_client_quit(client);
	if (scheduler_run(loop) == -1)	/* until the connection has ended */
		err(1, "poll");
	mailmill_client_free(client);
	mailmill_message_free(message);
	scheduler_destroy(loop);
	if (fflush(stdout) != 0)
		err(1, "standard output");
	return status;
}

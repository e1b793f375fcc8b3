/* Send what stands on standard input through a server that demands a login, by TLS;
 * the password is in the environment:
 *	PASSWORD=secret submit 127.0.0.1:2525 mx.example.test CERTIFICATES user \
 *	    a@client.example user@example.test < message */

#include <mailmill/mailmill_client.h>
#include <mailmill/mailmill_sasl.h>
#include <mailmill/mailmill_tls.h>
#include <mailmill/scheduler.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

static int status = 1;

static void
rcpt(void *closure, struct mailmill_message *m, size_t i, const struct mailmill_client_result *r)
{
	(void)closure;
	printf("%s: %d %s %s\n", mailmill_message_address(m, i), r->code, r->enhanced, r->words);
	status = r->outcome != MAILMILL_CLIENT_ACCEPTED;
}

int
main(int argc, char **argv)
{
	static char text[1 << 20];
	struct scheduler *loop = scheduler_create(NULL);
	struct mailmill_client *client = mailmill_client_new("client.example", NULL, NULL);
	struct mailmill_sasl_client *login;
	struct mailmill_tls_client *tls;
	struct mailmill_message *message;
	char why[MAILMILL_TLS_ERROR_MAX];

	if (argc != 7 || getenv("PASSWORD") == NULL)
		errx(2, "usage: PASSWORD=... submit ADDRESS:PORT NAME CERTIFICATES USER SENDER RECIPIENT");
	if ((tls = mailmill_tls_client_new(argv[3], why, sizeof(why))) == NULL)
		errx(1, "%s", why);
	login = mailmill_sasl_client_new(argv[4], getenv("PASSWORD"), false);
	message = mailmill_message_new(argv[5], rcpt, NULL, NULL);
	if (loop == NULL || client == NULL || login == NULL || message == NULL ||
	    mailmill_message_add(message, argv[6], 0, NULL) == -1 ||
	    mailmill_client_set(client, MAILMILL_CLIENT_TLS, MAILMILL_CLIENT_TLS_MUST) == -1 ||
	    mailmill_client_set(client, MAILMILL_CLIENT_LOGIN, MAILMILL_CLIENT_LOGIN_MUST) == -1 ||
	    mailmill_tls_client_use(tls, client, argv[2], true) == -1 ||
	    mailmill_sasl_client_use(login, client) == -1)
		err(1, "submit");
	mailmill_message_body(message, text, fread(text, 1, sizeof(text), stdin));
	if (mailmill_client_send(client, message) == -1 || mailmill_client_connect(client, argv[1]) == -1)
		err(1, "%s", argv[1]);
	mailmill_client_quit(client);
	if (scheduler_run(loop) == -1)	/* until the connection has ended */
		err(1, "poll");
	mailmill_client_free(client);
	mailmill_sasl_client_free(login);
	mailmill_tls_client_free(tls);
	mailmill_message_free(message);
	scheduler_destroy(loop);
	if (fflush(stdout) != 0)
		err(1, "standard output");
	return status;
}

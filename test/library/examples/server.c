/* Receive mail for one user, and print it:
 *	server 127.0.0.1:2525 */

#include <mailmill/mailmill_server.h>
#include <err.h>
#include <stdio.h>
#include <string.h>

static int
rcpt(void *closure, struct mailmill_mail *mail, const char *address)
{
	return strcmp(address, closure) == 0 ? 250 : mailmill_mail_reply(mail, 550, "5.1.1 No such user");
}

static int
message(void *closure, struct mailmill_mail *mail, const char *address)
{
	size_t len;
	const char *body = mailmill_mail_body(mail, &len);

	(void)closure;
	return printf("%s to %s\n", mailmill_mail_sender(mail), address) > 0 &&
	    fwrite(body, len, 1, stdout) == 1 && fflush(stdout) == 0 ? 250 : 451;
}

int
main(int argc, char **argv)
{
	char user[] = "user@example.test";
	struct mailmill_server *server = mailmill_server_new("mx.example.test", message, user);

	if (argc != 2)
		errx(2, "usage: server ADDRESS:PORT");
	if (server != NULL)
		mailmill_server_on_rcpt(server, rcpt);
	if (server == NULL || mailmill_server_listen(server, argv[1]) == -1 || mailmill_server_run(server) == -1)
		err(1, "%s", argv[1]);
}

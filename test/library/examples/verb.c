/* A verb that reads: XNOTE, then lines up to a dot, which are printed:
 *	verb 127.0.0.1:2525 */

#include <mailmill/esmtp_factory.h>
#include <mailmill/mailmill_server.h>
#include <err.h>
#include <stdio.h>

static int
line(message_construct *mc, const char *octets, size_t len, void *closure)
{
	(void)closure;
	if (octets == NULL)	/* the client has gone */
		return ESMTP_VERB_DONE;
	if (len != 1 || octets[0] != '.') {
		printf("note: %.*s\n", (int)len, octets);
		return ESMTP_VERB_MORE;
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		esmtp_extension_reply(mc, 451, "4.3.0", "Cannot print it");
	return ESMTP_VERB_DONE;	/* 250 */
}

static int
note(char *arg, Event *e, message_construct *mc, void *closure)
{
	(void)e;
	if (*arg != '\0' || esmtp_verb_read_lines(mc, 998, 65536, line, closure) == -1)
		return ESMTP_VERB_SYNTAX;
	esmtp_extension_reply(mc, 354, NULL, "End with a dot");
	return ESMTP_VERB_MORE;
}

/* Mail is refused: only notes are taken. */
static int
message(void *closure, struct mailmill_mail *mail, const char *address)
{
	return (void)closure, (void)mail, (void)address, 550;
}

int
main(int argc, char **argv)
{
	struct mailmill_server *server;

	if (argc != 2)
		errx(2, "usage: verb ADDRESS:PORT");
	server = mailmill_server_new("mx.example.test", message, NULL);
	if (server == NULL || esmtp_extensions_register("XNOTE", NULL, note, NULL) != 1 ||
	    esmtp_verb_has_input("XNOTE") != 1 ||
	    mailmill_server_listen(server, argv[1]) == -1 || mailmill_server_run(server) == -1)
		err(1, "%s", argv[1]);
	return 0;
}

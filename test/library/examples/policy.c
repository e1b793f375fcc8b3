/* A verb and a policy of one's own:
 *	policy 127.0.0.1:2525
 * XCOUNT tells how many messages there were so far, and EHLO advertises it.  The
 * policy gives an archive a copy of each message, and refuses mail that is written
 * to it. */

#include <mailmill/mailmill_server.h>
#include <mailmill/validate.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static unsigned int nmessages;

static int
advertise(char *arg, message_construct *mc, void *closure)
{
	(void)mc, (void)closure;
	snprintf(arg, ESMTP_EXTENSION_ARG_MAX, "MESSAGES");
	return 1;
}

static int
count(char *arg, Event *e, message_construct *mc, void *closure)
{
	char text[64];

	(void)e, (void)closure;
	if (*arg != '\0')
		return 0;	/* 501 */
	snprintf(text, sizeof(text), "%u messages", nmessages);
	esmtp_extension_reply(mc, 250, "2.0.0", text);
	return 1;
}

/* At RCPT: nobody writes to the archive. */
static int
rcptto(const char *str, const struct mailaddr *addr, accept_construct *ac, validate_context *vctx, void *closure)
{
	char text[1024];

	(void)str, (void)ac;
	if (mailaddr_format(addr, text, sizeof(text)) == -1 || strcmp(text, closure) != 0)
		return VALIDATE_CONT;
	validate_context_set_code(vctx, 550, "5.7.1 Write to somebody else");
	return VALIDATE_DONE;
}

/* When the message is here: the archive gets a copy. */
static int
data_spool(const char *str, const struct mailaddr *addr, accept_construct *ac, validate_context *vctx, void *closure)
{
	(void)str, (void)addr, (void)ac;
	if (validate_context_add_rcpt(vctx, closure, 1) != -1 || errno == EEXIST)
		return VALIDATE_CONT;
	validate_context_set_code(vctx, 451, "4.3.0 No archive now");
	return VALIDATE_DONE;
}

static int
message(void *closure, struct mailmill_mail *mail, const char *address)
{
	size_t i;

	(void)closure, (void)address;
	for (i = 0; mailmill_mail_rcpt(mail, i) != NULL; i++)
		if (printf("to %s\n", mailmill_mail_rcpt(mail, i)) < 0)
			return 451;
	if (fflush(stdout) != 0)
		return 451;
	nmessages++;
	return 250;
}

int
main(int argc, char **argv)
{
	static char archive[] = "archive@example.test";
	static struct validate_module policy = { .size = sizeof(policy), .name = "archive", .closure = archive };
	struct mailmill_server *server;

	policy.phase[VALIDATE_PHASE_RCPTTO] = rcptto;
	policy.phase[VALIDATE_PHASE_DATA_SPOOL] = data_spool;
	if (argc != 2)
		errx(2, "usage: policy ADDRESS:PORT");
	if (validate_module_register(&policy) == -1 ||
	    esmtp_extensions_register("XCOUNT", advertise, count, NULL) != 1 ||
	    (server = mailmill_server_new("mx.example.test", message, NULL)) == NULL ||
	    mailmill_server_listen(server, argv[1]) == -1 ||
	    mailmill_server_run(server) == -1)
		err(1, "%s", argv[1]);
	return 0;
}

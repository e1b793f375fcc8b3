/* mailmill-sendmail: mail from programs on this host, as they give it to sendmail(8).
 * Owns: who the sender is; what becomes of a message, and the exit status.
 * Exit status 0: the message is safe on disk, with the server or in the maildrop,
 * for all recipients.  It needs no privileges: the kernel tells the server which
 * account connects. */

#include <sys/time.h>

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/sendmail/send_args.h"
#include "cmd/sendmail/send_drop.h"
#include "cmd/sendmail/send_host.h"
#include "cmd/sendmail/send_queue.h"
#include "cmd/sendmail/send_session.h"
#include "cmd/sendmail/send_submit.h"
#include "core/spool.h"
#include "core/util/unique.h"
#include "core/util/utf8.h"
#include "proto/parse/esmtp_received.h"

struct sending {
	const struct send_args	*args;
	char			 domain[SEND_HOST_MAX];
	struct send_envelope	 env;
	struct send_message	 m;
	bool			 is_begun;	/* some recipients have got it */
};

static int __attribute__((format(printf, 2, 3)))
fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("mailmill-sendmail: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return status;
}

/* --- the envelope and the header ------------------------------------------------ */

/* The sender that -f names: an address, with a name perhaps, or none */
static int
take_sender(struct sending *s)
{
	const char *given = s->args->sender;
	struct send_list list = { .v = NULL };
	char bad[SEND_ADDRESS_MAX];
	int n = 0;

	if (*given != '\0' && strcmp(given, "<>") != 0)
		n = send_list_take(&list, given, s->domain, bad);
	if (n == 1)
		snprintf(s->env.sender, sizeof(s->env.sender), "%s",
		    list.v[0]);
	send_list_free(&list);
	if (n == 1 || (n == 0 && (*given == '\0' || *given == '<')))
		return 0;
	return fail(EX_DATAERR, "-f %s: expected one address", given);
}

/* The account that runs this is the sender. */
static int
own_sender(struct sending *s, const struct passwd *pw)
{
	if (pw == NULL)
		return fail(EX_NOUSER, "the account with the number %u has no "
		    "name: name the sender with -f", (unsigned int)getuid());
	if (send_address(pw->pw_name, strlen(pw->pw_name), s->domain,
	    s->env.sender) == -1)
		return fail(EX_NOUSER, "the name of the account %s is no local "
		    "part of an address: name the sender with -f",
		    pw->pw_name);
	return 0;
}

static int
take_rcpts(struct sending *s)
{
	char bad[SEND_ADDRESS_MAX];
	int i;

	for (i = 0; i < s->args->nrcpts; i++)
		if (send_list_take(&s->env.rcpts, s->args->rcpts[i],
		    s->domain, bad) < 1)
			return errno == ENOMEM ? fail(EX_OSERR, "%s",
			    strerror(errno)) : fail(EX_DATAERR, "%s: it is no "
			    "address", bad);
	return 0;
}

/* Read the message, with the fields that it needs. */
static int
read_message(struct sending *s, const struct passwd *pw)
{
	char from[SEND_FROM_MAX], date[ESMTP_DATE_MAX], id[UNIQUE_TEXT],
	    message_id[SEND_HOST_MAX + UNIQUE_TEXT + 8], err[1024],
	    name[SEND_NAME_MAX], nobody[SEND_HOST_MAX + 16];
	struct send_header_want want = { s->args->takes_header, s->domain,
		from, date, message_id };
	struct timeval now;
	int status;

	gettimeofday(&now, NULL);
	esmtp_date_format(now.tv_sec, date);
	snprintf(message_id, sizeof(message_id), "<%s@%s>",
	    unique_text(&now, id), s->domain);
	snprintf(nobody, sizeof(nobody), "MAILER-DAEMON@%s", s->domain);
	send_host_name_of(pw, name);
	send_header_from(s->args->name != NULL ? s->args->name :
	    s->args->sender != NULL ? "" : name,
	    s->env.sender[0] != '\0' ? s->env.sender : nobody, from);
	status = send_message_read(STDIN_FILENO, s->args->is_dot_plain, &want,
	    &s->env.rcpts, &s->m, err, sizeof(err));
	if (status != 0)
		return fail(status, "%s", err);
	if (s->env.rcpts.n == 0)
		return fail(EX_DATAERR, "no recipients in To, Cc or Bcc of the "
		    "header");
	return 0;
}

/* What the message needs of the server */
static void
take_flags(struct sending *s)
{
	bool is_ascii = utf8_is_ascii(s->env.sender, strlen(s->env.sender));
	size_t i;

	s->env.flags = s->args->flags;
	s->env.notify = s->args->notify;
	if (s->args->envid != NULL)
		snprintf(s->env.envid, sizeof(s->env.envid), "%s",
		    s->args->envid);
	if (s->m.is_8bit)
		s->env.flags |= SPOOL_ENV_8BITMIME;
	for (i = 0; i < s->env.rcpts.n; i++)
		is_ascii &= utf8_is_ascii(s->env.rcpts.v[i],
		    strlen(s->env.rcpts.v[i]));
	/* RFC 6531 3.4 */
	if (!is_ascii)
		s->env.flags |= SPOOL_ENV_SMTPUTF8;
}

static int
prepare(struct sending *s)
{
	const struct passwd *pw = getpwuid(getuid());
	int status;

	send_host_domain(s->domain);
	status = s->args->sender != NULL ? take_sender(s) : own_sender(s, pw);
	if (status == 0)
		status = take_rcpts(s);
	if (status == 0)
		status = read_message(s, pw);
	if (status == 0) {
		send_list_unique(&s->env.rcpts);
		take_flags(s);
	}
	return status;
}

/* --- on its way -------------------------------------------------------------------- */

/* No server has taken it for the recipients that are left. */
static int
drop(struct sending *s, const char *why)
{
	int status;

	if (s->args->is_verbose)
		fprintf(stderr, "mailmill-sendmail: %s: %s; the message waits in "
		    "the maildrop\n", s->args->socket, why);
	status = send_drop(s->args->drop_program, s->args->maildrop, &s->env,
	    &s->m);
	if (status == 0)
		return 0;
	return fail(status, "the message was not sent%s: the server does not "
	    "take it now (%s: %s), and the maildrop does not either",
	    s->is_begun ? " to all recipients" : "", s->args->socket, why);
}

/* The status for a recipient that was refused */
static int
refused_status(const struct send_said *said)
{
	if (strcmp(said->enhanced, "5.1.2") == 0 ||
	    strcmp(said->enhanced, "5.4.4") == 0)
		return EX_NOHOST;
	if (strncmp(said->enhanced, "5.1.", 4) == 0)
		return EX_NOUSER;
	if (strncmp(said->enhanced, "5.7.", 4) == 0)
		return EX_NOPERM;
	return EX_UNAVAILABLE;
}

/* The server has refused a recipient, or its answer was lost: nobody of this
 * transaction has got the message, or nobody knows.  Return the status. */
static int
tell(const struct sending *s, const struct send_said *said, size_t n)
{
	bool is_unknown = false;
	int status = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (said[i].verdict == SEND_REFUSED) {
			status = refused_status(&said[i]);
			(void)fail(0, "<%s>: %d %s %s", s->env.rcpts.v[i],
			    said[i].code, said[i].enhanced, said[i].words);
		}
		is_unknown |= said[i].verdict == SEND_UNKNOWN;
	}
	if (is_unknown)
		return fail(EX_TEMPFAIL, "the connection to the server ended "
		    "before its answer (%s): the message may have been sent",
		    said[0].words);
	return fail(status, s->is_begun ? "the message was sent to some of its "
	    "recipients only, since there were too many for one transaction" :
	    "the message was sent to nobody");
}

/* One transaction.  Return a status of the whole, or -1: go on with those that are
 * left. */
static int
transact(struct sending *s, struct send_said *said)
{
	char why[SEND_WORDS_MAX];
	size_t i, n = s->env.rcpts.n;

	if (send_submit(s->args->socket, s->domain, &s->env, &s->m, true, said,
	    why) == -1)
		return errno == EACCES ? fail(EX_NOPERM, "%s: this account may "
		    "not connect to the server: see File_Mode in "
		    "mailmill.conf(5)", s->args->socket) :
		    drop(s, strerror(errno));
	for (i = 0; i < n; i++)
		if (said[i].verdict == SEND_REFUSED ||
		    said[i].verdict == SEND_UNKNOWN)
			return tell(s, said, n);
	if (*why == '\0')
		snprintf(why, sizeof(why), "%s", said[0].words);
	send_submit_keep(&s->env.rcpts, said, 1 << SEND_LATER);
	if (s->env.rcpts.n == n)
		return drop(s, why);
	if (s->args->is_verbose)
		fprintf(stderr, "mailmill-sendmail: %s: %s\n", s->args->socket,
		    said[0].words);
	s->is_begun = true;
	return s->env.rcpts.n > 0 ? -1 : 0;
}

static int
send_mail(const struct send_args *args)
{
	struct sending s = { .args = args, .m = { .fd = -1 } };
	struct send_said *said = NULL;
	int status = prepare(&s);

	if (status == 0 && (said = calloc(s.env.rcpts.n,
	    sizeof(*said))) == NULL)
		status = fail(EX_OSERR, "%s", strerror(errno));
	else if (status == 0)
		while ((status = transact(&s, said)) == -1)
			;
	free(said);
	send_message_close(&s.m);
	send_envelope_free(&s.env);
	return status;
}

int
main(int argc, char **argv)
{
	char err[512], domain[SEND_HOST_MAX];
	struct send_args args;
	int status;

	if ((status = send_args_parse(argc, argv, &args, err,
	    sizeof(err))) != 0)
		return fail(status, "%s", err);
	/* a write that fails says so */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* a caller that ignores it would have us learn no status of a child */
	signal(SIGCHLD, SIG_DFL);
	switch (args.mode) {
	case SEND_SESSION:
		return send_session(args.socket, STDIN_FILENO, STDOUT_FILENO);
	case SEND_LIST:
		return send_queue_list(&args);
	case SEND_ALIASES:
		return 0;
	case SEND_QUEUE:
		send_host_domain(domain);
		return send_queue_run(&args, domain);
	default:
		return send_mail(&args);
	}
}

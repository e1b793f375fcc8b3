/* What the end of a program means for the message: the statuses of sysexits(3), as
 * Postfix and sendmail have them.
 * Owns: the table.
 * Knows nothing of processes. */

#include "cmd/mailmilld/pipe/pipe_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* RFC 3463 3: 1.1 bad mailbox, 1.2 bad system, 2.0 other of the mailbox, 3.0 other
 * of the system, 3.5 system incorrectly configured, 5.0 other of the protocol, 6.0
 * other of the content, 7.0 other of security. */
static const struct status {
	int		 status;
	const char	*enhanced;
	const char	*text;
} statuses[] = {
	{ EX_USAGE,	"5.3.0", "command line usage error" },
	{ EX_DATAERR,	"5.6.0", "data format error" },
	{ EX_NOINPUT,	"5.3.0", "cannot open input" },
	{ EX_NOUSER,	"5.1.1", "user unknown" },
	{ EX_NOHOST,	"5.1.2", "host name unknown" },
	{ EX_UNAVAILABLE, "5.3.0", "service unavailable" },
	{ EX_SOFTWARE,	"5.3.0", "internal software error" },
	{ EX_OSERR,	"4.3.0", "system resource problem" },
	{ EX_OSFILE,	"5.3.0", "critical file missing" },
	{ EX_CANTCREAT,	"5.2.0", "cannot create output file" },
	{ EX_IOERR,	"5.3.0", "input/output error" },
	{ EX_TEMPFAIL,	"4.3.0", "temporary failure" },
	{ EX_PROTOCOL,	"5.5.0", "remote error in protocol" },
	{ EX_NOPERM,	"5.7.0", "permission denied" },
	{ EX_CONFIG,	"5.3.5", "local configuration error" }
};

static const struct status *
find_status(int status)
{
	/* any other one is for good, too: a script that fails at once fails
	 * with 1 or 2, and its sender is told now and not after days */
	static const struct status other = { -1, "5.3.0", "unknown error" };
	size_t i;

	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].status == status)
			return &statuses[i];
	return &other;
}

/* The number of digits that ${s} begins with, at most 3, without a zero before
 * others */
static size_t
digits(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 3 || (n > 1 && *s == '0') ? 0 : n;
}

/* The octets of the status of RFC 3463 2 that ${s} begins with, if it is one of a
 * failure, and a blank or the end of the line follows; 0: it is none. */
static size_t
enhanced_octets(const char *s)
{
	size_t subject, detail;

	if ((s[0] != '4' && s[0] != '5') || s[1] != '.' ||
	    (subject = digits(s + 2)) == 0 || s[2 + subject] != '.' ||
	    (detail = digits(s + 3 + subject)) == 0)
		return 0;
	subject += 3 + detail;
	return s[subject] == '\0' || strchr(" \t\r\n", s[subject]) != NULL ?
	    subject : 0;
}

void
pipe_status_words(const char *last, char *to, size_t size)
{
	const char *end = last + strlen(last), *from;
	size_t n = 0;

	while (end > last && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	/* the last words count; the queue cleans them */
	from = (size_t)(end - last) < size ? last : end - (size - 1);
	if (from > last)
		/* not in the middle of a character */
		while (from < end && ((unsigned char)*from & 0xc0) == 0x80)
			from++;
	for (; from < end; from++)
		to[n++] = *from == '\n' || *from == '\r' ? ' ' : *from;
	to[n] = '\0';
}

static void
put_text(struct job_error *je, const char *what, const char *last)
{
	char words[JOB_TEXT];
	size_t len = strlcpy(je->text, what, sizeof(je->text));

	if (len + 4 > sizeof(je->text))
		return;
	pipe_status_words(last, words, sizeof(je->text) - len - 2);
	if (*words != '\0')
		strlcat(je->text, ": ", sizeof(je->text));
	strlcat(je->text, words, sizeof(je->text));
}

/* A failure that the program has no part in, or not this one. */
static struct job_result
later(int errnum, unsigned int flags, const char *enhanced, const char *what,
    const char *last, struct job_error *je_r)
{
	strlcpy(je_r->enhanced, enhanced, sizeof(je_r->enhanced));
	put_text(je_r, what, last);
	return (struct job_result){ .errnum = errnum != 0 ? errnum : EAGAIN,
		.flags = flags };
}

static struct job_result
exited(int status, const char *first, const char *last,
    struct job_error *je_r)
{
	const struct status *s = find_status(status);
	struct job_result jr = { .errnum = 0, .flags = JOB_FINAL };
	char what[80];
	size_t n;

	snprintf(what, sizeof(what), "exit status %d%s%s%s", status,
	    status == 0 ? "" : " (", status == 0 ? "" : s->text,
	    status == 0 ? "" : ")");
	put_text(je_r, what, last);
	if (status == 0)
		return jr;
	/* what it says itself counts more than its status, as with Postfix */
	strlcpy(je_r->enhanced, s->enhanced, sizeof(je_r->enhanced));
	if ((n = enhanced_octets(first)) > 0)
		snprintf(je_r->enhanced, sizeof(je_r->enhanced), "%.*s",
		    (int)n, first);
	jr.errnum = je_r->enhanced[0] == '5' ? EREMOTEIO : EAGAIN;
	jr.flags = je_r->enhanced[0] == '5' ? JOB_REFUSED : 0;
	return jr;
}

struct job_result
pipe_status(const struct pipe_end *end, const struct settings_domain *d,
    const char *first, const char *last, struct job_error *je_r)
{
	char what[JOB_TEXT];

	memset(je_r, 0, sizeof(*je_r));
	strlcpy(je_r->remote, d->command.v[0], sizeof(je_r->remote));
	switch (end->kind) {
	case PIPE_EXITED:
		return exited(end->value, first, last, je_r);
	case PIPE_KILLED:
		snprintf(what, sizeof(what), "it was ended by signal %d (%s)",
		    end->value, sigdescr_np(end->value) != NULL ?
		    sigdescr_np(end->value) : "unknown");
		return later(EAGAIN, 0, "4.3.0", what, last, je_r);
	case PIPE_NOT_RUN:
		snprintf(what, sizeof(what), "it cannot be executed as %s: %s",
		    d->pipe_user, strerror(end->value));
		return later(end->value, JOB_TARGET, "4.3.5", what, "", je_r);
	case PIPE_NO_FOLDER:
		snprintf(what, sizeof(what), "option 'Pipe_Folder': %.100s: %s",
		    d->pipe_folder, strerror(end->value));
		return later(end->value, JOB_TARGET, "4.3.5", what, "", je_r);
	case PIPE_NO_PROCESS:
	case PIPE_NENDS:
		break;
	}
	snprintf(what, sizeof(what), "no process for it: %s",
	    strerror(end->value));
	return later(end->value, JOB_TARGET, "4.3.0", what, "", je_r);
}

/* See send_args.h. */

#include "cmd/sendmail/send_args.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "cmd/settings/paths.h"
#include "core/lim.h"
#include "core/spool.h"

/* Those before the first address.  A few say nothing here, and are taken since
 * programs use them: -A (which of two configurations), -G, -U (from where the
 * message comes), -h (hops), -L (a label for the log), -m, -n (aliases), -o and
 * -e with some letters. */
static const char letters[] =
    "+:A:B:C:F:GIL:N:O:R:UV:b:e:f:h:imno:q::r:tv";

struct parse {
	struct send_args	*args;
	char			*err;
	size_t			 errlen;
};

static int __attribute__((format(printf, 2, 3)))
fail(const struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->err, p->errlen, fmt, ap);
	va_end(ap);
	return EX_USAGE;
}

/* --- options that take a word ----------------------------------------------- */

/* -b */
static int
take_mode(const struct parse *p, const char *arg)
{
	static const struct { char letter; enum send_mode mode; } modes[] = {
		{ 'm', SEND_MAIL }, { 's', SEND_SESSION }, { 'p', SEND_LIST },
		{ 'i', SEND_ALIASES }
	};
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (arg[0] == modes[i].letter && arg[1] == '\0') {
			p->args->mode = modes[i].mode;
			return 0;
		}
	if (arg[0] == 'd' || arg[0] == 'D' || arg[0] == 'l')
		return fail(p, "-b%s: the server is mailmilld, which is started "
		    "by \"service mailmilld start\"", arg);
	return fail(p, "-b%s: there are -bm, -bs, -bp and -bi", arg);
}

/* -N: when the sender is to be told (RFC 3461 4.1) */
static int
take_notify(const struct parse *p, const char *arg)
{
	static const struct { const char *word; uint8_t bit; } words[] = {
		{ "success", SPOOL_NOTIFY_SUCCESS },
		{ "failure", SPOOL_NOTIFY_FAILURE },
		{ "delay", SPOOL_NOTIFY_DELAY }
	};
	const char *w = arg;
	size_t i, len;

	p->args->notify = 0;
	if (strcasecmp(arg, "never") == 0) {
		p->args->notify = SPOOL_NOTIFY_NEVER;
		return 0;
	}
	do {
		len = strcspn(w, ",");
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].word) == len &&
			    strncasecmp(w, words[i].word, len) == 0)
				break;
		if (i == sizeof(words) / sizeof(words[0]))
			return fail(p, "-N %s: expected never, or a list of "
			    "failure, delay and success", arg);
		p->args->notify |= words[i].bit;
		w += len;
	} while (*w++ == ',');
	return 0;
}

/* -R: what of the message a bounce has (RFC 3461 4.3) */
static int
take_return(const struct parse *p, const char *arg)
{
	p->args->flags &= ~(unsigned int)(SPOOL_ENV_RET_FULL |
	    SPOOL_ENV_RET_HDRS);
	if (strcasecmp(arg, "full") == 0)
		p->args->flags |= SPOOL_ENV_RET_FULL;
	else if (strcasecmp(arg, "hdrs") == 0)
		p->args->flags |= SPOOL_ENV_RET_HDRS;
	else
		return fail(p, "-R %s: expected full or hdrs", arg);
	return 0;
}

/* -B; what the message has counts all the same */
static int
take_body(const struct parse *p, const char *arg)
{
	if (strcasecmp(arg, "8BITMIME") == 0)
		p->args->flags |= SPOOL_ENV_8BITMIME;
	else if (strcasecmp(arg, "7BIT") != 0)
		return fail(p, "-B %s: expected 7BIT or 8BITMIME", arg);
	return 0;
}

/* RFC 3461 4.4: printable characters of ASCII */
static int
take_envid(const struct parse *p, const char *arg)
{
	const char *c;

	for (c = arg; *c > ' ' && *c < 127; c++)
		;
	if (*c != '\0' || c == arg || c - arg > LIM_ENVID)
		return fail(p, "-V: expected 1 to %d visible characters of "
		    "ASCII", LIM_ENVID);
	p->args->envid = arg;
	return 0;
}

/* A time such as 30s, 5m or 1h30m in seconds; 0: it is none */
static unsigned int
parse_time(const char *s)
{
	unsigned long n, sum = 0;
	char *end;

	while (*s >= '0' && *s <= '9') {
		n = strtoul(s, &end, 10);
		if (n > 86400 || *end == '\0')
			return 0;
		switch (*end) {
		case 's': break;
		case 'm': n *= 60; break;
		case 'h': n *= 3600; break;
		default: return 0;
		}
		sum += n;
		s = end + 1;
	}
	return *s == '\0' && sum <= 86400 ? (unsigned int)sum : 0;
}

/* -q */
static int
take_queue(const struct parse *p, const char *arg)
{
	p->args->mode = SEND_QUEUE;
	if (arg == NULL)
		return 0;
	if (strchr("IRS", arg[0]) != NULL && arg[0] != '\0' &&
	    arg[1] != '\0') {
		p->args->select = arg[0];
		p->args->selected = arg + 1;
		return 0;
	}
	if ((p->args->interval_s = parse_time(arg)) > 0)
		return 0;
	return fail(p, "-q%s: expected -q, -q with a time of up to a day (5m), "
	    "-qIid, -qRdomain or -qSsender", arg);
}

/* -o: one letter each */
static int
take_old(const struct parse *p, const char *arg)
{
	if (strcmp(arg, "i") == 0)
		p->args->is_dot_plain = true;
	else if (*arg == '\0' || strchr("78Adeimo", *arg) == NULL)
		return fail(p, "-o%s: there is no such option; -O has those "
		    "with a name", arg);
	return 0;
}

/* -e: how errors are reported, which is always on standard error, and by the
 * exit status */
static int
take_error_mode(const struct parse *p, const char *arg)
{
	if (arg[0] == '\0' || arg[1] != '\0' || strchr("pmweq", *arg) == NULL)
		return fail(p, "-e%s: there are -ep, -em, -ew, -ee and -eq",
		    arg);
	return 0;
}

/* -O name=value.  The first ones are ours. */
static int
take_named(const struct parse *p, const char *arg)
{
	struct send_args *a = p->args;
	const struct { const char *name; const char **to; } ours[] = {
		{ "SubmitSocket", &a->socket }, { "Maildrop", &a->maildrop },
		{ "DropProgram", &a->drop_program },
		{ "ControlProgram", &a->control_program },
		{ "DeliveryMode", NULL }, { "ErrorMode", NULL }
	};
	const char *value = strchr(arg, '=');
	size_t i, len = value == NULL ? strlen(arg) : (size_t)(value - arg);

	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (value == NULL || strlen(ours[i].name) != len ||
		    strncasecmp(arg, ours[i].name, len) != 0)
			continue;
		if (ours[i].to != NULL)
			*ours[i].to = value + 1;
		return 0;
	}
	if (len == 10 && strncasecmp(arg, "IgnoreDots", len) == 0) {
		a->is_dot_plain = value == NULL || value[1] == 't' ||
		    value[1] == 'T';
		return 0;
	}
	return fail(p, "-O %s: there are SubmitSocket, Maildrop, DropProgram, "
	    "ControlProgram, DeliveryMode, ErrorMode and IgnoreDots", arg);
}

/* --- all of them ------------------------------------------------------------ */

static int
take_option(const struct parse *p, int ch, const char *arg)
{
	switch (ch) {
	case 'A': case 'G': case 'L': case 'U': case 'h': case 'm': case 'n':
		return 0;
	case 'B': return take_body(p, arg);
	case 'N': return take_notify(p, arg);
	case 'O': return take_named(p, arg);
	case 'R': return take_return(p, arg);
	case 'V': return take_envid(p, arg);
	case 'b': return take_mode(p, arg);
	case 'e': return take_error_mode(p, arg);
	case 'o': return take_old(p, arg);
	case 'q': return take_queue(p, arg);
	case 'C': p->args->conf = arg; return 0;
	case 'F': p->args->name = arg; return 0;
	case 'f': case 'r': p->args->sender = arg; return 0;
	case 'I': p->args->mode = SEND_ALIASES; return 0;
	case 'i': p->args->is_dot_plain = true; return 0;
	case 't': p->args->takes_header = true; return 0;
	case 'v': p->args->is_verbose = true; return 0;
	case ':': return fail(p, "-%c: the argument is missing", optopt);
	default:
		return fail(p, "-%c: there is no such option; see "
		    "mailmill-sendmail(1)", optopt);
	}
}

/* The mode that the name of the program says */
static enum send_mode
mode_of(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *base = slash == NULL ? program : slash + 1;

	if (strcmp(base, "mailq") == 0)
		return SEND_LIST;
	return strcmp(base, "newaliases") == 0 ? SEND_ALIASES : SEND_MAIL;
}

int
send_args_parse(int argc, char **argv, struct send_args *args_r, char *err,
    size_t errlen)
{
	struct parse p = { args_r, err, errlen };
	int ch, rc;

	*args_r = (struct send_args){ .mode = mode_of(argc > 0 ? argv[0] : ""),
		.conf = MAILMILL_CONF, .socket = SEND_SOCKET,
		.drop_program = SEND_DROP_PROGRAM,
		.control_program = SEND_CONTROL_PROGRAM };
	/* 0: glibc begins anew, in whatever state a former call has left it */
	optind = 0;
	opterr = 0;
	while ((ch = getopt(argc, argv, letters)) != -1)
		if ((rc = take_option(&p, ch, optarg)) != 0)
			return rc;
	args_r->rcpts = argv + optind;
	args_r->nrcpts = argc - optind;
	if (args_r->mode != SEND_MAIL && args_r->nrcpts > 0)
		return fail(&p, "%s: only a message has recipients",
		    args_r->rcpts[0]);
	if (args_r->mode == SEND_MAIL && args_r->nrcpts == 0 &&
	    !args_r->takes_header)
		return fail(&p, "no recipients: name them as arguments, or in "
		    "the header, with -t");
	return 0;
}

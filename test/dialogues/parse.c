/* The text of a dialogue in, steps out: FORMAT.md is its contract. */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/dialogues/dialogue.h"

struct parser {
	struct dialogue	*d;
	FILE		*f;
	char		*line;
	size_t		 size;
	int		 lineno;
	bool		 is_failed;
};

static void
bad(struct parser *p, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: ", p->d->path, p->lineno);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	p->is_failed = true;
}

static void *
must(void *ptr)
{
	if (ptr == NULL) {
		perror("dialogues");
		exit(1);
	}
	return ptr;
}

static struct step *
add_step(struct parser *p, enum step_kind kind)
{
	struct dialogue *d = p->d;
	struct step *s;

	if (d->nsteps == d->steps_size) {
		d->steps_size = d->steps_size == 0 ? 32 : 2 * d->steps_size;
		d->steps = must(reallocarray(d->steps, d->steps_size,
		    sizeof(*d->steps)));
	}
	s = &d->steps[d->nsteps++];
	memset(s, 0, sizeof(*s));
	s->kind = kind;
	s->line = p->lineno;
	return s;
}

/* Lines of the client that follow each other are one group, sent at once. */
static struct step *
send_step(struct parser *p)
{
	struct dialogue *d = p->d;

	if (d->nsteps > 0 && d->steps[d->nsteps - 1].kind == STEP_SEND)
		return &d->steps[d->nsteps - 1];
	return add_step(p, STEP_SEND);
}

static bool
next_line(struct parser *p)
{
	ssize_t n = getline(&p->line, &p->size, p->f);

	if (n < 0)
		return false;
	p->lineno++;
	if (n > 0 && p->line[n - 1] == '\n')
		p->line[n - 1] = '\0';
	return true;
}

static void
add_bytes(struct step *s, const char *buf, size_t len)
{
	s->text = must(realloc(s->text, s->len + len + 1));
	memcpy(s->text + s->len, buf, len);
	s->len += len;
	s->text[s->len] = '\0';
}

/* One "..." piece; escapes \r \n \t \0 \\ \" \xHH.  Return what follows. */
static const char *
quoted(struct parser *p, const char *s, char **piece_r, size_t *len_r)
{
	char *out = must(malloc(strlen(s) + 1)), hex[3] = "";
	size_t n = 0;

	for (s++; *s != '"' && *s != '\0'; s++) {
		if (*s != '\\') {
			out[n++] = *s;
			continue;
		}
		switch (*++s) {
		case 'r': out[n++] = '\r'; break;
		case 'n': out[n++] = '\n'; break;
		case 't': out[n++] = '\t'; break;
		case '0': out[n++] = '\0'; break;
		case '\\': case '"': out[n++] = *s; break;
		case 'x':
			if (isxdigit((unsigned char)s[1])
			    && isxdigit((unsigned char)s[2])) {
				hex[0] = s[1];
				hex[1] = s[2];
				out[n++] = (char)strtol(hex, NULL, 16);
				s += 2;
				break;
			}
			/* FALLTHROUGH */
		default:
			bad(p, "unknown escape \\%c", *s);
		}
		if (*s == '\0')
			break;
	}
	if (*s != '"')
		bad(p, "missing closing quote");
	else
		s++;
	*piece_r = out;
	*len_r = n;
	return s;
}

/* "..." pieces, each with an optional *count. */
static void
raw_bytes(struct parser *p, const char *s, struct step *step)
{
	char *piece, *end;
	size_t len;
	long count;

	while (*(s += strspn(s, " \t")) != '\0') {
		if (*s != '"') {
			bad(p, "expected \"...\" or \"...\"*count");
			return;
		}
		s = quoted(p, s, &piece, &len);
		count = 1;
		if (*s == '*') {
			count = strtol(s + 1, &end, 10);
			s = end;
		}
		while (count-- > 0)
			add_bytes(step, piece, len);
		free(piece);
	}
}

static int
error_number(struct parser *p, const char *name)
{
	static const struct { const char *name; int number; } errors[] = {
		{ "ENOSPC", ENOSPC }, { "EIO", EIO }, { "ENOMEM", ENOMEM },
		{ "EDQUOT", EDQUOT },
	};
	size_t i;

	for (i = 0; name != NULL && i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].number;
	bad(p, "expected ENOSPC, EIO, ENOMEM or EDQUOT");
	return EIO;
}

static char *
dup_or_null(const char *s)
{
	return s == NULL ? NULL : must(strdup(s));
}

static char *
word(char **rest)
{
	char *s = *rest, *end;

	s += strspn(s, " \t");
	if (*s == '\0')
		return NULL;
	end = s + strcspn(s, " \t");
	if (*end != '\0')
		*end++ = '\0';
	*rest = end;
	return s;
}

static void
parse_option(struct parser *p, char *rest)
{
	struct dialogue *d = p->d;
	struct option_setting *o;
	char *s = word(&rest), *piece;
	size_t len;

	if (s == NULL) {
		bad(p, "@option: expected a name");
		return;
	}
	d->options = must(reallocarray(d->options, d->noptions + 1,
	    sizeof(*d->options)));
	o = &d->options[d->noptions++];
	memset(o, 0, sizeof(*o));
	o->name = must(strdup(s));
	while (*(rest += strspn(rest, " \t")) != '\0' && o->nvalues < 16) {
		if (*rest == '"') {
			rest += quoted(p, rest, &piece, &len) - rest;
			piece[len] = '\0';
			o->values[o->nvalues++] = piece;
		} else
			o->values[o->nvalues++] = must(strdup(word(&rest)));
	}
}

/* What only a client needs to know of a message: the words of simhop.h. */
static void
add_word(struct step *s, const char *w)
{
	char *words;

	if (asprintf(&words, "%s%s%s", s->word == NULL ? "" : s->word,
	    s->word == NULL ? "" : " ", w) == -1)
		must(NULL);
	free(s->word);
	s->word = words;
}

/* @message from=a@b to=c@d,e@f [8bitmime | binarymime], then | lines, then @end.
 * @mail is the same for the client to send, with any words. */
static void
parse_message(struct parser *p, char *rest, enum step_kind kind)
{
	struct step *s = add_step(p, kind);
	char *w;

	while ((w = word(&rest)) != NULL) {
		if (strncmp(w, "from=", 5) == 0 && s->sender == NULL)
			s->sender = must(strdup(w + 5));
		else if (strncmp(w, "to=", 3) == 0 && s->rcpts == NULL)
			s->rcpts = must(strdup(w + 3));
		else if (kind == STEP_MAIL)
			add_word(s, w);
		else if (strcmp(w, "8bitmime") == 0)
			s->is_8bit = true;
		else if (strcmp(w, "binarymime") == 0)
			s->is_binary = true;
		else
			bad(p, "@message: expected from=, to=, 8bitmime, "
			    "binarymime");
	}
	if (s->sender == NULL || s->rcpts == NULL)
		bad(p, "@message: from= and to= are needed");
	add_bytes(s, "", 0);
	while (next_line(p) && strcmp(p->line, "@end") != 0) {
		if (strncmp(p->line, "|! ", 3) == 0)
			raw_bytes(p, p->line + 3, s);
		else if (p->line[0] == '|') {
			w = p->line + (p->line[1] == ' ' ? 2 : 1);
			add_bytes(s, w, strlen(w));
			add_bytes(s, "\r\n", 2);
		} else
			bad(p, "expected | line, |! \"raw\" or @end");
	}
}

enum arg_shape { ARG_NONE, ARG_REASON, ARG_SECONDS, ARG_NUMBER, ARG_FAULT,
	ARG_WORD, ARG_REPORT, ARG_TEXT, ARG_POLICY };

static const struct directive {
	const char	*name;
	enum step_kind	 kind;
	enum arg_shape	 arg;
} directives[] = {
	{ "@pause",		STEP_PAUSE,		ARG_NONE },
	{ "@connect",		STEP_CONNECT,		ARG_NONE },
	{ "@hello",		STEP_HELLO,		ARG_NONE },
	{ "@tls",		STEP_TLS,		ARG_TEXT },
	{ "@sign",		STEP_SIGN,		ARG_FAULT },
	{ "@tls-start",		STEP_TLS_START,		ARG_FAULT },
	{ "@advance",		STEP_ADVANCE,		ARG_SECONDS },
	{ "@trickle",		STEP_TRICKLE,		ARG_SECONDS },
	{ "@close",		STEP_CLOSE,		ARG_NONE },
	{ "@half-close",	STEP_HALF_CLOSE,	ARG_NONE },
	{ "@reset",		STEP_RESET,		ARG_NONE },
	{ "@expect-close",	STEP_EXPECT_CLOSE,	ARG_NONE },
	{ "@expect-silence",	STEP_EXPECT_SILENCE,	ARG_NONE },
	{ "@commit",		STEP_COMMIT,		ARG_FAULT },
	{ "@commit-rcpt",	STEP_COMMIT_RCPT,	ARG_POLICY },
	{ "@begin",		STEP_BEGIN,		ARG_FAULT },
	{ "@append",		STEP_APPEND,		ARG_FAULT },
	{ "@room",		STEP_ROOM,		ARG_NUMBER },
	{ "@window",		STEP_WINDOW,		ARG_NUMBER },
	{ "@lookup",		STEP_LOOKUP,		ARG_WORD },
	{ "@policy",		STEP_POLICY,		ARG_POLICY },
	{ "@auth",		STEP_AUTH,		ARG_FAULT },
	{ "@login",		STEP_LOGIN,		ARG_WORD },
	{ "@cancels",		STEP_CANCELS,		ARG_NUMBER },
	{ "@hold",		STEP_HOLD,		ARG_NONE },
	{ "@release-hold",	STEP_RELEASE_HOLD,	ARG_NONE },
	{ "@drain",		STEP_DRAIN,		ARG_NONE },
	{ "@reconfig",		STEP_RECONFIG,		ARG_NONE },
	{ "@extension",		STEP_EXTENSION,		ARG_NONE },
	{ "@messages",		STEP_MESSAGES,		ARG_NUMBER },
	{ "@received",		STEP_RECEIVED,		ARG_TEXT },
	{ "@said",		STEP_SAID,		ARG_TEXT },
	{ "@report",		STEP_REPORT,		ARG_REPORT },
	{ "@state",		STEP_STATE,		ARG_TEXT },
	{ "@look",		STEP_LOOK,		ARG_NONE },
	{ "@client",		STEP_CLIENT,		ARG_TEXT },
	{ "@result",		STEP_RESULT,		ARG_POLICY },
	{ "@ended",		STEP_ENDED,		ARG_TEXT },
	{ "@source",		STEP_SOURCE,		ARG_NUMBER },
	{ "@source-fail",	STEP_SOURCE_FAIL,	ARG_FAULT },
	{ "@last",		STEP_LAST,		ARG_NONE },
	{ "@stop",		STEP_STOP,		ARG_NONE },
	{ "@answer",		STEP_ANSWER,		ARG_NONE },
};

/* ok | hold | release | delay SECONDS | fail ERRNO | refuse ERRNO
 * [after OCTETS] */
static void
parse_fault(struct parser *p, struct step *s, char *rest)
{
	char *w = word(&rest);

	s->word = dup_or_null(w == NULL ? "" : w);
	if (w == NULL)
		bad(p, "expected ok, hold, release, delay, fail or refuse");
	else if (strcmp(w, "delay") == 0)
		s->seconds = atof((w = word(&rest)) == NULL ? "0" : w);
	else if (strcmp(w, "fail") == 0 || strcmp(w, "refuse") == 0) {
		s->errnum = error_number(p, word(&rest));
		if ((w = word(&rest)) != NULL && strcmp(w, "after") == 0
		    && (w = word(&rest)) != NULL)
			s->number = atol(w);
	}
}

static void
parse_arg(struct parser *p, struct step *s, enum arg_shape shape, char *rest)
{
	char *w;

	switch (shape) {
	case ARG_NONE:
	case ARG_REASON:
		break;
	case ARG_SECONDS:
		s->seconds = atof(rest);
		break;
	case ARG_NUMBER:
		w = word(&rest);
		if (w == NULL)
			bad(p, "expected a number or all");
		else
			s->number = strcmp(w, "all") == 0 ? -1 : atol(w);
		break;
	case ARG_FAULT:
		parse_fault(p, s, rest);
		break;
	case ARG_WORD:
		s->word = dup_or_null(word(&rest));
		break;
	case ARG_REPORT:
		s->word = dup_or_null(word(&rest));
		w = word(&rest);
		s->number = w == NULL ? 1 : atol(w);
		break;
	case ARG_POLICY:
		s->word = dup_or_null(word(&rest));
		/* FALLTHROUGH */
	case ARG_TEXT:
		rest += strspn(rest, " \t");
		add_bytes(s, rest, strlen(rest));
		break;
	}
}

static void
parse_directive(struct parser *p)
{
	char *rest = p->line, *name = word(&rest);
	struct step *s;
	size_t i;

	if (strcmp(name, "@sim-only") == 0)
		p->d->is_sim_only = true;
	else if (strcmp(name, "@whole-only") == 0)
		p->d->is_whole_only = true;
	else if (strcmp(name, "@vanishing") == 0)
		p->d->is_vanishing = true;
	else if (strcmp(name, "@peer") == 0)
		p->d->peer = dup_or_null(word(&rest));
	else if (strcmp(name, "@option") == 0)
		parse_option(p, rest);
	else if (strcmp(name, "@role") == 0)
		p->d->is_of_client = strncmp(rest, "client", 6) == 0;
	else if (strcmp(name, "@message") == 0)
		parse_message(p, rest, STEP_MESSAGE);
	else if (strcmp(name, "@mail") == 0)
		parse_message(p, rest, STEP_MAIL);
	else {
		for (i = 0; i < sizeof(directives) / sizeof(directives[0]); i++)
			if (strcmp(name, directives[i].name) == 0)
				break;
		if (i == sizeof(directives) / sizeof(directives[0])) {
			bad(p, "unknown directive %s", name);
			return;
		}
		s = add_step(p, directives[i].kind);
		parse_arg(p, s, directives[i].arg, rest);
	}
}

static void
parse_line(struct parser *p)
{
	char us = p->d->is_of_client ? 'S' : 'C';
	char tested = p->d->is_of_client ? 'C' : 'S';
	char *l = p->line;
	struct step *s;

	if (l[0] == '\0' || l[0] == '#')
		return;
	if (l[0] == '@') {
		parse_directive(p);
	} else if (l[0] == us && (strncmp(l + 1, ": ", 2) == 0 ||
	    strcmp(l + 1, ":") == 0)) {
		s = send_step(p);
		l += l[2] == ' ' ? 3 : 2;
		add_bytes(s, l, strlen(l));
		add_bytes(s, "\r\n", 2);
	} else if (l[0] == us && strncmp(l + 1, "! ", 2) == 0) {
		raw_bytes(p, l + 3, send_step(p));
	} else if (l[0] == 'C' && tested == 'C' &&
	    strncmp(l + 1, "! ", 2) == 0) {
		raw_bytes(p, l + 3, add_step(p, STEP_OCTETS));
	} else if ((l[0] == tested || (l[0] == 'R' && tested == 'S')) &&
	    (strncmp(l + 1, ": ", 2) == 0 || strcmp(l + 1, ":") == 0)) {
		s = add_step(p, l[0] == 'R' ? STEP_REPLY : STEP_LINE);
		l += l[2] == ' ' ? 3 : 2;
		add_bytes(s, l, strlen(l));
	} else
		bad(p, "expected #, C:, C!, S:, R: or @ (with @role "
		    "client also S!, and no R:)");
}

static struct dialogue *
parse_file(const char *name, FILE *f)
{
	struct parser p = { .f = f };

	p.d = must(calloc(1, sizeof(*p.d)));
	p.d->path = must(strdup(name));
	if (p.f == NULL) {
		perror(name);
		p.is_failed = true;
	} else {
		while (next_line(&p))
			parse_line(&p);
		fclose(p.f);
	}
	free(p.line);
	if (p.is_failed) {
		dialogue_free(p.d);
		return NULL;
	}
	return p.d;
}

struct dialogue *
dialogue_parse(const char *path)
{
	return parse_file(path, fopen(path, "r"));
}

struct dialogue *
dialogue_parse_text(const char *name, const char *text)
{
	/* fmemopen() writes nothing when the mode is "r" */
	return parse_file(name, fmemopen((void *)(uintptr_t)text,
	    strlen(text), "r"));
}

void
dialogue_free(struct dialogue *d)
{
	size_t i, k;

	if (d == NULL)
		return;
	for (i = 0; i < d->nsteps; i++) {
		free(d->steps[i].text);
		free(d->steps[i].word);
		free(d->steps[i].sender);
		free(d->steps[i].rcpts);
	}
	for (i = 0; i < d->noptions; i++) {
		for (k = 0; k < d->options[i].nvalues; k++)
			free(d->options[i].values[k]);
		free(d->options[i].name);
	}
	free(d->options);
	free(d->steps);
	free(d->peer);
	free(d->path);
	free(d);
}

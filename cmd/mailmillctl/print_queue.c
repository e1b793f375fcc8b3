/* Answers about the queue as tables on stdout: lists, messages, counts, changes.
 * Owns: how recipients and their targets look there. */

#include "cmd/mailmillctl/print_int.h"

#include <stdbool.h>
#include <time.h>

static const char *
plural(long long n)
{
	return n == 1 ? "" : "s";
}

/* What RCPT has said of it; "show" alone has that. */
static void
print_said(FILE *fp, const json_t *r)
{
	const json_t *word;
	size_t i;

	if (json_array_size(json_object_get(r, "notify")) > 0)
		fputs("\n       notify:", fp);
	json_array_foreach(json_object_get(r, "notify"), i, word) {
		fputs(i == 0 ? " " : ", ", fp);
		put_safe(fp, json_string_value(word));
	}
	if (json_is_string(json_object_get(r, "orcpt"))) {
		fputs("\n       original recipient: ", fp);
		put_safe(fp, str(r, "orcpt"));
	}
}

/* How much its target takes, whether it answers, and what it waits for */
static void
print_target(FILE *fp, const json_t *t)
{
	static const struct {
		const char	*key, *what;
	} waits[] = {
		{ "rate_wait", "for its rate" },
		{ "mx_rate_wait", "for the rate of its MX hosts" },
		{ "source_rate_wait", "for the rate of its source" },
	};
	size_t i;

	if (json_object_get(t, "window") == NULL)
		return;
	fprintf(fp, " (%lld of a window of %lld sent", num(t, "sent"),
	    num(t, "window"));
	if (json_object_get(t, "rest") != NULL)
		fprintf(fp, ", rests for %lld s", num(t, "rest"));
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		if (json_object_get(t, waits[i].key) != NULL)
			fprintf(fp, ", waits %lld s %s",
			    num(t, waits[i].key), waits[i].what);
	if (json_is_true(json_object_get(t, "source_full")))
		fputs(", waits for room among the messages of its source", fp);
	fputc(')', fp);
}

static void
print_recipient(FILE *fp, const json_t *r)
{
	const json_t *target;

	fputs("    to ", fp);
	put_safe(fp, str(r, "recipient"));
	fprintf(fp, ": %s", str(r, "state"));
	if (num(r, "attempts") > 0)
		fprintf(fp, ", %lld attempt%s", num(r, "attempts"),
		    plural(num(r, "attempts")));
	if (json_is_integer(json_object_get(r, "next_attempt"))) {
		fputs(", next ", fp);
		put_time(fp, num(r, "next_attempt"));
	}
	if (json_is_string(json_object_get(r, "last_error"))) {
		fputs("\n       ", fp);
		put_safe(fp, str(r, "last_error"));
	}
	if (json_is_string(json_object_get(r, "route"))) {
		fputs("\n       goes by the section ", fp);
		put_safe(fp, str(r, "route"));
	}
	if ((target = json_object_get(r, "target")) != NULL) {
		fputs("\n       goes to ", fp);
		put_safe(fp, str(target, "name"));
		print_target(fp, target);
	}
	print_said(fp, r);
	fputc('\n', fp);
}

/* What MAIL has said for the queue */
static void
print_terms(FILE *fp, const json_t *m)
{
	if (num(m, "hold_until") > (long long)time(NULL)) {
		fputs("    held until ", fp);
		put_time(fp, num(m, "hold_until"));
		fputc('\n', fp);
	}
	if (num(m, "deliver_by") != 0) {
		fputs("    deliver by ", fp);
		put_time(fp, num(m, "deliver_by"));
		fprintf(fp, ", or %s\n", str(m, "deliver_by_mode"));
	}
	if (num(m, "priority") != 0)
		fprintf(fp, "    priority %lld\n", num(m, "priority"));
	if (json_is_true(json_object_get(m, "require_tls")))
		fputs("    requires TLS\n", fp);
	if (json_is_true(json_object_get(m, "tls_optional")))
		fputs("    does not require TLS\n", fp);
	if (json_is_true(json_object_get(m, "smtputf8")))
		fputs("    in UTF-8 (SMTPUTF8)\n", fp);
}

static void
print_one(FILE *fp, const json_t *m)
{
	const char *sender = str(m, "sender");
	const json_t *r;
	size_t i;

	fprintf(fp, "%s  %lld octets  ", str(m, "id"), num(m, "octets"));
	put_time(fp, num(m, "received"));
	fprintf(fp, "  %s  from ", str(m, "state"));
	put_safe(fp, *sender == '\0' ? "<>" : sender);
	fputc('\n', fp);
	print_terms(fp, m);
	json_array_foreach(json_object_get(m, "recipients"), i, r)
		print_recipient(fp, r);
	if (num(m, "recipients_more") > 0)
		fprintf(fp, "    and %lld more recipient%s\n",
		    num(m, "recipients_more"),
		    plural(num(m, "recipients_more")));
}

void
print_queue(FILE *fp, const json_t *answer)
{
	const json_t *messages = json_object_get(answer, "messages"), *m;
	size_t i;

	json_array_foreach(messages, i, m)
		print_one(fp, m);
	if (json_is_true(json_object_get(answer, "more")))
		fprintf(fp, "there are more messages\n");
	else if (json_array_size(messages) == 0)
		fputs(json_is_true(json_object_get(answer, "is_filtered")) ?
		    "the filter finds no message\n" : "the queue is empty\n",
		    fp);
}

void
print_message(FILE *fp, const json_t *answer)
{
	const json_t *m = json_object_get(answer, "message");
	static const char *const extra[] = { "session", "client", "helo",
		"envid", "ret", "solicit" };
	size_t i;

	print_one(fp, m);
	for (i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
		if (!json_is_string(json_object_get(m, extra[i])))
			continue;
		fprintf(fp, "    %s ", extra[i]);
		put_safe(fp, str(m, extra[i]));
		fputc('\n', fp);
	}
}

void
print_changed(FILE *fp, const json_t *answer)
{
	static const struct {
		const char	*key, *done, *dry;
	} words[] = {
		{ "retried", "will be tried again now",
		    "would be tried again now" },
		{ "held", "put on hold", "would be put on hold" },
		{ "released", "released", "would be released" },
		{ "removed", "removed", "would be removed" },
		{ "bounced", "given up; their senders are told",
		    "would be given up" },
		{ "routed", "will go that way now", "would go that way now" },
		{ "imported", "imported", "" },
	};
	bool is_dry = json_is_true(json_object_get(answer, "dry_run"));
	long long n, messages = num(answer, "messages");
	size_t i = 0;

	while (i < 6 && json_object_get(answer, words[i].key) == NULL)
		i++;
	n = num(answer, words[i].key);
	fprintf(fp, "%lld recipient%s of %lld message%s %s%s\n", n, plural(n),
	    messages, plural(messages), is_dry ? words[i].dry : words[i].done,
	    i == 0 && n == 0 ? " (a message that is held or on hold waits)" :
	    "");
	if ((n = num(answer, "busy")) > 0)
		fprintf(fp, "%lld recipient%s left alone: %s\n", n, plural(n),
		    /* what is being delivered is put on hold */
		    json_object_get(answer, "held") != NULL ?
		    "the queue cannot store them now; see the log" :
		    "being delivered right now");
}

/* A column of qshape is as wide as its largest number may be. */
static void
print_top_row(FILE *fp, const json_t *row, const char *name)
{
	const json_t *n;
	size_t i;

	fprintf(fp, "%8lld", num(row, "recipients"));
	json_array_foreach(json_object_get(row, "ages"), i, n)
		fprintf(fp, " %6lld", (long long)json_integer_value(n));
	fputs("  ", fp);
	put_safe(fp, name);
	print_target(fp, row);
	fputc('\n', fp);
}

void
print_top(FILE *fp, const json_t *answer)
{
	const json_t *rows = json_object_get(answer, "top"), *row, *n;
	const json_t *others = json_object_get(answer, "others");
	long long minutes = 0;
	size_t i;

	fprintf(fp, "%8s", "TOTAL");
	json_array_foreach(json_object_get(answer, "minutes"), i, n) {
		minutes = json_integer_value(n);
		fprintf(fp, " %6lld", minutes);
	}
	fprintf(fp, " %5lld+  MINUTES SINCE ARRIVAL\n", minutes);
	print_top_row(fp, json_object_get(answer, "total"), "TOTAL");
	json_array_foreach(rows, i, row)
		print_top_row(fp, row, str(row, "name"));
	if (others != NULL)
		print_top_row(fp, others, "(others)");
}

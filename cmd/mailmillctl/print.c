/* Answers as tables on stdout.
 * Text that came from clients is printed without its control characters, so that
 * no sender can control the terminal. */

#include "cmd/mailmillctl/ctl.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "core/util/utf8.h"

static const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s == NULL ? "" : s;
}

static long long
num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* The answer is UTF-8, in which more than ASCII are controls: terminals obey U+009B
 * as they do ESC [, and U+202E turns the line around.  Each character that cannot
 * be seen becomes one '?'. */
void
put_visible(FILE *fp, const char *s, size_t len)
{
	const char *end = s + len;
	size_t n;

	for (; s < end; s += n) {
		n = utf8_visible(s, (size_t)(end - s));
		if (n > 0 || *s == '\t') {
			n = n > 0 ? n : 1;
			fwrite(s, n, 1, fp);
			continue;
		}
		fputc('?', fp);
		for (n = 1; s + n < end &&
		    ((unsigned char)s[n] & 0xc0) == 0x80; n++)
			continue;
	}
}

static void
put_safe(FILE *fp, const char *s)
{
	put_visible(fp, s, strlen(s));
}

void
print_error(const char *what, const char *why)
{
	fputs("mailmillctl: ", stderr);
	if (what != NULL) {
		put_safe(stderr, what);
		fputs(": ", stderr);
	}
	put_safe(stderr, why);
	fputc('\n', stderr);
}

/* "3d04h", "4h05m", "5m06s", "7s" */
static void
put_duration(FILE *fp, long long s, int width)
{
	char buf[32];

	if (s >= 86400)
		snprintf(buf, sizeof(buf), "%lldd%02lldh", s / 86400,
		    s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(buf, sizeof(buf), "%lldh%02lldm", s / 3600,
		    s % 3600 / 60);
	else if (s >= 60)
		snprintf(buf, sizeof(buf), "%lldm%02llds", s / 60, s % 60);
	else
		snprintf(buf, sizeof(buf), "%llds", s);
	fprintf(fp, "%*s", width, buf);
}

static void
put_time(FILE *fp, long long when)
{
	time_t t = (time_t)when;
	struct tm tm;
	char buf[32];

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return;
	fputs(buf, fp);
}

static void
print_process(FILE *fp, const json_t *p)
{
	fprintf(fp, "%-8s %4lld %8lld  %-9s ", str(p, "role"), num(p, "slot"),
	    num(p, "pid"), str(p, "state"));
	put_duration(fp, num(p, "uptime"), 8);
	if (json_object_get(p, "sessions") != NULL)
		fprintf(fp, " %9lld", num(p, "sessions"));
	if (json_is_false(json_object_get(p, "counted")))
		fputs("  its counters are false and left out", fp);
	fputc('\n', fp);
}

static void
print_certificates(FILE *fp, const json_t *certificates)
{
	const json_t *o;
	size_t i;

	if (json_array_size(certificates) > 0)
		fprintf(fp, "\n%-40s %9s  %s\n", "CERTIFICATE", "EXPIRES",
		    "NAME");
	json_array_foreach(certificates, i, o) {
		fprintf(fp, "%-40s ", str(o, "certificate"));
		if (num(o, "seconds") < 0)
			fprintf(fp, "%9s", "expired");
		else
			put_duration(fp, num(o, "seconds"), 9);
		fputs("  ", fp);
		put_safe(fp, str(o, "name"));
		fputc('\n', fp);
	}
}

/* Only when it is down. */
static void
print_outage(FILE *fp, const json_t *queue)
{
	if (strcmp(str(queue, "state"), "down") != 0)
		return;
	fputs("queue down for ", fp);
	put_duration(fp, num(queue, "seconds"), 0);
	fputs(": ", fp);
	put_safe(fp, *str(queue, "reason") == '\0' ? "the log says why" :
	    str(queue, "reason"));
	fprintf(fp, "\n%s\n\n", json_is_true(json_object_get(queue,
	    "mail_refused")) ? "MAIL is answered 451" :
	    "mail is accepted and waits in the spool");
}

/* Does ${measure} hold in the processes of ${role}?  A process that is not yet
 * ready, or ends, does not count. */
static const char *
holds(const json_t *procs, const char *role, const char *measure)
{
	size_t yes = 0, n = 0, i;
	const json_t *p;

	json_array_foreach(procs, i, p) {
		if (strcmp(str(p, "role"), role) != 0 ||
		    strcmp(str(p, "state"), "running") != 0)
			continue;
		n++;
		yes += json_is_true(json_object_get(json_object_get(p,
		    "measures"), measure));
	}
	return n == 0 ? "?" : yes == n ? "yes" : yes == 0 ? "-" : "some";
}

/* Role by measure, in the order of the processes. */
static void
print_sandbox(FILE *fp, const json_t *answer)
{
	const json_t *procs = json_object_get(answer, "processes"), *p;
	json_t *measures, *value;
	const char *name, *last = "";
	bool has_head = false;
	size_t i;

	json_array_foreach(procs, i, p) {
		measures = json_deep_copy(json_object_get(p, "measures"));
		if (measures == NULL || strcmp(str(p, "role"), last) == 0) {
			json_decref(measures);
			continue;
		}
		last = str(p, "role");
		if (!has_head) {
			fprintf(fp, "\n%-8s", "SANDBOX");
			json_object_foreach(measures, name, value)
				fprintf(fp, " %7s", name);
			fputc('\n', fp);
		}
		has_head = true;
		fprintf(fp, "%-8s", last);
		json_object_foreach(measures, name, value)
			fprintf(fp, " %7s", holds(procs, last, name));
		fputc('\n', fp);
		json_decref(measures);
	}
	if (strcmp(str(answer, "sandbox"), "off") == 0)
		fputs("the sandbox is turned off: for debugging only\n", fp);
}

void
print_status(FILE *fp, const json_t *answer)
{
	const json_t *o;
	size_t i;

	fprintf(fp, "mailmilld %s on %s: %s, process %lld, up ",
	    str(answer, "version"), str(answer, "hostname"),
	    str(answer, "state"), num(answer, "pid"));
	put_duration(fp, num(answer, "uptime"), 0);
	fprintf(fp, ", %lld sessions, configuration %lld\n\n",
	    num(answer, "sessions"), num(answer, "generation"));
	print_outage(fp, json_object_get(answer, "queue"));
	fprintf(fp, "%-8s %4s %8s  %-9s %8s %9s\n", "ROLE", "SLOT", "PID",
	    "STATE", "UP", "SESSIONS");
	json_array_foreach(json_object_get(answer, "processes"), i, o)
		print_process(fp, o);
	fprintf(fp, "\n%-40s %9s\n", "LISTENER", "SESSIONS");
	json_array_foreach(json_object_get(answer, "listeners"), i, o)
		fprintf(fp, "%-40s %9lld\n", str(o, "address"),
		    num(o, "sessions"));
	print_certificates(fp, json_object_get(answer, "certificates"));
	print_sandbox(fp, answer);
}

void
print_stats(FILE *fp, const json_t *answer)
{
	const char *key;
	json_t *copy = json_deep_copy(answer), *value;

	/* a copy: jansson iterates only over an object that is not const */
	json_object_foreach(copy, key, value)
		fprintf(fp, "%-24s %lld\n", key,
		    (long long)json_integer_value(value));
	json_decref(copy);
}

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

/* How much its target takes, and whether it answers */
static void
print_target(FILE *fp, const json_t *t)
{
	if (json_object_get(t, "window") == NULL)
		return;
	fprintf(fp, " (%lld of a window of %lld sent", num(t, "sent"),
	    num(t, "window"));
	if (json_object_get(t, "rest") != NULL)
		fprintf(fp, ", rests for %lld s", num(t, "rest"));
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

void
print_result(FILE *fp, const json_t *answer)
{
	if (json_is_integer(json_object_get(answer, "generation"))) {
		fprintf(fp, "configuration %lld is in use\n",
		    num(answer, "generation"));
		if (*str(answer, "needs_restart") != '\0')
			fprintf(fp, "not changed before a restart: %s\n",
			    str(answer, "needs_restart"));
	}
}

/* --- look-ups ------------------------------------------------------------- */

static void
print_hop(FILE *fp, const json_t *hop)
{
	const json_t *tlsa = json_object_get(hop, "tlsa");

	fprintf(fp, "%5lld  ", num(hop, "preference"));
	put_safe(fp, str(hop, "address"));
	fputs("  ", fp);
	put_safe(fp, str(hop, "host"));
	if (json_is_string(json_object_get(hop, "alias"))) {
		fputs(" (an alias of ", fp);
		put_safe(fp, str(hop, "alias"));
		fputc(')', fp);
	}
	if (json_is_true(json_object_get(hop, "authentic")))
		fputs(" (DNSSEC)", fp);
	if (json_is_null(tlsa))
		fputs(" (TLSA records: no answer)", fp);
	else if (tlsa != NULL) {
		fputs(" (TLSA records of ", fp);
		put_safe(fp, str(hop, "tlsa"));
		fputc(')', fp);
	}
	fputc('\n', fp);
}

/* The hops of a domain, or why there are none. */
static void
print_hops(FILE *fp, const json_t *answer)
{
	const json_t *hop;
	size_t i;

	json_array_foreach(json_object_get(answer, "hops"), i, hop)
		print_hop(fp, hop);
	if (!json_is_string(json_object_get(answer, "reason")))
		return;
	put_safe(fp, str(answer, "name"));
	fputs(": ", fp);
	put_safe(fp, str(answer, "reason"));
	fprintf(fp, " (%lld ", num(answer, "code"));
	put_safe(fp, str(answer, "enhanced"));
	fputs(")\n", fp);
}

static void
print_record(FILE *fp, json_t *record)
{
	const char *key, *between = "";
	json_t *value;

	json_object_foreach(record, key, value) {
		fputs(between, fp);
		if (json_is_integer(value))
			fprintf(fp, "%lld", (long long)
			    json_integer_value(value));
		else
			put_safe(fp, json_string_value(value) == NULL ? "" :
			    json_string_value(value));
		between = " ";
	}
	fputc('\n', fp);
}

void
print_lookup(FILE *fp, const json_t *answer)
{
	json_t *record;
	size_t i;

	if (json_is_array(json_object_get(answer, "hops"))) {
		print_hops(fp, answer);
		return;
	}
	put_safe(fp, str(answer, "name"));
	fputs(": ", fp);
	put_safe(fp, str(answer, "status"));
	fprintf(fp, ", for %lld s", num(answer, "ttl"));
	if (json_is_true(json_object_get(answer, "authentic")))
		fputs(", DNSSEC", fp);
	if (json_is_string(json_object_get(answer, "alias"))) {
		fputs(", an alias of ", fp);
		put_safe(fp, str(answer, "alias"));
	}
	fputc('\n', fp);
	json_array_foreach(json_object_get(answer, "records"), i, record)
		print_record(fp, record);
}

/* What is known of the policy of one domain. */
static void
print_policy(FILE *fp, const json_t *d)
{
	json_t *mx;
	size_t i;

	put_safe(fp, str(d, "domain"));
	if (json_is_string(json_object_get(d, "id"))) {
		fprintf(fp, ": %s, id ", str(d, "mode"));
		put_safe(fp, str(d, "id"));
		fputs(", fetched ", fp);
		put_duration(fp, num(d, "age"), 0);
		fputs(" ago, expires in ", fp);
		put_duration(fp, num(d, "expires"), 0);
	} else
		fputs(": no policy in force", fp);
	if (json_is_true(json_object_get(d, "asked")))
		fputs(", being asked for", fp);
	fputc('\n', fp);
	json_array_foreach(json_object_get(d, "mx"), i, mx) {
		fputs("    mx ", fp);
		put_safe(fp, json_string_value(mx));
		fputc('\n', fp);
	}
	if (!json_is_string(json_object_get(d, "failure")))
		return;
	fprintf(fp, "    the policy with the id ");
	put_safe(fp, str(d, "failed_id"));
	fputs(" could not be had (", fp);
	put_safe(fp, str(d, "failure"));
	fputs("), and is asked for again in ", fp);
	put_duration(fp, num(d, "retry"), 0);
	fputc('\n', fp);
}

void
print_sts(FILE *fp, const json_t *answer)
{
	const json_t *policies = json_object_get(answer, "policies"), *d;
	size_t i;

	json_array_foreach(policies, i, d)
		print_policy(fp, d);
	if (json_array_size(policies) == 0)
		fputs("no policy is known\n", fp);
}

void
print_sts_fetch(FILE *fp, const json_t *answer)
{
	const char *domain = str(answer, "domain");

	put_safe(fp, domain);
	fputs(": its policy is asked for; \"mailmillctl sts show ", fp);
	put_safe(fp, domain);
	fputs("\" and the log say what comes of it\n", fp);
}

/* Answers as tables on stdout.
 * Text that came from clients is printed without its control characters, so that
 * no sender can control the terminal. */

#include "cmd/mailmillctl/print_int.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "core/util/utf8.h"

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

void
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

void
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

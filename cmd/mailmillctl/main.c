/* mailmillctl: the command line.
 * Owns: the commands, their arguments, exit statuses. */

#include "cmd/mailmillctl/ctl.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/settings/paths.h"
#include "core/version.h"

#define STOP_EXTRA_S	30	/* over drain_time, for the last processes */
#define AGAIN_MS	100
#define AGAIN_TRIES	50	/* 5 seconds in all */

/* What a command takes */
#define TAKES_ID	0x01	/* an id, or "all"; of sts, a domain */
#define TAKES_FILTER	0x02	/* the options of filter.c */
#define TAKES_DRY	0x04	/* --dry-run */
#define TAKES_LIMIT	0x08	/* --limit */
#define TAKES_PART	0x10	/* --headers, --body or --raw */
#define TAKES_BY	0x20	/* --senders, --errors or --targets */
#define IS_DEFAULT	0x40	/* it is the action when none is given */
#define TAKES_FOLDER	0x80	/* a folder or "-", before an id */
#define IS_EXPORT	0x100
#define IS_IMPORT	0x200
#define TAKES_NAME	0x400	/* a name, and perhaps a type of record */
#define TAKES_REASON	0x800	/* --reason */
#define TAKES_ROUTE	0x1000	/* --to or --default */
#define TAKES_DOMAIN	0x2000	/* --domain, and no other filter */
#define CHANGES		(TAKES_ID | TAKES_FILTER | TAKES_DRY)

struct command {
	const char	*name;
	const char	*action;	/* of queue, whatever the name, and sts */
	unsigned int	 flags;
	void		(*print)(FILE *fp, const json_t *answer);
};

static const struct command commands[] = {
	{ "status", NULL, 0, print_status },
	{ "stats", NULL, 0, print_stats },
	{ "reload", NULL, 0, print_result },
	{ "stop", NULL, 0, print_result },
	{ "tls-report", "tls", TAKES_DOMAIN | TAKES_LIMIT, print_tls },
	{ "lookup", NULL, TAKES_NAME, print_lookup },
	{ "sts", "list", TAKES_LIMIT | IS_DEFAULT, print_sts },
	{ "sts", "show", TAKES_ID, print_sts },
	{ "sts", "fetch", TAKES_ID, print_sts_fetch },
	{ "queue", "list", TAKES_FILTER | TAKES_LIMIT | IS_DEFAULT,
	    print_queue },
	{ "queue", "show", TAKES_ID | TAKES_PART, print_message },
	{ "queue", "top", TAKES_FILTER | TAKES_LIMIT | TAKES_BY, print_top },
	{ "queue", "retry", CHANGES, print_changed },
	{ "queue", "hold", CHANGES, print_changed },
	{ "queue", "release", CHANGES, print_changed },
	{ "queue", "remove", CHANGES, print_changed },
	{ "queue", "bounce", CHANGES | TAKES_REASON, print_changed },
	{ "queue", "route", CHANGES | TAKES_ROUTE, print_changed },
	{ "queue", "export", TAKES_FOLDER | TAKES_ID | TAKES_FILTER | IS_EXPORT,
	    NULL },
	{ "queue", "import", TAKES_FOLDER | IS_IMPORT, print_changed },
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static void __attribute__((noreturn))
usage(void)
{
	fprintf(stderr,
	    "usage: mailmillctl [-V] [-c file | -s socket] [--json] command\n"
	    "commands: status\n"
	    "          stats\n"
	    "          queue [list] [--limit n] [filter]\n"
	    "          queue show [--headers | --body | --raw] id\n"
	    "          queue top [--senders | --errors | --targets] [--limit n]\n"
	    "              [filter]\n"
	    "          queue retry [--dry-run] id | all | filter\n"
	    "          queue hold [--dry-run] id | all | filter\n"
	    "          queue release [--dry-run] id | all | filter\n"
	    "          queue remove [--dry-run] id | all | filter\n"
	    "          queue bounce [--dry-run] [--reason text] id | all | filter\n"
	    "          queue route [--dry-run] --to section | --default\n"
	    "              id | all | filter\n"
	    "          queue export folder | - [id | all | filter]\n"
	    "          queue import folder | -\n"
	    "          tls-report [--domain domain] [--limit n]\n"
	    "          lookup domain\n"
	    "          lookup name host | mx | txt | tlsa | ptr | cname\n"
	    "          sts [list] [--limit n]\n"
	    "          sts show domain\n"
	    "          sts fetch domain\n"
	    "          reload\n"
	    "          stop\n"
	    "          passwd -f file [-dt] [-i iterations] [-m method] "
	    "user\n"
	    "filter:   --sender address, --recipient address, --domain domain,\n"
	    "          --older time, --newer time, --error text, --larger size,\n"
	    "          --state state\n");
	exit(EXIT_USAGE);
}

/* The flags before the command; most commands take them after it too. */
struct options {
	const char	*filename, *socket;
	bool		 is_json, is_dry;
	json_t		*filter;	/* NULL: none */
	json_int_t	 limit;		/* 0: not said */
	enum part	 part;
	const char	*by;		/* what top counts by; NULL: not said */
	json_t		*reason;	/* of a bounce; NULL: not said */
	json_t		*to;		/* of a route; NULL: not said */
	bool		 is_default;	/* of a route: as configured */
};

/* The row that ${argv}, ${n} words, asks for, or NULL. */
static const struct command *
command_find(char *const *argv, int n)
{
	const struct command *c;

	for (c = commands; n > 0 && c < commands + NCOMMANDS; c++) {
		if (strcmp(argv[0], c->name) != 0)
			continue;
		if (c->flags & TAKES_DOMAIN)
			return n == 1 ? c : NULL;
		if ((n == 1 && (c->action == NULL || c->flags & IS_DEFAULT)) ||
		    c->flags & TAKES_NAME)
			return c;
		if (c->action != NULL && n > 1 &&
		    strcmp(argv[1], c->action) == 0)
			return c;
	}
	return NULL;
}

/* Does ${c} take ${n} words and the options ${o}, and have what it needs? */
static bool
is_complete(const struct command *c, int n, const struct options *o)
{
	bool has_filter = json_object_size(o->filter) > 0;
	int want = c->flags & TAKES_FOLDER ? 3 : 2;
	bool has_name = c->flags & TAKES_NAME;
	bool is_domain = c->flags & TAKES_DOMAIN &&
	    json_object_size(o->filter) == 1 &&
	    json_object_get(o->filter, "domain") != NULL;
	bool has_id = n == want + 1 && !has_name;

	if (has_name && n < 2)
		return false;
	if ((want == 3 && (n < 3 || (o->is_json && c->flags & IS_EXPORT))) ||
	    n > want + 1 || (has_id && !(c->flags & TAKES_ID)) ||
	    (has_filter && !(c->flags & TAKES_FILTER) && !is_domain) ||
	    (o->is_dry && !(c->flags & TAKES_DRY)) ||
	    (o->limit != 0 && !(c->flags & TAKES_LIMIT)) ||
	    (o->by != NULL && !(c->flags & TAKES_BY)) ||
	    (o->reason != NULL && !(c->flags & TAKES_REASON)) ||
	    (o->to != NULL) + o->is_default !=
	    ((c->flags & TAKES_ROUTE) != 0) ||
	    (o->part != PART_NONE && (!(c->flags & TAKES_PART) || o->is_json)))
		return false;
	if (c->flags & IS_EXPORT)
		return !has_id || !has_filter;
	return !(c->flags & TAKES_ID) || has_id != has_filter;
}

/* The command of the server: the counts of TLS are the queue's. */
static const char *
asked_of(const struct command *c)
{
	return c->flags & TAKES_DOMAIN ? "queue" : c->name;
}

static json_t *
build_request(const struct command *c, char *const *argv, int n,
    const struct options *options)
{
	json_t *o = json_pack("{s:s}", "command", asked_of(c));

	if (c->action != NULL)
		json_object_set_new(o, "action", json_string(c->action));
	if (c->flags & TAKES_NAME) {
		json_object_set_new(o, "name", json_string(argv[1]));
		if (n > 2)
			json_object_set_new(o, "type", json_string(argv[2]));
	} else if (n > 2 && (n > 3 || !(c->flags & TAKES_FOLDER)))
		json_object_set_new(o, "id", json_string(argv[n - 1]));
	if (json_object_size(options->filter) > 0)
		json_object_set(o, "filter", options->filter);
	if (options->part != PART_NONE)
		json_object_set_new(o, "raw", json_true());
	if (options->by != NULL)
		json_object_set_new(o, "by", json_string(options->by));
	if (options->reason != NULL)
		json_object_set(o, "reason", options->reason);
	if (c->flags & TAKES_ROUTE)
		json_object_set(o, "to", options->is_default ? json_null() :
		    options->to);
	if (options->is_dry)
		json_object_set_new(o, "dry_run", json_true());
	if (options->limit != 0)
		json_object_set_new(o, "limit", json_integer(options->limit));
	return o;
}

/* The server closes the connection when it ends. */
static int
finish_stop(int fd, const json_t *answer)
{
	long limit_s = (long)json_integer_value(json_object_get(answer,
	    "drain_time")) + STOP_EXTRA_S;

	if (wait_for_end(fd, limit_s) == 0)
		return 0;
	fprintf(stderr, "mailmillctl: the server has not ended within %ld "
	    "seconds; \"mailmillctl status\" shows what is left\n", limit_s);
	return EXIT_FAILED;
}

/* Ask again, up to AGAIN_TRIES times, while the server answers that it is busy:
 * after a reload the old queue process hands over to the new one. */
static json_t *
ask_patiently(const char *path, const json_t *request, const char *filename,
    FILE **fp_r)
{
	const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000L };
	json_t *answer;
	int i;

	for (i = 0; (answer = ask(path, request, filename, fp_r)) != NULL; i++) {
		if (i == AGAIN_TRIES ||
		    !json_is_true(json_object_get(answer, "again")))
			break;
		json_decref(answer);
		fclose(*fp_r);
		nanosleep(&pause, NULL);
	}
	return answer;
}

/* The folder that ${c} takes, if it can be used */
static int
check_folder(const struct command *c, const char *folder)
{
	if (c->flags & IS_EXPORT)
		return export_check(folder);
	return c->flags & IS_IMPORT ? import_check(folder) : 0;
}

/* The answer and what follows it on ${fp}.  Return the exit status. */
static int
show(const struct command *c, json_t *answer, FILE *fp,
    const struct options *o, const char *folder)
{
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (o->is_json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	if (error != NULL) {
		print_error(NULL, error);
		if (json_object_get(answer, "imported") != NULL && !o->is_json)
			print_changed(stdout, answer);
		return EXIT_FAILED;
	}
	if (o->part != PART_NONE)
		return raw_print(fp, o->part, answer);
	if (c->flags & IS_EXPORT)
		return export_run(fp, folder, answer);
	if (o->is_json)
		return 0;
	if (json_object_size(o->filter) > 0)
		json_object_set_new(answer, "is_filtered", json_true());
	c->print(stdout, answer);
	return 0;
}

/* takes ${request} */
static int
run(const struct command *c, const char *path, json_t *request,
    const struct options *o, const char *folder)
{
	FILE *fp = NULL;
	json_t *answer;
	int status;

	/* who names a socket does not say which spool */
	answer = ask_patiently(path, request, strcmp(asked_of(c), "queue") == 0 &&
	    o->socket == NULL ? o->filename : NULL, &fp);
	json_decref(request);
	if (answer != NULL && c->flags & IS_IMPORT &&
	    json_object_get(answer, "ready") != NULL) {
		json_decref(answer);
		if ((answer = import_run(fp, folder)) == NULL)
			fclose(fp);
	}
	if (answer == NULL)
		return EXIT_FAILED;
	status = show(c, answer, fp, o, folder);
	if (status == 0 && strcmp(c->name, "stop") == 0)
		status = finish_stop(fileno(fp), answer);
	fclose(fp);
	json_decref(answer);
	return status;
}

static void
take_filter(struct options *o, const char *name, int kind, const char *arg)
{
	if (o->filter == NULL)
		o->filter = json_object();
	if (filter_add(o->filter, name, kind, arg) == -1)
		exit(EXIT_USAGE);
}

static json_t *
take_text(const char *option, const char *arg)
{
	json_t *text = json_string(arg);

	if (text != NULL)
		return text;
	fprintf(stderr, "mailmillctl: %s: the text is not UTF-8\n", option);
	exit(EXIT_USAGE);
}

/* The last one counts. */
static void
put_text(json_t **at, json_t *text)
{
	json_decref(*at);
	*at = text;
}

/* The option with the letter ${ch} */
static void
take_option(struct options *o, int ch, const char *arg)
{
	switch (ch) {
	case 'l':
		if ((o->limit = limit_parse(arg)) == -1)
			exit(EXIT_USAGE);
		break;
	case 'n':
		o->is_dry = true;
		break;
	case 'H':
		o->part = PART_HEADERS;
		break;
	case 'B':
		o->part = PART_BODY;
		break;
	case 'R':
		o->part = PART_RAW;
		break;
	case 'E':
		o->by = "error";
		break;
	case 'S':
		o->by = "sender";
		break;
	case 'T':
		o->by = "target";
		break;
	case 'W':
		put_text(&o->reason, take_text("--reason", arg));
		break;
	case 't':
		put_text(&o->to, take_text("--to", arg));
		break;
	case 'D':
		o->is_default = true;
		break;
	case 'V':
		printf("mailmillctl %s\n", MAILMILL_VERSION);
		exit(0);
	case 'c':
		o->filename = arg;
		break;
	case 'j':
		o->is_json = true;
		break;
	case 's':
		o->socket = arg;
		break;
	default:
		usage();
	}
}

static void
parse_options(int argc, char **argv, const char *letters, struct options *o)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "headers", no_argument, NULL, 'H' },
		{ "body", no_argument, NULL, 'B' },
		{ "raw", no_argument, NULL, 'R' },
		{ "errors", no_argument, NULL, 'E' },
		{ "senders", no_argument, NULL, 'S' },
		{ "targets", no_argument, NULL, 'T' },
		{ "limit", required_argument, NULL, 'l' },
		{ "reason", required_argument, NULL, 'W' },
		{ "to", required_argument, NULL, 't' },
		{ "default", no_argument, NULL, 'D' },
#define FILTER(name, kind) { name, required_argument, NULL, FILTER_##kind },
#include "cmd/mailmillctl/filter.def"
#undef FILTER
		{ NULL, 0, NULL, 0 }
	};
	int ch, which = 0;

	optind = 0;
	while ((ch = getopt_long(argc, argv, letters, options,
	    &which)) != -1)
		if (ch >= FILTER_TEXT)
			take_filter(o, options[which].name, ch, optarg);
		else
			take_option(o, ch, optarg);
}

int
main(int argc, char **argv)
{
	struct options o = { .filename = MAILMILL_CONF };
	const struct command *c;
	char *path = NULL;
	int status;

	/* passwd has options of its own */
	parse_options(argc, argv, "+Vc:js:", &o);
	if (optind < argc && strcmp(argv[optind], "passwd") == 0)
		return passwd_command(argc - optind, argv + optind,
		    o.filename);
	parse_options(argc, argv, "Vc:js:", &o);
	argc -= optind;
	argv += optind;
	if ((c = command_find(argv, argc)) == NULL ||
	    !is_complete(c, argc, &o))
		usage();
	status = EXIT_FAILED;
	if (check_folder(c, argc > 2 ? argv[2] : NULL) == 0 &&
	    (path = o.socket != NULL ? strdup(o.socket) :
	    socket_find(o.filename)) != NULL)
		status = run(c, path, build_request(c, argv, argc, &o), &o,
		    argc > 2 ? argv[2] : NULL);
	json_decref(o.filter);
	json_decref(o.reason);
	json_decref(o.to);
	free(path);
	return status;
}

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

struct command {
	const char	*name;
	const char	*action;	/* of queue */
	bool		 has_id;
	bool		 is_default;	/* the action when none is given */
	void		(*print)(FILE *fp, const json_t *answer);
};

static const struct command commands[] = {
	{ "status", NULL, false, false, print_status },
	{ "stats", NULL, false, false, print_stats },
	{ "reload", NULL, false, false, print_result },
	{ "stop", NULL, false, false, print_result },
	{ "queue", "list", false, true, print_queue },
	{ "queue", "show", true, false, print_message },
	{ "queue", "retry", true, false, print_result },
	{ "queue", "remove", true, false, print_result },
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static void __attribute__((noreturn))
usage(void)
{
	fprintf(stderr,
	    "usage: mailmillctl [-V] [-c file | -s socket] [--json] command\n"
	    "commands: status\n"
	    "          stats\n"
	    "          queue [list]\n"
	    "          queue show id\n"
	    "          queue retry id | all\n"
	    "          queue remove id\n"
	    "          reload\n"
	    "          stop\n"
	    "          passwd -f file [-dt] [-i iterations] [-m method] "
	    "user\n");
	exit(EXIT_USAGE);
}

/* The row that ${argv}, ${n} words, asks for, or NULL. */
static const struct command *
command_find(char *const *argv, int n)
{
	const struct command *c;
	int want;

	for (c = commands; n > 0 && c < commands + NCOMMANDS; c++) {
		if (strcmp(argv[0], c->name) != 0)
			continue;
		if (n == 1 && (c->action == NULL || c->is_default))
			return c;
		if (c->action == NULL || n < 2 ||
		    strcmp(argv[1], c->action) != 0)
			continue;
		want = c->has_id ? 3 : 2;
		if (n == want)
			return c;
	}
	return NULL;
}

static json_t *
build_request(const struct command *c, char *const *argv)
{
	json_t *o = json_pack("{s:s}", "command", c->name);

	if (c->action != NULL)
		json_object_set_new(o, "action", json_string(c->action));
	if (c->has_id)
		json_object_set_new(o, "id", json_string(argv[2]));
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
ask_patiently(const char *path, const json_t *request, int *fd_r)
{
	const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000L };
	json_t *answer;
	int i;

	for (i = 0; (answer = ask(path, request, fd_r)) != NULL; i++) {
		if (i == AGAIN_TRIES ||
		    !json_is_true(json_object_get(answer, "again")))
			break;
		json_decref(answer);
		close(*fd_r);
		nanosleep(&pause, NULL);
	}
	return answer;
}

static int
run(const struct command *c, const char *path, char *const *argv, bool is_json)
{
	json_t *request = build_request(c, argv), *answer;
	const char *error;
	int fd = -1, status = 0;

	answer = ask_patiently(path, request, &fd);
	json_decref(request);
	if (answer == NULL)
		return EXIT_FAILED;
	error = json_string_value(json_object_get(answer, "error"));
	if (is_json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	if (error != NULL) {
		fprintf(stderr, "mailmillctl: %s\n", error);
		status = EXIT_FAILED;
	} else if (!is_json)
		c->print(stdout, answer);
	if (status == 0 && strcmp(c->name, "stop") == 0)
		status = finish_stop(fd, answer);
	close(fd);
	json_decref(answer);
	return status;
}

/* The flags before the command; most commands take them after it too. */
struct options {
	const char	*filename, *socket;
	bool		 is_json;
};

static void
parse_options(int argc, char **argv, const char *letters, struct options *o)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int ch;

	optind = 0;
	while ((ch = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		switch (ch) {
		case 'V':
			printf("mailmillctl %s\n", MAILMILL_VERSION);
			exit(0);
		case 'c':
			o->filename = optarg;
			break;
		case 'j':
			o->is_json = true;
			break;
		case 's':
			o->socket = optarg;
			break;
		default:
			usage();
		}
	}
}

int
main(int argc, char **argv)
{
	struct options o = { .filename = MAILMILL_CONF };
	const struct command *c;
	char *path;
	int status;

	/* passwd has options of its own */
	parse_options(argc, argv, "+Vc:js:", &o);
	if (optind < argc && strcmp(argv[optind], "passwd") == 0)
		return passwd_command(argc - optind, argv + optind,
		    o.filename);
	parse_options(argc, argv, "Vc:js:", &o);
	if ((c = command_find(argv + optind, argc - optind)) == NULL)
		usage();
	path = o.socket != NULL ? strdup(o.socket) : socket_find(o.filename);
	if (path == NULL)
		return EXIT_FAILED;
	status = run(c, path, argv + optind, o.is_json);
	free(path);
	return status;
}

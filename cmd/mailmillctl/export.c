/* "queue export" and "queue import": messages as files, or as one stream.
 * Owns: the names of the files, the copying.
 * In a folder a message is two files: ID.eml, the message as it is, and ID.json, its
 * envelope.  In a stream each message is a line of JSON, the octets, a line feed, and
 * a line that says whether the octets are complete; the last line says how many
 * messages there were.  The server speaks the stream in both directions. */

#include "cmd/mailmillctl/ctl.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util/fileio.h"

#define COPY_OCTETS	65536
#define PATH_OCTETS	4096

static bool
is_stream(const char *to)
{
	return strcmp(to, "-") == 0;
}

static int
fail(const char *what, const char *why)
{
	fprintf(stderr, "mailmillctl: %s: %s\n", what, why);
	return -1;
}

static const char cut[] = "the answer ended early; try again";

/* --- export ---------------------------------------------------------------- */

/* Copy ${octets} from ${in} to ${out}; NULL: only read them. */
static int
copy(FILE *in, FILE *out, uint64_t octets)
{
	char buf[COPY_OCTETS];
	size_t n;

	for (; octets > 0; octets -= n) {
		n = octets < sizeof(buf) ? (size_t)octets : sizeof(buf);
		if (fread(buf, 1, n, in) != n)
			return fail("export", cut);
		if (fwrite(buf, 1, n, out) != n)
			return fail("export", strerror(errno));
	}
	return 0;
}

/* DIR/ID.suffix, which must be new. */
static FILE *
create(const char *dir, const json_t *head, const char *suffix,
    char path[PATH_OCTETS])
{
	const char *id = json_string_value(json_object_get(head, "id"));
	FILE *fp = NULL;
	int fd;

	if (id == NULL || strchr(id, '/') != NULL ||
	    snprintf(path, PATH_OCTETS, "%s/%s.%s", dir, id, suffix) >=
	    PATH_OCTETS) {
		fail(dir, "a name for a message cannot be made");
		return NULL;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd != -1 && (fp = fdopen(fd, "w")) == NULL)
		close(fd);
	if (fp == NULL)
		fail(path, strerror(errno));
	return fp;
}

static int
finish(FILE *fp, const char *path)
{
	int rc = fflush(fp) == 0 && fsync(fileno(fp)) == 0 ? 0 : -1;

	if (rc == -1)
		fail(path, strerror(errno));
	fclose(fp);
	return rc;
}

/* The line behind the octets of a message.  Return whether it is complete: 1, 0; or
 * -1 after a message. */
static int
read_tail(FILE *in)
{
	json_t *tail = json_loadf(in, JSON_DISABLE_EOF_CHECK, NULL);
	const json_t *complete = json_object_get(tail, "complete");
	int rc = json_is_boolean(complete) ? json_is_true(complete) : -1;

	json_decref(tail);
	(void)getc(in);
	return rc == -1 ? fail("export", cut) : rc;
}

static int
export_to_folder(FILE *in, const char *dir, const json_t *head)
{
	char eml[PATH_OCTETS], path[PATH_OCTETS];
	FILE *fp = create(dir, head, "eml", eml);
	int rc;

	if (fp == NULL)
		return -1;
	rc = copy(in, fp, (uint64_t)json_integer_value(json_object_get(head,
	    "octets")));
	if (finish(fp, eml) == -1 || rc == -1 || (rc = read_tail(in)) != 1) {
		(void)unlink(eml);
		return rc == 0 ? 0 : -1;
	}
	if ((fp = create(dir, head, "json", path)) == NULL)
		return -1;
	json_dumpf(head, fp, JSON_INDENT(2));
	putc('\n', fp);
	return finish(fp, path);
}

static int
export_to_stream(FILE *in, const json_t *head)
{
	int rc;

	if (json_dumpf(head, stdout, JSON_COMPACT) == -1 ||
	    putchar('\n') == EOF)
		return fail("standard output", strerror(errno));
	if (copy(in, stdout, (uint64_t)json_integer_value(json_object_get(head,
	    "octets"))) == -1 || (rc = read_tail(in)) == -1)
		return -1;
	printf("\n{\"complete\":%s}\n", rc ? "true" : "false");
	return ferror(stdout) ? fail("standard output", strerror(errno)) : 0;
}

/* Each message, up to the line behind all of them, which is returned; NULL after a
 * message on stderr.  takes ${head}, the first line. */
static json_t *
export_all(FILE *in, const char *to, json_t *head)
{
	const char *error;
	int rc;

	while (head != NULL && json_object_get(head, "octets") != NULL) {
		(void)getc(in);		/* the end of the line of JSON */
		rc = is_stream(to) ? export_to_stream(in, head) :
		    export_to_folder(in, to, head);
		json_decref(head);
		if (rc == -1)
			return NULL;
		head = json_loadf(in, JSON_DISABLE_EOF_CHECK, NULL);
	}
	error = json_string_value(json_object_get(head, "error"));
	if (head != NULL && error == NULL)
		return head;
	fail("export", head == NULL ? cut : error);
	json_decref(head);
	return NULL;
}

int
export_run(FILE *in, const char *to, const json_t *first)
{
	json_t *last = export_all(in, to, json_deep_copy(first));
	long long n, ncut;

	if (last == NULL)
		return EXIT_FAILED;
	n = json_integer_value(json_object_get(last, "messages"));
	ncut = json_integer_value(json_object_get(last, "incomplete"));
	if (is_stream(to)) {
		json_dumpf(last, stdout, JSON_COMPACT);
		putchar('\n');
	} else
		printf("%lld message%s exported\n", n, n == 1 ? "" : "s");
	json_decref(last);
	if (fflush(stdout) != 0) {
		fail("standard output", strerror(errno));
		return EXIT_FAILED;
	}
	if (ncut == 0)
		return 0;
	fprintf(stderr, "mailmillctl: %lld not exported: delivered, removed or "
	    "damaged meanwhile\n", ncut);
	return EXIT_FAILED;
}

int
export_check(const char *to)
{
	struct stat st;

	if (is_stream(to) && isatty(STDOUT_FILENO))
		return fail("-", "messages are not written to a terminal: "
		    "redirect standard output, or name a folder");
	if (is_stream(to) || (stat(to, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	return fail(to, "is no folder");
}

/* --- import ---------------------------------------------------------------- */

/* The server may have ended early, and then says why. */
static int
send_all(int fd, const char *buf, size_t len)
{
	ssize_t n;

	for (; len > 0; buf += n, len -= (size_t)n)
		if ((n = send(fd, buf, len, MSG_NOSIGNAL)) == -1)
			return -1;
	return 0;
}

static int
send_json(int fd, const json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	int rc;

	rc = text == NULL ? -1 : send_all(fd, text, strlen(text));
	free(text);
	return rc == -1 ? -1 : send_all(fd, "\n", 1);
}

static int
send_file(int fd, int from)
{
	char buf[COPY_OCTETS];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (send_all(fd, buf, (size_t)n) == -1)
			return -1;
	return n == -1 ? -1 : 0;
}

/* The two files of a message: ${name} ends in ".json".  ${fd}: where they are sent
 * to; -1: only look whether they can be read. */
static int
send_message(int fd, const char *dir, const char *name)
{
	char json_path[PATH_OCTETS], eml[PATH_OCTETS];
	json_error_t error;
	struct stat st;
	json_t *head;
	int from = -1, rc = -1;

	snprintf(json_path, sizeof(json_path), "%s/%s", dir, name);
	snprintf(eml, sizeof(eml), "%s/%.*s.eml", dir,
	    (int)(strlen(name) - strlen(".json")), name);
	if ((head = json_load_file(json_path, 0, &error)) == NULL ||
	    !json_is_object(head)) {
		fail(json_path, head == NULL ? error.text :
		    "it is no JSON object");
	} else if ((from = open(eml, O_RDONLY | O_CLOEXEC)) == -1 ||
	    fstat(from, &st) == -1) {
		fail(eml, strerror(errno));
	} else if (fd == -1) {
		rc = 0;
	} else {
		json_object_set_new(head, "octets",
		    json_integer((json_int_t)st.st_size));
		rc = send_json(fd, head) == -1 || send_file(fd, from) == -1 ?
		    -1 : send_all(fd, "\n{\"complete\":true}\n", 19);
	}
	fileio_close(from);
	json_decref(head);
	return rc;
}

static int
is_envelope(const struct dirent *de)
{
	size_t len = strlen(de->d_name);

	return len > 5 && strcmp(de->d_name + len - 5, ".json") == 0;
}

/* Those of the folder ${dir}, in the order of their names.  Return how many, or
 * -1. */
static int
send_folder(int fd, const char *dir)
{
	struct dirent **names;
	int i, n = scandir(dir, &names, is_envelope, alphasort), rc = 0;

	if (n == -1)
		return fail(dir, strerror(errno));
	for (i = 0; i < n; i++) {
		if (rc == 0)
			rc = send_message(fd, dir, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	return rc == -1 ? -1 : n;
}

int
import_check(const char *from)
{
	return is_stream(from) || send_folder(-1, from) >= 0 ? 0 : -1;
}

json_t *
import_run(FILE *fp, const char *from)
{
	char last[64];
	json_t *answer;
	int n;

	if (is_stream(from)) {
		(void)send_file(fileno(fp), STDIN_FILENO);
	} else if ((n = send_folder(fileno(fp), from)) >= 0) {
		snprintf(last, sizeof(last), "{\"messages\":%d}\n", n);
		(void)send_all(fileno(fp), last, strlen(last));
	}
	(void)shutdown(fileno(fp), SHUT_WR);
	if ((answer = json_loadf(fp, JSON_DISABLE_EOF_CHECK, NULL)) == NULL)
		fail("import", cut);
	return answer;
}

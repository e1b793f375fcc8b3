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
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/spool/spool_id.h"
#include "core/util/fileio.h"

#define COPY_OCTETS	65536
#define NAME_OCTETS	(SPOOL_ID_TEXT + sizeof(".json"))

static bool
is_stream(const char *to)
{
	return strcmp(to, "-") == 0;
}

static int
fail(const char *what, const char *why)
{
	print_error(what, why);
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

/* ID.suffix in the folder, which must be new. */
static FILE *
create(int dirfd, const json_t *head, const char *suffix,
    char name[NAME_OCTETS])
{
	const char *id = json_string_value(json_object_get(head, "id"));
	FILE *fp = NULL;
	uint64_t n;
	int fd;

	if (id == NULL || spool_id_parse(id, strlen(id), &n) == -1) {
		fail("export", "the id of a message is none: the server is of "
		    "another version");
		return NULL;
	}
	snprintf(name, NAME_OCTETS, "%s.%s", id, suffix);
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd != -1 && (fp = fdopen(fd, "w")) == NULL)
		close(fd);
	if (fp == NULL)
		fail(name, strerror(errno));
	return fp;
}

static int
finish(FILE *fp, const char *name)
{
	int rc = fflush(fp) == 0 && fsync(fileno(fp)) == 0 ? 0 : -1;

	if (rc == -1)
		fail(name, strerror(errno));
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
export_to_folder(FILE *in, int dirfd, const json_t *head)
{
	char eml[NAME_OCTETS], name[NAME_OCTETS];
	FILE *fp = create(dirfd, head, "eml", eml);
	int rc;

	if (fp == NULL)
		return -1;
	rc = copy(in, fp, (uint64_t)json_integer_value(json_object_get(head,
	    "octets")));
	if (finish(fp, eml) == -1 || rc == -1 || (rc = read_tail(in)) != 1) {
		fileio_unlink(dirfd, eml);
		return rc == 0 ? 0 : -1;
	}
	if ((fp = create(dirfd, head, "json", name)) == NULL)
		return -1;
	json_dumpf(head, fp, JSON_INDENT(2));
	putc('\n', fp);
	return finish(fp, name);
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
 * message on stderr.  ${dirfd}: the folder, or -1: standard output.  takes ${head},
 * the first line. */
static json_t *
export_all(FILE *in, int dirfd, json_t *head)
{
	const char *error;
	int rc;

	while (head != NULL && json_object_get(head, "octets") != NULL) {
		(void)getc(in);		/* the end of the line of JSON */
		rc = dirfd == -1 ? export_to_stream(in, head) :
		    export_to_folder(in, dirfd, head);
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

/* Into the folder ${to}, whose new names are on disk then */
static json_t *
export_all_to(FILE *in, const char *to, const json_t *first)
{
	int fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *last;

	if (fd == -1) {
		fail(to, strerror(errno));
		return NULL;
	}
	last = export_all(in, fd, json_deep_copy(first));
	if (last != NULL && fsync(fd) == -1) {
		fail(to, strerror(errno));
		json_decref(last);
		last = NULL;
	}
	close(fd);
	return last;
}

int
export_run(FILE *in, const char *to, const json_t *first)
{
	json_t *last = is_stream(to) ? export_all(in, -1,
	    json_deep_copy(first)) : export_all_to(in, to, first);
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
	return fail(to, "there is no such folder: make it first, or write - for "
	    "standard output");
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

/* A file of the folder: who else can write there must not make it another one, or
 * one that is waited for for ever.  Return a descriptor, or -1 after a message. */
static int
open_file(int dirfd, const char *name, struct stat *st)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);

	if (fd == -1 && errno == ELOOP)
		return fail(name, "it is a symbolic link: copy the file into "
		    "the folder");
	if (fd == -1 || fstat(fd, st) == -1) {
		fail(name, strerror(errno));
	} else if (!S_ISREG(st->st_mode)) {
		fail(name, "it is no regular file: remove it from the folder");
	} else
		return fd;
	fileio_close(fd);
	return -1;
}

/* The envelope in the file ${name}, or NULL after a message */
static json_t *
read_envelope(int dirfd, const char *name)
{
	json_error_t error;
	struct stat st;
	json_t *head;
	int fd = open_file(dirfd, name, &st);

	if (fd == -1)
		return NULL;
	head = json_loadfd(fd, 0, &error);
	close(fd);
	if (json_is_object(head))
		return head;
	fail(name, head == NULL ? error.text : "it is no JSON object");
	json_decref(head);
	return NULL;
}

/* The two files of a message: ${name} ends in ".json".  ${fd}: where they are sent
 * to; -1: only look whether they can be read. */
static int
send_message(int fd, int dirfd, const char *name)
{
	char eml[NAME_MAX + 1];
	struct stat st;
	json_t *head = read_envelope(dirfd, name);
	int from, rc = 0;

	if (head == NULL)
		return -1;
	snprintf(eml, sizeof(eml), "%.*s.eml",
	    (int)(strlen(name) - strlen(".json")), name);
	if ((from = open_file(dirfd, eml, &st)) == -1) {
		json_decref(head);
		return -1;
	}
	if (fd != -1) {
		json_object_set_new(head, "octets",
		    json_integer((json_int_t)st.st_size));
		rc = send_json(fd, head) == -1 || send_file(fd, from) == -1 ?
		    -1 : send_all(fd, "\n{\"complete\":true}\n", 19);
	}
	close(from);
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
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names;
	int i, n, rc = 0;

	n = dirfd == -1 ? -1 : scandirat(dirfd, ".", &names, is_envelope,
	    alphasort);
	if (n == -1) {
		fail(dir, strerror(errno));
		fileio_close(dirfd);
		return -1;
	}
	for (i = 0; i < n; i++) {
		if (rc == 0)
			rc = send_message(fd, dirfd, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	close(dirfd);
	return rc == -1 ? -1 : n;
}

static const char cut_import[] = "the answer ended early, and some of the "
    "messages may be in the queue already: the log of the server has a line "
    "event=imported for each of them, whose was= is the name of its file; "
    "if no server runs, compare the files with what \"mailmillctl queue "
    "list\" shows; remove those files, and import the others";

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
		fail("import", cut_import);
	return answer;
}

/* Shared by the files of mailmillctl. */

#ifndef CMD_MAILMILLCTL_CTL_H
#define CMD_MAILMILLCTL_CTL_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#define EXIT_FAILED	1
#define EXIT_USAGE	2

/* socket_find(filename): The path of the control socket in the configuration
 * ${filename}, allocated.  Other errors in the file do not matter: a running
 * server may have an older one.  NULL after a message on stderr. */
char *socket_find(const char *filename);

/* ask(path, request, filename, &fp_r): Send one request to the server at ${path} and
 * return its answer, with the connection open in *fp_r: what follows the JSON can
 * be read from it.  If no server is there, and ${filename}, its configuration, is
 * not NULL, the queue is opened without it.  NULL after a message on stderr. */
json_t *ask(const char *path, const json_t *request, const char *filename,
    FILE **fp_r);

/* offline_ask(filename, request): No server runs: have the queue of the configuration
 * ${filename} answer.  Return a descriptor to read the answer from, or -1 after a
 * message on stderr. */
int offline_ask(const char *filename, const json_t *request);

/* wait_for_end(fd, limit_s): Wait until the server has closed ${fd}.  Return 0,
 * or -1 when ${limit_s} seconds have passed. */
int wait_for_end(int fd, long limit_s);

/* raw_print(in, part, answer): The message behind the ${answer} read from ${in}, or
 * a part of it, on standard output.  Return the exit status, after a message on
 * stderr. */
enum part { PART_NONE, PART_HEADERS, PART_BODY, PART_RAW };
int raw_print(FILE *in, enum part part, const json_t *answer);

/* passwd_command(argc, argv, filename): "passwd" and what follows it, ${argv[0]}
 * being that word.  ${filename}: the configuration, if there is one.  Return
 * the exit status. */
int passwd_command(int argc, char **argv, const char *filename);

/* export_check(to): Can messages be written to ${to}, a folder or "-"?  0, or -1 after
 * a message on stderr.
 * export_run(in, to, first): Write them; ${first} is the first line of what ${in} has.
 * Return the exit status, after a message on stderr.
 * import_check(from): Can the files of the folder ${from} be read?
 * import_run(fp, from): Send them to the server, which is ready.  Return its answer, or
 * NULL after a message on stderr. */
int export_check(const char *to);
int export_run(FILE *in, const char *to, const json_t *first);
int import_check(const char *from);
json_t *import_run(FILE *fp, const char *from);

/* What an option of filter.def takes; not the letter of any option */
enum { FILTER_TEXT = 256, FILTER_TIME, FILTER_SIZE };

/* filter_add(filter, name, kind, arg): Add the option --${name} ${arg} to the JSON
 * object ${filter}.  limit_parse(arg): That of --limit.  Both return -1 after a
 * message on stderr. */
int filter_add(json_t *filter, const char *name, int kind, const char *arg);
json_int_t limit_parse(const char *arg);

/* put_visible(fp, s, len): Print ${len} octets of ${s}; what is no visible character
 * becomes '?'. */
void put_visible(FILE *fp, const char *s, size_t len);

/* print_error(what, why): "mailmillctl: what: why" on stderr, in visible characters;
 * the text may have what a client has said, or the name of a file.  ${what} may be
 * NULL. */
void print_error(const char *what, const char *why);

/* Print an answer for a person to read, on ${fp}. */
void print_status(FILE *fp, const json_t *answer);
void print_stats(FILE *fp, const json_t *answer);
void print_queue(FILE *fp, const json_t *answer);
void print_message(FILE *fp, const json_t *answer);
void print_top(FILE *fp, const json_t *answer);
void print_changed(FILE *fp, const json_t *answer);
void print_tls(FILE *fp, const json_t *answer);
void print_lookup(FILE *fp, const json_t *answer);
void print_sts(FILE *fp, const json_t *answer);
void print_sts_fetch(FILE *fp, const json_t *answer);
void print_result(FILE *fp, const json_t *answer);

#endif

/* Shared by the files of mailmillctl. */

#ifndef CMD_MAILMILLCTL_CTL_H
#define CMD_MAILMILLCTL_CTL_H

#include <stdio.h>

#include <jansson.h>

#define EXIT_FAILED	1
#define EXIT_USAGE	2

/* socket_find(filename): The path of the control socket in the configuration
 * ${filename}, allocated.  Other errors in the file do not matter: a running
 * server may have an older one.  NULL after a message on stderr. */
char *socket_find(const char *filename);

/* ask(path, request, &fd_r): Send one request to the server at ${path} and
 * return its answer, with the connection open in *fd_r; NULL after a message on
 * stderr. */
json_t *ask(const char *path, const json_t *request, int *fd_r);

/* wait_for_end(fd, limit_s): Wait until the server has closed ${fd}.  Return 0,
 * or -1 when ${limit_s} seconds have passed. */
int wait_for_end(int fd, long limit_s);

/* passwd_command(argc, argv, filename): "passwd" and what follows it, ${argv[0]}
 * being that word.  ${filename}: the configuration, if there is one.  Return
 * the exit status. */
int passwd_command(int argc, char **argv, const char *filename);

/* Print an answer for a person to read, on ${fp}. */
void print_status(FILE *fp, const json_t *answer);
void print_stats(FILE *fp, const json_t *answer);
void print_queue(FILE *fp, const json_t *answer);
void print_message(FILE *fp, const json_t *answer);
void print_result(FILE *fp, const json_t *answer);

#endif

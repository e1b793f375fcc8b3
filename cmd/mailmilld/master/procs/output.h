/* What children say on standard output and error: libraries, assert(3), the
 * sanitizers.  In the foreground the master copies it to its own standard error,
 * so that no child has the terminal, each line with a mark, and some 64 KB a
 * second.  The log says how much more there was. */

#ifndef CMD_MAILMILLD_MASTER_PROCS_OUTPUT_H
#define CMD_MAILMILLD_MASTER_PROCS_OUTPUT_H

/* output_open(fd): Copy from ${fd}, which is non-blocking, on the loop; -1: there
 * is nothing.  takes ${fd}.  Return 0 or -1 with errno.
 * output_close(): Copy what is left. */
int output_open(int fd);
void output_close(void);

#endif

/* The lines of the logger where the log is a terminal, which no child has open:
 * they come through a pipe of their own, so that what another child writes on
 * standard error (output.h) does not look like them. */

#ifndef CMD_MAILMILLD_MASTER_PROCS_LOG_OUTPUT_H
#define CMD_MAILMILLD_MASTER_PROCS_LOG_OUTPUT_H

/* log_output_open(fd, log_fd): Copy from ${fd}, which is non-blocking, on the
 * loop, to the log that *log_fd is by then; -1: there is nothing.  takes ${fd}.
 * While nothing can be written there, lines are dropped; then their number is
 * logged.  Return 0 or -1 with errno.
 * log_output_close(): Copy what is left. */
int log_output_open(int fd, const int *log_fd);
void log_output_close(void);

#endif

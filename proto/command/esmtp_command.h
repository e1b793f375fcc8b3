/* One command: the checks before its verb, and its reply. */

#ifndef PROTO_COMMAND_ESMTP_COMMAND_H
#define PROTO_COMMAND_ESMTP_COMMAND_H

#include "proto/server/esmtp_state.h"

/* esmtp_command.c
 * esmtp_command(st, line, len, has_more): One line without its CRLF;
 * ${has_more}: input follows it.
 * esmtp_input_refused(st, flags): What was refused may be a verb behind which
 * data come, by ${flags} (VF_CHUNK, VF_BODY; 0: it is none): they are not run.
 */
enum esmtp_want esmtp_command(struct esmtp_step *st, const char *line,
    size_t len, bool has_more);
void esmtp_input_refused(struct esmtp_step *st, unsigned int flags);

#endif

/* Shared by the files of the master's children alone. */

#ifndef CMD_MAILMILLD_PROCS_INT_H
#define CMD_MAILMILLD_PROCS_INT_H

#include "cmd/mailmilld/master/master.h"

/* What is heard of a child; closure: its struct proc. */
extern const struct chanev_ops proc_ops;

void proc_free(struct proc *p);

#endif

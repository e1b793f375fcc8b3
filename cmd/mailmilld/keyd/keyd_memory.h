/* Keys stay in memory: no page that holds one goes to swap space, where it would
 * outlive this process. */

#ifndef CMD_MAILMILLD_KEYD_KEYD_MEMORY_H
#define CMD_MAILMILLD_KEYD_KEYD_MEMORY_H

/* keyd_memory_lock(): Before there are keys, and before the account is changed:
 * lock all pages, or, where the limit of locked memory is too low for that, those
 * of malloc(3) and of the stack.  Return 0, or -1 with errno. */
int keyd_memory_lock(void);

/* keyd_memory_extend(): The same for pages that malloc(3) has got since.  Return
 * 0, or -1 with errno. */
int keyd_memory_extend(void);

#endif

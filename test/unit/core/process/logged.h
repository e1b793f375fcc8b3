/* The log of a test: a file, which it reads. */

#ifndef TEST_UNIT_CORE_PROCESS_LOGGED_H
#define TEST_UNIT_CORE_PROCESS_LOGGED_H

#define LOGGED_MAX	(8 << 20)

/* What logged() has returned. */
extern char logged_text[LOGGED_MAX];

/* logged_open(ident): From now on the process logs as ${ident}.
 * logged(): What was logged since the last call; valid until the next one.
 * logged_close(): Remove the file. */
void logged_open(const char *ident);
char *logged(void);
void logged_close(void);

#endif

/* For unit tests: a socket that its close would wait for. */

#ifndef TEST_UNIT_CORE_PROCESS_LINGERING_H
#define TEST_UNIT_CORE_PROCESS_LINGERING_H

/* lingering_socket(): A TCP connection of which close(2) waits LINGERING_S
 * seconds: its client reads nothing, what was written fills the way to it, and
 * SO_LINGER is set. */
#define LINGERING_S	3
int lingering_socket(void);

/* lingering_watch(): What is done from now on must not wait, says
 * lingering_expect_no_wait(what). */
void lingering_watch(void);
void lingering_expect_no_wait(const char *what);

#endif

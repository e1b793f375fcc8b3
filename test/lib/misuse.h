/* What a program is told that misuses a function (core/util/require.h).
 * Owns: the child in which it is done, its standard error. */

#ifndef TEST_LIB_MISUSE_H
#define TEST_LIB_MISUSE_H

/* misuse_ends(f, arg): Call ${f} in a child.  Return the first line of what
 * it says on standard error when it ends with SIGABRT, without the newline and
 * valid until the next call; NULL: ${f} has returned.  Any other end, such as
 * SIGSEGV or a sanitizer's, fails the test: this calls abort(3). */
const char *misuse_ends(void (*f)(void *arg), void *arg);

#endif

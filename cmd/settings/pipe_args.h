/* The arguments of the program of Delivery = "pipe": what stands in place of
 * ${recipient} and others.
 * Owns: their syntax, and that no value of a client becomes an option or several
 * arguments.
 * Knows nothing of processes. */

#ifndef CMD_SETTINGS_PIPE_ARGS_H
#define CMD_SETTINGS_PIPE_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#define PIPE_ARGS_MAX		64	/* values of Command */
#define PIPE_ARGS_OCTETS	4096	/* of them in all */
#define PIPE_ADDRESS_MAX	1024	/* octets of a recipient with NUL; longer ones are refused */

enum pipe_macro {
#define PIPE_MACRO(ID, name, of_rcpt, variable) PIPE_##ID,
#include "cmd/settings/pipe_macro.def"
#undef PIPE_MACRO
	NPIPE_MACROS
};

/* By enum pipe_macro; never NULL. */
struct pipe_values {
	const char	*v[NPIPE_MACROS];
};

/* The parts of an address, for the values that are of a recipient. */
struct pipe_rcpt {
	char	local[PIPE_ADDRESS_MAX];	/* without quotes */
	char	user[PIPE_ADDRESS_MAX];	/* up to the first '+' of it */
	char	extension[PIPE_ADDRESS_MAX]; /* behind that */
	char	domain[PIPE_ADDRESS_MAX];	/* in lower case */
};

/* pipe_args_check(arg, &why_r): Is that a value of Command?  Return 0, or -1 with
 * ${why_r} a constant text: "a name between ${ and }", for a message that says
 * what was expected. */
int pipe_args_check(const char *arg, const char **why_r);

/* pipe_args_has_macro(arg), pipe_args_is_of_rcpt(arg): Has it any, has it one that
 * is of a recipient? */
bool pipe_args_has_macro(const char *arg);
bool pipe_args_is_of_rcpt(const char *arg);

/* pipe_args_rcpt(address, rcpt, values): Take ${address}, as in the spool's
 * envelopes, apart; the values that are of a recipient point to it and into
 * ${rcpt}.  Return 0, or -1 (EINVAL): it is too long. */
int pipe_args_rcpt(const char *address, struct pipe_rcpt *rcpt_r,
    struct pipe_values *values);

/* pipe_args_expand(arg, values, &bad_r): The argument, to be freed.  NULL with
 * errno: ENOMEM; EINVAL: what would stand in the place of *bad_r begins with '-'
 * where the argument begins, so that a program would take it for an option, or it
 * has a control character. */
char *pipe_args_expand(const char *arg, const struct pipe_values *values,
    enum pipe_macro *bad_r);

/* pipe_macro_name(m): In Command.  pipe_macro_variable(m): In the environment.
 * pipe_macro_is_of_rcpt(m): Is its value one of a recipient? */
const char *pipe_macro_name(enum pipe_macro m);
const char *pipe_macro_variable(enum pipe_macro m);
bool pipe_macro_is_of_rcpt(enum pipe_macro m);

#endif

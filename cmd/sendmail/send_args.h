/* The command line of mailmill-sendmail.
 * Owns: the options that programs call sendmail(8) with, and what each means
 * here. */

#ifndef CMD_SENDMAIL_SEND_ARGS_H
#define CMD_SENDMAIL_SEND_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What it is called for */
enum send_mode {
	SEND_MAIL,	/* a message on standard input; -bm */
	SEND_SESSION,	/* SMTP on standard input and output; -bs */
	SEND_LIST,	/* what waits; -bp, mailq */
	SEND_ALIASES,	/* nothing: there is no database of aliases; -bi, newaliases */
	SEND_QUEUE	/* try again what waits; -q */
};

struct send_args {
	enum send_mode	 mode;
	bool		 is_dot_plain;	/* -i: a line with a dot alone is text */
	bool		 takes_header;	/* -t: recipients are in the header */
	bool		 is_verbose;	/* -v */
	const char	*sender;	/* -f, as given; NULL: not given */
	const char	*name;		/* -F; NULL: not given */
	unsigned int	 flags;		/* SPOOL_ENV_*: -B, -R */
	uint8_t		 notify;	/* SPOOL_NOTIFY_*: -N */
	const char	*envid;		/* -V; NULL: not given */
	char		 select;	/* of -q: 'I', an id; 'R', a domain; 'S', a sender; 0: all */
	const char	*selected;	/* which one */
	unsigned int	 interval_s;	/* -q with a time: how often; 0: once */
	const char	*conf;		/* -C: the configuration, for mailmillctl */
	const char	*socket;	/* -O SubmitSocket */
	const char	*maildrop;	/* -O Maildrop; NULL: that of the installation */
	const char	*drop_program;	/* -O DropProgram */
	const char	*control_program; /* -O ControlProgram */
	char *const	*rcpts;		/* addresses behind the options */
	int		 nrcpts;
};

/* send_args_parse(argc, argv, args_r, err, errlen): Read the command line, by
 * which ${args_r} points into ${argv}.  Return 0; or EX_USAGE of sysexits.h, with
 * what is wrong in ${err}. */
int send_args_parse(int argc, char **argv, struct send_args *args_r, char *err,
    size_t errlen);

#endif

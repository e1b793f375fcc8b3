#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

#include "cmd/mailmilld/pipe/pipe_int.h"

static char path[] = "/usr/bin/agent", *argv[] = { path };
static char user[] = "list", folder[] = "/var/lib/list";
static const struct settings_domain domain = {
	.command = { .v = argv, .n = 1 }, .pipe_user = user,
	.pipe_folder = folder
};

#define EXITED(n) { PIPE_EXITED, n }

static const struct {
	struct pipe_end end;
	const char *output;
	int errnum;
	uint32_t flags;
	const char *enhanced, *text;
} cases[] = {
	{ EXITED(0), "", 0, JOB_FINAL, "", "exit status 0" },
	{ EXITED(0), "filed\n", 0, JOB_FINAL, "", "exit status 0: filed" },
	/* a status of failure in the output of one that has succeeded says
	 * nothing */
	{ EXITED(0), "5.1.1 x\n", 0, JOB_FINAL, "", "exit status 0: 5.1.1 x" },
	{ EXITED(EX_USAGE), "", EREMOTEIO, JOB_REFUSED, "5.3.0",
	    "exit status 64 (command line usage error)" },
	{ EXITED(EX_DATAERR), "", EREMOTEIO, JOB_REFUSED, "5.6.0",
	    "exit status 65 (data format error)" },
	{ EXITED(EX_NOINPUT), "", EREMOTEIO, JOB_REFUSED, "5.3.0",
	    "exit status 66 (cannot open input)" },
	{ EXITED(EX_NOUSER), "no such user\n", EREMOTEIO, JOB_REFUSED, "5.1.1",
	    "exit status 67 (user unknown): no such user" },
	{ EXITED(EX_NOHOST), "", EREMOTEIO, JOB_REFUSED, "5.1.2",
	    "exit status 68 (host name unknown)" },
	{ EXITED(EX_UNAVAILABLE), "", EREMOTEIO, JOB_REFUSED, "5.3.0",
	    "exit status 69 (service unavailable)" },
	{ EXITED(EX_SOFTWARE), "", EREMOTEIO, JOB_REFUSED, "5.3.0",
	    "exit status 70 (internal software error)" },
	{ EXITED(EX_OSERR), "", EAGAIN, 0, "4.3.0",
	    "exit status 71 (system resource problem)" },
	{ EXITED(EX_OSFILE), "", EREMOTEIO, JOB_REFUSED, "5.3.0",
	    "exit status 72 (critical file missing)" },
	{ EXITED(EX_CANTCREAT), "", EREMOTEIO, JOB_REFUSED, "5.2.0",
	    "exit status 73 (cannot create output file)" },
	{ EXITED(EX_IOERR), "", EREMOTEIO, JOB_REFUSED, "5.3.0",
	    "exit status 74 (input/output error)" },
	{ EXITED(EX_TEMPFAIL), "disk full\n", EAGAIN, 0, "4.3.0",
	    "exit status 75 (temporary failure): disk full" },
	{ EXITED(EX_PROTOCOL), "", EREMOTEIO, JOB_REFUSED, "5.5.0",
	    "exit status 76 (remote error in protocol)" },
	{ EXITED(EX_NOPERM), "", EREMOTEIO, JOB_REFUSED, "5.7.0",
	    "exit status 77 (permission denied)" },
	{ EXITED(EX_CONFIG), "", EREMOTEIO, JOB_REFUSED, "5.3.5",
	    "exit status 78 (local configuration error)" },
	{ EXITED(1), "a\nb\r\nc\n\n", EREMOTEIO, JOB_REFUSED, "5.3.0",
	    "exit status 1 (unknown error): a b  c" },
	{ EXITED(127), "", EREMOTEIO, JOB_REFUSED, "5.3.0",
	    "exit status 127 (unknown error)" },
	/* what the program says counts more than its status */
	{ EXITED(1), "4.2.2 over quota\n", EAGAIN, 0, "4.2.2",
	    "exit status 1 (unknown error): 4.2.2 over quota" },
	{ EXITED(EX_TEMPFAIL), "5.7.1 no\n", EREMOTEIO, JOB_REFUSED, "5.7.1",
	    "exit status 75 (temporary failure): 5.7.1 no" },
	{ EXITED(EX_TEMPFAIL), "5.7.1", EREMOTEIO, JOB_REFUSED, "5.7.1",
	    "exit status 75 (temporary failure): 5.7.1" },
	{ EXITED(EX_TEMPFAIL), "2.0.0 ok", EAGAIN, 0, "4.3.0",
	    "exit status 75 (temporary failure): 2.0.0 ok" },
	{ EXITED(EX_TEMPFAIL), "5.7.1x", EAGAIN, 0, "4.3.0",
	    "exit status 75 (temporary failure): 5.7.1x" },
	{ EXITED(EX_TEMPFAIL), "5.07.1 x", EAGAIN, 0, "4.3.0",
	    "exit status 75 (temporary failure): 5.07.1 x" },
	{ EXITED(EX_TEMPFAIL), "5.1234.1 x", EAGAIN, 0, "4.3.0",
	    "exit status 75 (temporary failure): 5.1234.1 x" },
	{ { PIPE_KILLED, SIGSEGV }, "", EAGAIN, 0, "4.3.0",
	    "it was ended by signal 11 (Segmentation fault)" },
	{ { PIPE_NOT_RUN, ENOENT }, "", ENOENT, JOB_TARGET, "4.3.5",
	    "it cannot be executed as list: No such file or directory" },
	{ { PIPE_NO_FOLDER, EACCES }, "", EACCES, JOB_TARGET, "4.3.5",
	    "option 'Pipe_Folder': /var/lib/list: Permission denied" },
	{ { PIPE_NO_PROCESS, EAGAIN }, "", EAGAIN, JOB_TARGET, "4.3.0",
	    "no process for it: Resource temporarily unavailable" },
};

Test(pipe_status, the_end_of_a_program_is_a_result)
{
	struct job_result jr;
	struct job_error je;
	char first[24];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strlcpy(first, cases[i].output, sizeof(first));
		jr = pipe_status(&cases[i].end, &domain, first,
		    cases[i].output, &je);
		cr_expect_eq(jr.errnum, cases[i].errnum, "%zu", i);
		cr_expect_eq(jr.flags, cases[i].flags, "%zu", i);
		cr_expect_str_eq(je.enhanced, cases[i].enhanced, "%zu: %s", i,
		    je.enhanced);
		cr_expect_str_eq(je.text, cases[i].text, "%zu: %s", i, je.text);
		cr_expect_str_eq(je.remote, path);
		cr_expect_eq(je.code, 0);
	}
}

/* The last words of a long output, cut before a character and not within one. */
Test(pipe_status, long_output_is_cut_at_its_beginning)
{
	const struct pipe_end end = EXITED(1);
	char output[512] = "";
	struct job_error je;
	size_t i;

	while (strlen(output) < sizeof(output) - 8)
		strcat(output, "\xe2\x82\xac");		/* EURO SIGN */
	for (i = 0; i < 3; i++) {
		strcat(output, "x");
		(void)pipe_status(&end, &domain, "", output, &je);
		cr_expect_gt(strlen(je.text), JOB_TEXT - 5);
		cr_expect_eq(strncmp(je.text, "exit status 1 (unknown error): "
		    "\xe2\x82\xac", 34), 0, "%s", je.text);
		cr_expect_eq(je.text[strlen(je.text) - 1], 'x');
	}
}

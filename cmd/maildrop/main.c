/* mailmill-maildrop: puts a message of the user into the maildrop.  It is what
 * mailmill-sendmail runs when no server takes the message, and the only program of
 * mailmill that is set-group-id.
 * Owns: the command line; what the user who runs it may not choose.
 * Reads no configuration, uses no environment, and looks at nothing of what it
 * writes. */

#include <sys/auxv.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/maildrop/maildrop.h"
#include "cmd/settings/paths.h"

static void __attribute__((noreturn))
usage(void)
{
	fprintf(stderr, "usage: mailmill-maildrop [-d folder] -s octets\n"
	    "       mailmill-maildrop [-d folder] -l\n"
	    "mailmill-sendmail runs it: see mailmill-sendmail(1)\n");
	exit(EX_USAGE);
}

static void __attribute__((noreturn))
die(int status, const char *what)
{
	fprintf(stderr, "mailmill-maildrop: %s\n", what);
	exit(status);
}

static int
put(int dirfd, uint64_t octets)
{
	char err[512];
	int fd = maildrop_open_of(dirfd, getuid(), true), status;

	if (fd == -1) {
		snprintf(err, sizeof(err), "the maildrop of the account %u: %s",
		    (unsigned int)getuid(), strerror(errno));
		die(errno == EPERM || errno == EACCES ? EX_NOPERM :
		    EX_TEMPFAIL, err);
	}
	if ((status = maildrop_put(fd, STDIN_FILENO, octets, err,
	    sizeof(err))) != 0)
		die(status, err);
	return 0;
}

/* Is it the name of an account's folder? */
static bool
is_account(const char *name, uid_t *uid_r)
{
	const char *problem;
	long long n = strtonum(name, 0, UINT32_MAX - 1, &problem);
	char again[16];

	*uid_r = (uid_t)n;
	snprintf(again, sizeof(again), "%lld", n);
	return problem == NULL && strcmp(again, name) == 0;
}

static void
list_of(int dirfd, uid_t uid)
{
	int fd = maildrop_open_of(dirfd, uid, false);

	if (fd == -1)
		return;
	(void)maildrop_list(fd, stdout);
	close(fd);
}

/* Those of the user; of root, all */
static int
list(int dirfd)
{
	const struct dirent *de;
	uid_t uid;
	DIR *dir;

	if (getuid() != 0) {
		list_of(dirfd, getuid());
		return 0;
	}
	if ((dir = fdopendir(dirfd)) == NULL)
		die(EX_OSERR, strerror(errno));
	while ((de = readdir(dir)) != NULL)
		if (is_account(de->d_name, &uid))
			list_of(dirfd, uid);
	closedir(dir);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *folder = SEND_MAILDROP, *problem = NULL;
	bool is_list = false;
	char err[512];
	long long octets = 0;
	int ch, dirfd;

	while ((ch = getopt(argc, argv, "d:ls:")) != -1) {
		switch (ch) {
		case 'd':
			/* the group is for one folder */
			if (getauxval(AT_SECURE) != 0)
				die(EX_NOPERM, "-d: not allowed to a program "
				    "that is set-group-id");
			folder = optarg;
			break;
		case 'l':
			is_list = true;
			break;
		case 's':
			octets = strtonum(optarg, 1, INT64_MAX, &problem);
			break;
		default:
			usage();
		}
	}
	if (optind < argc || problem != NULL || is_list == (octets > 0))
		usage();
	umask(077);
	/* a write that fails says so */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if ((dirfd = maildrop_open(folder, err, sizeof(err))) == -1)
		die(errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE, err);
	return is_list ? list(dirfd) : put(dirfd, (uint64_t)octets);
}

/* "mailmillctl passwd": users of a passwd file.
 * Owns: its options, how a password is read, who may read a new file.
 * Needs no running server. */

#include "cmd/mailmillctl/ctl.h"

#include <errno.h>
#include <pwd.h>
#include <readpassphrase.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/settings/settings.h"
#include "core/table/passwdfile.h"
#include "core/util/wipe.h"

#define SECRET_MAX	12288	/* octets: a token is no longer in an AUTH */

struct request {
	const char	*file, *method, *user;
	unsigned int	 iterations;	/* 0: as usual */
	bool		 is_removal, is_token;
};

static void __attribute__((noreturn))
passwd_usage(void)
{
	fprintf(stderr,
	    "usage: mailmillctl [-c file] passwd -f file [-i iterations] "
	    "[-m method]\n"
	    "                   [-t] user\n"
	    "       mailmillctl passwd -f file -d user\n");
	exit(EXIT_USAGE);
}

/* From the terminal, twice. */
static int
ask_terminal(const struct request *r, char *buf, size_t size)
{
	const char *what = r->is_token ? "Token" : "Password";
	char prompt[320], *again = malloc(size);
	int rc = -1;

	if (again == NULL) {
		fprintf(stderr, "mailmillctl: out of memory\n");
		return -1;
	}
	snprintf(prompt, sizeof(prompt), "%s for %s: ", what, r->user);
	if (readpassphrase(prompt, buf, size, RPP_REQUIRE_TTY) == NULL)
		fprintf(stderr, "mailmillctl: nothing read\n");
	else if (readpassphrase("Once more: ", again, size,
	    RPP_REQUIRE_TTY) == NULL)
		fprintf(stderr, "mailmillctl: nothing read\n");
	else if (strcmp(buf, again) != 0)
		fprintf(stderr, "mailmillctl: these two differ; nothing has "
		    "changed\n");
	else
		rc = 0;
	wipe_free(again, size);
	return rc;
}

/* One line of standard input. */
static int
read_line(char *buf, size_t size)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n = getline(&line, &room, stdin);
	int rc = -1;

	if (n > 0 && line[n - 1] == '\n')
		line[--n] = '\0';
	if (n > 0 && line[n - 1] == '\r')
		line[--n] = '\0';
	if (n < 0)
		fprintf(stderr, "mailmillctl: expected a line on standard "
		    "input\n");
	else if (strlen(line) != (size_t)n)
		fprintf(stderr, "mailmillctl: a NUL on standard input\n");
	else if (strlcpy(buf, line, size) < size)
		rc = 0;
	else
		fprintf(stderr, "mailmillctl: the line is longer than %zu "
		    "octets\n", size - 1);
	wipe_free(line, room);
	return rc;
}

/* The group of the account that checks passwords, where it is there, and the name
 * of that account. */
static gid_t
auth_group(const char *filename, char *name_r, size_t len)
{
	char err[SETTINGS_ERROR_MAX];
	struct settings *s = NULL;
	const struct passwd *pw;
	FILE *fp = fopen(filename, "re");

	if (fp != NULL) {
		s = settings_load(fp, filename, NULL, 0, err, sizeof(err));
		fclose(fp);
	}
	strlcpy(name_r, s != NULL ? s->auth_user :
	    settings_default("auth_user"), len);
	settings_free(s);
	pw = getpwnam(name_r);
	return pw != NULL ? pw->pw_gid : (gid_t)-1;
}

/* A new file belongs to root and is readable by authd's account; when it is not
 * root who makes it, it belongs to the user. */
static struct passwdfile_new
new_file(const char *filename, const struct request *r)
{
	struct passwdfile_new new = { .mode = 0600, .gid = (gid_t)-1,
		.iterations = r->iterations };
	char name[128];

	if (geteuid() != 0)
		return new;
	new.gid = auth_group(filename, name, sizeof(name));
	if (new.gid != (gid_t)-1)
		new.mode = 0640;
	else if (access(r->file, F_OK) == -1 && errno == ENOENT)
		fprintf(stderr, "mailmillctl: warning: %s: only root can read "
		    "it, since there is no account '%s' (auth_user), which "
		    "checks passwords: \"make accounts\" makes it; then give "
		    "the file its group and mode 640\n", r->file, name);
	return new;
}

static int
fail(const char *err)
{
	fprintf(stderr, "mailmillctl: %s\n", err);
	return EXIT_FAILED;
}

static int
remove_user(const struct request *r)
{
	char err[PASSWDFILE_ERROR_MAX + 1024];
	int rc = passwdfile_remove(r->file, r->user, err, sizeof(err));

	if (rc == 1)
		snprintf(err, sizeof(err), "%s: there is no user '%s'", r->file,
		    r->user);
	return rc == 0 ? 0 : fail(err);
}

static int
set_user(const struct request *r, const struct passwdfile_new *new)
{
	char err[PASSWDFILE_ERROR_MAX + 1024], *secret;
	int rc = -1;

	if ((secret = calloc(1, SECRET_MAX + 1)) == NULL)
		return fail("out of memory");
	err[0] = '\0';
	if ((isatty(STDIN_FILENO) ? ask_terminal(r, secret, SECRET_MAX + 1) :
	    read_line(secret, SECRET_MAX + 1)) == 0)
		rc = passwdfile_set(r->file, r->user, secret, r->is_token,
		    r->method, new, err, sizeof(err));
	wipe_free(secret, SECRET_MAX);
	if (rc == 0)
		return 0;
	return err[0] != '\0' ? fail(err) : EXIT_FAILED;
}

/* The argument of -i. */
static unsigned int
take_iterations(const char *arg)
{
	const char *fault;
	long long n = strtonum(arg, PASSWDFILE_ITER_MIN, PASSWDFILE_ITER_MAX,
	    &fault);

	if (fault != NULL) {
		fprintf(stderr, "mailmillctl: -i %s: %s; expected a number "
		    "from %d to %d\n", arg, fault, PASSWDFILE_ITER_MIN,
		    PASSWDFILE_ITER_MAX);
		exit(EXIT_USAGE);
	}
	if (n > PASSWDFILE_ITER_CLIENTS)
		fprintf(stderr, "mailmillctl: warning: -i %lld: Postfix and "
		    "other clients with Cyrus SASL cannot log in with more "
		    "than %d iterations\n", n, PASSWDFILE_ITER_CLIENTS);
	return (unsigned int)n;
}

int
passwd_command(int argc, char **argv, const char *filename)
{
	struct request r = { .method = PASSWDFILE_METHOD };
	struct passwdfile_new new;
	int ch;

	optind = 0;
	while ((ch = getopt(argc, argv, "df:i:m:t")) != -1) {
		switch (ch) {
		case 'd':
			r.is_removal = true;
			break;
		case 'f':
			r.file = optarg;
			break;
		case 'i':
			r.iterations = take_iterations(optarg);
			break;
		case 'm':
			r.method = optarg;
			break;
		case 't':
			r.is_token = true;
			break;
		default:
			passwd_usage();
		}
	}
	if (r.file == NULL || argc - optind != 1 ||
	    ((r.is_removal || r.iterations > 0) && r.is_token))
		passwd_usage();
	r.user = argv[optind];
	if (r.is_removal)
		return remove_user(&r);
	new = new_file(filename, &r);
	return set_user(&r, &new);
}

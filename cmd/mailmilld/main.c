/* mailmilld: the command line.
 * Owns: flags, exit statuses, the way to master or role. */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/mailmilld/master/config/config.h"
#include "cmd/mailmilld/master/master.h"
#include "cmd/mailmilld/master/needs/daemon.h"
#include "cmd/mailmilld/master/needs/needs.h"
#include "cmd/mailmilld/master/needs/spooldir.h"
#include "cmd/mailmilld/master/state/state.h"
#include "cmd/mailmilld/role/child.h"
#include "cmd/mailmilld/role/crypto_conf.h"
#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/role/spawn.h"
#include "cmd/settings/paths.h"
#include "cmd/settings/settings_client.h"
#include "cmd/settings/settings_show.h"
#include "core/version.h"

#define EXIT_USAGE	2	/* not EX_USAGE: as the shell's own commands */

struct flags {
	const char	*filename;
	const char	**overrides;	/* "name=value" */
	size_t		 noverrides;
	bool		 is_foreground;
	bool		 is_check;	/* -n */
	bool		 is_verbose;	/* -v */
	const char	*client;	/* -T; NULL: none */
	const char	*role;		/* -x */
};

static void __attribute__((noreturn))
usage(void)
{
	fprintf(stderr, "usage: mailmilld [-dfnVv] [-c file] [-D name=value] "
	    "[-p pidfile]\n                 [-T listener,address] [-u user] "
	    "[-w workers]\n");
	exit(EXIT_USAGE);
}

/* A flag that is an option of the configuration: "name=value". */
static void
override(struct flags *f, const char *name, const char *value)
{
	const char **v;
	char *text;

	v = reallocarray(f->overrides, f->noverrides + 1, sizeof(*v));
	if (v == NULL || asprintf(&text, "%s%s%s", name,
	    *name == '\0' ? "" : "=", value) == -1) {
		fprintf(stderr, "mailmilld: out of memory\n");
		exit(1);
	}
	v[f->noverrides++] = text;
	f->overrides = v;
}

static void
parse_flags(int argc, char **argv, struct flags *f)
{
	int c;

	while ((c = getopt(argc, argv, "dfnVvc:D:p:T:u:w:x:")) != -1) {
		switch (c) {
		case 'd':
			f->is_foreground = true;
			override(f, "log_level", "debug");
			break;
		case 'f':
			f->is_foreground = true;
			break;
		case 'n':
			f->is_check = true;
			break;
		case 'V':
			printf("mailmilld %s\n", MAILMILL_VERSION);
			exit(0);
		case 'v':
			f->is_verbose = true;
			break;
		case 'c':
			f->filename = optarg;
			break;
		case 'D':
			override(f, "", optarg);
			break;
		case 'p':
			override(f, "pidfile", optarg);
			break;
		case 'T':
			f->client = optarg;
			break;
		case 'u':
			override(f, "user", optarg);
			break;
		case 'w':
			override(f, "workers", optarg);
			break;
		case 'x':
			f->role = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
}

static void
check_flags(const struct flags *f)
{
	if (f->is_check || (!f->is_verbose && f->client == NULL))
		return;
	fprintf(stderr, "mailmilld: -%c: only together with -n\n",
	    f->is_verbose ? 'v' : 'T');
	usage();
}

/* A descriptor up to 2 that is closed would be taken by the next file that is
 * opened, and that file then for standard input, output or error. */
static void
open_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd != -1 && fd <= STDERR_FILENO);
	if (fd != -1)
		close(fd);
}

static const struct role *const roles[NROLES] = {
#define ROLE(ID, name) [ROLE_##ID] = &role_##name,
#include "cmd/mailmilld/role/role.def"
#undef ROLE
};

static int
run_role(const char *name)
{
	enum role_id id = role_by_name(name);

	if (id == NROLES || roles[id]->main == NULL) {
		fprintf(stderr, "mailmilld: -x %s: no such role "
		    "(mailmilld starts its roles itself)\n", name);
		return EXIT_USAGE;
	}
	return child_main(roles[id]);
}

static int
run_master(struct master *m)
{
	const struct settings *s = m->config.settings;
	int status;

	if (rundir_make(s->pidfile) == -1) {
		fprintf(stderr, "mailmilld: option 'pidfile': %s: %s\n",
		    s->pidfile, strerror(errno));
		return EX_CONFIG;
	}
	if (daemon_lock(s->pidfile) == -1)
		return 1;
	if (!m->is_foreground && daemon_fork() == -1) {
		fprintf(stderr, "mailmilld: fork: %s\n", strerror(errno));
		return 1;
	}
	/* before the pid file, whose readers look at the title */
	setproctitle("master");
	if (spawn_init(m->is_foreground) == -1) {
		fprintf(stderr, "mailmilld: pipe: %s\n", strerror(errno));
		return 1;
	}
	status = master_run(m);
	daemon_unlock();
	daemon_tell_parent(status);
	return status;
}

/* -n: the processes of a server would not start.  Before OpenSSL is used for
 * anything: it loads its configuration once, and then passes over errors. */
static int
check_crypto(void)
{
	char err[CRYPTO_CONF_ERROR_MAX];

	if (crypto_conf_load(err, sizeof(err)) == 0)
		return 0;
	fprintf(stderr, "mailmilld: %s\n", err);
	return -1;
}

/* -n: what the start would do, short of taking over from a running server. */
static int
check_start(struct master *m, const char *filename)
{
	if (needs_check(m) == -1 || m->config.nabsent > 0) {
		fprintf(stderr, "mailmilld: %s: the server cannot be started "
		    "with this configuration, or would lack something, see "
		    "above\n", filename);
		return EX_CONFIG;
	}
	printf("%s: configuration ok%s\n", filename,
	    m->config.settings->ndomains > 0 ? "" :
	    ", but without a Domain section all mail is refused");
	config_warn(&m->config);
	return 0;
}

/* -n -v, -n -T: the settings go to standard output, before anything is checked
 * that they name; what the checks say goes to standard error. */
static int
show_settings(const struct config *config, const struct flags *f)
{
	struct settings_client client, *c = NULL;
	char err[SETTINGS_ERROR_MAX];

	if (f->client != NULL) {
		c = &client;
		if (settings_client_parse(config->settings, f->client, c, err,
		    sizeof(err)) == -1) {
			fprintf(stderr, "mailmilld: %s\n", err);
			return EXIT_USAGE;
		}
	}
	if ((f->is_verbose ? settings_show(config->fd, c, stdout, err,
	    sizeof(err)) : settings_show_client(config->fd, c, stdout, err,
	    sizeof(err))) == -1) {
		fprintf(stderr, "mailmilld: %s\n", err);
		return 1;
	}
	if (fflush(stdout) == EOF || dup2(STDERR_FILENO, STDOUT_FILENO) == -1) {
		fprintf(stderr, "mailmilld: standard output: %s\n",
		    strerror(errno));
		return 1;
	}
	return 0;
}

static void
print_refusal(const struct flags *f, const char *err)
{
	fprintf(stderr, "mailmilld: %s%s\n", err, f->is_check &&
	    geteuid() != 0 && strstr(err, strerror(EACCES)) != NULL ?
	    " (not checked: the server may read it when root starts it)" : "");
}

/* The file is read again when the daemon has left the folder that it was
 * started in. */
static const char *
absolute(const char *filename)
{
	char *cwd, *path;

	if (*filename == '/')
		return filename;
	if ((cwd = getcwd(NULL, 0)) == NULL ||
	    asprintf(&path, "%s/%s", cwd, filename) == -1) {
		fprintf(stderr, "mailmilld: %s: %s\n", filename,
		    strerror(errno));
		exit(EX_CONFIG);
	}
	free(cwd);
	return path;
}

int
main(int argc, char **argv, char **envp)
{
	static struct master m;
	struct flags f = { .filename = MAILMILL_CONF };
	char err[SETTINGS_ERROR_MAX];
	bool has_manager;
	int status;

	open_stdio();
	roles_use(roles);
	setproctitle_init(argc, argv, envp);
	parse_flags(argc, argv, &f);
	check_flags(&f);
	if (f.role != NULL)
		return run_role(f.role);

	has_manager = daemon_notify_init();
	if (!f.is_foreground && !f.is_check)
		f.filename = absolute(f.filename);
	if (f.is_check && check_crypto() == -1)
		return EX_CONFIG;
	config_source(f.filename, f.overrides, f.noverrides);
	m.is_foreground = f.is_foreground;
	/* a trial replaces a missing account by a numeric id and warns of it,
	 * so somebody has to see the warning */
	m.is_trial = f.is_foreground && !has_manager;
	if (config_open(1, &m.config, err, sizeof(err)) == -1)
		goto err1;
	if ((f.is_verbose || f.client != NULL) &&
	    (status = show_settings(&m.config, &f)) != 0)
		return status;
	if (config_complete(&m.config, err, sizeof(err)) == -1)
		goto err1;
	return f.is_check ? check_start(&m, f.filename) : run_master(&m);
err1:
	print_refusal(&f, err);
	return EX_CONFIG;
}

/* Do keys and certificates belong together?  Found out by a process of its own
 * under keyd's account, which ends at once: so the master reads no key, and
 * what parses one is not root.
 * Owns: that process, its time, the pipe it answers through. */

#include "cmd/mailmilld/creds/creds_int.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "core/process/log.h"
#include "tls/keeper.h"
#include "tls/tlsctx.h"

#define CHECK_MS	20000	/* of all pairs: a machine under load */

enum report_kind { REPORT_INFO, REPORT_WARNING, REPORT_ERROR, REPORT_END };

/* What goes through the pipe; less than PIPE_BUF, so it is whole. */
struct report {
	uint32_t	kind, pair;
	int64_t		expiry;
	char		text[CREDS_ERROR_MAX];
};

/* --- the process ---------------------------------------------------------- */

static void
report(int fd, enum report_kind kind, size_t pair, int64_t expiry,
    const char *path, const char *text)
{
	struct report r;
	size_t n = 0;

	memset(&r, 0, sizeof(r));
	r.kind = kind;
	r.pair = (uint32_t)pair;
	r.expiry = expiry;
	if (path != NULL)
		n = (size_t)snprintf(r.text, sizeof(r.text), "%s: ", path);
	if (n < sizeof(r.text))
		snprintf(r.text + n, sizeof(r.text) - n, "%s", text);
	if (write(fd, &r, sizeof(r)) != (ssize_t)sizeof(r))
		_exit(1);
}

static struct tlsctx_octets
octets(const struct creds_file *f)
{
	return (struct tlsctx_octets){ f->octets, f->len };
}

static int
check_certificate(const struct creds *c, size_t i, int fd)
{
	const struct creds_file *cert = CREDS_CERT(c, i);
	const struct creds_file *ocsp = CREDS_OCSP(c, i);
	struct tls_cert_info info;
	char err[TLSCTX_ERROR_MAX];
	time_t now = time(NULL);

	if (tls_cert_info(octets(cert), &info, err, sizeof(err)) == -1) {
		report(fd, REPORT_ERROR, i, 0, cert->path, err);
		return -1;
	}
	if (info.not_after < now)
		report(fd, REPORT_WARNING, i, 0, cert->path, "has expired");
	else if (info.not_before > now)
		report(fd, REPORT_WARNING, i, 0, cert->path,
		    "is not valid yet");
	if (ocsp->len > 0 && tls_ocsp_check(octets(ocsp), octets(cert), err,
	    sizeof(err)) == -1)
		report(fd, REPORT_WARNING, i, 0, ocsp->path, err);
	info.name[CREDS_NAME_MAX - 1] = '\0';
	report(fd, REPORT_INFO, i, info.not_after, NULL, info.name);
	return 0;
}

static int
check_key(const struct creds *c, struct keeper *k, size_t i, int fd)
{
	const struct creds_file *cert = CREDS_CERT(c, i);
	const struct creds_file *key = CREDS_KEY(c, i);
	char why[KEEPER_ERROR_MAX], err[CREDS_ERROR_MAX];

	if (keeper_load(k, c->version, (uint32_t)i, key->fd, cert->octets,
	    cert->len, why, sizeof(why)) == 0)
		return 0;
	snprintf(err, sizeof(err), "%s (its certificate is %.*s)", why,
	    CREDS_ERROR_MAX / 2 - 64, cert->path);
	report(fd, REPORT_ERROR, i, 0, key->path, err);
	return -1;
}

static int
check_client_cas(const struct creds *c, int fd)
{
	struct tls_cert_info info;
	char err[TLSCTX_ERROR_MAX];
	size_t i;

	for (i = 0; i < c->ncas; i++)
		if (tls_cert_info(octets(CREDS_CA(c, i)), &info, err,
		    sizeof(err)) == -1) {
			report(fd, REPORT_ERROR, 0, 0, CREDS_CA(c, i)->path,
			    err);
			return -1;
		}
	return 0;
}

static void
check_all(const struct creds *c, int fd)
{
	struct keeper *k;
	size_t i;

	if ((k = keeper_new()) == NULL) {
		report(fd, REPORT_ERROR, 0, 0, NULL,
		    "out of memory for the check of keys");
		return;
	}
	for (i = 0; i < c->npairs; i++)
		if (check_certificate(c, i, fd) == -1 ||
		    check_key(c, k, i, fd) == -1)
			break;
	keeper_free(k);
	if (i == c->npairs && check_client_cas(c, fd) == 0)
		report(fd, REPORT_END, 0, 0, NULL, "");
}

static int
fd_cmp(const void *va, const void *vb)
{
	const int *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

/* Close all but the keys, ${fd} and what is said on standard error. */
static int
close_others(const struct creds *c, int fd)
{
	unsigned int from = STDERR_FILENO + 1;
	size_t i, n = c->npairs + 1;
	int *kept;

	if ((kept = calloc(n, sizeof(*kept))) == NULL)
		return -1;
	for (i = 0; i < c->npairs; i++)
		kept[i] = CREDS_KEY(c, i)->fd;
	kept[i] = fd;
	qsort(kept, n, sizeof(*kept), fd_cmp);
	for (i = 0; i < n; i++) {
		if ((unsigned int)kept[i] > from)
			close_range(from, (unsigned int)kept[i] - 1, 0);
		from = (unsigned int)kept[i] + 1;
	}
	close_range(from, ~0U, 0);
	free(kept);
	return 0;
}

static void __attribute__((noreturn))
check_process(const struct creds *c, const struct account *account, int fd)
{
	/* what it reads is no business of a core file or a debugger; and it
	 * ends with its parent, which a change of account would forget */
	if (close_others(c, fd) == -1 || (account != NULL &&
	    privs_drop(account->uid, account->gid, 0, NULL) == -1) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		_exit(1);
	check_all(c, fd);
	_exit(0);
}

/* --- who started it ------------------------------------------------------- */

/* Read one within what is left of the time.  1, 0 at its end, -1. */
static int
report_read(int fd, uint64_t deadline_ms, struct report *r)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = monotonic_ms();
	ssize_t n;

	do {
		if (now >= deadline_ms)
			return -1;
		n = poll(&p, 1, (int)(deadline_ms - now));
		now = monotonic_ms();
	} while (n == 0 || (n == -1 && errno == EINTR));
	if (n == -1)
		return -1;
	n = read(fd, r, sizeof(*r));
	if (n != (ssize_t)sizeof(*r))
		return n == 0 ? 0 : -1;
	r->text[sizeof(r->text) - 1] = '\0';
	return 1;
}

/* Hear it out.  Return whether all was good. */
static int
listen_to(struct creds *c, int fd, char *err_r, size_t errlen)
{
	uint64_t deadline_ms = monotonic_ms() + CHECK_MS;
	struct creds_info *info;
	struct report r;
	int rc;

	while ((rc = report_read(fd, deadline_ms, &r)) == 1) {
		if (r.pair >= c->npairs)
			break;
		info = &c->infos[r.pair];
		switch (r.kind) {
		case REPORT_INFO:
			info->expiry = (time_t)r.expiry;
			strlcpy(info->name, r.text, sizeof(info->name));
			break;
		case REPORT_WARNING:
			log_warnx("tls-certificate", "reason=%s", r.text);
			break;
		case REPORT_ERROR:
			strlcpy(err_r, r.text, errlen);
			return -1;
		case REPORT_END:
			return 0;
		}
	}
	snprintf(err_r, errlen, "%s: the check of keys %s",
	    CREDS_KEY(c, 0)->path, rc == 0 ? "has died" :
	    "takes too long, or has failed");
	return -1;
}

int
creds_check(struct creds *c, const struct account *account, char *err_r,
    size_t errlen)
{
	int fds[2], rc, status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		goto err1;
	if ((pid = fork()) == -1)
		goto err2;
	if (pid == 0)
		check_process(c, account, fds[1]);
	close(fds[1]);
	rc = listen_to(c, fds[0], err_r, errlen);
	close(fds[0]);
	if (rc == -1)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return rc;
err2:
	close(fds[0]);
	close(fds[1]);
err1:
	snprintf(err_r, errlen, "the check of keys: %s", strerror(errno));
	return -1;
}

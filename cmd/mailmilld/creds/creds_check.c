/* Do keys and certificates belong together?  A process under keyd's account
 * finds out (probe.h), so that the master reads no key, and what parses one is
 * not root.
 * Owns: that check, and what is learned of the certificates by it. */

#include "cmd/mailmilld/creds/creds_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/process/log.h"
#include "tls/keeper.h"

#define CHECK_MS	20000	/* of all pairs: a machine under load */
/* What notices begin with. */
#define NOTE		"note "	/* text */
#define ENDS		"ends "	/* pair, when it ends, its first name */

/* --- in the process ------------------------------------------------------- */

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
	char where[CREDS_WHERE_MAX];
	time_t now = time(NULL);

	if (tls_cert_info(octets(cert), &info, err, sizeof(err)) == -1) {
		probe_say(fd, PROBE_BAD "%s: %s", creds_where(cert, where),
		    err);
		return -1;
	}
	if (info.not_after < now)
		probe_say(fd, NOTE "%s: has expired", cert->path);
	else if (info.not_before > now)
		probe_say(fd, NOTE "%s: is not valid yet", cert->path);
	if (ocsp->len > 0 && tls_ocsp_check(octets(ocsp), octets(cert), err,
	    sizeof(err)) == -1)
		probe_say(fd, NOTE "%s: %s", ocsp->path, err);
	probe_say(fd, ENDS "%zu %lld %.*s", i, (long long)info.not_after,
	    CREDS_NAME_MAX - 1, info.name);
	return 0;
}

static int
check_key(const struct creds *c, struct keeper *k, size_t i, int fd)
{
	const struct creds_file *cert = CREDS_CERT(c, i);
	const struct creds_file *key = CREDS_KEY(c, i);
	char why[KEEPER_ERROR_MAX], where[CREDS_WHERE_MAX];

	if (keeper_load(k, c->version, (uint32_t)i, key->fd, cert->octets,
	    cert->len, why, sizeof(why)) == 0)
		return 0;
	probe_say(fd, PROBE_BAD "%s: %s (its certificate is %.*s)",
	    creds_where(key, where), why, SETTINGS_ERROR_MAX / 2 - 64, cert->path);
	return -1;
}

static int
check_client_cas(const struct creds *c, int fd)
{
	struct tls_cert_info info;
	char err[TLSCTX_ERROR_MAX], where[CREDS_WHERE_MAX];
	size_t i;

	for (i = 0; i < c->ncas; i++)
		if (tls_cert_info(octets(CREDS_CA(c, i)), &info, err,
		    sizeof(err)) == -1) {
			probe_say(fd, PROBE_BAD "%s: %s",
			    creds_where(CREDS_CA(c, i), where), err);
			return -1;
		}
	return 0;
}

static void
check_all(int fd, const struct probe_spec *spec)
{
	const struct creds *c = spec->closure;
	struct keeper *k;
	size_t i;

	if ((k = keeper_new()) == NULL) {
		probe_say(fd, PROBE_BAD "out of memory for the check of keys");
		return;
	}
	for (i = 0; i < c->npairs; i++)
		if (check_certificate(c, i, fd) == -1 ||
		    check_key(c, k, i, fd) == -1)
			break;
	keeper_free(k);
	if (i == c->npairs && check_client_cas(c, fd) == 0)
		probe_say(fd, PROBE_GOOD);
}

/* --- in the master -------------------------------------------------------- */

void
creds_check(struct creds *c, const struct account *account,
    struct probe_spec *spec_r)
{
	size_t i;

	for (i = 0; i < c->npairs; i++)
		c->key_fds[i] = CREDS_KEY(c, i)->fd;
	*spec_r = (struct probe_spec){ .what = "TLS_Key: the check of keys",
		.account = *account, .fds = c->key_fds, .nfds = c->npairs,
		.limit_ms = CHECK_MS, .run = check_all, .closure = c };
}

static void
on_notice(void *closure, const char *text)
{
	struct creds *c = closure;
	struct creds_info *info;
	long long expiry;
	size_t pair;
	int at = 0;

	if (strncmp(text, NOTE, strlen(NOTE)) == 0)
		log_warnx("tls-certificate", "reason=%s", text + strlen(NOTE));
	if (sscanf(text, ENDS "%zu %lld %n", &pair, &expiry, &at) < 2 ||
	    pair >= c->npairs)
		return;
	info = &c->infos[pair];
	info->expiry = (time_t)expiry;
	strlcpy(info->name, text + at, sizeof(info->name));
}

int
creds_use(struct creds *c, const struct probe *p, char *err_r, size_t errlen)
{
	if (probe_judge(p, on_notice, c, err_r, errlen) == -1)
		return -1;
	if (creds_bundle_make(c) == -1) {
		snprintf(err_r, errlen, "certificates in memory: %s",
		    strerror(errno));
		return -1;
	}
	return 0;
}

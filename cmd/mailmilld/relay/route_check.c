/* The sockets of next hops: see route_check.h. */

#include "cmd/mailmilld/relay/route_check.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/roles.h"
#include "cmd/settings/route_addr.h"
#include "core/util/addr.h"
#include "core/util/fileio.h"
#include "tls/tls_client.h"

#define CHECK_MS	20000	/* of all: a file server may be slow */

/* Return 0, or -1 with errno. */
static int
try_bind(const union addr *addr)
{
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = fd == -1 ? -1 : bind(fd, &addr->sa, addr_len(&addr->sa));

	fileio_close(fd);
	return rc;
}

/* Does this machine have the addresses of Source? */
static void
check_source(int fd, const struct settings_domain *d)
{
	char at[CONF_AT_MAX];
	union addr addr;
	size_t i;

	for (i = 0; i < d->source.n; i++)
		if (settings_ip(d->source.v[i], &addr) == 0 &&
		    try_bind(&addr) == -1)
			probe_say(fd, PROBE_ABSENT "%s: option 'Source': %s: "
			    "%s: mail for %s is deferred", conf_at_text(
			    &d->source_at, at, sizeof(at)), d->source.v[i],
			    strerror(errno), d->name);
}

static void
check_domain(int fd, const struct settings *s, const struct settings_domain *d,
    uid_t uid)
{
	struct route_addr addr;
	char at[CONF_AT_MAX];
	size_t i;

	for (i = 0; i < d->route.n; i++) {
		/* connect(2) asks for the permission to write; unix(7) */
		if (route_addr_parse(d->route.v[i], &addr) == -1 ||
		    addr.kind != ROUTE_UNIX ||
		    fileio_may(addr.un.sun_path, S_IFSOCK, W_OK) == 0)
			continue;
		probe_say(fd, PROBE_ABSENT "%s: option 'Route': %s: %s%s%s: "
		    "mail for %s is deferred", conf_at_text(&d->route_at, at,
		    sizeof(at)), addr.un.sun_path, strerror(errno),
		    uid == 0 ? "" : " as ", uid == 0 ? "" : s->relay_user,
		    d->name);
	}
}

static void
check_all(int fd, const struct probe_spec *spec)
{
	const struct settings *s = spec->closure;
	size_t i;

	for (i = 0; i < s->ndomains; i++) {
		check_domain(fd, s, &s->domains[i], spec->account.uid);
		check_source(fd, &s->domains[i]);
	}
	probe_say(fd, PROBE_GOOD);
}

void
route_check(const struct settings *s, struct probe_spec *spec_r)
{
	*spec_r = (struct probe_spec){ .what = "Route, Source: looking "
		"for the sockets and addresses", .name = s->relay_user, .limit_ms = CHECK_MS,
		.run = check_all, .closure = s };
	account_look(s, ROLE_RELAY, &spec_r->account);
}

int
route_check_authorities(const struct settings *s, char *err_r, size_t errlen)
{
	const struct settings_domain *d;
	struct tlsctx_octets pem;
	char why[SETTINGS_ERROR_MAX / 2], at[CONF_AT_MAX];
	size_t i;

	for (i = 0; i < s->ndomains; i++) {
		d = &s->domains[i];
		if (!settings_is_relayed(d) || (*d->tls_ca_file == '\0' &&
		    d->tls_level != SETTINGS_TLS_VERIFY))
			continue;
		if (tls_authorities_read(d->tls_ca_file, &pem, why,
		    sizeof(why)) == -1) {
			snprintf(err_r, errlen, "%s: option 'TLS_CA_File' of "
			    "Domain \"%s\": %s", conf_at_text(&d->at, at,
			    sizeof(at)), d->name, why);
			return -1;
		}
		free((void *)(uintptr_t)pem.v);
	}
	return 0;
}

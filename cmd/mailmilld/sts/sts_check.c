/* What the role sts will need; see sts_check.h. */

#include "cmd/mailmilld/sts/sts_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmd/mailmilld/role/roles.h"
#include "cmd/mailmilld/sts/sts_curl.h"
#include "tls/tls_client.h"

#define CHECK_MS	20000	/* a file server may be slow */

/* Without policies mail would go to whom they exclude.  Without posts, reports go to
 * the addresses that domains have for them (RFC 8460 3: one way is enough). */
static void
check_library(int fd, const struct probe_spec *spec)
{
	char err[PROBE_TEXT_MAX / 2];

	if (sts_curl_load(err, sizeof(err)) == 0) {
		probe_say(fd, PROBE_GOOD);
		return;
	}
	if (settings_wants_sts(spec->closure)) {
		probe_say(fd, PROBE_BAD "option 'MTA_STS' needs libcurl, which "
		    "fetches policies: %s", err);
		return;
	}
	probe_say(fd, PROBE_LIMITED "option 'TLS_Reports': reports are sent to "
	    "mailto: URIs alone, since libcurl, which posts them to https: "
	    "URIs, cannot be loaded: %s, and reload the server", err);
	probe_say(fd, PROBE_GOOD);
}

void
sts_check(const struct settings *s, struct probe_spec *spec_r)
{
	*spec_r = (struct probe_spec){
		.what = "MTA_STS, TLS_Reports: loading libcurl",
		.name = s->sts_user, .limit_ms = CHECK_MS,
		.run = check_library, .closure = s };
	account_look(s, ROLE_STS, &spec_r->account);
}

int
sts_check_authorities(const struct settings *s, char *err_r, size_t errlen)
{
	char why[SETTINGS_ERROR_MAX / 2];
	struct tlsctx_octets pem;

	/* reports by mail need none */
	if (!settings_wants_sts(s) &&
	    (!s->tls_reports || *s->mta_sts_ca_file == '\0'))
		return 0;
	if (tls_authorities_read(s->mta_sts_ca_file, &pem, why,
	    sizeof(why)) == -1) {
		snprintf(err_r, errlen, "option 'MTA_STS_CA_File': %s", why);
		return -1;
	}
	free((void *)(uintptr_t)pem.v);
	return 0;
}

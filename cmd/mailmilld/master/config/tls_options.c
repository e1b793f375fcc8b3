/* TLS options that only OpenSSL can judge: see tls_options.h. */

#include "cmd/mailmilld/master/config/tls_options.h"

#include <string.h>

#include "cmd/settings/settings_tls.h"
#include "tls/tlsctx.h"

/* Which option a message of tlsctx_check() is about. */
static const struct {
	char				 which;
	enum settings_tls_text		 text;
	const char			*name;
} rows[] = {
	{ 'p', SETTINGS_TLS_PROTOCOLS, "TLS_Protocols" },
	{ 'c', SETTINGS_TLS_CIPHERS, "TLS_Ciphers" },
	{ 's', SETTINGS_TLS_CIPHERSUITES, "TLSv13_Ciphersuites" },
	{ 'g', SETTINGS_TLS_GROUPS, "TLS_Groups" },
};

static void
say(const struct settings *s, const struct settings_tls_context *x,
    char which, const char *why, char *err_r, size_t errlen)
{
	char at[CONF_AT_MAX];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].which != which)
			continue;
		snprintf(err_r, errlen, "%s: option '%s': %s", conf_at_text(
		    &x->at[rows[i].text], at, sizeof(at)), rows[i].name, why);
		return;
	}
	snprintf(err_r, errlen, "%s: TLS: %s", s->filename, why);
}

int
tls_options_check(const struct settings *s, char *err_r, size_t errlen)
{
	const struct settings_tls_context *x;
	struct tlsctx_config config;
	char why[TLSCTX_ERROR_MAX], which = '\0';
	size_t i;

	for (i = 0; i < s->tls->ncontexts; i++) {
		x = &s->tls->contexts[i];
		memset(&config, 0, sizeof(config));
		config.protocols = x->options->tls_protocols;
		config.ciphers = x->options->tls_ciphers;
		config.ciphersuites = x->options->tlsv13_ciphersuites;
		config.groups = x->options->tls_groups;
		if (tlsctx_check(&config, &which, why, sizeof(why)) == -1) {
			say(s, x, which, why, err_r, errlen);
			return -1;
		}
	}
	return 0;
}

/* See crypto_conf.h. */

#include "cmd/mailmilld/role/crypto_conf.h"

#include <errno.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define VARIABLE	"OPENSSL_CONF"

/* What OpenSSL found first; what it says later follows from that. */
static void
first_error(char *text_r, size_t len)
{
	const char *data = "", *reason;
	int flags = 0;
	unsigned long code = ERR_peek_error_all(NULL, NULL, NULL, &data,
	    &flags);

	reason = code == 0 ? NULL : ERR_reason_error_string(code);
	snprintf(text_r, len, "%s%s%s", reason == NULL ? "it has an error" :
	    reason, (flags & ERR_TXT_STRING) != 0 && *data != '\0' ? ": " : "",
	    (flags & ERR_TXT_STRING) != 0 ? data : "");
}

/* Unlike OpenSSL by itself, do not pass over a file that is missing, nor over
 * a part of it that fails. */
static int
load_all(const char *file)
{
	OPENSSL_INIT_SETTINGS *settings = OPENSSL_INIT_new();
	int rc;

	if (settings == NULL)
		return -1;
	OPENSSL_INIT_set_config_file_flags(settings,
	    CONF_MFLAGS_DEFAULT_SECTION);
	rc = OPENSSL_INIT_set_config_filename(settings, file) == 1 &&
	    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, settings) == 1 ?
	    0 : -1;
	OPENSSL_INIT_free(settings);
	return rc;
}

/* Is it a module that is to be used, and is not? */
static bool
is_absent(const CONF *conf, const CONF_VALUE *v, const char **name_r)
{
	static const char *const no[] = { "0", "no", "off", "false" };
	const char *dot = strchr(v->name, '.'), *name, *activate;
	size_t i;

	activate = NCONF_get_string(conf, v->value, "activate");
	if (activate == NULL)
		return false;
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (strcasecmp(activate, no[i]) == 0)
			return false;
	name = NCONF_get_string(conf, v->value, "identity");
	*name_r = name != NULL ? name : dot != NULL ? dot + 1 : v->name;
	return OSSL_PROVIDER_available(NULL, *name_r) != 1;
}

/* OpenSSL is content when a module is not there.  Return 0, or -1 and which it
 * is. */
static int
find_absent(const CONF *conf, char *why_r, size_t len)
{
	const char *section, *name = NULL;
	STACK_OF(CONF_VALUE) *modules = NULL;
	int i;

	section = NCONF_get_string(conf, NULL, "openssl_conf");
	if (section != NULL &&
	    (section = NCONF_get_string(conf, section, "providers")) != NULL)
		modules = NCONF_get_section(conf, section);
	for (i = 0; modules != NULL && i < sk_CONF_VALUE_num(modules); i++)
		if (is_absent(conf, sk_CONF_VALUE_value(modules, i), &name)) {
			snprintf(why_r, len, "the module '%s' cannot be "
			    "loaded", name);
			return -1;
		}
	return 0;
}

/* All of ${file}.  Return 0, or -1 and why not. */
static int
load(const char *file, char *why_r, size_t len)
{
	CONF *conf = NULL;
	int rc = -1;

	ERR_clear_error();
	if (load_all(file) == -1 || (conf = NCONF_new(NULL)) == NULL ||
	    NCONF_load(conf, file, NULL) != 1)
		first_error(why_r, len);
	else
		rc = find_absent(conf, why_r, len);
	NCONF_free(conf);
	/* what is not in the file leaves some */
	ERR_clear_error();
	return rc;
}

int
crypto_conf_load(char *err_r, size_t errlen)
{
	const char *file = secure_getenv(VARIABLE);
	char why[CRYPTO_CONF_ERROR_MAX / 2];

	if (file == NULL || *file == '\0') {
		if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) == 1)
			return 0;
		snprintf(err_r, errlen, "OpenSSL cannot load its "
		    "configuration");
		return -1;
	}
	if (*file != '/')
		strlcpy(why, "the path must begin with '/'", sizeof(why));
	else if (access(file, R_OK) == -1)
		strlcpy(why, strerror(errno), sizeof(why));
	else if (load(file, why, sizeof(why)) == 0)
		return 0;
	snprintf(err_r, errlen, "%s (which " VARIABLE " in the environment "
	    "names): %s; correct that, or start the server without that "
	    "variable", file, why);
	return -1;
}

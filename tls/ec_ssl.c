/* TLS of an event, by the names of the documented API: see ec_ssl.h. */

#include "tls/ec_ssl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/ec_malloc.h"
#include "tls/tlsio_int.h"

int
ec_ssl_is_event_ssl(Event *e)
{
	return e != NULL && tlsio_of(e) != NULL;
}

ec_ssl_ctx *
ec_ssl_ctx_from_event(Event *e)
{
	struct tlsio *t = e == NULL ? NULL : tlsio_of(e);

	if (t == NULL) {
		errno = EINVAL;
		return NULL;
	}
	tlsio_wake(t);
	if (t->ctx == NULL &&
	    (t->ctx = calloc(1, sizeof(*t->ctx))) == NULL)
		return NULL;
	t->ctx->ssl = t->ssl;
	t->ctx->ssl_ctx = SSL_get_SSL_CTX(t->ssl);
	return t->ctx;
}

void
ec_ssl_set_verify_errmsg(ec_ssl_ctx *ctx, int code, const char *msg)
{
	/* ${msg} may be the one that is replaced */
	char *old = ctx->error_string, *p;

	/* without memory, the number alone */
	ctx->error_string = msg == NULL ? NULL :
	    ec_mt_strdup(MEMTYPE_STRING, msg);
	ctx->error_code = msg == NULL ? 0 : code;
	ec_free(MEMTYPE_STRING, old);
	for (p = ctx->error_string; p != NULL && *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

int
ec_ssl_set_ctx_param(char **param, const char *value)
{
	char *copy = NULL;

	if (param == NULL) {
		errno = EINVAL;
		return 0;
	}
	if (value != NULL &&
	    (copy = ec_mt_strdup(MEMTYPE_STRING, value)) == NULL)
		return 0;
	ec_free(MEMTYPE_STRING, *param);
	*param = copy;
	return 1;
}

int
ec_ssl_set_ctx_verify_mode(ec_ssl_ctx_params *tls, const char *value)
{
	static const struct {
		const char	*word;
		int		 mode;
	} modes[] = {
		{ "none", EC_SSL_VERIFY_NONE },
		{ "ifavailable", EC_SSL_VERIFY_IFAVAILABLE },
		{ "required", EC_SSL_VERIFY_REQUIRED },
		{ "require", EC_SSL_VERIFY_REQUIRED }
	};
	size_t i;

	for (i = 0; tls != NULL && value != NULL &&
	    i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcasecmp(value, modes[i].word) == 0) {
			tls->tls_verify = modes[i].mode;
			return 1;
		}
	errno = EINVAL;
	return 0;
}

/* TLS of an event, by the names of the documented API. */

#ifndef TLS_EC_SSL_H
#define TLS_EC_SSL_H

#include <mailmill/api.h>
#include <mailmill/event.h>

MAILMILL_BEGIN

struct ssl_ctx_st;
struct ssl_st;
struct x509_store_ctx_st;

typedef struct _ec_ssl_ctx ec_ssl_ctx;

typedef int (*ec_ssl_verify_callback_func)(ec_ssl_ctx *ctx, void *closure,
    int preverify_ok, const char *subject, const char *issuer,
    struct x509_store_ctx_st *x509ctx);

/* TLS of one event; its own, and gone with it. */
struct _ec_ssl_ctx {
	struct ssl_ctx_st	*ssl_ctx;	/* SSL_CTX */
	struct ssl_st		*ssl;		/* SSL; used in a callback of the
						 * event alone */
	/* what ec_ssl_set_verify_errmsg() has noted, for whoever reads it; the
	 * library does not */
	int			 error_code;	/* 0: none is set */
	char			*error_string;
	/* the program's own: NULL at first, and never called here */
	ec_ssl_verify_callback_func verify_cb;
	void			*verify_closure;
};

/* What a context is made of; each text is NULL or ec_malloc_size()'s, of
 * MEMTYPE_STRING. */
typedef struct ec_ssl_ctx_params {
	int	 use_tls;
	int	 tls_verify;	/* EC_SSL_VERIFY_* */
	char	*certfile;
	char	*keyfile;
	char	*ca;
	char	*cipherlist;
} ec_ssl_ctx_params;

#define EC_SSL_VERIFY_NONE		0	/* no certificate is asked for */
#define EC_SSL_VERIFY_IFAVAILABLE	1	/* one that is given has to be good */
#define EC_SSL_VERIFY_REQUIRED		2

/* ec_ssl_is_event_ssl(e): Is ${e} on TLS?  1 or 0; 0 for NULL.
 * ec_ssl_ctx_from_event(e): The context of ${e}, the same one at each call;
 * NULL with errno: EINVAL, it is not on TLS; ENOMEM. */
int ec_ssl_is_event_ssl(Event *e);
ec_ssl_ctx *ec_ssl_ctx_from_event(Event *e);

/* ec_ssl_set_verify_errmsg(ctx, code, msg): Note why a certificate is not good,
 * in place of what was noted before: error_code and error_string, one line, of
 * which unprintable octets become '?'.  Without ${msg} nothing is noted any
 * more. */
void ec_ssl_set_verify_errmsg(ec_ssl_ctx *ctx, int code, const char *msg);

/* ec_ssl_set_ctx_param(&param, value): Set one of the four texts to a copy of
 * ${value}; NULL: to NULL.  Return 1; 0 with errno, and it is as it was:
 * ENOMEM, EINVAL without ${param}.
 * ec_ssl_set_ctx_verify_mode(tls, value): "none", "ifavailable" or "required"
 * (also "require"), in any case.  Return 1; 0 with errno EINVAL. */
int ec_ssl_set_ctx_param(char **param, const char *value);
int ec_ssl_set_ctx_verify_mode(ec_ssl_ctx_params *tls, const char *value);

MAILMILL_END

#endif

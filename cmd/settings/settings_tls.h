/* The key pairs and TLS contexts of the settings, numbered.
 * Owns: which scopes share one.  Processes with the same configuration get the
 * same numbers. */

#ifndef CMD_SETTINGS_SETTINGS_TLS_H
#define CMD_SETTINGS_SETTINGS_TLS_H

#include "cmd/settings/settings.h"

/* One certificate and its key, however many scopes name them. */
struct settings_pair {
	const char	*cert, *key, *ocsp;	/* paths; ocsp "" for none */
	struct conf_at	 cert_at, key_at, ocsp_at; /* of the options */
};

struct settings_client_ca {
	const char	*path;
	struct conf_at	 at;
};

/* Texts that OpenSSL is asked about (tls_options.h). */
enum settings_tls_text { SETTINGS_TLS_PROTOCOLS, SETTINGS_TLS_CIPHERS,
	SETTINGS_TLS_CIPHERSUITES, SETTINGS_TLS_GROUPS, SETTINGS_TLS_NTEXTS };

/* What sessions share whose options for TLS are the same. */
struct settings_tls_context {
	const struct esmtp_options *options;	/* one of them */
	uint32_t	*pairs;			/* numbers of pairs */
	size_t		 npairs;
	size_t		 client_ca;		/* index into client_cas + 1; 0: none */
	struct conf_at	 at[SETTINGS_TLS_NTEXTS]; /* where they are set */
};

struct settings_tls {
	struct settings_pair	*pairs;
	size_t			 npairs;	/* 0: no TLS at all */
	struct settings_tls_context *contexts;
	size_t			 ncontexts;
	struct settings_client_ca *client_cas;
	size_t			 nclient_cas;
	bool			*usable;	/* pairs of listener 0, of 1 ... */
};

/* settings_tls_build(c, s): Called by settings_load(): fill in s->tls.  Return 0
 * or -1 (noted in ${c}). */
struct conf;
int settings_tls_build(struct conf *c, struct settings *s);
void settings_tls_clear(struct settings *s);

/* settings_tls_context(o): The number of the context for sessions with
 * these options (of settings_options_for()), or -1: no TLS. */
int settings_tls_context(const struct esmtp_options *o);

/* settings_tls_may_use(s, listen, pair): May a session of that listener use
 * that key, whatever its Peer scope? */
bool settings_tls_may_use(const struct settings *s, size_t listen,
    uint32_t pair);

#endif

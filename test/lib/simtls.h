/* TLS in the simulated process: what the server's worker does with tls/, and a
 * client on memory BIOs, so that whole TLS dialogues run on the simulated
 * wire.
 * Owns: certificates made at the first use (Ed25519: every signature has the
 * same length, so a dialogue has the same octets' number each time), the
 * server's and the client's contexts, the signatures that are under way.
 * Knows nothing of what is said inside.
 *
 * The server's key is elsewhere, as in the server: tls/remote.h asks, and the
 * answer comes as an E_ASYNC after a simulated delay. */

#ifndef TEST_LIB_SIMTLS_H
#define TEST_LIB_SIMTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct simhost;

enum simtls_signing {
	SIMTLS_SIGNS,		/* after delay_us */
	SIMTLS_HOLDS,		/* not before simtls_release() */
	SIMTLS_REFUSES		/* there is nobody to ask */
};

/* simtls_setup(): Once per process, before simtls_use().  0 or -1. */
int simtls_setup(void);

/* simtls_server_pem(cert_r, key_r): The server's certificate and its private key,
 * as PEM.  After simtls_setup(). */
void simtls_server_pem(const char **cert_r, const char **key_r);

/* simtls_use(h): Give the host TLS: tls_start, tls_handshake.  After
 * simhost_init(); there is one such host at a time.  Options that count:
 * TLS_Certificate (any text: TLS is there), TLS_Client_CA (any text: clients
 * are asked for a certificate), TLS_Verify_Mode, TLS_Protocols. */
void simtls_use(struct simhost *h);

/* simtls_sign(how, delay_us), simtls_start_error(errnum): From now on, until
 * simtls_use().  simtls_release(): Make what is held.  simtls_break(): What
 * is held is never made; the server is told so. */
void simtls_sign(enum simtls_signing how, uint64_t delay_us);
void simtls_start_error(int errnum);
void simtls_release(void);
void simtls_break(void);
unsigned int simtls_nsigning(void);

/* What a client is like. */
#define SIMTLS_V12	0x01	/* offers TLS 1.2 at most */
#define SIMTLS_CERT	0x02	/* has a certificate of client@client.example */
#define SIMTLS_RESUME	0x04	/* has kept a session of the one before it */
#define SIMTLS_FOREIGN	0x08	/* with _CERT: of an authority nobody knows */
#define SIMTLS_V11	0x10	/* offers TLS 1.1 at most */
#define SIMTLS_NAMES	0x20	/* names the server, mx.example.test */

struct simtls_client;

/* simtls_client_new(flags): NULL: no memory, or no session to resume. */
struct simtls_client *simtls_client_new(unsigned int flags);
void simtls_client_free(struct simtls_client *c);

/* simtls_client_forget(): There is no session to resume any more. */
void simtls_client_forget(void);

/* simtls_client_context(): One of tls/tls_client.h, which trusts the authority;
 * for the code under test.  After simtls_setup(). */
struct tls_client_ctx *simtls_client_context(void);

/* simtls_client_handshake(c): 1: done, 0: it needs octets of the server,
 * -1: it has failed. */
int simtls_client_handshake(struct simtls_client *c);

/* The wire's side: octets from the server; octets for it, which are the
 * caller's to send before the next call (return how many, *buf_r). */
void simtls_client_feed(struct simtls_client *c, const char *buf, size_t len);
size_t simtls_client_take(struct simtls_client *c, const char **buf_r);

/* The inside: write takes all; read returns octets, 0: none yet, -1: the
 * server has said that there will be no more, or what it sent is no TLS. */
int simtls_client_write(struct simtls_client *c, const char *buf, size_t len);
int simtls_client_read(struct simtls_client *c, char *buf, size_t len);

/* simtls_client_rekey(c): Ask for new keys: a KeyUpdate that wants another in
 * return (RFC 8446 4.6.3), or in TLS 1.2 a renegotiation.
 * simtls_client_finish(c): Say close_notify. */
void simtls_client_rekey(struct simtls_client *c);
void simtls_client_finish(struct simtls_client *c);

#endif

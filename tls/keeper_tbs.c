/* What a TLS server signs in its handshakes, and nothing else.
 * Owns: the forms of these octets.  A signature of other octets is never made:
 * a process that may ask for signatures can act as the TLS server, and can do
 * nothing else with the key.
 * Knows nothing of keys. */

#include <stdbool.h>
#include <string.h>

#include "tls/keeper_int.h"

/* RFC 8446 4.4.3: 64 spaces, the context string, an octet 0, the hash of the
 * handshake so far.  The client's string is another. */
#define SPACES		64
static const char context[] = "TLS 1.3, server CertificateVerify";
#define TLS13_HEAD	(SPACES + sizeof(context))	/* with the octet 0 */

/* RFC 8422 5.4: the two randoms, then ServerECDHParams */
#define RANDOMS		64
#define NAMED_CURVE	3
#define TLS12_HEAD	((size_t)RANDOMS + 4)	/* curve type, group, length */

/* The groups of ECDHE with the octets of their points: RFC 8422 5.1.1 and
 * 5.4.1 (uncompressed, their first octet 4), RFC 7027 2 for the Brainpool
 * curves. */
static const struct {
	uint16_t	 group;
	uint8_t		 octets;
	bool		 is_uncompressed;
} groups[] = {
	{ 23, 65, true },	/* secp256r1 */
	{ 24, 97, true },	/* secp384r1 */
	{ 25, 133, true },	/* secp521r1 */
	{ 26, 65, true },	/* brainpoolP256r1 */
	{ 27, 97, true },	/* brainpoolP384r1 */
	{ 28, 129, true },	/* brainpoolP512r1 */
	{ 29, 32, false },	/* x25519 */
	{ 30, 56, false },	/* x448 */
};

static bool
is_tls13(const uint8_t *tbs, size_t len)
{
	size_t i;

	/* the hash of the cipher suite, RFC 8446 B.4: SHA-256 or SHA-384 */
	if (len != TLS13_HEAD + 32 && len != TLS13_HEAD + 48)
		return false;
	for (i = 0; i < SPACES; i++)
		if (tbs[i] != 0x20)
			return false;
	return memcmp(tbs + SPACES, context, sizeof(context)) == 0;
}

static bool
is_tls12(const uint8_t *tbs, size_t len)
{
	const uint8_t *p = tbs + RANDOMS;
	size_t i;

	if (len <= TLS12_HEAD || p[0] != NAMED_CURVE)
		return false;
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (groups[i].group == (p[1] << 8 | p[2]))
			return p[3] == groups[i].octets &&
			    len == TLS12_HEAD + groups[i].octets &&
			    (!groups[i].is_uncompressed || p[4] == 4);
	return false;
}

enum keeper_tls
keeper_tbs(const uint8_t *tbs, size_t len)
{
	if (len == 0)		/* and then tbs may be NULL */
		return KEEPER_NOT_TLS;
	if (is_tls13(tbs, len))
		return KEEPER_TLS13;
	return is_tls12(tbs, len) ? KEEPER_TLS12 : KEEPER_NOT_TLS;
}

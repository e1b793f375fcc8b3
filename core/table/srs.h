/* The Sender Rewriting Scheme: a sender's address in a domain of ours, for mail
 * that is forwarded, so that the next server finds this one among those that may
 * send for that domain (SPF); and the way back of what is returned to it.
 * Owns: the two forms, the keys that sign them, how old one may be.
 * The forms are those of libsrs2 and postsrsd, the paper is Meng Weng Wong's and
 * Shevek's "The Sender Rewriting Scheme" (2004):
 *	SRS0=<hash>=<days>=<domain>=<local part>@<our domain>
 *	SRS1=<hash>=<first forwarder>=<what followed SRS0 there>@<our domain>
 * The hash is the beginning of HMAC-SHA1, in base64; days since 1970, modulo
 * 1024, are two digits in base 32 (RFC 4648 6).  The second form is for what
 * another server has already rewritten: it does not grow with each server. */

#ifndef CORE_TABLE_SRS_H
#define CORE_TABLE_SRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRS_KEYS_MAX	16	/* in a file: the one in use, and those that were */
#define SRS_KEY_MIN	8	/* octets of a key */
#define SRS_KEY_MAX	255
#define SRS_DAYS	21	/* that an address can be used, as libsrs2 has it: longer than any queue keeps a message */

struct srs;

/* srs_load(path, err_r, errlen): Read the file of keys, one in a line; blank lines
 * and those that begin with '#' are skipped.  The first one signs, each of them
 * is taken as a signature's.  NULL with "path:line: what is wrong" or "path: ..." in
 * ${err_r}.
 * srs_free(srs): Wipe the keys.  NULL does nothing. */
struct srs *srs_load(const char *path, char *err_r, size_t errlen);
void srs_free(struct srs *srs);

/* srs_is_address(address): Has ${address} one of the two forms, as far as its
 * beginning says? */
bool srs_is_address(const char *address);

/* srs_forward(srs, sender, domain, now, buf, size): Write the address in ${domain}
 * for ${sender} (local part and domain, as in an envelope, not "") at ${now}, unix
 * seconds, to ${buf}, NUL terminated.  Return 0, or -1 with errno: EINVAL, the
 * sender has no domain, or none that can be one; ENAMETOOLONG; ENOMEM. */
int srs_forward(const struct srs *srs, const char *sender, const char *domain,
    int64_t now, char *buf, size_t size);

/* srs_reverse(srs, address, now, buf, size): Write the address from which
 * srs_forward() has made ${address}, which is hostile.  Upper and lower case make
 * no difference in what is checked, since others change it.  Return 0, or -1 with
 * errno: EINVAL, it has none of the forms; EBADMSG, none of the keys has signed
 * it; ETIME, it is older than SRS_DAYS; ENAMETOOLONG; ENOMEM. */
int srs_reverse(const struct srs *srs, const char *address, int64_t now,
    char *buf, size_t size);

#endif

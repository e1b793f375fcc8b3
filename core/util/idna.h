/* Domains whose names are not ASCII: IDNA2008 (RFC 5890 to 5893).
 * Owns: the one form that a domain has here, whichever of the two it was written
 * in: A-labels, "xn--grn-ioa.example".
 * What IDNA means by a label is libidn2's. */

#ifndef CORE_UTIL_IDNA_H
#define CORE_UTIL_IDNA_H

#include <sys/types.h>

#include <stddef.h>

#define IDNA_MAX	255	/* octets of a domain; RFC 5321 4.5.3.1.2 */

/* idna_ascii(s, len, out, size): Write the domain ${s} with its U-labels as
 * A-labels, NUL terminated.  Letters of a U-label may be capitals, and in any
 * normal form, as a user types them; what else would have to be mapped (RFC
 * 5895) is refused, such as other dots than that of ASCII.  A label of ASCII is
 * copied, in lower case, and may be anything.
 * Return the octets without the NUL; or -1 with errno: EILSEQ, a label is not
 * UTF-8, or none of IDNA2008; ENAMETOOLONG, a label would have more than 63
 * octets, or the domain more than IDNA_MAX; ENOSPC; ENOMEM. */
ssize_t idna_ascii(const char *s, size_t len, char *out, size_t size);

/* idna_unicode(s, len, out, size): Write the domain ${s}, as idna_ascii() writes
 * it, for people: NUL terminated, with U-labels in place of those A-labels that
 * stand for characters which can be seen (utf8_visible()).  Return the octets
 * without the NUL; or -1: there is no room. */
ssize_t idna_unicode(const char *s, size_t len, char *out, size_t size);

#endif

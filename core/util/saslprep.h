/* SASLprep (RFC 4013): names and passwords in the form in which they are
 * compared.
 * Owns: the rule for what is prepared, kept or refused.  It is the same where
 * passwords are stored and where they are checked.
 * Knows nothing of users or mechanisms. */

#ifndef CORE_UTIL_SASLPREP_H
#define CORE_UTIL_SASLPREP_H

#include <stddef.h>

/* saslprep_text(in, out_r, size): Prepare the NUL terminated ${in} into
 * ${out_r}, which has ${size} octets.  Unassigned code points pass (RFC 3454 7:
 * a query).  UTF-8 that RFC 4013 forbids stays as it is: people have such
 * passwords (letters written from right to left and then a digit), and many
 * clients send them unprepared.  Return 0, or -1 with errno: EILSEQ not UTF-8,
 * EINVAL nothing is left, ENAMETOOLONG, ENOMEM; ${out_r} is then "". */
int saslprep_text(const char *in, char *out_r, size_t size);

/* saslprep_is_utf8(s, len): Is it UTF-8 (RFC 3629: no surrogates, nothing
 * over-long, nothing above U+10FFFF)? */
int saslprep_is_utf8(const char *s, size_t len);

#endif

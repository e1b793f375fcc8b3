/* xtext: how the values of parameters hold octets that the grammar of commands
 * does not have, RFC 3461 4.  And its sibling for addresses that are not ASCII,
 * RFC 6533 3. */

#ifndef PROTO_PARSE_XTEXT_H
#define PROTO_PARSE_XTEXT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

/* xtext_decode(s, len, out, outlen): Decode the xtext in ${s}, ${len} octets.
 * Any octet may come out of it, a NUL, too.  Return octets written to ${out},
 * or -1 (EINVAL; ENOSPC). */
ssize_t xtext_decode(const char *s, size_t len, char *out, size_t outlen);

/* xtext_decode_utf8(s, len, out, outlen): The same for the utf-8-addr-xtext of
 * RFC 6533 3, in which \x{HEX} is a code point, and its utf-8-addr-unitext, which
 * has UTF-8 as it is: its characters can be seen (utf8_visible()).  What comes out
 * is UTF-8 without controls, those of direction included. */
ssize_t xtext_decode_utf8(const char *s, size_t len, char *out,
    size_t outlen);

/* xtext_encode(s, len, out, outlen): Write ${s} as xtext.
 * xtext_encode_utf8(s, len, out, outlen): Write ${s}, which is UTF-8, as
 * utf-8-addr-xtext: ASCII, which a server without SMTPUTF8 takes, too.
 * Return octets written, or -1 (ENOSPC; of the second also EILSEQ: it is not
 * UTF-8, or has controls, those of direction included). */
ssize_t xtext_encode(const char *s, size_t len, char *out, size_t outlen);
ssize_t xtext_encode_utf8(const char *s, size_t len, char *out,
    size_t outlen);

/* xtext_is_printable(s, len): Are all octets graphic ASCII or spaces?
 * xtext_is_type(s, len): Is it the addr-type before an address in xtext, an
 * atom (RFC 3461 4.2, RFC 5322 3.2.3)? */
bool xtext_is_printable(const char *s, size_t len);
bool xtext_is_type(const char *s, size_t len);

#endif

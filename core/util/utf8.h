/* UTF-8 (RFC 3629) that comes from others: which characters may be shown, and
 * which texts are the same.
 * Owns: what is visible, the key of a text in any case of its letters.
 * The tables of Unicode are those of GNU libunistring.  No function depends on a
 * locale, and what is ASCII takes a short way. */

#ifndef CORE_UTIL_UTF8_H
#define CORE_UTIL_UTF8_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

/* utf8_is_ascii(s, len): Has no octet of ${s} the eighth bit? */
bool utf8_is_ascii(const char *s, size_t len);

/* utf8_visible(s, len): Return the octets of the character that ${s} begins with
 * (1 to 4); 0: they are not UTF-8, or the character is none that can be seen: a
 * control, one of direction, of no width, a space other than that of ASCII, or
 * one that is ignored by whoever displays it; or nobody has assigned it, so that
 * its normal form is not known.
 * utf8_is_visible(s, len): Are all characters of ${s} such?
 * utf8_is_mark(s, len): Does ${s} begin with a character that combines with the
 * one before it? */
size_t utf8_visible(const char *s, size_t len);
bool utf8_is_visible(const char *s, size_t len);
bool utf8_is_mark(const char *s, size_t len);

/* utf8_nfc(s, len, out, size): Write the text in Normalization Form C (UAX 15),
 * which may be three times as long, without a NUL.
 * utf8_lower(s, len, out, size): The same in lower case: the key of a text in
 * any case of its letters.  The key of a key is itself.  Octets that are not
 * UTF-8 stay as they are, but for letters of ASCII.
 * Both: return the octets written; or -1 with errno ENOSPC, ENOMEM, and of the
 * first one EILSEQ. */
ssize_t utf8_nfc(const char *s, size_t len, char *out, size_t size);
ssize_t utf8_lower(const char *s, size_t len, char *out, size_t size);

#endif

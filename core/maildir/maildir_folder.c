/* Names of folders in a Maildir; see maildir_folder.h. */

#include "core/maildir/maildir_folder.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "core/util/utf8.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    "0123456789+,";

/* Text that grows to the end of its buffer, and no further */
struct name {
	char		*buf;
	size_t		 len;
	bool		 is_full;
	bool		 is_shifted;	/* in base64, between & and - */
	uint32_t	 bits;		/* of it, not yet written */
	unsigned int	 nbits;
};

static void
put(struct name *n, char c)
{
	if (n->len + 1 >= MAILDIR_FOLDER_MAX) {
		n->is_full = true;
		return;
	}
	n->buf[n->len++] = c;
	n->buf[n->len] = '\0';
}

static void
unshift(struct name *n)
{
	if (!n->is_shifted)
		return;
	if (n->nbits > 0)
		put(n, base64[n->bits << (6 - n->nbits) & 0x3f]);
	put(n, '-');
	n->is_shifted = false;
}

/* A unit of UTF-16 */
static void
put_unit(struct name *n, uint32_t unit)
{
	if (!n->is_shifted) {
		put(n, '&');
		n->is_shifted = true;
		n->bits = n->nbits = 0;
	}
	n->bits = n->bits << 16 | unit;
	for (n->nbits += 16; n->nbits >= 6; n->nbits -= 6)
		put(n, base64[n->bits >> (n->nbits - 6) & 0x3f]);
	n->bits &= (1u << n->nbits) - 1;
}

/* The character of ${len} octets at ${s}, which is UTF-8 */
static uint32_t
decode(const unsigned char *s, size_t len)
{
	static const unsigned char mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = s[0] & mask[len];
	size_t i;

	for (i = 1; i < len; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

static void
put_char(struct name *n, uint32_t c)
{
	if (c < 0x80) {
		unshift(n);
		put(n, (char)c);
		if (c == '&')
			put(n, '-');
	} else if (c < 0x10000) {
		put_unit(n, c);
	} else {
		put_unit(n, 0xd800 + ((c - 0x10000) >> 10));
		put_unit(n, 0xdc00 + ((c - 0x10000) & 0x3ff));
	}
}

int
maildir_folder_name(const char *name, char *buf)
{
	struct name n = { .buf = buf };
	size_t len = strlen(name), i, octets;

	/* with the first dot, which is written before the name, none is empty */
	if (len == 0 || name[0] == '.' || name[len - 1] == '.' ||
	    strstr(name, "..") != NULL || strcasecmp(name, "INBOX") == 0)
		return -1;
	put(&n, '.');
	for (i = 0; i < len && !n.is_full; i += octets) {
		octets = utf8_visible(name + i, len - i);
		if (octets == 0 || name[i] == '/')
			return -1;
		put_char(&n, decode((const unsigned char *)name + i, octets));
	}
	unshift(&n);
	return n.is_full ? -1 : 0;
}

/* The PROXY header: what is one, and that not an octet too many is read. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"
#include "proto/parse/proxyhdr.h"

#define SIG	"\r\n\r\n\0\r\nQUIT\n"
#define V4	"\xc0\0\2\7" "\xcb\0\x71\1" "\xdc\4\0\x19"
#define V6	"\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7" \
		"\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1" "\xdc\4\0\x19"
#define V4_AS_V6 "\0\0\0\0\0\0\0\0\0\0\xff\xff" "\xc0\0\2\7" \
		"\0\0\0\0\0\0\0\0\0\0\xff\xff" "\xcb\0\x71\1" "\xdc\4\0\x19"

struct vector {
	const char	*octets;
	size_t		 len;
	const char	*want;		/* source and destination; "" unknown, NULL: refused */
};
#define V(octets, want)	{ octets, sizeof(octets) - 1, want }

static const struct vector vectors[] = {
	V("PROXY UNKNOWN\r\n", ""),
	V("PROXY UNKNOWN what ever\r\n", ""),
	V("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", ""),
	V("PROXY TCP4 192.0.2.7 203.0.113.1 56324 25\r\n",
	    "192.0.2.7 56324 203.0.113.1 25"),
	V("PROXY TCP4 0.0.0.0 1.1.1.1 0 0\r\n", "0.0.0.0 0 1.1.1.1 0"),
	V("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
	    "255.255.255.255 65535 255.255.255.255 65535"),
	V("PROXY TCP6 2001:db8::7 2001:db8::1 56324 25\r\n",
	    "2001:db8::7 56324 2001:db8::1 25"),
	V("PROXY TCP6 :: :: 1 2\r\n", ":: 1 :: 2"),
	V("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:203.0.113.1 56324 25\r\n",
	    "192.0.2.7 56324 203.0.113.1 25"),
	V("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535"),
	V("PROXY TCP4 192.0.2.7 203.0.113.1 56324 65536\r\n", NULL),
	V("PROXY TCP4 192.0.2.7 203.0.113.1 056 25\r\n", NULL),
	V("PROXY TCP4 192.0.2.7 203.0.113.1 -1 25\r\n", NULL),
	V("PROXY TCP4 192.0.2.7 203.0.113.1 1 25 \r\n", NULL),
	V("PROXY TCP4 192.0.2.7 203.0.113.1 1 25 7\r\n", NULL),
	V("PROXY TCP4 192.0.2.7  203.0.113.1 1 25\r\n", NULL),
	V("PROXY TCP4 192.0.2.7 203.0.113.1 1\r\n", NULL),
	V("PROXY TCP4 192.0.2.256 203.0.113.1 1 25\r\n", NULL),
	V("PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n", NULL),
	V("PROXY TCP6 192.0.2.7 203.0.113.1 1 25\r\n", NULL),
	V("PROXY TCP4 192.0.2.7 203.0.113.1 1 25\n", NULL),
	V("PROXY TCP4 192.0.2.7\r203.0.113.1 1 25\r\n", NULL),
	V("PROXY TCP5 192.0.2.7 203.0.113.1 1 25\r\n", NULL),
	V("PROXY UNKNOWNS and more\r\n", NULL),
	V("PROXY  TCP4 192.0.2.7 203.0.113.1 1 25\r\n", NULL),
	V("proxy TCP4 192.0.2.7 203.0.113.1 1 25\r\n", NULL),
	V("PROXY TCP4 \0.0.2.7 203.0.113.1 1 25\r\n", NULL),
	V("PROXY \r\nEHLO a.example\r\n", NULL),
	V("EHLO client.example\r\n", NULL),
	V("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on", NULL),
	V(SIG "\x20\0\0\0", ""),
	V(SIG "\x20\x11\0\3" "???", ""),
	V(SIG "\x21\0\0\0", ""),
	V(SIG "\x21\x11\0\xc" V4, "192.0.2.7 56324 203.0.113.1 25"),
	V(SIG "\x21\x11\0\x11" V4 "\4\0\2\0\0",
	    "192.0.2.7 56324 203.0.113.1 25"),
	V(SIG "\x21\x21\0\x24" V6, "2001:db8::7 56324 2001:db8::1 25"),
	V(SIG "\x21\x21\0\x24" V4_AS_V6, "192.0.2.7 56324 203.0.113.1 25"),
	V(SIG "\x21\x12\0\xc" V4, ""),
	V(SIG "\x21\x31\0\2" "/s", ""),
	V(SIG "\x21\x11\0\xb" "\xc0\0\2\7" "\xcb\0\x71\1" "\xdc\4\0", NULL),
	V(SIG "\x21\x21\0\xc" V4, NULL),
	V(SIG "\x21\x41\0\xc" V4, NULL),
	V(SIG "\x21\x13\0\xc" V4, NULL),
	V(SIG "\x22\x11\0\xc" V4, NULL),
	V(SIG "\x11\x11\0\xc" V4, NULL),
	V(SIG "\x21\x11\xff\xff" V4, NULL),
	V("\r\n\r\n\0\r\nQUIT\r" "\x21\x11\0\xc" V4, NULL),
};

/* Read ${v} as the session does, with ${extra} octets behind it, which must
 * stay; at most ${piece} octets come at once.  The octets read, in memory of
 * just that size; *len_r is -1 when it is refused. */
static char *
take(const struct vector *v, size_t piece, int *len_r)
{
	char *buf = NULL;
	const char *why = NULL;
	size_t n, len = 0;
	int missing;

	while ((missing = proxyhdr_missing(buf, len, &why)) > 0) {
		n = (size_t)missing < piece ? (size_t)missing : piece;
		/* one more octet would be another's: a ClientHello's */
		if (v->want != NULL)
			cr_assert_leq(len + (size_t)missing, v->len, "%s",
			    v->octets);
		if (len + n > v->len)
			break;
		buf = realloc(buf, len + n);
		memcpy(buf + len, v->octets + len, n);
		len += n;
	}
	*len_r = missing == 0 ? (int)len : -1;
	if (missing == -1)
		cr_assert_not_null(why);
	return buf;
}

static void
text(const struct proxyhdr *h, char *buf, size_t len)
{
	char source[ADDR_TEXT], dest[ADDR_TEXT];

	buf[0] = '\0';
	if (h->is_known)
		snprintf(buf, len, "%s %u %s %u",
		    addr_text(&h->source.sa, source),
		    addr_port(&h->source.sa), addr_text(&h->dest.sa, dest),
		    addr_port(&h->dest.sa));
}

Test(proxyhdr, each_header_says_what_it_says_however_it_comes)
{
	static const size_t pieces[] = { 1, 2, 7, 4096 };
	char buf[128], *octets;
	struct proxyhdr h;
	const char *why;
	size_t i, k;
	int len;

	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];

		for (k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
			octets = take(v, pieces[k], &len);
			if (len != -1 && proxyhdr_parse(octets, (size_t)len,
			    &h, &why) == -1)
				len = -1;
			free(octets);
			if (v->want == NULL) {
				cr_expect_eq(len, -1, "%s", v->octets);
				continue;
			}
			cr_assert_eq(len, (int)v->len, "%zu %s", i, v->octets);
			text(&h, buf, sizeof(buf));
			cr_expect_str_eq(buf, v->want);
		}
	}
}

Test(proxyhdr, no_octet_string_does_harm)
{
	unsigned int seed = 1, i, k, n;
	struct proxyhdr h;
	const char *why;
	char *buf;

	for (i = 0; i < 20000; i++) {
		const struct vector *v = &vectors[(unsigned int)rand_r(&seed) %
		    (sizeof(vectors) / sizeof(vectors[0]))];

		n = (unsigned int)rand_r(&seed) % (unsigned int)(v->len + 1);
		buf = malloc(n > 0 ? n : 1);
		memcpy(buf, v->octets, n);
		for (k = 0; n > 0 && k < 3; k++)
			buf[(unsigned int)rand_r(&seed) % n] =
			    (char)rand_r(&seed);
		why = NULL;
		if (proxyhdr_parse(buf, n, &h, &why) == -1)
			cr_assert_not_null(why);
		free(buf);
	}
}

Test(proxyhdr, a_header_that_never_ends_is_refused)
{
	char buf[PROXYHDR_V1_MAX];
	const char *why;

	memset(buf, 'x', sizeof(buf));
	memcpy(buf, "PROXY UNKNOWN ", 14);
	cr_assert_eq(proxyhdr_missing(buf, sizeof(buf), &why), -1);
	cr_assert_eq(proxyhdr_missing(buf, sizeof(buf) - 1, &why), 1);
	memcpy(buf, SIG "\x21\x11", 14);
	buf[14] = (char)((LIM_PROXY_HEADER - 16) >> 8);
	buf[15] = (char)(LIM_PROXY_HEADER - 16);
	cr_assert_eq(proxyhdr_missing(buf, 16, &why), LIM_PROXY_HEADER - 16);
	buf[15]++;
	cr_assert_eq(proxyhdr_missing(buf, 16, &why), -1);
}

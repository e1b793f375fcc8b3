/* The Sender Rewriting Scheme; see srs.h. */

#include "core/table/srs.h"

#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/table/textfile.h"
#include "core/util/base64.h"
#include "core/util/fileio.h"
#include "core/util/wipe.h"

#define FILE_MAX	65536		/* octets of a file of keys */
#define TAG		4		/* octets of SRS0 and of SRS1 */
#define HASH		4		/* octets of a hash; libsrs2 writes and wants so many */
#define HASH_OCTETS	3		/* of the digest, that are these */
#define STAMP		2		/* octets of a time */
#define DAY_S		86400
#define SLOTS		1024		/* days, after which times begin again */
#define ADDRESS_MAX	1024		/* octets of an address, far over LIM_PATH */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* RFC 4648 6 */

struct srs {
	struct key {
		unsigned char	 octets[SRS_KEY_MAX];
		size_t		 len;
	}	 keys[SRS_KEYS_MAX];
	size_t	 n;
};

/* A piece of an address; not NUL terminated */
struct piece {
	const char	*s;
	size_t		 len;
};

/* --- signatures ------------------------------------------------------------- */

/* Sign ${pieces} with ${key}: in lower case, since others change the case.
 * Return 0, or -1 with errno. */
static int
sign(const struct key *key, const struct piece *pieces, size_t n,
    char hash_r[HASH + 1])
{
	unsigned char data[ADDRESS_MAX], digest[EVP_MAX_MD_SIZE];
	size_t i, j, len = 0;
	unsigned int octets;

	for (i = 0; i < n; i++) {
		if (pieces[i].len > sizeof(data) - len) {
			errno = ENAMETOOLONG;
			return -1;
		}
		for (j = 0; j < pieces[i].len; j++)
			data[len++] = (unsigned char)tolower(
			    (unsigned char)pieces[i].s[j]);
	}
	if (HMAC(EVP_sha1(), key->octets, (int)key->len, data, len, digest,
	    &octets) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	return base64_encode(digest, HASH_OCTETS, hash_r, HASH + 1) == -1 ?
	    -1 : 0;
}

/* Has one of the keys signed ${pieces} with ${hash}?  0, or -1 with errno.  (Nobody
 * learns from the time that it takes which octets were right: what is compared is
 * what a client says and a digest that it cannot choose.) */
static int
verify(const struct srs *srs, const struct piece *pieces, size_t n,
    const struct piece *hash)
{
	char own[HASH + 1];
	size_t i;

	for (i = 0; i < srs->n; i++) {
		if (sign(&srs->keys[i], pieces, n, own) == -1)
			return -1;
		if (hash->len == HASH && strncasecmp(own, hash->s, HASH) == 0)
			return 0;
	}
	errno = EBADMSG;
	return -1;
}

/* --- keys ------------------------------------------------------------------- */

/* Take the line ${s}, ${len} octets; what is wrong with it, or NULL. */
static const char *
take_key(struct srs *srs, const char *s, size_t len)
{
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		len--;
	if (len == 0 || s[0] == '#')
		return NULL;
	if (srs->n == SRS_KEYS_MAX)
		return "more than 16 keys: remove the oldest, which are last";
	if (len < SRS_KEY_MIN)
		return "a key of less than 8 octets can be guessed: \"openssl "
		    "rand -base64 24\" makes one";
	if (len > SRS_KEY_MAX)
		return "a key of more than 255 octets";
	if (memchr(s, '\0', len) != NULL)
		return "a NUL in a key: expected text";
	memcpy(srs->keys[srs->n].octets, s, len);
	srs->keys[srs->n++].len = len;
	return NULL;
}

/* Take all lines of ${text}.  Return 0, or -1 having said what is wrong. */
static int
take_keys(struct srs *srs, const char *path, const char *text, size_t len,
    char *err_r, size_t errlen)
{
	const char *line, *end = text + len, *nl, *why;
	size_t number = 1;

	for (line = text; line < end; line = nl + 1, number++) {
		nl = memchr(line, '\n', (size_t)(end - line));
		if (nl == NULL)
			nl = end;
		why = take_key(srs, line, (size_t)(nl - line));
		if (why != NULL) {
			snprintf(err_r, errlen, "%s:%zu: %s", path, number,
			    why);
			return -1;
		}
	}
	if (srs->n > 0)
		return 0;
	snprintf(err_r, errlen, "%s: there is no key in it: \"openssl rand "
	    "-base64 24 > FILE\" makes one", path);
	return -1;
}

/* Who has the keys can send mail through this server to anybody. */
static int
check_mode(int fd, const char *path, char *err_r, size_t errlen)
{
	struct stat st;

	if (fstat(fd, &st) == -1 || (st.st_mode & (S_IRWXO | S_IWGRP)) == 0)
		return 0;
	snprintf(err_r, errlen, "%s: others can read or write it: chmod 600",
	    path);
	return -1;
}

/* OpenSSL opens files when it is used for the first time, and the processes that have
 * the keys may not do that when they are at work. */
static int
prepare(const struct srs *srs, const char *path, char *err_r, size_t errlen)
{
	const struct piece none = { "", 0 };
	char hash[HASH + 1];

	if (sign(&srs->keys[0], &none, 1, hash) == 0)
		return 0;
	snprintf(err_r, errlen, "%s: OpenSSL makes no HMAC-SHA1 with its keys: "
	    "is SHA1 forbidden in its configuration?", path);
	return -1;
}

struct srs *
srs_load(const char *path, char *err_r, size_t errlen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct srs *srs = calloc(1, sizeof(*srs));
	char *text = NULL;
	size_t len = 0;
	int rc = -1;

	if (srs == NULL || fd == -1 ||
	    (text = textfile_read(fd, FILE_MAX, &len)) == NULL)
		snprintf(err_r, errlen, "%s: cannot be read: %s", path,
		    strerror(errno));
	else if (check_mode(fd, path, err_r, errlen) == 0)
		rc = take_keys(srs, path, text, len, err_r, errlen) == -1 ?
		    -1 : prepare(srs, path, err_r, errlen);
	wipe_free(text, len);
	if (fd != -1)
		close(fd);
	if (rc == 0)
		return srs;
	srs_free(srs);
	return NULL;
}

void
srs_free(struct srs *srs)
{
	wipe_free(srs, sizeof(*srs));
}

/* --- time ------------------------------------------------------------------- */

static void
write_stamp(int64_t now, char stamp_r[STAMP])
{
	unsigned int day = (unsigned int)(now / DAY_S % SLOTS);

	stamp_r[0] = digits[day >> 5];
	stamp_r[1] = digits[day & 31];
}

/* Is it not too old, and not of the future?  A clock may be wrong by a day. */
static bool
is_in_time(const struct piece *stamp, int64_t now)
{
	unsigned int day = 0, age;
	const char *digit;
	size_t i;

	if (stamp->len != STAMP)
		return false;
	for (i = 0; i < STAMP; i++) {
		digit = strchr(digits, toupper((unsigned char)stamp->s[i]));
		if (digit == NULL || *digit == '\0')
			return false;
		day = day << 5 | (unsigned int)(digit - digits);
	}
	age = (unsigned int)((now / DAY_S + 1 - (int64_t)day) & (SLOTS - 1));
	return age <= SRS_DAYS + 1;
}

/* --- addresses -------------------------------------------------------------- */

/* The parts of ${address}: the local part without its quotes.  Return whether there
 * are two. */
static bool
split(const char *address, struct piece *local_r, struct piece *domain_r)
{
	const char *at = strrchr(address, '@');

	if (at == NULL || at == address || at[1] == '\0')
		return false;
	*local_r = (struct piece){ address, (size_t)(at - address) };
	*domain_r = (struct piece){ at + 1, strlen(at + 1) };
	if (local_r->len > 2 && address[0] == '"' && at[-1] == '"') {
		local_r->s++;
		local_r->len -= 2;
	}
	return true;
}

/* Cut what is before the next '=' off ${rest}.  Return whether there is one. */
static bool
cut(struct piece *rest, struct piece *first_r)
{
	const char *sep = memchr(rest->s, '=', rest->len);

	if (sep == NULL)
		return false;
	*first_r = (struct piece){ rest->s, (size_t)(sep - rest->s) };
	rest->len -= first_r->len + 1;
	rest->s = sep + 1;
	return true;
}

/* 0 or 1: ${local} has that form, and ${rest} is what follows the tag and its
 * separator; -1: it has none. */
static int
form_of(const struct piece *local, struct piece *rest_r)
{
	if (local->len <= TAG || strncasecmp(local->s, "SRS", TAG - 1) != 0 ||
	    (local->s[TAG - 1] != '0' && local->s[TAG - 1] != '1') ||
	    memchr("=+-", local->s[TAG], 3) == NULL)
		return -1;
	*rest_r = (struct piece){ local->s + TAG + 1, local->len - TAG - 1 };
	return local->s[TAG - 1] - '0';
}

/* Need the octets ${s} no quotes in a local part?  RFC 5321 4.1.2, Dot-string */
static bool
is_dot_string(const char *s, size_t len)
{
	bool was_dot = true;
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] == '.') {
			if (was_dot)
				return false;
		} else if (!isalnum((unsigned char)s[i]) &&
		    (unsigned char)s[i] < 0x80 &&
		    strchr("!#$%&'*+-/=?^_`{|}~", s[i]) == NULL)
			return false;
		was_dot = s[i] == '.';
	}
	return !was_dot;
}

/* Write the address with the local part ${local}. */
static int
join(const char *local, size_t len, const struct piece *domain, char *buf,
    size_t size)
{
	const char *quote = is_dot_string(local, len) ? "" : "\"";
	int n = snprintf(buf, size, "%s%.*s%s@%.*s", quote, (int)len, local,
	    quote, (int)domain->len, domain->s);

	if (n > 0 && (size_t)n < size)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

/* The first forwarder and what followed its tag, of an address that is already
 * rewritten.  Return whether it is such. */
static bool
find_first(const struct piece *local, const struct piece *domain,
    struct piece *host_r, struct piece *opaque_r)
{
	struct piece rest, hash;

	switch (form_of(local, &rest)) {
	case 0:
		/* with the separator */
		*host_r = *domain;
		*opaque_r = (struct piece){ local->s + TAG, local->len - TAG };
		return true;
	case 1:
		if (!cut(&rest, &hash) || !cut(&rest, host_r) ||
		    host_r->len == 0 || rest.len == 0)
			return false;
		*opaque_r = rest;
		return true;
	default:
		return false;
	}
}

bool
srs_is_address(const char *address)
{
	struct piece local, domain, rest;

	return split(address, &local, &domain) &&
	    form_of(&local, &rest) != -1;
}

int
srs_forward(const struct srs *srs, const char *sender, const char *domain,
    int64_t now, char *buf, size_t size)
{
	struct piece local, host, opaque, signed_[3];
	const struct piece ours = { domain, strlen(domain) };
	char stamp[STAMP], hash[HASH + 1], text[ADDRESS_MAX];
	int n;

	/* a domain has no '=', which would end it */
	if (!split(sender, &local, &host) ||
	    memchr(host.s, '=', host.len) != NULL) {
		errno = EINVAL;
		return -1;
	}
	if (find_first(&local, &host, &signed_[0], &opaque)) {
		signed_[1] = opaque;
		if (sign(&srs->keys[0], signed_, 2, hash) == -1)
			return -1;
		n = snprintf(text, sizeof(text), "SRS1=%s=%.*s=%.*s", hash,
		    (int)signed_[0].len, signed_[0].s, (int)opaque.len,
		    opaque.s);
	} else {
		write_stamp(now, stamp);
		signed_[0] = (struct piece){ stamp, STAMP };
		signed_[1] = host;
		signed_[2] = local;
		if (sign(&srs->keys[0], signed_, 3, hash) == -1)
			return -1;
		n = snprintf(text, sizeof(text), "SRS0=%s=%.*s=%.*s=%.*s",
		    hash, STAMP, stamp, (int)host.len, host.s, (int)local.len,
		    local.s);
	}
	if (n < 0 || (size_t)n >= sizeof(text)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return join(text, (size_t)n, &ours, buf, size);
}

/* The first form, of which ${rest} is what follows the tag */
static int
reverse_first(const struct srs *srs, struct piece rest, int64_t now, char *buf,
    size_t size)
{
	struct piece hash, signed_[3];

	if (!cut(&rest, &hash) || !cut(&rest, &signed_[0]) ||
	    !cut(&rest, &signed_[1]) || signed_[1].len == 0 || rest.len == 0) {
		errno = EINVAL;
		return -1;
	}
	signed_[2] = rest;
	if (verify(srs, signed_, 3, &hash) == -1)
		return -1;
	if (!is_in_time(&signed_[0], now)) {
		errno = ETIME;
		return -1;
	}
	return join(rest.s, rest.len, &signed_[1], buf, size);
}

/* The second form: back to the first forwarder, which looks at the time. */
static int
reverse_second(const struct srs *srs, struct piece rest, char *buf, size_t size)
{
	struct piece hash, signed_[2];
	char text[ADDRESS_MAX];
	int n;

	if (!cut(&rest, &hash) || !cut(&rest, &signed_[0]) ||
	    signed_[0].len == 0 || rest.len == 0) {
		errno = EINVAL;
		return -1;
	}
	signed_[1] = rest;
	if (verify(srs, signed_, 2, &hash) == -1)
		return -1;
	n = snprintf(text, sizeof(text), "SRS0%.*s", (int)rest.len, rest.s);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return join(text, (size_t)n, &signed_[0], buf, size);
}

int
srs_reverse(const struct srs *srs, const char *address, int64_t now, char *buf,
    size_t size)
{
	struct piece local, domain, rest;

	if (split(address, &local, &domain))
		switch (form_of(&local, &rest)) {
		case 0:
			return reverse_first(srs, rest, now, buf, size);
		case 1:
			return reverse_second(srs, rest, buf, size);
		}
	errno = EINVAL;
	return -1;
}

/* The envelope of a record as octets.
 * Owns: its layout and its validation.
 * Knows nothing of records and of sums. */

#include "core/spool/spool_envelope.h"

#include <sys/endian.h>

#include <errno.h>
#include <string.h>

/* Envelope: these, then sender, session, client, helo, each with a NUL, then
 * each recipient as u16 length, octets, NUL. */
#define E_FLAGS		0	/* u32 */
#define E_NRCPTS	4	/* u32 */
#define E_LENGTHS	8	/* four u16, without the NULs */
#define E_OCTETS	16
#define E_STRINGS	4
#define E_STRING_MAX	4096	/* far over LIM_PATH; bounds what a hostile file can ask */

static void
envelope_strings(const struct spool_envelope *env, const char *s[E_STRINGS])
{
	s[0] = env->sender;
	s[1] = env->session;
	s[2] = env->client;
	s[3] = env->helo;
}

size_t
spool_envelope_octets(const struct spool_envelope *env)
{
	const char *s[E_STRINGS];
	size_t i, len, n = E_OCTETS;

	if (env->nrcpts == 0) {
		errno = EINVAL;
		return (0);
	}
	envelope_strings(env, s);
	for (i = 0; i < E_STRINGS; i++) {
		len = s[i] == NULL ? 0 : strlen(s[i]);
		if (len > E_STRING_MAX) {
			errno = EINVAL;
			return (0);
		}
		n += len + 1;
	}
	for (i = 0; i < env->nrcpts; i++) {
		len = strlen(env->rcpts[i]);
		if (len == 0 || len > E_STRING_MAX) {
			errno = EINVAL;
			return (0);
		}
		n += 2 + len + 1;
		if (n > SPOOL_ENVELOPE_MAX) {
			errno = E2BIG;
			return (0);
		}
	}
	return (n);
}

static char *
put_string(char *p, const char *s, unsigned char *length)
{
	size_t len = s == NULL ? 0 : strlen(s);

	le16enc(length, (uint16_t)len);
	if (len > 0)
		memcpy(p, s, len);
	p[len] = '\0';
	return (p + len + 1);
}

void
spool_envelope_encode(const struct spool_envelope *env, char *buf)
{
	unsigned char *head = (unsigned char *)buf;
	const char *s[E_STRINGS];
	char *p = buf + E_OCTETS;
	size_t i;

	le32enc(head + E_FLAGS, env->flags);
	le32enc(head + E_NRCPTS, (uint32_t)env->nrcpts);
	envelope_strings(env, s);
	for (i = 0; i < E_STRINGS; i++)
		p = put_string(p, s[i], head + E_LENGTHS + 2 * i);
	for (i = 0; i < env->nrcpts; i++)
		p = put_string(p + 2, env->rcpts[i], (unsigned char *)p);
}

/* A string of ${len} octets at ${p}: NUL after it, no NUL or control in it. */
static const char *
get_string(const char *p, const char *end, size_t len)
{
	size_t i;

	if (len > E_STRING_MAX || (size_t)(end - p) < len + 1 || p[len] != '\0')
		return (NULL);
	for (i = 0; i < len; i++)
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
			return (NULL);
	return (p);
}

int
spool_envelope_decode(const char *buf, size_t len,
    struct spool_envelope_view *view_r)
{
	const char *s[E_STRINGS], *p = buf + E_OCTETS, *end = buf + len;
	uint32_t i;
	size_t n;

	errno = EBADMSG;
	if (len < E_OCTETS || len > SPOOL_ENVELOPE_MAX)
		return (-1);
	for (i = 0; i < E_STRINGS; i++) {
		n = le16dec(buf + E_LENGTHS + 2 * i);
		if ((s[i] = get_string(p, end, n)) == NULL)
			return (-1);
		p += n + 1;
	}
	view_r->envelope = buf;
	view_r->sender = s[0];
	view_r->session = s[1];
	view_r->client = s[2];
	view_r->helo = s[3];
	view_r->flags = le32dec(buf + E_FLAGS);
	view_r->nrcpts = le32dec(buf + E_NRCPTS);
	view_r->rcpts = p;
	view_r->rcpts_end = end;
	if (view_r->nrcpts == 0)
		return (-1);
	for (i = 0; i < view_r->nrcpts; i++) {
		if (end - p < 3 || (n = le16dec(p)) == 0 ||
		    get_string(p + 2, end, n) == NULL)
			return (-1);
		p += 2 + n + 1;
	}
	return (p == end ? 0 : -1);
}

const char *
spool_envelope_rcpt_next(const struct spool_envelope_view *view,
    const char **cursor)
{
	const char *p = *cursor == NULL ? view->rcpts : *cursor;

	if (p == view->rcpts_end)
		return (NULL);
	*cursor = p + 2 + le16dec(p) + 1;
	return (p + 2);
}

const char *
spool_envelope_rcpt(const struct spool_envelope_view *view, uint32_t i)
{
	const char *cursor = NULL, *rcpt;

	do {
		rcpt = spool_envelope_rcpt_next(view, &cursor);
	} while (rcpt != NULL && i-- > 0);
	return (rcpt);
}

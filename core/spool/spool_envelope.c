/* The envelope of a record as octets.
 * Owns: its layout and its validation.
 * Knows nothing of records and of sums. */

#include "core/spool/spool_envelope.h"

#include <sys/endian.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Envelope: these, then sender, session, client, helo, each with a NUL, then
 * each recipient as u16 length, octets, NUL; then the items. */
#define E_FLAGS		0	/* u32 */
#define E_NRCPTS	4	/* u32 */
#define E_LENGTHS	8	/* four u16, without the NULs */
#define E_OCTETS	16
#define E_STRINGS	4
#define E_STRING_MAX	4096	/* far over LIM_PATH; bounds what a hostile file can ask */

/* An item: these, its value, a NUL.  They are in the order of owner and tag, so
 * that none is there twice. */
#define I_OWNER		0	/* u32 */
#define I_TAG		4	/* u16 */
#define I_LENGTH	6	/* u16, without the NUL */
#define I_OCTETS	8

#define SECONDS_OCTETS	8
#define RET_BOTH	(SPOOL_ENV_RET_FULL | SPOOL_ENV_RET_HDRS)	/* RFC 3461 4.3: one of them */
#define PRIORITY_MAX	9	/* RFC 6710 3: -9 to 9 */

static void
envelope_strings(const struct spool_envelope *env, const char *s[E_STRINGS])
{
	s[0] = env->sender;
	s[1] = env->session;
	s[2] = env->client;
	s[3] = env->helo;
}

/* A walk through the items of an envelope that is to be encoded */
struct items {
	const struct spool_envelope *env;
	size_t		 rcpt;		/* the message comes before the first */
	unsigned int	 step;		/* which item of the message or of ${rcpt} */
	char		 room[SECONDS_OCTETS];	/* the value of one that is a number */
};

static bool
text_item(struct spool_item *item, uint32_t owner, enum spool_tag tag,
    const char *text)
{
	if (text == NULL)
		return (false);
	/* one that is too long stays so: E_STRING_MAX is less */
	*item = (struct spool_item){ .owner = owner, .tag = (uint16_t)tag,
		.len = (uint16_t)strnlen(text, UINT16_MAX), .value = text };
	return (true);
}

static bool
number_item(struct items *it, struct spool_item *item, uint32_t owner,
    enum spool_tag tag, uint64_t number, uint16_t len)
{
	if (number == 0)
		return (false);
	le64enc(it->room, number);
	*item = (struct spool_item){ .owner = owner, .tag = (uint16_t)tag,
		.len = len, .value = it->room };
	return (true);
}

/* A login is a text of its back end.  It should have no controls, with which the
 * record could not be read. */
static bool
is_clean(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return (false);
	return (true);
}

/* The login that has the message held; the queue bounds what one may have
 * held */
static const char *
holder_of(const struct spool_envelope *env)
{
	if (env->hold_until == 0 || env->login == NULL)
		return (NULL);
	return (is_clean(env->login) && strlen(env->login) <= LIM_LOGIN ?
	    env->login : "?");
}

static bool
message_item(struct items *it, struct spool_item *item)
{
	const struct spool_envelope *env = it->env;

	switch (it->step++) {
	case 0:
		return (text_item(item, 0, SPOOL_TAG_ENVID, env->envid));
	case 1:
		return (text_item(item, 0, SPOOL_TAG_SOLICIT, env->solicit));
	case 2:
		return (number_item(it, item, 0, SPOOL_TAG_HOLD_UNTIL,
		    (uint64_t)env->hold_until, SECONDS_OCTETS));
	case 3:
		return (number_item(it, item, 0, SPOOL_TAG_DELIVER_BY,
		    (uint64_t)env->deliver_by, SECONDS_OCTETS));
	case 4:
		return (number_item(it, item, 0, SPOOL_TAG_PRIORITY,
		    (uint64_t)env->priority, 1));
	default:
		return (text_item(item, 0, SPOOL_TAG_HOLDER, holder_of(env)));
	}
}

#define MESSAGE_STEPS	6
#define RCPT_STEPS	2

static bool
rcpt_item(struct items *it, struct spool_item *item)
{
	const struct spool_envelope *env = it->env;
	uint32_t owner = (uint32_t)it->rcpt + 1;

	if (it->step++ == MESSAGE_STEPS)
		return (env->notify != NULL && number_item(it, item, owner,
		    SPOOL_TAG_NOTIFY, env->notify[it->rcpt], 1));
	return (env->orcpts != NULL && text_item(item, owner, SPOOL_TAG_ORCPT,
	    env->orcpts[it->rcpt]));
}

/* Return whether there is one more. */
static bool
next_item(struct items *it, struct spool_item *item)
{
	while (it->step < MESSAGE_STEPS)
		if (message_item(it, item))
			return (true);
	if (it->env->notify == NULL && it->env->orcpts == NULL)
		return (false);
	for (; it->rcpt < it->env->nrcpts; it->rcpt++, it->step = MESSAGE_STEPS)
		while (it->step < MESSAGE_STEPS + RCPT_STEPS)
			if (rcpt_item(it, item))
				return (true);
	return (false);
}

/* NEVER stands alone, RFC 3461 4.1. */
static bool
is_notify(unsigned int notify)
{
	return (notify == SPOOL_NOTIFY_NEVER || (notify != 0 &&
	    (notify & ~(unsigned int)(SPOOL_NOTIFY_SUCCESS |
	    SPOOL_NOTIFY_FAILURE | SPOOL_NOTIFY_DELAY)) == 0));
}

/* Is there a number that decode() would not take? */
static bool
is_out_of_range(const struct spool_envelope *env)
{
	size_t i;

	if ((env->flags & RET_BOTH) == RET_BOTH || env->hold_until < 0 || env->deliver_by < 0 ||
	    env->priority < -PRIORITY_MAX || env->priority > PRIORITY_MAX)
		return (true);
	for (i = 0; env->notify != NULL && i < env->nrcpts; i++)
		if (env->notify[i] != 0 && !is_notify(env->notify[i]))
			return (true);
	return (false);
}

/* Add the octets of the items.  Return 0, or -1 with errno. */
static int
add_items(const struct spool_envelope *env, size_t *octets)
{
	struct items it = { .env = env };
	struct spool_item item;

	if (is_out_of_range(env)) {
		errno = EINVAL;
		return (-1);
	}
	while (next_item(&it, &item)) {
		if (item.len > E_STRING_MAX) {
			errno = EINVAL;
			return (-1);
		}
		*octets += I_OCTETS + item.len + 1;
		if (*octets > SPOOL_ENVELOPE_MAX) {
			errno = E2BIG;
			return (-1);
		}
	}
	return (0);
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
	return (add_items(env, &n) == -1 ? 0 : n);
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

static void
put_items(const struct spool_envelope *env, char *p)
{
	struct items it = { .env = env };
	struct spool_item item;

	while (next_item(&it, &item)) {
		le32enc(p + I_OWNER, item.owner);
		le16enc(p + I_TAG, item.tag);
		le16enc(p + I_LENGTH, item.len);
		memcpy(p + I_OCTETS, item.value, item.len);
		p += I_OCTETS + item.len;
		*p++ = '\0';
	}
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
	put_items(env, p);
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

/* The item at ${p}, of which only the lengths are checked.  Return what follows
 * it, or NULL. */
static const char *
get_item(const char *p, const char *end, struct spool_item *item)
{
	if (end - p < I_OCTETS + 1)
		return (NULL);
	item->owner = le32dec(p + I_OWNER);
	item->tag = le16dec(p + I_TAG);
	item->len = le16dec(p + I_LENGTH);
	item->value = p + I_OCTETS;
	if ((size_t)(end - item->value) < (size_t)item->len + 1 ||
	    item->value[item->len] != '\0')
		return (NULL);
	return (item->value + item->len + 1);
}

static bool
is_text(const struct spool_item *item)
{
	return (get_string(item->value, item->value + item->len + 1,
	    item->len) != NULL);
}

static bool
take_seconds(const struct spool_item *item, int64_t *seconds_r)
{
	uint64_t n;

	if (item->len != SECONDS_OCTETS ||
	    (n = le64dec(item->value)) > INT64_MAX)
		return (false);
	*seconds_r = (int64_t)n;
	return (true);
}

/* Take an item into ${view}.  Return whether its value is one of its tag. */
static bool
take_item(struct spool_envelope_view *view, const struct spool_item *item)
{
	switch (item->owner == 0 ? item->tag : 0) {
	case SPOOL_TAG_ENVID:
		view->envid = item->value;
		return (is_text(item));
	case SPOOL_TAG_SOLICIT:
		view->solicit = item->value;
		return (is_text(item));
	case SPOOL_TAG_HOLD_UNTIL:
		return (take_seconds(item, &view->hold_until));
	case SPOOL_TAG_DELIVER_BY:
		return (take_seconds(item, &view->deliver_by));
	case SPOOL_TAG_HOLDER:
		view->holder = item->value;
		return (is_text(item));
	case SPOOL_TAG_PRIORITY:
		view->priority = (signed char)item->value[0];
		return (item->len == 1 && view->priority >= -PRIORITY_MAX &&
		    view->priority <= PRIORITY_MAX);
	}
	switch (item->owner != 0 ? item->tag : 0) {
	case SPOOL_TAG_NOTIFY:
		return (item->len == 1 &&
		    is_notify((unsigned char)item->value[0]));
	case SPOOL_TAG_ORCPT:
		return (is_text(item));
	}
	return (true);
}

static int
decode_items(struct spool_envelope_view *view)
{
	const char *p = view->rcpts_end;
	struct spool_item item, last = { .owner = 0, .tag = 0 };

	while (p != view->end) {
		if ((p = get_item(p, view->end, &item)) == NULL ||
		    item.owner > view->nrcpts || item.owner < last.owner ||
		    (item.owner == last.owner && item.tag <= last.tag) ||
		    !take_item(view, &item))
			return (-1);
		last = item;
	}
	return (0);
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
	*view_r = (struct spool_envelope_view){ .envelope = buf,
		.sender = s[0], .session = s[1], .client = s[2], .helo = s[3],
		.flags = le32dec(buf + E_FLAGS),
		.nrcpts = le32dec(buf + E_NRCPTS), .rcpts = p, .end = end };
	if (view_r->nrcpts == 0 ||
	    (view_r->flags & RET_BOTH) == RET_BOTH)
		return (-1);
	for (i = 0; i < view_r->nrcpts; i++) {
		if (end - p < 3 || (n = le16dec(p)) == 0 ||
		    get_string(p + 2, end, n) == NULL)
			return (-1);
		p += 2 + n + 1;
	}
	view_r->rcpts_end = p;
	return (decode_items(view_r));
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

int
spool_envelope_item_next(const struct spool_envelope_view *view,
    const char **cursor, struct spool_item *item_r)
{
	const char *p = *cursor == NULL ? view->rcpts_end : *cursor;

	if (p == view->end)
		return (0);
	*cursor = get_item(p, view->end, item_r);
	return (1);
}

void
spool_envelope_said(const struct spool_envelope_view *view, uint32_t i,
    const char **cursor, struct spool_envelope_rcpt *said_r)
{
	const char *next = *cursor;
	struct spool_item item = { .owner = 0 };

	*said_r = (struct spool_envelope_rcpt){ .notify = 0 };
	while (spool_envelope_item_next(view, &next, &item) &&
	    item.owner <= i + 1) {
		*cursor = next;
		if (item.owner != i + 1)
			continue;
		if (item.tag == SPOOL_TAG_NOTIFY)
			said_r->notify = (unsigned char)item.value[0];
		else if (item.tag == SPOOL_TAG_ORCPT)
			said_r->orcpt = item.value;
	}
}

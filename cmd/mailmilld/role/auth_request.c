/* The beginning of an exchange as a message.
 * Owns: the order and the bounds of the texts. */

#include "cmd/mailmilld/role/auth_request.h"

#include <string.h>

/* The texts that are still to be taken. */
struct rest {
	const uint8_t	*v;
	size_t		 len;
};

static const uint8_t *
take(struct rest *rest, size_t len)
{
	const uint8_t *v = rest->v;

	if (len > rest->len)
		return NULL;
	rest->v += len;
	rest->len -= len;
	return v;
}

/* Into a string: no NUL in it, and no longer than its place. */
static int
take_text(struct rest *rest, size_t len, char *text_r, size_t max)
{
	const uint8_t *v;

	if (len > max || (v = take(rest, len)) == NULL ||
	    memchr(v, '\0', len) != NULL)
		return -1;
	memcpy(text_r, v, len);
	text_r[len] = '\0';
	return 0;
}

static int
take_octets(struct rest *rest, size_t len, uint8_t *v_r, size_t max,
    size_t *len_r)
{
	const uint8_t *v;

	if (len > max || (v = take(rest, len)) == NULL)
		return -1;
	memcpy(v_r, v, len);
	*len_r = len;
	return 0;
}

/* RFC 4422 3.1: capitals, digits, hyphen, underscore. */
static bool
is_mech(const char *s)
{
	return *s != '\0' && s[strspn(s,
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] == '\0';
}

static bool
is_header_good(const struct msg_auth_start *b)
{
	return (b->flags &
	    ~(uint32_t)(MSG_AUTH_TLS | MSG_AUTH_INITIAL)) == 0 &&
	    ((b->flags & MSG_AUTH_INITIAL) != 0 || b->initial == 0) &&
	    ((b->flags & MSG_AUTH_TLS) != 0 ||
	    (b->exporter == 0 && b->endpoint == 0 && b->peer_name == 0)) &&
	    (b->exporter == 0 || b->exporter == AUTH_EXPORTER_OCTETS) &&
	    b->initial <= AUTH_INITIAL_MAX;
}

int
auth_request_parse(const struct msg_auth_start *base, const uint8_t *entries,
    unsigned int nentries, struct auth_request *r)
{
	static const uint8_t none[1];
	struct rest rest = { entries == NULL ? none : entries, nentries };
	const uint8_t *initial;

	memset(r, 0, sizeof(*r));
	if (!is_header_good(base) ||
	    take_text(&rest, base->mech, r->mech, LIM_AUTH_MECHANISM) == -1 ||
	    !is_mech(r->mech) || take_text(&rest, base->log_id, r->log_id,
	    AUTH_LOG_ID_MAX) == -1 ||
	    (initial = take(&rest, base->initial)) == NULL ||
	    take_octets(&rest, base->exporter, r->exporter,
	    sizeof(r->exporter), &r->exporter_len) == -1 ||
	    take_octets(&rest, base->endpoint, r->endpoint,
	    sizeof(r->endpoint), &r->endpoint_len) == -1 ||
	    take_text(&rest, base->peer_name, r->peer_name,
	    AUTH_PEER_NAME_MAX) == -1 || rest.len != 0)
		return -1;
	r->id = base->id;
	r->session = base->session;
	r->is_tls = (base->flags & MSG_AUTH_TLS) != 0;
	if ((base->flags & MSG_AUTH_INITIAL) != 0) {
		r->initial = (const char *)initial;
		r->initial_len = base->initial;
	}
	return 0;
}

int
auth_request_put(const struct auth_request *r, struct msg_auth_start *base_r,
    uint8_t *buf, size_t len)
{
	const struct {
		const void	*v;
		size_t		 len;
		uint16_t	*len_r;
	} texts[] = {
		{ r->mech, strlen(r->mech), &base_r->mech },
		{ r->log_id, strlen(r->log_id), &base_r->log_id },
		{ r->initial, r->initial_len, &base_r->initial },
		{ r->exporter, r->exporter_len, &base_r->exporter },
		{ r->endpoint, r->endpoint_len, &base_r->endpoint },
		{ r->peer_name, strlen(r->peer_name), &base_r->peer_name },
	};
	size_t i, used = 0;

	memset(base_r, 0, sizeof(*base_r));
	base_r->id = r->id;
	base_r->session = r->session;
	base_r->flags = (r->is_tls ? MSG_AUTH_TLS : 0) |
	    (r->initial != NULL ? MSG_AUTH_INITIAL : 0);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].len > UINT16_MAX || texts[i].len > len - used)
			return -1;
		if (texts[i].len > 0)
			memcpy(buf + used, texts[i].v, texts[i].len);
		*texts[i].len_r = (uint16_t)texts[i].len;
		used += texts[i].len;
	}
	return is_mech(r->mech) && is_header_good(base_r) ?
	    (int)used : -1;
}

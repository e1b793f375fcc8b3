/* Service extensions: which a session has, and the parameters they bring to
 * MAIL and RCPT.
 * Owns: the grammar of parameters (RFC 5321 4.1.2).
 * Knows nothing of what a parameter means: its extension does. */

#include "proto/server/esmtp_ext.h"

#include <string.h>
#include <strings.h>

const struct esmtp_ext *const esmtp_exts[ESMTP_NEXTS] = {
#define ESMTP_EXT(id, ext) [ESMTP_EXT_##id] = &ext,
#include "proto/server/esmtp_ext.def"
#undef ESMTP_EXT
};

bool
esmtp_ext_is_listed(const struct esmtp_options *o, const char *keyword)
{
	size_t i;

	if (o->smtp_extensions.n == 0)
		return true;
	for (i = 0; i < o->smtp_extensions.n; i++)
		if (strcasecmp(o->smtp_extensions.v[i], keyword) == 0)
			return true;
	return false;
}

unsigned int
esmtp_ext_enabled(const struct esmtp_options *o)
{
	unsigned int i, set = 0;

	for (i = 0; i < ESMTP_NEXTS; i++)
		if (options_needs(o, esmtp_exts[i]->keyword) ||
		    (esmtp_ext_is_listed(o, esmtp_exts[i]->keyword) &&
		    (o->smtp_extensions.n > 0 || !esmtp_exts[i]->is_by_name)))
			set |= 1u << i;
	return set;
}

enum esmtp_reply_id
esmtp_ext_may_use(const message_construct *mc, size_t i)
{
	if (i == ESMTP_EXT_NONE)
		return RPL_OK;
	if (!(mc->extensions & 1u << i))
		return RPL_NOT_IMPLEMENTED;
	return esmtp_exts[i]->may_use != NULL ? esmtp_exts[i]->may_use(mc) :
	    RPL_OK;
}

bool
esmtp_ext_is_offered(const message_construct *mc, size_t i)
{
	const struct esmtp_ext *ext = esmtp_exts[i];

	return esmtp_ext_may_use(mc, i) == RPL_OK &&
	    (ext->is_offered == NULL || ext->is_offered(mc));
}

struct param_text {
	const char	*keyword, *value;
	size_t		 keyword_len, value_len;
};

size_t
esmtp_ext_keyword(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		bool is_alnum = (s[i] >= 'a' && s[i] <= 'z') ||
		    (s[i] >= 'A' && s[i] <= 'Z') ||
		    (s[i] >= '0' && s[i] <= '9');

		if (!is_alnum && (s[i] != '-' || i == 0))
			break;
	}
	return i;
}

/* RFC 5321 4.1.2: esmtp-param = esmtp-keyword ["=" esmtp-value].  Return the
 * octets used, 0 for bad syntax. */
static size_t
param_text(const char *s, size_t len, struct param_text *t)
{
	size_t i = esmtp_ext_keyword(s, len);

	memset(t, 0, sizeof(*t));
	t->keyword = s;
	t->keyword_len = i;
	if (i == 0 || i == len || s[i] == ' ')
		return i;
	if (s[i++] != '=')
		return 0;
	t->value = s + i;
	while (i < len && s[i] != ' ' && s[i] != '=')
		i++;
	t->value_len = (size_t)(s + i - t->value);
	return t->value_len > 0 && (i == len || s[i] == ' ') ? i : 0;
}

/* The row of a parameter among the extensions of this session; *bit_r tells
 * it from all others. */
static const struct esmtp_param *
param_find(const message_construct *mc, const struct param_text *t,
    bool is_rcpt, unsigned int *bit_r)
{
	const struct esmtp_param *p;
	unsigned int i, bit = 1;

	for (i = 0; i < ESMTP_NEXTS; i++) {
		if ((p = esmtp_exts[i]->params) == NULL)
			continue;
		for (; p->keyword != NULL; p++, bit <<= 1) {
			if (!esmtp_ext_is_offered(mc, i) ||
			    p->is_for_rcpt != is_rcpt ||
			    strlen(p->keyword) != t->keyword_len ||
			    strncasecmp(p->keyword, t->keyword,
			    t->keyword_len) != 0)
				continue;
			*bit_r = bit;
			return p;
		}
	}
	return NULL;
}

/* What each extension says of all parameters together */
static enum esmtp_reply_id
check_all(const message_construct *mc, struct esmtp_params *p)
{
	enum esmtp_reply_id answer;
	size_t i;

	for (i = 0; i < ESMTP_NEXTS; i++) {
		if (esmtp_exts[i]->check == NULL || !esmtp_ext_is_offered(mc, i))
			continue;
		if ((answer = esmtp_exts[i]->check(mc, p)) != RPL_OK)
			return answer;
	}
	return RPL_OK;
}

enum esmtp_reply_id
esmtp_ext_params(const message_construct *mc, const char *s, size_t len,
    bool is_rcpt, struct esmtp_params *p)
{
	const struct esmtp_param *row;
	enum esmtp_reply_id answer;
	struct param_text t;
	unsigned int bit, seen = 0;
	size_t i = 0, n;

	memset(p, 0, sizeof(*p));
	while (i < len) {
		/* exactly one space is the grammar; more are harmless */
		if (s[i] != ' ')
			return RPL_SYNTAX;
		while (i < len && s[i] == ' ')
			i++;
		if (i == len)
			break;
		if ((n = param_text(s + i, len - i, &t)) == 0)
			return RPL_SYNTAX;
		i += n;
		/* RFC 5321 4.1.1.11: 555 for what is not known; all are
		 * unknown to a client that said HELO */
		if (!mc->is_esmtp ||
		    (row = param_find(mc, &t, is_rcpt, &bit)) == NULL)
			return RPL_PARAM;
		/* RFC 1869 6: no keyword twice in one command */
		if (seen & bit)
			return RPL_SYNTAX;
		seen |= bit;
		answer = row->set(mc->ac->options, p, t.value, t.value_len);
		if (answer != RPL_OK)
			return answer;
	}
	return seen == 0 ? RPL_OK : check_all(mc, p);
}

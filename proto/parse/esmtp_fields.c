/* The fields of a header that streams by; see esmtp_fields.h. */

#include "proto/parse/esmtp_fields.h"

#include <string.h>
#include <strings.h>

enum {
	AT_NAME,	/* at the start of a line, or in a field's name */
	IN_FIELD,	/* behind the colon */
	IN_OTHER,	/* in what is no field, or none of these */
	AT_START	/* at the start of the next line, which may go on */
};

#define IS_DATE		0x01
#define IS_MESSAGE_ID	0x02
#define IS_LIST		0x04
#define IS_FROM		0x08

static const struct {
	const char	*name;
	unsigned int	 is;
} known[] = {
	{ "date", IS_DATE }, { "message-id", IS_MESSAGE_ID },
	{ "from", IS_LIST | IS_FROM }, { "sender", IS_LIST },
	{ "reply-to", IS_LIST }, { "to", IS_LIST }, { "cc", IS_LIST },
	{ "bcc", IS_LIST }, { "resent-from", IS_LIST },
	{ "resent-sender", IS_LIST }, { "resent-reply-to", IS_LIST },
	{ "resent-to", IS_LIST }, { "resent-cc", IS_LIST },
	{ "resent-bcc", IS_LIST }
};

static void
forget_address(struct esmtp_fields *f)
{
	f->len = 0;
	f->is_told = f->is_too_long = f->had_angle = f->is_space = false;
}

static void
start_line(struct esmtp_fields *f)
{
	f->state = AT_NAME;
	f->name_len = 0;
	f->is_spaced = false;
}

static void
start_field(struct esmtp_fields *f)
{
	unsigned int is = 0;
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].name) == f->name_len &&
		    strncasecmp(known[i].name, f->name, f->name_len) == 0)
			is = known[i].is;
	f->has_date |= (is & IS_DATE) != 0;
	f->has_message_id |= (is & IS_MESSAGE_ID) != 0;
	f->is_list = (is & IS_LIST) != 0;
	f->is_from = (is & IS_FROM) != 0;
	f->has_two_from |= f->is_from && f->has_from;
	f->has_from |= f->is_from;
	f->state = f->is_list ? IN_FIELD : IN_OTHER;
	f->is_angle = f->is_quoted = f->is_escaped = f->is_literal = false;
	f->depth = 0;
	forget_address(f);
}

/* RFC 5322 3.6.8, 4.5: ftext, perhaps white space, a colon. */
static void
name_octet(struct esmtp_fields *f, char c)
{
	if (c == ':' && f->name_len > 0)
		start_field(f);
	else if ((c == ' ' || c == '\t') && f->name_len > 0)
		f->is_spaced = true;
	else if (c == '\n')
		start_line(f);
	else if (f->is_spaced || c < 33 || c > 126 || c == ':' ||
	    f->name_len == sizeof(f->name))
		f->state = IN_OTHER;
	else
		f->name[f->name_len++] = c;
}

static void
add(struct esmtp_fields *f, char c)
{
	if (f->len == sizeof(f->addr) - 1)
		f->is_too_long = true;
	else
		f->addr[f->len++] = c;
}

/* RFC 5322 3.4.1, 4.4: white space and comments may stand around the dots and the
 * @ of an address.  Elsewhere in it they are a mistake, which stays one. */
static void
keep(struct esmtp_fields *f, char c)
{
	if (f->had_angle && !f->is_angle)
		return;		/* behind the address */
	if (f->is_space && f->len > 0 && c != '.' && c != '@' &&
	    f->addr[f->len - 1] != '.' && f->addr[f->len - 1] != '@')
		add(f, ' ');
	f->is_space = false;
	add(f, c);
}

/* What is in ${addr} is complete.  Return whether it is an address. */
static bool
found(struct esmtp_fields *f)
{
	bool is_any = f->len > 0 && !f->is_told;

	f->addr[f->len] = '\0';
	f->is_told = true;
	return is_any;
}

/* An octet of quoted text, of a comment, or of a domain literal, in which nothing
 * separates.  False: it is none. */
static bool
is_inside(struct esmtp_fields *f, char c)
{
	if (!f->is_quoted && f->depth == 0 && !f->is_literal)
		return false;
	if (f->depth == 0 && c != '\r')
		keep(f, c);
	if (f->is_escaped)
		f->is_escaped = false;
	else if (c == '\\')
		f->is_escaped = true;
	else if (f->depth > 0)
		f->depth += (c == '(') - (c == ')');
	else if (f->is_quoted)
		f->is_quoted = c != '"';
	else
		f->is_literal = c != ']';
	return true;
}

/* The octet ">".  Return whether it has ended an address. */
static bool
angle_ends(struct esmtp_fields *f)
{
	bool is_any;

	if (!f->is_angle) {
		keep(f, '>');
		return false;
	}
	is_any = found(f);
	f->is_angle = false;
	f->had_angle = f->is_told = true;
	return is_any;
}

/* An octet between two members of a list.  Return whether it has ended an
 * address. */
static bool
member_ends(struct esmtp_fields *f)
{
	bool is_any;

	if (f->is_angle)
		return false;	/* between the domains of a route */
	is_any = found(f);
	f->had_angle = false;
	f->is_told = true;
	return is_any;
}

/* RFC 5322 3.4: the next octet of a list of addresses.  Return whether it has
 * ended one. */
static bool
list_octet(struct esmtp_fields *f, char c)
{
	if (f->is_told && !f->had_angle)
		forget_address(f);
	if (is_inside(f, c))
		return false;
	switch (c) {
	case '(':
		f->depth = 1;
		f->is_space = true;
		break;
	case '<':
		/* what was before it is a name */
		forget_address(f);
		f->is_angle = true;
		break;
	case '>':
		return angle_ends(f);
	case ':':
		/* of a group's name, or behind a route (RFC 5322 4.4) */
		forget_address(f);
		break;
	case ',':
	case ';':
		return member_ends(f);
	case ' ':
	case '\t':
	case '\r':
		f->is_space = true;
		break;
	case '"':
	case '[':
		f->is_quoted = c == '"';
		f->is_literal = c == '[';
		/* FALLTHROUGH */
	default:
		keep(f, c);
		break;
	}
	return false;
}

/* The field is over; what is open in it is closed. */
static bool
end_field(struct esmtp_fields *f)
{
	if (!f->is_list)
		return false;
	f->is_list = false;
	return found(f);
}

size_t
esmtp_fields_next(struct esmtp_fields *f, const char *buf, size_t len,
    bool *is_found_r)
{
	const char *lf;
	size_t i = 0;

	*is_found_r = false;
	while (i < len && !*is_found_r) {
		switch (f->state) {
		case AT_START:
			if (buf[i] == ' ' || buf[i] == '\t') {
				f->state = f->is_list ? IN_FIELD : IN_OTHER;
				break;
			}
			start_line(f);
			*is_found_r = end_field(f);
			break;
		case AT_NAME:
			name_octet(f, buf[i++]);
			break;
		case IN_FIELD:
			if (buf[i] == '\n')
				f->state = AT_START;
			else
				*is_found_r = list_octet(f, buf[i]);
			i++;
			break;
		default:
			lf = memchr(buf + i, '\n', len - i);
			i = lf != NULL ? (size_t)(lf + 1 - buf) : len;
			if (lf != NULL)
				f->state = AT_START;
			break;
		}
	}
	return i;
}

bool
esmtp_fields_end(struct esmtp_fields *f)
{
	return end_field(f);
}

bool
esmtp_fields_is_qualified(const char *addr, size_t len)
{
	const char *at = memrchr(addr, '@', len), *dot;
	const char *end = addr + len;

	if (at == NULL || ++at == end)
		return false;
	dot = memchr(at, '.', (size_t)(end - at));
	return *at == '[' || (dot != NULL && dot > at && end[-1] != '.');
}

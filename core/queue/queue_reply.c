/* What agents say of their attempts.
 * Owns: that it is clean and bounded before anything is done with it: most of it
 * comes from next hops. */

#include "core/queue/queue_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/utf8.h"

/* Write ${s}, ${len} octets, without what no text of one line has.  Return what
 * follows its NUL. */
static char *
put_clean(char *p, const char *s, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = (unsigned char)s[i] < 0x80 ? 1 :
		    utf8_visible(s + i, len - i);
		if (n == 0) {
			*p++ = '?';
			n = 1;
		} else if ((unsigned char)s[i] < ' ' || s[i] == 0x7f) {
			*p++ = ' ';
		} else {
			memcpy(p, s + i, n);
			p += n;
		}
	}
	*p++ = '\0';
	return p;
}

/* The number of digits that ${s} begins with, if no zero leads them */
static size_t
digits(const char *s, size_t max)
{
	size_t n;

	for (n = 0; n < max && s[n] >= '0' && s[n] <= '9'; n++)
		continue;
	return n > 1 && s[0] == '0' ? 0 : n;
}

/* RFC 3463 2: class "." subject "." detail */
static bool
is_enhanced(const char *s)
{
	size_t subject, detail;

	if ((s[0] != '2' && s[0] != '4' && s[0] != '5') || s[1] != '.')
		return false;
	s += 2;
	if ((subject = digits(s, 3)) == 0 || s[subject] != '.')
		return false;
	s += subject + 1;
	return (detail = digits(s, 3)) != 0 && s[detail] == '\0';
}

#define SAID_MAX	(JOB_REMOTE + JOB_TEXT + 48)

/* What stands before the words of ${reply}: "[192.0.2.1] said: 451 4.3.0 ", or
 * "[192.0.2.1]: " of "Connection refused" */
static void
put_speaker(char *buf, size_t len, const struct queue_reply *reply)
{
	buf[0] = '\0';
	if (reply->code != 0)
		snprintf(buf, len, "%s said: %u %s%s", reply->remote,
		    reply->code, reply->enhanced,
		    reply->enhanced[0] != '\0' ? " " : "");
	else if (reply->remote[0] != '\0')
		snprintf(buf, len, "%s: ", reply->remote);
}

struct queue_reply *
queue_reply_new(const struct job_error *error)
{
	size_t remote = strnlen(error->remote, sizeof(error->remote) - 1);
	size_t text = strnlen(error->text, sizeof(error->text) - 1);
	size_t with = strnlen(error->with, sizeof(error->with) - 1);
	char texts[sizeof(error->remote) + sizeof(error->text) +
	    sizeof(error->with) + SAID_MAX], *p;
	struct queue_reply said = { .remote = texts }, *reply;
	size_t octets;

	/* RFC 5321 4.2.1 */
	if (error->code >= 200 && error->code <= 599)
		said.code = error->code;
	memcpy(said.enhanced, error->enhanced, sizeof(said.enhanced) - 1);
	if (!is_enhanced(said.enhanced))
		said.enhanced[0] = '\0';
	p = put_clean(texts, error->remote, remote);
	said.text = p;
	p = put_clean(p, error->text, text);
	said.with = p;
	p = put_clean(p, error->with, with);
	put_speaker(p, SAID_MAX, &said);
	strlcat(p, said.text, SAID_MAX);
	/* many may be kept at a time: no octet more */
	octets = (size_t)(p - texts) + strlen(p) + 1;
	if ((reply = malloc(sizeof(*reply) + octets)) == NULL)
		return NULL;
	*reply = said;
	reply->remote = memcpy(reply + 1, texts, octets);
	reply->text = reply->remote + (said.text - texts);
	reply->with = reply->remote + (said.with - texts);
	reply->said = reply->remote + (p - texts);
	return reply;
}

struct queue_reply *
queue_reply_text(const char *text)
{
	struct job_error error = { .code = 0 };

	strlcpy(error.text, text, sizeof(error.text));
	return queue_reply_new(&error);
}

struct queue_reply *
queue_reply_row(const struct deferred_row *row)
{
	struct job_error error = { .code = row->code };
	const char *text = row->last_error;
	char speaker[SAID_MAX];
	struct queue_reply *reply;

	/* it may have been edited by hand */
	strlcpy(error.enhanced, row->enhanced, sizeof(error.enhanced));
	strlcpy(error.remote, row->remote, sizeof(error.remote));
	/* the row has it as "said" */
	if ((reply = queue_reply_new(&error)) == NULL)
		return NULL;
	put_speaker(speaker, sizeof(speaker), reply);
	free(reply);
	if (text != NULL && strncmp(text, speaker, strlen(speaker)) == 0)
		text += strlen(speaker);
	if (text != NULL)
		strlcpy(error.text, text, sizeof(error.text));
	if ((reply = queue_reply_new(&error)) != NULL)
		reply->when = row->last_attempt;
	return reply;
}

struct queue_reply *
queue_reply_copy(const struct queue_reply *reply)
{
	struct job_error error = { .code = reply->code };
	struct queue_reply *copy;

	strlcpy(error.enhanced, reply->enhanced, sizeof(error.enhanced));
	strlcpy(error.remote, reply->remote, sizeof(error.remote));
	strlcpy(error.text, reply->text, sizeof(error.text));
	if ((copy = queue_reply_new(&error)) != NULL)
		copy->when = reply->when;
	return copy;
}

/* Counts of recipients, for "mailmillctl queue top".
 * Owns: the bound on the names.  Any sender can make many of them, and none of
 * them large: when there are too many, the smallest are counted together, so that
 * the large ones stay, and all totals are right. */

#include "core/queue/queue_top.h"

#include <sys/param.h>

#include <stdlib.h>
#include <string.h>

#include "core/queue/queue_answer.h"

#define SLOTS		32768	/* more than QUEUE_TOP_NAMES, a power of 2 */
#define FIRST_AGE_S	300
#define NO_NAME		"(none)"

_Static_assert(SLOTS > QUEUE_TOP_NAMES + QUEUE_TOP_NAMES / 2,
    "a search for a free slot would take long");

static const char *const bys[] = { [QUEUE_TOP_DOMAIN] = "domain",
	[QUEUE_TOP_SENDER] = "sender", [QUEUE_TOP_ERROR] = "error",
	[QUEUE_TOP_TARGET] = "target" };

int
queue_top_by(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(bys) / sizeof(bys[0]); i++)
		if (strcmp(bys[i], name) == 0)
			return (int)i;
	return -1;
}

static size_t
hash(const char *name)
{
	uint64_t h = 14695981039346656037ULL;	/* FNV-1a */

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211ULL;
	return (size_t)(h ^ h >> 32) % SLOTS;
}

/* The slot of ${name}, or the free one where it belongs */
static struct queue_top_row *
find(struct queue_top_row *rows, const char *name)
{
	size_t i = hash(name);

	while (rows[i].name != NULL && strcmp(rows[i].name, name) != 0)
		i = (i + 1) % SLOTS;
	return &rows[i];
}

/* Put rows that are not among the smallest into a new table, until a third of
 * those there may be is free.  Return 0, or -1: ENOMEM. */
static int
make_room(struct queue_top *t)
{
	struct queue_top_row *rows = calloc(SLOTS, sizeof(rows[0]));
	size_t i, n = t->nrows;

	if (rows == NULL)
		return -1;
	while (n > QUEUE_TOP_NAMES - QUEUE_TOP_NAMES / 3) {
		t->floor++;
		for (i = 0, n = 0; i < SLOTS; i++)
			n += t->rows[i].name != NULL &&
			    t->rows[i].total > t->floor;
	}
	for (i = 0; i < SLOTS; i++) {
		if (t->rows[i].name == NULL)
			continue;
		if (t->rows[i].total > t->floor)
			*find(rows, t->rows[i].name) = t->rows[i];
		else
			free(t->rows[i].name);
	}
	free(t->rows);
	t->rows = rows;
	t->nrows = n;
	return 0;
}

static bool
is_end_of_word(char c)
{
	return c == '\0' || strchr(" \t<>()[]{}\"',;:", c) != NULL;
}

/* The octets of the word at ${s}; *is_own_r: it is of one message alone */
static size_t
look_at_word(const char *s, bool *is_own_r)
{
	size_t len, ndigits = 0;

	*is_own_r = false;
	for (len = 0; !is_end_of_word(s[len]); len++) {
		ndigits += s[len] >= '0' && s[len] <= '9';
		*is_own_r = *is_own_r || s[len] == '@';
	}
	*is_own_r = *is_own_r || ndigits >= 4;
	return len;
}

void
queue_top_reason(const char *error, char *buf, size_t len)
{
	size_t n, used = 0;
	bool is_own;

	while (*error != '\0' && used + 1 < len) {
		n = look_at_word(error, &is_own);
		if (is_own) {
			buf[used++] = '*';
		} else {
			n = MAX(n, 1);		/* what ends a word */
			memcpy(buf + used, error, MIN(n, len - used - 1));
			used += MIN(n, len - used - 1);
		}
		error += n;
	}
	buf[used] = '\0';
}

/* The name of ${by} that a recipient counts for */
static void
name_of(enum queue_top_by by, const struct queue_top_what *what,
    char buf[QUEUE_TOP_NAME])
{
	char *p;

	if (by == QUEUE_TOP_TARGET) {
		strlcpy(buf, what->target, QUEUE_TOP_NAME);
	} else if (by == QUEUE_TOP_ERROR) {
		queue_top_reason(what->error != NULL ? what->error : "", buf,
		    QUEUE_TOP_NAME);
	} else {
		strlcpy(buf, queue_domain_of(by == QUEUE_TOP_SENDER ?
		    what->sender : what->rcpt), QUEUE_TOP_NAME);
		for (p = buf; *p != '\0'; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p - 'A' + 'a');
	}
	if (buf[0] == '\0')
		strlcpy(buf, by == QUEUE_TOP_SENDER && *what->sender == '\0' ?
		    "<>" : NO_NAME, QUEUE_TOP_NAME);
}

int
queue_top_add(struct queue_top *t, const struct queue_top_what *what)
{
	char name[QUEUE_TOP_NAME];
	struct queue_top_row *row;
	size_t age = 0;

	name_of(t->by, what, name);
	while (age < QUEUE_TOP_AGES - 1 && what->age_s > FIRST_AGE_S << age)
		age++;
	if (t->rows == NULL &&
	    (t->rows = calloc(SLOTS, sizeof(t->rows[0]))) == NULL)
		return -1;
	row = find(t->rows, name);
	if (row->name == NULL && t->nrows == QUEUE_TOP_NAMES) {
		if (make_room(t) == -1)
			return -1;
		row = find(t->rows, name);
	}
	if (row->name == NULL) {
		if ((row->name = strdup(name)) == NULL)
			return -1;
		t->nrows++;
	}
	row->total++;
	row->ages[age]++;
	t->total.total++;
	t->total.ages[age]++;
	return 0;
}

/* The largest first; free slots last */
static int
compare(const void *a, const void *b)
{
	const struct queue_top_row *x = a, *y = b;

	if (x->name == NULL || y->name == NULL)
		return (x->name == NULL) - (y->name == NULL);
	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	return strcmp(x->name, y->name);
}

static json_t *
row_json(const struct queue_top_row *row)
{
	json_t *json = json_pack("{s:I, s:[]}", "recipients",
	    (json_int_t)row->total, "ages");
	size_t i;

	if (row->name != NULL)
		json_object_set_new(json, "name", queue_answer_text(row->name));
	for (i = 0; i < QUEUE_TOP_AGES; i++)
		json_array_append_new(json_object_get(json, "ages"),
		    json_integer((json_int_t)row->ages[i]));
	return json;
}

json_t *
queue_top_json(struct queue_top *t, uint64_t limit)
{
	struct queue_top_row others = t->total;
	json_t *json = json_pack("{s:s, s:[], s:[], s:o, s:b}", "by",
	    bys[t->by], "minutes", "top", "total", row_json(&t->total),
	    "complete", t->floor == 0);
	size_t i, k;

	for (i = 0; i < QUEUE_TOP_AGES - 1; i++)
		json_array_append_new(json_object_get(json, "minutes"),
		    json_integer(FIRST_AGE_S / 60 << i));
	if (t->rows != NULL)
		qsort(t->rows, SLOTS, sizeof(t->rows[0]), compare);
	for (i = 0; i < t->nrows && i < limit; i++) {
		json_array_append_new(json_object_get(json, "top"),
		    row_json(&t->rows[i]));
		others.total -= t->rows[i].total;
		for (k = 0; k < QUEUE_TOP_AGES; k++)
			others.ages[k] -= t->rows[i].ages[k];
	}
	if (others.total > 0)
		json_object_set_new(json, "others", row_json(&others));
	return json;
}

void
queue_top_free(struct queue_top *t)
{
	size_t i;

	for (i = 0; t->rows != NULL && i < SLOTS; i++)
		free(t->rows[i].name);
	free(t->rows);
	t->rows = NULL;
}

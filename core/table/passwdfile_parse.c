/* The lines of a passwd file.
 * Owns: the grammar above the fields, duplicates, the method and cost that most
 * entries have. */

#include "core/table/passwdfile_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/base64.h"
#include "core/util/wipe.h"

#define COSTS		32	/* different costs that are counted */
#define COST_TEXT	64

/* ":{SECRET}base64" */
static const char *
take_secret(struct passwdfile *f, const char *line)
{
	static const char head[] = ":{SECRET}";

	if (strncmp(line, head, sizeof(head) - 1) != 0)
		return passwdfile_name_fault("", 0);
	line += sizeof(head) - 1;
	if (f->has_secret || base64_decode(line, strlen(line), f->secret,
	    sizeof(f->secret)) != (ssize_t)sizeof(f->secret))
		return "expected one {SECRET}, base64 of 32 octets";
	f->has_secret = true;
	return NULL;
}

/* One line, NUL terminated; what is wrong, or NULL. */
static const char *
take_line(struct passwdfile *f, char *line, unsigned long number)
{
	struct passwdfile_row *row = &f->rows[f->nrows];
	char *field = strchr(line, ':'), *next;
	const char *fault = NULL;

	if (field == line)
		return take_secret(f, line);
	if (field == NULL)
		return "expected NAME:HASH";
	fault = passwdfile_name_fault(line, (size_t)(field - line));
	if (fault != NULL)
		return fault;
	*field++ = '\0';
	row->e.name = line;
	row->line = number;
	f->nrows++;			/* from now on freed with ${f} */
	for (; field != NULL; field = next) {
		if ((next = strchr(field, ':')) != NULL)
			*next++ = '\0';
		if (passwdfile_field(row, field, &fault) == -1)
			return fault;
	}
	if (row->has_none && (row->e.hash != NULL ||
	    row->e.scram[0] != NULL || row->e.scram[1] != NULL ||
	    row->e.cleartext != NULL))
		return "'*' (no password) beside a password";
	return NULL;
}

static int
take_lines(struct passwdfile *f, const char *path, char *err_r, size_t errlen)
{
	char *line = f->text, *end = line + f->text_octets, *nl;
	const char *fault = NULL;
	unsigned long number = 1;
	size_t len;

	for (; line < end; line = nl + 1, number++) {
		nl = memchr(line, '\n', (size_t)(end - line));
		if (nl == NULL)
			nl = end;	/* its NUL */
		*nl = '\0';
		len = (size_t)(nl - line);
		if (memchr(line, '\0', len) != NULL)
			fault = "a NUL";
		while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL)
			line[--len] = '\0';
		if (fault == NULL && len > 0 && *line != '#')
			fault = take_line(f, line, number);
		if (fault != NULL) {
			snprintf(err_r, errlen, "%s:%lu: %s", path, number,
			    fault);
			return -1;
		}
	}
	return 0;
}

static int
by_name(const void *va, const void *vb)
{
	const struct passwdfile_row *a = va, *b = vb;
	int order = strcmp(a->e.name, b->e.name);

	if (order != 0)
		return order;
	return a->line < b->line ? -1 : a->line > b->line;
}

static int
refuse_duplicates(struct passwdfile *f, const char *path, char *err_r,
    size_t errlen)
{
	struct passwdfile_row *row;

	if (f->nrows > 1)
		qsort(f->rows, f->nrows, sizeof(*f->rows), by_name);
	for (row = f->rows + 1; row < f->rows + f->nrows; row++) {
		if (strcmp(row[-1].e.name, row->e.name) != 0)
			continue;
		snprintf(err_r, errlen, "%s:%lu: '%s' is in line %lu already",
		    path, row->line, row->e.name, row[-1].line);
		return -1;
	}
	return 0;
}

struct tally {
	struct {
		char	 text[COST_TEXT];
		size_t	 count;
		const struct passwdfile_row *row;
	} kinds[COSTS];
	size_t	n;
};

static void
count_kind(struct tally *t, const char *text, const struct passwdfile_row *row)
{
	size_t i;

	for (i = 0; i < t->n && strcmp(t->kinds[i].text, text) != 0; i++)
		;
	if (i == COSTS)
		return;
	if (i == t->n) {
		strlcpy(t->kinds[i].text, text, sizeof(t->kinds[i].text));
		t->kinds[i].row = row;
		t->n++;
	}
	t->kinds[i].count++;
}

static const struct passwdfile_row *
commonest(const struct tally *t)
{
	const struct passwdfile_row *row = NULL;
	size_t i, best = 0;

	for (i = 0; i < t->n; i++) {
		if (t->kinds[i].count > best) {
			best = t->kinds[i].count;
			row = t->kinds[i].row;
		}
	}
	return row;
}

static const struct passwdfile_row *
common_work(const struct passwdfile *f, bool is_token)
{
	struct tally t = { .n = 0 };
	char text[COST_TEXT];
	size_t i;

	for (i = 0; i < f->nrows; i++) {
		if (passwdfile_cost(&f->rows[i], is_token, text, sizeof(text)))
			count_kind(&t, text, &f->rows[i]);
	}
	return commonest(&t);
}

static void
common_keys(struct passwdfile *f, enum passwdfile_scram_hash hash)
{
	const struct passwdfile_scram *s;
	const struct passwdfile_row *row;
	struct tally t = { .n = 0 };
	char text[COST_TEXT];
	size_t i;

	f->iterations[hash] = PASSWDFILE_ITERATIONS;
	f->salt_len[hash] = PASSWDFILE_SALT;
	for (i = 0; i < f->nrows; i++) {
		if ((s = f->rows[i].e.scram[hash]) == NULL)
			continue;
		snprintf(text, sizeof(text), "%u %zu", s->iterations,
		    s->salt_len);
		count_kind(&t, text, &f->rows[i]);
	}
	if ((row = commonest(&t)) == NULL)
		return;
	f->iterations[hash] = row->e.scram[hash]->iterations;
	f->salt_len[hash] = row->e.scram[hash]->salt_len;
}

static size_t
count_lines(const char *text, size_t len)
{
	const char *end = text + len;
	size_t n = 1;

	while ((text = memchr(text, '\n', (size_t)(end - text))) != NULL) {
		text++;
		n++;
	}
	return n;
}

void
passwdfile_free(struct passwdfile *f)
{
	size_t i;

	if (f == NULL)
		return;
	for (i = 0; i < f->nrows; i++) {
		wipe_free(f->rows[i].e.scram[0], sizeof(**f->rows->e.scram));
		wipe_free(f->rows[i].e.scram[1], sizeof(**f->rows->e.scram));
	}
	free(f->rows);
	wipe_free(f->text, f->text_octets);
	free(f->path);
	wipe_free(f, sizeof(*f));
}

struct passwdfile *
passwdfile_parse(const char *path, char *text, size_t len, char *err_r,
    size_t errlen)
{
	struct passwdfile *f = calloc(1, sizeof(*f));

	if (f == NULL || (f->rows = calloc(count_lines(text, len),
	    sizeof(*f->rows))) == NULL) {
		snprintf(err_r, errlen, "%s: no memory", path);
		wipe_free(text, len);
		free(f);
		return NULL;
	}
	f->text = text;
	f->text_octets = len;
	if (take_lines(f, path, err_r, errlen) == -1 ||
	    refuse_duplicates(f, path, err_r, errlen) == -1) {
		passwdfile_free(f);
		return NULL;
	}
	f->common = common_work(f, false);
	f->common_token = common_work(f, true);
	common_keys(f, PASSWDFILE_SHA1);
	common_keys(f, PASSWDFILE_SHA256);
	return f;
}

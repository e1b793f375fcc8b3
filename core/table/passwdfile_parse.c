/* The lines of a passwd file.
 * Owns: the grammar above the fields, duplicates, the method and cost that most
 * entries have. */

#include "core/table/passwdfile_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/array.h"
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
		return passwdfile_name_fault("");
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
	char *field = strchr(line, ':'), *next;
	struct passwdfile_row *row;
	const char *fault;

	if (field == line)
		return take_secret(f, line);
	if (field == NULL)
		return "expected NAME:HASH";
	*field++ = '\0';
	if ((fault = passwdfile_name_fault(line)) != NULL)
		return fault;
	row = array_fit(f->rows, &f->room, f->nrows + 1, sizeof(*row));
	if (row == NULL)
		return "out of memory";
	f->rows = row;
	row += f->nrows;
	row->e.name = line;
	row->line = number;
	f->nrows++;			/* from now on freed with ${f} */
	for (; field != NULL; field = next) {
		if ((next = strchr(field, ':')) != NULL)
			*next++ = '\0';
		if ((fault = passwdfile_field(row, field)) != NULL)
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
	size_t i;

	if (f->nrows > 1)
		qsort(f->rows, f->nrows, sizeof(*f->rows), by_name);
	for (i = 1; i < f->nrows; i++) {
		row = &f->rows[i];
		if (strcmp(row[-1].e.name, row->e.name) != 0)
			continue;
		snprintf(err_r, errlen, "%s:%lu: '%s' is in line %lu already",
		    path, row->line, row->e.name, row[-1].line);
		return -1;
	}
	return 0;
}

/* A row of those whose check takes what most checks of the kind take; NULL: the
 * file has none of the kind. */
static const struct passwdfile_row *
common_row(const struct passwdfile *f, enum passwdfile_kind kind)
{
	struct { char text[COST_TEXT]; size_t count; } costs[COSTS];
	const struct passwdfile_row *common = NULL;
	size_t i, k, n = 0, best = 0;
	char text[COST_TEXT];

	for (i = 0; i < f->nrows; i++) {
		if (!passwdfile_cost(&f->rows[i], kind, text, sizeof(text)))
			continue;
		for (k = 0; k < n && strcmp(costs[k].text, text) != 0; k++)
			;
		if (k == COSTS)
			continue;
		if (k == n) {
			strlcpy(costs[k].text, text, sizeof(costs[k].text));
			costs[k].count = 0;
			n++;
		}
		if (++costs[k].count > best) {
			best = costs[k].count;
			common = &f->rows[i];
		}
	}
	return common;
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
	enum passwdfile_kind kind;

	if (f == NULL) {
		snprintf(err_r, errlen, "%s: out of memory", path);
		wipe_free(text, len);
		return NULL;
	}
	f->text = text;
	f->text_octets = len;
	if (take_lines(f, path, err_r, errlen) == -1 ||
	    refuse_duplicates(f, path, err_r, errlen) == -1) {
		passwdfile_free(f);
		return NULL;
	}
	for (kind = 0; kind < PASSWDFILE_NKINDS; kind++)
		f->common[kind] = common_row(f, kind);
	return f;
}

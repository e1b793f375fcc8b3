/* The deferred store: its rows in SQLite.
 * Owns: what is bound to a statement and read from its result. */

#include "core/deferred/deferred_int.h"

#include <sys/param.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/spool/spool_id.h"

#define LOOK_ROWS	100	/* of one domain, at a time */

int
deferred_end(struct deferred *d, enum deferred_statement which, int rc)
{
	sqlite3_stmt *st = d->st[which];
	bool is_failed = rc != SQLITE_DONE && rc != SQLITE_ROW;
	int errnum = 0;

	/* the message and errno belong to the step: ask before the reset */
	if (is_failed) {
		deferred_failed(d, rc, sqlite3_sql(st));
		errnum = errno;
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	errno = errnum;
	return is_failed ? -1 : rc == SQLITE_ROW;
}

int
deferred_run(struct deferred *d, enum deferred_statement which)
{
	if (deferred_end(d, which, sqlite3_step(d->st[which])) == -1)
		return -1;
	d->last_logged = 0;
	return 0;
}

static const char *
column_text(sqlite3_stmt *st, int column)
{
	const unsigned char *s = sqlite3_column_text(st, column);

	return s == NULL ? "" : (const char *)s;
}

static void
bind_id(sqlite3_stmt *st, int column, uint64_t id)
{
	char text[SPOOL_ID_TEXT + 1];

	spool_id_text(id, text);
	sqlite3_bind_text(st, column, text, -1, SQLITE_TRANSIENT);
}

int
deferred_begin(struct deferred *d)
{
	return deferred_run(d, ST_BEGIN);
}

int
deferred_commit(struct deferred *d)
{
	int saved;

	if (deferred_run(d, ST_COMMIT) == 0)
		return 0;
	saved = errno;
	deferred_rollback(d);
	errno = saved;
	return -1;
}

void
deferred_rollback(struct deferred *d)
{
	d->tls_day = 0;
	/* a full disk may have rolled it back already */
	if (sqlite3_get_autocommit(d->db) == 0)
		deferred_run(d, ST_ROLLBACK);
}

/* The column "segment" is text: the hexadecimal number in the file's name. */
static void
bind_segment(sqlite3_stmt *st, int column, uint64_t segment)
{
	char text[17] = "";

	if (segment != 0)
		snprintf(text, sizeof(text), "%016llx",
		    (unsigned long long)segment);
	sqlite3_bind_text(st, column, text, -1, SQLITE_TRANSIENT);
}

static void
bind_origin(sqlite3_stmt *st, int column, const struct spool_origin *origin)
{
	bind_segment(st, column, origin->segment);
	sqlite3_bind_int64(st, column + 1, (sqlite3_int64)origin->generation);
	sqlite3_bind_int64(st, column + 2, origin->seq);
}

/* What is told to the sender: from column ${column} on */
static void
bind_told(sqlite3_stmt *st, int column, const struct deferred_row *row)
{
	sqlite3_bind_int64(st, column, row->warned);
	sqlite3_bind_text(st, column + 1, row->outcome != NULL ? row->outcome :
	    "", -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, column + 2, row->last_attempt);
	sqlite3_bind_int64(st, column + 3, row->code);
	sqlite3_bind_text(st, column + 4, row->enhanced != NULL ?
	    row->enhanced : "", -1, SQLITE_STATIC);
	sqlite3_bind_text(st, column + 5, row->remote != NULL ? row->remote :
	    "", -1, SQLITE_STATIC);
}

int
deferred_put(struct deferred *d, const struct deferred_row *row)
{
	sqlite3_stmt *st = d->st[ST_PUT];

	bind_id(st, 1, row->id);
	sqlite3_bind_int64(st, 2, row->rcpt_index);
	sqlite3_bind_text(st, 3, row->sender, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 4, row->rcpt, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 5, row->transport, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 6, (sqlite3_int64)row->received_us);
	sqlite3_bind_int64(st, 7, (sqlite3_int64)row->octets);
	sqlite3_bind_int64(st, 8, row->attempts);
	sqlite3_bind_int64(st, 9, row->next_attempt);
	sqlite3_bind_text(st, 10, row->last_error, -1, SQLITE_STATIC);
	bind_origin(st, 11, &row->origin);
	sqlite3_bind_int(st, 14, row->origin.is_early);
	sqlite3_bind_int64(st, 15, row->hold_until);
	sqlite3_bind_int64(st, 16, row->deliver_by);
	sqlite3_bind_int(st, 17, row->priority);
	sqlite3_bind_int64(st, 18, row->flags);
	sqlite3_bind_text(st, 19, row->holder != NULL ? row->holder : "", -1,
	    SQLITE_STATIC);
	sqlite3_bind_int(st, 20, row->is_on_hold);
	sqlite3_bind_int64(st, 21, row->since);
	sqlite3_bind_int64(st, 22, row->notify);
	bind_told(st, 23, row);
	sqlite3_bind_text(st, 29, row->waits_for != NULL ? row->waits_for : "",
	    -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 30, row->route != NULL ? row->route : "", -1,
	    SQLITE_STATIC);
	if (deferred_run(d, ST_PUT) == -1)
		return -1;
	if (sqlite3_changes(d->db) > 0)
		return 0;
	errno = EEXIST;
	return -1;
}

/* The row of one recipient of ${id}, or with DEFERRED_ANY all of the
 * message */
static void
bind_rcpts(sqlite3_stmt *st, uint64_t id, uint32_t rcpt_index)
{
	bind_id(st, 1, id);
	sqlite3_bind_int64(st, 2, rcpt_index == DEFERRED_ANY ? 0 : rcpt_index);
	sqlite3_bind_int64(st, 3, rcpt_index);
}

int
deferred_drop(struct deferred *d, uint64_t id, uint32_t rcpt_index)
{
	bind_rcpts(d->st[ST_DROP], id, rcpt_index);
	return deferred_run(d, ST_DROP);
}

int
deferred_touch(struct deferred *d, const struct deferred_row *row)
{
	sqlite3_stmt *st = d->st[ST_TOUCH];

	bind_id(st, 1, row->id);
	sqlite3_bind_int64(st, 2, row->rcpt_index);
	sqlite3_bind_int64(st, 3, row->attempts);
	sqlite3_bind_int64(st, 4, row->next_attempt);
	sqlite3_bind_text(st, 5, row->last_error, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 6, row->transport, -1, SQLITE_STATIC);
	bind_told(st, 7, row);
	sqlite3_bind_text(st, 13, row->waits_for != NULL ? row->waits_for : "",
	    -1, SQLITE_STATIC);
	return deferred_run(d, ST_TOUCH);
}

int
deferred_hurry(struct deferred *d, uint64_t id, uint32_t rcpt_index,
    int64_t now)
{
	bind_rcpts(d->st[ST_HURRY], id, rcpt_index);
	sqlite3_bind_int64(d->st[ST_HURRY], 4, now);
	return deferred_run(d, ST_HURRY) == -1 ? -1 : sqlite3_changes(d->db);
}

int
deferred_hold(struct deferred *d, uint64_t id, uint32_t rcpt_index)
{
	bind_rcpts(d->st[ST_HOLD], id, rcpt_index);
	return deferred_run(d, ST_HOLD) == -1 ? -1 : sqlite3_changes(d->db);
}

int
deferred_release(struct deferred *d, uint64_t id, uint32_t rcpt_index,
    int64_t now, int64_t held)
{
	bind_rcpts(d->st[ST_RELEASE], id, rcpt_index);
	sqlite3_bind_int64(d->st[ST_RELEASE], 4, now);
	sqlite3_bind_int64(d->st[ST_RELEASE], 5, held);
	return deferred_run(d, ST_RELEASE) == -1 ? -1 : sqlite3_changes(d->db);
}

int
deferred_give_up(struct deferred *d, const struct deferred_row *row)
{
	sqlite3_stmt *st = d->st[ST_GIVE_UP];

	bind_id(st, 1, row->id);
	sqlite3_bind_int64(st, 2, row->rcpt_index);
	sqlite3_bind_text(st, 3, row->outcome, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 4, row->next_attempt);
	sqlite3_bind_text(st, 5, row->last_error, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 6, row->enhanced, -1, SQLITE_STATIC);
	return deferred_run(d, ST_GIVE_UP) == -1 ? -1 : sqlite3_changes(d->db);
}

int
deferred_route(struct deferred *d, uint64_t id, uint32_t rcpt_index,
    const char *route, int64_t now)
{
	bind_rcpts(d->st[ST_ROUTE], id, rcpt_index);
	sqlite3_bind_int64(d->st[ST_ROUTE], 4, now);
	sqlite3_bind_text(d->st[ST_ROUTE], 5, route, -1, SQLITE_STATIC);
	return deferred_run(d, ST_ROUTE) == -1 ? -1 : sqlite3_changes(d->db);
}

/* Go to the next domain that has rows; or to ${domain}, once. */
static int
next_domain(struct deferred *d, const char *domain, bool has_subdomains,
    struct deferred_domain *at)
{
	sqlite3_stmt *st = d->st[ST_DOMAIN];
	size_t len, n = strlen(domain);
	int rc;

	at->id[0] = '\0';
	at->rcpt_index = 0;
	if (!has_subdomains) {
		at->is_in = at->name[0] == '\0';
		at->is_over = !at->is_in;
		strlcpy(at->name, domain, sizeof(at->name));
		return 0;
	}
	sqlite3_bind_text(st, 1, at->name, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int(st, 2, LIM_DOMAIN);
	if ((rc = sqlite3_step(st)) == SQLITE_ROW)
		strlcpy(at->name, column_text(st, 0), sizeof(at->name));
	len = strlen(at->name);
	at->is_over = rc != SQLITE_ROW;
	at->is_in = !at->is_over && len >= n &&
	    strcmp(at->name + len - n, domain) == 0 &&
	    (len == n || at->name[len - n - 1] == '.');
	return deferred_end(d, ST_DOMAIN, rc) == -1 ? -1 : 0;
}

static void
bind_place(sqlite3_stmt *st, const struct deferred_domain *at)
{
	sqlite3_bind_text(st, 1, at->name, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(st, 2, at->id, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(st, 3, at->rcpt_index);
}

/* The id and rcpt_index of a row; false: it has none that can be. */
static bool
read_place(sqlite3_stmt *st, char *id, int64_t *rcpt_index)
{
	if (sqlite3_column_type(st, 0) != SQLITE_TEXT ||
	    sqlite3_column_type(st, 1) != SQLITE_INTEGER)
		return false;
	strlcpy(id, column_text(st, 0), SPOOL_ID_TEXT + 1);
	*rcpt_index = sqlite3_column_int64(st, 1);
	/* too long, or with a NUL in it */
	return (size_t)sqlite3_column_bytes(st, 0) == strlen(id);
}

int
deferred_last(struct deferred *d, enum deferred_statement which, char *id,
    int64_t *rcpt_index)
{
	sqlite3_stmt *st = d->st[which];
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW && !read_place(st, id, rcpt_index))
		rc = SQLITE_DONE;
	return deferred_end(d, which, rc);
}

/* Of the domain that ${at} is in, find the last of the next ${limit} rows: id and
 * rcpt_index of ${last}.  1; 0: there are fewer; -1 with errno. */
static int
find_last(struct deferred *d, const struct deferred_domain *at,
    unsigned int limit, struct deferred_domain *last)
{
	sqlite3_stmt *st = d->st[ST_DOMAIN_END];

	bind_place(st, at);
	sqlite3_bind_int64(st, 4, limit - 1);
	return deferred_last(d, ST_DOMAIN_END, last->id, &last->rcpt_index);
}

/* Hurry the next ${limit} rows of the domain that ${at} is in.  Return rows
 * changed, or -1. */
static int
hurry_some(struct deferred *d, struct deferred_domain *at, unsigned int limit,
    int64_t now)
{
	sqlite3_stmt *st = d->st[ST_HURRY_SOME];
	struct deferred_domain last = *at;
	int rc = find_last(d, at, limit, &last);

	if (rc == -1)
		return -1;
	bind_place(st, at);
	if (rc == 1)
		sqlite3_bind_text(st, 4, last.id, -1, SQLITE_TRANSIENT);
	else
		sqlite3_bind_zeroblob(st, 4, 0);	/* behind each text */
	sqlite3_bind_int64(st, 5, last.rcpt_index);
	sqlite3_bind_int64(st, 6, now);
	if (deferred_run(d, ST_HURRY_SOME) == -1)
		return -1;
	*at = last;
	at->is_in = rc == 1;
	return sqlite3_changes(d->db);
}

int
deferred_hurry_domain(struct deferred *d, const char *domain,
    bool has_subdomains, struct deferred_domain *at, unsigned int limit,
    int64_t now)
{
	struct deferred_domain next = *at;
	unsigned int look;
	int n = 0, rc = 0;

	if (deferred_begin(d) == -1)
		return -1;
	while (rc != -1 && limit > 0 && !next.is_over) {
		if (!next.is_in) {
			rc = next_domain(d, domain, has_subdomains, &next);
			limit--;
			continue;
		}
		/* counted as looked at, though there may be fewer */
		look = MIN(limit, LOOK_ROWS);
		rc = hurry_some(d, &next, look, now);
		n += MAX(rc, 0);
		limit -= look;
	}
	if (rc == -1) {
		rc = errno;
		deferred_rollback(d);
		errno = rc;
		return -1;
	}
	if (deferred_commit(d) == -1)
		return -1;
	*at = next;
	return n;
}

/* Read a row, which may have been edited by hand.  Return 0, or -1: it is not
 * valid. */
static int
read_row(sqlite3_stmt *st, struct deferred_row *row)
{
	const char *id = column_text(st, 0);
	sqlite3_int64 index = sqlite3_column_int64(st, 1);

	if (spool_id_parse(id, strlen(id), &row->id) == -1 || index < 0 ||
	    index >= UINT32_MAX)
		return -1;
	row->rcpt_index = (uint32_t)index;
	row->sender = column_text(st, 2);
	row->rcpt = column_text(st, 3);
	row->transport = column_text(st, 4);
	row->received_us = (uint64_t)sqlite3_column_int64(st, 5);
	row->octets = (uint64_t)sqlite3_column_int64(st, 6);
	row->attempts = (uint32_t)sqlite3_column_int64(st, 7);
	row->next_attempt = sqlite3_column_int64(st, 8);
	row->origin = (struct spool_origin){
		.segment = strtoull(column_text(st, 10), NULL, 16),
		.generation = (uint64_t)sqlite3_column_int64(st, 11),
		.seq = (uint32_t)sqlite3_column_int64(st, 12),
	};
	row->last_error = sqlite3_column_type(st, 9) == SQLITE_NULL ? NULL :
	    column_text(st, 9);
	row->hold_until = sqlite3_column_int64(st, 13);
	row->deliver_by = sqlite3_column_int64(st, 14);
	row->priority = sqlite3_column_int(st, 15);
	row->flags = (unsigned int)sqlite3_column_int64(st, 16);
	row->holder = column_text(st, 17);
	row->is_on_hold = sqlite3_column_int(st, 18) != 0;
	row->since = sqlite3_column_int64(st, 19);
	row->notify = (unsigned int)sqlite3_column_int64(st, 20);
	row->warned = (unsigned int)sqlite3_column_int64(st, 21);
	row->outcome = column_text(st, 22);
	row->last_attempt = sqlite3_column_int64(st, 23);
	row->code = (unsigned int)sqlite3_column_int64(st, 24);
	row->enhanced = column_text(st, 25);
	row->remote = column_text(st, 26);
	row->waits_for = column_text(st, 27);
	row->route = column_text(st, 28);
	return 0;
}

/* The statement of ${query} */
static enum deferred_statement
bind_query(struct deferred *d, const struct deferred_query *query)
{
	enum deferred_statement page = query->domain != NULL ?
	    ST_PAGE_DOMAIN : ST_PAGE;

	switch (query->what) {
	case DEFERRED_DUE:
		sqlite3_bind_int64(d->st[ST_DUE], 1, query->now);
		sqlite3_bind_int64(d->st[ST_DUE], 2, query->id != 0 ?
		    query->next_attempt : INT64_MIN);
		bind_id(d->st[ST_DUE], 3, query->id);
		sqlite3_bind_int64(d->st[ST_DUE], 4, query->rcpt_index);
		sqlite3_bind_int64(d->st[ST_DUE], 5, query->limit);
		return ST_DUE;
	case DEFERRED_PAGE:
		bind_id(d->st[page], 1, query->id);
		sqlite3_bind_int64(d->st[page], 2, query->rcpt_index);
		sqlite3_bind_int64(d->st[page], 3, query->limit);
		if (query->domain != NULL)
			sqlite3_bind_text(d->st[page], 4, query->domain, -1,
			    SQLITE_STATIC);
		return page;
	case DEFERRED_WAITS:
		sqlite3_bind_text(d->st[ST_WAITS], 1, query->waits_for, -1,
		    SQLITE_STATIC);
		bind_id(d->st[ST_WAITS], 2, query->id);
		sqlite3_bind_int64(d->st[ST_WAITS], 3, query->rcpt_index);
		sqlite3_bind_int64(d->st[ST_WAITS], 4, query->limit);
		return ST_WAITS;
	case DEFERRED_OF:
		break;
	}
	bind_id(d->st[ST_OF], 1, query->id);
	return ST_OF;
}

int
deferred_rows(struct deferred *d, const struct deferred_query *query,
    deferred_func each, void *closure)
{
	enum deferred_statement which = bind_query(d, query);
	struct deferred_row row;
	int n = 0, rc;

	while ((rc = sqlite3_step(d->st[which])) == SQLITE_ROW) {
		n++;
		if (read_row(d->st[which], &row) == 0 &&
		    each(closure, &row) != 0)
			break;
	}
	return deferred_end(d, which, rc) == -1 ? -1 : n;
}

int
deferred_next(struct deferred *d, int64_t *next_r)
{
	int rc = sqlite3_step(d->st[ST_NEXT]);

	if (rc == SQLITE_ROW)
		*next_r = sqlite3_column_int64(d->st[ST_NEXT], 0);
	return deferred_end(d, ST_NEXT, rc);
}

int
deferred_waited_for(struct deferred *d, const char *behind, char *name_r,
    size_t len)
{
	sqlite3_stmt *st = d->st[ST_WAITED_FOR];
	int rc;

	sqlite3_bind_text(st, 1, behind, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)len - 1);
	if ((rc = sqlite3_step(st)) == SQLITE_ROW)
		strlcpy(name_r, column_text(st, 0), len);
	return deferred_end(d, ST_WAITED_FOR, rc);
}

static uint64_t
column_octets(sqlite3_stmt *st, int column)
{
	sqlite3_int64 octets = sqlite3_column_int64(st, column);

	return octets < 0 ? 0 : (uint64_t)octets;
}

int
deferred_holders(struct deferred *d, unsigned int limit,
    deferred_holder_func each, void *closure)
{
	sqlite3_stmt *st = d->st[ST_HOLDERS];
	int n = 0, rc;

	/* of these the last call has said that nothing is held any more */
	if (deferred_end(d, ST_CAME_DROP,
	    sqlite3_step(d->st[ST_CAME_DROP])) == -1)
		return -1;
	sqlite3_bind_int64(st, 1, limit);
	sqlite3_bind_int64(st, 2, DEFERRED_HOLDERS_MAX);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		n++;
		if (each(closure, column_text(st, 0),
		    (unsigned int)strtoul(column_text(st, 1), NULL, 16),
		    column_octets(st, 2), column_octets(st, 3)) != 0)
			break;
	}
	if (deferred_end(d, ST_HOLDERS, rc) == -1 ||
	    deferred_end(d, ST_CAME_GONE,
	    sqlite3_step(d->st[ST_CAME_GONE])) == -1)
		return -1;
	return n;
}

int
deferred_has(struct deferred *d, uint64_t id, uint32_t rcpt_index)
{
	bind_rcpts(d->st[ST_HAS], id, rcpt_index);
	return deferred_end(d, ST_HAS, sqlite3_step(d->st[ST_HAS]));
}

int
deferred_next_id(struct deferred *d, char id[SPOOL_ID_TEXT + 1])
{
	sqlite3_stmt *st = d->st[ST_NEXT_ID];
	int rc;

	sqlite3_bind_text(st, 1, id, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int(st, 2, SPOOL_ID_TEXT);
	if ((rc = sqlite3_step(st)) == SQLITE_ROW)
		strlcpy(id, column_text(st, 0), SPOOL_ID_TEXT + 1);
	return deferred_end(d, ST_NEXT_ID, rc);
}

int
deferred_rows_find(struct deferred *d, const struct spool_origin *origin,
    uint64_t *id_r)
{
	sqlite3_stmt *st = d->st[ST_FIND];
	const char *id;
	int rc;

	if (origin->segment == 0)
		return 0;
	bind_origin(st, 1, origin);
	if ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		id = column_text(st, 0);
		if (spool_id_parse(id, strlen(id), id_r) == -1)
			rc = SQLITE_DONE;	/* an invalid row, edited by hand */
	}
	return deferred_end(d, ST_FIND, rc);
}

int
deferred_last_of(struct deferred *d, uint64_t segment, uint64_t *generation_r)
{
	sqlite3_stmt *st = d->st[ST_LAST_OF];
	int rc;

	bind_segment(st, 1, segment);
	if ((rc = sqlite3_step(st)) == SQLITE_ROW)
		*generation_r = (uint64_t)sqlite3_column_int64(st, 0);
	return deferred_end(d, ST_LAST_OF, rc);
}

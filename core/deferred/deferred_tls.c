/* Counts for reports of TLS; see deferred_tls.h. */

#include "core/deferred/deferred_tls.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/deferred/deferred_int.h"

#define DAY_S	86400

int64_t
deferred_tls_day(int64_t now)
{
	return now - ((now % DAY_S) + DAY_S) % DAY_S;
}

static void
bind_text(sqlite3_stmt *st, int column, const char *text)
{
	sqlite3_bind_text(st, column, text, -1, SQLITE_STATIC);
}

static void
bind_domain(sqlite3_stmt *st, int64_t day, const char *domain)
{
	sqlite3_bind_int64(st, 1, day);
	bind_text(st, 2, domain);
}

/* Return whether the statement has changed a row; -1 with errno. */
static int
change(struct deferred *d, enum deferred_statement which)
{
	return deferred_run(d, which) == -1 ? -1 : sqlite3_changes(d->db) > 0;
}

static int
count(struct deferred *d, enum deferred_statement which,
    const struct deferred_tls *t)
{
	sqlite3_stmt *st = d->st[which];

	bind_domain(st, t->day, t->domain);
	bind_text(st, 3, t->policy_type);
	bind_text(st, 4, t->policy_domain);
	bind_text(st, 5, t->policy);
	bind_text(st, 6, t->result);
	bind_text(st, 7, t->mx_host);
	bind_text(st, 8, t->sending_ip);
	bind_text(st, 9, t->receiving_ip);
	bind_text(st, 10, t->reason);
	sqlite3_bind_int64(st, 11, (sqlite3_int64)t->sessions);
	return change(d, which);
}

/* How many domains and rows has the day? */
static int
find_sums(struct deferred *d, int64_t day)
{
	sqlite3_stmt *st = d->st[ST_TLS_SUMS];
	int rc;

	if (d->tls_day == day)
		return 0;
	sqlite3_bind_int64(st, 1, day);
	if ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		d->tls_ndomains = sqlite3_column_int64(st, 0);
		d->tls_nrows = sqlite3_column_int64(st, 1);
	}
	if (deferred_end(d, ST_TLS_SUMS, rc) == -1)
		return -1;
	d->tls_day = day;
	return 0;
}

static int
run_domain(struct deferred *d, enum deferred_statement which,
    const struct deferred_tls *t, int64_t n)
{
	bind_domain(d->st[which], t->day, t->domain);
	sqlite3_bind_int64(d->st[which], 3, n);
	return change(d, which);
}

/* Make room for one more row of the domain, or for the domain, without a row if
 * there are too many of the day.  1: there is; 0: not for the row. */
static int
make_room(struct deferred *d, const struct deferred_tls *t)
{
	int rc;
	bool has_room;

	if (find_sums(d, t->day) == -1)
		return -1;
	has_room = d->tls_nrows < LIM_TLSRPT_DAY_ROWS;
	rc = has_room ? run_domain(d, ST_TLS_ROOM, t, LIM_TLSRPT_ROWS) : 0;
	if (rc == 0 && d->tls_ndomains < LIM_TLSRPT_DOMAINS) {
		rc = run_domain(d, ST_TLS_OPEN, t, has_room);
		d->tls_ndomains += rc == 1;
	}
	if (rc != 1 || !has_room)
		return rc == -1 ? -1 : 0;
	d->tls_nrows++;
	return 1;
}

/* Add to the row of ${t}.  0: there is none, and no room for one. */
static int
add(struct deferred *d, const struct deferred_tls *t)
{
	int rc = count(d, ST_TLS_MORE, t);

	if (rc == 0 && (rc = make_room(d, t)) == 1)
		rc = count(d, ST_TLS_PUT, t);
	return rc;
}

int
deferred_tls_add(struct deferred *d, const struct deferred_tls *t)
{
	const struct deferred_tls all = { .day = t->day, .domain = t->domain,
		.policy_type = t->policy_type, .policy_domain = "",
		.policy = "", .result = t->result, .mx_host = "",
		.sending_ip = "", .receiving_ip = "", .reason = "",
		.sessions = t->sessions };
	int rc = add(d, t);

	if (rc == 0)
		rc = count(d, ST_TLS_MORE, &all);
	return rc == 0 ? count(d, ST_TLS_PUT, &all) : rc;
}

static const char *
text_of(sqlite3_stmt *st, int column)
{
	const unsigned char *s = sqlite3_column_text(st, column);

	return s == NULL ? "" : (const char *)s;
}

int
deferred_tls_next(struct deferred *d, int64_t *day,
    char domain[LIM_DOMAIN + 1], int64_t before)
{
	sqlite3_stmt *st = d->st[ST_TLS_NEXT];
	int rc;

	bind_domain(st, *day, domain);
	sqlite3_bind_int64(st, 3, before);
	sqlite3_bind_int64(st, 4, LIM_DOMAIN);
	if ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		*day = sqlite3_column_int64(st, 0);
		strlcpy(domain, text_of(st, 1), LIM_DOMAIN + 1);
	}
	return deferred_end(d, ST_TLS_NEXT, rc);
}

int
deferred_tls_rows(struct deferred *d, int64_t day, const char *domain,
    deferred_tls_func each, void *closure)
{
	sqlite3_stmt *st = d->st[ST_TLS_ROWS];
	int n = 0, rc;

	bind_domain(st, day, domain);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const struct deferred_tls t = {
			.day = sqlite3_column_int64(st, 0),
			.domain = text_of(st, 1),
			.policy_type = text_of(st, 2),
			.policy_domain = text_of(st, 3),
			.policy = text_of(st, 4), .result = text_of(st, 5),
			.mx_host = text_of(st, 6),
			.sending_ip = text_of(st, 7),
			.receiving_ip = text_of(st, 8),
			.reason = text_of(st, 9),
			.sessions = (uint64_t)sqlite3_column_int64(st, 10) };

		n++;
		if (each(closure, &t) != 0)
			break;
	}
	return deferred_end(d, ST_TLS_ROWS, rc) == -1 ? -1 : n;
}

int
deferred_tls_drop(struct deferred *d, int64_t day, const char *domain)
{
	d->tls_day = 0;
	bind_domain(d->st[ST_TLS_DROP], day, domain);
	if (deferred_run(d, ST_TLS_DROP) == -1)
		return -1;
	bind_domain(d->st[ST_TLS_UNTRY], day, domain);
	if (deferred_run(d, ST_TLS_UNTRY) == -1)
		return -1;
	bind_domain(d->st[ST_TLS_UNTAKE], day, domain);
	if (deferred_run(d, ST_TLS_UNTAKE) == -1)
		return -1;
	bind_domain(d->st[ST_TLS_CLOSE], day, domain);
	return deferred_run(d, ST_TLS_CLOSE);
}

int
deferred_tls_tried(struct deferred *d, int64_t day, const char *domain,
    int64_t now, int64_t *since_r)
{
	sqlite3_stmt *st = d->st[ST_TLS_TRIED];
	int rc;

	*since_r = now;
	bind_domain(st, day, domain);
	if ((rc = sqlite3_step(st)) == SQLITE_ROW)
		*since_r = sqlite3_column_int64(st, 0);
	if ((rc = deferred_end(d, ST_TLS_TRIED, rc)) != 0)
		return rc == 1 ? 0 : -1;
	bind_domain(d->st[ST_TLS_TRY], day, domain);
	sqlite3_bind_int64(d->st[ST_TLS_TRY], 3, now);
	return deferred_run(d, ST_TLS_TRY);
}

int
deferred_tls_take(struct deferred *d, int64_t day, const char *domain,
    uint64_t uri)
{
	sqlite3_stmt *st = d->st[ST_TLS_TAKE];

	bind_domain(st, day, domain);
	sqlite3_bind_int64(st, 3, (int64_t)uri);
	sqlite3_bind_int64(st, 4, LIM_TLSRPT_URIS);
	return deferred_run(d, ST_TLS_TAKE);
}

int
deferred_tls_taken(struct deferred *d, int64_t day, const char *domain,
    uint64_t uris_r[LIM_TLSRPT_URIS])
{
	sqlite3_stmt *st = d->st[ST_TLS_TAKEN];
	int n = 0, rc;

	bind_domain(st, day, domain);
	sqlite3_bind_int64(st, 3, LIM_TLSRPT_URIS);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		uris_r[n++] = (uint64_t)sqlite3_column_int64(st, 0);
	return deferred_end(d, ST_TLS_TAKEN, rc) == -1 ? -1 : n;
}

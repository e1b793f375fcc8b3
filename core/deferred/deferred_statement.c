/* The statements of the deferred store.
 * Owns: their text.  The tables: deferred_table.c; who runs them:
 * deferred_rows.c, deferred_shift.c, deferred_tls.c. */

#include "core/deferred/deferred_int.h"

#define COLUMNS		"id, rcpt_index, sender, rcpt, transport, received_us," \
			" octets, attempts, next_attempt, last_error," \
			" segment, generation, seq," \
			" hold_until, deliver_by, priority, flags, holder," \
			" on_hold, since, notify, warned, outcome," \
			" last_attempt, code, enhanced, remote, waits_for," \
			" route"
/* Of ST_SHIFT */
#define IS_HELD		"(hold_until <> 0 AND next_attempt = hold_until)"
#define IS_INTERVAL	"(flags & 256) <> 0"	/* SPOOL_ENV_HOLD_FOR */
#define HOLD_UNTIL	"CASE WHEN hold_until = 0 THEN 0 WHEN " IS_INTERVAL \
			" THEN min(max(hold_until + ?1, 1), ?3)" \
			" ELSE min(hold_until, ?3) END"
/* Of a row of "came": nothing is held any more */
#define IS_GONE		"NOT EXISTS (SELECT 1 FROM held" \
			" WHERE held.holder = came.holder" \
			" AND held.writer = came.writer)"

/* Of the table "tls_count": what a row counts */
#define TLS_KEY		"day, domain, policy_type, policy_domain, policy," \
			" result, mx_host, sending_ip, receiving_ip, reason"

/* Of ST_TOUCH: one that is parked keeps what its last attempt has said, if it had
 * one; why it is parked, its target says. */
#define KEPT(column, value) \
	column " = CASE WHEN ?13 != '' AND attempts > 0 THEN " column \
	" ELSE " value " END, "

static const char *const statements[DEFERRED_NSTATEMENTS] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	/* if the row belongs to another message, it stays: 0 rows are
	 * changed */
	[ST_PUT] = "INSERT INTO deferred (" COLUMNS ")"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	    " ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27,"
	    " ?28, ?29, ?30)"
	    " ON CONFLICT (id, rcpt_index) DO UPDATE SET"
	    " sender = excluded.sender, rcpt = excluded.rcpt,"
	    " transport = excluded.transport,"
	    " received_us = excluded.received_us, octets = excluded.octets,"
	    " attempts = excluded.attempts,"
	    " next_attempt = excluded.next_attempt,"
	    " last_error = excluded.last_error, segment = excluded.segment,"
	    " generation = excluded.generation, seq = excluded.seq,"
	    " hold_until = excluded.hold_until,"
	    " deliver_by = excluded.deliver_by,"
	    " priority = excluded.priority, flags = excluded.flags,"
	    " holder = excluded.holder,"
	    " on_hold = max(on_hold, excluded.on_hold),"
	    " since = excluded.since,"
	    " notify = excluded.notify, warned = excluded.warned,"
	    " outcome = excluded.outcome,"
	    " last_attempt = excluded.last_attempt, code = excluded.code,"
	    " enhanced = excluded.enhanced, remote = excluded.remote,"
	    " waits_for = excluded.waits_for,"
	    /* a record that is read again after a crash has none */
	    " route = CASE WHEN excluded.route = '' THEN route"
	    " ELSE excluded.route END"
	    " WHERE (segment = ?11 AND generation = ?12 AND seq = ?13)"
	    " OR (segment = '' AND ?14)",
	[ST_DROP] = "DELETE FROM deferred WHERE id = ?1"
	    " AND rcpt_index BETWEEN ?2 AND ?3",
	[ST_TOUCH] = "UPDATE deferred SET "
	    KEPT("last_error", "?5") KEPT("last_attempt", "?9")
	    KEPT("code", "?10") KEPT("enhanced", "?11") KEPT("remote", "?12")
	    "attempts = ?3, next_attempt = ?4, transport = ?6, warned = ?7,"
	    " outcome = ?8, waits_for = ?13"
	    " WHERE id = ?1 AND rcpt_index = ?2",
	[ST_HURRY] = "UPDATE deferred SET next_attempt = ?4"
	    " WHERE id = ?1 AND rcpt_index BETWEEN ?2 AND ?3"
	    " AND next_attempt > ?4"
	    " AND on_hold = 0 AND (hold_until <= ?4 OR attempts > 0)",
	[ST_HOLD] = "UPDATE deferred SET on_hold = 1"
	    " WHERE id = ?1 AND rcpt_index BETWEEN ?2 AND ?3 AND on_hold = 0",
	/* one that its sender has had held goes on to wait for its time */
	[ST_RELEASE] = "UPDATE deferred SET on_hold = 0, next_attempt ="
	    " CASE WHEN hold_until > ?4 AND attempts = 0"
	    " THEN min(hold_until, ?5)"
	    " ELSE ?4 END"
	    " WHERE id = ?1 AND rcpt_index BETWEEN ?2 AND ?3 AND on_hold <> 0",
	[ST_GIVE_UP] = "UPDATE deferred SET outcome = ?3, next_attempt = ?4,"
	    " last_error = ?5, enhanced = ?6, code = 0, remote = '',"
	    " on_hold = 0, waits_for = ''"
	    " WHERE id = ?1 AND rcpt_index = ?2 AND outcome = ''",
	[ST_ROUTE] = "UPDATE deferred SET route = ?5, waits_for = '',"
	    " next_attempt = CASE WHEN on_hold = 0"
	    " AND (hold_until <= ?4 OR attempts > 0)"
	    " THEN min(next_attempt, ?4) ELSE next_attempt END"
	    " WHERE id = ?1 AND rcpt_index BETWEEN ?2 AND ?3 AND outcome = ''",
	/* with the index, a row behind the other.  What is changed is not in
	 * it */
	[ST_HURRY_SOME] = "UPDATE deferred INDEXED BY deferred_domain"
	    " SET next_attempt = ?6"
	    " WHERE domain = ?1 AND (id, rcpt_index) > (?2, ?3)"
	    " AND (id, rcpt_index) <= (?4, ?5) AND next_attempt > ?6"
	    " AND on_hold = 0 AND (hold_until <= ?6 OR attempts > 0)",
	/* an address that was edited may be of any length */
	[ST_DOMAIN] = "SELECT domain FROM deferred INDEXED BY deferred_domain"
	    " WHERE domain > ?1 AND length(CAST(domain AS BLOB)) <= ?2"
	    /* or it would be found again behind itself */
	    " AND instr(CAST(domain AS BLOB), x'00') = 0"
	    " ORDER BY domain LIMIT 1",
	[ST_DOMAIN_END] = "SELECT id, rcpt_index FROM deferred"
	    " INDEXED BY deferred_domain"
	    " WHERE domain = ?1 AND (id, rcpt_index) > (?2, ?3)"
	    " ORDER BY id, rcpt_index LIMIT 1 OFFSET ?4",
	/* one that is held until a time of day stays so */
	[ST_SHIFT] = "UPDATE deferred SET"
	    " next_attempt = CASE WHEN NOT " IS_HELD
	    " THEN min(next_attempt + ?1, ?2) ELSE " HOLD_UNTIL " END,"
	    " hold_until = " HOLD_UNTIL ","
	    " since = CASE WHEN since <> 0 THEN min(max(since + ?1, 1), ?2)"
	    " ELSE 0 END,"
	    " deliver_by = CASE WHEN deliver_by <> 0"
	    " THEN max(deliver_by + ?1, 1) ELSE 0 END"
	    " WHERE (id, rcpt_index) > (?4, ?5)"
	    " AND (id, rcpt_index) <= (?6, ?7) AND CASE WHEN ?1 <> 0"
	    " THEN NOT " IS_HELD " OR " IS_INTERVAL " OR deliver_by <> 0"
	    " OR hold_until > ?3"
	    " ELSE next_attempt > CASE WHEN " IS_HELD " THEN ?3 ELSE ?2 END END",
	/* of those that wait the longest, ?3 at most */
	[ST_SHIFT_FAR] = "SELECT count(*), sum(is_far) FROM (SELECT"
	    " next_attempt > CASE WHEN " IS_HELD " THEN ?2 ELSE ?1 END AS is_far"
	    " FROM deferred INDEXED BY deferred_next"
	    " WHERE on_hold = 0 AND next_attempt > ?1 LIMIT ?3)",
	[ST_SHIFT_END] = "SELECT id, rcpt_index FROM deferred"
	    " WHERE (id, rcpt_index) > (?1, ?2)"
	    " ORDER BY id, rcpt_index LIMIT 1 OFFSET ?3",
	/* by login: what it has through many writers, a little through each,
	 * counts as much */
	[ST_HOLDERS] = "WITH most AS (SELECT holder, sum(octets) AS total"
	    " FROM held GROUP BY holder ORDER BY total DESC LIMIT ?1)"
	    " SELECT held.holder, held.writer, held.octets,"
	    " ifnull(came.octets, 0), most.total"
	    " FROM most JOIN held ON held.holder = most.holder"
	    " LEFT JOIN came ON came.holder = held.holder"
	    " AND came.writer = held.writer"
	    " UNION ALL SELECT holder, writer, 0, octets, 0 FROM came"
	    " WHERE NOT is_gone AND " IS_GONE
	    " ORDER BY 5 DESC, 1, 3 DESC, 2 LIMIT ?2",
	[ST_CAME_DROP] = "DELETE FROM came WHERE is_gone",
	[ST_CAME_GONE] = "UPDATE came SET is_gone = 1"
	    " WHERE NOT is_gone AND " IS_GONE,
	[ST_DUE] = "SELECT " COLUMNS " FROM deferred WHERE next_attempt <= ?1"
	    " AND on_hold = 0 AND (next_attempt, id, rcpt_index) > (?2, ?3, ?4)"
	    " ORDER BY next_attempt, id, rcpt_index LIMIT ?5",
	[ST_PAGE] = "SELECT " COLUMNS " FROM deferred"
	    " WHERE (id, rcpt_index) > (?1, ?2)"
	    " ORDER BY id, rcpt_index LIMIT ?3",
	[ST_PAGE_DOMAIN] = "SELECT " COLUMNS " FROM deferred"
	    " INDEXED BY deferred_domain"
	    " WHERE domain = ?4 AND (id, rcpt_index) > (?1, ?2)"
	    " ORDER BY id, rcpt_index LIMIT ?3",
	[ST_OF] = "SELECT " COLUMNS " FROM deferred WHERE id = ?1"
	    " ORDER BY rcpt_index",
	/* with the index, the oldest first */
	[ST_WAITS] = "SELECT " COLUMNS " FROM deferred"
	    " INDEXED BY deferred_waits"
	    " WHERE waits_for <> '' AND waits_for = ?1 AND on_hold = 0"
	    " AND (id, rcpt_index) > (?2, ?3)"
	    " ORDER BY id, rcpt_index LIMIT ?4",
	[ST_WAITED_FOR] = "SELECT waits_for FROM deferred"
	    " INDEXED BY deferred_waits"
	    " WHERE waits_for <> '' AND waits_for > ?1"
	    " AND length(CAST(waits_for AS BLOB)) <= ?2"
	    " ORDER BY waits_for LIMIT 1",
	[ST_NEXT] = "SELECT next_attempt FROM deferred WHERE on_hold = 0"
	    " ORDER BY next_attempt LIMIT 1",
	[ST_FIND] = "SELECT id FROM deferred WHERE segment = ?1"
	    " AND generation = ?2 AND seq = ?3 LIMIT 1",
	[ST_LAST_OF] = "SELECT generation FROM deferred WHERE segment = ?1"
	    " ORDER BY generation DESC LIMIT 1",
	[ST_TLS_MORE] = "UPDATE tls_count SET sessions = sessions + ?11"
	    " WHERE (" TLS_KEY ")"
	    " = (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[ST_TLS_SUMS] = "SELECT count(*), sum(nrows) FROM tls_domain"
	    " WHERE day = ?1",
	[ST_TLS_ROOM] = "UPDATE tls_domain SET nrows = nrows + 1"
	    " WHERE day = ?1 AND domain = ?2 AND nrows < ?3",
	[ST_TLS_OPEN] = "INSERT OR IGNORE INTO tls_domain VALUES (?1, ?2, ?3)",
	[ST_TLS_PUT] = "INSERT INTO tls_count"
	    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE EXISTS"
	    " (SELECT 1 FROM tls_domain WHERE day = ?1 AND domain = ?2)",
	[ST_TLS_NEXT] = "SELECT day, domain FROM tls_domain"
	    " WHERE (day, domain) > (?1, ?2) AND day < ?3"
	    /* behind one that is edited in and is no name the next search would
	     * not begin */
	    " AND typeof(domain) = 'text'"
	    " AND length(CAST(domain AS BLOB)) <= ?4"
	    " AND instr(CAST(domain AS BLOB), x'00') = 0"
	    " ORDER BY day, domain LIMIT 1",
	[ST_TLS_ROWS] = "SELECT " TLS_KEY ", sessions FROM tls_count"
	    " WHERE day = ?1 AND domain = ?2 ORDER BY " TLS_KEY,
	[ST_TLS_DROP] = "DELETE FROM tls_count WHERE day = ?1 AND domain = ?2",
	[ST_TLS_CLOSE] = "DELETE FROM tls_domain"
	    " WHERE day = ?1 AND domain = ?2",
	/* what was edited in and is no id has no file */
	[ST_NEXT_ID] = "SELECT id FROM deferred WHERE id > ?1"
	    " AND typeof(id) = 'text' AND length(CAST(id AS BLOB)) <= ?2"
	    " AND instr(CAST(id AS BLOB), x'00') = 0"
	    " ORDER BY id LIMIT 1",
	[ST_TLS_TRY] = "INSERT OR IGNORE INTO tls_tried"
	    " SELECT day, domain, ?3 FROM tls_domain"
	    " WHERE day = ?1 AND domain = ?2",
	[ST_TLS_TRIED] = "SELECT since FROM tls_tried"
	    " WHERE day = ?1 AND domain = ?2",
	/* and what a version that does not know this table has left in it */
	[ST_TLS_UNTRY] = "DELETE FROM tls_tried"
	    " WHERE day = ?1 AND domain = ?2 OR day < ?1 - 2592000",
	[ST_TLS_TAKE] = "INSERT OR IGNORE INTO tls_taken"
	    " SELECT day, domain, ?3 FROM tls_domain"
	    " WHERE day = ?1 AND domain = ?2 AND ?4 > (SELECT count(*)"
	    " FROM tls_taken WHERE day = ?1 AND domain = ?2)",
	[ST_TLS_TAKEN] = "SELECT uri FROM tls_taken"
	    " WHERE day = ?1 AND domain = ?2 ORDER BY uri LIMIT ?3",
	[ST_TLS_UNTAKE] = "DELETE FROM tls_taken"
	    " WHERE day = ?1 AND domain = ?2 OR day < ?1 - 2592000",
	[ST_HAS] = "SELECT 1 FROM deferred WHERE id = ?1"
	    " AND rcpt_index BETWEEN ?2 AND ?3 LIMIT 1",
};

int
deferred_prepare(struct deferred *d)
{
	size_t i;
	int rc;

	for (i = 0; i < DEFERRED_NSTATEMENTS; i++) {
		rc = sqlite3_prepare_v3(d->db, statements[i], -1,
		    SQLITE_PREPARE_PERSISTENT, &d->st[i], NULL);
		if (rc != SQLITE_OK)
			return deferred_failed(d, rc, "open");
	}
	return 0;
}

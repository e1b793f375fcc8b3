/* For the tests of the deferred store: a store in a folder of its own, and the
 * rows that were seen in it. */

#ifndef TEST_UNIT_CORE_DEFERRED_DEFERRED_FIXTURE_H
#define TEST_UNIT_CORE_DEFERRED_DEFERRED_FIXTURE_H

#include "core/deferred/deferred.h"
#include "test/unit/core/queue/queue_fixture.h"

struct deferred_fixture {
	struct qf		 f;
	struct deferred		*d;
	struct deferred_row	 seen[64];
	char			 texts[64][3][64];	/* sender, recipient, error */
	size_t			 nseen;
};

extern struct deferred_fixture ds;

/* ds_setup(), ds_teardown(): of a test.
 * ds_reopen(): Close and open the store; no row is seen yet. */
void ds_setup(void);
void ds_teardown(void);
void ds_reopen(void);

/* ds_rows(q): Add the rows that ${q} asks for to those that were seen.
 * ds_rows_of(id): Those of the message ${id}.
 * ds_rows_due(now, limit): Those that are due then.  All return their number. */
int ds_rows(const struct deferred_query *q);
int ds_rows_of(uint64_t id);
int ds_rows_due(int64_t now, unsigned int limit);

/* ds_shift(seconds, latest, held): deferred_shift() until it is over, by pieces of
 * two rows.  Return rows changed.
 * ds_put(id, index, next): A row.
 * ds_put_held(id, until): One that is held until then, with deliver_by 10 s later.
 * ds_put_file_of(id, origin): A file for the message ${id} with two recipients.
 * ds_put_file(id): The same, from the segment QF_SEGMENT(id). */
int ds_shift(int64_t seconds, int64_t latest, int64_t held);
void ds_put(uint64_t id, uint32_t index, int64_t next);
void ds_put_held(uint64_t id, int64_t until);
void ds_put_file_of(uint64_t id, const struct spool_origin *origin);
void ds_put_file(uint64_t id);

/* What later versions of the table have added is not there. */
#define DS_TO_VERSION8 \
	"ALTER TABLE deferred DROP COLUMN route;"
#define DS_TO_VERSION7 DS_TO_VERSION8 \
	"DROP INDEX deferred_waits; ALTER TABLE deferred DROP COLUMN waits_for;"
#define DS_TO_VERSION6 DS_TO_VERSION7 \
	"ALTER TABLE deferred DROP COLUMN since;" \
	"ALTER TABLE deferred DROP COLUMN notify;" \
	"ALTER TABLE deferred DROP COLUMN warned;" \
	"ALTER TABLE deferred DROP COLUMN outcome;" \
	"ALTER TABLE deferred DROP COLUMN last_attempt;" \
	"ALTER TABLE deferred DROP COLUMN code;" \
	"ALTER TABLE deferred DROP COLUMN enhanced;" \
	"ALTER TABLE deferred DROP COLUMN remote;"
#define DS_TO_VERSION5 DS_TO_VERSION6 \
	"DROP INDEX deferred_next;" \
	"ALTER TABLE deferred DROP COLUMN on_hold;" \
	"CREATE INDEX deferred_next ON deferred (next_attempt);"

#define DS_TO_VERSION4 DS_TO_VERSION5 \
	"DROP INDEX deferred_domain; ALTER TABLE deferred DROP COLUMN domain;"

/* ds_exec(sql): Run it in the database.  Return SQLite's result.
 * ds_exec_in(folder, sql): The same in the one of another folder.
 * ds_damage(): Damage all pages of the database but the first, while it is open.
 * ds_damage_in(folder): The same of the one there. */
int ds_exec(const char *sql);
int ds_exec_in(const char *folder, const char *sql);
void ds_damage(void);
void ds_damage_in(const char *folder);

#endif

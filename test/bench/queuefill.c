/* A deferred store that is full: so many messages, each for so many recipients at
 * the domain dead.test, which are parked for a target or have each been tried.
 *	queuefill spool messages recipients [target]
 * They are written through the store's own functions, while no server runs: a
 * million of them take a minute and not an hour.  They are due within the next
 * hours, and belong to who owns the folder. */

#include <sys/stat.h>

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/queue/queue_store.h"
#include "core/store/queue_spool.h"

#define BATCH	5000		/* rows in a transaction, at least */
#define SOON_S	7200		/* none is due before */
#define SPREAD_S 5400		/* they are due at different times */
#define BODY	1024		/* octets */

struct fill {
	void		*store;
	const char	*target;	/* "": they were tried */
	uint64_t	 now_s;
	uint32_t	 nrcpts;
	char		(*names)[32];
	const char	**rcpts;
	char		 body[BODY];
	struct queue_change *changes;
	struct queue_place *places;
	size_t		 nchanges, nplaces;
};

static bool
no_room(struct queue *)
{
	return false;
}

static int
take_none(struct queue *, const struct queue_record *)
{
	return -1;
}

static void
forget_none(struct queue *, struct queue_file *)
{
}

static unsigned int
holds_none(struct queue *, uint64_t)
{
	return 0;
}

static const struct queue_store_user user = { .has_room = no_room,
	.take = take_none, .forget = forget_none, .holds = holds_none };

static int
open_folder(const char *spool, const char *name)
{
	char path[1024];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", spool, name);
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		err(1, "%s: start mailmilld once, so that it makes it", path);
	return fd;
}

/* What is written is to belong to the queue process. */
static void
become_owner(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		err(1, "fstat");
	if (getuid() == 0 && (setegid(st.st_gid) == -1 ||
	    seteuid(st.st_uid) == -1))
		err(1, "seteuid");
}

static void
fill_open(struct fill *f, const char *spool)
{
	struct queue_config config = { .store = &queue_spool_ops };
	char path[1024];

	snprintf(path, sizeof(path), "%s/queue", spool);
	config.folder = path;
	config.queue_dirfd = open_folder(spool, "queue");
	config.incoming_dirfd = open_folder(spool, "incoming");
	become_owner(config.queue_dirfd);
	umask(077);
	f->store = queue_spool_ops.open(&config, &user, NULL, 0);
	if (f->store == NULL)
		err(1, "%s", path);
}

/* All that has gathered, in one transaction */
static void
flush(struct fill *f)
{
	if (f->nchanges > 0 && queue_spool_ops.change(f->store, f->changes,
	    f->nchanges) == -1)
		err(1, "change");
	f->nchanges = f->nplaces = 0;
}

static void
add_rows(struct fill *f, const struct queue_place *place)
{
	struct queue_change *c;
	uint32_t i;

	for (i = 0; i < f->nrcpts; i++) {
		c = &f->changes[f->nchanges++];
		*c = (struct queue_change){ .kind = CHANGE_PUT,
		    .place = place };
		c->row = (struct deferred_row){ .id = place->id,
		    .rcpt_index = i, .sender = "a@client.test",
		    .rcpt = f->rcpts[i], .transport = "relay",
		    .received_us = f->now_s * 1000000, .octets = BODY,
		    .since = (int64_t)f->now_s,
		    .next_attempt = (int64_t)(f->now_s + SOON_S +
		    (place->id >> 12) % SPREAD_S),
		    .last_error = "127.0.0.1 did not answer: connection "
		    "refused; other messages for it wait, too",
		    .waits_for = f->target };
		if (f->target[0] != '\0')
			continue;
		c->row.attempts = 1;
		c->row.last_attempt = (int64_t)f->now_s;
		c->row.remote = "127.0.0.1";
	}
}

static void
add_message(struct fill *f)
{
	struct spool_envelope env = { .sender = "a@client.test",
		.rcpts = f->rcpts, .nrcpts = f->nrcpts, .session = "fill",
		.client = "192.0.2.1", .helo = "client.test",
		.received = { .tv_sec = (time_t)f->now_s } };
	struct queue_place *place = &f->places[f->nplaces++];

	if (queue_spool_ops.own_place(f->store, place) == -1 ||
	    queue_spool_ops.own_write(f->store, place, &env,
	    f->now_s * 1000000, f->body, sizeof(f->body)) == -1)
		err(1, "message");
	add_rows(f, place);
	if (f->nchanges >= BATCH)
		flush(f);
}

int
main(int argc, char **argv)
{
	struct fill f = { .now_s = (uint64_t)time(NULL) };
	unsigned long i, n;

	if (argc != 4 && argc != 5)
		errx(2, "usage: queuefill spool messages recipients [target]");
	n = strtoul(argv[2], NULL, 10);
	f.nrcpts = (uint32_t)strtoul(argv[3], NULL, 10);
	f.target = argc > 4 ? argv[4] : "";
	if (f.nrcpts == 0)
		errx(2, "%s: how many recipients has a message?", argv[3]);
	memset(f.body, 'x', sizeof(f.body));
	memcpy(f.body, "Subject: deferred\r\n\r\n", 21);
	f.names = calloc(f.nrcpts, sizeof(f.names[0]));
	f.rcpts = calloc(f.nrcpts, sizeof(f.rcpts[0]));
	f.changes = calloc(BATCH + f.nrcpts, sizeof(f.changes[0]));
	f.places = calloc(BATCH, sizeof(f.places[0]));
	if (f.names == NULL || f.rcpts == NULL || f.changes == NULL ||
	    f.places == NULL)
		err(1, "calloc");
	for (i = 0; i < f.nrcpts; i++) {
		snprintf(f.names[i], sizeof(f.names[i]), "u%lu@dead.test", i);
		f.rcpts[i] = f.names[i];
	}
	fill_open(&f, argv[1]);
	for (i = 0; i < n; i++)
		add_message(&f);
	flush(&f);
	queue_spool_ops.close(f.store);
	return 0;
}

/* Where the messages of a batch go: the Maildir or the folder in it, and what earlier
 * attempts have left there.
 * Owns: nothing; open Maildirs are deliver_dirs.c's. */

#include "core/maildir/deliver_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/spool/spool_id.h"

/* Why the Maildir of ${route} cannot be opened */
static int
fail_open(struct deliver *d, struct deliver_item *item,
    const struct deliver_route *route)
{
	if (errno == ENOENT)
		deliver_fail(item, ENOENT, d->dirs.where, route->path);
	else
		deliver_fail(item, errno, "opening", d->dirs.where);
	return -1;
}

/* A failure of this process or machine, not of the folder */
static bool
is_ours(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM;
}

/* What a path without a folder of the user's is.  Another errno is ours, and is over
 * at the next attempt. */
static bool
is_no_folder(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP ||
	    errnum == EACCES || errnum == ENAMETOOLONG;
}

/* Whoever can send mail chooses the names: so there are not more than so many.  Return
 * 1 or 0; -1 with errno: that is not known. */
static int
may_make(struct deliver *d, const struct deliver_route *route, time_t now)
{
	struct deliver_dir *inbox;
	int may;

	if (!route->makes_folder || route->folders_max == 0)
		return route->makes_folder;
	inbox = deliver_dirs_get(&d->dirs, route->path, route->fixed, now);
	if (inbox == NULL)
		return -1;
	may = !maildir_has_folders(&inbox->md, route->folders_max);
	deliver_dirs_put(&d->dirs, inbox);
	return may;
}

/* The folder that ${route} names, if there is one, or if it is to be made.  NULL: the
 * Maildir itself gets the message, with errno 0; or errno is why that is not known.
 * One that cannot be made is as one that is not there: if nothing can be written at
 * all, the Maildir says why. */
static struct deliver_dir *
open_folder(struct deliver *d, const struct deliver_route *route, time_t now)
{
	char path[MAILDIR_PATH_MAX];
	struct deliver_dir *dir = NULL;
	size_t i;
	int may;

	for (i = 0; i < 2 && route->folders[i][0] != '\0'; i++) {
		if (snprintf(path, sizeof(path), "%s/%s", route->path,
		    route->folders[i]) >= (int)sizeof(path))
			break;
		dir = deliver_dirs_find(&d->dirs, path, route->fixed, now);
		if (dir != NULL || !is_no_folder(errno))
			return dir;
	}
	if (i == 2 && (may = may_make(d, route, now)) != 0) {
		if (may == -1)
			return NULL;
		dir = deliver_dirs_get(&d->dirs, path, route->fixed, now);
		if (dir != NULL)
			maildir_mark_folder(&dir->md);
		else if (is_ours(errno))
			return NULL;
	}
	errno = 0;
	return dir;
}

bool
deliver_has_limit(const struct deliver_item *item)
{
	return item->limit.octets != 0 || item->limit.messages != 0;
}

/* Open where ${item} goes by ${route}.  Return 0, or -1: it has failed. */
static int
open_dirs(struct deliver *d, struct deliver_item *item,
    const struct deliver_route *route, time_t now)
{
	bool has_folder = false;

	if (route->folders[0][0] != '\0') {
		item->dir = open_folder(d, route, now);
		has_folder = item->dir != NULL;
		if (!has_folder && errno != 0)
			return fail_open(d, item, route);
	}
	if (!has_folder) {
		item->dir = deliver_dirs_get(&d->dirs, route->path,
		    route->fixed, now);
		if (item->dir == NULL)
			return fail_open(d, item, route);
	}
	/* an earlier attempt may have found no folder */
	if (!(has_folder && item->job.is_repeated) && !deliver_has_limit(item))
		return 0;
	item->inbox = deliver_dirs_get(&d->dirs, route->path, route->fixed,
	    now);
	return item->inbox == NULL ? fail_open(d, item, route) : 0;
}

int
deliver_locate(struct deliver *d, struct deliver_item *item, time_t now,
    struct spool_view *view_r)
{
	char id[SPOOL_ID_TEXT + 1], text[JOB_TEXT];
	struct deliver_route route;
	const char *rcpt;

	if (spool_sources_record(d->sources, &item->job, view_r) == -1) {
		deliver_fail(item, errno, "reading the spool", "");
		return -1;
	}
	rcpt = spool_envelope_rcpt(&view_r->envelope, item->job.origin.rcpt);
	if (rcpt == NULL) {
		deliver_fail(item, EBADMSG, "no such recipient", "");
		return -1;
	}
	if (item->dir != NULL)	/* from the search for earlier files */
		return 0;
	route.folders[0][0] = '\0';
	route.limit = (struct maildir_size){ .octets = 0 };
	if (d->ops->route(d->closure, &item->job, rcpt, &route,
	    text) == -1) {
		deliver_fail(item, errno, "", "");
		free(item->text);
		item->text = strdup(text);
		return -1;
	}
	/* the octets of BODY=BINARYMIME are no line ends (RFC 3030 3) */
	item->is_lf = route.is_lf &&
	    !(view_r->envelope.flags & SPOOL_ENV_BINARYMIME);
	item->adds = route.adds;
	item->mode = route.mode;
	item->limit = route.limit;
	item->is_deferred = route.is_deferred;
	if (open_dirs(d, item, &route, now) == -1)
		return -1;
	spool_id_text(view_r->record.id, id);
	maildir_prefix(item->prefix, view_r->record.received_us / 1000000, id,
	    &item->job.origin);
	item->key = maildir_key(item->prefix);
	return 0;
}

/* Octets of the file that ${item} will be, as far as known before */
static uint64_t
expected_octets(const struct deliver_item *item,
    const struct spool_view *view)
{
	char head[2048];

	/* what is added depends on settings that may be others since */
	if (item->is_lf || item->adds != 0)
		return 0;
	return maildir_return_path(head, sizeof(head),
	    view->envelope.sender) + view->record.body_octets;
}

/* What the earlier attempts of a repeated job may have left */
struct look {
	struct look_place {
		struct deliver_item	*item;
		struct deliver_dir	*dir;
	}			 places[2 * JOBS_AT_ONCE];
	const char		*keys[2 * JOBS_AT_ONCE];
	size_t			 n;
	struct look_place	*base;	/* of the Maildir looked at */
};

static void
look_found(void *closure, size_t index, const char *, const char *name,
    uint64_t octets)
{
	struct look *look = closure;
	struct deliver_item *item = look->base[index].item;
	const char *size = strstr(name, ",S=");

	/* octets is what write_item() expects, 0 when it cannot know */
	if ((item->octets != 0 && item->octets != octets) || size == NULL ||
	    strtoull(size + 3, NULL, 10) != octets)
		item->is_alien = true;
	else
		item->is_found = true;
}

static int
look_compare(const void *a, const void *b)
{
	const struct look_place *x = a, *y = b;

	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return strcmp(x->item->key, y->item->key);
}

/* Each Maildir is read once, however many jobs of the batch it has. */
static void
look_at(struct look *look, size_t first, size_t n)
{
	struct look_place *places = look->places + first;
	int rc, errnum;
	size_t i;

	for (i = 0; i < n; i++)
		look->keys[i] = places[i].item->key;
	look->base = places;
	rc = maildir_look(&places[0].dir->md, look->keys, n, look_found, look);
	errnum = errno;
	for (i = 0; rc == -1 && i < n; i++)
		deliver_fail(places[i].item, errnum, "reading",
		    places[i].dir->path);
}

void
deliver_look(struct deliver *d, time_t now)
{
	struct look look = { .n = 0 };
	struct deliver_item *item;
	struct spool_view view;
	size_t i, n;

	STAILQ_FOREACH (item, &d->batch, link) {
		if (!item->job.is_repeated ||
		    deliver_locate(d, item, now, &view) == -1)
			continue;
		item->octets = expected_octets(item, &view);
		look.places[look.n++] = (struct look_place){ item, item->dir };
		if (item->inbox != NULL && item->inbox != item->dir)
			look.places[look.n++] = (struct look_place){ item,
				item->inbox };
	}
	qsort(look.places, look.n, sizeof(look.places[0]), look_compare);
	for (i = 0; i < look.n; i += n) {
		for (n = 1; i + n < look.n &&
		    look.places[i + n].dir == look.places[i].dir; n++)
			continue;
		look_at(&look, i, n);
	}
}

/* The files that a worker has been given and has not closed yet.
 * Owns: the lists of them, a descriptor of each for reading, the check whether the
 * worker has closed one, how much it has written to them.
 * A file is looked at through its descriptor: a worker can write on to one that
 * has no name any more, since the queue process has delivered it, or since the
 * worker has asked to have it removed. */

#include "cmd/mailmilld/spoold/spoold_int.h"

#include <sys/file.h>
#include <sys/param.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/util/array.h"

#define NOFILE_KEPT	128	/* descriptors for the channels and for answers, of few half */

/* Has its writer closed it?  Then it is not locked any more: a worker may not
 * call flock(2), so that the lock lasts as long as any copy of its descriptor,
 * also one that is in a message. */
static bool
is_closed(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) == -1)
		return false;
	(void)flock(fd, LOCK_UN);
	return true;
}

int
spoold_given_room(const struct spoold *sp, struct spoold_given *g, size_t max)
{
	struct spoold_open *files;
	size_t kept = MIN(NOFILE_KEPT, sp->nofile / 2);
	size_t left = sp->nofile - MIN(sp->nofile, sp->ngiven + kept);

	/* as many as this worker has are left to the others */
	if (g->n >= max || left == 0 ||
	    (sp->settings->workers > 1 && g->n >= left)) {
		errno = EMFILE;
		return -1;
	}
	if ((files = array_fit(g->files, &g->room, g->n + 1,
	    sizeof(*files))) == NULL)
		return -1;
	g->files = files;
	return 0;
}

int
spoold_given_add(struct spoold_worker *w, bool is_body, uint64_t id,
    const char *name, uint64_t octets)
{
	struct spoold_given *g = is_body ? &w->bodies : &w->segments;
	struct spoold_open *o;
	struct stat st;
	int fd;

	if (spoold_given_room(w->sp, g, SIZE_MAX) == -1 ||
	    (fd = openat(w->sp->dirfd, name, O_RDONLY | O_CLOEXEC |
	    O_NOFOLLOW | O_NONBLOCK)) == -1)
		return -1;
	if (fstat(fd, &st) == -1) {
		(void)close(fd);
		return -1;
	}
	o = &g->files[g->n++];
	*o = (struct spoold_open){ .id = id, .fd = fd,
		.size = MAX(octets, (uint64_t)st.st_size),
		.blocks = MAX(octets, (uint64_t)st.st_blocks * 512) };
	w->sp->ngiven++;
	spoold_share_opened(&w->share, id, is_body, fd);
	return 0;
}

static void
note_growth(uint64_t now, uint64_t *most, uint64_t *grown)
{
	if (now <= *most)
		return;
	*grown += now - *most;
	*most = now;
}

static void
measure(struct spoold_share *s, struct spoold_open *o)
{
	struct stat st;

	if (fstat(o->fd, &st) == -1)
		return;
	note_growth((uint64_t)st.st_size, &o->size, &s->grown);
	note_growth((uint64_t)st.st_blocks * 512, &o->blocks, &s->filled);
}

void
spoold_given_measure(struct spoold_worker *w)
{
	size_t i;

	for (i = 0; i < w->segments.n; i++)
		measure(&w->share, &w->segments.files[i]);
	for (i = 0; i < w->bodies.n; i++)
		measure(&w->share, &w->bodies.files[i]);
}

static void
forget(struct spoold *sp, struct spoold_given *g, size_t i)
{
	(void)close(g->files[i].fd);
	g->files[i] = g->files[--g->n];
	sp->ngiven--;
}

void
spoold_given_look(struct spoold_worker *w, bool is_body, size_t n)
{
	struct spoold_given *g = is_body ? &w->bodies : &w->segments;
	struct spoold_open *o;

	for (n = MIN(n, g->n); n > 0; n--) {
		g->hand = g->hand < g->n ? g->hand : 0;
		o = &g->files[g->hand];
		if (!is_closed(o->fd)) {
			g->hand++;
			continue;
		}
		/* it may have been written to since the last look */
		measure(&w->share, o);
		spoold_share_closed(&w->share, o->id, is_body, o->fd);
		forget(w->sp, g, g->hand);
	}
}

bool
spoold_given_has(const struct spoold_given *g, uint64_t id)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (g->files[i].id == id)
			return true;
	return false;
}

void
spoold_given_prune(struct spoold *sp, struct spoold_given *g,
    bool is_named_kept)
{
	struct stat st;
	size_t i;

	for (i = g->n; i-- > 0;)
		if (is_closed(g->files[i].fd) || (!is_named_kept &&
		    (fstat(g->files[i].fd, &st) == -1 || st.st_nlink > 0)))
			forget(sp, g, i);
}

void
spoold_given_free(struct spoold *sp, struct spoold_given *g)
{
	while (g->n > 0)
		forget(sp, g, g->n - 1);
	free(g->files);
	*g = (struct spoold_given){ .files = NULL };
}

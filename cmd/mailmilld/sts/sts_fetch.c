/* Fetching policies, and posting reports; see sts_fetch.h.
 * Owns: what is asked for, from the look-up of its host to the call that tells the end.
 * Whose turn it is: sts_place.c; the transfers: sts_transfer.c; what becomes of them:
 * sts_result.c. */

#include "cmd/mailmilld/sts/sts_fetch_int.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/loop/after.h"
#include "core/util/fileio.h"

#define HOST_PREFIX	"mta-sts."
#define POLICY_PATH	"/.well-known/mta-sts.txt"

static void
fetch_free(struct sts_fetch *f)
{
	lookup_cancel(&f->ask);
	sts_transfer_stop(f);
	TAILQ_REMOVE(&f->fs->lists[f->state], f, link);
	f->fs->nrunning -= f->state == RUNNING;
	fileio_close(f->body);
	free(f);
}

/* Those that are over, and the next ones. */
static void
on_turn(void *closure)
{
	struct sts_fetches *fs = closure;
	struct sts_fetch *f;

	fs->turn = NULL;
	while ((f = TAILQ_FIRST(&fs->lists[OVER])) != NULL) {
		f->fn(f->closure, f->failure, f->why,
		    f->failure == STS_FETCHED ? &f->policy : NULL);
		fetch_free(f);
	}
	sts_place_start(fs);
}

static void
on_addresses(void *closure, const struct lookup_answer *a)
{
	struct sts_fetch *f = closure;
	struct lookup_record r;
	char why[STS_WHY_MAX];
	size_t at = 0;

	f->ask = NULL;
	while (f->naddrs < STS_ADDRESSES_MAX &&
	    lookup_record_next(a, &at, &r) == 1)
		if (!addr_is_no_host(&r.addr.sa))
			f->addrs[f->naddrs++] = r.addr;
	if (f->naddrs > 0) {
		sts_transfer_set_state(f, WAITING);
		sts_place_start(f->fs);
		return;
	}
	snprintf(why, sizeof(why), "%s has no address: %s", f->host,
	    lookup_status_name(a->status));
	sts_transfer_finish(f, a->status == LOOKUP_TEMPORARY && a->is_unasked ?
	    STS_UNKNOWN : STS_FETCH_ERROR, why);
}

/* Look its host up.  NULL with errno: it cannot be, and is no more. */
static struct sts_fetch *
begin(struct sts_fetch *f)
{
	int errnum;

	f->group = sts_group(f->host);
	f->ask = lookup_ask(f->fs->lookup, LOOKUP_HOST, f->host, on_addresses,
	    f);
	if (f->ask == NULL) {
		errnum = errno;
		free(f);
		errno = errnum;
		return NULL;
	}
	TAILQ_INSERT_TAIL(&f->fs->lists[LOOKING], f, link);
	return f;
}

static struct sts_fetch *
fetch_new(struct sts_fetches *fs, sts_fetch_fn *fn, void *closure)
{
	struct sts_fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->fs = fs;
	f->fn = fn;
	f->closure = closure;
	f->body = -1;
	return f;
}

struct sts_fetch *
sts_fetch_begin(struct sts_fetches *fs, const char *domain, sts_fetch_fn *fn,
    void *closure)
{
	struct sts_fetch *f;

	if (strlen(domain) + strlen(HOST_PREFIX) > LIM_DOMAIN) {
		errno = EINVAL;
		return NULL;
	}
	if ((f = fetch_new(fs, fn, closure)) == NULL)
		return NULL;
	snprintf(f->host, sizeof(f->host), HOST_PREFIX "%s", domain);
	strlcpy(f->path, POLICY_PATH, sizeof(f->path));
	return begin(f);
}

/* Is ${fd} one that can be read in place?  A pipe would have the process wait. */
static bool
is_file(int fd, off_t *len_r)
{
	struct stat st;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_size > LIM_TLSRPT_REPORT)
		return false;
	*len_r = st.st_size;
	return true;
}

struct sts_fetch *
sts_fetch_post(struct sts_fetches *fs, const struct https_uri *uri, int fd,
    sts_fetch_fn *fn, void *closure)
{
	struct sts_fetch *f;
	off_t len;

	if (!is_file(fd, &len)) {
		errno = EINVAL;
		return NULL;
	}
	if ((f = fetch_new(fs, fn, closure)) == NULL)
		return NULL;
	strlcpy(f->host, uri->host, sizeof(f->host));
	strlcpy(f->path, uri->path, sizeof(f->path));
	f->body_len = len;
	if ((f = begin(f)) != NULL)
		f->body = fd;
	return f;
}

void
sts_fetch_cancel(struct sts_fetch **f)
{
	if (*f != NULL)
		fetch_free(*f);
	*f = NULL;
}

/* --- all of them ---------------------------------------------------------- */

struct sts_fetches *
sts_fetches_new(const struct sts_fetches_config *config, char *err_r,
    size_t errlen)
{
	struct sts_fetches *fs = calloc(1, sizeof(*fs));
	unsigned int i;

	snprintf(err_r, errlen, "out of memory or descriptors");
	if (fs == NULL)
		return NULL;
	fs->port = config->port;
	fs->lookup = config->lookup;
	fs->places = config->places;
	fs->seconds = config->seconds;
	fs->short_ms = config->short_ms;
	fs->is_wanted = config->is_wanted;
	fs->now_ms = config->now_ms;
	fs->on_turn = on_turn;
	for (i = 0; i <= OVER; i++)
		TAILQ_INIT(&fs->lists[i]);
	fs->authorities = (struct curl_blob){
		.data = malloc(config->authorities_len + 1),
		.len = config->authorities_len, .flags = CURL_BLOB_NOCOPY };
	fs->slow = calloc(STS_SLOW_MAX, sizeof(fs->slow[0]));
	fs->seed = (uint64_t)arc4random() << 32 | arc4random();
	if (fs->authorities.data == NULL || fs->slow == NULL ||
	    sts_loop_open(&fs->loop, config->kind, sts_result_take, fs) == -1) {
		sts_fetches_free(fs);
		return NULL;
	}
	if (config->authorities_len > 0)
		memcpy(fs->authorities.data, config->authorities,
		    config->authorities_len);
	return fs;
}

void
sts_fetches_free(struct sts_fetches *fs)
{
	if (fs == NULL)
		return;
	sts_loop_close(&fs->loop);
	after_cancel(&fs->turn);
	after_cancel(&fs->cut);
	free(fs->authorities.data);
	free(fs->slow);
	free(fs);
}

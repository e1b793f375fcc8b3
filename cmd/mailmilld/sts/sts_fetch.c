/* Fetching policies, and posting reports; see sts_fetch.h. */

#include "cmd/mailmilld/sts/sts_fetch.h"

#include <sys/param.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <xxhash.h>

#include "cmd/mailmilld/sts/sts_loop.h"
#include "core/loop/after.h"
#include "core/util/fileio.h"

#define HOST_PREFIX	"mta-sts."
#define URL_MAX		(LIM_TLSRPT_URI + 64)
#define POLICY_PATH	"/.well-known/mta-sts.txt"
#define CUT_MS		1000		/* while fetches wait, what takes long is looked for */
#define ADDRESSES_MAX	8		/* that are tried */
#define RESOLVE_MAX	(LIM_DOMAIN + 16 + ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3))
#define WHY_MAX		(CURL_ERROR_SIZE + 32)
#define SLOW_MAX	8192		/* hosts that are remembered; 128 KiB */
#define SLOW_MS		3600000		/* for so long: mail is tried again more often */

enum state { LOOKING, WAITING, RUNNING, OVER };

struct sts_fetch {
	TAILQ_ENTRY(sts_fetch)	 link;		/* of those in its state */
	struct sts_fetches	*fs;
	enum state		 state;
	char			 host[LIM_DOMAIN + 1];
	const char		*group;		/* in host: the two last labels */
	char			 path[LIM_TLSRPT_URI + 1]; /* with the query */
	int			 body;		/* that is posted; -1: a policy is fetched */
	off_t			 body_len, body_at;
	struct curl_slist	*fields;	/* of its header */
	uint64_t		 since_ms;	/* with RUNNING: it has begun */
	struct lookup_ask	*ask;		/* with LOOKING */
	union addr		 addrs[ADDRESSES_MAX];
	size_t			 naddrs;
	CURL			*easy;		/* with RUNNING */
	struct curl_slist	*resolve;
	char			 error[CURL_ERROR_SIZE];
	bool			 is_too_long;
	bool			 is_own;	/* a failure of this process, not of the server */
	uint64_t		 lacked;	/* sts_curl_lacked() before */
	char			*text;		/* of the answer */
	size_t			 len;
	/* with OVER */
	enum sts_failure	 failure;
	char			 why[WHY_MAX];
	struct sts_policy	 policy;
	sts_fetch_fn		*fn;
	void			*closure;
};
TAILQ_HEAD(fetch_list, sts_fetch);

/* A host that did not answer in time while others waited. */
struct slow {
	uint64_t	 hash;
	uint64_t	 end_ms;	/* it counts until then; 0: there is none here */
};

struct sts_fetches {
	struct sts_loop		 loop;
	struct curl_blob	 authorities;
	unsigned int		 port;
	struct lookup		*lookup;
	unsigned int		 places, seconds, short_ms;
	bool			(*is_wanted)(void *closure);
	uint64_t		(*now_ms)(void);
	Event			*turn;		/* set while some are OVER */
	Event			*cut;		/* set while some are WAITING */
	struct fetch_list	 lists[OVER + 1];
	unsigned int		 nrunning;
	struct slow		*slow;		/* SLOW_MAX, by hash */
	uint64_t		 seed;
};

/* --- states --------------------------------------------------------------- */

static void on_turn(void *closure);

static void
set_state(struct sts_fetch *f, enum state state)
{
	struct sts_fetches *fs = f->fs;

	TAILQ_REMOVE(&fs->lists[f->state], f, link);
	fs->nrunning -= f->state == RUNNING;
	f->state = state;
	fs->nrunning += state == RUNNING;
	TAILQ_INSERT_TAIL(&fs->lists[state], f, link);
}

static void
stop(struct sts_fetch *f)
{
	if (f->easy != NULL) {
		(void)sts_curl.multi_remove_handle(f->fs->loop.multi, f->easy);
		sts_curl.easy_cleanup(f->easy);
	}
	sts_curl.slist_free_all(f->resolve);
	sts_curl.slist_free_all(f->fields);
	free(f->text);
	f->easy = NULL;
	f->resolve = f->fields = NULL;
	f->text = NULL;
}

static void
fetch_free(struct sts_fetch *f)
{
	lookup_cancel(&f->ask);
	stop(f);
	TAILQ_REMOVE(&f->fs->lists[f->state], f, link);
	f->fs->nrunning -= f->state == RUNNING;
	fileio_close(f->body);
	free(f);
}

/* Its function is called from the loop, not from within a call of ours or of
 * libcurl's.  Without memory for that it is when the next one is over. */
static void
finish(struct sts_fetch *f, enum sts_failure failure, const char *why)
{
	struct sts_fetches *fs = f->fs;

	f->failure = failure;
	strlcpy(f->why, why, sizeof(f->why));
	stop(f);
	set_state(f, OVER);
	if (fs->turn == NULL)
		fs->turn = after_ms(0, on_turn, fs);
}

/* --- slow hosts ----------------------------------------------------------- */

/* Where the host of ${f} is remembered, or would be: another one may be there. */
static struct slow *
slow_of(const struct sts_fetch *f, uint64_t *hash_r)
{
	*hash_r = XXH3_64bits_withSeed(f->host, strlen(f->host), f->fs->seed);
	return &f->fs->slow[*hash_r % SLOW_MAX];
}

static bool
is_slow(const struct sts_fetch *f)
{
	uint64_t hash;
	const struct slow *s = slow_of(f, &hash);

	return s->hash == hash && f->fs->now_ms() < s->end_ms;
}

static void
note_slow(const struct sts_fetch *f)
{
	uint64_t hash;
	struct slow *s = slow_of(f, &hash);

	*s = (struct slow){ hash, f->fs->now_ms() + SLOW_MS };
}

static void
forget_slow(const struct sts_fetch *f)
{
	uint64_t hash;
	struct slow *s = slow_of(f, &hash);

	if (s->hash == hash)
		s->end_ms = 0;
}

/* --- the answer ----------------------------------------------------------- */

static size_t
on_octets(char *octets, size_t, size_t n, void *closure)
{
	struct sts_fetch *f = closure;

	if (n > LIM_STS_TEXT - f->len) {
		f->is_too_long = true;
		return 0;
	}
	if (f->text == NULL && (f->text = malloc(LIM_STS_TEXT)) == NULL) {
		f->is_own = true;
		return 0;
	}
	memcpy(f->text + f->len, octets, n);
	f->len += n;
	return n;
}

/* What is said about a report is of no interest, but bounded. */
static size_t
on_reply(char *, size_t, size_t n, void *closure)
{
	struct sts_fetch *f = closure;

	f->len += n;
	return f->len > LIM_STS_TEXT ? 0 : n;
}

static size_t
on_body(char *buf, size_t size, size_t n, void *closure)
{
	struct sts_fetch *f = closure;
	size_t left = (size_t)(f->body_len - f->body_at);
	ssize_t got = pread(f->body, buf, MIN(size * n, left), f->body_at);

	/* whoever wrote the file has cut it since */
	if (got == -1 || (got == 0 && left > 0))
		return CURL_READFUNC_ABORT;
	f->body_at += got;
	return (size_t)got;
}

/* RFC 8461 3.2: "text/plain", with parameters or not. */
static bool
is_plain_text(const char *type)
{
	static const char plain[] = "text/plain";

	if (type == NULL || strncasecmp(type, plain, strlen(plain)) != 0)
		return false;
	type += strlen(plain);
	return *type == '\0' || strchr("; \t", *type) != NULL;
}

static void
take_answer(struct sts_fetch *f)
{
	char why[STS_ERROR_MAX];
	const char *type = NULL;
	long status = 0;

	(void)sts_curl.easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)sts_curl.easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
	/* RFC 8461 3.3: no redirect is followed */
	if (status != 200) {
		snprintf(why, sizeof(why), "its status is %ld, not 200",
		    status);
		finish(f, STS_FETCH_ERROR, why);
	} else if (!is_plain_text(type))
		finish(f, STS_FETCH_ERROR, "its media type is not text/plain");
	else if (sts_policy_parse(f->text == NULL ? "" : f->text, f->len,
	    &f->policy, why, sizeof(why)) == -1)
		finish(f, STS_INVALID, why);
	else
		finish(f, STS_FETCHED, "");
}

static bool
is_not_verified(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION ||
	    code == CURLE_SSL_ISSUER_ERROR ||
	    code == CURLE_SSL_INVALIDCERTSTATUS;
}

/* Is CURLE_OUT_OF_MEMORY what the server has made of it?  It has begun to answer, so
 * that OpenSSL, whose memory is not libcurl's, has what it needs; and libcurl has had
 * all that it asked for. */
static bool
is_header_too_long(const struct sts_fetch *f, CURLcode code)
{
	curl_off_t first_us = 0;

	(void)sts_curl.easy_getinfo(f->easy, CURLINFO_STARTTRANSFER_TIME_T,
	    &first_us);
	return code == CURLE_OUT_OF_MEMORY && first_us > 0 &&
	    sts_curl_lacked() == f->lacked;
}

/* The transfer has failed, or its answer is too long. */
static void
take_failure(struct sts_fetch *f, CURLcode code)
{
	if (!f->is_own && is_header_too_long(f, code))
		finish(f, STS_FETCH_ERROR, "its header has a line that is "
		    "too long");
	else if (f->is_own || code == CURLE_OUT_OF_MEMORY)
		finish(f, STS_UNKNOWN, "out of memory or descriptors");
	else if (f->is_too_long || code == CURLE_FILESIZE_EXCEEDED)
		finish(f, STS_INVALID, "it is longer than 64 KiB");
	else
		finish(f, is_not_verified(code) ? STS_WEBPKI_INVALID :
		    STS_FETCH_ERROR, *f->error != '\0' ? f->error :
		    "the transfer has failed");
}

/* The status says whether a report was taken (RFC 9110 15.3), whatever comes after
 * it. */
static void
take_posted(struct sts_fetch *f, CURLcode code)
{
	char why[WHY_MAX];
	long status = 0;

	(void)sts_curl.easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status <= 299)
		finish(f, STS_FETCHED, "");
	else if (status >= 300) {
		snprintf(why, sizeof(why), "its status is %ld, not 200 to 299",
		    status);
		finish(f, STS_FETCH_ERROR, why);
	} else
		take_failure(f, code);
}

static void
take_result(struct sts_fetch *f, CURLcode code)
{
	if (f->body != -1)
		take_posted(f, code);
	else if (code == CURLE_OK) {
		forget_slow(f);
		take_answer(f);
	} else
		take_failure(f, code);
}

/* A transfer has ended. */
static void
on_done(void *closure, CURL *easy, CURLcode code)
{
	struct sts_fetches *fs = closure;
	struct sts_fetch *f;

	TAILQ_FOREACH(f, &fs->lists[RUNNING], link)
		if (f->easy == easy)
			break;
	if (f != NULL)
		take_result(f, code);
}

/* --- one transfer --------------------------------------------------------- */

/* A socket to one of the addresses that the resolver has told, and to no other. */
static curl_socket_t
open_socket(void *closure, curlsocktype, struct curl_sockaddr *to)
{
	struct sts_fetch *f = closure;
	union addr addr = { .sa.sa_family = AF_UNSPEC };
	size_t i;
	int fd;

	if (to->addrlen <= sizeof(addr))
		memcpy(&addr, &to->addr, to->addrlen);
	for (i = 0; i < f->naddrs; i++)
		if (addr_is_same(&addr.sa, &f->addrs[i].sa))
			break;
	if (i == f->naddrs)
		return CURL_SOCKET_BAD;
	fd = socket(addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);
	/* a family that this system does not have is none of these */
	if (fd == -1 && (errno == EMFILE || errno == ENFILE ||
	    errno == ENOBUFS || errno == ENOMEM))
		f->is_own = true;
	return fd == -1 ? CURL_SOCKET_BAD : fd;
}

/* "+HOST:PORT:ADDRESS,[ADDRESS]", as CURLOPT_RESOLVE(3) has it; "+": not for
 * longer than other answers. */
static int
set_addresses(struct sts_fetch *f)
{
	char text[RESOLVE_MAX], addr[INET6_ADDRSTRLEN];
	const union addr *a;
	size_t i, len;

	len = (size_t)snprintf(text, sizeof(text), "+%s:%u:", f->host,
	    f->fs->port);
	for (i = 0; i < f->naddrs; i++) {
		a = &f->addrs[i];
		if (a->sa.sa_family == AF_INET6)
			inet_ntop(AF_INET6, &a->in6.sin6_addr, addr,
			    sizeof(addr));
		else
			inet_ntop(AF_INET, &a->in.sin_addr, addr,
			    sizeof(addr));
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    a->sa.sa_family == AF_INET6 ? "%s[%s]" : "%s%s",
		    i > 0 ? "," : "", addr);
	}
	f->resolve = sts_curl.slist_append(NULL, text);
	return f->resolve == NULL ? -1 : 0;
}

#define SET(opt, value) \
	(is_good = is_good && sts_curl.easy_setopt(f->easy, opt, value) == \
	    CURLE_OK)

/* What is allowed of all that libcurl can do.  Return whether it can be set. */
static bool
set_bounds(struct sts_fetch *f)
{
	bool is_good = true;

	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_TIMEOUT, (long)f->fs->seconds);
	SET(CURLOPT_CONNECTTIMEOUT, (long)f->fs->seconds);
	SET(CURLOPT_MAXFILESIZE, (long)LIM_STS_TEXT);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_FORBID_REUSE, 1L);
	/* what is verified, and by whom: no file and no folder */
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CAINFO, NULL);
	SET(CURLOPT_CAINFO_BLOB, &f->fs->authorities);
	return is_good;
}

/* RFC 8460 3, 5.4 */
static bool
set_post(struct sts_fetch *f)
{
	static const char *const fields[] = {
		"Content-Type: application/tlsrpt+gzip",
		/* no 100 (Continue) is waited for */
		"Expect:"
	};
	struct curl_slist *list;
	bool is_good = true;
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if ((list = sts_curl.slist_append(f->fields,
		    fields[i])) == NULL)
			return false;
		f->fields = list;
	}
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body_len);
	SET(CURLOPT_HTTPHEADER, f->fields);
	SET(CURLOPT_READFUNCTION, on_body);
	SET(CURLOPT_READDATA, f);
	SET(CURLOPT_WRITEFUNCTION, on_reply);
	return is_good;
}

static bool
set_options(struct sts_fetch *f)
{
	char url[URL_MAX + LIM_DOMAIN], port[16] = "";
	bool is_good = true;

	if (f->fs->port != 443)
		snprintf(port, sizeof(port), ":%u", f->fs->port);
	snprintf(url, sizeof(url), "https://%s%s%s", f->host, port, f->path);
	SET(CURLOPT_URL, url);
	SET(CURLOPT_RESOLVE, f->resolve);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, f);
	SET(CURLOPT_WRITEFUNCTION, on_octets);
	SET(CURLOPT_WRITEDATA, f);
	SET(CURLOPT_ERRORBUFFER, f->error);
	return is_good && (f->body == -1 || set_post(f)) && set_bounds(f);
}
#undef SET

static void
start(struct sts_fetch *f)
{
	set_state(f, RUNNING);
	f->since_ms = f->fs->now_ms();
	f->lacked = sts_curl_lacked();
	if (set_addresses(f) == -1 ||
	    (f->easy = sts_curl.easy_init()) == NULL || !set_options(f) ||
	    sts_curl.multi_add_handle(f->fs->loop.multi, f->easy) != CURLM_OK)
		finish(f, STS_UNKNOWN, "out of memory");
}

/* --- places --------------------------------------------------------------- */

/* How many of that group have a place. */
static unsigned int
running_of(const struct sts_fetches *fs, const char *group)
{
	const struct sts_fetch *f;
	unsigned int n = 0;

	TAILQ_FOREACH(f, &fs->lists[RUNNING], link)
		n += strcmp(f->group, group) == 0;
	return n;
}

/* The one that gets the next place; NULL: none waits.  A host that was slow a while
 * ago comes after those of which nothing is known: it would be slow again, and mail
 * that asks for it comes back before theirs has had a turn. */
static struct sts_fetch *
next_waiting(const struct sts_fetches *fs)
{
	struct sts_fetch *f, *next = NULL;
	unsigned int n, least = 0;

	TAILQ_FOREACH(f, &fs->lists[WAITING], link) {
		n = running_of(fs, f->group) + (is_slow(f) ?
		    fs->places : 0);
		if (next == NULL || n < least) {
			next = f;
			least = n;
		}
		if (least == 0)
			break;
	}
	return next;
}

static bool
is_wanted(const struct sts_fetch *f)
{
	return f->fs->is_wanted == NULL || f->fs->is_wanted(f->closure);
}

static bool
is_long(const struct sts_fetch *f)
{
	return f->fs->short_ms > 0 &&
	    f->fs->now_ms() - f->since_ms >= f->fs->short_ms;
}

/* The one whose place another one gets; NULL: none has had it for long. */
static struct sts_fetch *
first_to_go(const struct sts_fetches *fs)
{
	struct sts_fetch *f, *first = NULL;
	unsigned int n, most = 0;

	TAILQ_FOREACH(f, &fs->lists[RUNNING], link) {
		if (!is_wanted(f))
			return f;
		if (!is_long(f))
			continue;
		n = running_of(fs, f->group);
		if (n > most) {
			first = f;
			most = n;
		}
	}
	return first;
}

static void on_cut(void *closure);

static void
start_more(struct sts_fetches *fs)
{
	struct sts_fetch *f;

	while (fs->nrunning < fs->places &&
	    (f = next_waiting(fs)) != NULL)
		start(f);
	if (fs->cut == NULL && !TAILQ_EMPTY(&fs->lists[WAITING]))
		fs->cut = after_ms(CUT_MS, on_cut, fs);
}

/* Some wait.  It is no failure of the servers: they could have had more time. */
static void
on_cut(void *closure)
{
	struct sts_fetches *fs = closure;
	struct sts_fetch *f, *next;
	unsigned int n = 0;

	fs->cut = NULL;
	TAILQ_FOREACH_SAFE(f, &fs->lists[WAITING], link, next)
		if (is_wanted(f))
			n++;
		else
			finish(f, STS_UNKNOWN, "nobody waits for it any more");
	while (n-- > 0 && (f = first_to_go(fs)) != NULL) {
		if (is_long(f))
			note_slow(f);
		finish(f, STS_UNKNOWN, "its server has not answered within "
		    "some seconds, and others wait");
	}
	start_more(fs);
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
	start_more(fs);
}

static void
on_addresses(void *closure, const struct lookup_answer *a)
{
	struct sts_fetch *f = closure;
	struct lookup_record r;
	char why[WHY_MAX];
	size_t at = 0;

	f->ask = NULL;
	while (f->naddrs < ADDRESSES_MAX &&
	    lookup_record_next(a, &at, &r) == 1)
		if (!addr_is_no_host(&r.addr.sa))
			f->addrs[f->naddrs++] = r.addr;
	if (f->naddrs > 0) {
		set_state(f, WAITING);
		start_more(f->fs);
		return;
	}
	snprintf(why, sizeof(why), "%s has no address: %s", f->host,
	    lookup_status_name(a->status));
	finish(f, a->status == LOOKUP_TEMPORARY && a->is_unasked ?
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
	for (i = 0; i <= OVER; i++)
		TAILQ_INIT(&fs->lists[i]);
	fs->authorities = (struct curl_blob){
		.data = malloc(config->authorities_len + 1),
		.len = config->authorities_len, .flags = CURL_BLOB_NOCOPY };
	fs->slow = calloc(SLOW_MAX, sizeof(fs->slow[0]));
	fs->seed = (uint64_t)arc4random() << 32 | arc4random();
	if (fs->authorities.data == NULL || fs->slow == NULL ||
	    sts_loop_open(&fs->loop, config->kind, on_done, fs) == -1) {
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

/* One transfer of libcurl; see sts_fetch.h.
 * Owns: its state, what libcurl may do in it, to whom it connects, which octets go and
 * come. */

#include "cmd/mailmilld/sts/sts_fetch_int.h"

#include <sys/param.h>
#include <sys/socket.h>

#include <arpa/inet.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"

#define URL_MAX		(LIM_TLSRPT_URI + 64)
#define RESOLVE_MAX	(LIM_DOMAIN + 16 + STS_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3))

/* --- states --------------------------------------------------------------- */

void
sts_transfer_set_state(struct sts_fetch *f, enum sts_fetch_state state)
{
	struct sts_fetches *fs = f->fs;

	TAILQ_REMOVE(&fs->lists[f->state], f, link);
	fs->nrunning -= f->state == RUNNING;
	f->state = state;
	fs->nrunning += state == RUNNING;
	TAILQ_INSERT_TAIL(&fs->lists[state], f, link);
}

void
sts_transfer_stop(struct sts_fetch *f)
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

/* Its function is called from the loop, not from within a call of ours or of
 * libcurl's.  Without memory for that it is when the next one is over. */
void
sts_transfer_finish(struct sts_fetch *f, enum sts_failure failure,
    const char *why)
{
	struct sts_fetches *fs = f->fs;

	f->failure = failure;
	strlcpy(f->why, why, sizeof(f->why));
	sts_transfer_stop(f);
	sts_transfer_set_state(f, OVER);
	if (fs->turn == NULL)
		fs->turn = after_ms(0, fs->on_turn, fs);
}

/* --- octets --------------------------------------------------------------- */

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

void
sts_transfer_start(struct sts_fetch *f)
{
	sts_transfer_set_state(f, RUNNING);
	f->since_ms = f->fs->now_ms();
	f->lacked = sts_curl_lacked();
	if (set_addresses(f) == -1 ||
	    (f->easy = sts_curl.easy_init()) == NULL || !set_options(f) ||
	    sts_curl.multi_add_handle(f->fs->loop.multi, f->easy) != CURLM_OK)
		sts_transfer_finish(f, STS_UNKNOWN, "out of memory");
}

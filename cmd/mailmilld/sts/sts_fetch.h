/* Fetching policies of MTA-STS (RFC 8461 3.3), and posting reports of TLS (RFC 8460
 * 3), over HTTPS: libcurl on our loop.
 * Owns: the transfers under way, those that wait for their turn, the bounds of
 * each: time, octets, no redirect, the certificate, the media type.
 * Knows nothing of records in the DNS, and of what is kept.
 *
 * libcurl looks up no name: it gets the addresses that the resolver process has
 * told, but for those that no host can have, and connects to no other one.
 *
 * A report goes only to a server that is verified, though RFC 8460 3 allows others: who
 * could answer in the place of the server, and is what the report is about, would have
 * it disappear.
 *
 * Anybody can have many domains whose servers say nothing.  While a fetch waits for
 * its place, the next one to begin is of the group of domains that has the fewest;
 * a policy that has not come within STS_FETCH_SHORT_MS ends, those of the group that has
 * the most first; and so does one that nobody waits for any more.  A host that was
 * too slow is remembered for an hour, and waits for its place behind those of which
 * nothing is known: they would have none while mail for the slow ones comes back
 * again and again. */

#ifndef CMD_MAILMILLD_STS_STS_FETCH_H
#define CMD_MAILMILLD_STS_STS_FETCH_H

#include "cmd/mailmilld/lookup/https_uri.h"
#include "cmd/mailmilld/lookup/lookup.h"
#include "cmd/mailmilld/lookup/sts_policy.h"
#include "cmd/mailmilld/sts/sts_curl.h"

#define STS_FETCHES_MAX	64	/* at once: some 200 KiB each, with TLS; the others wait */
#define STS_FETCH_SHORT_MS 5000	/* and so early while another one waits: a server that answers has done so */
#define STS_FETCH_SECONDS 60	/* for one; RFC 8461 3.3 suggests a minute */
#define STS_POSTS_MAX	16	/* the same of reports */
#define STS_POST_SECONDS 30	/* for one; it is not ended earlier, since the server may have it by then */

struct sts_fetches;
struct sts_fetch;

struct sts_fetches_config {
	const char	*authorities;	/* PEM */
	size_t		 authorities_len;
	unsigned int	 port;
	struct lookup	*lookup;
	enum sts_curl_kind kind;
	unsigned int	 places;	/* STS_..._MAX */
	unsigned int	 seconds;	/* STS_..._SECONDS */
	unsigned int	 short_ms;	/* STS_FETCH_SHORT_MS; 0: none ends early */
	/* is_wanted(closure): of sts_fetch_begin(): does anybody wait for that
	 * one?  NULL: yes */
	bool		(*is_wanted)(void *closure);
	uint64_t	(*now_ms)(void);	/* monotonic */
};

/* sts_fetches_new(config, err_r, errlen): All is kept, but the octets of the
 * authorities are copied.  libcurl is loaded.  Before the process is bound.  NULL
 * with a message. */
struct sts_fetches *sts_fetches_new(const struct sts_fetches_config *config,
    char *err_r, size_t errlen);

/* sts_fetch_fn(closure, failure, why, policy): It is over.  ${policy} is valid until
 * it returns; NULL, and ${why} in words, unless STS_FETCHED, which also says that
 * a report was taken. */
typedef void sts_fetch_fn(void *closure, enum sts_failure failure,
    const char *why, const struct sts_policy *policy);

/* sts_fetch_begin(fs, domain, fn, closure): Fetch the policy of ${domain}, a name
 * that lookup_name() has made.  ${fn} is called once, never from within this call.
 * NULL with errno: ENOMEM, or EINVAL: with "mta-sts." in front it is too long.
 * sts_fetch_post(fs, uri, fd, fn, closure): The same: post the file ${fd}, from its
 * beginning, as a report.  takes ${fd}, unless it fails.  Also EINVAL: it is not a
 * file, or of more than LIM_TLSRPT_REPORT octets.
 * sts_fetch_cancel(&f): Forget it; *f is NULL afterwards; NULL there does
 * nothing. */
struct sts_fetch *sts_fetch_begin(struct sts_fetches *fs, const char *domain,
    sts_fetch_fn *fn, void *closure);
struct sts_fetch *sts_fetch_post(struct sts_fetches *fs,
    const struct https_uri *uri, int fd, sts_fetch_fn *fn, void *closure);
void sts_fetch_cancel(struct sts_fetch **f);

void sts_fetches_free(struct sts_fetches *fs);	/* all are cancelled already;
						 * NULL does nothing */

#endif

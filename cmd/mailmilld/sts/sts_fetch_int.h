/* What the files of sts_fetch.h share: sts_fetch.c has what is asked for, sts_place.c
 * says whose turn it is, sts_transfer.c has libcurl do it, and sts_result.c sees what has
 * become of it. */

#ifndef CMD_MAILMILLD_STS_STS_FETCH_INT_H
#define CMD_MAILMILLD_STS_STS_FETCH_INT_H

#include <sys/queue.h>
#include <sys/types.h>

#include "cmd/mailmilld/sts/sts_fetch.h"
#include "cmd/mailmilld/sts/sts_loop.h"

#define STS_ADDRESSES_MAX	8	/* that are tried */
#define STS_WHY_MAX	(CURL_ERROR_SIZE + 32)
#define STS_SLOW_MAX	8192		/* hosts that are remembered; 128 KiB */

enum sts_fetch_state { LOOKING, WAITING, RUNNING, OVER };

struct sts_fetch {
	TAILQ_ENTRY(sts_fetch)	 link;		/* of those in its state */
	struct sts_fetches	*fs;
	enum sts_fetch_state	 state;
	char			 host[LIM_DOMAIN + 1];
	const char		*group;		/* in host: the two last labels */
	char			 path[LIM_TLSRPT_URI + 1]; /* with the query */
	int			 body;		/* that is posted; -1: a policy is fetched */
	off_t			 body_len, body_at;
	struct curl_slist	*fields;	/* of its header */
	uint64_t		 since_ms;	/* with RUNNING: it has begun */
	struct lookup_ask	*ask;		/* with LOOKING */
	union addr		 addrs[STS_ADDRESSES_MAX];
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
	char			 why[STS_WHY_MAX];
	struct sts_policy	 policy;
	sts_fetch_fn		*fn;
	void			*closure;
};
TAILQ_HEAD(sts_fetch_list, sts_fetch);

/* A host that did not answer in time while others waited. */
struct sts_slow {
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
	void			(*on_turn)(void *closure); /* some are OVER */
	Event			*turn;		/* set while some are OVER */
	Event			*cut;		/* set while some are WAITING */
	struct sts_fetch_list	 lists[OVER + 1];
	unsigned int		 nrunning;
	struct sts_slow		*slow;		/* STS_SLOW_MAX, by hash */
	uint64_t		 seed;
};

/* sts_place_start(fs): Begin those that have a place now.
 * sts_place_forget_slow(f): Its host has answered. */
void sts_place_start(struct sts_fetches *fs);
void sts_place_forget_slow(const struct sts_fetch *f);

/* sts_transfer_start(f): Begin its transfer.
 * sts_transfer_stop(f): End it, and forget what belongs to it.
 * sts_transfer_finish(f, failure, why): It is over, begun or not.
 * sts_transfer_set_state(f, state): It is in that list now. */
void sts_transfer_start(struct sts_fetch *f);
void sts_transfer_stop(struct sts_fetch *f);
void sts_transfer_finish(struct sts_fetch *f, enum sts_failure failure,
    const char *why);
void sts_transfer_set_state(struct sts_fetch *f, enum sts_fetch_state state);

/* sts_result_take(closure, easy, code): The transfer of ${easy} has ended; ${closure} is
 * the struct sts_fetches. */
void sts_result_take(void *closure, CURL *easy, CURLcode code);

#endif

/* The next hops of a domain, in the order in which to try them (RFC 5321 5.1).
 *
 *	struct mx_want want = { .name = "example.com", .port = 25, .self = self };
 *
 *	x = mx_open(l, &want, on_hops, me);
 *
 *	on_hops(me, r):	r->n hops, r->hops[i], all of one preference: try to
 *			connect to one after the other;
 *			when all have failed: mx_more(x), and on_hops() comes
 *			again with those of the next preference;
 *			r->n == 0: there are no more, and r->end says why; if no
 *			hop was given at all, that is the result for the message
 *	mx_close(&x);	when a hop was good, after the end, or at any time
 *
 * The groups come one by one, so that the first hop need not wait for the
 * addresses of those that are never tried.  What is known about hops that have
 * failed (a dead host, a connection that can be used again) is the caller's, as
 * is the head start that an IPv6 address gets before the IPv4 address behind it.
 *
 * Owns: the questions of one search.  The rules are in mx_plan.h, without I/O. */

#ifndef CMD_MAILMILLD_LOOKUP_MX_H
#define CMD_MAILMILLD_LOOKUP_MX_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/mailmilld/lookup/lookup.h"
#include "cmd/mailmilld/lookup/mx_self.h"

struct mx_want {
	/* the domain of an address, in ASCII; or an address literal,
	 * "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 4.1.3) */
	const char		*name;
	unsigned int		 port;		/* of the hops */
	/* it is the name of a host, whose addresses are wanted, whatever MX
	 * records it has: a smarthost */
	bool			 is_host;
	bool			 wants_tlsa;	/* of each host: see mx_hop.tlsa */
	const struct mx_self	*self;		/* NULL: no hop is taken for our own */
};

/* The TLSA records of a host and port (RFC 7672 2.2), as far as DNSSEC proves
 * that they count: also the MX records, and the addresses or the first CNAME
 * record of the host. */
enum mx_tlsa_status {
	MX_TLSA_NONE,		/* there are none, or nothing proves them */
	MX_TLSA_FOUND,		/* there are, perhaps none that can be read */
	MX_TLSA_FAILED		/* not known: a look-up has failed, or there are
				 * more than an answer holds */
};

struct mx_tlsa {
	enum mx_tlsa_status status;
	/* with MX_TLSA_FAILED: it says nothing of the host's name servers, as in
	 * struct lookup_answer; or there are more than an answer holds */
	bool		 is_unasked;
	bool		 is_too_much;
	/* whose they are: the host, or where its CNAME records end */
	const char	*base;
	const uint8_t	*records;	/* lookup_record_next() */
	size_t		 len;
};

struct mx_hop {
	union addr	 addr;		/* with the port */
	unsigned int	 preference;
	/* the name of the host: that of the MX record, or the domain's own.
	 * For an address literal it is "" */
	const char	*host;
	/* where the CNAME records of ${host} end, "": it has none.  An MX record
	 * must not name such a host (RFC 2181 10.3), but it is used */
	const char	*alias;
	/* DNSSEC proves the MX records, and the addresses of the host: what DANE
	 * depends on (RFC 7672 2.2) */
	bool		 is_mx_authentic;
	bool		 is_addr_authentic;
	struct mx_tlsa	 tlsa;
};

#define MX_HOPS_MAX	32		/* of one preference */

/* The questions that are asked one behind the other until there are hops: the MX
 * records; the addresses of the hosts; the TLSA records where the CNAME records of
 * a host end, or its CNAME record; the TLSA records of the host itself.  Those
 * about several hosts are asked at the same time. */
#define MX_QUESTIONS	4

/* Why there are no (more) hops: mx_end_reply() has the codes and the text. */
enum mx_end {
	MX_END_TRIED,		/* hops were given, and those were all */
	MX_END_TEMPORARY,	/* not known now: try again later */
	MX_END_ROUTE,		/* is_host: it does not exist, has no address or is
				 * this server: the administrator has to act */
	/* all others are for ever */
	MX_END_NO_DOMAIN,	/* the domain does not exist */
	MX_END_NO_HOST,		/* it has neither an MX record nor an address */
	MX_END_NO_ADDRESS,	/* none of its MX hosts has an address */
	MX_END_NULL,		/* it accepts no mail: RFC 7505 */
	MX_END_SELF,		/* its best hop is this server */
	MX_END_TOO_MUCH,	/* more MX records than an answer holds */
	MX_END_BAD_NAME,	/* no name, no address literal */
	MX_NENDS
};

struct mx_result {
	const struct mx_hop	*hops;		/* until mx_more() or mx_close() */
	size_t			 n;
	unsigned int		 ttl_s;		/* the hops are good for so long */
	/* where the CNAME records of the domain end, whose MX records these
	 * are; "": it has none */
	const char		*alias;
	/* if there are none: */
	enum mx_end		 end;
};

struct mx;
typedef void mx_fn(void *closure, const struct mx_result *result);

/* mx_open(l, want, fn, closure): Begin; ${fn} is called when there is a result,
 * never from within this call.  ${want} is copied, but not want->self.  NULL:
 * ENOMEM. */
struct mx *mx_open(struct lookup *l, const struct mx_want *want, mx_fn *fn,
    void *closure);

/* mx_more(x): The hops of the last result have failed: go on with the next
 * preference.  Can be called by ${fn}.  After the end the end is told again. */
void mx_more(struct mx *x);

/* mx_close(&x): Forget it; *x is NULL afterwards, and NULL there does nothing.
 * Can be called by ${fn}. */
void mx_close(struct mx **x);

/* What is said of a message for which there is no hop. */
struct mx_reply {
	unsigned int	 code;		/* 4yz: later; 5yz: never */
	const char	*enhanced;	/* RFC 3463 */
	const char	*text;		/* of the domain, that comes before it:
					 * "example.com: has no ..." */
};

/* mx_end_reply(end): Of each but MX_END_TRIED, of which the caller has the reply
 * of a hop; for that one it is the one of MX_END_TEMPORARY. */
const struct mx_reply *mx_end_reply(enum mx_end end);

#endif

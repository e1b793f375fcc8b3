/* Which hosts take the mail of a domain, in which order, and when to stop (RFC
 * 5321 5.1): the rules alone.  Who asks the questions is mx.c.
 *
 *	mx_plan_begin(p, want)
 *	while (true) {
 *		switch (mx_plan_step(p)) {
 *		case MX_STEP_MX:	answer with mx_plan_mx(p, answer)
 *		case MX_STEP_HOSTS:	for each i < p->ngroup: mx_plan_host(p, i, answer),
 *					in any order
 *		case MX_STEP_TLSA:	for each i < p->ngroup: if mx_plan_tlsa_question(p, i,
 *					name, &type) is true, mx_plan_tlsa(p, i, answer),
 *					in any order
 *		case MX_STEP_HOPS:	p->hops[0 .. p->nhops - 1] are the next ones;
 *					mx_plan_more(p) when they have failed
 *		case MX_STEP_END:	p->end says why
 *		}
 *	}
 *
 * Owns: the order, the bounds, the cut at our own name or address.
 * No I/O, no allocation. */

#ifndef CMD_MAILMILLD_LOOKUP_MX_PLAN_H
#define CMD_MAILMILLD_LOOKUP_MX_PLAN_H

#include <stdint.h>

#include "cmd/mailmilld/lookup/mx_tlsa.h"

#define MX_TARGETS_MAX	16	/* hosts of a domain, the preferred ones: each costs two questions */
#define MX_ADDRS_MAX	16	/* of one host */

enum mx_step { MX_STEP_MX, MX_STEP_HOSTS, MX_STEP_TLSA,
	MX_STEP_HOPS, MX_STEP_END };

struct mx_target {
	unsigned int	 preference;
	char		 host[LIM_DOMAIN + 1];
	uint32_t	 order;		/* among those of the same preference */
	char		 alias[LIM_DOMAIN + 1];
	bool		 is_answered;
	bool		 is_authentic;
	unsigned int	 naddrs;
	union addr	 addrs[MX_ADDRS_MAX];	/* in the order to try them */
	struct mx_tlsa_search tlsa;
};

struct mx_plan {
	enum mx_step		 step;
	const struct mx_self	*self;
	char			 name[LIM_DOMAIN + 1];	/* that is asked for */
	unsigned int		 port;
	/* random(below): A number from 0 to below - 1; a test's own, or
	 * arc4random_uniform(3), which mx_plan_begin() sets */
	uint32_t		(*random)(uint32_t below);
	bool			 is_host;	/* want->is_host */
	bool			 wants_tlsa;
	bool			 is_mx_authentic;
	char			 alias[LIM_DOMAIN + 1];	/* of the name, in the answer to LOOKUP_MX */
	bool			 is_implicit;	/* no MX records: the name itself is the host */
	struct mx_target	 targets[MX_TARGETS_MAX];	/* in order */
	unsigned int		 ntargets;
	/* the group: the targets of one preference, whose addresses are asked
	 * for now */
	unsigned int		 group, ngroup;
	/* of the group */
	struct mx_hop		 hops[MX_HOPS_MAX];
	unsigned int		 nhops;
	unsigned int		 ttl_s;		/* of all answers so far */
	bool			 has_hops;	/* hops were given */
	bool			 has_failed;	/* an answer was LOOKUP_TEMPORARY */
	bool			 is_cut;	/* at ourselves */
	enum mx_end		 end;
};

/* mx_plan_begin(p, want): Forget all that is in ${p}. */
void mx_plan_begin(struct mx_plan *p, const struct mx_want *want);

/* mx_plan_step(p): What comes next, without doing anything. */
enum mx_step mx_plan_step(const struct mx_plan *p);

/* mx_plan_host_name(p, i): The ${i}th host of the group. */
const char *mx_plan_host_name(const struct mx_plan *p, unsigned int i);

/* mx_plan_mx(p, a), mx_plan_host(p, i, a): The answer to LOOKUP_MX for p->name,
 * or to LOOKUP_HOST for the ${i}th host of the group. */
void mx_plan_mx(struct mx_plan *p, const struct lookup_answer *a);
void mx_plan_host(struct mx_plan *p, unsigned int i,
    const struct lookup_answer *a);

/* mx_plan_tlsa_question(p, i, name_r, &type_r): What is to be asked about the
 * ${i}th host of the group; false: nothing (more).
 * mx_plan_tlsa(p, i, a): The answer.  The octets of its records are kept: they
 * are valid as long as the hops. */
bool mx_plan_tlsa_question(const struct mx_plan *p, unsigned int i,
    char name_r[LIM_DOMAIN + 1], enum lookup_type *type_r);
void mx_plan_tlsa(struct mx_plan *p, unsigned int i,
    const struct lookup_answer *a);

/* mx_plan_more(p): The hops have failed. */
void mx_plan_more(struct mx_plan *p);

#endif

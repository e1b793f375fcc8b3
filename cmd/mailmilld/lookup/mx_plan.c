/* The rules of RFC 5321 5.1; see mx_plan.h.
 * Owns: the order of hosts and of their addresses. */

#include "cmd/mailmilld/lookup/mx_plan.h"

#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LITERAL_IPV6	"IPv6:"

static void
end(struct mx_plan *p, enum mx_end why)
{
	p->step = MX_STEP_END;
	p->end = why;
}

/* --- addresses ------------------------------------------------------------ */

static bool
has_addr(const union addr *addrs, unsigned int n, const union addr *a)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (addr_is_same(&addrs[i].sa, &a->sa))
			return true;
	return false;
}

/* The addresses of one family in ${a}, up to half of MX_ADDRS_MAX, in the
 * order of the answer (RFC 5321 5.1: the SMTP client tries them in the order
 * presented).  Return how many. */
static unsigned int
addrs_of(const struct mx_plan *p, const struct lookup_answer *a,
    sa_family_t family, union addr addrs_r[MX_ADDRS_MAX / 2])
{
	struct lookup_record r;
	unsigned int n = 0;
	size_t at = 0;

	while (n < MX_ADDRS_MAX / 2 && lookup_record_next(a, &at, &r) == 1) {
		/* IPv4 mapped into IPv6 becomes IPv4 */
		addr_copy(&r.addr.sa, &r.addr.sa);
		if (r.addr.sa.sa_family != family ||
		    addr_is_no_host(&r.addr.sa) ||
		    has_addr(addrs_r, n, &r.addr))
			continue;
		r.addr.in.sin_port = htons((in_port_t)p->port);
		addrs_r[n++] = r.addr;
	}
	return n;
}

_Static_assert(offsetof(struct sockaddr_in, sin_port) ==
    offsetof(struct sockaddr_in6, sin6_port), "one place for the port");

/* IPv6 and IPv4 in turn: where one of the families does not work, the other is
 * tried soon. */
static void
interleave(const struct mx_plan *p, const struct lookup_answer *a,
    struct mx_target *t)
{
	union addr v4[MX_ADDRS_MAX / 2], v6[MX_ADDRS_MAX / 2];
	unsigned int n4 = addrs_of(p, a, AF_INET, v4);
	unsigned int n6 = addrs_of(p, a, AF_INET6, v6), i;

	for (i = 0; i < n4 || i < n6; i++) {
		if (i < n6)
			t->addrs[t->naddrs++] = v6[i];
		if (i < n4)
			t->addrs[t->naddrs++] = v4[i];
	}
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]": RFC 5321 4.1.3 */
static bool
parse_literal(const char *name, union addr *addr_r)
{
	size_t len = strlen(name), prefix = sizeof(LITERAL_IPV6) - 1;
	char text[ADDR_TEXT + sizeof(LITERAL_IPV6)];

	if (name[0] != '[' || name[len - 1] != ']' || len - 2 >= sizeof(text))
		return false;
	memcpy(text, name + 1, len - 2);
	text[len - 2] = '\0';
	memset(addr_r, 0, sizeof(*addr_r));
	if (strncasecmp(text, LITERAL_IPV6, prefix) == 0) {
		addr_r->sa.sa_family = AF_INET6;
		if (inet_pton(AF_INET6, text + prefix,
		    &addr_r->in6.sin6_addr) != 1)
			return false;
		addr_copy(&addr_r->sa, &addr_r->sa);
		return true;
	}
	addr_r->sa.sa_family = AF_INET;
	return inet_pton(AF_INET, text, &addr_r->in.sin_addr) == 1;
}

/* --- groups --------------------------------------------------------------- */

/* The targets of the next preference, from p->group on, are the group; none:
 * the end. */
static void
next_group(struct mx_plan *p)
{
	const struct mx_target *t = &p->targets[p->group];
	unsigned int n = p->group;

	p->nhops = 0;
	while (n < p->ntargets && p->targets[n].preference == t->preference)
		n++;
	p->ngroup = n - p->group;
	if (p->ngroup > 0)
		p->step = MX_STEP_HOSTS;
	else if (p->has_hops)
		end(p, MX_END_TRIED);
	else if (p->has_failed)
		end(p, MX_END_TEMPORARY);
	else if (p->is_host)
		end(p, MX_END_ROUTE);
	else if (p->is_cut && p->ntargets == 0)
		end(p, MX_END_SELF);
	else
		end(p, p->is_implicit ? MX_END_NO_HOST : MX_END_NO_ADDRESS);
}

/* RFC 5321 5.1: of the records with our own preference and those that are less
 * preferred, none is used, since a host there may give the message back to
 * us. */
static bool
group_is_own(const struct mx_plan *p)
{
	const struct mx_target *t = &p->targets[p->group];
	unsigned int i, k;

	for (i = 0; i < p->ngroup; i++)
		for (k = 0; k < t[i].naddrs; k++)
			if (mx_self_has_addr(p->self, &t[i].addrs[k]))
				return true;
	return false;
}

/* No address is told twice; but where TLSA records are looked for, hosts with one
 * address may have others, and one of them may be the only one to be used. */
static bool
has_hop(const struct mx_plan *p, const struct mx_target *t,
    const union addr *a)
{
	unsigned int i;

	for (i = 0; i < p->nhops; i++)
		if (addr_is_same(&p->hops[i].addr.sa, &a->sa) &&
		    (!p->wants_tlsa || p->hops[i].host == t->host))
			return true;
	return false;
}

static void
add_hops(struct mx_plan *p, const struct mx_target *t)
{
	unsigned int k;

	for (k = 0; k < t->naddrs && p->nhops < MX_HOPS_MAX; k++) {
		if (has_hop(p, t, &t->addrs[k]))
			continue;
		p->hops[p->nhops++] = (struct mx_hop){
			.addr = t->addrs[k],
			.preference = t->preference,
			.host = t->host,
			.alias = t->alias,
			.is_mx_authentic = p->is_mx_authentic,
			.is_addr_authentic = t->is_authentic,
			.tlsa = t->tlsa.found
		};
	}
}

static void
give_hops(struct mx_plan *p)
{
	unsigned int i;

	for (i = 0; i < p->ngroup; i++)
		add_hops(p, &p->targets[p->group + i]);
	if (p->nhops > 0) {
		p->has_hops = true;
		p->step = MX_STEP_HOPS;
		return;
	}
	p->group += p->ngroup;
	next_group(p);
}

/* Return whether a TLSA record of the group is to be asked for. */
static bool
has_question(const struct mx_plan *p)
{
	unsigned int i;

	for (i = 0; i < p->ngroup; i++)
		if (p->targets[p->group + i].tlsa.next != MX_TLSA_END)
			return true;
	return false;
}

/* RFC 7672 2.2.1: what is said about hosts that a forger may have chosen proves
 * nothing. */
static void
begin_tlsa(struct mx_plan *p)
{
	bool is_proven = p->wants_tlsa && (p->is_host || p->is_mx_authentic);
	struct mx_target *t;
	unsigned int i;

	for (i = 0; i < p->ngroup; i++) {
		t = &p->targets[p->group + i];
		if (is_proven && t->naddrs > 0 && *t->host != '\0')
			mx_tlsa_begin(&t->tlsa, t->host, t->alias,
			    t->is_authentic);
	}
}

/* All hosts of the group have been answered. */
static void
group_done(struct mx_plan *p)
{
	if (group_is_own(p)) {
		p->is_cut = true;
		p->ntargets = p->group;
		next_group(p);
		return;
	}
	begin_tlsa(p);
	if (has_question(p))
		p->step = MX_STEP_TLSA;
	else
		give_hops(p);
}

/* --- MX records ----------------------------------------------------------- */

static bool
is_before(const struct mx_target *a, const struct mx_target *b)
{
	return a->preference < b->preference ||
	    (a->preference == b->preference && a->order < b->order);
}

static void
remove_target(struct mx_plan *p, unsigned int i)
{
	p->ntargets--;
	memmove(&p->targets[i], &p->targets[i + 1],
	    (p->ntargets - i) * sizeof(p->targets[0]));
}

/* Put a host in its place: by preference, at random among equals (RFC 5321 5.1).
 * One that has several records has the best of them; the last of too many is
 * left out. */
static void
add_target(struct mx_plan *p, const char *host, unsigned int preference)
{
	struct mx_target new = { .preference = preference,
		.order = p->random(UINT32_MAX) };
	unsigned int i;

	for (i = 0; i < p->ntargets; i++)
		if (strcmp(p->targets[i].host, host) == 0) {
			if (p->targets[i].preference <= preference)
				return;
			remove_target(p, i);
			break;
		}
	for (i = 0; i < p->ntargets && is_before(&p->targets[i], &new); i++)
		continue;
	if (i == MX_TARGETS_MAX)
		return;
	if (p->ntargets == MX_TARGETS_MAX)
		p->ntargets--;
	memmove(&p->targets[i + 1], &p->targets[i],
	    (p->ntargets - i) * sizeof(p->targets[0]));
	p->ntargets++;
	p->targets[i] = new;
	strlcpy(p->targets[i].host, host, sizeof(p->targets[i].host));
}

/* The lowest preference of a record that names us; UINT32_MAX: none does. */
static unsigned int
own_preference(const struct mx_plan *p, const struct lookup_answer *a)
{
	struct lookup_record r;
	unsigned int own = UINT32_MAX;
	size_t at = 0;

	while (lookup_record_next(a, &at, &r) == 1)
		if (r.preference < own && mx_self_has_name(p->self, r.name))
			own = r.preference;
	return own;
}

static void
take_records(struct mx_plan *p, const struct lookup_answer *a)
{
	unsigned int own = own_preference(p, a), n = 0;
	struct lookup_record r;
	bool has_root = false;
	size_t at = 0;

	p->is_cut = own != UINT32_MAX;
	while (lookup_record_next(a, &at, &r) == 1) {
		n++;
		if (*r.name == '\0')
			has_root = true;	/* the root is no host */
		else if (r.preference < own)
			add_target(p, r.name, r.preference);
	}
	if (n == 1 && has_root)
		end(p, MX_END_NULL);		/* RFC 7505 3 */
	else
		next_group(p);
}

void
mx_plan_mx(struct mx_plan *p, const struct lookup_answer *a)
{
	p->ttl_s = a->ttl_s;
	p->is_mx_authentic = a->is_authentic;
	strlcpy(p->alias, a->alias, sizeof(p->alias));
	switch (a->status) {
	case LOOKUP_FOUND:
		take_records(p, a);
		break;
	case LOOKUP_NO_DATA:
		/* RFC 5321 5.1: an implicit MX record with preference 0 */
		p->is_implicit = true;
		add_target(p, p->name, 0);
		next_group(p);
		break;
	case LOOKUP_NO_NAME:
		end(p, MX_END_NO_DOMAIN);
		break;
	case LOOKUP_TOO_MUCH:
		end(p, MX_END_TOO_MUCH);
		break;
	default:
		end(p, MX_END_TEMPORARY);
	}
}

/* --- steps ---------------------------------------------------------------- */

void
mx_plan_begin(struct mx_plan *p, const struct mx_want *want)
{
	union addr addr;

	memset(p, 0, sizeof(*p));
	p->random = arc4random_uniform;
	p->self = want->self;
	p->port = want->port;
	p->is_host = want->is_host;
	p->wants_tlsa = want->wants_tlsa;
	p->ttl_s = UINT32_MAX;
	if (parse_literal(want->name, &addr) && !addr_is_no_host(&addr.sa)) {
		addr.in.sin_port = htons((in_port_t)want->port);
		p->is_implicit = true;
		p->targets[0].addrs[p->targets[0].naddrs++] = addr;
		p->ntargets = p->ngroup = 1;
		group_done(p);
	} else if (lookup_name(want->name, p->name) == -1) {
		end(p, MX_END_BAD_NAME);
	} else if (p->is_host) {
		p->is_implicit = true;
		add_target(p, p->name, 0);
		next_group(p);
	}
}

enum mx_step
mx_plan_step(const struct mx_plan *p)
{
	return p->step;
}

const char *
mx_plan_host_name(const struct mx_plan *p, unsigned int i)
{
	return p->targets[p->group + i].host;
}

void
mx_plan_host(struct mx_plan *p, unsigned int i, const struct lookup_answer *a)
{
	struct mx_target *t = &p->targets[p->group + i];

	t->is_answered = true;
	t->is_authentic = a->is_authentic;
	strlcpy(t->alias, a->alias, sizeof(t->alias));
	if (a->status == LOOKUP_FOUND) {
		interleave(p, a, t);
		if (a->ttl_s < p->ttl_s)
			p->ttl_s = a->ttl_s;
	} else if (a->status == LOOKUP_TEMPORARY)
		p->has_failed = true;
	for (i = 0; i < p->ngroup; i++)
		if (!p->targets[p->group + i].is_answered)
			return;
	group_done(p);
}

bool
mx_plan_tlsa_question(const struct mx_plan *p, unsigned int i,
    char name_r[LIM_DOMAIN + 1], enum lookup_type *type_r)
{
	return mx_tlsa_question(&p->targets[p->group + i].tlsa, p->port,
	    name_r, type_r);
}

void
mx_plan_tlsa(struct mx_plan *p, unsigned int i, const struct lookup_answer *a)
{
	mx_tlsa_take(&p->targets[p->group + i].tlsa, a);
	if (a->status != LOOKUP_TEMPORARY && a->ttl_s < p->ttl_s)
		p->ttl_s = a->ttl_s;
	if (!has_question(p))
		give_hops(p);
}

void
mx_plan_more(struct mx_plan *p)
{
	if (p->step != MX_STEP_HOPS)
		return;
	p->group += p->ngroup;
	next_group(p);
}

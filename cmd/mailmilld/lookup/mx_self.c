/* Our own names and addresses; see mx_self.h.
 * Owns: the lists, the addresses of the interfaces. */

#include "cmd/mailmilld/lookup/mx_self.h"

#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/process/log.h"

struct mx_self {
	char		**names;
	size_t		  nnames;
	union addr	 *addrs;
	size_t		  naddrs;
};

/* The addresses of loopback that have no interface of their own. */
#define LOOPBACK_NET(in)	(ntohl((in).s_addr) >> 24 == IN_LOOPBACKNET)

int
mx_self_add_name(struct mx_self *self, const char *name)
{
	char **names = reallocarray(self->names, self->nnames + 1,
	    sizeof(*names));

	if (names == NULL)
		return -1;
	self->names = names;
	if ((names[self->nnames] = strdup(name)) == NULL)
		return -1;
	self->nnames++;
	return 0;
}

int
mx_self_add_addr(struct mx_self *self, const union addr *addr)
{
	union addr *addrs = reallocarray(self->addrs, self->naddrs + 1,
	    sizeof(*addrs));

	if (addrs == NULL)
		return -1;
	self->addrs = addrs;
	addr_copy(&addrs[self->naddrs].sa, &addr->sa);
	self->naddrs++;
	return 0;
}

/* One of the addresses of this machine, ${sa}, if ${l} listens there: with the
 * port of ${l}. */
static int
add_interface(struct mx_self *self, const struct settings_listen *l,
    const struct sockaddr *sa)
{
	union addr addr;

	addr_copy(&addr.sa, sa);
	if (addr.sa.sa_family == AF_UNSPEC ||
	    (!l->is_any && addr.sa.sa_family != l->addr.sa.sa_family))
		return 0;
	addr.in.sin_port = l->addr.in.sin_port;
	return mx_self_add_addr(self, &addr);
}

static bool
is_wildcard(const struct settings_listen *l)
{
	return l->is_any || (l->addr.sa.sa_family == AF_INET ?
	    l->addr.in.sin_addr.s_addr == INADDR_ANY :
	    IN6_IS_ADDR_UNSPECIFIED(&l->addr.in6.sin6_addr));
}

static int
add_listen(struct mx_self *self, const struct settings_listen *l,
    const struct ifaddrs *interfaces)
{
	const struct ifaddrs *i;

	if (l->path != NULL)	/* no next hop has a Unix socket's address */
		return 0;
	if (!is_wildcard(l))
		return mx_self_add_addr(self, &l->addr);
	for (i = interfaces; i != NULL; i = i->ifa_next)
		if (i->ifa_addr != NULL &&
		    add_interface(self, l, i->ifa_addr) == -1)
			return -1;
	return 0;
}

static int
add_new_name(struct mx_self *self, const char *name)
{
	return *name == '\0' || mx_self_has_name(self, name) ? 0 :
	    mx_self_add_name(self, name);
}

/* What the listener says that it is called. */
static int
add_names(struct mx_self *self, const struct settings *s, size_t listen)
{
	const struct esmtp_options *o;
	size_t i;

	for (i = 0; (o = settings_options_at(s, listen, i)) != NULL; i++)
		if (add_new_name(self, o->banner_hostname) == -1 ||
		    add_new_name(self, o->received_hostname) == -1)
			return -1;
	return 0;
}

static int
add_all(struct mx_self *self, const struct settings *s,
    const struct ifaddrs *interfaces)
{
	size_t i;

	if (add_new_name(self, s->hostname) == -1)
		return -1;
	for (i = 0; i < s->nlistens; i++)
		if (add_listen(self, &s->listens[i], interfaces) == -1 ||
		    add_names(self, s, i) == -1)
			return -1;
	return 0;
}

struct mx_self *
mx_self_new(const struct settings *s)
{
	struct mx_self *self = calloc(1, sizeof(*self));
	struct ifaddrs *interfaces = NULL;
	int rc;

	if (self == NULL)
		return NULL;
	if (getifaddrs(&interfaces) == -1) {
		log_warn("own-addresses", "effect=%s", "a next hop with an "
		    "address of this machine is not known as such, if the "
		    "listener is on all of them");
		interfaces = NULL;
	}
	rc = add_all(self, s, interfaces);
	freeifaddrs(interfaces);
	if (rc == 0)
		return self;
	mx_self_free(self);
	return NULL;
}

bool
mx_self_has_name(const struct mx_self *self, const char *name)
{
	size_t i;

	for (i = 0; self != NULL && i < self->nnames; i++)
		if (strcasecmp(self->names[i], name) == 0)
			return true;
	return false;
}

/* All of 127.0.0.0/8 reaches a wildcard of this machine, whose interface has
 * 127.0.0.1. */
static bool
is_same(const union addr *own, const union addr *a)
{
	union addr loopback = *a;

	if (own->in.sin_port != 0 && own->in.sin_port != a->in.sin_port)
		return false;
	if (a->sa.sa_family == AF_INET && LOOPBACK_NET(a->in.sin_addr) &&
	    own->sa.sa_family == AF_INET &&
	    own->in.sin_addr.s_addr == htonl(INADDR_LOOPBACK))
		loopback.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return addr_is_same(&own->sa, &loopback.sa);
}

bool
mx_self_has_addr(const struct mx_self *self, const union addr *addr)
{
	union addr a;
	size_t i;

	addr_copy(&a.sa, &addr->sa);
	for (i = 0; self != NULL && i < self->naddrs; i++)
		if (is_same(&self->addrs[i], &a))
			return true;
	return false;
}

void
mx_self_free(struct mx_self *self)
{
	size_t i;

	if (self == NULL)
		return;
	for (i = 0; i < self->nnames; i++)
		free(self->names[i]);
	free(self->names);
	free(self->addrs);
	free(self);
}

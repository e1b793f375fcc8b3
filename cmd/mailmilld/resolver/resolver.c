/* The role resolver: asks the DNS for the other processes.
 * Owns: its start (the name servers), the channels to those that ask, its end.
 *
 * It has an empty root and opens no file: /etc/resolv.conf is read before, and
 * again by the process that follows at a reload.  It makes sockets, and
 * connects them to name servers; whoever controls it can give wrong answers,
 * and can reach what this machine reaches over UDP and over the ports of its
 * name servers over TCP, but has no mail, no key and no client. */

#include "cmd/mailmilld/resolver/resolver_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/resolver/dns_wire.h"
#include "cmd/mailmilld/role/child.h"
#include "cmd/mailmilld/role/privs.h"
#include "core/process/log.h"
#include "core/util/fileio.h"

#define DNS_PORT	53
#define SERVERS_TEXT	512
#define ERROR_MAX	128

struct role_state {
	struct child		*child;
	struct dns_wire		*wire;
	struct resolver		 resolver;
};

static void
on_peer(void *closure, const struct msg_peer *peer, int fd)
{
	struct role_state *s = closure;

	if (resolver_asker_open(&s->resolver, peer, fd) == -1)
		log_err("resolver-connect", "role=%s slot=%u",
		    role_name(peer->role), peer->slot);
}

/* Those that ask end first, or get a channel to another resolver; both close the
 * one to this. */
static void
exit_if_done(void *closure)
{
	struct role_state *s = closure;

	if (s->child->is_draining && !resolver_has_askers(&s->resolver))
		child_exit(s->child);
}

static void
on_drain(void *closure)
{
	struct role_state *s = closure;

	resolver_ctl_end_all(&s->resolver);
	exit_if_done(s);
}

static void
on_control(void *closure, struct channel_msg *msg)
{
	struct role_state *s = closure;

	resolver_ctl_begin(&s->resolver, msg->fd, msg->entries, msg->nentries);
	msg->fd = -1;
}

static const struct child_ops child_ops = {
	.on = { [M_CONTROL] = on_control },
	.peer = on_peer,
	.drain = on_drain
};

/* --- start and end -------------------------------------------------------- */

static struct dns_wire *
open_wire(const struct settings *s)
{
	struct dns_wire_config config = {
		.nservers = s->resolver.n,
		.timeout_ms = (unsigned int)s->resolver_timeout * 1000,
		.attempts = (unsigned int)s->resolver_attempts
	};
	char err[ERROR_MAX], text[SERVERS_TEXT];
	union addr *servers = NULL;
	struct dns_wire *w;
	size_t i;

	if (s->resolver.n > 0 &&
	    (servers = calloc(s->resolver.n, sizeof(*servers))) == NULL) {
		log_err("start", "role=%s", "resolver");
		return NULL;
	}
	for (i = 0; i < s->resolver.n; i++)
		(void)settings_name_server(s->resolver.v[i], &servers[i]);
	config.servers = servers;
	if ((w = dns_wire_open(&config, err, sizeof(err))) == NULL)
		log_errx("start", "role=%s step=%s file=%s reason=%s",
		    "resolver", "c-ares", servers == NULL ?
		    "/etc/resolv.conf" : "-", err);
	else
		log_event(LOG_LEVEL_INFO, "resolver", "servers=%s file=%s",
		    dns_wire_servers(w, text, sizeof(text)), servers == NULL ?
		    "/etc/resolv.conf" : "-");
	free(servers);
	return w;
}

/* It asks itself, for mailmillctl, as others ask it. */
static int
open_self(struct resolver *r)
{
	const struct msg_peer self = { .role = ROLE_RESOLVER, .slot = 1 };
	int fds[2];

	if ((r->lookup = lookup_new(ROLE_RESOLVER)) == NULL ||
	    (r->self = mx_self_new(r->settings)) == NULL ||
	    channel_pair(fds) == -1)
		return -1;
	if (resolver_asker_open(r, &self, fds[0]) == -1) {
		fileio_close(fds[1]);
		return -1;
	}
	return lookup_peer(r->lookup, &self, fds[1]);
}

static int
open_all(struct role_state *s)
{
	struct resolver *r = &s->resolver;

	TAILQ_INIT(&r->askers);
	TAILQ_INIT(&r->ctls);
	/* it reads a file the first time, unless it is told that it need not */
	json_object_seed(arc4random());
	if (questions_open(&r->questions) == 0 && open_self(r) == 0)
		return 0;
	log_err("start", "role=%s", "resolver");
	return -1;
}

static void
close_all(struct role_state *s)
{
	struct resolver *r = &s->resolver;

	resolver_ctl_end_all(r);
	lookup_free(r->lookup);
	resolver_askers_close(r);
	dns_wire_free(s->wire);
	questions_close(&r->questions);
	mx_self_free(r->self);
}

static void
ask_wire(void *closure, const char *name, enum dns_type type, dns_wire_fn *fn,
    void *fn_closure)
{
	struct role_state *s = closure;

	dns_wire_ask(s->wire, name, type, fn, fn_closure);
}

static int
resolver_main(struct child *c)
{
	struct role_state s = { .child = c, .resolver = {
		.settings = c->settings, .done = exit_if_done, .closure = &s,
		.questions = { .ask = ask_wire, .closure = &s,
		    .is_trusted = c->settings->resolver_trust_ad } } };
	int status = 1;

	privs_raise_nofile();
	if ((s.wire = open_wire(c->settings)) == NULL)
		return 1;
	if (child_drop(c) == 0 && open_all(&s) == 0)
		status = child_run(c, &child_ops, &s);
	close_all(&s);
	return status;
}

/* --- what it may do ------------------------------------------------------- */

/* The ports of the name servers; those of /etc/resolv.conf have 53. */
static bool
resolver_port(const struct settings *s, size_t i, unsigned int *port_r)
{
	union addr a;

	*port_r = DNS_PORT;
	if (s->resolver.n == 0)
		return i == 0;
	if (i >= s->resolver.n)
		return false;
	if (settings_name_server(s->resolver.v[i], &a) == 0)
		*port_r = addr_port(&a.sa);
	return true;
}

static unsigned int
resolver_count(const struct settings *s)
{
	return (unsigned int)s->resolvers;
}

const struct role role_resolver = {
	.id = ROLE_RESOLVER,
	ROLE_ACCOUNT(resolver_user),
	.count = resolver_count,
	.main = resolver_main,
	.is_split = true,
	.is_replaced = true,
	.root = SPOOL_EMPTY,
	.profile = {
		/* the addresses that it connects to are in memory, where the
		 * filter does not see them */
		.calls = "socket:udp socket:tcp connect",
		.port = resolver_port,
		.file_max = role_writes_nothing
	}
};

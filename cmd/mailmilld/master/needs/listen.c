/* The listening sockets.
 * Owns: binding, keeping what stays over a reload, closing.
 * Knows nothing of what is done with an accepted connection. */

#include "cmd/mailmilld/master/needs/listen.h"

#include <netinet/tcp.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/master/needs/holder.h"
#include "core/scheduler.h"
#include "core/util/fileio.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND	78	/* linux/in6.h, which netinet/in.h contradicts */
#endif

static void
set_int(int fd, int level, int option, int64_t value, const char *name)
{
	int v = (int)value;

	if (value > 0 && setsockopt(fd, level, option, &v, sizeof(v)) == -1)
		log_warn("listen-option", "option=%s value=%d", name, v);
}

/* bind(2), also to an address that no interface has yet: one that DHCP assigns
 * later, or for which duplicate address detection is not over. */
static int
bind_early(int fd, const struct settings_listen *sl, const union addr *addr,
    bool *is_absent_r)
{
	bool is_v6 = addr->sa.sa_family == AF_INET6;
	int one = 1;

	if (bind(fd, &addr->sa, addr_len(&addr->sa)) == 0)
		return 0;
	/* all addresses of a family that this host does not have */
	if (errno != EADDRNOTAVAIL || sl->is_any)
		return -1;
	*is_absent_r = true;
	if (setsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ?
	    IPV6_FREEBIND : IP_FREEBIND, &one, sizeof(one)) == 0)
		return bind(fd, &addr->sa, addr_len(&addr->sa));
	errno = EADDRNOTAVAIL;
	return -1;
}

/* Bound, but not listening yet. */
static int
open_socket(const struct settings_listen *sl, const union addr *addr,
    bool *is_absent_r)
{
	int fd, one = 1, v6only = !sl->is_any;

	fd = socket(addr->sa.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1)
		goto err1;
	if (addr->sa.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &v6only, sizeof(v6only)) == -1)
		goto err1;
	/* before listen(2): accepted sockets inherit them */
	set_int(fd, SOL_SOCKET, SO_RCVBUF, sl->tcp_recv_buffer_size,
	    "TCP_Recv_Buffer_Size");
	set_int(fd, SOL_SOCKET, SO_SNDBUF, sl->tcp_send_buffer_size,
	    "TCP_Send_Buffer_Size");
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, sl->disable_nagle_algorithm,
	    "Disable_Nagle_Algorithm");
	if (bind_early(fd, sl, addr, is_absent_r) == -1)
		goto err1;
	return fd;
err1:
	fileio_close(fd);
	return -1;
}

static int
bind_one(const struct settings_listen *sl, bool *is_absent_r)
{
	union addr v4;
	int fd;

	*is_absent_r = false;
	fd = open_socket(sl, &sl->addr, is_absent_r);
	if (fd == -1 && sl->is_any && sl->addr.sa.sa_family == AF_INET6 &&
	    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
		/* a host without IPv6 */
		memset(&v4, 0, sizeof(v4));
		v4.in.sin_family = AF_INET;
		v4.in.sin_port = sl->addr.in6.sin6_port;
		fd = open_socket(sl, &v4, is_absent_r);
	}
	return fd;
}

static struct tally *
service_tally(struct master *m, unsigned int service)
{
	if (service >= SERVICES_MAX) {
		errno = E2BIG;
		return NULL;
	}
	if (m->services[service] == NULL)
		m->services[service] = calloc(1, sizeof(struct tally));
	return m->services[service];
}

static void
listener_name(struct listener *l)
{
	union addr got;
	socklen_t len = sizeof(got);

	memset(&got, 0, sizeof(got));
	if (getsockname(l->fd, &got.sa, &len) == -1)
		got = l->wanted;
	addr_port_text(&got.sa, l->text);
}

static void
log_failure(const struct settings_listen *sl)
{
	char at[CONF_AT_MAX];

	conf_at_text(&sl->at, at, sizeof(at));
	if (errno == EACCES)
		log_err("listen", "listener=%s at=%s advice=%s", sl->name, at,
		    "a port under 1024 needs root");
	else
		log_err("listen", "listener=%s at=%s", sl->name, at);
}

static void
log_absent(const struct settings_listen *sl)
{
	char at[CONF_AT_MAX];

	log_warnx("listen-absent", "listener=%s at=%s effect=%s", sl->name,
	    conf_at_text(&sl->at, at, sizeof(at)), "no interface has this "
	    "address: clients can connect as soon as one has it");
}

static int
listener_new(struct master *m, const struct settings_listen *sl, size_t index)
{
	struct listener *l;
	bool is_absent;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		goto err1;
	l->master = m;
	l->wanted = sl->addr;
	l->is_new = l->has_next = true;
	l->next_index = index;
	if ((l->service = service_tally(m, sl->service)) == NULL)
		goto err2;
	if ((l->fd = bind_one(sl, &is_absent)) == -1)
		goto err2;
	if (listen(l->fd, (int)sl->listen_backlog) == -1)
		goto err3;
	if (is_absent)
		log_absent(sl);
	listener_name(l);
	TAILQ_INSERT_TAIL(&m->listeners, l, link);
	return 0;
err3:
	fileio_close(l->fd);
err2:
	free(l);
err1:
	log_failure(sl);
	return -1;
}

/* Without listen(2), so that no client connects to a server that ends at
 * once. */
static int
listener_check(const struct settings_listen *sl, pid_t server)
{
	bool is_absent;
	int fd = bind_one(sl, &is_absent);

	fileio_close(fd);
	if (fd != -1 && !is_absent)
		return 0;
	if (fd != -1) {
		log_absent(sl);
		return -1;
	}
	if (errno == EADDRINUSE && server != 0 &&
	    holder_is(server, &sl->addr.sa)) {
		return 0;
	} else if (errno == EACCES && geteuid() != 0) {
		printf("not checked, since that needs root: option 'Listen': "
		    "%s\n", sl->name);
		return 0;
	}
	log_failure(sl);
	return -1;
}

int
listeners_check(const struct settings *s, pid_t server)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < s->nlistens; i++)
		if (listener_check(&s->listens[i], server) == -1)
			rc = -1;
	return rc;
}

/* The listener that is bound to the address of ${sl} and that no other Listen
 * section has marked. */
static struct listener *
listener_find(struct master *m, const struct settings_listen *sl)
{
	struct listener *l;

	TAILQ_FOREACH(l, &m->listeners, link)
		if (l->fd != -1 && !l->has_next &&
		    memcmp(&l->wanted, &sl->addr, sizeof(sl->addr)) == 0)
			return l;
	return NULL;
}

int
listeners_bind(struct master *m, const struct settings *s)
{
	struct listener *l;
	size_t i;

	for (i = 0; i < s->nlistens; i++) {
		if ((l = listener_find(m, &s->listens[i])) != NULL) {
			l->has_next = true;
			l->next_index = i;
			continue;
		}
		if (listener_new(m, &s->listens[i], i) == -1) {
			listeners_unbind(m);
			return -1;
		}
	}
	return 0;
}

/* Close its socket.  The listener itself is freed when none of its sessions is
 * left. */
static void
listener_close(struct listener *l)
{
	if (l->fd != -1) {
		event_free(clear_event_by_fd(l->fd));
		close(l->fd);
		l->fd = -1;
	}
	if (l->sessions.n == 0) {
		TAILQ_REMOVE(&l->master->listeners, l, link);
		free(l);
	}
}

void
listeners_unbind(struct master *m)
{
	struct listener *l, *next;

	TAILQ_FOREACH_SAFE(l, &m->listeners, link, next) {
		l->has_next = false;
		if (l->is_new)
			listener_close(l);
	}
}

void
listeners_switch(struct master *m)
{
	struct listener *l, *next;

	TAILQ_FOREACH_SAFE(l, &m->listeners, link, next) {
		if (!l->has_next) {
			if (l->fd != -1)
				log_event(LOG_LEVEL_NOTICE, "listen-end",
				    "address=%s", l->text);
			listener_close(l);
			continue;
		}
		if (l->is_new)
			log_event(LOG_LEVEL_NOTICE, "listen", "address=%s",
			    l->text);
		l->index = l->next_index;
		l->has_next = l->is_new = false;
	}
}

static void
listener_watch(struct listener *l, EventFunc accept_func)
{
	Event *e;

	if (get_event_by_fd(l->fd) != NULL)
		return;
	e = build_fd_event(l->fd, E_READ, E_AGGRESSIVE_HIGH, accept_func, l);
	if (e != NULL && schedule_event(e) == 0)
		return;
	log_err("listen", "address=%s", l->text);
	event_free(e);
}

void
listeners_watch(struct master *m, EventFunc accept_func)
{
	struct listener *l;

	TAILQ_FOREACH(l, &m->listeners, link)
		if (l->fd != -1 && !l->is_new)
			listener_watch(l, accept_func);
}

void
listeners_close(struct master *m)
{
	struct listener *l, *next;

	TAILQ_FOREACH_SAFE(l, &m->listeners, link, next)
		listener_close(l);
}

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
#include "cmd/mailmilld/master/needs/sockfile.h"
#include "cmd/mailmilld/master/needs/spooldir.h"
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
bind_internet(const struct settings_listen *sl, bool *is_absent_r)
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

/* --- Unix sockets --------------------------------------------------------- */

/* What the settings say of the file.  Return 0, or -1 as sockfile_accounts(). */
static int
file_spec(const struct settings_listen *sl, struct sockfile_spec *spec_r,
    const char **why_r)
{
	spec_r->path = sl->path;
	spec_r->mode = (mode_t)sl->file_mode;
	return sockfile_accounts(sl->file_owner, sl->file_group, spec_r, why_r);
}

/* Bound, and listening. */
static int
listen_unix(const struct settings_listen *sl, struct sockfile *file_r,
    const char **why_r)
{
	struct sockfile_spec spec;
	int fd;

	if (file_spec(sl, &spec, why_r) == -1 || rundir_make(sl->path) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	set_int(fd, SOL_SOCKET, SO_RCVBUF, sl->tcp_recv_buffer_size,
	    "TCP_Recv_Buffer_Size");
	set_int(fd, SOL_SOCKET, SO_SNDBUF, sl->tcp_send_buffer_size,
	    "TCP_Send_Buffer_Size");
	if (sockfile_listen(fd, &spec, (int)sl->listen_backlog, file_r,
	    why_r) == 0)
		return fd;
	fileio_close(fd);
	return -1;
}

static int
check_unix(const struct settings_listen *sl, pid_t server, const char **why_r)
{
	struct sockfile_spec spec;

	if (file_spec(sl, &spec, why_r) == -1 ||
	    spooldir_could_make(sl->path, 1) == -1)
		return -1;
	if (sockfile_check(&spec, why_r) == 0 ||
	    /* the folder will be made, and nothing is in it */
	    (errno == ENOENT && *why_r == NULL))
		return 0;
	return errno == EADDRINUSE && server != 0 &&
	    holder_is_at(server, sl->path) ? 0 : -1;
}

/* --- listeners ------------------------------------------------------------ */

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

	if (l->path != NULL)
		return;
	memset(&got, 0, sizeof(got));
	if (getsockname(l->fd, &got.sa, &len) == -1)
		got = l->wanted;
	addr_port_text(&got.sa, l->text);
}

/* ${why} is NULL if errno says all. */
static void
log_failure(const struct settings_listen *sl, const char *why)
{
	char at[CONF_AT_MAX];

	conf_at_text(&sl->at, at, sizeof(at));
	if (why != NULL)
		log_errx("listen", "listener=%s at=%s reason=%s", sl->name, at,
		    why);
	else if (errno == EACCES && sl->path == NULL)
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

/* The socket of ${l}, listening.  Return 0 or -1. */
static int
listener_open(struct listener *l, const struct settings_listen *sl,
    const char **why_r)
{
	bool is_absent;

	if (sl->path != NULL) {
		snprintf(l->text, sizeof(l->text), SETTINGS_UNIX "%s",
		    sl->path);
		l->path = l->text + strlen(SETTINGS_UNIX);
		if ((l->file = calloc(1, sizeof(*l->file))) == NULL)
			return -1;
		l->fd = listen_unix(sl, l->file, why_r);
		return l->fd == -1 ? -1 : 0;
	}
	if ((l->fd = bind_internet(sl, &is_absent)) == -1)
		return -1;
	if (listen(l->fd, (int)sl->listen_backlog) == -1) {
		fileio_close(l->fd);
		return -1;
	}
	if (is_absent)
		log_absent(sl);
	return 0;
}

static void
listener_free(struct listener *l)
{
	free(l->file);
	free(l);
}

static int
listener_new(struct master *m, const struct settings_listen *sl, size_t index)
{
	const char *why = NULL;
	struct listener *l;
	int saved;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		goto err1;
	l->master = m;
	l->wanted = sl->addr;
	l->is_new = l->has_next = true;
	l->next_index = index;
	if ((l->service = service_tally(m, sl->service)) == NULL)
		goto err2;
	if (listener_open(l, sl, &why) == -1)
		goto err2;
	listener_name(l);
	TAILQ_INSERT_TAIL(&m->listeners, l, link);
	return 0;
err2:
	saved = errno;
	listener_free(l);
	errno = saved;
err1:
	saved = errno;
	log_failure(sl, why);
	errno = saved;
	return -1;
}

/* Without listen(2), so that no client connects to a server that ends at
 * once. */
static int
listener_check(const struct settings_listen *sl, pid_t server)
{
	const char *why = NULL;
	bool is_absent = false;
	int fd;

	if (sl->path != NULL)
		fd = check_unix(sl, server, &why);
	else
		fileio_close(fd = bind_internet(sl, &is_absent));
	if (fd != -1 && !is_absent)
		return 0;
	if (fd != -1) {
		log_absent(sl);
		return -1;
	}
	if (errno == EADDRINUSE && server != 0 && sl->path == NULL &&
	    holder_is(server, &sl->addr.sa)) {
		return 0;
	} else if (errno == EACCES && geteuid() != 0) {
		printf("not checked, since that needs root: option 'Listen': "
		    "%s\n", sl->name);
		return 0;
	}
	log_failure(sl, why);
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

/* Is ${l} bound to the address of ${sl}?  Not if its file has gone: no client can
 * find it any more. */
static bool
is_bound_to(struct listener *l, const struct settings_listen *sl)
{
	if (memcmp(&l->wanted, &sl->addr, sizeof(sl->addr)) != 0)
		return false;
	if (sl->path == NULL)
		return true;
	if (l->path == NULL || strcmp(l->path, sl->path) != 0)
		return false;
	/* the next file that is made may get the number of one that has gone */
	l->file->is_made = sockfile_is_there(l->file, l->path);
	return l->file->is_made;
}

/* The listener that is bound to the address of ${sl} and that no other Listen
 * section has marked. */
static struct listener *
listener_find(struct master *m, const struct settings_listen *sl)
{
	struct listener *l;

	TAILQ_FOREACH(l, &m->listeners, link)
		if (l->fd != -1 && !l->has_next && is_bound_to(l, sl))
			return l;
	return NULL;
}

/* A listener that stays may get another owner, group or mode for its file: here it
 * is only found out whether the accounts are there. */
static int
listener_keep(struct listener *l, const struct settings_listen *sl,
    size_t index)
{
	struct sockfile_spec spec;
	const char *why;

	if (sl->path != NULL && file_spec(sl, &spec, &why) == -1) {
		log_failure(sl, why);
		errno = EINVAL;
		return -1;
	}
	l->has_next = true;
	l->next_index = index;
	return 0;
}

int
listeners_bind(struct master *m, const struct settings *s)
{
	struct listener *l;
	size_t i;
	int saved;

	for (i = 0; i < s->nlistens; i++) {
		l = listener_find(m, &s->listens[i]);
		if ((l != NULL ? listener_keep(l, &s->listens[i], i) :
		    listener_new(m, &s->listens[i], i)) == -1) {
			saved = errno;
			listeners_unbind(m);
			errno = saved;
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
		if (l->path != NULL)
			sockfile_remove(l->file, l->path);
		event_free(clear_event_by_fd(l->fd));
		close(l->fd);
		l->fd = -1;
	}
	if (l->sessions.n == 0) {
		TAILQ_REMOVE(&l->master->listeners, l, link);
		listener_free(l);
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

/* Its file gets what the new settings say. */
static void
listener_change(struct listener *l)
{
	const struct settings_listen *sl =
	    &l->master->config.settings->listens[l->index];
	struct sockfile_spec spec;
	const char *why;

	if (file_spec(sl, &spec, &why) == -1 ||
	    sockfile_change(l->file, &spec) == -1)
		log_failure(sl, NULL);
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
		if (l->path != NULL && !l->is_new)
			listener_change(l);
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

/* c-ares on the loop; see dns_wire.h.
 * Owns: the channels of c-ares, which of them is in use, the timer. */

#include "cmd/mailmilld/resolver/dns_wire.h"

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <ares.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/after.h"
#include "core/loop/watch.h"
#include "core/scheduler.h"
#include "core/util/monotonic.h"

#define CHANNELS	16
#define WIRE_USES	32	/* questions of a channel before another one is taken */
#define EDNS_OCTETS	1232	/* of a packet over UDP: never cut into pieces */
#define CLASS_IN	1
#define HEADER		12
#define BITS_AT		3	/* the octet of a packet with AD and RCODE */
#define BIT_AD		0x20
#define RCODE		0x0f
#define RCODE_FORMERR	1

struct wire_socket {
	LIST_ENTRY(wire_socket)	 link;
	struct wire_channel	*channel;
	Event			*event;
	int			 fd;
	int			 mask;
	bool			 is_busy;	/* in its own callback */
	bool			 is_closed;	/* free it when not busy */
};

struct wire_query {
	LIST_ENTRY(wire_query)	 link;
	struct wire_channel	*channel;
	dns_wire_fn		*fn;
	void			*closure;
	enum dns_type		 type;
	bool			 has_edns;
	char			 name[LIM_DOMAIN + 1];
};

struct wire_channel {
	struct dns_wire		*wire;
	ares_channel		 ares;		/* NULL: not open */
	unsigned int		 nqueries;	/* under way */
	unsigned int		 nuses;		/* since it was taken last */
	/* the servers know no EDNS (RFC 6891 7): c-ares has found that out for
	 * this channel */
	bool			 has_no_edns;
	LIST_HEAD(, wire_socket) sockets;
};

struct dns_wire {
	struct wire_channel	 channels[CHANNELS];
	unsigned int		 current;
	unsigned int		 timeout_ms;
	Event			*timer;
	uint64_t		 timer_ms;	/* when it is due */
	bool			 is_ending;
};

/* --- sockets -------------------------------------------------------------- */

static struct wire_socket *
socket_of(struct wire_channel *ch, int fd)
{
	struct wire_socket *s;

	LIST_FOREACH(s, &ch->sockets, link)
		if (s->fd == fd)
			break;
	return s;
}

static void set_timer(struct dns_wire *w, uint64_t at_ms);
static void timer_again(struct dns_wire *w);

static int
on_socket(Event *, int eventtype, void *closure, struct timeval *)
{
	struct wire_socket *s = closure;
	struct dns_wire *w = s->channel->wire;
	int mask;

	s->is_busy = true;
	ares_process_fd(s->channel->ares,
	    (eventtype & (E_READ | E_EXCEPTION)) != 0 ? s->fd :
	    ARES_SOCKET_BAD,
	    (eventtype & E_WRITE) != 0 ? s->fd : ARES_SOCKET_BAD);
	timer_again(w);
	s->is_busy = false;
	mask = s->mask;
	if (!s->is_closed)
		return mask;
	free(s);
	return 0;
}

static ares_socket_t
open_socket(int family, int type, int protocol, void *closure)
{
	struct wire_channel *ch = closure;
	struct wire_socket *s = calloc(1, sizeof(*s));
	int saved;

	if (s == NULL)
		return -1;
	s->channel = ch;
	s->mask = E_READ;
	s->fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (s->fd == -1)
		goto err1;
	if ((s->event = watch_fd(s->fd, s->mask, on_socket, s)) == NULL)
		goto err2;
	LIST_INSERT_HEAD(&ch->sockets, s, link);
	return s->fd;
err2:
	saved = errno;
	close(s->fd);
	errno = saved;
err1:
	free(s);
	return -1;
}

static int
close_socket(ares_socket_t fd, void *closure)
{
	struct wire_socket *s = socket_of(closure, fd);

	if (s != NULL) {
		LIST_REMOVE(s, link);
		s->is_closed = true;
		if (s->is_busy)
			(void)clear_event_by_fd(fd);	/* its callback ends it */
		else {
			event_free(s->event);
			free(s);
		}
	}
	return close(fd);
}

static int
connect_socket(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t len,
    void *)
{
	return connect(fd, sa, len);
}

static ares_ssize_t
receive(ares_socket_t fd, void *buf, size_t len, int flags,
    struct sockaddr *from, ares_socklen_t *fromlen, void *)
{
	return recvfrom(fd, buf, len, flags, from, fromlen);
}

static ares_ssize_t
send_all(ares_socket_t fd, const struct iovec *iov, int n, void *)
{
	struct msghdr msg = { .msg_iovlen = (size_t)n };

	/* sendmsg(2) changes nothing there */
	memcpy(&msg.msg_iov, &iov, sizeof(iov));
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {
	.asocket = open_socket,
	.aclose = close_socket,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendv = send_all
};

/* c-ares wants to write, or not any more. */
static void
on_state(void *closure, ares_socket_t fd, int, int can_write)
{
	struct wire_socket *s = socket_of(closure, fd);
	int mask = can_write != 0 ? E_READ | E_WRITE : E_READ;

	if (s == NULL || s->mask == mask)
		return;
	s->mask = mask;
	if (!s->is_busy)
		schedule_event_and_dispatch(s->event, E_ASYNC);
}

/* --- time ----------------------------------------------------------------- */

static void
on_timer(void *closure)
{
	struct dns_wire *w = closure;
	unsigned int i;

	w->timer = NULL;
	for (i = 0; i < CHANNELS; i++)
		if (w->channels[i].nqueries > 0)
			ares_process_fd(w->channels[i].ares, ARES_SOCKET_BAD,
			    ARES_SOCKET_BAD);
	timer_again(w);
}

static void
set_timer(struct dns_wire *w, uint64_t at_ms)
{
	uint64_t now_ms = monotonic_ms();

	if (w->timer != NULL && w->timer_ms <= at_ms)
		return;
	after_cancel(&w->timer);
	w->timer_ms = at_ms;
	/* without memory the next question sets it */
	w->timer = after_ms(at_ms > now_ms ? (unsigned int)(at_ms - now_ms) : 0,
	    on_timer, w);
}

/* If no timer is set: one for the next repetition, which c-ares finds by looking
 * at all queries. */
static void
timer_again(struct dns_wire *w)
{
	struct timeval tv, *least;
	uint64_t now_ms = monotonic_ms(), ms, least_ms = UINT64_MAX;
	unsigned int i;

	if (w->timer != NULL)
		return;
	for (i = 0; i < CHANNELS; i++) {
		if (w->channels[i].nqueries == 0 || (least = ares_timeout(
		    w->channels[i].ares, NULL, &tv)) == NULL)
			continue;
		ms = (uint64_t)least->tv_sec * 1000 +
		    (uint64_t)least->tv_usec / 1000 + 1;
		if (ms < least_ms)
			least_ms = ms;
	}
	if (least_ms != UINT64_MAX)
		set_timer(w, now_ms + least_ms);
}

/* --- questions ------------------------------------------------------------ */

/* The channel for the next question: another one after WIRE_USES, whose sockets
 * have ports that nobody has seen yet.  Where questions wait in all of them, that
 * with the fewest uses. */
static struct wire_channel *
channel_for(struct dns_wire *w)
{
	struct wire_channel *ch = &w->channels[w->current];
	unsigned int i;

	if (ch->nuses < WIRE_USES)
		return ch;
	for (i = 0; i < CHANNELS; i++) {
		if (w->channels[i].nqueries == 0)
			w->channels[i].nuses = 0;
		if (w->channels[i].nuses < w->channels[w->current].nuses)
			w->current = i;
	}
	return &w->channels[w->current];
}

static void send_query(struct wire_query *q);

static void
on_done(void *closure, int status, int, unsigned char *packet, int len)
{
	struct wire_query *q = closure;

	q->channel->nqueries--;
	if (q->channel->wire->is_ending) {
		free(q);
		return;
	}
	if (packet != NULL && len >= HEADER && q->has_edns &&
	    (packet[BITS_AT] & RCODE) == RCODE_FORMERR) {
		q->channel->has_no_edns = true;
		send_query(q);
		return;
	}
	if (status == ARES_SUCCESS && packet != NULL && len >= HEADER)
		q->fn(q->closure, packet, (size_t)len, NULL);
	else
		q->fn(q->closure, NULL, 0, ares_strerror(status));
	free(q);
}

/* The packet has the AD bit: we know what it means in an answer (RFC 6840
 * 5.7). */
static void
send_query(struct wire_query *q)
{
	struct wire_channel *ch = q->channel;
	unsigned char *packet = NULL;
	int len = 0, rc;

	q->has_edns = !ch->has_no_edns;
	ch->nqueries++;
	rc = ares_create_query(q->name, CLASS_IN, (int)q->type,
	    (unsigned short)arc4random(), 1, &packet, &len,
	    q->has_edns ? EDNS_OCTETS : 0);
	if (rc != ARES_SUCCESS) {
		on_done(q, rc, 0, NULL, 0);
		return;
	}
	packet[BITS_AT] |= BIT_AD;
	ares_send(ch->ares, packet, len, on_done, q);
	ares_free_string(packet);
}

void
dns_wire_ask(struct dns_wire *w, const char *name, enum dns_type type,
    dns_wire_fn *fn, void *closure)
{
	struct wire_query *q = calloc(1, sizeof(*q));

	if (q == NULL) {
		fn(closure, NULL, 0, strerror(ENOMEM));
		return;
	}
	q->channel = channel_for(w);
	q->channel->nuses++;
	q->fn = fn;
	q->closure = closure;
	q->type = type;
	strlcpy(q->name, name, sizeof(q->name));
	set_timer(w, monotonic_ms() + w->timeout_ms);
	send_query(q);
}

/* --- start and end -------------------------------------------------------- */

static int
set_servers(struct wire_channel *ch, const struct dns_wire_config *config)
{
	struct ares_addr_port_node *nodes;
	const union addr *a;
	size_t i;
	int rc;

	nodes = calloc(config->nservers, sizeof(*nodes));
	if (nodes == NULL)
		return ARES_ENOMEM;
	for (i = 0; i < config->nservers; i++) {
		a = &config->servers[i];
		nodes[i].next = i + 1 < config->nservers ? &nodes[i + 1] : NULL;
		nodes[i].family = a->sa.sa_family;
		nodes[i].udp_port = nodes[i].tcp_port = (int)addr_port(&a->sa);
		if (a->sa.sa_family == AF_INET)
			memcpy(&nodes[i].addr.addr4, &a->in.sin_addr,
			    sizeof(a->in.sin_addr));
		else
			memcpy(&nodes[i].addr.addr6, &a->in6.sin6_addr,
			    sizeof(a->in6.sin6_addr));
	}
	rc = ares_set_servers_ports(ch->ares, nodes);
	free(nodes);
	return rc;
}

static int
open_channel(struct wire_channel *ch, const struct dns_wire_config *config)
{
	char lookups[] = "b";
	struct ares_options options = {
		.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH |
		    ARES_FLAG_NOALIASES,
		.timeout = (int)config->timeout_ms,
		.tries = (int)config->attempts,
		.ednspsz = EDNS_OCTETS,
		.lookups = lookups,	/* never the file hosts */
		.sock_state_cb = on_state,
		.sock_state_cb_data = ch
	};
	int rc;

	rc = ares_init_options(&ch->ares, &options, ARES_OPT_FLAGS |
	    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
	    ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
	if (rc != ARES_SUCCESS) {
		ch->ares = NULL;
		return rc;
	}
	ares_set_socket_functions(ch->ares, &socket_functions, ch);
	return config->servers == NULL ? rc : set_servers(ch, config);
}

struct dns_wire *
dns_wire_open(const struct dns_wire_config *config, char *err_r, size_t errlen)
{
	struct dns_wire *w = calloc(1, sizeof(*w));
	unsigned int i;
	int rc = ARES_ENOMEM;

	if (w == NULL)
		goto err1;
	w->timeout_ms = config->timeout_ms;
	for (i = 0; i < CHANNELS; i++) {
		w->channels[i].wire = w;
		LIST_INIT(&w->channels[i].sockets);
		rc = open_channel(&w->channels[i], config);
		if (rc != ARES_SUCCESS)
			goto err1;
	}
	return w;
err1:
	snprintf(err_r, errlen, "%s", ares_strerror(rc));
	dns_wire_free(w);
	return NULL;
}

const char *
dns_wire_servers(const struct dns_wire *w, char *buf, size_t len)
{
	struct ares_addr_port_node *nodes = NULL, *n;
	char text[ADDR_PORT_TEXT];
	union addr a;

	*buf = '\0';
	(void)ares_get_servers_ports(w->channels[0].ares, &nodes);
	for (n = nodes; n != NULL; n = n->next) {
		memset(&a, 0, sizeof(a));
		a.sa.sa_family = (sa_family_t)n->family;
		a.in.sin_port = htons((in_port_t)(n->udp_port == 0 ? 53 :
		    n->udp_port));
		if (n->family == AF_INET)
			memcpy(&a.in.sin_addr, &n->addr.addr4,
			    sizeof(a.in.sin_addr));
		else
			memcpy(&a.in6.sin6_addr, &n->addr.addr6,
			    sizeof(a.in6.sin6_addr));
		if (*buf != '\0')
			strlcat(buf, ",", len);
		strlcat(buf, addr_port_text(&a.sa, text), len);
	}
	ares_free_data(nodes);
	return buf;
}

void
dns_wire_free(struct dns_wire *w)
{
	unsigned int i;

	if (w == NULL)
		return;
	w->is_ending = true;
	after_cancel(&w->timer);
	for (i = 0; i < CHANNELS; i++)
		if (w->channels[i].ares != NULL)
			ares_destroy(w->channels[i].ares);
	free(w);
}

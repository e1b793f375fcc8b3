/* What the documentation shows of a listener and its worker, as a program of our
 * own that makes the same calls in the same order. */

#include <sys/socket.h>

#include <netinet/in.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ec_malloc.h"
#include "core/scheduler.h"
#include "proto/netlistener.h"

/* What a module keeps of each connection. */
struct conversation {
	int	nreads;
};

static int
worker(Event *e, int, void *vclosure, struct timeval *)
{
	accept_construct *ac = vclosure;
	struct conversation *c = ac->accept_construct_closure.vptr;
	char buf[100];
	int n, needmask = E_READ;

	n = event_read(e, buf, sizeof(buf), &needmask);
	if (n == -1 && errno == EAGAIN)
		return needmask;
	c->nreads++;
	if (n > 0 && event_write(e, buf, n, NULL) == n)
		return needmask;
	free(c);
	event_close(e);
	netlistener_clean_accept_construct(ac);
	ec_free(MEMTYPE_ACCEPT_CONSTRUCT, ac);
	return 0;
}

static int self, naccepted;

static int
listener(Event *e, int eventtype, void *vclosure, struct timeval *now)
{
	accept_construct *closure = vclosure;
	struct conversation *c = calloc(1, sizeof(*c));

	cr_expect_eq(closure->accept_construct_closure.vptr, &self);
	closure->accept_construct_closure.vptr = c;
	e->callback = worker;
	return worker(e, eventtype, vclosure, now);
}

/* --- an option ------------------------------------------------------------ */

/* With the eight members that the sample has. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static ec_config_option_def my_option = {
	"option", ECCFGTYPE_STRING, NULL, NULL, 0, NULL, "default", 0
};
static int my_option_slot = -1;

static ec_config_value *
get_option(int slot, accept_construct *ac)
{
	char peer[INET6_ADDRSTRLEN];
	ec_config_header *transaction;
	ec_config_value *v;

	transaction = ec_config_fetch_globalconf();
	sockaddr_to_string_opt(&ac->remote_addr.sa, peer, sizeof(peer),
	    EC_SA2S_NO_PORT);
	v = ec_config_option_fetch_generic(transaction, slot, NULL, 4, NULL,
	    "Listen", ac->inst->address, "Peer", peer);
	/* the sample releases what it calls "tofree" */
	ec_config_release_scope_instance(transaction);
	return v;
}

static char seen_option[20];

static int
acceptor(Event *, int, void *vclosure, struct timeval *)
{
	accept_construct *ac = vclosure;
	ec_config_value *val;

	if (my_option_slot != -1) {
		val = get_option(my_option_slot, ac);
		cr_assert_not_null(val);
		strncpy(seen_option, val->v->vstr, sizeof(seen_option) - 1);
		ec_config_release_value(val);
	}
	cr_expect_eq(ac->remote_addr.sa.sa_family, AF_INET);
	cr_expect_eq(ac->remote_addr.sin.sin_addr.s_addr,
	    htonl(INADDR_LOOPBACK));
	cr_expect_not_null(ac->inst->address);
	naccepted++;
	return 1;
}

static void
run(struct scheduler *s, netlistener_def *def)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char buf[10];
	int fd;

	cr_assert_eq(netlistener_instantiate_addr(def, NULL, "127.0.0.1:0"),
	    1);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((uint16_t)netlistener_port(
	    netlistener_find("127.0.0.1:0")));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	cr_assert_eq(write(fd, "hello", 5), 5);
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) != 5)
		cr_assert_geq(scheduler_pass(s, 1000), 0);
	cr_expect_eq(memcmp(buf, "hello", 5), 0);
	cr_expect_eq(naccepted, 1);
	close(fd);
	while (scheduler_event_count(s) > 1)
		cr_assert_geq(scheduler_pass(s, 1000), 0);
	netlistener_unregister(def);
	cr_expect_eq(scheduler_event_count(s), 0);
	scheduler_destroy(s);
}

Test(samples_listener, a_connection_goes_to_the_worker, .timeout = 30)
{
	struct scheduler *s = scheduler_create(NULL);
	netlistener_def *def;

	def = netlistener_register3("MyModule", listener, acceptor, &self);
	cr_assert_not_null(def);
	run(s, def);
}

Test(samples_listener, an_option_has_the_value_of_its_listener_and_client,
    .timeout = 30)
{
	struct scheduler *s = scheduler_create(NULL);
	netlistener_def *def;

	def = netlistener_register3("MyModule", listener, acceptor, &self);
	my_option_slot = netlistener_register_option(def, &my_option);
	cr_assert_neq(my_option_slot, -1);
	cr_assert_eq(mailmill_config_set(my_option_slot, "127.0.0.1:0",
	    "127.0.0.0/8", "of loopback", NULL), 1);
	cr_assert_eq(mailmill_config_set(my_option_slot, "127.0.0.1:0", NULL,
	    "of others", NULL), 1);
	run(s, def);
	cr_expect_str_eq(seen_option, "of loopback");
}

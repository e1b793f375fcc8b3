/* Definitions and instances of listeners: see netlistener.h.
 * Owns: the list of instances. */

#include "proto/listener/netlistener_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/conf_field.h"

/* of the calling thread */
static __thread netlistener_instance *instances;

/* --- definitions ---------------------------------------------------------- */

/* Parse the size in ${text}; NULL is 0.  Return 0, or -1: it is not a size. */
static int
size_of(const char *text, int *size_r)
{
	static const struct conf_field size = { .type = CONF_INT, .def = "0",
		.max = NETLISTENER_BUF_MAX };
	int64_t n;

	*size_r = 0;
	if (text == NULL)
		return 0;
	if (conf_field_set(&n, &size, &text, 1, NULL, 0) == -1) {
		errno = EINVAL;
		return -1;
	}
	*size_r = (int)n;
	return 0;
}

netlistener_def *
netlistener_register4(const char *listener_prefix, EventFunc servercode,
    void *closure, EventFunc accepthook, const char *recvbuf,
    const char *sendbuf)
{
	netlistener_def *def;
	int recv_size, send_size;

	if (listener_prefix == NULL || servercode == NULL) {
		errno = EINVAL;
		return NULL;
	}
	if (size_of(recvbuf, &recv_size) == -1 ||
	    size_of(sendbuf, &send_size) == -1)
		return NULL;
	if ((def = calloc(1, sizeof(*def))) == NULL)
		return NULL;
	if ((def->prefix = strdup(listener_prefix)) == NULL) {
		free(def);
		return NULL;
	}
	def->hashkey = def->prefix;
	def->servercode = servercode;
	def->closure = closure;
	def->accepthook = accepthook;
	def->opt_recvbuf = recv_size;
	def->opt_sendbuf = send_size;
	def->refs = 1;
	return def;
}

netlistener_def *
netlistener_register3(const char *listener_prefix, EventFunc servercode,
    EventFunc accepthook, void *closure)
{
	return netlistener_register4(listener_prefix, servercode, closure,
	    accepthook, NULL, NULL);
}

void
netlistener_unregister(netlistener_def *def)
{
	netlistener_instance *inst, *next;

	if (def == NULL)
		return;
	def->skip = 1;
	for (inst = instances; inst != NULL; inst = next) {
		next = inst->next;
		if (inst->def == def)
			(void)netlistener_stop_instance(inst->address);
	}
	netlistener_def_delref(def);
}

/* --- instances ------------------------------------------------------------ */

netlistener_instance *
netlistener_find(const char *addr)
{
	netlistener_instance *inst;

	for (inst = instances; inst != NULL; inst = inst->next)
		if (addr != NULL && strcmp(inst->address, addr) == 0)
			break;
	return inst;
}

static netlistener_instance *
instance_new(netlistener_def *def, const char *addr)
{
	netlistener_instance *inst = calloc(1, sizeof(*inst));

	if (inst == NULL)
		return NULL;
	if ((inst->address = strdup(addr)) == NULL) {
		free(inst);
		return NULL;
	}
	inst->fd = -1;
	inst->def = def;
	def->refs++;
	inst->refcnt = 1;
	return inst;
}

/* No instance was started: for ${errnum}, in ${call}. */
static int
not_started(netlistener_def *def, int errnum, enum netlistener_syscall call)
{
	def->last_errno = errnum;
	def->failed_syscall = call;
	errno = errnum;
	return 0;
}

int
netlistener_instantiate_addr(netlistener_def *def, ec_config_header *,
    const char *addr)
{
	enum netlistener_syscall call;
	netlistener_instance *inst;
	int saved;

	if (def == NULL) {
		errno = EINVAL;
		return 0;
	}
	if (def->skip || addr == NULL)
		return not_started(def, EINVAL, NLSN_SYS_NEVER_ATTEMPTED);
	if (netlistener_find(addr) != NULL)
		return not_started(def, EEXIST, NLSN_SYS_NEVER_ATTEMPTED);
	if ((inst = instance_new(def, addr)) == NULL)
		return not_started(def, errno, NLSN_SYS_NEVER_ATTEMPTED);
	netlistener_share(inst, def->opt_concurrency == 0);
	if (netlistener_open(inst) == -1 || netlistener_watch(inst) == -1) {
		saved = errno;
		call = inst->failed_syscall;
		netlistener_shut(inst);
		netlistener_instance_delref(inst);
		return not_started(def, saved, call);
	}
	inst->next = instances;
	instances = inst;
	return 1;
}

int
netlistener_stop_instance(const char *addr)
{
	netlistener_instance *inst = netlistener_find(addr), **at;

	if (inst == NULL)
		return 0;
	for (at = &instances; *at != inst; at = &(*at)->next)
		continue;
	*at = inst->next;
	netlistener_shut(inst);
	netlistener_instance_delref(inst);
	return 1;
}

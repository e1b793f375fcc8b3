/* References to definitions and instances; see netlistener.h.
 * Owns: the counts of references and of connections, how many connections there
 * may be. */

#include "proto/listener/netlistener_int.h"

#include <stdlib.h>
#include <string.h>

#include "core/loop/registry.h"
#include "core/scheduler.h"
#include "core/util/require.h"

void
netlistener_def_delref(netlistener_def *def)
{
	char *prefix;

	if (--def->refs > 0)
		return;
	memcpy(&prefix, &def->prefix, sizeof(prefix));
	free(prefix);
	free(def);
}

void
netlistener_instance_addref(netlistener_instance *inst)
{
	if (inst != NULL)
		inst->refcnt++;
}

void
netlistener_instance_delref(netlistener_instance *inst)
{
	char *address;

	if (inst == NULL || --inst->refcnt > 0)
		return;
	memcpy(&address, &inst->address, sizeof(address));
	free(address);
	netlistener_def_delref(inst->def);
	free(inst);
}

/* The number of instances, of all threads, whose opt_concurrency is 0.  The
 * descriptors that clients may take are divided among them, so that no instance
 * waits for the connections of another to end. */
static int nsharing;

void
netlistener_share(netlistener_instance *inst, bool is_sharing)
{
	if (inst->is_sharing != is_sharing)
		(void)__atomic_add_fetch(&nsharing, is_sharing ? 1 : -1,
		    __ATOMIC_RELAXED);
	inst->is_sharing = is_sharing;
}

bool
netlistener_is_full(const netlistener_instance *inst)
{
	int most = inst->def->opt_concurrency, n;

	if (inst->is_sharing) {
		n = __atomic_load_n(&nsharing, __ATOMIC_RELAXED);
		most = n > 1 ? inst->most / n : inst->most;
		/* with 0 it would never accept */
		if (most == 0)
			most = 1;
	} else if (most == 0)
		most = inst->most;
	return most > 0 && inst->nconnections >= most;
}

Event *
netlistener_event(const netlistener_instance *inst)
{
	REQUIRE("scheduler_destroy", inst->event == NULL ||
	    inst->scheduler == registry_own(),
	    "not before netlistener_unregister(), or mailmill_server_free()");
	return inst->event;
}

/* A connection has ended: accept again, if the instance had stopped because it
 * had too many connections or no descriptor was left. */
static void
room(netlistener_instance *inst)
{
	if (inst->is_paused && !inst->is_accepting &&
	    netlistener_event(inst) != NULL && !netlistener_is_full(inst))
		(void)schedule_event_and_dispatch(inst->event, E_ASYNC);
}

void
netlistener_clean_accept_construct(accept_construct *ac)
{
	netlistener_instance *inst;

	if (ac == NULL || (inst = ac->inst) == NULL)
		return;
	ac->inst = NULL;
	inst->nconnections--;
	room(inst);
	netlistener_instance_delref(inst);
}

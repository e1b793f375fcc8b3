/* Workers and processors, see affinity.h. */

#include "cmd/mailmilld/worker/affinity.h"

#include "core/process/log.h"

int
affinity_pick(const cpu_set_t *set, unsigned int nworkers, unsigned int slot)
{
	unsigned int n = (unsigned int)CPU_COUNT(set), left;
	int cpu;

	if (n < 2 || slot == 0 || nworkers % n != 0)
		return -1;
	left = (slot - 1) % n;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set) && left-- == 0)
			return cpu;
	return -1;
}

bool
affinity_bind(unsigned int nworkers, unsigned int slot, cpu_set_t *before_r)
{
	cpu_set_t set;
	int cpu;

	if (sched_getaffinity(0, sizeof(*before_r), before_r) == -1 ||
	    (cpu = affinity_pick(before_r, nworkers, slot)) == -1)
		return false;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		return true;
	log_warn("affinity", "slot=%u processor=%d effect=%s", slot, cpu,
	    "it goes on unbound; worker_affinity = \"none\" does not try");
	return false;
}

/* Capabilities without libcap: two system calls and a few calls of prctl(2).
 * Owns: the five sets of capabilities. */

#include "core/process/caps.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

#include <linux/capability.h>

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

struct sets {
	struct __user_cap_header_struct	head;
	struct __user_cap_data_struct	data[_LINUX_CAPABILITY_U32S_3];
};

static int
sets_get(struct sets *s)
{
	*s = (struct sets){ .head.version = _LINUX_CAPABILITY_VERSION_3 };
	return (int)syscall(SYS_capget, &s->head, s->data);
}

int
caps_bound(uint64_t keep)
{
	int cap, rc;

	/* EINVAL: the kernel has no more capabilities */
	for (cap = 0; cap < 64 && (rc = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) !=
	    -1; cap++)
		if (rc == 1 && (keep & CAPS_BIT(cap)) == 0 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			return -1;
	return 0;
}

int
caps_keep(uint64_t keep)
{
	struct sets s;
	size_t i;

	/* kernels without ambient capabilities have nothing to clear */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1 &&
	    errno != EINVAL)
		return -1;
	if (sets_get(&s) == -1)
		return -1;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		s.data[i].permitted &= (uint32_t)(keep >> (32 * i));
		s.data[i].effective = s.data[i].permitted;
		s.data[i].inheritable = 0;
	}
	return (int)syscall(SYS_capset, &s.head, s.data);
}

bool
caps_are_empty(bool with_bound)
{
	struct sets s;
	size_t i;
	int cap, rc;

	if (sets_get(&s) == -1)
		return false;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if ((s.data[i].permitted | s.data[i].effective |
		    s.data[i].inheritable) != 0)
			return false;
	for (cap = 0; cap < 64; cap++) {
		if ((rc = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) == -1)
			break;
		if ((rc == 1 && with_bound) || prctl(PR_CAP_AMBIENT,
		    PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			return false;
	}
	return true;
}

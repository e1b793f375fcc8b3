/* Schedulers by name: the documented struct of one, and the list of them.
 * Included by scheduler.h. */

#ifndef CORE_SCHEDULER_IMPL_H
#define CORE_SCHEDULER_IMPL_H

#include <sys/time.h>
#include <sys/types.h>

#include <mailmill/api.h>
#include <mailmill/event.h>

MAILMILL_BEGIN

/* What a scheduler of somebody else keeps its timed events in. */
struct skiplist;

/* An instance, of whatever its init() makes. */
typedef struct _ec_scheduler_inst ec_scheduler_inst;

typedef int (*RecurFunc)(void *closure, struct timeval *now);

typedef struct _scheduler_impl {
	char		*name;
	unsigned int	 sizeof_scheduler_impl;
#define EC_SCHEDULER_INIT(name)	name, sizeof(struct _scheduler_impl)
	ec_scheduler_inst *(*init)(RecurFunc recurring,
			    int (*nprepoll)(struct timeval *, struct timeval *),
			    void (*npostpoll)(struct timeval *), int flags);
	pid_t		(*get_pid)(ec_scheduler_inst *);
	void		(*get_fd_event_set)(ec_scheduler_inst *, Event ***set,
			    int *count);
	void		(*get_floating_event_set)(ec_scheduler_inst *,
			    Event ***set, int *count);
	void		(*get_timeheap)(ec_scheduler_inst *,
			    struct skiplist **sl);
	Event		*(*get_current_dispatch)(ec_scheduler_inst *);
	int		(*get_scheduler_iteration)(ec_scheduler_inst *);
	int		(*is_scheduler_thread)(ec_scheduler_inst *);
	void		(*float_event)(ec_scheduler_inst *, Event *);
	void		(*unfloat_event)(ec_scheduler_inst *, Event *);
	void		(*schedule_event)(ec_scheduler_inst *, Event *);
	int		(*clear_timed_event)(ec_scheduler_inst *, Event *);
	Event		*(*clear_event_by_fd)(ec_scheduler_inst *, int);
	Event		*(*get_event_by_fd)(ec_scheduler_inst *, int);
	int		(*update_event_mask_by_fd)(ec_scheduler_inst *, int fd,
			    int op, int newmask, int *oldmask);
	int		(*scheduler_eventloop)(ec_scheduler_inst *);
	void		(*ping_scheduler)(ec_scheduler_inst *);
	int		 relax_shutdown_assertions;
	int		 abi_change_for_ec_scheduler_inst;
} ec_scheduler_impl;

/* scheduler_register(impl): Add ${impl}, which is kept, to the list, in place
 * of one of the same name.  Nothing else changes: the functions of scheduler.h
 * are those of the scheduler that the calling thread has made.  One without a
 * name is ignored.  Any thread.
 * scheduler_registered(name): The one of that name, or NULL; any thread. */
void scheduler_register(ec_scheduler_impl *ascheduler);
ec_scheduler_impl *mailmill_scheduler_registered(const char *name);

MAILMILL_END

#endif

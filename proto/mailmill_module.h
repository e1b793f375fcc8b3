/* A module that mailmilld loads: a shared object with one struct.
 * See mailmill-module(7). */

#ifndef PROTO_MAILMILL_MODULE_H
#define PROTO_MAILMILL_MODULE_H

#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>

MAILMILL_BEGIN

/* What a module has of the process that has loaded it: as long as that lives. */
struct mailmill_module_worker {
	size_t		 size;		/* sizeof(struct mailmill_module_worker) */
	unsigned int	 number;	/* of this worker, from 1 */
	unsigned int	 nworkers;
	int		 is_check;	/* 1: the process checks a configuration, and has no sessions */
	/* log(worker, fmt, ...): a line with what printf(3) makes of ${fmt}; in
	 * the thread of the sessions */
	void		(*log)(const struct mailmill_module_worker *worker,
			    const char *fmt, ...)
			    __attribute__((format(printf, 2, 3)));
};

#define MAILMILL_MODULE_MAGIC	0x4d6d4f64u
/* One more with each change that a module notices which is not compiled anew. */
#define MAILMILL_MODULE_ABI	1

/* All is checked before the first of the functions is called; each may be
 * NULL.  */
struct mailmill_module {
	uint32_t	 magic;		/* MAILMILL_MODULE_MAGIC */
	uint32_t	 abi;		/* MAILMILL_MODULE_ABI */
	size_t		 size;		/* sizeof(struct mailmill_module) */
	const char	*name;		/* for the log: 1 to 32 letters, digits, '-', '_' */
	/* config(name, value, why_r, len): A setting of the Module section: in
	 * the order of the file, each value of a list by itself; then, with NULL
	 * for both, the end.  While files can be opened.  Return 0; or -1 with
	 * the reason in ${why_r}, ${len} octets. */
	int		(*config)(const char *name, const char *value,
			    char *why_r, size_t len);
	/* init(worker, why_r, len): Register what is to be called; start
	 * threads.  No file can be opened any more.  Likewise. */
	int		(*init)(const struct mailmill_module_worker *worker,
			    char *why_r, size_t len);
	/* fini(): There will be no session any more. */
	void		(*fini)(void);
	/* threads that do what it gives to ec_queue_async_job(), of each of
	 * ECTP_CLASS_CPU and ECTP_CLASS_IO; 0: it gives nothing */
	unsigned int	 job_threads;
};

/* The struct, by the name that it is found by:
 *	MAILMILL_MODULE = { MAILMILL_MODULE_HEAD, .name = "mine", .init = init }; */
#define MAILMILL_MODULE \
	__attribute__((visibility("default"))) \
	struct mailmill_module mailmill_module
#define MAILMILL_MODULE_HEAD \
	.magic = MAILMILL_MODULE_MAGIC, .abi = MAILMILL_MODULE_ABI, \
	.size = sizeof(struct mailmill_module)

MAILMILL_END

#endif

/* struct esmtp_host, which programs of others do not see: esmtp_host_new() makes
 * it.  Tests have it in their own memory. */

#ifndef PROTO_SERVER_ESMTP_HOST_STRUCT_H
#define PROTO_SERVER_ESMTP_HOST_STRUCT_H

#include <sys/tree.h>
#include <sys/types.h>

#include "core/util/addr.h"
#include "proto/answers/answers.h"
#include "proto/esmtp_host.h"

struct esmtp_step;

/* esmtp_client.c: a client whose recipients take much memory */
struct esmtp_client {
	RB_ENTRY(esmtp_client)	 node;
	unsigned char		 network[ADDR_NETWORK];
	unsigned int		 n;		/* transactions that count */
	size_t			 octets;	/* memory that their recipients take */
};
RB_HEAD(esmtp_clients, esmtp_client);

struct esmtp_host {
	const struct esmtp_host_ops	*ops;
	void				*closure;	/* first argument of ops */
	const struct spool_ops		*spool;
	void				*spool_closure;
	char				*scratch;	/* one input buffer for all sessions of the loop */
	size_t				 scratch_octets; /* at least LIM_COMMAND_READ */
	char				*output;	/* one reply buffer for all sessions of the loop */
	size_t				 output_octets;	/* at least LIM_OUTPUT_LEAST; LIM_OUTPUT has room for any challenge of AUTH */
	size_t				 held_octets;	/* memory that the recipients of all sessions take */
	size_t				 held_max;	/* ESMTP_HOST_RCPTS_MAX */
	size_t				 client_max;	/* ESMTP_HOST_CLIENT_RCPTS_MAX */
	struct esmtp_clients		 clients;
	bool				 is_draining;
	bool				 is_reconfigured;
	bool				 is_held;
	struct answers			 answers;	/* to its sessions */
	uint64_t			 nsessions;	/* that esmtp_session_new() has made: their ids */
	int64_t				 nlive;		/* sessions that have not ended: esmtp_host_enter() */
	pid_t				 pid;		/* the process that has made it */
	struct esmtp_step		*step;		/* the call in progress */
};

#endif

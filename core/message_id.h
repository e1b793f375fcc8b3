/* The documented message_id, which also names connections. */

#ifndef CORE_MESSAGE_ID_H
#define CORE_MESSAGE_ID_H

#include <stdint.h>
#include <time.h>

#include <mailmill/api.h>

MAILMILL_BEGIN

typedef struct _message_id {
	uint32_t	slot;		/* the time in seconds, its low bits */
	uint16_t	pid;		/* of the process, its low bits */
	uint16_t	counter;	/* of the process */
} message_id;

/* ec_generate_connection_id(cid, nowsec): Fill in ${cid} for the second
 * ${nowsec}: another one at each of 65536 calls in a second.  From any thread. */
void ec_generate_connection_id(message_id *cid, time_t nowsec);

MAILMILL_END

#endif

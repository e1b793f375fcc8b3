/* What the master answers in place of the banner. */

#ifndef CMD_MAILMILLD_REFUSAL_H
#define CMD_MAILMILLD_REFUSAL_H

#include <stddef.h>

enum refusal {
	REFUSAL_SESSIONS,	/* Listener_Sessions, Service_Sessions, or all workers full */
	REFUSAL_CLIENT,		/* Client_Sessions */
	REFUSAL_LATER		/* no descriptors */
};

/* refusal_line(id, buf, len): The reply with its CRLF.  Return octets. */
size_t refusal_line(enum refusal id, char *buf, size_t len);

#endif

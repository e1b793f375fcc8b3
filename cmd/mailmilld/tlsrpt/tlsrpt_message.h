/* The message that a report of SMTP TLS Reporting is sent in (RFC 8460 5.3).
 * Owns: its header and its parts, the name of the file, that it is compressed.
 * Knows nothing of what is in the report, and of the queue.
 * Pure: the time comes from the caller. */

#ifndef CMD_MAILMILLD_TLSRPT_TLSRPT_MESSAGE_H
#define CMD_MAILMILLD_TLSRPT_TLSRPT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/* All texts are without white space and controls, and ASCII: addresses as
 * mailaddr_format() writes them, names of domains. */
struct tlsrpt_message {
	const char	*hostname;	/* of this server */
	const char	*id;		/* of the message in the spool: [0-9A-Z]+ */
	int64_t		 now;		/* unix seconds */
	const char	*from;		/* the sender's address */
	const char	*contact;	/* contact-info of the report: an address */
	const char	*to;
	const char	*domain;	/* that the report is about */
	const char	*report_id;	/* "id@domain" of the report */
	int64_t		 start, end;	/* as in the report */
	const char	*json;
	size_t		 len;
};

/* tlsrpt_message(m, len_r): The message, with lines of at most 998 octets that end
 * in CRLF, ASCII alone; the caller frees it.  It says that TLS is not required
 * (RFC 8689 4): RFC 8460 3 wants reports delivered despite all failures of TLS, so
 * its envelope has SPOOL_ENV_TLS_OPTIONAL.  NULL with errno: ENOMEM; EINVAL: a
 * text is not as it has to be. */
char *tlsrpt_message(const struct tlsrpt_message *m, size_t *len_r);

/* tlsrpt_gzip(in, len, len_r): ${in} in the form of RFC 1952, which the caller
 * frees.  NULL with errno ENOMEM. */
unsigned char *tlsrpt_gzip(const void *in, size_t len, size_t *len_r);

#endif

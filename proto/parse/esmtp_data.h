/* Data reader: bytes after 354, or chunks of text, in, message bytes out.
 * Owns: the end of data, dot-unstuffing, the bare CR/LF policy.
 * Knows nothing of verbs, replies or the spool.  Any fragmentation of the
 * input gives the same message. */

#ifndef PROTO_PARSE_ESMTP_DATA_H
#define PROTO_PARSE_ESMTP_DATA_H

#include <stdbool.h>
#include <stddef.h>

struct esmtp_data {
	unsigned char	 state;
	unsigned char	 policy;	/* ESMTP_LF_*: esmtp_options.h */
	bool		 has_lone;	/* a CR or LF that stood alone was seen */
	bool		 is_end;	/* CRLF.CRLF was read */
	bool		 is_counted;	/* the message has no dots but its own, and no end in it: BDAT */
};

/* esmtp_data_init(d, policy): Before the first octet, which is the start of a
 * line.
 * esmtp_data_init_counted(d, policy): The same for what comes in chunks of known
 * size (RFC 3030 2). */
void esmtp_data_init(struct esmtp_data *d, int policy);
void esmtp_data_init_counted(struct esmtp_data *d, int policy);

/* esmtp_data_next(d, buf, len, &slice_r, &slice_len_r): Read from ${buf}
 * (${len} > 0) and point *slice_r at the next piece of the message (*slice_len_r
 * may be 0), which lies in ${buf} or is constant; all slices together are never
 * longer than twice what was read.  Return octets used; 0 when only the meaning
 * of an earlier one was settled.  To be repeated until all is used or
 * ${d}->is_end: what follows then is not of the message. */
size_t esmtp_data_next(struct esmtp_data *d, const char *buf, size_t len,
    const char **slice_r, size_t *slice_len_r);

/* esmtp_data_end(d, slice_r): Nothing comes behind the last chunk: point *slice_r
 * at what was held back.  Return its octets. */
size_t esmtp_data_end(struct esmtp_data *d, const char **slice_r);

#endif

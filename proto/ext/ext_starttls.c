/* STARTTLS, RFC 3207: a keyword in the EHLO reply until TLS is active.
 * The verb is in esmtp_tls.c. */

#include "proto/server/esmtp_ext.h"
#include "proto/server/esmtp_tls.h"

const struct esmtp_ext esmtp_ext_starttls = {
	.keyword = "STARTTLS",
	.may_use = esmtp_tls_may_start,
};

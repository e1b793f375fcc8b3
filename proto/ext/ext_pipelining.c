/* PIPELINING, RFC 2920: a word in the EHLO reply; that replies leave in one
 * write and input is never lost is how the engine works. */

#include "proto/server/esmtp_ext.h"

const struct esmtp_ext esmtp_ext_pipelining = {
	.keyword = "PIPELINING",
};

/* The documented older names of the client's address. */

#define EC_COMPAT_2_2_SOURCE

#include <criterion/criterion.h>

#include "proto/esmtp_factory.h"

Test(accept_construct, has_the_older_names_for_those_who_ask)
{
	accept_construct ac = { 0 };

	cr_expect_eq(&ac.remote_address, &ac.remote_addr.sa);
	cr_expect_eq(&ac.remote_address_in, &ac.remote_addr.sin);
	cr_expect_eq(&ac.remote_address_in6, &ac.remote_addr.sin6);
	cr_expect_eq(&ac.remote_address_un, &ac.remote_addr.unixaddr);
	cr_expect_eq(&ac.remote_address_union, &ac.remote_addr);
}

/* A libcurl that transfers nothing: the test says how each transfer ends. */

#ifndef TEST_UNIT_CMD_MAILMILLD_STS_FAKE_CURL_H
#define TEST_UNIT_CMD_MAILMILLD_STS_FAKE_CURL_H

#include <stdbool.h>

#include "cmd/mailmilld/sts/sts_curl.h"

/* A transfer, and what was set of it */
struct fake_curl {
	bool		 is_used, has_ended, has_begun;	/* has_begun: the server has, to answer */
	char		 url[2048];
	char		 fields[256];		/* of the header, each with LF */
	bool		 is_post, is_verified;
	long		 follows, seconds;
	curl_off_t	 size;
	curl_read_callback read;
	curl_write_callback write;
	void		*readdata, *writedata;
	CURLcode	 code;
	long		 status;
};

/* fake_curl_set(): sts_curl is the fake one, without transfers.
 * fake_curl_count(): Transfers that there are.
 * fake_curl_find(url): That one; NULL: there is none.
 * fake_curl_end(c, code, status): It ends so, in the next passes of the loop. */
void fake_curl_set(void);
unsigned int fake_curl_count(void);
struct fake_curl *fake_curl_find(const char *url);
void fake_curl_end(struct fake_curl *c, CURLcode code, long status);

#endif

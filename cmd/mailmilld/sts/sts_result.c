/* What has become of a transfer; see sts_fetch.h.
 * Owns: which answer is a policy, what says that a report was taken, and whose fault a
 * failure is. */

#include "cmd/mailmilld/sts/sts_fetch_int.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* RFC 8461 3.2: "text/plain", with parameters or not. */
static bool
is_plain_text(const char *type)
{
	static const char plain[] = "text/plain";

	if (type == NULL || strncasecmp(type, plain, strlen(plain)) != 0)
		return false;
	type += strlen(plain);
	return *type == '\0' || strchr("; \t", *type) != NULL;
}

static void
take_answer(struct sts_fetch *f)
{
	char why[STS_ERROR_MAX];
	const char *type = NULL;
	long status = 0;

	(void)sts_curl.easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)sts_curl.easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
	/* RFC 8461 3.3: no redirect is followed */
	if (status != 200) {
		snprintf(why, sizeof(why), "its status is %ld, not 200",
		    status);
		sts_transfer_finish(f, STS_FETCH_ERROR, why);
	} else if (!is_plain_text(type))
		sts_transfer_finish(f, STS_FETCH_ERROR,
		    "its media type is not text/plain");
	else if (sts_policy_parse(f->text == NULL ? "" : f->text, f->len,
	    &f->policy, why, sizeof(why)) == -1)
		sts_transfer_finish(f, STS_INVALID, why);
	else
		sts_transfer_finish(f, STS_FETCHED, "");
}

static bool
is_not_verified(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION ||
	    code == CURLE_SSL_ISSUER_ERROR ||
	    code == CURLE_SSL_INVALIDCERTSTATUS;
}

/* Is CURLE_OUT_OF_MEMORY what the server has made of it?  It has begun to answer, so
 * that OpenSSL, whose memory is not libcurl's, has what it needs; and libcurl has had
 * all that it asked for. */
static bool
is_header_too_long(const struct sts_fetch *f, CURLcode code)
{
	curl_off_t first_us = 0;

	(void)sts_curl.easy_getinfo(f->easy, CURLINFO_STARTTRANSFER_TIME_T,
	    &first_us);
	return code == CURLE_OUT_OF_MEMORY && first_us > 0 &&
	    sts_curl_lacked() == f->lacked;
}

/* The transfer has failed, or its answer is too long. */
static void
take_failure(struct sts_fetch *f, CURLcode code)
{
	if (!f->is_own && is_header_too_long(f, code))
		sts_transfer_finish(f, STS_FETCH_ERROR,
		    "its header has a line that is too long");
	else if (f->is_own || code == CURLE_OUT_OF_MEMORY)
		sts_transfer_finish(f, STS_UNKNOWN,
		    "out of memory or descriptors");
	else if (f->is_too_long || code == CURLE_FILESIZE_EXCEEDED)
		sts_transfer_finish(f, STS_INVALID, "it is longer than 64 KiB");
	else
		sts_transfer_finish(f, is_not_verified(code) ?
		    STS_WEBPKI_INVALID : STS_FETCH_ERROR,
		    *f->error != '\0' ? f->error : "the transfer has failed");
}

/* The status says whether a report was taken (RFC 9110 15.3), whatever comes after
 * it. */
static void
take_posted(struct sts_fetch *f, CURLcode code)
{
	char why[STS_WHY_MAX];
	long status = 0;

	(void)sts_curl.easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status <= 299)
		sts_transfer_finish(f, STS_FETCHED, "");
	else if (status >= 300) {
		snprintf(why, sizeof(why), "its status is %ld, not 200 to 299",
		    status);
		sts_transfer_finish(f, STS_FETCH_ERROR, why);
	} else
		take_failure(f, code);
}

static void
take_result(struct sts_fetch *f, CURLcode code)
{
	if (f->body != -1)
		take_posted(f, code);
	else if (code == CURLE_OK) {
		sts_place_forget_slow(f);
		take_answer(f);
	} else
		take_failure(f, code);
}

/* A transfer has ended. */
void
sts_result_take(void *closure, CURL *easy, CURLcode code)
{
	struct sts_fetches *fs = closure;
	struct sts_fetch *f;

	TAILQ_FOREACH(f, &fs->lists[RUNNING], link)
		if (f->easy == easy)
			break;
	if (f != NULL)
		take_result(f, code);
}

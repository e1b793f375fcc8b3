/* URIs of HTTPS that others name. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/lookup/https_uri.h"

#define N(a)	(sizeof(a) / sizeof((a)[0]))

static void
expect(const char *text, const char *host, const char *path)
{
	struct https_uri uri;
	const char *why;

	memset(&uri, 'x', sizeof(uri));
	why = https_uri_parse(text, &uri);
	cr_assert_null(why, "%s: %s", text, why);
	cr_expect_str_eq(uri.host, host);
	cr_expect_str_eq(uri.path, path);
}

Test(https_uri, a_host_and_what_a_request_names)
{
	expect("https://reporting.example.com/v1/tlsrpt",
	    "reporting.example.com", "/v1/tlsrpt");
	expect("HTTPS://Example.COM.", "example.com", "/");
	expect("https://example.com?a=b:c@d", "example.com", "/?a=b:c@d");
	expect("https://example.com/a?b/c#d?e", "example.com", "/a?b/c");
	expect("https://example.com#d", "example.com", "/");
	expect("https://example.com:443/x", "example.com", "/x");
	expect("https://example.com:/x", "example.com", "/x");
}

/* Whoever writes a record does not choose to which services this server connects. */
Test(https_uri, other_ports_users_and_schemes_are_refused)
{
	static const char *const uris[] = { "", "https:", "https://",
		"https:///x", "http://example.com/", "ftp://example.com/",
		"//example.com/", "example.com", " https://example.com/",
		"https://example.com:25/", "https://example.com:4430/",
		"https://example.com:0443/", "https://example.com:443:443/",
		"https://a@example.com/", "https://a:443@example.com/",
		"https://[::1]/", "https://exa_mple..com/",
		"https://ex%61mple.com/", "https://-a.example/" };
	struct https_uri uri;
	size_t i;

	for (i = 0; i < N(uris); i++)
		cr_expect_not_null(https_uri_parse(uris[i], &uri), "%s",
		    uris[i]);
}

/* They would end the line of a request, or have curl see another URI. */
Test(https_uri, octets_that_a_uri_cannot_have_are_refused)
{
	static const char bad[] = " \t\r\n\"<>\\^`{|}\x7f\x80\xff\x01";
	struct https_uri uri;
	char text[64];
	size_t i;

	for (i = 0; i < strlen(bad); i++) {
		snprintf(text, sizeof(text), "https://a.example/x%cy", bad[i]);
		cr_expect_not_null(https_uri_parse(text, &uri), "%02x",
		    (unsigned char)bad[i]);
	}
}

Test(https_uri, what_is_too_long_is_refused)
{
	char text[LIM_TLSRPT_URI + 2], name[LIM_DOMAIN + 32];
	struct https_uri uri;

	memset(text, 'a', sizeof(text));
	memcpy(text, "https://a.b?", strlen("https://a.b?"));
	text[LIM_TLSRPT_URI + 1] = '\0';
	cr_expect_not_null(https_uri_parse(text, &uri));
	text[LIM_TLSRPT_URI] = '\0';
	cr_expect_null(https_uri_parse(text, &uri));
	cr_expect_eq(strlen(uri.path), LIM_TLSRPT_URI - strlen("https://a.b") +
	    1);
	memset(name, 'a', sizeof(name));
	memcpy(name, "https://", strlen("https://"));
	name[sizeof(name) - 1] = '\0';
	cr_expect_not_null(https_uri_parse(name, &uri));
}

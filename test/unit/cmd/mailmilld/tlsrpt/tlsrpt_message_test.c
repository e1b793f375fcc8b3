#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cmd/mailmilld/tlsrpt/tlsrpt_message.h"
#include "core/util/base64.h"

#define DAY	1459468800	/* 1 April 2016 */

static struct tlsrpt_message
message(const char *json)
{
	return (struct tlsrpt_message){ .hostname = "mx.company-x.example",
		.id = "1A", .now = DAY + 90000,
		.from = "tls@mx.company-x.example",
		.contact = "sts-reporting@company-x.example",
		.to = "reports@company-y.example", .domain = "company-y.example",
		.report_id = "17.1A@company-x.example", .start = DAY,
		.end = DAY + 86399, .json = json, .len = strlen(json) };
}

static char *
compose(const struct tlsrpt_message *m)
{
	size_t len;
	char *text = tlsrpt_message(m, &len);

	cr_assert_not_null(text);
	cr_assert_eq(strlen(text), len);
	return text;
}

/* What ${len} octets of gzip hold */
static size_t
gunzip(const void *gz, size_t len, char *out, size_t size)
{
	z_stream z = { .next_in = (z_const Bytef *)(uintptr_t)gz,
		.avail_in = (uInt)len, .next_out = (Bytef *)out,
		.avail_out = (uInt)size };

	cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
	cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	cr_expect_eq(z.avail_in, 0);
	inflateEnd(&z);
	return size - z.avail_out;
}

/* The octets of the attachment of ${text} */
static size_t
attachment(const char *text, char *gz, size_t size)
{
	const char *s = strstr(text, ".json.gz\"\r\n\r\n"), *end;
	size_t n = 0;
	ssize_t len;

	cr_assert_not_null(s);
	for (s = strstr(s, "\r\n\r\n") + 4; (end = strstr(s, "\r\n")) != s;
	    s = end + 2) {
		cr_assert_leq(end - s, 76);
		len = base64_decode(s, (size_t)(end - s), gz + n, size - n);
		cr_assert_gt(len, 0);
		n += (size_t)len;
	}
	return n;
}

/* RFC 8460 5.1, 5.3; RFC 8689 4 */
Test(tlsrpt_message, its_header_is_that_of_rfc_8460)
{
	static const char *const fields[] = {
		"Received: by mx.company-x.example (mailmill)\r\n"
		    "\tid 1A; Sat, 02 Apr 2016 01:00:00 +0000\r\n",
		"\r\nDate: Sat, 02 Apr 2016 01:00:00 +0000\r\n",
		"\r\nFrom: <tls@mx.company-x.example>\r\n",
		"\r\nTo: <reports@company-y.example>\r\n",
		"\r\nSubject: Report Domain: company-y.example\r\n"
		    " Submitter: company-x.example\r\n"
		    " Report-ID: <17.1A@company-x.example>\r\n",
		"\r\nMessage-ID: <1A.tls@mx.company-x.example>\r\n",
		"\r\nTLS-Report-Domain: company-y.example\r\n",
		"\r\nTLS-Report-Submitter: company-x.example\r\n",
		"\r\nTLS-Required: No\r\n",
		"\r\nAuto-Submitted: auto-generated\r\n",
		"\r\nContent-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
		    "\tboundary=\"1A.parts\"\r\n",
	};
	static const char *const parts[] = {
		"\r\n--1A.parts\r\nContent-Type: text/plain",
		"\r\n--1A.parts\r\nContent-Type: application/tlsrpt+gzip\r\n",
		"filename=\"company-x.example!company-y.example!1459468800!"
		    "1459555199.json.gz\"\r\n",
		"\r\n--1A.parts--\r\n",
	};
	const struct tlsrpt_message m = message("{}");
	char *text = compose(&m), *end = strstr(text, "\r\n\r\n");
	const char *s;
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		s = strstr(text, fields[i]);
		cr_expect(s != NULL && s < end, "%s", fields[i]);
	}
	for (i = 0, s = text; i < sizeof(parts) / sizeof(parts[0]); i++) {
		s = strstr(s, parts[i]);
		cr_assert(s != NULL && s >= end, "%s", parts[i]);
	}
	for (s = text; (s = strchr(s, '\n')) != NULL; s++)
		cr_expect_eq(s[-1], '\r');
	free(text);
}

Test(tlsrpt_message, its_file_is_the_report_compressed)
{
	static char json[200000], gz[300000], out[300000];
	static const size_t lens[] = { 0, 1, 56, 57, 58, 5000, 199999 };
	struct tlsrpt_message m;
	size_t i, j, n;
	char *text;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		/* such that it is not much shorter, and fills lines */
		srand((unsigned int)i);
		for (j = 0; j < lens[i]; j++)
			json[j] = (char)(rand() % 95 + ' ');
		json[lens[i]] = '\0';
		m = message(json);
		text = compose(&m);
		n = attachment(text, gz, sizeof(gz));
		cr_assert_eq(gunzip(gz, n, out, sizeof(out)), lens[i]);
		cr_expect_eq(memcmp(out, json, lens[i]), 0);
		free(text);
	}
}

Test(tlsrpt_message, a_text_that_would_become_another_field_is_refused)
{
	static const char *const bad[] = { "", "a@b\r\nBcc: <c@d>", "a b@c",
		"a@b\x7f", "\xc3\xa4@b" };
	struct tlsrpt_message good = message("{}"), m;
	const char **const texts[] = { &m.hostname, &m.id, &m.from, &m.contact,
		&m.to, &m.domain, &m.report_id };
	size_t i, j, len;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			m = good;
			*texts[i] = bad[j];
			errno = 0;
			cr_expect_null(tlsrpt_message(&m, &len));
			cr_expect_eq(errno, EINVAL);
		}
	m = good;
	m.domain = "../b\"!c";
	cr_expect_null(tlsrpt_message(&m, &len));
	m = good;
	m.contact = "nobody";
	cr_expect_null(tlsrpt_message(&m, &len));
}

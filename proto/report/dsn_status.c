/* The part of a report that is for programs: message/delivery-status, RFC 3464 2,
 * or message/global-delivery-status, RFC 6533 4.1.
 * Owns: which fields there are, and in what form. */

#include <stdio.h>
#include <string.h>

#include "core/util/utf8.h"
#include "proto/parse/esmtp_received.h"
#include "proto/parse/xtext.h"
#include "proto/report/dsn_int.h"

#define FOLD	" "
#define TYPE_MAX	100	/* octets of an address's type, beside which an address fits in a line */

static void
put_date(struct dsn_text *t, const char *name, int64_t seconds)
{
	char date[ESMTP_DATE_MAX];

	esmtp_date_format((time_t)seconds, date);
	dsn_put(t, name);
	dsn_put(t, ": ");
	dsn_put(t, date);
	dsn_put(t, "\r\n");
}

static void
put_field(struct dsn_text *t, const char *name, const char *value,
    bool is_utf8)
{
	dsn_put(t, name);
	dsn_put(t, ": ");
	dsn_put_clean(t, value, is_utf8);
	dsn_put(t, "\r\n");
}

/* An address that is not ASCII as RFC 6533 3 has it: with the form that is
 * ASCII where this part must be. */
static void
put_utf8_address(struct dsn_text *t, const char *address, bool is_utf8)
{
	char xtext[DSN_TEXT];
	ssize_t n;

	n = is_utf8 ? -1 : xtext_encode_utf8(address, strlen(address), xtext,
	    sizeof(xtext));
	if (n == -1)
		dsn_put_clean(t, address, is_utf8);
	else
		dsn_put_octets(t, xtext, (size_t)n);
}

/* RFC 3464 2.3.2; RFC 3461 6.3 (e): the address of the envelope */
static void
put_final(struct dsn_text *t, const char *rcpt, bool is_utf8)
{
	if (utf8_is_ascii(rcpt, strlen(rcpt))) {
		dsn_put(t, "Final-Recipient: rfc822; ");
		dsn_put_clean(t, rcpt, false);
	} else {
		dsn_put(t, "Final-Recipient: utf-8; ");
		put_utf8_address(t, rcpt, is_utf8);
	}
	dsn_put(t, "\r\n");
}

/* RFC 3461 6.3 (d): "type;address" as ORCPT has said it */
static void
put_original(struct dsn_text *t, const char *orcpt, bool is_utf8)
{
	const char *address = strchr(orcpt, ';');

	if (address != NULL && address - orcpt > TYPE_MAX)
		address = NULL;
	dsn_put(t, "Original-Recipient: ");
	if (address == NULL) {
		dsn_put(t, "unknown; ");
		address = orcpt;
	} else {
		dsn_put_clean_octets(t, orcpt, (size_t)(address - orcpt),
		    false);
		dsn_put(t, "; ");
		address++;
	}
	if (utf8_is_ascii(address, strlen(address)))
		dsn_put_clean(t, address, false);
	else
		put_utf8_address(t, address, is_utf8);
	dsn_put(t, "\r\n");
}

/* RFC 3461 6.3 (g): X.0.0 where nothing better is known.  RFC 3464 2.3.3: that of a
 * recipient which failed for a time is that of its last attempt.  RFC 3463 3.5: 4.7,
 * the time for delivery is over. */
static const char *
status_of(const struct dsn_rcpt *r)
{
	bool is_told = r->enhanced[0] != '\0';

	switch (r->action) {
	case DSN_FAILED:
		if (r->why == DSN_LATE)
			return "5.4.7";
		if (r->why == DSN_EXPIRED)
			return is_told && r->enhanced[0] != '2' ? r->enhanced :
			    "4.4.7";
		return is_told && r->enhanced[0] == '5' ? r->enhanced :
		    "5.0.0";
	case DSN_DELAYED:
		if (r->why == DSN_LATE)
			return "4.4.7";
		return is_told && r->enhanced[0] == '4' ? r->enhanced :
		    "4.0.0";
	default:
		return is_told && r->enhanced[0] == '2' ? r->enhanced :
		    "2.0.0";
	}
}

/* RFC 3464 2.3.5: who has said what follows; RFC 3461 6.3 (h) */
static void
put_remote(struct dsn_text *t, const char *remote)
{
	const char *address = strchr(remote, '[');
	bool is_path = strchr(remote, '/') != NULL;
	char name[256];

	/* of "mx.example.test[192.0.2.1]" it is the name */
	if (!is_path && address != NULL && address != remote) {
		snprintf(name, sizeof(name), "%.*s", (int)(address - remote),
		    remote);
		remote = name;
	}
	dsn_put(t, "Remote-MTA: ");
	/* the socket of an LMTP server is not in the DNS */
	dsn_put(t, is_path ? "x-unix; " : "dns; ");
	dsn_put_clean(t, remote, false);
	dsn_put(t, "\r\n");
}

/* RFC 3464 2.3.6; RFC 3461 9.2: the reply as it was, in one line */
static void
put_diagnostic(struct dsn_text *t, const struct dsn_rcpt *r, bool is_utf8)
{
	dsn_put(t, "Diagnostic-Code: ");
	if (r->code == 0) {
		dsn_put(t, "x-mailmill; ");
	} else {
		dsn_put(t, "smtp; ");
		dsn_put_number(t, r->code);
		dsn_put(t, " ");
		dsn_put(t, r->enhanced);
		dsn_put(t, r->enhanced[0] != '\0' ? " " : "");
	}
	dsn_put_words(t, r->text, is_utf8, FOLD);
	dsn_put(t, "\r\n");
}

static void
put_rcpt(struct dsn_text *t, const struct dsn_rcpt *r, bool is_utf8)
{
	static const char *const actions[DSN_ACTIONS] = {
		[DSN_FAILED] = "failed",
		[DSN_DELAYED] = "delayed",
		[DSN_DELIVERED] = "delivered",
		[DSN_RELAYED] = "relayed",
		[DSN_EXPANDED] = "expanded",
	};

	dsn_put(t, "\r\n");
	if (r->orcpt != NULL)
		put_original(t, r->orcpt, is_utf8);
	put_final(t, r->rcpt, is_utf8);
	put_field(t, "Action", actions[r->action], false);
	put_field(t, "Status", status_of(r), false);
	if (r->remote[0] != '\0')
		put_remote(t, r->remote);
	if (r->code != 0 || r->text[0] != '\0')
		put_diagnostic(t, r, is_utf8);
	if (r->last_attempt != 0)
		put_date(t, "Last-Attempt-Date", r->last_attempt);
	if (r->action == DSN_DELAYED && r->retry_until != 0)
		put_date(t, "Will-Retry-Until", r->retry_until);
}

void
dsn_status(struct dsn_text *t, const struct dsn *d, bool is_utf8)
{
	size_t i;

	if (d->envid != NULL)
		put_field(t, "Original-Envelope-Id", d->envid, false);
	dsn_put(t, "Reporting-MTA: dns; ");
	dsn_put_clean(t, d->hostname, false);
	dsn_put(t, "\r\n");
	put_date(t, "Arrival-Date", d->arrival);
	/* an extension, RFC 3464 2.4: by it the log is found */
	put_field(t, "X-Mailmill-Message-ID", d->of, false);
	for (i = 0; i < d->nrcpts; i++)
		put_rcpt(t, &d->rcpts[i], is_utf8);
}

/* Settings: addresses that mail is sent to and from, and reports of TLS (RFC 8460). */

#include <stdio.h>
#include <string.h>

#include "cmd/settings/settings_int.h"
#include "core/util/utf8.h"
#include "proto/mailaddr.h"

int
settings_check_address(struct conf *c, const char *address, size_t row)
{
	size_t len = strlen(address);
	struct mailaddr addr;

	if (len == 0 || (mailaddr_parse(address, len, MAILADDR_ALLOW_BARE,
	    &addr) == (int)len && addr.domain_len > 0))
		return 0;
	return conf_error_value(c, &conf_get(c, c->root, row)->at,
	    settings_schema.rows[row].field->name, address,
	    "an address, such as \"postmaster@example.org\"");
}

/* The same of ${address}, which is in the header of reports: it is one word there
 * (tlsrpt_message.h), though a local part in quotes may have blanks. */
static int
check_word(struct conf *c, const char *address, size_t row)
{
	if (settings_check_address(c, address, row) == -1)
		return -1;
	if (strpbrk(address, " \t") == NULL)
		return 0;
	return conf_error_value(c, &conf_get(c, c->root, row)->at,
	    settings_schema.rows[row].field->name, address,
	    "an address without white space");
}

int
settings_report_check(struct conf *c, const struct settings *s)
{
	const char *organization = s->tls_report_organization;

	if (check_word(c, s->tls_report_contact,
	    ROW_tls_report_contact) == -1 ||
	    check_word(c, s->tls_report_sender, ROW_tls_report_sender) == -1)
		return -1;
	if (!utf8_is_visible(organization, strlen(organization)))
		return conf_error_value(c, &conf_get(c, c->root,
		    ROW_tls_report_organization)->at, "TLS_Report_Organization",
		    organization, "a text in UTF-8 without controls");
	if (s->tls_reports && s->resolvers == 0)
		return conf_error(c, &conf_get(c, c->root, ROW_tls_reports)->at,
		    "option 'TLS_Reports': expected false, since resolvers is 0, "
		    "and nobody could look up which domains want reports");
	return 0;
}

const char *
settings_report_organization(const struct settings *s)
{
	return *s->tls_report_organization != '\0' ?
	    s->tls_report_organization : s->hostname;
}

/* ${address} has been checked; but in a buffer that is too small, as no valid one
 * makes it, it stays as it is written. */
static const char *
address_of(const char *address, char buf[SETTINGS_REPORT_ADDRESS])
{
	char octets[SETTINGS_REPORT_ADDRESS];
	struct mailaddr addr;

	strlcpy(octets, address, sizeof(octets));
	if (mailaddr_parse(octets, strlen(octets), MAILADDR_ALLOW_BARE |
	    MAILADDR_ALLOW_LITERAL, &addr) == -1 ||
	    mailaddr_format(&addr, buf, SETTINGS_REPORT_ADDRESS) == -1)
		strlcpy(buf, octets, SETTINGS_REPORT_ADDRESS);
	return buf;
}

const char *
settings_report_contact(const struct settings *s,
    char buf[SETTINGS_REPORT_ADDRESS])
{
	char address[SETTINGS_REPORT_ADDRESS];

	if (*s->tls_report_contact != '\0')
		return address_of(s->tls_report_contact, buf);
	/* RFC 5321 4.5.1: that mailbox is there */
	snprintf(address, sizeof(address), "postmaster@%s", s->hostname);
	return address_of(address, buf);
}

const char *
settings_report_sender(const struct settings *s,
    char buf[SETTINGS_REPORT_ADDRESS])
{
	return *s->tls_report_sender != '\0' ?
	    address_of(s->tls_report_sender, buf) :
	    settings_report_contact(s, buf);
}

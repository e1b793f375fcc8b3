/* Settings: the tables for the parser.
 * Owns: which section may stand where, the checks of single values. */

#include "cmd/settings/settings.h"

#include <sys/un.h>

#include <string.h>
#include <strings.h>

#include "cmd/settings/auth_spec.h"
#include "cmd/settings/route_addr.h"
#include "cmd/settings/settings_int.h"
#include "core/maildir/maildir.h"
#include "core/util/addr.h"
#include "core/util/conf_field.h"
#include "core/util/idna.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/mailaddr.h"

/* bits of the sections */
#define S_FILE		(1u << SECTION_FILE)
#define S_SERVICE	(1u << SECTION_ESMTP_LISTENER)
#define S_LISTEN	(1u << SECTION_LISTEN)
#define S_PEER		(1u << SECTION_PEER)
#define S_DOMAIN	(1u << SECTION_DOMAIN)
#define S_MODULE	(1u << SECTION_MODULE)

#define BASE_GLOBAL	settings
#define BASE_LISTEN	settings_listen
#define BASE_DOMAIN	settings_domain
#define BASE_TIMES	settings_times

const char settings_deliveries[] = ""
#define DELIVERY(id, name, transport) "|" name
#include "cmd/settings/delivery.def"
#undef DELIVERY
    ;

const struct setting_row setting_rows[NSETTINGS] = {
#define SETTING(scope, ...) \
	{ SETTING_##scope, CONF_FIELD(BASE_##scope, __VA_ARGS__) },
#include "cmd/settings/setting.def"
#undef SETTING
};

/* A further check of a value that is right by its type. */
struct special {
	size_t	row;
	int	(*check)(const char *value, char *expected_r, size_t len);
};

static int
expected(char *expected_r, size_t len, const char *text)
{
	snprintf(expected_r, len, "%s", text);
	return -1;
}

static int
special_path(const char *value, char *expected_r, size_t len)
{
	return value[0] == '/' ? 0 :
	    expected(expected_r, len, "an absolute path");
}

static int
special_file(const char *value, char *expected_r, size_t len)
{
	return *value == '\0' ? 0 : special_path(value, expected_r, len);
}

static int
special_log(const char *value, char *expected_r, size_t len)
{
	if (*value == '\0' || *value == '/' ||
	    strcasecmp(value, "stderr") == 0 ||
	    strcasecmp(value, "syslog") == 0)
		return 0;
	return expected(expected_r, len,
	    "\"stderr\", \"syslog\" or an absolute path");
}

/* Is it a domain, in UTF-8 or not? */
static bool
is_domain(const char *s, bool allow_literal)
{
	char ascii[IDNA_MAX + 1];
	ssize_t n = idna_ascii(s, strlen(s), ascii, sizeof(ascii));

	return n != -1 && mailaddr_domain_valid(ascii, (size_t)n,
	    allow_literal);
}

static int
special_qualifier(const char *value, char *expected_r, size_t len)
{
	if (*value == '\0' || is_domain(value, false))
		return 0;
	return expected(expected_r, len, "a domain");
}

static int
special_hostname(const char *value, char *expected_r, size_t len)
{
	if (*value == '\0' || is_domain(value, true))
		return 0;
	return expected(expected_r, len, "a host name");
}

static int
special_recipients(const char *value, char *expected_r, size_t len)
{
	if (*value == '\0' || strncmp(value, "file:/", 6) == 0)
		return 0;
	return expected(expected_r, len, "\"file:\" and an absolute path");
}

static int
special_maildir(const char *value, char *expected_r, size_t len)
{
	const char *why, *p;

	if (maildir_pattern_check(value, &why) == -1) {
		snprintf(expected_r, len, "an absolute path with %%u for the "
		    "local part and %%d for the domain (%s)", why);
		return -1;
	}
	for (p = value; (p = strchr(p, '%')) != NULL; p += 2)
		if (p[1] == 'u')
			return 0;
	return expected(expected_r, len,
	    "a path with %u, or all recipients would share one Maildir");
}

static int
special_route(const char *value, char *expected_r, size_t len)
{
	struct route_addr addr;

	if (route_addr_parse(value, &addr) == 0)
		return 0;
	return expected(expected_r, len, "\"unix:\" and an absolute path, or an "
	    "address or name with a port, such as \"192.0.2.1:25\", "
	    "\"[2001:db8::1]:25\" or \"mail.example.test:25\"");
}

/* A domain, "*.domain" or "*". */
static int
special_domain(const char *value, char *expected_r, size_t len)
{
	const char *name = strncmp(value, "*.", 2) == 0 ? value + 2 : value;

	if (strcmp(value, "*") == 0 || is_domain(name, false))
		return 0;
	return expected(expected_r, len,
	    "a domain, \"*.\" and a domain, or \"*\"");
}

static int
special_mechanism(const char *value, char *expected_r, size_t len)
{
	const struct esmtp_auth_mech *m;
	size_t i, n = (size_t)snprintf(expected_r, len, "one of");

	for (i = 0; (m = esmtp_auth_mech_at(i)) != NULL; i++) {
		if (strcasecmp(m->name, value) == 0)
			return 0;
		if (n < len)
			n += (size_t)snprintf(expected_r + n, len - n,
			    "%s %s", i == 0 ? "" : ",", m->name);
	}
	return -1;
}

static int
special_class(const char *value, char *expected_r, size_t len)
{
	return options_classes(&value, 1, expected_r, len);
}

static int
special_variable(const char *value, char *expected_r, size_t len)
{
	return options_pairs(&value, 1, expected_r, len);
}

static int
special_backend(const char *value, char *expected_r, size_t len)
{
	return *value == '\0' ? 0 :
	    auth_spec_check(value, NULL, NULL, expected_r, len);
}

static int
special_name_server(const char *value, char *expected_r, size_t len)
{
	union addr addr;

	if (settings_name_server(value, &addr) == 0)
		return 0;
	return expected(expected_r, len, "the address of a name server, with "
	    "a port unless that is 53, such as 192.0.2.53 or "
	    "[2001:db8::53]:5353");
}

static int
special_source(const char *value, char *expected_r, size_t len)
{
	union addr addr;

	if (settings_ip(value, &addr) == 0)
		return 0;
	return expected(expected_r, len, "an address of this machine without "
	    "a port, such as 192.0.2.7 or 2001:db8::7");
}

static int
special_delimiter(const char *value, char *expected_r, size_t len)
{
	static const char good[] = "!#$%&'*+-/=?^_`{|}~.";

	return value[strspn(value, good)] == '\0' ? 0 : expected(expected_r,
	    len, "characters that may stand in a local part and are no letters "
	    "or digits, such as \"+\" or \"+-\"");
}

static const struct special specials[] = {
	{ ROW_auth_backend, special_backend },
	{ ROW_auth_mechanisms, special_mechanism },
	{ ROW_no_soliciting, special_class },
	{ ROW_context, special_variable },
	{ ROW_sender_login, special_recipients },
	{ ROW_domain_for_recipients, special_qualifier },
	{ ROW_domain_for_sender, special_qualifier },
	{ ROW_etrn_domains, special_domain },
	{ ROW_relay_domains, special_domain },
	{ ROW_relay_for_sending_domains, special_domain },
	{ ROW_banner_hostname, special_hostname },
	{ ROW_received_hostname, special_hostname },
	{ ROW_tls_certificate, special_path },
	{ ROW_tls_key, special_path },
	{ ROW_tls_client_ca, special_file },
	{ ROW_tls_ocsp_response, special_path },
	{ ROW_hostname, special_hostname },
	{ ROW_spool, special_path },
	{ ROW_pidfile, special_path },
	{ ROW_control, special_path },
	{ ROW_log, special_log },
	{ ROW_maildir, special_maildir },
	{ ROW_recipients, special_recipients },
	{ ROW_aliases, special_recipients },
	{ ROW_recipient_delimiter, special_delimiter },
	{ ROW_transport_table, special_recipients },
	{ ROW_sender_transport_table, special_recipients },
	{ ROW_srs_domain, special_qualifier },
	{ ROW_srs_key_file, special_file },
	{ ROW_route, special_route },
	{ ROW_source, special_source },
	{ ROW_helo, special_hostname },
	{ ROW_tls_ca_file, special_file },
	{ ROW_login, special_file },
	{ ROW_tls_name, special_qualifier },
	{ ROW_pipe_folder, special_path },
	{ ROW_resolver, special_name_server },
};

static int
check_special(size_t row, const char *value, char *expected_r, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
		if (specials[i].row == row)
			return specials[i].check(value, expected_r, len);
	return 0;
}

const char *
settings_default(const char *name)
{
	size_t i;

	for (i = 0; i < NSETTINGS; i++)
		if (strcmp(setting_rows[i].field.name, name) == 0)
			return setting_rows[i].field.def;
	return "";
}

bool
settings_is_of_file(size_t row)
{
	return row == ROW_file_mode || row == ROW_file_owner ||
	    row == ROW_file_group;
}

const char *
settings_listen_path(const char *title)
{
	if (strncasecmp(title, SETTINGS_UNIX, strlen(SETTINGS_UNIX)) == 0)
		title += strlen(SETTINGS_UNIX);
	return *title == '/' ? title : NULL;
}

int
settings_listen_parse(const char *title, union addr *addr_r,
    socklen_t *len_r, bool *is_any_r)
{
	union addr a = { .in6.sin6_family = AF_INET6 };
	const char *port = title + (title[0] == '*');
	int rc;

	if (settings_listen_path(title) != NULL) {
		memset(addr_r, 0, sizeof(*addr_r));
		addr_r->sa.sa_family = AF_UNIX;
		*len_r = sizeof(addr_r->sa.sa_family);
		*is_any_r = false;
		return 0;
	}
	*is_any_r = *port == ':';
	rc = *is_any_r ? addr_port_parse(port + 1, &a.in6.sin6_port) :
	    addr_parse(title, &a);
	memset(addr_r, 0, sizeof(*addr_r));
	memcpy(addr_r, &a, sizeof(a));
	*len_r = addr_len(&a.sa);
	return rc;
}

static int
title_path(const char *path, char *expected_r, size_t len)
{
	const struct sockaddr_un *un = NULL;
	const char *name = strrchr(path, '/') + 1, *p;

	/* it gets into the log and the answers to mailmillctl */
	for (p = path; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			return expected(expected_r, len,
			    "a path of printable ASCII characters");
	if (strlen(path) >= sizeof(un->sun_path)) {
		snprintf(expected_r, len, "a path of at most %zu octets, as "
		    "long as that of a Unix socket can be",
		    sizeof(un->sun_path) - 1);
		return -1;
	}
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return expected(expected_r, len, "a path that ends with the "
		    "name of the socket");
	return 0;
}

static int
title_listen(const char *title, char *expected_r, size_t len)
{
	const char *path = settings_listen_path(title);
	union addr addr;
	socklen_t addr_len;
	bool is_any;

	if (path != NULL)
		return title_path(path, expected_r, len);
	if (settings_listen_parse(title, &addr, &addr_len, &is_any) == 0) {
		/* the socket is for IPv6 alone: bind(2) would refuse it */
		if (addr.sa.sa_family == AF_INET6 &&
		    IN6_IS_ADDR_V4MAPPED(&addr.in6.sin6_addr))
			return expected(expected_r, len, "an IPv4 address "
			    "without [::ffff:], such as \"192.0.2.1:25\"");
		return 0;
	}
	return expected(expected_r, len, "address:port, such as \":25\", "
	    "\"127.0.0.1:2525\" or \"[::1]:587\", or \"" SETTINGS_UNIX "\" and "
	    "an absolute path");
}

static int
title_peer(const char *title, char *expected_r, size_t len)
{
	return conf_field_check(&options_rows[ROW_relay_hosts], title,
	    expected_r, len);
}

static const struct conf_section_row sections[] = {
	[SECTION_FILE] = { .name = "", .scope = S_FILE },
	[SECTION_ESMTP_LISTENER] = { .name = "ESMTP_Listener",
		.scope = S_SERVICE, .parents = S_FILE },
	[SECTION_LISTEN] = { .name = "Listen", .scope = S_LISTEN,
		.parents = S_SERVICE, .has_title = true,
		.check_title = title_listen },
	[SECTION_PEER] = { .name = "Peer", .scope = S_PEER,
		.parents = S_SERVICE | S_LISTEN, .has_title = true,
		.check_title = title_peer },
	[SECTION_DOMAIN] = { .name = "Domain", .scope = S_DOMAIN,
		.parents = S_FILE, .has_title = true,
		.check_title = special_domain },
	[SECTION_MODULE] = { .name = "Module", .scope = S_MODULE,
		.parents = S_FILE, .has_title = true,
		.check_title = special_path, .is_free = true },
};

#define SCOPES_GLOBAL	S_FILE
#define SCOPES_LISTEN	(S_SERVICE | S_LISTEN)
#define SCOPES_DOMAIN	S_DOMAIN
#define SCOPES_TIMES	(S_FILE | S_DOMAIN)

static const struct conf_row rows[NROWS] = {
#define ESMTP_OPTION(name, field, ...) \
	[ROW_##field] = { &options_rows[ROW_##field], \
	    S_FILE | S_SERVICE | S_LISTEN | S_PEER },
#include "proto/options/esmtp_option.def"
#undef ESMTP_OPTION
#define SETTING(scope, name, member, ...) \
	[ROW_##member] = { \
	    &setting_rows[ROW_##member - ROW_FIRST_SETTING].field, \
	    SCOPES_##scope },
#include "cmd/settings/setting.def"
#undef SETTING
};

const struct conf_schema settings_schema = {
	rows, NROWS, sections, sizeof(sections) / sizeof(sections[0]),
	check_special
};

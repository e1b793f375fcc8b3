#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/settings/settings_int.h"
#include "cmd/settings/settings_show.h"
#include "core/conf/conf_print.h"
#include "test/unit/cmd/settings/load.h"

static char err[SETTINGS_ERROR_MAX];

/* The listing of ${s}, which this frees: of all, of the client that ${client}
 * (NULL: none) names, or with ${is_all} of both.  The caller frees it. */
static char *
listing_of(struct settings *s, const char *client, bool is_all)
{
	struct settings_client c;
	char *text = NULL;
	size_t len = 0;
	FILE *fp = open_memstream(&text, &len);
	int fd, rc;

	cr_assert_not_null(s, "%s", load_error);
	if (client != NULL)
		cr_assert_eq(settings_client_parse(s, client, &c, err,
		    sizeof(err)), 0, "%s", err);
	cr_assert_neq(fd = settings_pack(s), -1);
	if (client != NULL && !is_all)
		rc = settings_show_client(fd, &c, fp, err, sizeof(err));
	else
		rc = settings_show(fd, client != NULL ? &c : NULL, fp, err,
		    sizeof(err));
	cr_assert_eq(rc, 0, "%s", err);
	fclose(fp);
	close(fd);
	settings_free(s);
	return text;
}

static bool
has_line(const char *text, const char *line)
{
	size_t len = strlen(line);
	const char *p = text;

	do {
		p += strspn(p, "\t");
		if (strncmp(p, line, len) == 0 && p[len] == '\n')
			return true;
	} while ((p = strchr(p, '\n')) != NULL && *++p != '\0');
	return false;
}

#define HOST	"hostname = mx.example.test workers = 1\n"

static const char scopes[] = HOST
    "Max_Errors = 1\n"
    "Idle_Time = 1\n"
    "Command_Timeout = 1\n"
    "Data_Timeout = 1\n"
    "Relay_Domains = { }\n"
    "ESMTP_Listener {\n"
    "\tMax_Errors = 2\n"
    "\tIdle_Time = 2\n"
    "\tCommand_Timeout = 2\n"
    "\tListen_Backlog = 7\n"
    "\tPeer \"10.0.0.0/8\" {\n"
    "\t\tMax_Errors = 3\n"
    "\t\tIdle_Time = 3\n"
    "\t}\n"
    "\tListen \":25\" {\n"
    "\t\tMax_Errors = 4\n"
    "\t\tRelay_Hosts = \"192.0.2.1\"\n"
    "\t\tRelay_Hosts += { \"192.0.2.2\",\n"
    "\t\t    \"192.0.2.3\" }\n"
    "\t\tPeer \"10.1.0.0/16\" { Max_Errors = 5 }\n"
    "\t}\n"
    "}\n";

Test(settings_show, an_option_of_a_client_has_its_value_and_its_place)
{
	static const struct {
		const char *client, *line;
	} c[] = {
		{ ":25,192.0.2.9", "Max_Errors = 4\t# m.conf:17, "
		    "Listen \":25\"" },
		{ ":25,192.0.2.9", "Idle_Time = 2s\t# m.conf:9, "
		    "ESMTP_Listener" },
		{ ":25,192.0.2.9", "Command_Timeout = 2s\t# m.conf:10, "
		    "ESMTP_Listener" },
		{ ":25,192.0.2.9", "Data_Timeout = 1s\t# m.conf:5, outside "
		    "all sections" },
		{ ":25,192.0.2.9", "Relay_Domains = { }\t# m.conf:6, outside "
		    "all sections" },
		{ ":25,192.0.2.9", "Require_EHLO = true\t# default" },
		{ ":25,192.0.2.9", "Max_Message_Size = 100M\t# default" },
		{ ":25,192.0.2.9", "Relay_Hosts = { \"192.0.2.1\", "
		    "\"192.0.2.2\", \"192.0.2.3\" }\t# m.conf:18, m.conf:19, "
		    "Listen \":25\"" },
		{ ":25,192.0.2.9", "Service_Sessions = 8\t# -D" },
		{ ":25,192.0.2.9", "# Listen \":25\", m.conf:16" },
		{ ":25,10.2.0.1", "Max_Errors = 4\t# m.conf:17, "
		    "Listen \":25\"" },
		{ ":25,10.2.0.1", "Idle_Time = 3s\t# m.conf:14, Peer "
		    "\"10.0.0.0/8\" in ESMTP_Listener" },
		{ ":25,10.2.0.1", "# Peer \"10.0.0.0/8\" in ESMTP_Listener, "
		    "m.conf:12" },
		{ ":25,10.1.0.1", "Max_Errors = 5\t# m.conf:21, Peer "
		    "\"10.1.0.0/16\" in Listen \":25\"" },
		{ ":25,10.1.0.1", "Idle_Time = 3s\t# m.conf:14, Peer "
		    "\"10.0.0.0/8\" in ESMTP_Listener" },
	};
	char *text;
	size_t i, row, n;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		text = listing_of(load_settings("Service_Sessions=8", "%s",
		    scopes), c[i].client, false);
		cr_expect(has_line(text, c[i].line), "%s: %s\n%s",
		    c[i].client, c[i].line, text);
		/* all of them, in the order of their table */
		for (row = 0, n = 0; row < options_nrows; row++)
			n += strstr(text, options_rows[row].name) != NULL;
		cr_expect_eq(n, options_nrows);
		cr_expect_null(strstr(text, "hostname"));
		cr_expect_null(strstr(text, "ESMTP_Listener {"));
		free(text);
	}
}

Test(settings_show, the_whole_has_every_setting_in_its_section)
{
	static const char *const lines[] = {
		"hostname = \"mx.example.test\"\t# m.conf:1, outside all "
		    "sections",
		"workers = 1\t# m.conf:1, outside all sections",
		"drain_time = 30s\t# default",
		"spool = \"/var/spool/mailmill\"\t# default",
		"sandbox = on\t# default",
		"ESMTP_Listener {\t# m.conf:7",
		"Listen \":25\" {\t# m.conf:16",
		"Listen_Backlog = 7\t# m.conf:11, ESMTP_Listener",
		"Enable = true\t# default",
		"Max_Errors = 4\t# m.conf:17, Listen \":25\"",
		"Peer \"10.1.0.0/16\" {\t# m.conf:21",
		"Max_Errors = 5\t# m.conf:21, Peer \"10.1.0.0/16\" in Listen "
		    "\":25\"",
		"Peer \"10.0.0.0/8\" {\t# m.conf:12",
		"Idle_Time = 3s\t# m.conf:14, Peer \"10.0.0.0/8\" in "
		    "ESMTP_Listener",
		"Listen \":26\" {\t# m.conf:24",
		"Enable = false\t# m.conf:24, Listen \":26\"",
		"Domain \"Example.TEST\" {\t# m.conf:25",
		"Maildir = \"/m/%u\"\t# m.conf:25, Domain \"Example.TEST\"",
		"Delivery = maildir\t# default",
		"}",
	};
	static const char more[] =
	    "ESMTP_Listener { Listen \":26\" { Enable = no } "
	    "Listen \"unix:/x\" { } }\n"
	    "Domain \"Example.TEST\" { Maildir = \"/m/%u\" }\n";
	char *text = listing_of(load_settings(NULL, "%s%s", scopes, more),
	    NULL, true);
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		cr_expect(has_line(text, lines[i]), "%s\n%s", lines[i], text);
	for (i = 0; i < NROWS; i++)
		cr_expect_not_null(strstr(text,
		    settings_schema.rows[i].field->name), "%s",
		    settings_schema.rows[i].field->name);
	free(text);

	/* with a client: its listener alone, and no Peer sections */
	text = listing_of(load_settings(NULL, "%s%s", scopes, more),
	    ":25,10.1.0.1", true);
	cr_expect_not_null(strstr(text, "Listen \":25\" {"));
	cr_expect_null(strstr(text, "Listen \":26\" {"));
	cr_expect_null(strstr(text, "Peer \"10.1.0.0/16\" {"));
	cr_expect(has_line(text, "Max_Errors = 5\t# m.conf:21, Peer "
	    "\"10.1.0.0/16\" in Listen \":25\""), "%s", text);
	free(text);
}

Test(settings_show, a_module_has_its_settings_in_their_order)
{
	static const char conf[] = HOST
	    "ESMTP_Listener { Listen \":25\" { } }\n"
	    "Module \"/m/b.so\" { }\n"
	    "Module \"/m/a.so\" {\n"
	    "\tZebra = \"a \\\"b\\\"\"\n"
	    "\tList = { x, y }\n"
	    "\tlist += z\n"
	    "}\n";
	static const char section[] =
	    "Module \"/m/b.so\" {\t# m.conf:3\n"
	    "}\n"
	    "Module \"/m/a.so\" {\t# m.conf:4\n"
	    "\tZebra = \"a \\\"b\\\"\"\t# m.conf:5\n"
	    "\tList = \"x\"\t# m.conf:6\n"
	    "\tList += \"y\"\t# m.conf:6\n"
	    "\tlist += \"z\"\t# m.conf:7\n"
	    "}\n";
	char *text = listing_of(load_settings(NULL, "%s", conf), NULL, true);
	char *again;

	cr_expect_not_null(strstr(text, section), "%s", text);
	/* the listing means the same */
	again = listing_of(load_settings(NULL, "%s", text), NULL, true);
	cr_expect_not_null(strstr(again, "\tlist += \"z\"\t# m.conf:"), "%s",
	    again);
	free(again);
	free(text);
}

/* A default that a Kind makes has no line, and says so; a Peer section with another
 * Kind has what differs by it. */
Test(settings_show, a_default_of_a_kind_is_named)
{
	static const char conf[] = HOST
	    "ESMTP_Listener {\n"
	    "\tAuth_Backend = \"pam:x\" Auth_Without_TLS = true\n"
	    "\tListen \":587\" {\n"
	    "\t\tKind = submission\n"
	    "\t\tRequire_FQDN = false\n"
	    "\t\tPeer \"10.0.0.0/8\" { Kind = smtp }\n"
	    "\t}\n"
	    "}\n";
	static const char *const lines[] = {
		"Kind = submission\t# m.conf:5, Listen \":587\"",
		"Require_Auth = true\t# default of this Kind",
		"Require_FQDN = false\t# m.conf:6, Listen \":587\"",
		"RFC2822_Date_Header = ifneeded\t# default of this Kind",
		"Header_From_Login = false\t# default",
	};
	static const char *const peer[] = {
		"Kind = smtp\t# m.conf:7, Peer \"10.0.0.0/8\" in Listen "
		    "\":587\"",
		"Require_Auth = false\t# default",
		"RFC2822_Date_Header = ignore\t# default",
	};
	char *text = listing_of(load_settings(NULL, "%s", conf),
	    ":587,192.0.2.1", false);
	const char *section;
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		cr_expect(has_line(text, lines[i]), "%s\n%s", lines[i], text);
	free(text);
	text = listing_of(load_settings(NULL, "%s", conf), NULL, true);
	section = strstr(text, "Peer \"10.0.0.0/8\" {");
	cr_assert_not_null(section);
	for (i = 0; i < sizeof(peer) / sizeof(peer[0]); i++)
		cr_expect(has_line(section, peer[i]), "%s\n%s", peer[i],
		    section);
	cr_expect_null(strstr(section, "Require_FQDN"), "%s", section);
	free(text);
}

Test(settings_show, what_the_system_decides_is_said)
{
	static const struct { const char *conf, *end; } c[] = {
		{ "", "\t# default" },
		{ "hostname = \"\" workers = 00", "\t# m.conf:1, outside all "
		    "sections" },
	};
	char want[200], *text;
	struct settings *s;
	size_t i;

	for (i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		s = load_settings(NULL, "%s\nESMTP_Listener { Listen \":25\" "
		    "{ } }", c[i].conf);
		cr_assert_not_null(s, "%s", load_error);
		snprintf(want, sizeof(want), "hostname = \"%s\"%s, the host "
		    "name of the system", s->hostname, c[i].end);
		text = listing_of(s, NULL, true);
		cr_expect(has_line(text, want), "%s\n%s", want, text);
		cr_expect_not_null(strstr(text, c[i].end));
		cr_expect_not_null(strstr(text, ", one for each processor\n"));
		free(text);
	}
}

/* What a client has, a line each. */
static char *
values_of(const struct settings *s, size_t listen, const char *address)
{
	const struct esmtp_options *o;
	char *text, arg[64];
	struct settings_client c;
	size_t i, len;
	FILE *fp = open_memstream(&text, &len);

	snprintf(arg, sizeof(arg), "%s,%s", s->listens[listen].name, address);
	cr_assert_eq(settings_client_parse(s, arg, &c, err, sizeof(err)), 0,
	    "%s", err);
	o = settings_options_for(s, listen, &c.addr.sa);
	for (i = 0; i < options_nrows; i++) {
		fprintf(fp, "%s = ", options_rows[i].name);
		conf_print_value(fp, o, &options_rows[i]);
		putc('\n', fp);
	}
	fclose(fp);
	return text;
}

static const char *const networks[] = { "10.0.0.0/8", "10.1.0.0/16",
	"10.1.2.0/24", "10.1.2.3", "10.2.0.0/16", "0.0.0.0/0", "192.0.2.0/24",
	"::/0", "2001:db8::/32", "2001:db8:1::/48" };
#define NNETWORKS	(sizeof(networks) / sizeof(networks[0]))

static unsigned int seed;

static unsigned int
draw(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

/* Write options of one scope, each one now and then. */
static void
write_options(FILE *fp)
{
	static const char *const names[] = { "Max_Errors", "Idle_Time",
		"Max_Message_Size", "Client_Sessions" };
	size_t i;

	for (i = 0; i < 4; i++)
		if (draw(3) == 0)
			fprintf(fp, "%s = %u\n", names[i], draw(100000));
	if (draw(3) == 0)
		fprintf(fp, "Static_Banner = \"a \\\"%u\\\" # \\${x} \\\\\"\n",
		    draw(10));
	if (draw(3) == 0)
		fprintf(fp, "Relay_Hosts += { ::%u }\nRelay_Hosts += { ::2 }\n",
		    draw(10));
}

static void
write_peers(FILE *fp)
{
	size_t i;

	for (i = 0; i < NNETWORKS; i++)
		if (draw(2) == 0) {
			fprintf(fp, "Peer \"%s\" {\n", networks[i]);
			write_options(fp);
			fprintf(fp, "}\n");
		}
}

static char *
random_conf(void)
{
	char *text;
	size_t len;
	FILE *fp = open_memstream(&text, &len);
	int i;

	fprintf(fp, HOST);
	write_options(fp);
	for (i = 0; i < 2; i++) {
		fprintf(fp, "ESMTP_Listener {\n");
		write_options(fp);
		write_peers(fp);
		fprintf(fp, "Listen \":2%d\" {\n", i);
		write_options(fp);
		write_peers(fp);
		fprintf(fp, "} }\n");
	}
	fclose(fp);
	return text;
}

/* Its name is xn--bcher-kva.test, with or without a section for all others. */
Test(settings_show, a_domain_that_is_not_ascii_has_its_own_values)
{
	static const char *const others[] = { "",
		"Domain \"*\" { Delivery = smtp }\n" };
	char *text;
	size_t i;

	for (i = 0; i < 2; i++) {
		text = listing_of(load_settings(NULL, "%sESMTP_Listener { Listen "
		    "\"127.0.0.1:25\" { } }\nDomain \"b\u00fccher.test\" { "
		    "Maildir = \"/m/%%u\" retry_interval = 5m }\n%s", HOST,
		    others[i]),
		    NULL, true);
		cr_expect(has_line(text, "Maildir = \"/m/%u\"\t# m.conf:3, "
		    "Domain \"b\u00fccher.test\""), "%s", text);
		cr_expect(has_line(text, "retry_interval = 5m\t# m.conf:3, "
		    "Domain \"b\u00fccher.test\""), "%s", text);
		free(text);
	}
}

/* What is listed, read again, gives every client the same options. */
Test(settings_show, the_listing_is_a_configuration_with_the_same_effect)
{
	static const char *const clients[] = { "10.1.2.3", "10.1.2.4",
		"10.1.3.1", "10.2.0.1", "10.3.0.1", "192.0.2.1",
		"198.51.100.1", "2001:db8:1::1", "2001:db8:2::1", "fe80::1" };
	char *conf, *listing, *want, *found;
	struct settings *before, *after;
	size_t i, j;

	for (i = 1; i <= 60; i++) {
		seed = (unsigned int)i;
		conf = random_conf();
		listing = listing_of(load_settings(NULL, "%s", conf), NULL,
		    true);
		before = load_good_settings("%s", conf);
		after = load_good_settings("%s", listing);
		for (j = 0; j < 2 * sizeof(clients) / sizeof(clients[0]);
		    j++) {
			want = values_of(before, j % 2, clients[j / 2]);
			found = values_of(after, j % 2, clients[j / 2]);
			cr_expect_str_eq(found, want, "seed %zu, %s:\n%s\n%s",
			    i, clients[j / 2], conf, listing);
			free(want);
			free(found);
		}
		settings_free(before);
		settings_free(after);
		free(conf);
		free(listing);
	}
}

/* Names of files and values that would end a line, or act on a terminal. */
Test(settings_show, no_name_or_value_can_forge_a_line)
{
	static const char conf[] = HOST
	    "spool = \"/a\nuser = \\\"root\\\" \x1b[2J\"\n"
	    "ESMTP_Listener { Listen \":25\" { } }\n"
	    "Domain a { Maildir = '/a\"\\#%u' }";
	FILE *fp = tmpfile();
	struct settings *s;
	char *text, *p;

	fputs(conf, fp);
	rewind(fp);
	s = settings_load(fp, "m\nuser = root # \x1b[2J.conf", NULL, 0,
	    load_error, sizeof(load_error));
	fclose(fp);
	text = listing_of(s, NULL, true);
	for (p = text; *p != '\0'; p++)
		cr_assert(*p == '\n' || *p == '\t' || (*p >= 32 && *p < 127));
	cr_expect(has_line(text, "spool = \"/a\\x0auser = \\\"root\\\" "
	    "\\x1b[2J\"\t# m\\x0auser = root # \\x1b[2J.conf:2, outside all "
	    "sections"), "%s", text);
	cr_expect(has_line(text, "user = \"_mailmill\"\t# default"), "%s",
	    text);
	cr_expect_not_null(strstr(text, "\tMaildir = \"/a\\\"\\\\#%u\""));
	/* such a value is refused rather than read as another one */
	cr_expect_null(load_settings(NULL, "%s", text));
	cr_expect_not_null(strstr(load_error, "in double quotes"), "%s",
	    load_error);
	free(text);
}

Test(settings_show, a_pack_that_is_none_is_refused)
{
	FILE *fp = tmpfile();

	*err = '\0';
	cr_expect_eq(settings_show(fileno(fp), NULL, stdout, err,
	    sizeof(err)), -1);
	cr_expect_neq(*err, '\0');
	fclose(fp);
}

/* What is about a file stands where there is one. */
Test(settings_show, a_unix_socket_has_a_file)
{
	static const char conf[] = HOST
	    "ESMTP_Listener {\n"
	    "\tFile_Mode = 0600\n"
	    "\tListen \":25\" { }\n"
	    "\tListen \"unix:/run/x\" { File_Group = mail\n"
	    "\t\tPeer \"unix:0\" { Max_Errors = 1 }\n"
	    "\t}\n"
	    "}\n";
	char *text = listing_of(load_settings(NULL, "%s", conf), NULL, true);
	const char *section = strstr(text, "Listen \"unix:/run/x\" {");
	char *again;

	cr_assert_not_null(section, "%s", text);
	cr_expect(has_line(section,
	    "File_Mode = 0600\t# m.conf:3, ESMTP_Listener"), "%s", section);
	cr_expect(has_line(section, "File_Owner = \"\"\t# default"), "%s",
	    section);
	cr_expect(has_line(section, "File_Group = \"mail\"\t# m.conf:5, "
	    "Listen \"unix:/run/x\""), "%s", section);
	cr_expect_not_null(strstr(section, "Peer \"unix:0\" {"), "%s", section);
	cr_expect_eq(strstr(text, "File_Mode"), strstr(section, "File_Mode"));
	again = listing_of(load_settings(NULL, "%s", text), NULL, true);
	cr_expect_not_null(strstr(again, "File_Mode = 0600"), "%s", again);
	free(again);
	free(text);
}

/* Shared by the files of the settings alone. */

#ifndef CMD_SETTINGS_SETTINGS_INT_H
#define CMD_SETTINGS_SETTINGS_INT_H

#include "cmd/settings/settings.h"
#include "core/conf/conf.h"

enum setting_scope { SETTING_GLOBAL, SETTING_LISTEN, SETTING_DOMAIN,
	SETTING_TIMES };

struct setting_row {
	enum setting_scope	 scope;
	struct conf_field	 field;		/* of the struct of its scope */
};

/* Section numbers in the schema. */
enum { SECTION_FILE, SECTION_ESMTP_LISTENER, SECTION_LISTEN, SECTION_PEER,
	SECTION_DOMAIN, SECTION_MODULE };

/* Row numbers in the schema: the session options by field, then the others. */
enum {
#define ESMTP_OPTION(name, field, ...) ROW_##field,
#include "proto/options/esmtp_option.def"
#undef ESMTP_OPTION
	ROW_FIRST_SETTING,
	ROW_BEFORE_SETTING = ROW_FIRST_SETTING - 1,
#define SETTING(scope, name, field, ...) ROW_##field,
#include "cmd/settings/setting.def"
#undef SETTING
	NROWS
};

#define NSETTINGS	(NROWS - ROW_FIRST_SETTING)

extern const struct setting_row setting_rows[NSETTINGS];
extern const struct conf_schema settings_schema;

/* One scope's Peer sections, the longest prefix first. */
struct settings_peer {
	struct netmask			 net;
	const struct conf_section	*section;	/* while loading */
};

struct settings_peer_list {
	struct settings_peer	*v;
	size_t			 n;
};

/* The options of one scope, and what the settings know of them.  Others get a
 * pointer to the first member. */
struct settings_scope {
	struct esmtp_options	 options;
	int			 tls_context;	/* -1: no TLS */
};

/* The scope when these two Peer sections are the best matches. */
struct settings_match {
	size_t			 inner, outer;	/* index, or the list's n: in
						 * none of its sections */
	struct settings_scope	*scope;
};

struct settings_peers {
	struct settings_peer_list inner;	/* within Listen */
	struct settings_peer_list outer;	/* within ESMTP_Listener */
	const struct conf_section *listen;	/* while loading */
	struct settings_match	*v;		/* sorted */
	size_t			 n;
};

/* settings_listen_path(title): The path in "unix:/path" or "/path"; NULL: it is none
 * of these.
 * settings_listen_parse(title, addr_r, len_r, is_any_r): "addr:port", or what has a
 * settings_listen_path().  Return 0 or -1. */
const char *settings_listen_path(const char *title);
/* settings_is_of_file(row): Is the setting about the file of a Unix socket? */
bool settings_is_of_file(size_t row);
int settings_listen_parse(const char *title, union addr *addr_r,
    socklen_t *len_r, bool *is_any_r);

/* settings_peers_build(c, s, l, section): Resolve the options of the Listen
 * section ${section} into l->options and l->peers.  Return 0 or -1 (noted). */
int settings_peers_build(struct conf *c, const struct settings *s,
    struct settings_listen *l, const struct conf_section *section);
void settings_peers_free(struct settings_peers *p);

/* settings_build(in, conf_r, err_r, errlen): The settings of ${in}, which it
 * takes, also when it fails.  ${conf_r}, unless it is NULL, gets what they were
 * built from: the caller frees it, before the settings.
 * settings_unpack_conf(fd, conf_r, ...): settings_unpack() likewise. */
struct settings *settings_build(struct conf_input *in, struct conf **conf_r,
    char *err_r, size_t errlen);
struct settings *settings_unpack_conf(int fd, struct conf **conf_r,
    char *err_r, size_t errlen);

/* settings_lookup(c, chain, n, row, section_r): The value of ${row} in the
 * first of ${chain}, ${n} sections from the inside out of which any may be NULL,
 * that sets it, and which one that is (NULL: an override).  NULL: none does. */
const struct conf_value *settings_lookup(const struct conf *c,
    const struct conf_section *const *chain, size_t n, size_t row,
    const struct conf_section **section_r);

/* settings_match_lookup(c, p, m, row, section_r): The same for the options of
 * the match ${m} of ${p}.
 * settings_match_of(p, o): The match with these options, one of ${p}. */
const struct conf_value *settings_match_lookup(const struct conf *c,
    const struct settings_peers *p, const struct settings_match *m,
    size_t row, const struct conf_section **section_r);
const struct settings_match *settings_match_of(const struct settings_peers *p,
    const struct esmtp_options *o);

/* settings_peers_at(c, p, o, row): Where the value that ${o} of ${p} has for
 * ${row} is set; if it is the default, where the Listen section begins.  Only
 * while loading. */
struct conf_at settings_peers_at(const struct conf *c,
    const struct settings_peers *p, const struct esmtp_options *o, size_t row);

/* settings_refuse(c, l, o, row, value, expected): Note that ${value}, which the
 * options ${o} of ${l} have for ${row}, is not what is ${expected}.  Return
 * -1. */
int settings_refuse(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o, size_t row, const char *value,
    const char *expected);

/* settings_modules_add(c, s, section): Note the Module section ${section}.
 * Return 0 or -1 (noted). */
int settings_modules_add(struct conf *c, struct settings *s,
    const struct conf_section *section);
void settings_modules_free(struct settings *s);

/* settings_domains_sort(s): Sort them by name, for settings_domain_find(), and
 * choose the default domain: the one that was first in the file. */
void settings_domains_sort(struct settings *s);

/* settings_is_same_file(a, b): Do two values of Recipients, or of Aliases, name one
 * file?  It may have several paths. */
bool settings_is_same_file(const char *a, const char *b);

/* settings_address(closure, s, len, text_r): An address, "@domain", a local part
 * or "*" that a file lists, in the form in which a session has it: a
 * textfile_address.  A domain may be in UTF-8 or have A-labels.
 * settings_address_domain(text, len): The domain of such a form; NULL: it has none. */
const char *settings_address(const void *, const char *s, size_t *len,
    char text_r[TEXTFILE_ADDRESS_MAX]);
const char *settings_address_domain(const char *text, size_t len);

/* settings_files_find(files, value): The table of the file that ${value} names;
 * NULL: it is not read yet.
 * settings_files_add(files, value, table): It has been read.  Return 0, and the table
 * is taken; or -1 with errno ENOMEM. */
void *settings_files_find(const struct settings_files *files,
    const char *value);
int settings_files_add(struct settings_files *files, const char *value,
    void *table);

/* settings_senders_add(c, s, l, o): Note the file of Sender_Login in the options
 * ${o} of ${l}.  Return 0 or -1 (noted). */
int settings_senders_add(struct conf *c, struct settings *s,
    const struct settings_listen *l, const struct esmtp_options *o);
void settings_senders_free(struct settings *s);

/* settings_check(c, s): The checks between settings.  Return 0 or -1 (noted). */
int settings_check(struct conf *c, struct settings *s);

/* settings_ways_build(c, s): Set same_hops and same_way of all sections, which have
 * been sorted.  Return 0 or -1 (noted). */
int settings_ways_build(struct conf *c, struct settings *s);

/* settings_streams_build(c, s): The same of stream.
 * settings_stream_check(c, d): Check the limits of Source.  Both return 0 or -1
 * (noted). */
int settings_streams_build(struct conf *c, struct settings *s);
int settings_stream_check(struct conf *c, const struct settings_domain *d);

/* settings_route_check(c, s, d): The same of the next hops of ${d}. */
int settings_route_check(struct conf *c, const struct settings *s,
    const struct settings_domain *d);

/* settings_pipe_check(c, s): The same of the programs of all domains; it makes the
 * list of their accounts. */
int settings_pipe_check(struct conf *c, struct settings *s);

/* settings_report_check(c, s): The same of reports of TLS.
 * settings_check_address(c, address, row): Is ${address}, the value of ${row}, empty
 * or an address with a domain? */
int settings_report_check(struct conf *c, const struct settings *s);
int settings_check_address(struct conf *c, const char *address, size_t row);

/* settings_auth_check(c, l, o), settings_tls_check(c, l, o): The same between the
 * options ${o} of ${l}, of logins and of TLS. */
int settings_auth_check(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o);
int settings_tls_check(struct conf *c, const struct settings_listen *l,
    const struct esmtp_options *o);

#endif

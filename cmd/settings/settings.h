/* The server's settings: mailmill.conf(5) and -D, checked and resolved.
 * Owns: the scopes, the order of lookup, the checks between settings, the
 * options of every listener and Peer scope.
 * All of it is const once loaded.  The files of the configuration are the only
 * ones it opens. */

#ifndef CMD_SETTINGS_SETTINGS_H
#define CMD_SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/conf/conf.h"
#include "core/process/log.h"
#include "core/table/aliases.h"
#include "core/table/recipients.h"
#include "core/table/sender_logins.h"
#include "core/table/srs.h"
#include "core/util/addr.h"
#include "core/util/netmask.h"
#include "proto/esmtp_factory.h"
#include "proto/options/options.h"

enum { SPOOL_SYNC_COMMIT, SPOOL_SYNC_NONE };	/* spool_sync */
enum { WORKER_AFFINITY_AUTO, WORKER_AFFINITY_NONE };	/* worker_affinity */
enum { SANDBOX_ON, SANDBOX_OFF };		/* sandbox */
enum { SETTINGS_TLS_DANE, SETTINGS_TLS_MAY, SETTINGS_TLS_NONE,
	SETTINGS_TLS_ENCRYPT, SETTINGS_TLS_VERIFY,
	SETTINGS_TLS_DANE_ONLY };		/* TLS of a Domain section */
enum { MAILDIR_NEWLINE_CRLF, MAILDIR_NEWLINE_LF }; /* Maildir_Newline */
enum { MAILDIR_OVER_QUOTA_REJECT, MAILDIR_OVER_QUOTA_DEFER };
						/* Maildir_Over_Quota */
enum { EXTENSION_FOLDER_NONE, EXTENSION_FOLDER_EXISTING,
	EXTENSION_FOLDER_CREATE };		/* Extension_Folder */
enum { PIPE_NEWLINE_LF, PIPE_NEWLINE_CRLF };	/* Pipe_Newline */

#define SETTINGS_ERROR_MAX	512	/* octets: enough for any message of settings_load() */

/* The values of Delivery, "a|b|c": the names in delivery.def */
extern const char settings_deliveries[];
#define DELIVERY_NAMES		(settings_deliveries + 1)

enum delivery {
#define DELIVERY(id, name, transport) DELIVERY_##id,
#include "cmd/settings/delivery.def"
#undef DELIVERY
	NDELIVERIES
};

/* Next hops of a domain at most, and octets of what names them all */
#define SETTINGS_ROUTES_MAX	8
#define SETTINGS_TARGET_MAX	512
/* The same with the title of a section */
#define SETTINGS_WAY_MAX	(SETTINGS_TARGET_MAX + LIM_DOMAIN + 8)

#define SETTING(scope, name, field, type, ...) \
	SETTING_##scope(conf_field_##type field;)

/* How long mail waits in the queue. */
struct settings_times {
#define SETTING_GLOBAL(x)
#define SETTING_LISTEN(x)
#define SETTING_DOMAIN(x)
#define SETTING_TIMES(x) x
#include "cmd/settings/setting.def"
#undef SETTING_GLOBAL
#undef SETTING_LISTEN
#undef SETTING_DOMAIN
#undef SETTING_TIMES
};

/* One Domain section. */
struct settings_domain {
	struct settings_times times;	/* of its mail; what it does not say, as
					 * outside all sections */
	char	*name;		/* lower case; "*" or "*.example" are wildcards */
	uint32_t number;	/* made of the name: settings_section_numbered() */
	struct conf_at at;	/* of the section */
	struct conf_at maildir_at, recipients_at, route_at, source_at,
	    aliases_at, command_at, pipe_user_at, pipe_headers_at;
					/* where the options are set; else
					 * where the section begins */
	size_t same_hops;	/* the first section with the same Delivery and
				 * Route, an index; of next hops alone */
	size_t same_way;	/* the first of these whose connections look the
				 * same, too: settings_way_target() */
	struct settings_stream {
		size_t	 first;		/* the first section that has an address
					 * of Source in common with this one, or
					 * with another one of them; an index */
		unsigned int max_connections, max_rate;
					/* the least of these sections; 0: no
					 * limit */
	} stream;			/* of a section with Source alone */
	unsigned int pipe_account;	/* of Delivery = "pipe": an index of
					 * pipe_accounts below */
	/* set by settings_load_recipients() if Recipients is set, of
	 * recipient_files; NULL: every local part is accepted */
	const struct textfile *recipients_table;
	/* set by settings_load_aliases() if Aliases is set, of alias_files */
	const struct aliases *aliases_table;
#define SETTING_GLOBAL(x)
#define SETTING_LISTEN(x)
#define SETTING_DOMAIN(x) x
#define SETTING_TIMES(x)
#include "cmd/settings/setting.def"
#undef SETTING_GLOBAL
#undef SETTING_LISTEN
#undef SETTING_DOMAIN
#undef SETTING_TIMES
};

/* A value of Auth_Backend. */
struct settings_backend {
	const char	*spec;		/* never "" */
	struct conf_at	 at;
};

/* A setting of a Module section; of a list, one of these for each value. */
struct settings_module_key {
	char		*name;		/* as it is written */
	char		*value;
	struct conf_at	 at;
};

/* A Module section: a policy module, and what is handed to it. */
#define SETTINGS_MODULES_MAX	32
struct settings_module {
	char		*path;		/* absolute */
	struct conf_at	 at;
	struct settings_module_key *keys;	/* as in the files */
	size_t		 nkeys;
};

/* An account that programs of Delivery = "pipe" have; texts are those of the first
 * Domain section that names it. */
#define SETTINGS_PIPE_ACCOUNTS_MAX	8
struct settings_pipe_account {
	const char	*user;
	const char	*group;		/* "": the first group of the user */
	struct conf_at	 at;		/* of the section */
};

struct settings_senders;	/* one file of Sender_Login */

/* Tables of files that Domain sections name, one for each file however many of them
 * name it */
struct settings_files {
	struct settings_file {
		const char	*value;	/* "file:PATH", of the first section */
		void		*table;
	}		*v;
	size_t		 n;
};

struct settings_tls;
struct settings_peers;		/* resolved options of Peer sections */

/* What stands before the path in the title of a Listen section for a Unix socket;
 * "/path" alone is the same. */
#define SETTINGS_UNIX	"unix:"

/* One Listen section. */
struct settings_listen {
	char		*name;		/* the title as written, ":25" */
	struct conf_at	 at;
	union addr	 addr;		/* port included; 0: the system chooses.  Of
					 * a Unix socket AF_UNIX alone */
	socklen_t	 addr_len;
	const char	*path;		/* of a Unix socket, in name; else NULL */
	bool		 is_any;	/* ":25", "*:25": addr is [::] for both
					 * families, or 0.0.0.0 where there is
					 * no IPv6 */
	unsigned int	 service;	/* number of its ESMTP_Listener, from 0 */
	const struct esmtp_options *options;	/* of clients in no Peer section */
	struct settings_peers *peers;
#define SETTING_GLOBAL(x)
#define SETTING_LISTEN(x) x
#define SETTING_DOMAIN(x)
#define SETTING_TIMES(x)
#include "cmd/settings/setting.def"
#undef SETTING_GLOBAL
#undef SETTING_LISTEN
#undef SETTING_DOMAIN
#undef SETTING_TIMES
};

struct settings {
	struct settings_times	 times;		/* of mail for no section, and of all where none says more */
	struct conf_input	*input;		/* what it was read from */
	struct conf_at		*set_at;	/* settings_at()'s own */
	const char		*filename;
	struct settings_listen	*listens;	/* the enabled ones, as in the files */
	size_t			 nlistens;	/* at least 1 */
	unsigned int		 nservices;	/* ESMTP_Listener sections */
	struct settings_domain	*domains;	/* sorted by name */
	size_t			 ndomains;
	const struct settings_domain *default_domain; /* of <postmaster>: the
					 * first that is not a wildcard, or
					 * NULL */
	/* workers is never 0, hostname never empty, log_level resolved below */
	enum log_level		 level;
	struct settings_tls	*tls;		/* settings_tls.h; never NULL */
	struct settings_senders	*senders;	/* settings_senders.c's own */
	size_t			 nsenders;
	struct settings_backend	*backends;	/* of all scopes, each once */
	size_t			 nbackends;
	struct settings_files	 recipient_files; /* of struct textfile */
	struct settings_files	 alias_files;	/* of struct aliases */
	struct textfile		*transports;	/* set by settings_load_transports() if Transport_Table is set */
	struct textfile		*sender_transports; /* the same, of Sender_Transport_Table */
	struct srs		*srs;		/* set by settings_load_aliases() if
						 * SRS_Domain is set */
	struct settings_module	*modules;	/* as in the files */
	size_t			 nmodules;	/* at most SETTINGS_MODULES_MAX */
	struct settings_pipe_account pipe_accounts[SETTINGS_PIPE_ACCOUNTS_MAX];
	unsigned int		 npipe_accounts; /* each once, in the order of the domains */
#define SETTING_GLOBAL(x) x
#define SETTING_LISTEN(x)
#define SETTING_DOMAIN(x)
#define SETTING_TIMES(x)
#include "cmd/settings/setting.def"
#undef SETTING_GLOBAL
#undef SETTING_LISTEN
#undef SETTING_DOMAIN
#undef SETTING_TIMES
};

#undef SETTING

/* settings_load(fp, filename, overrides, n, err_r, errlen): Read all of ${fp},
 * which is ${filename}, and the files that it includes.  ${overrides} are
 * "name=value" as with -D: they override every scope; the values of a list have
 * commas between them.  NULL with a message in ${err_r} ("file:line:column:
 * option 'X': expected ..., found ...", "-D: ..."). */
struct settings *settings_load(FILE *fp, const char *filename,
    const char *const *overrides, size_t n, char *err_r, size_t errlen);
void settings_free(struct settings *s);		/* NULL does nothing */

/* settings_pack(s): Write all that settings_load() has read to a sealed memfd,
 * for M_INIT.  This frees the texts, so it can be called once.  Return the
 * descriptor, or -1 with errno.
 * settings_unpack(fd, err_r, errlen): The same settings from such a memfd,
 * without opening a file.  ${fd} stays open. */
int settings_pack(struct settings *s);
struct settings *settings_unpack(int fd, char *err_r, size_t errlen);

/* settings_default(name): The default of a setting (not of a session option),
 * as text. */
const char *settings_default(const char *name);

/* settings_at(s, name, buf, len): Where a setting outside all sections is set,
 * as conf_at_text(); or the file's name if it is not. */
const char *settings_at(const struct settings *s, const char *name, char *buf,
    size_t len);

/* settings_name_server(value, addr_r): A value of Resolver: "192.0.2.53",
 * "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"; without a port it is
 * 53.  Return 0, or -1: it is none of these. */
int settings_name_server(const char *value, union addr *addr_r);

/* settings_ip(value, addr_r): A value of Source: the address of a host, of IPv4 or
 * IPv6, without a port.  Return 0, or -1. */
int settings_ip(const char *value, union addr *addr_r);

/* settings_load_recipients(s, err_r, errlen): Read the Recipients files of all
 * domains (before chroot).  Return 0, or -1 with a message that names file, line
 * and option.
 * settings_load_mailboxes(s, err_r, errlen): The same for those Domain sections alone
 * where the file says which mailbox in a Maildir an address has, as it may be listed
 * with what Recipient_Delimiter makes its extension. */
int settings_load_recipients(struct settings *s, char *err_r, size_t errlen);
int settings_load_mailboxes(struct settings *s, char *err_r, size_t errlen);

/* settings_load_aliases(s, ...): The same for the files of Aliases and for that of
 * SRS_Key_File.
 * settings_is_ours(s, domain, len): Has the domain a section of its own, so that
 * Domain "*" is not what is found for it? */
int settings_load_aliases(struct settings *s, char *err_r, size_t errlen);
bool settings_is_ours(const struct settings *s, const char *domain,
    size_t len);

/* settings_load_sender_logins(s, ...): The same for the files of Sender_Login.
 * settings_sender_logins(s, value): The table for the option's ${value}; NULL if
 * it is not loaded or no scope has that value. */
int settings_load_sender_logins(struct settings *s, char *err_r,
    size_t errlen);
const struct textfile *settings_sender_logins(const struct settings *s,
    const char *value);

/* settings_options_for(s, listen, peer): The options for a client at ${peer} on
 * listens[listen], looked up in -D, Peer within Listen, Listen, Peer within
 * ESMTP_Listener, ESMTP_Listener, and outside all sections.  Of several Peer
 * sections of one scope the one with the longest prefix is used.  Never NULL for
 * a valid ${listen}.  The pointer is the same for the same listener and Peer
 * sections, so that limits can be counted per pointer. */
const struct esmtp_options *settings_options_for(const struct settings *s,
    size_t listen, const struct sockaddr *peer);

/* settings_options_at(s, listen, i): The ${i}th, from 0, of all pointers that
 * settings_options_for() can return for that listener; NULL after the last. */
const struct esmtp_options *settings_options_at(const struct settings *s,
    size_t listen, size_t i);

/* settings_is_named(s, extension): Does SMTP_Extensions name ${extension} for any
 * client of any listener? */
bool settings_is_named(const struct settings *s, const char *extension);

/* settings_may_etrn(s, domain, has_subdomains): Does ETRN_Domains allow that to any
 * client of any listener? */
bool settings_may_etrn(const struct settings *s, const char *domain,
    bool has_subdomains);

/* settings_held_share(s): How much of held_quota a login may have held through one
 * worker: all of it if there are no others, else three quarters, so that a
 * worker which names a login wrongly leaves it some.  0: no bound. */
uint64_t settings_held_share(const struct settings *s);

/* settings_domain_find(s, domain, len): The Domain section for a domain (any
 * case): the same name, else the longest "*.suffix" (which is not "suffix"
 * itself), else "*".  NULL: not ours. */
const struct settings_domain *settings_domain_find(const struct settings *s,
    const char *domain, size_t len);

/* settings_section(s, name): The Domain section with that title, in any case, and in
 * UTF-8 or with "xn--"; NULL with errno: ENOENT, there is none; ENOMEM.
 * settings_section_numbered(s, number): The one that has this number, the same in
 * each configuration that has a section of that title; NULL: there is none, or more
 * than one.
 * settings_section_to(s, name, why_r): The one with that title, by which mail for
 * other domains may go; NULL: there is none, and *why_r says what is wrong. */
const struct settings_domain *settings_section(const struct settings *s,
    const char *name);
const struct settings_domain *settings_section_numbered(
    const struct settings *s, uint32_t number);
const struct settings_domain *settings_section_to(const struct settings *s,
    const char *name, const char **why_r);

/* settings_load_transports(s, err_r, errlen): Read the files of Transport_Table and
 * Sender_Transport_Table (before chroot).  Return 0, or -1 with a message that names
 * file, line and option.
 * settings_check_transports(s, err_r, errlen): Then, is there a way to
 * double_bounce_recipient?  Return 0, or -1 with a message.
 * settings_transport(s, rcpt, sender, section_r): By which Domain section mail for
 * ${rcpt}, local-part@domain, from ${sender} goes, if these tables say: *section_r;
 * NULL: they do not.  Return 0, or -1 with errno ENOMEM. */
int settings_load_transports(struct settings *s, char *err_r, size_t errlen);
int settings_check_transports(const struct settings *s, char *err_r,
    size_t errlen);
int settings_transport(const struct settings *s, const char *rcpt,
    const char *sender, const struct settings_domain **section_r);

/* settings_relayers(s): How many processes relay: relayers, or 0 if no Domain
 * section has next hops.
 * settings_is_relayed(d): Do next hops get the mail of ${d}?
 * settings_is_maildir(d), settings_is_piped(d), settings_is_discarded(d): Do Maildirs,
 * a program, or nobody?
 * settings_discarders(s): 1 if any is discarded, which takes an agent; else 0.
 * settings_is_mx(d): Do next hops, and are these the hosts in the MX records of the
 * recipient's domain, since there is no Route?
 * settings_has_logins(s): Does any Domain section have Login?
 * settings_wants_sts(s): Does any have MTA_STS, so that policies are looked for?
 * settings_has_sts(s): Is there a process sts, for that or for TLS_Reports?
 * settings_target(d, domain, len, target_r): What names the next hops of such a
 * ${d}: the values of Route with ", " between them, and with its port if that is one
 * name; or the recipient's domain, or address literal, in lower case. */
unsigned int settings_relayers(const struct settings *s);
bool settings_is_relayed(const struct settings_domain *d);
bool settings_is_maildir(const struct settings_domain *d);
bool settings_is_piped(const struct settings_domain *d);
bool settings_is_discarded(const struct settings_domain *d);
unsigned int settings_discarders(const struct settings *s);
bool settings_is_mx(const struct settings_domain *d);
bool settings_has_logins(const struct settings *s);
bool settings_wants_sts(const struct settings *s);
bool settings_has_sts(const struct settings *s);
/* settings_source(d, family, addr_r): The address from which connections of that
 * ${family} come, by Source, with port 0; AF_UNSPEC: the system's choice.  Return 0,
 * or -1: there may be no such connections, since Source has no address of the
 * family. */
int settings_source(const struct settings_domain *d, int family,
    union addr *addr_r);
void settings_target(const struct settings_domain *d, const char *domain,
    size_t len, char target_r[SETTINGS_TARGET_MAX]);
/* settings_way_target(s, d, target, target_r): What the queue calls the next hops
 * ${target}, of settings_target(), of mail that goes by ${d}: the same for all
 * sections that have one way to them.  Those with another Source, Helo or Login, or
 * that demand something else of TLS, have a name of their own, since what the next
 * hops refuse to one of them they may take from another. */
void settings_way_target(const struct settings *s,
    const struct settings_domain *d, const char *target,
    char target_r[SETTINGS_WAY_MAX]);

/* settings_report_organization(s): What a report of TLS has as that of its sender:
 * TLS_Report_Organization, or hostname.
 * settings_report_contact(s, buf), settings_report_sender(s, buf): The address of
 * TLS_Report_Contact, else postmaster of hostname; that of TLS_Report_Sender, else
 * that of TLS_Report_Contact: as mailaddr_format() writes it, ASCII.  Return
 * ${buf}. */
#define SETTINGS_REPORT_ADDRESS	384	/* octets: "postmaster@" and a hostname, or an option's 255 with an IPv6 address written out */
const char *settings_report_organization(const struct settings *s);
const char *settings_report_contact(const struct settings *s,
    char buf[SETTINGS_REPORT_ADDRESS]);
const char *settings_report_sender(const struct settings *s,
    char buf[SETTINGS_REPORT_ADDRESS]);

/* settings_pipe_has(d, which): Does Pipe_Headers name that line? */
enum settings_pipe_header {
	SETTINGS_PIPE_RETURN_PATH,
	SETTINGS_PIPE_DELIVERED_TO,
	SETTINGS_PIPE_X_ORIGINAL_TO,
	SETTINGS_PIPE_FROM,		/* the line "From " of an mbox */
	NSETTINGS_PIPE_HEADERS
};
#define SETTINGS_PIPE_HEADERS	"Return-Path", "Delivered-To", "X-Original-To", \
				"From"
bool settings_pipe_has(const struct settings_domain *d,
    enum settings_pipe_header which);

#endif

/* Shared by the files of the settings alone. */

#ifndef CMD_SETTINGS_SETTINGS_INT_H
#define CMD_SETTINGS_SETTINGS_INT_H

#include "cmd/settings/settings.h"
#include "core/conf/conf.h"

enum setting_scope { SETTING_GLOBAL, SETTING_LISTEN, SETTING_DOMAIN };

struct setting_row {
	enum setting_scope	 scope;
	struct conf_field	 field;		/* of the struct of its scope */
};

/* Section numbers in the schema. */
enum { SECTION_FILE, SECTION_ESMTP_LISTENER, SECTION_LISTEN, SECTION_PEER,
	SECTION_DOMAIN };

/* Row numbers in the schema: the session options by field, then the others. */
enum {
#define ESMTP_OPTION(name, field, ...) ROW_##field,
#include "proto/esmtp_option.def"
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

/* settings_listen_parse(title, addr_r, len_r, is_any_r): "addr:port".  Return 0
 * or -1. */
int settings_listen_parse(const char *title, accept_addr *addr_r,
    socklen_t *len_r, bool *is_any_r);

/* settings_peers_build(c, s, l, section): Resolve the options of the Listen
 * section ${section} into l->options and l->peers.  Return 0 or -1 (noted). */
int settings_peers_build(struct conf *c, const struct settings *s,
    struct settings_listen *l, const struct conf_section *section);
void settings_peers_free(struct settings_peers *p);
/* settings_build(in, err_r, errlen): The settings of ${in}, which it takes, also
 * when it fails. */
struct settings *settings_build(struct conf_input *in, char *err_r,
    size_t errlen);

/* settings_peers_at(c, p, o, row): Where the value that ${o} of ${p} has for
 * ${row} is set; if it is the default, where the Listen section begins.  Only
 * while loading. */
struct conf_at settings_peers_at(const struct conf *c,
    const struct settings_peers *p, const struct esmtp_options *o, size_t row);

/* settings_domains_sort(s): Sort them by name, for settings_domain_find(), and
 * choose the default domain: the one that was first in the file. */
void settings_domains_sort(struct settings *s);

/* settings_senders_build(c, s, section): Note the files of Sender_Login in
 * ${section} and in the sections within it.  Return 0 or -1 (noted). */
int settings_senders_build(struct conf *c, struct settings *s,
    const struct conf_section *section);
void settings_senders_free(struct settings *s);

/* settings_check(c, s): The checks between settings.  Return 0 or -1 (noted). */
int settings_check(struct conf *c, const struct settings *s);

/* settings_auth_check(c, s): The same for Auth_Backend, Auth_Mechanisms and
 * Require_Auth. */
int settings_auth_check(struct conf *c, const struct settings *s);

#endif

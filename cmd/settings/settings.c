/* Settings: from the configuration's sections to the structs the roles read. */

#include "cmd/settings/settings.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/settings/settings_int.h"
#include "cmd/settings/settings_tls.h"
#include "core/lim.h"
#include "core/util/conf_field.h"
#include "core/util/idna.h"
#include "proto/mailaddr.h"

/* Fill in the fields of ${scope} in ${base} from the first of ${inner},
 * ${outer} (may be NULL) that sets them, or with the default. */
static int
fill(struct conf *c, void *base, enum setting_scope scope,
    const struct conf_section *inner, const struct conf_section *outer)
{
	const struct setting_row *row;
	const struct conf_value *value;
	char ignored[CONF_EXPECTED_MAX];
	size_t i;
	int rc;

	for (i = 0; i < NSETTINGS; i++) {
		row = &setting_rows[i];
		if (row->scope != scope)
			continue;
		value = conf_get(c, inner, ROW_FIRST_SETTING + i);
		if (value == NULL && outer != NULL)
			value = conf_get(c, outer, ROW_FIRST_SETTING + i);
		if (value == NULL)
			rc = conf_field_default(base, &row->field);
		else	/* the parser has checked the value */
			rc = conf_field_set(base, &row->field,
			    (const char *const *)value->v, value->n, ignored,
			    sizeof(ignored));
		if (rc == -1)
			return conf_nomem(c);
	}
	return 0;
}

/* Free what the fields of ${scope} in ${base} hold. */
static void
clear(void *base, enum setting_scope scope)
{
	size_t i;

	for (i = 0; i < NSETTINGS; i++)
		if (setting_rows[i].scope == scope)
			conf_field_free(base, &setting_rows[i].field);
}

void
settings_free(struct settings *s)
{
	size_t i;

	if (s == NULL)
		return;
	settings_tls_clear(s);
	for (i = 0; i < s->nlistens; i++) {
		settings_peers_free(s->listens[i].peers);
		clear(&s->listens[i], SETTING_LISTEN);
		free(s->listens[i].name);
	}
	for (i = 0; i < s->ndomains; i++) {
		clear(&s->domains[i], SETTING_DOMAIN);
		free(s->domains[i].name);
	}
	for (i = 0; i < s->recipient_files.n; i++)
		textfile_free(s->recipient_files.v[i].table);
	free(s->recipient_files.v);
	for (i = 0; i < s->alias_files.n; i++)
		aliases_free(s->alias_files.v[i].table);
	free(s->alias_files.v);
	settings_senders_free(s);
	settings_modules_free(s);
	textfile_free(s->transports);
	textfile_free(s->sender_transports);
	srs_free(s->srs);
	clear(s, SETTING_GLOBAL);
	free(s->listens);
	free(s->domains);
	free(s->set_at);
	free(s->backends);
	conf_input_free(s->input);
	free(s);
}

static int64_t
count_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == -1 ||
	    CPU_COUNT(&set) < 1)
		return 1;
	return CPU_COUNT(&set) < 256 ? CPU_COUNT(&set) : 256;
}

static char *
own_hostname(void)
{
	char name[LIM_DOMAIN + 1];

	if (gethostname(name, sizeof(name)) == -1)
		return strdup("localhost");
	name[sizeof(name) - 1] = '\0';
	return strdup(mailaddr_domain_valid(name, strlen(name), false) ?
	    name : "localhost");
}

static int
note_places(struct conf *c, struct settings *s)
{
	const struct conf_value *value;
	size_t i;

	if ((s->set_at = calloc(NSETTINGS, sizeof(*s->set_at))) == NULL)
		return conf_nomem(c);
	for (i = 0; i < NSETTINGS; i++) {
		value = conf_get(c, c->root, ROW_FIRST_SETTING + i);
		s->set_at[i] = value != NULL ? value->at :
		    (struct conf_at){ s->filename, 0, 0 };
	}
	return 0;
}

const char *
settings_at(const struct settings *s, const char *name, char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < NSETTINGS - 1; i++)
		if (strcmp(setting_rows[i].field.name, name) == 0)
			break;
	return s->set_at[i].line == 0 && s->set_at[i].file != NULL ?
	    s->filename : conf_at_text(&s->set_at[i], buf, len);
}

static int
fill_globals(struct conf *c, struct settings *s)
{
	static const enum log_level levels[] = { LOG_LEVEL_INFO,
		LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE,
		LOG_LEVEL_DEBUG };	/* in the order of the row's choices */

	if (fill(c, s, SETTING_GLOBAL, c->root, NULL) == -1 ||
	    fill(c, &s->times, SETTING_TIMES, c->root, NULL) == -1 ||
	    note_places(c, s) == -1)
		return -1;
	s->level = levels[s->log_level];
	if (s->workers == 0)
		s->workers = count_processors();
	if (*s->hostname == '\0') {
		free(s->hostname);
		if ((s->hostname = own_hostname()) == NULL)
			return conf_nomem(c);
	}
	return 0;
}

static int
add_backend(struct conf *c, struct settings *s,
    const struct settings_listen *l, const struct esmtp_options *o)
{
	struct settings_backend *grown;
	size_t i;

	if (*o->auth_backend == '\0')
		return 0;
	for (i = 0; i < s->nbackends; i++)
		if (strcmp(s->backends[i].spec, o->auth_backend) == 0)
			return 0;
	grown = reallocarray(s->backends, s->nbackends + 1, sizeof(*grown));
	if (grown == NULL)
		return conf_nomem(c);
	s->backends = grown;
	s->backends[s->nbackends++] = (struct settings_backend){
		o->auth_backend,
		settings_peers_at(c, l->peers, o, ROW_auth_backend) };
	return 0;
}

/* What some scope of ${l} has, the whole server has. */
static int
note_options(struct conf *c, struct settings *s,
    const struct settings_listen *l)
{
	const struct esmtp_options *o;
	size_t i, listen = (size_t)(l - s->listens);

	for (i = 0; (o = settings_options_at(s, listen, i)) != NULL; i++) {
		if (add_backend(c, s, l, o) == -1 ||
		    settings_senders_add(c, s, l, o) == -1)
			return -1;
	}
	return 0;
}

static int
add_listen(struct conf *c, struct settings *s,
    const struct conf_section *section, unsigned int service)
{
	struct settings_listen *l, *grown;

	grown = reallocarray(s->listens, s->nlistens + 1, sizeof(*grown));
	if (grown == NULL)
		return conf_nomem(c);
	s->listens = grown;
	l = &s->listens[s->nlistens++];
	memset(l, 0, sizeof(*l));
	l->at = section->at;
	l->service = service;
	if (settings_listen_parse(section->title, &l->addr, &l->addr_len,
	    &l->is_any) == -1)
		return conf_error(c, &section->at, "option 'Listen'");
	if ((l->name = strdup(section->title)) == NULL)
		return conf_nomem(c);
	l->path = settings_listen_path(l->name);
	if (fill(c, l, SETTING_LISTEN, section, section->parent) == -1 ||
	    settings_peers_build(c, s, l, section) == -1)
		return -1;
	if (!l->enable) {
		settings_peers_free(l->peers);
		clear(l, SETTING_LISTEN);
		free(l->name);
		s->nlistens--;
		return 0;
	}
	return note_options(c, s, l);
}

/* The options of a Domain section whose places are kept, for the checks beside
 * other settings and for files */
static const struct {
	size_t	row, offset;
} domain_places[] = {
	{ ROW_maildir, offsetof(struct settings_domain, maildir_at) },
	{ ROW_recipients, offsetof(struct settings_domain, recipients_at) },
	{ ROW_route, offsetof(struct settings_domain, route_at) },
	{ ROW_source, offsetof(struct settings_domain, source_at) },
	{ ROW_aliases, offsetof(struct settings_domain, aliases_at) },
	{ ROW_command, offsetof(struct settings_domain, command_at) },
	{ ROW_pipe_user, offsetof(struct settings_domain, pipe_user_at) },
	{ ROW_pipe_headers, offsetof(struct settings_domain,
	    pipe_headers_at) },
};

static void
note_domain_places(struct conf *c, struct settings_domain *d,
    const struct conf_section *section)
{
	const struct conf_value *value;
	size_t i;

	d->at = section->at;
	for (i = 0; i < sizeof(domain_places) / sizeof(domain_places[0]); i++) {
		value = conf_get(c, section, domain_places[i].row);
		*(struct conf_at *)((char *)d + domain_places[i].offset) =
		    value != NULL ? value->at : section->at;
	}
}

static int
add_domain(struct conf *c, struct settings *s,
    const struct conf_section *section)
{
	struct settings_domain *d, *grown;
	char name[IDNA_MAX + 1];

	grown = reallocarray(s->domains, s->ndomains + 1, sizeof(*grown));
	if (grown == NULL)
		return conf_nomem(c);
	s->domains = grown;
	d = &s->domains[s->ndomains++];
	memset(d, 0, sizeof(*d));
	note_domain_places(c, d, section);
	/* the title has been checked */
	if (idna_ascii(section->title, strlen(section->title), name,
	    sizeof(name)) == -1 || (d->name = strdup(name)) == NULL)
		return conf_nomem(c);
	if (fill(c, &d->times, SETTING_TIMES, section, c->root) == -1)
		return -1;
	return fill(c, d, SETTING_DOMAIN, section, NULL);
}

static int
build(struct conf *c, struct settings *s)
{
	const struct conf_section *section, *child;

	if (fill_globals(c, s) == -1)
		return -1;
	STAILQ_FOREACH(section, &c->root->children, link) {
		if (section->row == SECTION_DOMAIN) {
			if (add_domain(c, s, section) == -1)
				return -1;
			continue;
		}
		if (section->row == SECTION_MODULE) {
			if (settings_modules_add(c, s, section) == -1)
				return -1;
			continue;
		}
		STAILQ_FOREACH(child, &section->children, link)
			if (child->row == SECTION_LISTEN &&
			    add_listen(c, s, child, s->nservices) == -1)
				return -1;
		s->nservices++;
	}
	settings_domains_sort(s);
	if (settings_check(c, s) == -1 || settings_ways_build(c, s) == -1 ||
	    settings_streams_build(c, s) == -1 || settings_tls_build(c, s) == -1)
		return -1;
	return 0;
}

struct settings *
settings_build(struct conf_input *in, struct conf **conf_r, char *err_r,
    size_t errlen)
{
	struct settings *s;
	struct conf *c;
	int rc;

	if ((s = calloc(1, sizeof(*s))) == NULL) {
		snprintf(err_r, errlen, "out of memory");
		conf_input_free(in);
		return NULL;
	}
	s->input = in;
	s->filename = conf_input_main(in)->name;
	if ((c = conf_parse(in, &settings_schema, err_r, errlen)) == NULL)
		goto err1;
	rc = build(c, s);
	if (rc == 0 && conf_r != NULL)
		*conf_r = c;
	else
		conf_free(c);
	if (rc == 0)
		return s;
err1:
	settings_free(s);
	return NULL;
}

struct settings *
settings_load(FILE *fp, const char *filename, const char *const *overrides,
    size_t n, char *err_r, size_t errlen)
{
	struct conf_input *in;

	if ((in = conf_input_new(fp, filename, overrides, n)) != NULL)
		return settings_build(in, NULL, err_r, errlen);
	snprintf(err_r, errlen, "%s: %s", filename, strerror(errno));
	return NULL;
}

uint64_t
settings_held_share(const struct settings *s)
{
	uint64_t quota = (uint64_t)s->held_quota;

	return s->workers > 1 ? quota - quota / 4 : quota;
}

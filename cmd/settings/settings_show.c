/* Settings: the listing of what is in force, see settings_show.h.
 *
 * In the listing all Peer sections are within Listen.  There is one for each
 * network that the Listen section or its ESMTP_Listener has a Peer section for.
 * A client gets the options of the smallest of these networks that holds it; so
 * this section has what all Peer sections for the client say together. */

#include "cmd/settings/settings_show.h"

#include <string.h>
#include <strings.h>

#include "cmd/settings/settings_int.h"
#include "core/conf/conf_print.h"

struct show {
	FILE			*fp;
	const struct conf	*c;
	const struct settings	*s;
	int			 depth;		/* of sections, for tabs */
};

/* --- lines ---------------------------------------------------------------- */

static void
print_tabs(const struct show *x)
{
	int i;

	for (i = 0; i < x->depth; i++)
		putc('\t', x->fp);
}

static void
print_at(const struct show *x, const struct conf_at *at)
{
	conf_print_plain(x->fp, at->file);
	fprintf(x->fp, ":%d", at->line);
}

/* Peer "192.0.2.0/24" in Listen ":25" */
static void
print_name(const struct show *x, const struct conf_section *section)
{
	if (section->row == SECTION_FILE) {
		fputs("outside all sections", x->fp);
		return;
	}
	fputs(settings_schema.sections[section->row].name, x->fp);
	if (section->title != NULL) {
		putc(' ', x->fp);
		conf_print_quoted(x->fp, section->title);
	}
	if (section->row == SECTION_PEER) {
		fputs(" in ", x->fp);
		print_name(x, section->parent);
	}
}

/* Where ${value}, which is NULL for ${fallback}, is set. */
static void
print_origin(const struct show *x, const struct conf_value *value,
    const struct conf_section *section, const char *fallback)
{
	size_t i;

	fputs("\t# ", x->fp);
	if (value == NULL || value->at.file == NULL) {
		fputs(value == NULL ? fallback : "-D", x->fp);
		return;
	}
	print_at(x, &value->at);
	for (i = 0; i < value->nmore; i++) {
		fputs(", ", x->fp);
		print_at(x, &value->more[i]);
	}
	fputs(", ", x->fp);
	print_name(x, section);
}

/* What the system says is in force for a value that leaves it to the system. */
static const char *
remark(size_t row, const struct conf_value *value)
{
	const char *text;

	if (row != ROW_hostname && row != ROW_workers)
		return "";
	text = value == NULL ? "" : value->v[0];
	if (text[row == ROW_workers ? strspn(text, "0") : 0] != '\0')
		return "";
	return row == ROW_workers ? ", one for each processor" :
	    ", the host name of the system";
}

/* The line of ${row}, whose value is in the struct at ${base}; without ${value}
 * it is ${fallback}. */
static void
print_row_or(const struct show *x, const void *base, size_t row,
    const struct conf_value *value, const struct conf_section *section,
    const char *fallback)
{
	const struct conf_field *f = settings_schema.rows[row].field;

	print_tabs(x);
	fprintf(x->fp, "%s = ", f->name);
	conf_print_value(x->fp, base, f);
	print_origin(x, value, section, fallback);
	fprintf(x->fp, "%s\n", remark(row, value));
}

static void
print_row(const struct show *x, const void *base, size_t row,
    const struct conf_value *value, const struct conf_section *section)
{
	print_row_or(x, base, row, value, section, "default");
}

static void
begin_section(struct show *x, const struct conf_section *section)
{
	print_tabs(x);
	fputs(settings_schema.sections[section->row].name, x->fp);
	if (section->title != NULL) {
		putc(' ', x->fp);
		conf_print_quoted(x->fp, section->title);
	}
	fputs(" {\t# ", x->fp);
	print_at(x, &section->at);
	putc('\n', x->fp);
	x->depth++;
}

static void
end_section(struct show *x)
{
	x->depth--;
	print_tabs(x);
	fputs("}\n", x->fp);
}

/* --- settings ------------------------------------------------------------- */

/* The settings of ${scope} in ${base}, each from the first of ${inner},
 * ${outer} (may be NULL) that sets it.  Those about a file may only stand where
 * there is one. */
static void
show_settings(const struct show *x, enum setting_scope scope,
    const void *base, const struct conf_section *inner,
    const struct conf_section *outer)
{
	bool has_file = inner != NULL && inner->row == SECTION_LISTEN &&
	    settings_listen_path(inner->title) != NULL;
	const struct conf_section *chain[] = { inner, outer }, *section;
	const struct conf_value *value;
	size_t i;

	for (i = 0; i < NSETTINGS; i++) {
		if (setting_rows[i].scope != scope || (!has_file &&
		    settings_is_of_file(ROW_FIRST_SETTING + i)))
			continue;
		value = settings_lookup(x->c, chain, 2, ROW_FIRST_SETTING + i,
		    &section);
		print_row(x, base, ROW_FIRST_SETTING + i, value, section);
	}
}

/* The options of the match ${m}; those of ${base} (NULL: none) are left out if
 * they come from the same place. */
static void
show_options(const struct show *x, const struct settings_peers *p,
    const struct settings_match *m, const struct settings_match *base)
{
	const struct esmtp_options *o = &m->scope->options;
	const struct conf_section *section, *other;
	const struct conf_value *value;
	const char *by_kind;
	size_t row;

	for (row = 0; row < options_nrows; row++) {
		value = settings_match_lookup(x->c, p, m, row, &section);
		by_kind = options_kind_default(o, row);
		if (base == NULL || value != settings_match_lookup(x->c, p,
		    base, row, &other) ||
		    by_kind != options_kind_default(&base->scope->options, row))
			print_row_or(x, o, row, value, section,
			    by_kind != NULL ? "default of this Kind" :
			    "default");
	}
}

/* --- sections ------------------------------------------------------------- */

static size_t
best_match(const struct settings_peer_list *list, const struct netmask *net)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		if (netmask_contains(&list->v[i].net, net))
			break;
	return i;
}

/* The smaller network of the two Peer sections of ${m}; NULL: it has none. */
static const struct settings_peer *
smaller(const struct settings_peers *p, const struct settings_match *m)
{
	const struct settings_peer *in = NULL, *out = NULL;

	if (m->inner < p->inner.n)
		in = &p->inner.v[m->inner];
	if (m->outer < p->outer.n)
		out = &p->outer.v[m->outer];
	return in == NULL || (out != NULL && out->net.bits > in->net.bits) ?
	    out : in;
}

/* The Peer sections of a listener; those of its ESMTP_Listener are put into
 * them. */
static void
show_peers(struct show *x, const struct settings_peers *p)
{
	const struct settings_match *m;
	const struct settings_peer *peer;

	for (m = p->v; m < &p->v[p->n]; m++) {
		/* no client has both of a pair when a smaller network of one
		 * list lies between them */
		if ((peer = smaller(p, m)) == NULL ||
		    best_match(&p->inner, &peer->net) != m->inner ||
		    best_match(&p->outer, &peer->net) != m->outer)
			continue;
		begin_section(x, peer->section);
		show_options(x, p, m, &p->v[p->n - 1]);
		end_section(x);
	}
}

static const struct settings_match *
match_for(const struct settings *s, const struct settings_client *client)
{
	return settings_match_of(s->listens[client->listen].peers,
	    settings_options_for(s, client->listen, &client->addr.sa));
}

/* The Listen section ${section}, whose listener is ${l}; NULL: it is not
 * enabled. */
static void
show_listen(struct show *x, const struct conf_section *section,
    const struct settings_listen *l, const struct settings_client *client)
{
	static const struct settings_listen disabled;	/* enable = false */
	const struct conf_section *chain[] = { section, section->parent };
	const struct conf_section *found;
	const struct conf_value *value;

	begin_section(x, section);
	if (l == NULL) {
		value = settings_lookup(x->c, chain, 2, ROW_enable, &found);
		print_row(x, &disabled, ROW_enable, value, found);
	} else {
		show_settings(x, SETTING_LISTEN, l, section, section->parent);
		show_options(x, l->peers, client != NULL ?
		    match_for(x->s, client) : &l->peers->v[l->peers->n - 1],
		    NULL);
		if (client == NULL)
			show_peers(x, l->peers);
	}
	end_section(x);
}

static const struct settings_listen *
listen_of(const struct settings *s, const struct conf_section *section)
{
	size_t i;

	for (i = 0; i < s->nlistens; i++)
		if (s->listens[i].peers->listen == section)
			return &s->listens[i];
	return NULL;
}

static void
show_service(struct show *x, const struct conf_section *section,
    const struct settings_client *client)
{
	const struct conf_section *child;
	const struct settings_listen *l;

	if (client != NULL && x->s->listens[client->listen].peers->listen->
	    parent != section)
		return;
	begin_section(x, section);
	STAILQ_FOREACH(child, &section->children, link) {
		if (child->row != SECTION_LISTEN)
			continue;
		l = listen_of(x->s, child);
		if (client == NULL || l == &x->s->listens[client->listen])
			show_listen(x, child, l, client);
	}
	end_section(x);
}

/* By the place: its name there has A-labels, unlike the title. */
static const struct settings_domain *
domain_of(const struct settings *s, const struct conf_section *section)
{
	const struct conf_at *at = &section->at;
	size_t i;

	for (i = 0; i < s->ndomains; i++)
		if (s->domains[i].at.line == at->line &&
		    s->domains[i].at.column == at->column &&
		    s->domains[i].at.file == at->file)
			return &s->domains[i];
	return NULL;
}

static void
show_domain(struct show *x, const struct conf_section *section)
{
	const struct settings_domain *d = domain_of(x->s, section);

	/* it was made of this section */
	if (d == NULL)
		return;
	begin_section(x, section);
	show_settings(x, SETTING_DOMAIN, d, section, NULL);
	show_settings(x, SETTING_TIMES, &d->times, section, x->c->root);
	end_section(x);
}

/* Is ${pair} of ${section} the first one of its name? */
static bool
is_first(const struct conf_section *section, const struct conf_pair *pair)
{
	const struct conf_pair *p = STAILQ_FIRST(&section->pairs);

	while (strcasecmp(p->name, pair->name) != 0)
		p = STAILQ_NEXT(p, link);
	return p == pair;
}

/* What is in it is the module's. */
static void
show_module(struct show *x, const struct conf_section *section)
{
	const struct conf_pair *pair;

	begin_section(x, section);
	STAILQ_FOREACH(pair, &section->pairs, link) {
		print_tabs(x);
		conf_print_plain(x->fp, pair->name);
		fputs(is_first(section, pair) ? " = " : " += ", x->fp);
		conf_print_quoted(x->fp, pair->value);
		fputs("\t# ", x->fp);
		print_at(x, &pair->at);
		putc('\n', x->fp);
	}
	end_section(x);
}

/* --- the whole ------------------------------------------------------------ */

static void
show_all(struct show *x, const struct settings_client *client)
{
	const struct conf_section *section;

	show_settings(x, SETTING_GLOBAL, x->s, x->c->root, NULL);
	show_settings(x, SETTING_TIMES, &x->s->times, x->c->root, NULL);
	STAILQ_FOREACH(section, &x->c->root->children, link)
		if (section->row == SECTION_DOMAIN)
			show_domain(x, section);
		else if (section->row == SECTION_MODULE)
			show_module(x, section);
		else
			show_service(x, section, client);
}

/* # Listen ":25", m.conf:3
 * # Peer "192.0.2.0/24" in Listen ":25", m.conf:7 */
static void
print_head(const struct show *x, const struct conf_section *section)
{
	fputs("# ", x->fp);
	print_name(x, section);
	fputs(", ", x->fp);
	print_at(x, &section->at);
	putc('\n', x->fp);
}

static void
show_client(struct show *x, const struct settings_client *client)
{
	const struct settings_peers *p = x->s->listens[client->listen].peers;
	const struct settings_match *m = match_for(x->s, client);
	char text[ADDR_TEXT];

	fprintf(x->fp, "# the options of a client with the address %s in:\n",
	    addr_text(&client->addr.sa, text));
	if (m->inner < p->inner.n)
		print_head(x, p->inner.v[m->inner].section);
	print_head(x, p->listen);
	if (m->outer < p->outer.n)
		print_head(x, p->outer.v[m->outer].section);
	show_options(x, p, m, NULL);
}

static int
show(int fd, void (*show_what)(struct show *,
    const struct settings_client *),
    const struct settings_client *client, FILE *fp, char *err_r, size_t errlen)
{
	struct conf *c = NULL;
	struct settings *s = settings_unpack_conf(fd, &c, err_r, errlen);
	struct show x = { .fp = fp, .c = c, .s = s };

	if (s == NULL)
		return -1;
	show_what(&x, client);
	conf_free(c);
	settings_free(s);
	return 0;
}

int
settings_show(int fd, const struct settings_client *client, FILE *fp,
    char *err_r, size_t errlen)
{
	return show(fd, show_all, client, fp, err_r, errlen);
}

int
settings_show_client(int fd, const struct settings_client *client, FILE *fp,
    char *err_r, size_t errlen)
{
	return show(fd, show_client, client, fp, err_r, errlen);
}

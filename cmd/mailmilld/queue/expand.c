/* Who gets the mail of an alias, and who is its sender then.
 * Owns: the search through aliases of aliases, that it ends, that nobody gets a
 * message twice; owners of lists; SRS where mail is forwarded.
 * An address that is listed for itself is that of a mailbox.  One that leads back to
 * another one on its way (a loop) is left out there; if that leaves nobody, the
 * alias has failed. */

#include "cmd/mailmilld/queue/expand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "cmd/settings/route_alias.h"
#include "core/lim.h"
#include "core/process/log.h"
#include "core/util/array.h"
#include "core/util/utf8.h"

#define KEY_MAX		(3 * ROUTE_ADDRESS_MAX)	/* octets of an address in lower case */

/* A set of texts */
struct set {
	char	**v;			/* owned; NULL: free */
	size_t	 n, room;		/* room: a power of two, or 0 */
};

struct expand {
	const struct settings *s;
	struct queue_expansion *x;
	struct set	 aliases, leaves;	/* that were found so far */
	const char	*path[LIM_ALIAS_DEPTH];	/* the aliases on the way, in lower case */
	size_t		 depth;
	/* of the recipient that is being looked at */
	size_t		 alias;
	size_t		 nleaves;		/* that get the message */
	size_t		 nagain;		/* that get it already */
	bool		 has_owner, is_loop;
	/* of all */
	const char	*failure;		/* too many, or too deep; or NULL */
};

/* --- sets ------------------------------------------------------------------- */

static size_t
slot_of(const struct set *set, const char *key)
{
	size_t i = XXH3_64bits(key, strlen(key)) & (set->room - 1);

	while (set->v[i] != NULL && strcmp(set->v[i], key) != 0)
		i = (i + 1) & (set->room - 1);
	return i;
}

static int
set_grow(struct set *set)
{
	struct set grown = { .room = set->room == 0 ? 64 : set->room * 2,
		.n = set->n };
	size_t i;

	if ((grown.v = calloc(grown.room, sizeof(grown.v[0]))) == NULL)
		return -1;
	for (i = 0; i < set->room; i++)
		if (set->v[i] != NULL)
			grown.v[slot_of(&grown, set->v[i])] = set->v[i];
	free(set->v);
	*set = grown;
	return 0;
}

/* Return 1; 0: it was there before; -1: there is no memory. */
static int
set_add(struct set *set, const char *key)
{
	size_t i;

	if (set->n + 1 > set->room / 2 && set_grow(set) == -1)
		return -1;
	i = slot_of(set, key);
	if (set->v[i] != NULL)
		return 0;
	if ((set->v[i] = strdup(key)) == NULL)
		return -1;
	set->n++;
	return 1;
}

static void
set_clear(struct set *set)
{
	size_t i;

	for (i = 0; i < set->room; i++)
		free(set->v[i]);
	free(set->v);
}

/* --- addresses -------------------------------------------------------------- */

/* Write ${address} in lower case.  Return 0, or -1: there is no memory. */
static int
key_of(const char *address, char key_r[KEY_MAX + 1])
{
	ssize_t n = utf8_lower(address, strlen(address), key_r, KEY_MAX);

	if (n == -1)
		return -1;
	key_r[n] = '\0';
	return 0;
}

static const char *
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at == NULL ? "" : at + 1;
}

/* Write the address that ${target} means as one of the alias ${of}. */
static void
complete(const struct expand *e, const char *target, const char *of,
    char buf[ROUTE_ADDRESS_MAX])
{
	const char *at = strrchr(of, '@');
	size_t local = at != NULL ? (size_t)(at - of) : strlen(of);

	if (target[0] == '@')
		snprintf(buf, ROUTE_ADDRESS_MAX, "%.*s%s", (int)local, of,
		    target);
	else if (strchr(target, '@') == NULL ||
	    target[strlen(target) - 1] == '"')
		snprintf(buf, ROUTE_ADDRESS_MAX, "%s@%s", target, at != NULL ?
		    at + 1 : e->s->default_domain->name);
	else
		snprintf(buf, ROUTE_ADDRESS_MAX, "%s", target);
}

static bool
is_ours(const struct expand *e, const char *address)
{
	const char *domain = domain_of(address);

	return settings_is_ours(e->s, domain, strlen(domain));
}

/* --- senders ---------------------------------------------------------------- */

/* Add a sender.  Return its index plus 1; 0: there is no memory. */
static size_t
add_sender(struct expand *e, const char *address, bool is_list)
{
	struct queue_expansion *x = e->x;
	struct queue_expansion_sender *grown;

	grown = array_fit(x->senders, &x->room[0], x->nsenders + 1,
	    sizeof(*grown));
	if (grown == NULL)
		return 0;
	x->senders = grown;
	grown[x->nsenders] = (struct queue_expansion_sender){
		.address = strdup(address), .is_list = is_list };
	return grown[x->nsenders].address == NULL ? 0 : ++x->nsenders;
}

/* The sender, in place of ${sender}, of what is forwarded to another domain: one that
 * the next server finds this host among those that may send for.  Return its index
 * plus 1; 0: there is no memory. */
static size_t
forward_sender(struct expand *e, size_t sender)
{
	struct queue_expansion_sender *from = &e->x->senders[sender];
	char address[ROUTE_ADDRESS_MAX];
	size_t i;

	if (from->rewritten != 0)
		return from->rewritten;
	if (e->s->srs == NULL || from->address[0] == '\0' ||
	    is_ours(e, from->address))
		return from->rewritten = sender + 1;
	if (srs_forward(e->s->srs, from->address, e->s->srs_domain, e->x->now,
	    address, LIM_PATH) == -1) {
		if (errno == ENOMEM)
			return 0;
		log_warnx("srs", "from=%s reason=%s effect=%s", from->address,
		    strerror(errno), "it is forwarded with its own sender");
		return from->rewritten = sender + 1;
	}
	if ((i = add_sender(e, address, from->is_list)) != 0)
		e->x->senders[sender].rewritten = i;
	return i;
}

/* --- the search ------------------------------------------------------------- */

/* ${address} is no alias. */
static int
take_leaf(struct expand *e, const char *address, const char *key, size_t sender)
{
	struct queue_expansion *x = e->x;
	struct queue_expansion_rcpt *grown;
	int rc = set_add(&e->leaves, key);

	if (rc != 1) {
		e->nagain++;
		return rc;
	}
	if (x->nrcpts == LIM_ALIAS_RCPTS) {
		e->failure = "more than " LIM_ALIAS_RCPTS_TEXT " addresses get "
		    "the mail of this alias: make the list shorter";
		return 0;
	}
	if (!is_ours(e, address)) {
		if ((sender = forward_sender(e, sender)) == 0)
			return -1;
		sender--;
	}
	grown = array_fit(x->rcpts, &x->room[1], x->nrcpts + 1,
	    sizeof(*grown));
	if (grown == NULL)
		return -1;
	x->rcpts = grown;
	grown[x->nrcpts] = (struct queue_expansion_rcpt){
		.rcpt = strdup(address), .alias = e->alias, .sender = sender };
	if (grown[x->nrcpts].rcpt == NULL)
		return -1;
	x->nrcpts++;
	e->nleaves++;
	return 0;
}

static bool
is_on_way(struct expand *e, const char *key)
{
	char way[LOG_ERROR_MAX] = "";
	size_t i, j;

	for (i = 0; i < e->depth && strcmp(e->path[i], key) != 0; i++)
		continue;
	if (i == e->depth)
		return false;
	for (j = i; j < e->depth; j++) {
		strlcat(way, e->path[j], sizeof(way));
		strlcat(way, " -> ", sizeof(way));
	}
	strlcat(way, key, sizeof(way));
	log_warnx("alias-loop", "way=%s", way);
	e->is_loop = true;
	return true;
}

static int visit(struct expand *e, const char *address, size_t sender);

/* Look at all ${targets} of the alias ${address}, which is ${key} in lower case.
 * ${sender}: who sends to them, unless it has an owner. */
static int
visit_targets(struct expand *e, const char *address, const char *key,
    const struct route_alias_found *found, size_t sender)
{
	const char *targets = found->targets;
	char target[ROUTE_ADDRESS_MAX], target_key[KEY_MAX + 1];
	int rc = route_alias_owner(e->s, address, target);

	/* RFC 5321 3.9.2; a report stays one */
	if (rc == 1) {
		sender = add_sender(e, e->x->sender[0] == '\0' ? "" : target,
		    true);
		if (sender-- == 0)
			return -1;
		e->has_owner = e->has_owner || e->depth == 0;
	}
	e->path[e->depth++] = key;
	for (; rc != -1 && *targets != '\0' && e->failure == NULL;
	    targets += strlen(targets) + 1) {
		complete(e, targets, address, target);
		if (found->extension != 0)
			route_extension_add(e->s, address, found->extension,
			    target);
		if ((rc = key_of(target, target_key)) == -1)
			break;
		rc = strcmp(target_key, key) == 0 ?
		    take_leaf(e, target, target_key, sender) :
		    visit(e, target, sender);
	}
	e->depth--;
	return rc == -1 ? -1 : 0;
}

/* Look at ${address}: an alias, or one that gets the message. */
static int
visit(struct expand *e, const char *address, size_t sender)
{
	struct route_alias_found found;
	char key[KEY_MAX + 1], *copy;
	int rc;

	if (key_of(address, key) == -1)
		return -1;
	if (is_on_way(e, key))
		return 0;
	switch (route_alias(e->s, address, e->x->now, &found)) {
	case ROUTE_ALIAS_LATER:
		return -1;
	case ROUTE_ALIAS_TABLE:
		break;
	default:
		/* nobody is forwarded to a sender of SRS_Domain */
		return take_leaf(e, address, key, sender);
	}
	if ((rc = set_add(&e->aliases, key)) != 1) {
		e->nagain++;
		return rc;
	}
	if (e->depth == LIM_ALIAS_DEPTH) {
		e->failure = "aliases of aliases are nested too deeply: list "
		    "the addresses themselves";
		return 0;
	}
	/* the stack of a deep search stays small */
	if ((copy = strdup(key)) == NULL)
		return -1;
	rc = visit_targets(e, address, copy, &found, sender);
	free(copy);
	return rc;
}

/* --- recipients ------------------------------------------------------------- */

static int
fail(struct queue_expansion_alias *verdict, const char *enhanced,
    const char *text)
{
	verdict->what = QUEUE_ALIAS_FAILED;
	verdict->enhanced = enhanced;
	verdict->text = text;
	return 0;
}

/* The recipient is one of SRS_Domain: ${found} is who has sent what is reported.  That
 * may be such an address again, if what was forwarded came back here on its way. */
static int
expand_srs(struct expand *e, enum route_alias alias,
    const struct route_alias_found *found,
    struct queue_expansion_alias *verdict)
{
	struct route_alias_found next = *found;
	char address[ROUTE_ADDRESS_MAX];
	size_t i;

	/* or everybody who has seen one could send through this server */
	if (e->x->sender[0] != '\0' && alias == ROUTE_ALIAS_SRS)
		return fail(verdict, "5.7.1", "this address is for reports "
		    "alone, which have no sender");
	for (i = 0; i < LIM_ALIAS_DEPTH && alias == ROUTE_ALIAS_SRS; i++) {
		strlcpy(address, next.sender, sizeof(address));
		alias = route_alias(e->s, address, e->x->now, &next);
	}
	if (alias == ROUTE_ALIAS_LATER)
		return -1;
	if (alias == ROUTE_ALIAS_REFUSED)
		return fail(verdict, "5.1.1", next.why);
	if (alias == ROUTE_ALIAS_SRS)
		return fail(verdict, "5.4.6", "this address for reports leads "
		    "back here again and again");
	return visit(e, address, 0);
}

/* What has become of the recipient that was looked at */
static void
judge(struct expand *e, struct queue_expansion_alias *verdict)
{
	if (verdict->what == QUEUE_ALIAS_FAILED)
		return;
	if (e->nleaves == 0 && e->nagain == 0 && e->is_loop)
		(void)fail(verdict, "5.4.6", "this alias leads back to itself, "
		    "and to no mailbox");
	else if (e->has_owner)
		verdict->what = QUEUE_ALIAS_LIST;
	else
		verdict->what = e->nleaves == 1 && e->nagain == 0 ?
		    QUEUE_ALIAS_ONE : QUEUE_ALIAS_MANY;
}

/* Look at the recipient ${i}. */
static int
expand_rcpt(struct expand *e, size_t i)
{
	struct queue_expansion_alias *verdict = &e->x->verdicts[i];
	const char *rcpt = e->x->aliases[i];
	struct route_alias_found found;
	enum route_alias alias = route_alias(e->s, rcpt, e->x->now, &found);
	int rc;

	e->alias = i;
	e->nleaves = e->nagain = 0;
	e->is_loop = e->has_owner = false;
	if (alias == ROUTE_ALIAS_LATER)
		return -1;
	rc = alias == ROUTE_ALIAS_SRS || alias == ROUTE_ALIAS_REFUSED ?
	    expand_srs(e, alias, &found, verdict) : visit(e, rcpt, 0);
	judge(e, verdict);
	return rc;
}

/* If the search did not end, nobody gets the message: some of those who are found
 * may have been left out for others who are not. */
static void
fail_all(struct expand *e)
{
	size_t i;

	for (i = 0; i < e->x->naliases; i++)
		(void)fail(&e->x->verdicts[i], "5.2.4", e->failure);
	while (e->x->nrcpts > 0)
		free(e->x->rcpts[--e->x->nrcpts].rcpt);
}

static int
add_others(struct expand *e)
{
	char key[KEY_MAX + 1];
	size_t i;

	for (i = 0; i < e->x->nothers; i++)
		if (key_of(e->x->others[i], key) == -1 ||
		    set_add(&e->leaves, key) == -1)
			return -1;
	return 0;
}

int
expand(const struct settings *s, struct queue_expansion *x)
{
	struct expand e = { .s = s, .x = x };
	int rc = -1;
	size_t i;

	x->verdicts = calloc(x->naliases, sizeof(x->verdicts[0]));
	if (x->verdicts != NULL && add_sender(&e, x->sender, false) != 0 &&
	    add_others(&e) == 0)
		rc = 0;
	for (i = 0; rc == 0 && i < x->naliases && e.failure == NULL; i++)
		rc = expand_rcpt(&e, i);
	if (rc == 0 && e.failure != NULL)
		fail_all(&e);
	set_clear(&e.aliases);
	set_clear(&e.leaves);
	if (rc == -1)
		errno = ENOMEM;
	return rc;
}

void
expand_free(struct queue_expansion *x)
{
	size_t i;

	for (i = 0; i < x->nsenders; i++)
		free(x->senders[i].address);
	for (i = 0; i < x->nrcpts; i++)
		free(x->rcpts[i].rcpt);
	free(x->senders);
	free(x->rcpts);
	free(x->verdicts);
	x->senders = NULL;
	x->rcpts = NULL;
	x->verdicts = NULL;
	x->nsenders = x->nrcpts = 0;
}

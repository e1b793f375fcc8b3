/* Options of listeners: see ec_config.h.
 * Owns: the options, and what is said of them; which value holds where. */

#include "proto/ec_config.h"

#include <sys/un.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/loop/registry.h"
#include "core/util/addr.h"
#include "core/util/array.h"
#include "core/util/forklock.h"
#include "core/util/netmask.h"
#include "proto/listener/ec_config_int.h"
#include "proto/listener/netlistener_int.h"

/* What is said of an option: at a listener, for a network.  While the option's
 * postset runs, it holds for that alone: others would see a value without its
 * data. */
struct setting {
	struct setting	*next;
	ec_config_value	*value;
	bool		 is_pending;
	unsigned int	 setter;	/* registry_thread() where postset runs */
	bool		 has_listen, has_peer;
	struct netmask	 peer;
	char		 listen[];
};

struct slot {
	ec_config_option_def *option;
	ec_config_value	*fallback;	/* NULL: there is no default */
	char		*scope;		/* the prefix of its listeners; NULL: none */
	struct setting	*settings;
};

/* Where a value is asked for. */
struct place {
	const char	*listen;	/* NULL: nowhere */
	bool		 has_peer;
	struct netmask	 peer;
};

/* The one configuration: nobody frees it. */
struct _ec_config_header {
	ec_atomic_t	 refcnt;
};

static struct forklock lock = FORKLOCK_INIT;	/* of what follows */
static struct slot *slots;
static size_t nslots, slots_size;
static ec_config_header the_config;

/* --- options -------------------------------------------------------------- */

static bool
is_name(const char *s)
{
	if (s == NULL || *s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && *s != '_')
			return false;
	return true;
}

/* A value that its option approves of. */
static ec_config_value *
approved(ec_config_option_def *option, const char *text, string *output)
{
	ec_config_value *v = ec_config_value_new(option, text);
	string words = { 0 };
	int is_good = 1;

	if (v != NULL && option->validate_value != NULL)
		is_good = option->validate_value(option, output != NULL ?
		    output : &words, &the_config, v);
	string_destroy(&words);
	if (is_good)
		return v;
	ec_config_release_value(v);
	errno = EINVAL;
	return NULL;
}

/* ${v} is in force. */
static void
call_postset(ec_config_option_def *option, ec_config_value *v, string *output)
{
	string words = { 0 };

	if (v != NULL && option->postset != NULL)
		option->postset(option, output != NULL ? output : &words,
		    &the_config, v);
	string_destroy(&words);
}

/* The default, which is in quotes where it is no word.  Return 0, or -1 with
 * errno. */
static int
get_default(ec_config_option_def *option, ec_config_value **v_r)
{
	const char *text = option->defval;
	size_t len;
	char *bare;

	*v_r = NULL;
	if (text == NULL)
		return 0;
	len = strlen(text);
	if (len > 1 && text[0] == '"' && text[len - 1] == '"') {
		text++;
		len -= 2;
	}
	if ((bare = strndup(text, len)) == NULL)
		return -1;
	*v_r = approved(option, bare, NULL);
	free(bare);
	return *v_r != NULL ? 0 : -1;
}

static bool
is_taken(const char *scope, const char *name)
{
	size_t i;

	for (i = 0; i < nslots; i++)
		if (slots[i].scope != NULL &&
		    strcasecmp(slots[i].scope, scope) == 0 &&
		    strcasecmp(slots[i].option->name, name) == 0)
			return true;
	return false;
}

/* With the lock.  Return the slot, or -1 with errno: then nothing of ${s} is
 * taken. */
static int
add_slot(const struct slot *s)
{
	struct slot *grown;

	if (s->scope != NULL && is_taken(s->scope, s->option->name)) {
		errno = EEXIST;
		return -1;
	}
	grown = array_fit(slots, &slots_size, nslots + 1, sizeof(*slots));
	if (grown == NULL)
		return -1;
	slots = grown;
	slots[nslots] = *s;
	return (int)nslots++;
}

static int
register_option(const char *scope, ec_config_option_def *option)
{
	struct slot s = { .option = option };
	int slot, saved;

	if (option == NULL || !is_name(option->name) ||
	    !ec_config_type_is_known(option->type) ||
	    option->flags & EC_CFG_OPT_IS_ARRAY) {
		errno = EINVAL;
		return -1;
	}
	if (get_default(option, &s.fallback) == -1)
		return -1;
	if (scope != NULL && (s.scope = strdup(scope)) == NULL)
		slot = -1;
	else {
		forklock_take(&lock);
		slot = add_slot(&s);
		forklock_release(&lock);
	}
	if (slot != -1) {
		call_postset(option, s.fallback, NULL);
		return slot;
	}
	saved = errno;
	ec_config_release_value(s.fallback);
	free(s.scope);
	errno = saved;
	return -1;
}

int
ec_config_register_option(ec_config_option_def *option)
{
	return register_option(NULL, option);
}

int
netlistener_register_option(netlistener_def *def, ec_config_option_def *option)
{
	if (def == NULL) {
		errno = EINVAL;
		return -1;
	}
	return register_option(def->prefix, option);
}

/* With the lock; NULL with EINVAL. */
static struct slot *
slot_of(int n)
{
	if (n >= 0 && (size_t)n < nslots)
		return &slots[n];
	errno = EINVAL;
	return NULL;
}

/* --- settings ------------------------------------------------------------- */

static void
setting_free(struct setting *set)
{
	if (set == NULL)
		return;
	ec_config_release_value(set->value);
	free(set);
}

/* What is to be said, without a value.  NULL with errno. */
static struct setting *
setting_new(const char *listen, const char *peer)
{
	size_t len = strlen(listen != NULL ? listen : "") + 1;
	struct setting *set = calloc(1, sizeof(*set) + len);

	if (set == NULL)
		return NULL;
	set->has_listen = listen != NULL;
	set->has_peer = peer != NULL;
	memcpy(set->listen, listen != NULL ? listen : "", len);
	if (peer != NULL && netmask_parse(peer, strlen(peer), &set->peer) ==
	    -1) {
		free(set);
		errno = EINVAL;
		return NULL;
	}
	return set;
}

static bool
is_same_place(const struct setting *a, const struct setting *b)
{
	return a->has_listen == b->has_listen && a->has_peer == b->has_peer &&
	    strcmp(a->listen, b->listen) == 0 &&
	    (!a->has_peer || (netmask_contains(&a->peer, &b->peer) &&
	    netmask_contains(&b->peer, &a->peer)));
}

/* With the lock: take away what is said at the place of ${set}, but what
 * threads are about to say, and, with ${but_newest}, what was said last.
 * Return it, to be freed, or NULL. */
static struct setting *
take_away(struct slot *s, const struct setting *set, bool but_newest)
{
	struct setting **at, *old;

	/* the newest is first */
	for (at = &s->settings; (old = *at) != NULL; at = &old->next)
		if (!old->is_pending && is_same_place(old, set)) {
			if (!but_newest)
				break;
			but_newest = false;
		}
	if (old != NULL)
		*at = old->next;
	return old;
}

/* ${set}, which has a value, comes in place of what is there. */
static void
put_in_force(int option_slot, ec_config_option_def *option,
    struct setting *set, string *output)
{
	struct setting *old;
	struct slot *s;

	set->is_pending = true;
	set->setter = registry_thread();
	forklock_take(&lock);
	s = &slots[option_slot];
	set->next = s->settings;
	s->settings = set;
	forklock_release(&lock);
	/* the option's own functions may ask for values, and set others: one of
	 * the same place is newer */
	call_postset(option, set->value, output);
	forklock_take(&lock);
	set->is_pending = false;
	old = take_away(&slots[option_slot], set, true);
	forklock_release(&lock);
	setting_free(old);
}

int
mailmill_config_set(int option_slot, const char *listen, const char *peer,
    const char *value, string *output)
{
	ec_config_option_def *option = NULL;
	struct setting *set, *old = NULL;
	struct slot *s;

	forklock_take(&lock);
	if ((s = slot_of(option_slot)) != NULL)
		option = s->option;
	forklock_release(&lock);
	if (option == NULL || (set = setting_new(listen, peer)) == NULL)
		return 0;
	if (value == NULL) {
		forklock_take(&lock);
		old = take_away(&slots[option_slot], set, false);
		forklock_release(&lock);
		setting_free(set);
		setting_free(old);
		return 1;
	}
	if ((set->value = approved(option, value, output)) == NULL) {
		setting_free(set);
		return 0;
	}
	put_in_force(option_slot, option, set, output);
	return 1;
}

/* --- look-up -------------------------------------------------------------- */

/* How specific is ${set} there?  -1: it does not hold. */
static int
rank(const struct setting *set, const struct place *place)
{
	int n = 0;

	/* in a child of fork(2) that thread may be gone, and will not end */
	if (set->is_pending && set->setter != registry_thread())
		return -1;
	if (set->has_listen) {
		if (place->listen == NULL ||
		    strcmp(set->listen, place->listen) != 0)
			return -1;
		n += 1000;
	}
	if (set->has_peer) {
		if (!place->has_peer ||
		    !netmask_contains(&set->peer, &place->peer))
			return -1;
		n += 1 + (int)set->peer.bits;
	}
	return n;
}

static ec_config_value *
addref(ec_config_value *v)
{
	if (v != NULL)
		__atomic_add_fetch(&v->refcnt, 1, __ATOMIC_RELAXED);
	else
		errno = ENOENT;
	return v;
}

static ec_config_value *
fetch(int option_slot, const struct place *place)
{
	const struct setting *set;
	ec_config_value *v = NULL;
	struct slot *s;
	int best = -1;

	forklock_take(&lock);
	if ((s = slot_of(option_slot)) != NULL) {
		v = s->fallback;
		for (set = s->settings; set != NULL; set = set->next)
			if (rank(set, place) > best) {
				best = rank(set, place);
				v = set->value;
			}
		v = addref(v);
	}
	forklock_release(&lock);
	return v;
}

ec_config_value *
ec_config_null_value(int option_slot)
{
	ec_config_value *v = NULL;
	struct slot *s;

	forklock_take(&lock);
	if ((s = slot_of(option_slot)) != NULL)
		v = addref(s->fallback);
	forklock_release(&lock);
	return v;
}

/* One pair of what fetch_generic() is asked with.  Return 0, or -1. */
static int
add_scope(struct place *place, const char *scope, const char *name)
{
	if (scope == NULL || name == NULL)
		return -1;
	if (strcasecmp(scope, "Listen") == 0)
		place->listen = name;
	else if (strcasecmp(scope, "Peer") == 0)
		place->has_peer = netmask_parse(name, strlen(name),
		    &place->peer) != -1;
	else
		return -1;
	return 0;
}

ec_config_value *
ec_config_option_fetch_generic(ec_config_header *, int option_slot,
    ec_config_header *from, int nargs, ec_ptr_array *args, ...)
{
	struct place place = { 0 };
	const char *scope, *name;
	int failed = 0;
	va_list ap;

	if (from != NULL || args != NULL || nargs < 0 || nargs % 2 != 0) {
		errno = EINVAL;
		return NULL;
	}
	va_start(ap, args);
	for (; nargs > 0 && failed == 0; nargs -= 2) {
		scope = va_arg(ap, const char *);
		name = va_arg(ap, const char *);
		failed = add_scope(&place, scope, name);
	}
	va_end(ap);
	if (failed == 0)
		return fetch(option_slot, &place);
	errno = EINVAL;
	return NULL;
}

ec_config_header *
ec_config_fetch_globalconf(void)
{
	__atomic_add_fetch(&the_config.refcnt, 1, __ATOMIC_RELAXED);
	return &the_config;
}

void
ec_config_release_scope_instance(void *tofree)
{
	if (tofree == &the_config)
		__atomic_sub_fetch(&the_config.refcnt, 1, __ATOMIC_RELAXED);
}

int
sockaddr_to_string_opt(struct sockaddr *s, char *buffer, int buf_size, int opt)
{
	char text[ADDR_PORT_TEXT];
	const char *from = text;
	int n;

	if (buffer == NULL || buf_size <= 0)
		return 0;
	if (s != NULL && s->sa_family == AF_UNIX)
		from = ((struct sockaddr_un *)(void *)s)->sun_path;
	else if (opt & EC_SA2S_NO_PORT)
		addr_text(s, text);
	else
		addr_port_text(s, text);
	n = snprintf(buffer, (size_t)buf_size, "%.*s",
	    (int)sizeof(((struct sockaddr_un *)0)->sun_path), from);
	return n < buf_size ? n : buf_size - 1;
}

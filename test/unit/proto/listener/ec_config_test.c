/* Options of listeners: what is a value, and which one holds where. */

#include <sys/un.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/scheduler.h"
#include "proto/netlistener.h"

static ec_config_option_def text = { .name = "Text",
	.type = ECCFGTYPE_STRING, .defval = "default" };

/* --- which one holds ------------------------------------------------------ */

static void
expect(int slot, const char *listen, const char *peer, const char *expected)
{
	ec_config_value *v = listen == NULL && peer == NULL ?
	    ec_config_option_fetch_generic(NULL, slot, NULL, 0, NULL) :
	    listen == NULL ? ec_config_option_fetch_generic(NULL, slot, NULL,
	    2, NULL, "peer", peer) : peer == NULL ?
	    ec_config_option_fetch_generic(NULL, slot, NULL, 2, NULL,
	    "LISTEN", listen) : ec_config_option_fetch_generic(NULL, slot,
	    NULL, 4, NULL, "Listen", listen, "Peer", peer);

	cr_assert_not_null(v);
	cr_expect_str_eq(v->v->vstr, expected, "%s %s: %s", listen, peer,
	    v->v->vstr);
	cr_expect_eq(v->opt, &text);
	ec_config_release_value(v);
}

Test(ec_config, the_most_specific_value_holds)
{
	static const struct {
		const char *listen, *peer, *value;
	} said[] = {
		{ NULL, "192.0.2.0/24", "net" },
		{ "*:25", NULL, "port 25" },
		{ NULL, NULL, "all" },
		{ "*:25", "192.0.2.0/24", "net at 25" },
		{ "*:25", "192.0.2.0/28", "smaller net at 25" },
		{ "*:25", "2001:db8::/32", "six at 25" },
	}, asked[] = {
		{ NULL, NULL, "all" },
		{ "*:587", NULL, "all" },
		{ "*:25", NULL, "port 25" },
		{ "*:587", "192.0.2.1", "net" },
		{ "*:587", "192.0.3.1", "all" },
		{ NULL, "192.0.2.1", "net" },
		{ "*:25", "192.0.2.1", "smaller net at 25" },
		{ "*:25", "192.0.2.99", "net at 25" },
		{ "*:25", "2001:db8::7", "six at 25" },
		{ "*:25", "2001:db9::7", "port 25" },
		/* a client of a socket in the file system */
		{ "*:25", "/run/socket", "port 25" },
	};
	int slot = ec_config_register_option(&text), other;
	size_t i;

	other = ec_config_register_option(&text);
	cr_assert_geq(slot, 0);
	cr_assert_neq(slot, other);
	expect(slot, "*:25", "192.0.2.1", "default");
	for (i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		cr_assert_eq(mailmill_config_set(slot, said[i].listen,
		    said[i].peer, said[i].value, NULL), 1);
	for (i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		expect(slot, asked[i].listen, asked[i].peer, asked[i].value);
	/* of another option nothing was said */
	expect(other, "*:25", "192.0.2.1", "default");
	/* in place of what was said, and no more */
	cr_assert_eq(mailmill_config_set(slot, "*:25", "192.0.2.0/28", "new",
	    NULL), 1);
	expect(slot, "*:25", "192.0.2.1", "new");
	cr_assert_eq(mailmill_config_set(slot, "*:25", "192.0.2.0/28", NULL,
	    NULL), 1);
	expect(slot, "*:25", "192.0.2.1", "net at 25");
	for (i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		cr_assert_eq(mailmill_config_set(slot, said[i].listen,
		    said[i].peer, NULL, NULL), 1);
	expect(slot, "*:25", "192.0.2.1", "default");
}

Test(ec_config, a_value_is_valid_until_it_is_released)
{
	int slot = ec_config_register_option(&text);
	ec_config_value *v, *w;

	mailmill_config_set(slot, NULL, NULL, "old", NULL);
	v = ec_config_option_fetch_generic(NULL, slot, NULL, 0, NULL);
	w = ec_config_option_fetch_generic(NULL, slot, NULL, 0, NULL);
	mailmill_config_set(slot, NULL, NULL, "new", NULL);
	cr_expect_str_eq(v->v->vstr, "old");
	ec_config_release_value(v);
	cr_expect_str_eq(w->v->vstr, "old");
	ec_config_release_value(w);
	mailmill_config_set(slot, NULL, NULL, NULL, NULL);
	w = ec_config_null_value(slot);
	cr_expect_str_eq(w->v->vstr, "default");
	ec_config_release_value(w);
	ec_config_release_value(NULL);
}

/* --- types ---------------------------------------------------------------- */

Test(ec_config, a_value_has_the_form_of_its_type)
{
	static const struct value_mapping_row {
		ec_config_item_type_t	 type;
		const char		*good, *bad[6];
		long			 number;
	} rows[] = {
		{ ECCFGTYPE_INT, "-12", { "", "x", "1x", "3000000000", "0x1",
		    "-2147483649" }, -12 },
		{ ECCFGTYPE_INT, "-2147483648", { "2147483648", " 1", "+1",
		    "-" }, -2147483648 },
		{ ECCFGTYPE_UINT64, "18446744073709551615", { "-1", "",
		    "18446744073709551616", " 1" }, -1 },
		{ ECCFGTYPE_PERMS, "0640", { "8", "10000", "-1" }, 0640 },
		{ ECCFGTYPE_BOOL, "Yes", { "2", "", "maybe", " 1" }, 1 },
		{ ECCFGTYPE_BOOL, "off", { "-0" }, 0 },
		{ ECCFGTYPE_BOOL, "1", { "01" }, 1 },
		{ ECCFGTYPE_FLOAT, "2.5", { "", "x", "2.5x" }, 2 },
		{ ECCFGTYPE_SIZE_T, "1024", { "-1", "1k" }, 1024 },
		{ ECCFGTYPE_SOCKADDR, "192.0.2.1:25", { "192.0.2.1",
		    "192.0.2.1:", "192.0.2.1:65536", "[192.0.2.1]:25",
		    "2001:db8::1:25", "x:25" }, 25 },
		{ ECCFGTYPE_SOCKADDR, "[2001:db8::1]:587", { "[]:25", ":25" },
		    587 },
		{ ECCFGTYPE_SOCKADDR_PORTLESS, "2001:db8::1",
		    { "192.0.2.1:25", "" }, 0 },
	};
	static ec_config_option_def defs[sizeof(rows) / sizeof(rows[0])];
	ec_config_value_storage *s;
	ec_config_value *v;
	size_t i, k;
	long n;
	int slot;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		defs[i].name = "x";
		defs[i].type = rows[i].type;
		cr_assert_geq(slot = ec_config_register_option(&defs[i]), 0);
		errno = 0;
		cr_expect_null(ec_config_null_value(slot));
		cr_expect_eq(errno, ENOENT);
		for (k = 0; k < 6 && rows[i].bad[k] != NULL; k++) {
			errno = 0;
			cr_expect_eq(mailmill_config_set(slot, NULL, NULL,
			    rows[i].bad[k], NULL), 0, "%s", rows[i].bad[k]);
			cr_expect_eq(errno, EINVAL);
		}
		cr_assert_eq(mailmill_config_set(slot, NULL, NULL,
		    rows[i].good, NULL), 1, "%s", rows[i].good);
		v = ec_config_option_fetch_generic(NULL, slot, NULL, 0, NULL);
		s = v->v;
		n = rows[i].type == ECCFGTYPE_UINT64 ? (long)s->vu64 :
		    rows[i].type == ECCFGTYPE_FLOAT ? (long)s->vdouble :
		    rows[i].type == ECCFGTYPE_SIZE_T ? (long)s->vsize :
		    rows[i].type == ECCFGTYPE_SOCKADDR ||
		    rows[i].type == ECCFGTYPE_SOCKADDR_PORTLESS ?
		    /* both families have it at the same place */
		    ntohs(((struct sockaddr_in *)(void *)s->vsa)->sin_port) :
		    s->vint;
		cr_expect_eq(n, rows[i].number, "%s", rows[i].good);
		ec_config_release_value(v);
		mailmill_config_set(slot, NULL, NULL, NULL, NULL);
	}
}

static int nfreed, nset;

static int
is_short(ec_config_option_def *option, string *output, ec_config_header *hdr,
    ec_config_value *val)
{
	cr_expect_not_null(hdr);
	cr_expect_not_null(option->closure);
	if (strlen(val->v->vstr) < 4)
		return 1;
	stringprintf(output, "%s is too long", val->v->vstr);
	return 0;
}

static void
keep(ec_config_option_def *, string *, ec_config_header *,
    ec_config_value *val)
{
	nset++;
	val->data = val;
}

static void
forget(ec_config_option_def *option, void *data)
{
	cr_expect_not_null(option->closure);
	cr_expect_not_null(data);
	nfreed++;
}

Test(ec_config, an_option_has_a_word_in_its_values)
{
	static const struct ec_config_value_mapping map[] = {
		{ "small", "abc" }, { "large", "abcdef" }, { NULL, NULL }
	};
	static ec_config_option_def def = { .name = "words",
		.type = ECCFGTYPE_STRING, .closure = &nset, .map = map,
		.defval = "\"a-b\"", .validate_value = is_short,
		.postset = keep, .datafree = forget };
	int slot = ec_config_register_option(&def);
	string words = { 0 };
	ec_config_value *v;

	cr_assert_geq(slot, 0);
	cr_expect_eq(nset, 1);
	v = ec_config_null_value(slot);
	cr_expect_str_eq(v->v->vstr, "a-b");
	ec_config_release_value(v);
	cr_expect_eq(nfreed, 0);
	cr_assert_eq(mailmill_config_set(slot, NULL, NULL, "SMALL", &words),
	    1);
	v = ec_config_option_fetch_generic(NULL, slot, NULL, 0, NULL);
	cr_expect_str_eq(v->v->vstr, "abc");
	cr_expect_eq(v->data, v);
	cr_assert_eq(mailmill_config_set(slot, NULL, NULL, "large", &words),
	    0);
	cr_expect_str_eq(words.buffer, "abcdef is too long");
	cr_assert_eq(mailmill_config_set(slot, NULL, NULL, "large", NULL), 0);
	cr_assert_eq(mailmill_config_set(slot, NULL, NULL, NULL, NULL), 1);
	cr_expect_eq(nfreed, 0);
	ec_config_release_value(v);
	cr_expect_eq(nfreed, 1);
	string_destroy(&words);
}

static int seen_slot = -1;
static char seen_here[32], seen_there[32];
static bool has_data_there;

/* The value of the slot, in another thread. */
static void *
look(void *)
{
	ec_config_value *v = ec_config_option_fetch_generic(NULL, seen_slot,
	    NULL, 0, NULL);

	snprintf(seen_there, sizeof(seen_there), "%s", v->v->vstr);
	has_data_there = v->data != NULL;
	ec_config_release_value(v);
	return NULL;
}

static void
look_twice(ec_config_option_def *, string *output, ec_config_header *,
    ec_config_value *val)
{
	ec_config_value *v;
	pthread_t thread;

	cr_expect_not_null(output);
	if (seen_slot != -1) {
		v = ec_config_option_fetch_generic(NULL, seen_slot, NULL, 0,
		    NULL);
		cr_assert_eq(v, val);
		snprintf(seen_here, sizeof(seen_here), "%s", v->v->vstr);
		ec_config_release_value(v);
		cr_assert_eq(pthread_create(&thread, NULL, look, NULL), 0);
		cr_assert_eq(pthread_join(thread, NULL), 0);
	}
	val->data = val;
}

/* What postset sees is what is in force; nobody else sees a value whose data is
 * not set yet. */
Test(ec_config, postset_sees_what_is_in_force)
{
	static ec_config_option_def def = { .name = "seen",
		.type = ECCFGTYPE_STRING, .defval = "first",
		.postset = look_twice };
	static const char *const values[] = { "first", "second", "third" };
	ec_config_value *v;
	int i;

	seen_slot = ec_config_register_option(&def);
	cr_assert_geq(seen_slot, 0);
	for (i = 1; i < 3; i++) {
		cr_assert_eq(mailmill_config_set(seen_slot, NULL, NULL,
		    values[i], NULL), 1);
		cr_expect_str_eq(seen_here, values[i]);
		cr_expect_str_eq(seen_there, values[i - 1]);
		cr_expect(has_data_there);
	}
	look(NULL);
	cr_expect_str_eq(seen_there, "third");
	/* the former ones are gone */
	cr_assert_eq(mailmill_config_set(seen_slot, NULL, NULL, NULL, NULL), 1);
	v = ec_config_option_fetch_generic(NULL, seen_slot, NULL, 0, NULL);
	cr_expect_str_eq(v->v->vstr, "first");
	ec_config_release_value(v);
	seen_slot = -1;
}

/* --- misuse --------------------------------------------------------------- */

static int
nothing(Event *, int, void *, struct timeval *)
{
	return 0;
}

Test(ec_config, what_is_no_option_is_refused)
{
	ec_config_option_def def = { .type = ECCFGTYPE_INT, .defval = "x" };
	netlistener_def *l = netlistener_register3("X", nothing, NULL, NULL),
		*m = netlistener_register3("Y", nothing, NULL, NULL);

	cr_expect_eq(ec_config_register_option(NULL), -1);
	cr_expect_eq(ec_config_register_option(&def), -1);
	def.name = "not a name";
	cr_expect_eq(ec_config_register_option(&def), -1);
	def.name = "name";
	/* its default is none */
	cr_expect_eq(ec_config_register_option(&def), -1);
	cr_expect_eq(errno, EINVAL);
	def.defval = "1";
	def.flags = EC_CFG_OPT_IS_ARRAY;
	cr_expect_eq(ec_config_register_option(&def), -1);
	def.flags = 0;
	def.type = ECCFGTYPE_ECDICT;
	cr_expect_eq(ec_config_register_option(&def), -1);
	def.type = (ec_config_item_type_t)77;
	cr_expect_eq(ec_config_register_option(&def), -1);
	cr_expect_eq(netlistener_register_option(NULL, &text), -1);
	cr_expect_eq(errno, EINVAL);
	cr_expect_geq(netlistener_register_option(l, &text), 0);
	cr_expect_geq(netlistener_register_option(m, &text), 0);
	cr_expect_eq(netlistener_register_option(l, &text), -1);
	cr_expect_eq(errno, EEXIST);
	netlistener_unregister(l);
	netlistener_unregister(m);
}

Test(ec_config, what_is_no_question_has_no_answer)
{
	int slot = ec_config_register_option(&text);
	ec_config_header *conf = ec_config_fetch_globalconf();

	cr_assert_not_null(conf);
	cr_expect_null(ec_config_option_fetch_generic(conf, -1, NULL, 0,
	    NULL));
	cr_expect_null(ec_config_option_fetch_generic(conf, 99, NULL, 0,
	    NULL));
	cr_expect_null(ec_config_option_fetch_generic(conf, slot, NULL, 1,
	    NULL, "Listen"));
	cr_expect_null(ec_config_option_fetch_generic(conf, slot, NULL, 2,
	    NULL, "Binding", "x"));
	cr_expect_null(ec_config_option_fetch_generic(conf, slot, NULL, 2,
	    NULL, "Listen", NULL));
	cr_expect_null(ec_config_option_fetch_generic(conf, slot, conf, 0,
	    NULL));
	cr_expect_eq(errno, EINVAL);
	cr_expect_null(ec_config_null_value(-1));
	cr_expect_eq(mailmill_config_set(99, NULL, NULL, "x", NULL), 0);
	cr_expect_eq(mailmill_config_set(slot, NULL, "192.0.2.1/8", "x",
	    NULL), 0);
	cr_expect_eq(errno, EINVAL);
	ec_config_release_scope_instance(conf);
	ec_config_release_scope_instance(NULL);
}

/* --- threads -------------------------------------------------------------- */

static int shared;

static void *
ask(void *)
{
	ec_config_value *v;
	int i;

	for (i = 0; i < 2000; i++) {
		v = ec_config_option_fetch_generic(NULL, shared, NULL, 2,
		    NULL, "Peer", "192.0.2.1");
		cr_assert_eq(v->v->vstr[0], v->v->vstr[1]);
		ec_config_release_value(v);
	}
	return NULL;
}

Test(ec_config, any_thread_may_ask)
{
	static const char *const values[] = { "aa", "bb", NULL };
	static ec_config_option_def def = { .name = "x",
		.type = ECCFGTYPE_STRING, .defval = "cc" };
	pthread_t t[3];
	int i;

	shared = ec_config_register_option(&def);
	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, ask, NULL);
	for (i = 0; i < 2000; i++)
		cr_assert_eq(mailmill_config_set(shared, NULL, i % 2 == 0 ?
		    NULL : "192.0.2.0/24", values[i % 3], NULL), 1);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

/* --- addresses ------------------------------------------------------------ */

Test(ec_config, an_address_is_a_text)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(25), .sin_addr.s_addr = htonl(0xc0000201) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(587), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr *sa = (struct sockaddr *)&in;
	char buf[200];

	cr_expect_eq(sockaddr_to_string_opt(sa, buf, sizeof(buf), 0), 12);
	cr_expect_str_eq(buf, "192.0.2.1:25");
	cr_expect_eq(sockaddr_to_string_opt(sa, buf, sizeof(buf),
	    EC_SA2S_NO_PORT), 9);
	cr_expect_str_eq(buf, "192.0.2.1");
	cr_expect_eq(sockaddr_to_string_opt(sa, buf, 5, 0), 4);
	cr_expect_str_eq(buf, "192.");
	cr_expect_eq(sockaddr_to_string_opt(sa, buf, 0, 0), 0);
	cr_expect_eq(sockaddr_to_string_opt(sa, NULL, 9, 0), 0);
	sa = (struct sockaddr *)&in6;
	sockaddr_to_string_opt(sa, buf, sizeof(buf), 0);
	cr_expect_str_eq(buf, "[::1]:587");
	sockaddr_to_string_opt(sa, buf, sizeof(buf), EC_SA2S_NO_PORT);
	cr_expect_str_eq(buf, "::1");
	/* a path need not end */
	memset(un.sun_path, 'x', sizeof(un.sun_path));
	cr_expect_eq(sockaddr_to_string_opt((struct sockaddr *)&un, buf,
	    sizeof(buf), 0), sizeof(un.sun_path));
	cr_expect_eq(sockaddr_to_string_opt(NULL, buf, sizeof(buf), 0), 7);
}

/* Values of options: see ec_config.h.
 * Owns: the form of each type, the references to a value. */

#include "proto/listener/ec_config_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/util/addr.h"
#include "core/util/conf_field.h"

/* A value with its storage. */
struct value {
	ec_config_value		 value;		/* first */
	ec_config_value_storage	 storage;
	union addr		 addr;
	char			 text[];
};

static int
parse_unsigned(const char *text, int base, uint64_t max, uint64_t *n_r)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, base);
	/* strtoull() takes a minus */
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
	    n > max)
		return -1;
	*n_r = n;
	return 0;
}

/* The numbers that a field of our own configuration can have, too. */
struct number {
	bool	is_true;
	int64_t	n;
};

static const struct conf_field fields[] = {
	[ECCFGTYPE_INT] = CONF_FIELD(number, "", n, INT, "0", INT_MIN, INT_MAX),
	[ECCFGTYPE_BOOL] = CONF_FIELD(number, "", is_true, BOOL, "false")
};

static int
parse_field(const char *text, ec_config_item_type_t type, int *n_r)
{
	struct number number = { .is_true = false };

	if (conf_field_set(&number, &fields[type], &text, 1, NULL, 0) == -1)
		return -1;
	*n_r = type == ECCFGTYPE_BOOL ? number.is_true : (int)number.n;
	return 0;
}

static int
parse_double(const char *text, double *n_r)
{
	char *end;

	errno = 0;
	*n_r = strtod(text, &end);
	return end == text || *end != '\0' || errno != 0 ? -1 : 0;
}

static int
parse_host(const char *text, union addr *a)
{
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1)
		a->in.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a->in6.sin6_addr) == 1)
		a->in6.sin6_family = AF_INET6;
	else
		return -1;
	return 0;
}

static int
parse(struct value *v, ec_config_item_type_t type)
{
	ec_config_value_storage *s = &v->storage;
	uint64_t n = 0;
	int failed = 0;

	switch (type) {
	case ECCFGTYPE_STRING:
		s->vstr = v->text;
		return 0;
	case ECCFGTYPE_INT:
	case ECCFGTYPE_BOOL:
		return parse_field(v->text, type, &s->vint);
	case ECCFGTYPE_UINT64:
		return parse_unsigned(v->text, 10, UINT64_MAX, &s->vu64);
	case ECCFGTYPE_PERMS:
		failed = parse_unsigned(v->text, 8, 07777, &n);
		s->vint = (int)n;
		return failed;
	case ECCFGTYPE_FLOAT:
		return parse_double(v->text, &s->vdouble);
	case ECCFGTYPE_SIZE_T:
		failed = parse_unsigned(v->text, 10, SIZE_MAX, &n);
		s->vsize = (size_t)n;
		return failed;
	case ECCFGTYPE_SOCKADDR:
	case ECCFGTYPE_SOCKADDR_PORTLESS:
		s->vsa = &v->addr.sa;
		return type == ECCFGTYPE_SOCKADDR ?
		    addr_parse(v->text, &v->addr) :
		    parse_host(v->text, &v->addr);
	case ECCFGTYPE_THROTTLE:
	case ECCFGTYPE_ECDICT:
	case ECCFGTYPE_EC_CONFIG_REGEX:
		break;
	}
	return -1;
}

bool
ec_config_type_is_known(ec_config_item_type_t type)
{
	/* it comes from a program in C, and may be any number */
	return (unsigned int)type <= ECCFGTYPE_SIZE_T;
}

static const char *
mapped(const ec_config_option_def *option, const char *text)
{
	const struct ec_config_value_mapping *m = option->map;

	for (; m != NULL && m->name != NULL; m++)
		if (strcasecmp(m->name, text) == 0)
			return m->value;
	return text;
}

ec_config_value *
ec_config_value_new(ec_config_option_def *option, const char *text)
{
	struct value *v;
	size_t len;

	text = mapped(option, text);
	len = strlen(text) + 1;
	if ((v = calloc(1, sizeof(*v) + len)) == NULL)
		return NULL;
	memcpy(v->text, text, len);
	v->value.refcnt = 1;
	v->value.opt = option;
	v->value.v = &v->storage;
	if (parse(v, option->type) == -1) {
		free(v);
		errno = EINVAL;
		return NULL;
	}
	return &v->value;
}

void
ec_config_release_value(void *tofree)
{
	ec_config_value *v = tofree;

	if (v == NULL || __atomic_sub_fetch(&v->refcnt, 1, __ATOMIC_ACQ_REL) >
	    0)
		return;
	if (v->data != NULL && v->opt->datafree != NULL)
		v->opt->datafree(v->opt, v->data);
	free(v);
}

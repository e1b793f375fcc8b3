/* The dictionaries of a validation context: what modules leave for each other
 * about the connection and about the message.
 * Owns: their pairs, bounded in number and size. */

#include "proto/validate/validate_context.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/lim.h"

struct validate_pair {
	struct validate_pair	*next;
	char			*value;
	bool			 is_lasting;	/* validate_context_keep() */
	char			 key[];
};

/* Where the pointer to the pair of ${key} is; to NULL if there is none.  No
 * pair has a key that is NULL. */
static struct validate_pair **
find(validate_context *vctx, int which, const char *key, size_t *n_r)
{
	struct validate_pair **pp = &vctx->pairs[which == VCTX_MESS];
	size_t n = 0;

	for (; *pp != NULL && (key == NULL || strcmp((*pp)->key, key) != 0);
	    pp = &(*pp)->next)
		n++;
	if (n_r != NULL)
		*n_r = n;
	return pp;
}

static void
pair_free(struct validate_pair *p)
{
	free(p->value);
	free(p);
}

static int
add(struct validate_pair **pp, const char *key, char *value)
{
	size_t len = strlen(key);
	struct validate_pair *p;

	if ((p = malloc(sizeof(*p) + len + 1)) == NULL)
		return -1;
	memcpy(p->key, key, len + 1);
	p->value = value;
	p->is_lasting = false;
	p->next = NULL;
	*pp = p;
	return 0;
}

int
validate_context_set(validate_context *vctx, int which, const char *key,
    const char *value)
{
	struct validate_pair **pp;
	char *copy;
	size_t n;

	if (key == NULL || value == NULL) {
		errno = EINVAL;
		return -1;
	}
	pp = find(vctx, which, key, &n);
	if (strlen(key) > LIM_VCTX_KEY || strlen(value) > LIM_VCTX_VALUE ||
	    (*pp == NULL && n >= LIM_VCTX_PAIRS)) {
		errno = E2BIG;
		return -1;
	}
	if ((copy = strdup(value)) == NULL)
		return -1;
	if (*pp != NULL) {
		free((*pp)->value);
		(*pp)->value = copy;
	} else if (add(pp, key, copy) == -1) {
		free(copy);
		return -1;
	}
	(*pp)->is_lasting = false;
	return 0;
}

const char *
validate_context_get(validate_context *vctx, int which, const char *key)
{
	struct validate_pair *p = *find(vctx, which, key, NULL);

	return p != NULL ? p->value : "";
}

int
validate_context_exists(validate_context *vctx, int which, const char *key)
{
	return *find(vctx, which, key, NULL) != NULL;
}

int
validate_context_exists_and_get(validate_context *vctx, int which,
    const char *key, const char **value)
{
	struct validate_pair *p = *find(vctx, which, key, NULL);

	if (p == NULL)
		return 0;
	*value = p->value;
	return 1;
}

bool
validate_context_at(const validate_context *vctx, int which, size_t i,
    const char **key_r, const char **value_r)
{
	const struct validate_pair *p = vctx->pairs[which == VCTX_MESS];

	for (; p != NULL && i > 0; i--)
		p = p->next;
	if (p == NULL)
		return false;
	*key_r = p->key;
	*value_r = p->value;
	return true;
}

void
validate_context_delete(validate_context *vctx, int which, const char *key)
{
	struct validate_pair **pp = find(vctx, which, key, NULL), *p = *pp;

	if (p == NULL)
		return;
	*pp = p->next;
	pair_free(p);
}

void
validate_context_clear(validate_context *vctx, int which)
{
	struct validate_pair *p;

	while ((p = vctx->pairs[which == VCTX_MESS]) != NULL) {
		vctx->pairs[which == VCTX_MESS] = p->next;
		pair_free(p);
	}
}

void
validate_context_keep(validate_context *vctx)
{
	struct validate_pair *p;

	for (p = vctx->pairs[VCTX_CONN]; p != NULL; p = p->next)
		p->is_lasting = true;
}

void
validate_context_forget(validate_context *vctx)
{
	struct validate_pair **pp = &vctx->pairs[VCTX_CONN], *p;

	validate_context_clear(vctx, VCTX_MESS);
	while ((p = *pp) != NULL) {
		if (p->is_lasting) {
			pp = &p->next;
			continue;
		}
		*pp = p->next;
		pair_free(p);
	}
}

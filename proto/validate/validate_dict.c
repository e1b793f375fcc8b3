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
	char			*value;		/* NULL: there is data */
	void			*data;		/* of a module; NULL: there is a value */
	void			(*destroy)(void *data);
	bool			 is_lasting;	/* validate_context_keep() */
	bool			 is_told;	/* by the client: validate_context_tell() */
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

/* Let go what the pair holds. */
static void
pair_empty(struct validate_pair *p)
{
	void *data = p->data;

	free(p->value);
	p->value = NULL;
	p->data = NULL;
	if (data != NULL && p->destroy != NULL)
		p->destroy(data);
}

/* A pair that is in no list any more. */
static void
pair_free(struct validate_pair *p)
{
	pair_empty(p);
	free(p);
}

/* The pair of ${key}, empty, which is added if there is none.  NULL with
 * errno. */
static struct validate_pair *
empty_pair(validate_context *vctx, int which, const char *key)
{
	struct validate_pair **pp, *p;
	size_t n, len = strlen(key);

	pp = find(vctx, which, key, &n);
	if (len > LIM_VCTX_KEY || (*pp == NULL && n >= LIM_VCTX_PAIRS)) {
		errno = E2BIG;
		return NULL;
	}
	if ((p = *pp) == NULL) {
		if ((p = calloc(1, sizeof(*p) + len + 1)) == NULL)
			return NULL;
		memcpy(p->key, key, len + 1);
		*pp = p;
	}
	pair_empty(p);
	p->is_lasting = p->is_told = false;
	return p;
}

int
validate_context_set(validate_context *vctx, int which, const char *key,
    const char *value)
{
	struct validate_pair *p;
	char *copy;

	if (key == NULL || value == NULL) {
		errno = EINVAL;
		return -1;
	}
	if (strlen(value) > LIM_VCTX_VALUE) {
		errno = E2BIG;
		return -1;
	}
	if ((copy = strdup(value)) == NULL)
		return -1;
	if ((p = empty_pair(vctx, which, key)) == NULL) {
		free(copy);
		return -1;
	}
	p->value = copy;
	return 0;
}

bool
validate_context_is_untold(validate_context *vctx, const char *key)
{
	const struct validate_pair *p = *find(vctx, VCTX_CONN, key, NULL);

	return p != NULL && !p->is_told;
}

int
validate_context_tell(validate_context *vctx, const char *key,
    const char *value)
{
	if (validate_context_is_untold(vctx, key)) {
		errno = EPERM;
		return -1;
	}
	if (validate_context_set(vctx, VCTX_CONN, key, value) == -1)
		return -1;
	(*find(vctx, VCTX_CONN, key, NULL))->is_told = true;
	return 0;
}

int
validate_context_set_data(validate_context *vctx, int which, const char *key,
    void *data, void (*destroy)(void *data))
{
	struct validate_pair *p;

	if (key == NULL || data == NULL) {
		errno = EINVAL;
		return -1;
	}
	/* what is there already goes on, and must not be destroyed */
	p = *find(vctx, which, key, NULL);
	if (p != NULL && p->data == data)
		p->is_lasting = false;	/* no client tells data */
	else if ((p = empty_pair(vctx, which, key)) == NULL)
		return -1;
	p->data = data;
	p->destroy = destroy;
	return 0;
}

void *
validate_context_data(validate_context *vctx, int which, const char *key)
{
	const struct validate_pair *p = *find(vctx, which, key, NULL);

	return p != NULL ? p->data : NULL;
}

const char *
validate_context_get(validate_context *vctx, int which, const char *key)
{
	struct validate_pair *p = *find(vctx, which, key, NULL);

	return p != NULL && p->value != NULL ? p->value : "";
}

int
validate_context_exists(validate_context *vctx, int which, const char *key)
{
	const char *value;

	return validate_context_exists_and_get(vctx, which, key, &value);
}

int
validate_context_exists_and_get(validate_context *vctx, int which,
    const char *key, const char **value)
{
	struct validate_pair *p = *find(vctx, which, key, NULL);

	if (p == NULL || p->value == NULL)
		return 0;
	*value = p->value;
	return 1;
}

bool
validate_context_at(const validate_context *vctx, int which, size_t i,
    const char **key_r, const char **value_r)
{
	const struct validate_pair *p = vctx->pairs[which == VCTX_MESS];

	for (; p != NULL && (p->value == NULL || i > 0); p = p->next)
		i -= p->value != NULL;
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

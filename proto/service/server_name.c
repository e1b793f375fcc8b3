/* What a program has of a question; see mailmill_server.h.
 * Owns: the names of the questions that are open.
 *
 * A struct mailmill_mail is no memory but a name, which no question has had for
 * long: so one that is used when its question is gone finds nothing, whatever is
 * in that memory by then.  It is the place in a table, + 1, and above it a number
 * that counts the questions: where a pointer has 64 bits it begins again after
 * 2^32 of them, with 32 after 2^16. */

#include "proto/service/server_int.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define HALF		(sizeof(uintptr_t) * 4)	/* bits of each of the two */
#define PLACE_MASK	(((uintptr_t)1 << HALF) - 1)
#define PLACES_FIRST	64

struct place {
	struct server_question	*question;	/* NULL: free */
	struct mailmill_mail	*name;
	size_t			 next;		/* free one, + 1; 0: none */
};

_Static_assert(2 * sizeof(struct place) <= SERVER_NAME,
    "a table that has grown has at most twice as many places as it needs");

static struct place *places;
static size_t nplaces, nopen;
static size_t first_free;		/* + 1; 0: none */
static uintptr_t nnames;		/* so far; it wraps */

static int
grow(void)
{
	size_t n = nplaces == 0 ? PLACES_FIRST : nplaces * 2;
	struct place *p;

	if (n > PLACE_MASK) {
		errno = ENOMEM;
		return -1;
	}
	if ((p = reallocarray(places, n, sizeof(*p))) == NULL)
		return -1;
	places = p;
	while (nplaces < n) {
		places[nplaces] = (struct place){ .next = first_free };
		first_free = ++nplaces;
	}
	return 0;
}

struct mailmill_mail *
server_name_new(struct server_question *q)
{
	struct place *p;
	uintptr_t name;

	if (first_free == 0 && grow() == -1)
		return NULL;
	name = (++nnames << HALF) | first_free;
	p = &places[first_free - 1];
	first_free = p->next;
	nopen++;
	p->question = q;
	return p->name = (struct mailmill_mail *)name;
}

static struct place *
find(const struct mailmill_mail *name)
{
	size_t i = (uintptr_t)name & PLACE_MASK;

	return i > 0 && i <= nplaces && places[i - 1].question != NULL &&
	    places[i - 1].name == name ? &places[i - 1] : NULL;
}

struct server_question *
server_name_find(const struct mailmill_mail *name)
{
	const struct place *p = find(name);

	return p != NULL ? p->question : NULL;
}

void
server_name_drop(const struct mailmill_mail *name)
{
	struct place *p = find(name);

	p->question = NULL;
	p->next = first_free;
	first_free = (size_t)(p - places) + 1;
	if (--nopen > 0)
		return;
	/* what a busy hour has needed */
	free(places);
	places = NULL;
	nplaces = first_free = 0;
}

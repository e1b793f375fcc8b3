/* A Recipients file in memory.
 * Owns: the file's text and a hash table of where its entries begin in it.
 * One allocation each, so that a million entries cost little more than their
 * text.  Entries are kept in lower case. */

#include "core/table/recipients.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/lim.h"
#include "core/table/textfile.h"

#define ENTRY_MAX	(LIM_PATH + LIM_DOMAIN)	/* octets: no address is longer */

struct recipients {
	char		*text;		/* entries, each with its NUL */
	uint32_t	*slots;		/* offset + 1; 0: empty */
	size_t		 nslots;	/* a power of two, at most half full */
};

/* The slot of the entry ${s}, or the empty one where it would be. */
static uint32_t *
find_slot(const struct recipients *r, const char *s, size_t len)
{
	size_t i = XXH3_64bits(s, len) & (r->nslots - 1);
	const char *entry;

	for (; r->slots[i] != 0; i = (i + 1) & (r->nslots - 1)) {
		entry = r->text + r->slots[i] - 1;
		if (strncmp(entry, s, len) == 0 && entry[len] == '\0')
			break;
	}
	return &r->slots[i];
}

/* What is wrong with the entry ${s}, or NULL. */
static const char *
entry_fault(const char *s, size_t len)
{
	size_t i;

	if (len > ENTRY_MAX)
		return "longer than an address can be";
	for (i = 0; i < len; i++) {
		if (s[i] == ' ' || s[i] == '\t')
			return "more than one address in a line";
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return "a control character in an address";
	}
	if (s[0] == '@' || s[len - 1] == '@')
		return "expected a local part or an address";
	return NULL;
}

struct compact {
	char	*out;		/* behind the last entry */
	size_t	 n;
};

/* Turn a line into an entry, in place. */
static const char *
compact(void *closure, const char *s, const char *end)
{
	struct compact *c = closure;
	const char *fault = entry_fault(s, (size_t)(end - s));

	if (fault != NULL)
		return fault;
	while (s < end)
		*c->out++ = textfile_lower(*s++);
	*c->out++ = '\0';	/* no later than the newline was */
	c->n++;
	return NULL;
}

static int
index_entries(struct recipients *r, size_t n)
{
	const char *s = r->text;
	uint32_t *slot;
	char *fitted;
	size_t i, len;

	for (r->nslots = 16; r->nslots < n * 2; r->nslots *= 2)
		;
	if ((r->slots = calloc(r->nslots, sizeof(*r->slots))) == NULL)
		return -1;
	for (i = 0; i < n; i++, s += len + 1) {
		len = strlen(s);
		slot = find_slot(r, s, len);
		if (*slot == 0)
			*slot = (uint32_t)(s - r->text) + 1;
	}
	/* comments need no memory */
	fitted = realloc(r->text, (size_t)(s - r->text) + 1);
	if (fitted != NULL)
		r->text = fitted;
	return 0;
}

struct recipients *
recipients_load(const char *path, char *err_r, size_t errlen)
{
	struct recipients *r;
	struct compact c = { 0 };
	size_t len;

	if ((r = calloc(1, sizeof(*r))) == NULL ||
	    (r->text = textfile_read(path, &len)) == NULL)
		goto err1;
	c.out = r->text;
	if (textfile_lines(r->text, len, path, compact, &c, err_r, errlen) ==
	    -1) {
		recipients_free(r);
		return NULL;
	}
	if (index_entries(r, c.n) == -1)
		goto err1;
	return r;
err1:
	snprintf(err_r, errlen, "%s: cannot be read: %s", path,
	    strerror(errno));
	recipients_free(r);
	return NULL;
}

void
recipients_free(struct recipients *r)
{
	if (r == NULL)
		return;
	free(r->slots);
	free(r->text);
	free(r);
}

bool
recipients_has(const struct recipients *r, const char *local,
    size_t local_len, const char *domain, size_t domain_len)
{
	char key[ENTRY_MAX + 2];
	size_t i;

	if (local_len == 0 || local_len + domain_len > ENTRY_MAX ||
	    memchr(local, '\0', local_len) != NULL)
		return false;
	for (i = 0; i < local_len; i++)
		key[i] = textfile_lower(local[i]);
	if (*find_slot(r, key, local_len) != 0)
		return true;
	key[local_len] = '@';
	for (i = 0; i < domain_len; i++)
		key[local_len + 1 + i] = textfile_lower(domain[i]);
	return *find_slot(r, key, local_len + 1 + domain_len) != 0;
}

/* What the master says to a child before its role has begun.
 * Owns: copies of those messages, until the role gets them.
 * Knows nothing of what they mean; some hold secrets, so all are wiped. */

#include "cmd/mailmilld/role/child_early.h"

#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct early {
	STAILQ_ENTRY(early)	link;
	struct channel_msg	msg;		/* points into octets */
	size_t			len;
	_Alignas(max_align_t) uint8_t octets[];
};

static STAILQ_HEAD(, early) list = STAILQ_HEAD_INITIALIZER(list);
static unsigned int nkept;

int
child_early_keep(struct channel_msg *msg)
{
	const struct channel_row *row = &msg_rows[msg->type];
	size_t base = (row->base_octets + 15) & ~(size_t)15;
	size_t entries = msg->nentries * row->entry_octets;
	struct early *e;

	if (nkept == CHILD_EARLY_MAX ||
	    (e = malloc(sizeof(*e) + base + entries)) == NULL)
		return -1;
	e->msg = *msg;
	e->len = base + entries;
	memcpy(e->octets, msg->base, row->base_octets);
	if (entries > 0)
		memcpy(e->octets + base, msg->entries, entries);
	e->msg.base = e->octets;
	e->msg.entries = e->octets + base;
	msg->fd = -1;
	STAILQ_INSERT_TAIL(&list, e, link);
	nkept++;
	return 0;
}

void
child_early_give(void (*f)(struct channel_msg *msg, void *closure),
    void *closure)
{
	struct early *e;

	while ((e = STAILQ_FIRST(&list)) != NULL) {
		STAILQ_REMOVE_HEAD(&list, link);
		nkept--;
		if (f != NULL)
			f(&e->msg, closure);
		if (e->msg.fd != -1)
			close(e->msg.fd);
		explicit_bzero(e->octets, e->len);
		free(e);
	}
}

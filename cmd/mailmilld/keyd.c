/* The role keyd. */

#include "cmd/mailmilld/child.h"

int
role_keyd(struct child *c)
{
	static const struct child_ops ops;

	return child_drop(c, NULL) == -1 ? 1 : child_run(c, &ops, NULL);
}

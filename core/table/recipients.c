/* Recipients files; see recipients.h. */

#include "core/table/recipients.h"

#include <string.h>

#include "core/lim.h"

static const char *
line_fault(const char *address, size_t len, const char *words)
{
	const char *at = memrchr(address, '@', len);

	if (*words != '\0')
		return "more than one address in a line";
	if ((at != NULL ? (size_t)(at - address) : len) > LIM_LOCAL_PART)
		return "longer than a local part can be";
	if (address[0] == '@' || address[len - 1] == '@')
		return "expected a local part or an address";
	return NULL;
}

struct textfile *
recipients_load(const char *path, textfile_address *address,
    const void *closure, char *err_r, size_t errlen)
{
	return textfile_load(path, address, closure, line_fault, err_r,
	    errlen);
}

bool
recipients_has(const struct textfile *t, const char *address)
{
	const char *at = strrchr(address, '@');
	size_t local = TEXTFILE_FIRST, whole = TEXTFILE_FIRST;

	return (at != NULL && textfile_find(t, address,
	    (size_t)(at - address), &local) != NULL) ||
	    textfile_find(t, address, strlen(address), &whole) != NULL;
}

/* Recipients files; see recipients.h. */

#include "core/table/recipients.h"

#include <errno.h>
#include <string.h>

#include "core/lim.h"

static const char *
line_fault(const void *, const char *address, size_t len, const char *words)
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

static int
look_up(const struct textfile *t, const char *address, size_t len)
{
	size_t pos = TEXTFILE_FIRST;

	if (textfile_find(t, address, len, &pos) != NULL)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

int
recipients_has(const struct textfile *t, const char *address)
{
	const char *at = strrchr(address, '@');
	int local = at == NULL ? 0 :
	    look_up(t, address, (size_t)(at - address));
	int whole = local == 1 ? 1 : look_up(t, address, strlen(address));

	return whole == 0 ? local : whole;
}

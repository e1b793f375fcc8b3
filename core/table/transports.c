/* Transport tables; see transports.h. */

#include "core/table/transports.h"

#include <errno.h>
#include <string.h>

const char *
transports_fault(const char *address, size_t len, const char *words)
{
	const char *at = memrchr(address, '@', len);
	size_t n = textfile_word(words);

	if ((len != 1 || *address != '*') &&
	    (at == NULL || at == address + len - 1 || address[len - 1] == '"'))
		return "expected an address, @domain or * first";
	if (n == 0)
		return "expected the name of a Domain section after the address";
	return words[n] == '\0' ? NULL :
	    "more than one word after the address";
}

static const char *
look_up(const struct textfile *t, const char *address)
{
	size_t pos = TEXTFILE_FIRST;

	return textfile_find(t, address, strlen(address), &pos);
}

/* A less exact line must not decide in the place of one that is not known. */
const char *
transports_find(const struct textfile *t, const char *address,
    const char *bare)
{
	const char *at = strrchr(address, '@');
	const char *word = look_up(t, address);

	if (word == NULL && errno == ENOENT && bare != NULL)
		word = look_up(t, bare);
	if (word == NULL && errno == ENOENT && at != NULL && at != address)
		word = look_up(t, at);
	if (word == NULL && errno == ENOENT)
		word = look_up(t, "*");
	return word;
}

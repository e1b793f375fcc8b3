/* Whether a report can be converted for a next hop without 8BITMIME.
 * Owns: nothing: what can be converted is known to proto/mime alone. */

#include "proto/mime/mime_convert.h"
#include "proto/report/dsn_int.h"

int
dsn_can_be_7bit(const char *s, size_t len)
{
	const struct mime_convert_options options = { .is_binary = false };
	struct mime_convert *m = mime_convert_new(&options);
	char out[MIME_CONVERT_ROOM];
	enum mime_why why;
	size_t at = 0, used;
	ssize_t n;

	if (m == NULL)
		return -1;
	do {
		n = mime_convert_next(m, s + at, len - at, true, &used, out,
		    sizeof(out));
		at += used;
	} while (n > 0 || (n == 0 && at < len));
	why = mime_convert_why(m);
	mime_convert_free(m);
	return why == MIME_WHY_MEMORY ? -1 : why == MIME_WHY_NOT;
}

/* The options of a session: the table, and all of its rows at once. */

#include "proto/esmtp_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/conf_field.h"

const struct conf_field esmtp_option_rows[] = {
#define ESMTP_OPTION(...) CONF_FIELD(esmtp_options, __VA_ARGS__),
#include "proto/esmtp_option.def"
#undef ESMTP_OPTION
};

const size_t esmtp_option_nrows = sizeof(esmtp_option_rows) /
    sizeof(esmtp_option_rows[0]);

int
esmtp_options_set(struct esmtp_options *o, const struct conf_field *row,
    const char *const *values, size_t nvalues, char *expected_r, size_t len)
{
	return conf_field_set(o, row, values, nvalues, expected_r, len);
}

int
esmtp_options_init(struct esmtp_options *o, const char *hostname)
{
	size_t i;

	memset(o, 0, sizeof(*o));
	if (hostname == NULL) {
		errno = EINVAL;
		return -1;
	}
	if ((o->hostname = strdup(hostname)) == NULL)
		return -1;
	for (i = 0; i < esmtp_option_nrows; i++)
		if (conf_field_default(o, &esmtp_option_rows[i]) == -1) {
			esmtp_options_clear(o);
			errno = ENOMEM;
			return -1;
		}
	return 0;
}

void
esmtp_options_clear(struct esmtp_options *o)
{
	size_t i;

	for (i = 0; i < esmtp_option_nrows; i++)
		conf_field_free(o, &esmtp_option_rows[i]);
	free(o->hostname);
	memset(o, 0, sizeof(*o));
}

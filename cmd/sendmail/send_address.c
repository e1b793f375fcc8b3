/* See send_address.h. */

#include "cmd/sendmail/send_address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/array.h"
#include "proto/mailaddr.h"
#include "proto/parse/esmtp_fields.h"

/* Which of them it takes, the server decides. */
#define FLAGS	(MAILADDR_ALLOW_BARE | MAILADDR_ALLOW_UNQUALIFIED | \
		MAILADDR_ALLOW_LITERAL | MAILADDR_ALLOW_LONG | \
		MAILADDR_ALLOW_DOTS | MAILADDR_ALLOW_UTF8)

int
send_address(const char *s, size_t len, const char *domain,
    char out[SEND_ADDRESS_MAX])
{
	struct mailaddr a, again;
	size_t used, dlen = domain == NULL ? 0 : strlen(domain);
	int n;

	if (len == 0 || mailaddr_parse(s, len, FLAGS, &a) != (int)len ||
	    a.local_len == 0 || (n = mailaddr_format(&a, out,
	    SEND_ADDRESS_MAX)) == -1)
		return -1;
	used = (size_t)n;
	if (a.domain_len == 0) {
		if (dlen == 0 || dlen + 2 > SEND_ADDRESS_MAX - used)
			return -1;
		out[used] = '@';
		memcpy(out + used + 1, domain, dlen + 1);
		used += dlen + 1;
	}
	/* it may have become too long for a path */
	return mailaddr_parse(out, used, FLAGS, &again) == (int)used ? 0 : -1;
}

int
send_list_add(struct send_list *list, const char *address)
{
	char **v = array_fit(list->v, &list->room, list->n + 1, sizeof(*v));

	if (v == NULL)
		return -1;
	list->v = v;
	if ((v[list->n] = strdup(address)) == NULL)
		return -1;
	list->n++;
	return 0;
}

int
send_list_take(struct send_list *list, const char *s, const char *domain,
    char bad[SEND_ADDRESS_MAX])
{
	struct esmtp_fields f = { .state = 0 };
	char out[SEND_ADDRESS_MAX];
	size_t len = strlen(s), at = 0;
	bool is_found;
	int n = 0;

	snprintf(bad, SEND_ADDRESS_MAX, "%s", s);
	errno = EINVAL;
	for (at = 0; at < len; at++)
		if ((unsigned char)s[at] < ' ' || s[at] == 127)
			return -1;
	/* as if it were that field of a header */
	(void)esmtp_fields_next(&f, "To:", 3, &is_found);
	for (at = 0; ; ) {
		if (at < len)
			at += esmtp_fields_next(&f, s + at, len - at,
			    &is_found);
		else if (!(is_found = esmtp_fields_end(&f)))
			break;
		if (!is_found)
			continue;
		snprintf(bad, SEND_ADDRESS_MAX, "%s", f.addr);
		if (f.is_too_long || send_address(f.addr, f.len, domain,
		    out) == -1) {
			errno = EINVAL;
			return -1;
		}
		if (send_list_add(list, out) == -1)
			return -1;
		n++;
	}
	return n;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
send_list_unique(struct send_list *list)
{
	size_t i, n = 0;

	if (list->n == 0)
		return;
	qsort(list->v, list->n, sizeof(*list->v), compare);
	for (i = 1; i < list->n; i++) {
		if (strcmp(list->v[n], list->v[i]) == 0)
			free(list->v[i]);
		else
			list->v[++n] = list->v[i];
	}
	list->n = n + 1;
}

void
send_list_free(struct send_list *list)
{
	while (list->n > 0)
		free(list->v[--list->n]);
	free(list->v);
	*list = (struct send_list){ .v = NULL };
}

#include "core/maildir/maildir_folder.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct row {
	const char *name, *want;	/* NULL: there is none */
} rows[] = {
	{ "lists", ".lists" },
	{ "Lists", ".Lists" },
	{ "lists.c", ".lists.c" },
	{ "a b~+", ".a b~+" },
	{ "inboxes", ".inboxes" },
	/* RFC 3501 5.1.3 */
	{ "a&b", ".a&-b" },
	{ "~peter.mail.\xe5\x8f\xb0\xe5\x8c\x97.\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
	    ".~peter.mail.&U,BTFw-.&ZeVnLIqe-" },
	{ "Entw\xc3\xbcrfe", ".Entw&APw-rfe" },
	{ "\xc3\xbc&\xc3\xbc", ".&APw-&-&APw-" },
	{ "\xf0\x9f\x98\x80", ".&2D3eAA-" },
	{ "", NULL },
	{ "INBOX", NULL },
	{ "Inbox", NULL },
	{ ".", NULL },
	{ "..", NULL },
	{ ".a", NULL },
	{ "a.", NULL },
	{ "a..b", NULL },
	{ "a/b", NULL },
	{ "../b", NULL },
	{ "a\x01" "b", NULL },
	{ "a\nb", NULL },
	{ "a\x7f", NULL },
	{ "\xff", NULL },
	{ "a\xe2\x80\x8b" "b", NULL },	/* of no width */
};

Test(maildir_folder, a_name_is_that_of_a_folder_or_there_is_none)
{
	char buf[MAILDIR_FOLDER_MAX];
	size_t i;
	int rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rc = maildir_folder_name(rows[i].name, buf);
		cr_expect_eq(rc, rows[i].want == NULL ? -1 : 0, "%s",
		    rows[i].name);
		if (rc == 0 && rows[i].want != NULL)
			cr_expect_str_eq(buf, rows[i].want);
	}
}

Test(maildir_folder, a_name_is_bounded)
{
	char buf[MAILDIR_FOLDER_MAX + 1], name[MAILDIR_FOLDER_MAX * 4];
	size_t i, len;

	buf[MAILDIR_FOLDER_MAX] = 'x';
	for (len = 1; len < sizeof(name); len++) {
		memset(name, 'a', len);
		name[len] = '\0';
		cr_expect_eq(maildir_folder_name(name, buf),
		    len + 2 <= MAILDIR_FOLDER_MAX ? 0 : -1, "%zu", len);
	}
	for (i = 0; i + 2 < sizeof(name); i += 2) {
		memcpy(name + i, "\xc3\xbc", 3);
		if (maildir_folder_name(name, buf) == 0)
			cr_expect_lt(strlen(buf), MAILDIR_FOLDER_MAX);
	}
	cr_expect_eq(buf[MAILDIR_FOLDER_MAX], 'x');
}

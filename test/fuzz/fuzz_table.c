/* Files of addresses: an octet says of which kind, then the file.  Every line that
 * was taken is found again. */

#include "test/fuzz/fuzz.h"

#include <string.h>
#include <unistd.h>

#include "core/table/recipients.h"
#include "core/table/sender_logins.h"
#include "core/util/utf8.h"

/* As the settings do, as far as it matters here: one form of each. */
static const char *
address(const void *, const char *s, size_t *len,
    char text_r[TEXTFILE_ADDRESS_MAX])
{
	ssize_t n;

	n = utf8_nfc(s, *len, text_r, TEXTFILE_ADDRESS_MAX);
	if (n <= 0)
		return "not an address";
	*len = (size_t)n;
	return NULL;
}

static void
find_all(const struct textfile *t)
{
	size_t i, pos, len;
	const char *line, *words;

	for (i = 0; i < t->nlines; i++) {
		/* longer ones lie behind the text */
		line = t->lines[i].at < t->len ? t->text + t->lines[i].at :
		    t->more + (t->lines[i].at - t->len);
		len = textfile_word(line);
		FUZZ_HOLDS(len <= strlen(line));
		/* in quotes there may be white space */
		if (*line == '"')
			continue;
		pos = TEXTFILE_FIRST;
		words = textfile_find(t, line, len, &pos);
		FUZZ_HOLDS(words != NULL);
	}
}

void
fuzz_table(const uint8_t *data, size_t len)
{
	char path[FUZZ_PATH], error[256] = "";
	struct fuzz_input in = { data, len };
	bool is_logins = fuzz_octet(&in) & 1;
	int fd = fuzz_file(in.p, in.left, path);
	struct textfile *t;

	t = is_logins ?
	    sender_logins_load(path, address, NULL, error, sizeof(error)) :
	    recipients_load(path, address, NULL, error, sizeof(error));
	close(fd);
	if (t == NULL) {
		FUZZ_HOLDS(error[0] != '\0');
		return;
	}
	find_all(t);
	if (is_logins)
		(void)sender_logins_may(t, "alice", "alice@example.test");
	else
		(void)recipients_has(t, "alice@example.test");
	textfile_free(t);
}

/* Files of aliases, and addresses of SRS: an octet says which, then the file or the
 * address.  Every alias that was taken is found again; what is made of a sender leads
 * back to it. */

#include "test/fuzz/fuzz.h"

#include <sys/stat.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/table/aliases.h"
#include "core/table/srs.h"
#include "core/util/utf8.h"

#define NOW	1577836860
#define ADDRESS	1200

static const char *
address(const void *, const char *s, size_t *len,
    char text_r[TEXTFILE_ADDRESS_MAX])
{
	ssize_t n = utf8_nfc(s, *len, text_r, TEXTFILE_ADDRESS_MAX);

	if (n <= 0)
		return "not an address";
	*len = (size_t)n;
	return NULL;
}

static void
table(struct fuzz_input *in)
{
	char path[FUZZ_PATH], error[256] = "";
	int fd = fuzz_file(in->p, in->left, path);
	struct aliases *a;
	const char *s;
	size_t n = 0;

	a = aliases_load(path, address, address, NULL, error, sizeof(error));
	close(fd);
	if (a == NULL) {
		FUZZ_HOLDS(error[0] != '\0');
		return;
	}
	s = aliases_find(a, "alice@example.test", false);
	for (; s != NULL && *s != '\0'; s += strlen(s) + 1)
		n++;
	FUZZ_HOLDS(s == NULL || n > 0);
	aliases_free(a);
}

static void
rewrite(const struct fuzz_input *in)
{
	static const char key[] = "tops3cr3t\n";
	char path[FUZZ_PATH], error[256], text[ADDRESS], out[ADDRESS],
	    back[ADDRESS];
	int fd = fuzz_file((const uint8_t *)key, strlen(key), path);
	struct srs *srs;

	FUZZ_HOLDS(fchmod(fd, 0600) == 0);
	srs = srs_load(path, error, sizeof(error));
	close(fd);
	FUZZ_HOLDS(srs != NULL);
	snprintf(text, sizeof(text), "%.*s", (int)in->left,
	    (const char *)in->p);
	(void)srs_reverse(srs, text, NOW, out, sizeof(out));
	if (srs_forward(srs, text, "fwd.test", NOW, out, sizeof(out)) == 0) {
		FUZZ_HOLDS(srs_is_address(out));
		FUZZ_HOLDS(srs_reverse(srs, out, NOW, back,
		    sizeof(back)) == 0);
	}
	srs_free(srs);
}

void
fuzz_alias(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };

	if (fuzz_octet(&in) & 1)
		rewrite(&in);
	else
		table(&in);
}

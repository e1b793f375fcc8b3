/* A file of users.  Every entry can be found by its name; no password is tried,
 * since one hash may take minutes. */

#include "test/fuzz/fuzz.h"

#include <string.h>
#include <unistd.h>

#include "core/table/passwdfile.h"

/* ${line} up to its first colon. */
static void
find(const struct passwdfile *f, const char *line, size_t len)
{
	const struct passwdfile_entry *e;
	char name[PASSWDFILE_NAME_MAX + 2];
	const char *colon = len > 0 ? memchr(line, ':', len) : NULL;
	size_t n = colon == NULL ? len : (size_t)(colon - line);

	if (n == 0 || n >= sizeof(name) || *line == '#')
		return;
	memcpy(name, line, n);
	name[n] = '\0';
	if ((e = passwdfile_find(f, name)) != NULL)
		FUZZ_HOLDS(strcmp(e->name, name) == 0);
}

void
fuzz_passwd(const uint8_t *data, size_t len)
{
	char path[FUZZ_PATH], error[PASSWDFILE_ERROR_MAX] = "";
	uint8_t secret[PASSWDFILE_SECRET];
	struct fuzz_input in = { data, len };
	struct passwdfile *f;
	unsigned int n;
	unsigned long line;
	const char *s;
	size_t salt;
	int fd = fuzz_file(data, len, path);

	f = passwdfile_open(path, error, sizeof(error));
	if (f == NULL) {
		FUZZ_HOLDS(error[0] != '\0');
		close(fd);
		return;
	}
	while (in.left > 0) {
		s = fuzz_line(&in, &salt);
		find(f, s, salt);
	}
	(void)passwdfile_excess(f, &line);
	(void)passwdfile_secret(f, secret);
	passwdfile_common_scram(f, PASSWDFILE_SHA256, &n, &salt);
	FUZZ_HOLDS(n >= PASSWDFILE_ITER_MIN && n <= PASSWDFILE_ITER_MAX);
	FUZZ_HOLDS(salt <= sizeof(((struct passwdfile_scram *)0)->salt));
	passwdfile_free(f);
	close(fd);
}

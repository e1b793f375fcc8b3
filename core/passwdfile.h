/* Files of users and their passwords: "name:hash[:...]", hashes of crypt(5),
 * SCRAM keys beside them.
 * Owns: the format, its line numbers in errors, making and changing entries,
 * comparing in equal time.
 * Knows nothing of who asks. */

#ifndef CORE_PASSWDFILE_H
#define CORE_PASSWDFILE_H

#include <stddef.h>
#include <stdint.h>

#define PASSWDFILE_ERROR_MAX	256

struct passwdfile;

/* passwdfile_open(path, err_r, errlen): Read all of it.  NULL with "FILE:LINE:
 * what is wrong". */
struct passwdfile *passwdfile_open(const char *path, char *err_r,
    size_t errlen);
void passwdfile_free(struct passwdfile *f);	/* wipes; NULL does nothing */

/* passwdfile_is_stale(f): Has the file become another?  One stat(2). */
int passwdfile_is_stale(const struct passwdfile *f);

struct passwdfile_scram {
	unsigned int	iterations;
	uint8_t		salt[64];
	size_t		salt_len;
	uint8_t		stored_key[32], server_key[32];
	size_t		key_len;
};

struct passwdfile_entry {
	const char	*name;
	const char	*hash;		/* crypt(5), or NULL: none */
	const char	*cleartext;	/* "{PLAIN}...", or NULL */
	const struct passwdfile_scram *sha1, *sha256;	/* or NULL */
};

/* passwdfile_find(f, name): NULL if it is not there. */
const struct passwdfile_entry *passwdfile_find(const struct passwdfile *f,
    const char *name);

/* passwdfile_verify(f, name, password): 1 right, 0 wrong or no such user (the
 * same time for both: a hash of the same cost is worked out), -1 with errno. */
int passwdfile_verify(const struct passwdfile *f, const char *name,
    const char *password);

/* passwdfile_set(path, name, password, method, err_r, errlen): Make or change
 * an entry: hash by ${method} ("yescrypt", "bcrypt", "sha512"), SCRAM keys for
 * SHA-256 and SHA-1 beside it.  The file is written anew beside the old one,
 * flushed, and renamed; owner and mode stay, or are ${mode} for a new file.
 * Two at once wait for each other.  Return 0, or -1 with a message.
 * passwdfile_remove: 0, 1 (was not there), or -1. */
int passwdfile_set(const char *path, const char *name, const char *password,
    const char *method, char *err_r, size_t errlen);
int passwdfile_remove(const char *path, const char *name, char *err_r,
    size_t errlen);

#endif

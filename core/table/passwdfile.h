/* Files of users and their passwords (mailmill-passwd(5)): one user a line,
 * "name:field[:field]...", a field being a hash of crypt(5) or "{SCHEME}value".
 * Owns: the format, line numbers in errors, making and changing entries, checks
 * whose time does not tell which users exist.
 * Knows nothing of who asks. */

#ifndef CORE_TABLE_PASSWDFILE_H
#define CORE_TABLE_PASSWDFILE_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define PASSWDFILE_ERROR_MAX	256
#define PASSWDFILE_NAME_MAX	255	/* octets */
#define PASSWDFILE_PASSWORD_MAX	511	/* octets: crypt(3) takes no more */

/* Of the SCRAM keys that are made here.  RFC 7677 4 asks for at least 4096
 * iterations, and for 0.1 seconds of work at a login: this number takes half of
 * that on a client of today with SHA-256 in plain C.  More would need care:
 * Cyrus SASL, which is in Postfix as a client, refuses more than 65536 and then
 * tries no other mechanism. */
#define PASSWDFILE_ITERATIONS	50000
#define PASSWDFILE_SALT		16	/* octets */
#define PASSWDFILE_ITER_MIN	4096		/* RFC 7677 4 */
#define PASSWDFILE_ITER_CLIENTS	65536		/* that clients accept */
#define PASSWDFILE_ITER_MAX	10000000	/* some seconds */

struct passwdfile;

/* passwdfile_open(path, err_r, errlen): Read all of it.  NULL with "FILE:LINE:
 * what is wrong". */
struct passwdfile *passwdfile_open(const char *path, char *err_r,
    size_t errlen);
void passwdfile_free(struct passwdfile *f);	/* wipes; NULL does nothing */

/* passwdfile_is_stale(f): Has the file changed since it was read?  One stat(2).
 * passwdfile_look(path, stamp_r): What identifies this version of a file, even
 * if it cannot be opened; all zero: there is none. */
struct passwdfile_stamp {
	dev_t		dev;
	ino_t		ino;
	off_t		size;
	struct timespec	mtime, ctime;
};
int passwdfile_is_stale(const struct passwdfile *f);
void passwdfile_look(const char *path, struct passwdfile_stamp *stamp_r);

/* passwdfile_is_exposed(f): May others than owner and group read it, or anyone
 * but the owner write it? */
bool passwdfile_is_exposed(const struct passwdfile *f);

/* passwdfile_excess(f, line_r): The most iterations that SCRAM keys of the file
 * have, if that is more than PASSWDFILE_ITER_CLIENTS, and the line; else 0. */
unsigned int passwdfile_excess(const struct passwdfile *f,
    unsigned long *line_r);

enum passwdfile_scram_hash { PASSWDFILE_SHA1, PASSWDFILE_SHA256 };
struct passwdfile_scram {
	unsigned int	iterations;
	uint8_t		salt[64];
	size_t		salt_len;
	uint8_t		stored_key[32], server_key[32];
	size_t		key_len;	/* 20 or 32 */
};

/* passwdfile_scram_parse(hash, value, scram_r): The value of such a field,
 * "ITERATIONS,SALT,STOREDKEY,SERVERKEY".  Return what is wrong with it, or
 * NULL. */
const char *passwdfile_scram_parse(enum passwdfile_scram_hash hash,
    const char *value, struct passwdfile_scram *scram_r);

struct passwdfile_entry {
	const char	*name;
	const char	*hash;		/* crypt(5), or NULL: none */
	const char	*cleartext;	/* "{PLAIN}...", or NULL */
	const char	*token;		/* "{TOKEN}...", a crypt(5) hash, or NULL */
	struct passwdfile_scram *scram[2]; /* by passwdfile_scram_hash; or NULL */
};

/* passwdfile_find(f, name): NULL if it is not there.  Names are compared octet
 * by octet. */
const struct passwdfile_entry *passwdfile_find(const struct passwdfile *f,
    const char *name);

/* passwdfile_verify(f, name, password): 1 right, 0 wrong or no such user, -1
 * with errno.  Unknown users take as long as known ones: the method and cost
 * that most entries have are used for them.  ${password} is checked as it is
 * (saslprep_text() is the caller's) against the hash of the entry, else its
 * SCRAM keys, else its clear text.
 * passwdfile_verify_token: the same of a token. */
int passwdfile_verify(const struct passwdfile *f, const char *name,
    const char *password);
int passwdfile_verify_token(const struct passwdfile *f, const char *name,
    const char *token);

/* passwdfile_common_scram(f, hash, iterations_r, salt_len_r): For the fake keys
 * of unknown users: what most entries have, or, if none has keys, what
 * passwdfile_set() makes. */
void passwdfile_common_scram(const struct passwdfile *f,
    enum passwdfile_scram_hash hash, unsigned int *iterations_r,
    size_t *salt_len_r);

/* passwdfile_secret(f, secret_r): The file's secret ("{SECRET}" behind an empty
 * name), from which fake SCRAM keys of unknown users can be derived that stay
 * the same.  False: it has none. */
#define PASSWDFILE_SECRET	32
bool passwdfile_secret(const struct passwdfile *f,
    uint8_t secret_r[PASSWDFILE_SECRET]);

/* What passwdfile_set() makes: mode and group of a file that it creates, and
 * the iterations of SCRAM keys. */
struct passwdfile_new {
	mode_t		mode;
	gid_t		gid;		/* (gid_t)-1: that of the process */
	unsigned int	iterations;	/* 0: PASSWDFILE_ITERATIONS */
};

/* passwdfile_set(path, name, secret, is_token, method, new, err_r, errlen):
 * Make or change an entry.  A password: its hash by ${method} ("yescrypt",
 * "bcrypt", "sha512", or "plain", the password itself), and SCRAM keys for
 * SHA-256 and SHA-1; the token stays.  A token: its hash; all else stays.
 * ${name} is prepared as saslprep_text() does, as logins are.
 * A new file is written beside the old one, flushed, and renamed; owner, mode
 * and comments stay.  Two changes at the same time wait for each other.  Return
 * 0, or -1 with a message; the old file is then unchanged.
 * passwdfile_remove: 0, 1 (was not there), or -1. */
#define PASSWDFILE_METHOD	"yescrypt"	/* the usual one */
int passwdfile_set(const char *path, const char *name, const char *secret,
    bool is_token, const char *method, const struct passwdfile_new *new,
    char *err_r, size_t errlen);
int passwdfile_remove(const char *path, const char *name, char *err_r,
    size_t errlen);

#endif

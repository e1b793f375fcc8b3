/* Files of Login: with which name and password this host logs in at a next hop.
 * One line for each: the next hop as Route has it, white space, then
 * "user:password" up to the end of the line.  The password may have blanks and
 * colons in it, but does not end with a blank.  Or "user", white space, and
 * "token:path": an access token of OAuth 2.0, which is the one line of that file.
 * Empty lines and those that begin with # are nothing.
 * Owns: what a line may be, whose file it has to be; the files of tokens, which
 * stay open: somebody writes a new token into one now and then, and by then nobody
 * here may open a file.  The memory is overwritten before it is freed. */

#ifndef CORE_TABLE_HOP_LOGINS_H
#define CORE_TABLE_HOP_LOGINS_H

#include <stddef.h>

#define HOP_LOGINS_OCTETS	65536	/* of a file at most */
#define HOP_LOGINS_SECRET	1024	/* octets of a password */
#define HOP_LOGINS_TOKEN	3072	/* octets of a token: with the rest of the response it has room in a message to relay */
#define HOP_LOGINS_TOKENS	64	/* of one file: each has a descriptor */

struct hop_login {
	const char	*hop;
	const char	*user;		/* at most LIM_LOGIN octets, UTF-8 */
	const char	*secret;	/* the password, UTF-8; NULL: a token */
	const char	*path;		/* of the token; NULL: a password */
	int		 fd;		/* of that file; -1: a password */
};

struct hop_logins;

/* hop_logins_load(path, err_r, errlen): Read the file, which nobody but its owner
 * may read or write: root, or the account of this process; and open those of
 * tokens, for which the same holds.  NULL with a message that names it, and never
 * has a name or a password of it.
 * hop_logins_free(t): NULL does nothing. */
struct hop_logins *hop_logins_load(const char *path, char *err_r,
    size_t errlen);
void hop_logins_free(struct hop_logins *t);

/* hop_login_token(l, buf): Read the token of ${l} as it is now.  Return 0, or -1
 * with errno: ESTALE, another file is at its path, or none, so that this one will
 * not change any more; EBADMSG, it has not one line that ends in a newline, of
 * printable octets without blanks (RFC 6750 2.1), or is being written; EFBIG; what
 * pread(2) and fstat(2) have.  Whoever has used ${buf} overwrites it.
 * hop_login_fault(errnum): What that means, for a log. */
int hop_login_token(const struct hop_login *l,
    char buf[HOP_LOGINS_TOKEN + 1]);
const char *hop_login_fault(int errnum);

/* hop_logins_each(t, i): Number ${i}, from 0; NULL behind the last.
 * hop_logins_find(t, hop): The login for ${hop}, in any case; NULL: there is
 * none.  It lives as long as ${t}. */
const struct hop_login *hop_logins_each(const struct hop_logins *t, size_t i);
const struct hop_login *hop_logins_find(const struct hop_logins *t,
    const char *hop);

#endif

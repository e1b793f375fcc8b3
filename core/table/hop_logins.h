/* Files of Login: with which name and password this host logs in at a next hop.
 * One line for each: the next hop as Route has it, white space, then
 * "user:password" up to the end of the line.  The password may have blanks and
 * colons in it, but does not end with a blank.  Empty lines and those that begin
 * with # are nothing.
 * Owns: what a line may be, whose file it has to be.  The memory is overwritten
 * before it is freed. */

#ifndef CORE_TABLE_HOP_LOGINS_H
#define CORE_TABLE_HOP_LOGINS_H

#include <stddef.h>

#define HOP_LOGINS_OCTETS	65536	/* of a file at most */
#define HOP_LOGINS_SECRET	1024	/* octets of a password */

struct hop_login {
	const char	*hop;
	const char	*user;		/* at most LIM_LOGIN octets, UTF-8 */
	const char	*secret;	/* the password, UTF-8 */
};

struct hop_logins;

/* hop_logins_load(path, err_r, errlen): Read the file, which nobody but its owner
 * may read or write: root, or the account of this process.  NULL with a message
 * that names it, and never has a name or a password of it.
 * hop_logins_free(t): NULL does nothing. */
struct hop_logins *hop_logins_load(const char *path, char *err_r,
    size_t errlen);
void hop_logins_free(struct hop_logins *t);

/* hop_logins_find(t, hop): The login for ${hop}, in any case; NULL: there is
 * none.  It lives as long as ${t}. */
const struct hop_login *hop_logins_find(const struct hop_logins *t,
    const char *hop);

#endif

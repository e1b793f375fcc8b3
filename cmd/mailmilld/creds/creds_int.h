/* Shared by the files of creds.h alone. */

#ifndef CMD_MAILMILLD_CREDS_CREDS_INT_H
#define CMD_MAILMILLD_CREDS_CREDS_INT_H

#include <limits.h>
#include <stdbool.h>
#include <time.h>

#include "cmd/mailmilld/creds/creds.h"

#define CREDS_NAME_MAX	128

/* What a file was when it was opened. */
struct creds_file {
	const char	*path;		/* of the settings */
	const char	*option;	/* that names it, and where */
	const struct conf_at *at;
	int		 fd;		/* of a key, else -1 */
	bool		 is_there;	/* an OCSP response may be missing */
	dev_t		 dev;
	ino_t		 ino;
	off_t		 size;
	struct timespec	 mtime;
	char		*octets;	/* until the bundle is made */
	size_t		 len;
};

struct creds_info {
	time_t	expiry;
	char	name[CREDS_NAME_MAX];
};

/* The files: a certificate for each pair, then an OCSP response for each, the
 * client CAs, and the keys. */
struct creds {
	uint32_t		 version;
	size_t			 npairs, ncas, nfiles;
	struct creds_file	*files;
	struct creds_info	*infos;		/* of each pair */
	int			 bundle;	/* after the check */
	int			*key_fds;	/* for the check */
};

#define CREDS_CERT(c, i)	(&(c)->files[i])
#define CREDS_OCSP(c, i)	(&(c)->files[(c)->npairs + (i)])
#define CREDS_CA(c, i)		(&(c)->files[2 * (c)->npairs + (i)])
#define CREDS_KEY(c, i)		(&(c)->files[2 * (c)->npairs + (c)->ncas + (i)])
#define CREDS_NPUBLIC(c)	(2 * (c)->npairs + (c)->ncas)

/* What a bundle begins with; a struct bundle_place for each file follows. */
struct bundle_head {
	uint64_t	magic;
	uint64_t	npairs, ncas;
};
struct bundle_place {
	uint64_t	offset, len;
};
#define BUNDLE_MAGIC	0x6c6c696d6c69616dULL

/* creds_where(f, buf): "FILE:LINE:COLUMN: option 'TLS_Key': PATH", for a
 * message about ${f}.  Return ${buf}. */
#define CREDS_WHERE_MAX	(CONF_AT_MAX + PATH_MAX + 64)
const char *creds_where(const struct creds_file *f,
    char buf[CREDS_WHERE_MAX]);

/* creds_bundle_make(c): Write what has been read into sealed memory, and forget
 * it.  Return 0 or -1 with errno. */
int creds_bundle_make(struct creds *c);

#endif

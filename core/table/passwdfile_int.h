/* What the files of passwdfile share. */

#ifndef CORE_TABLE_PASSWDFILE_INT_H
#define CORE_TABLE_PASSWDFILE_INT_H

#include "core/table/passwdfile.h"

#define PASSWDFILE_OCTETS_MAX	(64u << 20)

struct passwdfile_row {
	struct passwdfile_entry	 e;
	unsigned long		 line;
	bool			 has_none;	/* "*" */
};

/* What a client can show to be right.  The keys are in the order of
 * passwdfile_scram_hash. */
enum passwdfile_kind {
	PASSWDFILE_KIND_PASSWORD,
	PASSWDFILE_KIND_TOKEN,
	PASSWDFILE_KIND_KEYS,
	PASSWDFILE_NKINDS = PASSWDFILE_KIND_KEYS + 2
};

struct passwdfile {
	char			*text;		/* lines, cut into fields */
	size_t			 text_octets;
	struct passwdfile_row	*rows;		/* sorted by name */
	size_t			 nrows, room;
	/* a row that costs what most do; NULL: there is none of the kind */
	const struct passwdfile_row *common[PASSWDFILE_NKINDS];
	uint8_t			 secret[PASSWDFILE_SECRET];
	bool			 has_secret;
	/* of a file that was opened */
	char			*path;
	struct passwdfile_stamp	 stamp;
	mode_t			 mode;
};

/* passwdfile_parse(path, text, len, err_r, errlen): takes ${text}, ${len}
 * octets and a NUL; NULL with "FILE:LINE: ...". */
struct passwdfile *passwdfile_parse(const char *path, char *text, size_t len,
    char *err_r, size_t errlen);

/* passwdfile_make(method, secret, is_token, iterations, fields_r, err_r,
 * errlen): The fields for a password or a token, each with the colon before it.
 * Return 0, or -1 with what is wrong. */
#define PASSWDFILE_FIELDS_MAX	4096
int passwdfile_make(const char *method, const char *secret, bool is_token,
    unsigned int iterations,
    char fields_r[PASSWDFILE_FIELDS_MAX], char *err_r, size_t errlen);

/* passwdfile_field(row, field): One field of a line, NUL terminated, which stays
 * ${row}'s.  Return what is wrong with it, or NULL. */
const char *passwdfile_field(struct passwdfile_row *row, char *field);

/* passwdfile_name_fault(name): What is wrong with a name, or NULL. */
const char *passwdfile_name_fault(const char *name);

/* passwdfile_cost(row, kind, buf, size): A text for how long a check takes:
 * entries with the same text take the same time.  False: there is nothing to
 * check. */
bool passwdfile_cost(const struct passwdfile_row *row,
    enum passwdfile_kind kind, char *buf, size_t size);

/* passwdfile_crypt(password, setting, buf, size): crypt(3).  Return 0, or -1
 * with errno. */
int passwdfile_crypt(const char *password, const char *setting, char *buf,
    size_t size);

/* passwdfile_scram_make(hash, password, scram): The keys for its salt and
 * iterations.  passwdfile_scram_text: the value of a field. */
int passwdfile_scram_make(enum passwdfile_scram_hash hash,
    const char *password, struct passwdfile_scram *scram);
int passwdfile_scram_text(const struct passwdfile_scram *scram, char *buf,
    size_t size);

/* passwdfile_token_text(token, buf): The digest of a token, which is hashed in
 * its place: crypt(3) takes at most 511 octets, and bcrypt would ignore all but
 * 72. */
#define PASSWDFILE_TOKEN_TEXT	45
int passwdfile_token_text(const char *token, char buf[PASSWDFILE_TOKEN_TEXT]);

#endif

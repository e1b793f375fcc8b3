/* Counts of recipients by a name and by age, of which the largest are told. */

#ifndef CORE_QUEUE_QUEUE_TOP_H
#define CORE_QUEUE_QUEUE_TOP_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define QUEUE_TOP_AGES	10	/* columns: up to 5 minutes, twice that, ..., more */
#define QUEUE_TOP_NAMES	20000	/* that are kept; the smallest of more are counted together */
#define QUEUE_TOP_NAME	256	/* octets of a name with its NUL; a longer one is cut */

/* What is counted by */
enum queue_top_by { QUEUE_TOP_DOMAIN, QUEUE_TOP_SENDER, QUEUE_TOP_ERROR,
	QUEUE_TOP_TARGET };

/* A recipient that is counted */
struct queue_top_what {
	const char	*sender, *rcpt;
	const char	*error;		/* NULL: none */
	const char	*target;	/* of QUEUE_TOP_TARGET; "": not known */
	int64_t		 age_s;
};

struct queue_top_row {
	char		*name;		/* owned; NULL: none is here */
	uint64_t	 total;
	uint64_t	 ages[QUEUE_TOP_AGES];
};

struct queue_top {
	enum queue_top_by by;
	struct queue_top_row *rows;	/* by a hash of the name, or NULL: none yet */
	size_t		 nrows;
	uint64_t	 floor;		/* rows with so few were counted together */
	struct queue_top_row total;	/* of all */
};

/* queue_top_add(t, what): Count a recipient.  Return 0, or -1: ENOMEM.
 * queue_top_json(t, limit): The ${limit} largest, and the rest together; the rows of
 * ${t} are in another order then, and nothing more may be counted.  NULL: ENOMEM.
 * queue_top_free(t): What is in it. */
int queue_top_add(struct queue_top *t, const struct queue_top_what *what);
json_t *queue_top_json(struct queue_top *t, uint64_t limit);
void queue_top_free(struct queue_top *t);

/* queue_top_by(name): -1: there is no such. */
int queue_top_by(const char *name);

/* queue_top_reason(error, buf, len): ${error} without what is of one message alone:
 * each word with an "@", or with four digits or more, becomes "*". */
void queue_top_reason(const char *error, char *buf, size_t len);

#endif

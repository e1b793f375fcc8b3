/* A string that grows: the documented struct and its functions.
 * Here it is always in memory: a string has no backing on disk. */

#ifndef CORE_EC_STRING_H
#define CORE_EC_STRING_H

#include <sys/types.h>

#include <stddef.h>

#include <mailmill/api.h>
#include <mailmill/ec_malloc.h>
#include <mailmill/event.h>

MAILMILL_BEGIN

typedef struct _io_object io_object;	/* never made here */

/* Where the octets are.  Those with a memtype are ec_malloc_size()'s. */
#define STRING_TYPE_MALLOC	MEMTYPE_IS_MALLOC_3C
#define STRING_TYPE_ECSTRING	MEMTYPE_STRING
#define STRING_TYPE_MESSAGE_BODY MEMTYPE_MESSAGE_BODY
#define STRING_TYPE_SIEVE	MEMTYPE_SIEVE
#define STRING_TYPE_STATIC	(-100)	/* the caller's memory: cannot grow */
#define STRING_TYPE_DISK_BACKED	(-101)	/* not supported */
#define STRING_TYPE_IO_OBJECT	(-102)	/* not supported */
#define STRING_TYPE_GROWBUF	(-103)	/* not supported */
#define STRING_TYPE_GROWABLE_STATIC (-104) /* the caller's, then ECSTRING */

typedef struct _ec_string {
	int		 len;		/* without the NUL that follows */
	int		 allocd;	/* octets that buffer has room for */
	char		*buffer;	/* NULL: nothing was written yet */
	int		 type;		/* STRING_TYPE_* */
	io_object	*backing;	/* NULL */
} string;

/* string_init_type(str, size, type): Make *${str}, whatever it holds, an empty
 * string with room for ${size} octets, of which one is the NUL.  ${type}: one
 * of the first four; any other memtype is as good as those.  For the two STATIC
 * types the caller sets buffer, allocd and type itself.
 * Return 1; or 0 with errno: EINVAL for a ${size} of 0 or one of more than
 * INT_MAX, or another ${type}; ENOMEM.
 * string_destroy(str): Free what it holds, and make it a string of no octets.
 * Return 1.  NULL does nothing.
 * To write over a string, set its len to 0. */
int string_init_type(string *str, size_t size, int type);
int string_destroy(string *str);

/* stringwrite2(str, iobuf, iolen): Append octets.  Return ${iolen}, or -1 with
 * errno, and ${str} is as before: ENOMEM; ENOSPC, a STATIC one is full; EFBIG,
 * it would have more than INT_MAX octets.
 * ${iobuf} may be in ${str} itself.
 * stringprintf(str, format, ...): Append a text.  Return ${str}; NULL when
 * nothing was appended, with errno as above, or as vsnprintf(3) has set it.  No
 * argument may be in ${str} itself. */
ssize_t stringwrite2(string *str, const char *iobuf, size_t iolen);
string *stringprintf(string *str, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* event_io_write_string(e, str, state): Write all of ${str}, as
 * event_io_write() does; but after PENDING go on with event_io_write_string()
 * and the same ${str}, which must not change until then: nothing is copied. */
int mailmill_event_io_write_string(Event *e, string *str,
    event_io_state *state);

MAILMILL_END

#endif

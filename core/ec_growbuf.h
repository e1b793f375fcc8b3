/* Records of a connection that end in a text, such as lines: read with
 * read-ahead; and short answers.  The names are those of the documented API. */

#ifndef CORE_EC_GROWBUF_H
#define CORE_EC_GROWBUF_H

#include <mailmill/api.h>
#include <mailmill/ec_malloc.h>
#include <mailmill/event.h>

MAILMILL_BEGIN

#define TRYREAD_UNTIL_CRLF		"\r\n"
#define TRYREAD_UNTIL_CRLFDOTCRLF	"\r\n.\r\n"

#define TRYREAD_MAX	65536	/* octets of a record, where max_region_size is 0 */

/* What was read and is in no record yet. */
typedef struct grow_buf {
	char	*data;
	int	 start;		/* of the record that comes next */
	int	 end;		/* of what was read */
	int	 size;
	int	 seen;		/* no end begins before this ... */
	unsigned int until_sum;	/* ... if it is the one with this sum */
} grow_buf;

/* The state of tryread_until() for one connection.  All zero it is ready for
 * use; it lives as long as the connection, since it has what was read ahead. */
typedef struct _minimal_tryread_construct minimal_tryread_construct;

struct _minimal_tryread_construct {
	grow_buf	 gb_buffer;
	int		 gb_donesize;	/* octets of the record, without its end */
	char		*gb_donebuffer;	/* the record, and a NUL */
	int		 gb_padding;	/* so many NULs more behind it */
	int		 max_region_size; /* octets of a record with its end, or, with
					 * page_out_hook, of what is kept in
					 * memory; 0: TRYREAD_MAX */
	/* called as soon as the end of a record is found */
	void		(*match_hook)(minimal_tryread_construct *mtc,
			    void *match_closure);
	void		*match_closure;
	/* called when gb_donebuffer is there, before tryread_until() returns;
	 * not for a record of which a part was paged out */
	void		(*finalize_hook)(minimal_tryread_construct *mtc,
			    void *finalize_closure);
	void		*finalize_closure;
	/* Takes the octets of a record that is too long for memory, piece by
	 * piece, also the last one.  Then gb_donebuffer is NULL, and gb_donesize
	 * is the sum. */
	void		(*page_out_hook)(minimal_tryread_construct *mtc,
			    void *page_out_closure, const char *buf, int len);
	void		*page_out_closure;
	int		 gb_paged;	/* octets of this record that it was given */
};

/* tryread_until(event, &needmask, mtc, until): The next record of ${event},
 * which ends in ${until}: TRYREAD_UNTIL_CRLF or another text.
 * Return > 0: the octets of the record and of its end.  The record is in
 * gb_donebuffer, without its end, and followed by a NUL (octets of the record
 * may be NULs: gb_donesize counts).  It is the caller's: ec_free(
 * MEMTYPE_MESSAGE_BODY, mtc->gb_donebuffer).
 * 0: the peer sends no more; what it sent behind the last record is lost.
 * -1 with errno: EAGAIN, no record is complete (or the peer sends so fast that
 * others get their turn after a mebibyte), wait for *needmask; E2BIG, the
 * record is too long, and stays so: close the connection; ENOMEM, try again;
 * EINVAL, ${until} is empty; or an error of the transport.
 * More records may have been read ahead, of which the scheduler does not know:
 * call it again until it returns -1 or 0.  Scheduler thread. */
int tryread_until(Event *event, int *needmask, minimal_tryread_construct *mtc,
    const char *until);

/* minimal_tryread_construct_free(mtc): Free what it holds, but neither ${mtc}
 * nor gb_donebuffer, and make it ready for use.  NULL does nothing. */
void minimal_tryread_construct_free(minimal_tryread_construct *mtc);

/* trywrite(event, buffer, buflen): Write octets now.  Return 1, they are
 * written; 0 with errno, they are not, or not all: EAGAIN, the connection takes
 * no more for now; or an error of the transport.  Nothing is kept, so close the
 * connection then.  For answers that are too short to fill a socket's buffer;
 * others: event_io_write().
 * trywritef(event, buffer, ...): The same with a format.  0 with errno E2BIG,
 * and nothing is written, for a text of more than 4095 octets.
 * The page says that event->closure has to be an accept_construct.  Any is good
 * here.  But do not write so into a session of esmtp_message_factory(), which
 * keeps octets that were not written yet.  Scheduler thread. */
#define TRYWRITEF_MAX	4096	/* octets, with the NUL */
int trywrite(Event *event, const char *buffer, int buflen);
int trywritef(Event *event, const char *buffer, ...)
    __attribute__((format(printf, 2, 3)));

MAILMILL_END

#endif

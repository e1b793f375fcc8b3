/* The names, documented or our own, of functions whose symbols have a prefix.
 * libevent's functions are called event_*, too, and event_free() and
 * event_pending() are in both libraries: a program that links both would call
 * one instead of the other.  So those of ours are mailmill_event_* to the
 * linker, and the documented name is a macro.  So is the short name of what we
 * have added to the documented functions on schedulers and listeners.
 * A source that includes headers of both libraries defines
 * MAILMILL_PREFIX_ONLY: then there are no macros. */

#ifndef CORE_NAMES_H
#define CORE_NAMES_H

#ifndef MAILMILL_PREFIX_ONLY
#define event_accept		mailmill_event_accept
#define event_close		mailmill_event_close
#define event_free		mailmill_event_free
#define event_io_printf		mailmill_event_io_printf
#define event_io_read		mailmill_event_io_read
#define event_io_retry		mailmill_event_io_retry
#define event_io_state_clean	mailmill_event_io_state_clean
#define event_io_write		mailmill_event_io_write
#define event_io_write_string	mailmill_event_io_write_string
#define event_pending		mailmill_event_pending
#define event_plain_opset	(*mailmill_plain_opset())
#define event_post_dup		mailmill_event_post_dup
#define event_read		mailmill_event_read
#define event_rest		mailmill_event_rest
#define event_sendfile		mailmill_event_sendfile
#define event_unschedule	mailmill_event_unschedule
#define event_write		mailmill_event_write
#define netlistener_find	mailmill_netlistener_find
#define netlistener_port	mailmill_netlistener_port
#define netlistener_unregister	mailmill_netlistener_unregister
#define scheduler_registered	mailmill_scheduler_registered
#endif

#endif

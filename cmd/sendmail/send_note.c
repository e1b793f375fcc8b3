/* See send_note.h. */

#include "cmd/sendmail/send_note.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

void
send_note(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	openlog("mailmill-sendmail", LOG_PID, LOG_MAIL);
	syslog(LOG_MAIL | LOG_WARNING, "%s", text);
	fprintf(stderr, "mailmill-sendmail: %s\n", text);
}

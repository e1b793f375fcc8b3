/* Outcomes as the queue wants them: what a next hop has said, and what that means
 * for the job. */

#include "cmd/mailmilld/relay/relay_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/process/log.h"
#include "tls/tls_client.h"

/* Copy UTF-8, and leave out what does not fit with a whole character. */
static void
copy_text(char *to, size_t size, const char *from)
{
	size_t n = strlcpy(to, from, size);

	if (n < size)
		return;
	for (n = size - 1; n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80;
	    n--)
		continue;
	to[n] = '\0';
}

void
relay_said_remote(const struct route_addr *addr, char remote_r[JOB_REMOTE])
{
	char text[ADDR_TEXT];

	if (addr->kind == ROUTE_UNIX)
		snprintf(remote_r, JOB_REMOTE, "unix:%s", addr->un.sun_path);
	/* RFC 5321 4.1.3 */
	else if (snprintf(remote_r, JOB_REMOTE, "%s[%s%s]", addr->name,
	    addr->ip.sa.sa_family == AF_INET6 ? "IPv6:" : "",
	    addr_text(&addr->ip.sa, text)) >= JOB_REMOTE)
		strlcpy(remote_r, addr->name, JOB_REMOTE);
}

/* Without a reply: our words, the system's, and which command had none. */
static void
put_own_words(const struct smtp_result *r, struct job_error *je_r)
{
	char text[LIM_CLIENT_WORDS];

	snprintf(text, sizeof(text), "%s%s%s%s%s", r->words,
	    r->errnum != 0 ? ": " : "", r->errnum != 0 ?
	    strerror(r->errnum) : "", *r->command != '\0' ? ", at " : "",
	    r->command);
	copy_text(je_r->text, sizeof(je_r->text), text);
}

static int
errnum_of(const struct smtp_result *r)
{
	switch (r->outcome) {
	case SMTP_ACCEPTED:
		return 0;
	case SMTP_REFUSED:
		return EREMOTEIO;
	case SMTP_DEFERRED:
	case SMTP_UNSENT:
	case SMTP_UNCERTAIN:
		break;
	}
	return r->errnum != 0 ? r->errnum : EAGAIN;
}

/* Is it a failure of this machine? */
static bool
is_ours(const struct smtp_result *r)
{
	return r->why == SMTP_WHY_STOPPED || r->why == SMTP_WHY_MEMORY ||
	    r->why == SMTP_WHY_SOURCE;
}

struct job_result
relay_said_outcome(const struct smtp_result *result, bool has_dsn,
    uint64_t job, const char *remote, struct job_error *je_r)
{
	struct job_result jr = { .job = job, .errnum = errnum_of(result) };

	if (result->outcome == SMTP_REFUSED)
		jr.flags = JOB_REFUSED;
	else if (result->outcome == SMTP_ACCEPTED && !has_dsn)
		jr.flags = JOB_NO_DSN;
	else if (result->outcome != SMTP_ACCEPTED && is_ours(result))
		jr.flags = JOB_UNASKED;
	else if (result->why == SMTP_WHY_TIMEOUT)
		jr.flags = JOB_SILENT;
	memset(je_r, 0, sizeof(*je_r));
	je_r->job = job;
	strlcpy(je_r->remote, remote, sizeof(je_r->remote));
	strlcpy(je_r->enhanced, result->enhanced, sizeof(je_r->enhanced));
	if (result->why == SMTP_WHY_SAID) {
		je_r->code = (uint32_t)result->code;
		copy_text(je_r->text, sizeof(je_r->text), result->words);
	} else
		put_own_words(result, je_r);
	return jr;
}

void
relay_said_failure(int errnum, const char *words, const char *remote,
    struct job_error *je_r)
{
	memset(je_r, 0, sizeof(*je_r));
	strlcpy(je_r->remote, remote, sizeof(je_r->remote));
	/* RFC 3463 3.5: no answer from host */
	strlcpy(je_r->enhanced, "4.4.1", sizeof(je_r->enhanced));
	snprintf(je_r->text, sizeof(je_r->text), "%s", words != NULL ? words :
	    strerror(errnum));
}

/* RFC 3848: the name of the protocol, with S for TLS and A for a login; RFC 6531 4.3:
 * UTF8SMTP in the place of ESMTP, and UTF8LMTP of LMTP. */
static void
put_protocol(const struct relay_conn *conn, bool is_utf8, char *buf,
    size_t len)
{
	const struct smtp_ehlo *ehlo = smtp_client_ehlo(conn->client);
	const char *name = conn->is_lmtp ? "LMTP" : ehlo->has == 0 ? "SMTP" :
	    "ESMTP";

	if (is_utf8)
		name = conn->is_lmtp ? "UTF8LMTP" : "UTF8SMTP";
	snprintf(buf, len, "%s%s%s", name,
	    smtp_client_is_tls(conn->client) ? "S" : "",
	    smtp_client_is_logged_in(conn->client) ? "A" : "");
}

void
relay_said_with(const struct relay_conn *conn, bool is_utf8,
    char with_r[JOB_WITH])
{
	const char *form = smtp_client_converts(conn->client);
	const char *before = " (", *after = "";
	const struct tls_client_facts *f;
	size_t n;

	put_protocol(conn, is_utf8, with_r, JOB_WITH);
	n = strlen(with_r);
	if (smtp_client_is_tls(conn->client)) {
		f = tls_client_facts(conn->tls);
		snprintf(with_r + n, JOB_WITH - n, " (%s %s%s", f->protocol,
		    f->cipher, f->is_verified ? ", verified" : "");
		before = ", ";
		after = ")";
	}
	if (*form != '\0') {
		n = strlen(with_r);
		snprintf(with_r + n, JOB_WITH - n, "%sconverted to %s", before,
		    form);
		after = ")";
	}
	strlcat(with_r, after, JOB_WITH);
}

void
relay_said_ready(const struct relay_conn *conn)
{
	char with[JOB_WITH], offers[SMTP_EHLO_TEXT], source[ADDR_TEXT] = "";

	relay_said_with(conn, false, with);
	if (conn->from.sa.sa_family != AF_UNSPEC)
		addr_text(&conn->from.sa, source);
	log_event(LOG_LEVEL_INFO, "next-hop-ready", "remote=%s source=%s "
	    "helo=%s with=%s offers=%s", conn->remote, source, conn->helo, with,
	    smtp_ehlo_text(smtp_client_ehlo(conn->client), offers));
}

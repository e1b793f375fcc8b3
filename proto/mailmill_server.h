/* A server in a few lines: it listens, runs the loop, and asks the program about
 * senders, recipients and messages.  See mailmill_server(3). */

#ifndef PROTO_MAILMILL_SERVER_H
#define PROTO_MAILMILL_SERVER_H

#include <stddef.h>

#include <mailmill/api.h>

MAILMILL_BEGIN

struct mailmill_server;
struct _accept_construct;	/* esmtp_factory.h */
struct esmtp_host_ops;		/* esmtp_host.h */
struct esmtp_options;		/* esmtp_options.h */

/* A question about a mail: it lives until the function that is asked returns,
 * or, if that returns MAILMILL_LATER, until mailmill_mail_answer().  It is a name,
 * not a pointer to memory, and no other question gets it soon: where pointers
 * have 64 bits, not before 4294967295 more; where they have 32, 65535. */
struct mailmill_mail;

#define MAILMILL_LATER	0

/* A function that is asked: may the sender ${address} send, is the recipient
 * ${address} ours, is the message safe now (${address} is its first recipient)?
 * It returns the code of the reply, 250 for yes; what mailmill_mail_reply()
 * returns; or MAILMILL_LATER. */
typedef int (*mailmill_server_ask)(void *closure, struct mailmill_mail *mail,
    const char *address);

/* mailmill_server_new(hostname, message, closure): A server that takes mail for
 * all, and asks ${message} to make it safe; ${closure} is the first argument of
 * all functions.  Before the first session of the process.  NULL with errno.
 * _on_sender(server, f), _on_rcpt(server, f): Ask ${f}, too.
 * mailmill_server_free(server): Stop it, and drop its sessions; inside one of its
 * functions it ends the process.  NULL does nothing. */
struct mailmill_server *mailmill_server_new(const char *hostname,
    mailmill_server_ask message, void *closure);
void mailmill_server_on_sender(struct mailmill_server *server,
    mailmill_server_ask f);
void mailmill_server_on_rcpt(struct mailmill_server *server,
    mailmill_server_ask f);
void mailmill_server_free(struct mailmill_server *server);

/* Before mailmill_server_listen():
 * _set(server, name, value, error_r, len): An option, as esmtp_options_set().
 * _options(server): Its options.
 * _ops(server): What it does as a host, to be changed by mailmill_tls_host()
 * and mailmill_sasl_host(); also report, if the program wants to know.  The
 * closure of the functions is the server; session_end and peer_changed are its
 * own. */
int mailmill_server_set(struct mailmill_server *server, const char *name,
    const char *value, char *error_r, size_t len);
const struct esmtp_options *mailmill_server_options(
    const struct mailmill_server *server);
struct esmtp_host_ops *mailmill_server_ops(struct mailmill_server *server);

/* mailmill_server_listen(server, address): As netlistener_instantiate_addr(),
 * on the scheduler of the thread, which is made if there is none, and goes with
 * the last server of the thread.  Return 0, or -1 with errno:
 * also EFBIG, memory has no room for a message of Max_Message_Size.
 * _port(server): The port of the last address.
 * _run(server): Run the scheduler, with all servers of the thread, until _stop()
 * is called.  Return 0, or -1 with errno: EEXIST, the program has made the
 * scheduler, and runs it itself; EINVAL, before _listen().
 * _stop(server): In the thread that runs it alone, such as from a function that
 * is asked.  Another thread must not call it. */
int mailmill_server_listen(struct mailmill_server *server,
    const char *address);
int mailmill_server_port(const struct mailmill_server *server);
int mailmill_server_run(struct mailmill_server *server);
void mailmill_server_stop(struct mailmill_server *server);

/* What is known of a mail; all of it lives as long as ${mail}.
 * _sender: "" is the null reverse-path.
 * _rcpt: number ${i} of those that were accepted before, NULL behind the last.
 * _body: ${*len_r} octets, with CRLF, for the function that is asked about
 * messages; else NULL.
 * _session: what the functions of esmtp_factory.h know more of; NULL when the
 * session has ended meanwhile.  In the thread of the server alone. */
const char *mailmill_mail_sender(const struct mailmill_mail *mail);
const char *mailmill_mail_rcpt(const struct mailmill_mail *mail, size_t i);
const char *mailmill_mail_body(const struct mailmill_mail *mail,
    size_t *len_r);
struct _accept_construct *mailmill_mail_session(
    const struct mailmill_mail *mail);

/* mailmill_mail_reply(mail, code, text): The reply in words of the program,
 * "x.y.z text" or text; to be returned: return mailmill_mail_reply(...).
 * mailmill_mail_answer(mail, code, text): The answer after MAILMILL_LATER, from
 * any thread, once: a second answer ends the process.  ${text} may be NULL.
 * Return 0, or -1 with errno ENOENT: the session has ended, and the client does
 * not know that the mail was taken. */
int mailmill_mail_reply(struct mailmill_mail *mail, int code,
    const char *text);
int mailmill_mail_answer(struct mailmill_mail *mail, int code,
    const char *text);

MAILMILL_END

#endif

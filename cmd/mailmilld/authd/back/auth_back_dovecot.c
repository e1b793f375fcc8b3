/* The back end "dovecot:SOCKET": Dovecot's auth service does the mechanisms.
 * Owns: what it is told about the client, and what its answers mean.  Each
 * exchange has a connection of its own. */

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/authd/back/auth_backs.h"
#include "cmd/mailmilld/authd/back/auth_dovecot.h"
#include "core/lim.h"
#include "core/process/log.h"
#include "core/util/base64.h"
#include "core/util/fileio.h"
#include "core/util/wipe.h"

#define ID		"1"	/* of the only request of a connection */

struct relay {
	const char		*path;		/* of the socket: the state */
	const struct auth_client *client;
	struct auth_dovecot	 d;
	char			*login;		/* NULL, or: it was right, and
						 * the client is to answer
						 * the last challenge */
};

static void *
dovecot_open(const char *arg, char *, size_t)
{
	return strdup(arg);
}

static enum auth_verdict
unsure(const struct relay *r, const char *problem)
{
	log_warnx("dovecot-failed", "session=%s socket=%s reason=%s",
	    r->client->session, r->path, problem);
	return AUTH_UNSURE;
}

/* ------------------------------------------------------------ lines out */

static void
put_value(FILE *fp, const char *name, const char *value)
{
	char text[2 * AUTH_LOGIN_MAX + 2];

	if (value != NULL && auth_dovecot_escape(value, text, sizeof(text)) !=
	    -1)
		fprintf(fp, "\t%s=%s", name, text);
}

static int
put_base64(FILE *fp, const char *octets, size_t len)
{
	size_t size = base64_octets(len) + 1;
	char *text = malloc(size);

	if (text == NULL)
		return -1;
	base64_encode(octets, len, text, size);
	fputs(text, fp);
	wipe_free(text, size);
	return 0;
}

static void
put_auth(FILE *fp, const struct auth_client *client, const char *mech)
{
	char address[ADDR_TEXT];
	uint32_t uid;

	/* no-penalty: authd counts failures itself, and Dovecot's penalty, up
	 * to 15 seconds before it looks at a password, would hold a thread */
	fprintf(fp, "AUTH\t" ID "\t%s\tservice=smtp\tno-penalty", mech);
	/* nobody can listen on a Unix socket */
	if (client->is_tls || addr_uid(client->peer, &uid))
		fputs("\tsecured", fp);
	put_value(fp, "session", client->session);
	put_value(fp, "rip", auth_back_address(client, address));
	if (client->peer_name != NULL) {
		fputs("\tvalid-client-cert", fp);
		put_value(fp, "cert_username", client->peer_name);
	}
}

/* Begin the mechanism ${mech}; NULL: go on. */
static int
say(struct relay *r, const char *mech, const char *in, size_t in_len)
{
	char *line = NULL;
	size_t len = 0;
	FILE *fp = open_memstream(&line, &len);
	int rc = 0;

	r->d.problem = "no memory";
	if (fp == NULL)
		return -1;
	if (mech == NULL)
		fputs("CONT\t" ID "\t", fp);
	else {
		put_auth(fp, r->client, mech);
		if (in != NULL)
			fputs("\tresp=", fp);	/* has to be the last */
	}
	if (in != NULL)
		rc = put_base64(fp, in, in_len);
	putc('\n', fp);
	if (fclose(fp) == EOF)
		rc = -1;
	if (len > AUTH_DOVECOT_LINE) {
		r->d.problem = "more octets than the protocol can carry";
		rc = -1;
	}
	if (rc == 0)
		rc = auth_dovecot_send(&r->d, line, len);
	wipe_free(line, len);
	return rc;
}

/* ------------------------------------------------------------ answers */

/* The unescaped value of a field "name=value"; "" for a field "name"; NULL if
 * there is none. */
static char *
value_of(char **fields, int n, const char *name)
{
	size_t len = strlen(name);
	int i;

	for (i = 2; i < n; i++) {
		if (strncmp(fields[i], name, len) != 0)
			continue;
		if (fields[i][len] == '\0')
			return fields[i] + len;
		if (fields[i][len] != '=')
			continue;
		auth_dovecot_unescape(fields[i] + len + 1);
		return fields[i] + len + 1;
	}
	return NULL;
}

/* Decode the base64 ${text} into ${out}. */
static enum auth_verdict
challenge(const struct relay *r, const char *text, struct auth_octets *out)
{
	size_t len = strlen(text);
	ssize_t n = -1;

	if (len <= base64_octets(LIM_AUTH_CHALLENGE) &&
	    (out->s = malloc(LIM_AUTH_CHALLENGE + 1)) != NULL)
		n = base64_decode(text, len, out->s, LIM_AUTH_CHALLENGE);
	if (n == -1)
		return unsure(r, "a challenge that is not base64");
	out->s[n] = '\0';
	out->len = (size_t)n;
	return AUTH_CHALLENGE;
}

/* The answer ${v}, of ${login}. */
static enum auth_verdict
give_login(enum auth_verdict v, const char *login, struct auth_octets *out)
{
	if ((out->s = strdup(login)) == NULL)
		return AUTH_UNSURE;
	out->len = strlen(login);
	return v;
}

static enum auth_verdict
on_cont(struct relay *r, char **fields, int n, struct auth_octets *out)
{
	return challenge(r, n > 2 ? fields[2] : "", out);
}

static enum auth_verdict
on_ok(struct relay *r, char **fields, int n, struct auth_octets *out)
{
	const char *login = value_of(fields, n, "user");
	const char *last = value_of(fields, n, "resp");

	if (login == NULL || *login == '\0' || strlen(login) > AUTH_LOGIN_MAX)
		return unsure(r, "an OK that does not say whose");
	/* the password is right, but the user may not log in here */
	if (value_of(fields, n, "nologin") != NULL ||
	    value_of(fields, n, "proxy") != NULL)
		return give_login(AUTH_NO, login, out);
	if (last == NULL || *last == '\0')
		return give_login(AUTH_YES, login, out);
	/* RFC 4954 4: the 235 reply cannot carry data that comes with the
	 * success; it is sent as a challenge, which the client answers with an
	 * empty line */
	if ((r->login = strdup(login)) == NULL)
		return AUTH_UNSURE;
	return challenge(r, last, out);
}

static enum auth_verdict
on_fail(struct relay *r, char **fields, int n, struct auth_octets *out)
{
	const char *login = value_of(fields, n, "user");
	const char *code = value_of(fields, n, "code");

	/* before version 1.2 of the protocol it was "temp" */
	if ((code != NULL && strcmp(code, "temp_fail") == 0) ||
	    value_of(fields, n, "temp") != NULL)
		return unsure(r, "it cannot tell now: see Dovecot's log");
	if (login != NULL && *login != '\0' && strlen(login) <= AUTH_LOGIN_MAX)
		return give_login(AUTH_NO, login, out);
	return AUTH_NO;
}

static const struct {
	const char	*name;
	enum auth_verdict (*take)(struct relay *r, char **fields, int n,
	    struct auth_octets *out);
} answers[] = {
	{ "OK", on_ok },
	{ "CONT", on_cont },
	{ "FAIL", on_fail },
};
#define NANSWERS	(sizeof(answers) / sizeof(answers[0]))

static enum auth_verdict
receive(struct relay *r, struct auth_octets *out)
{
	char *fields[AUTH_DOVECOT_FIELDS];
	size_t i;
	int n;

	if ((n = auth_dovecot_receive(&r->d, fields)) == -1)
		return unsure(r, r->d.problem);
	for (i = 0; i < NANSWERS; i++)
		if (strcmp(fields[0], answers[i].name) == 0 && n > 1 &&
		    strcmp(fields[1], ID) == 0)
			return answers[i].take(r, fields, n, out);
	return unsure(r, "an answer that is none of OK, CONT and FAIL");
}

/* ------------------------------------------------------------ exchanges */

static void
dovecot_relay_free(void *relay)
{
	struct relay *r = relay;

	if (r == NULL)
		return;
	auth_dovecot_close(&r->d);
	free(r->login);
	wipe_free(r, sizeof(*r));
}

static enum auth_verdict
dovecot_relay_start(void *state, const struct auth_client *client,
    const char *mech, const char *initial, size_t len, void **relay_r,
    struct auth_octets *out)
{
	struct relay *r;

	/* without a certificate Dovecot would believe the client's own name */
	if (strcmp(mech, "EXTERNAL") == 0 && client->peer_name == NULL)
		return AUTH_NO;
	if ((*relay_r = r = calloc(1, sizeof(*r))) == NULL)
		return AUTH_UNSURE;
	r->path = state;
	r->client = client;
	r->d.deadline_ms = client->deadline_ms;
	if (auth_dovecot_open(&r->d, r->path, mech) == -1 ||
	    say(r, mech, initial, len) == -1)
		return unsure(r, r->d.problem);
	return receive(r, out);
}

static enum auth_verdict
dovecot_relay_step(void *relay, const char *response, size_t len,
    struct auth_octets *out)
{
	struct relay *r = relay;

	if (r->login != NULL)
		return give_login(len == 0 ? AUTH_YES : AUTH_NO, r->login, out);
	r->d.deadline_ms = r->client->deadline_ms;
	if (say(r, NULL, response, len) == -1)
		return unsure(r, r->d.problem);
	return receive(r, out);
}

static bool
dovecot_answers(void *state, char *err_r, size_t errlen)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, rc;

	strlcpy(sun.sun_path, state, sizeof(sun.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = connect(fd, (struct sockaddr *)&sun, sizeof(sun));
	/* many wait for it: it is there */
	if (rc == -1 && errno == EAGAIN)
		rc = 0;
	if (rc == -1)
		snprintf(err_r, errlen, "%s: %s", sun.sun_path,
		    strerror(errno));
	fileio_close(fd);
	return rc == 0;
}

const struct auth_back_ops auth_back_dovecot = {
	.open = dovecot_open,
	.free = free,
	.answers = dovecot_answers,
	.relay_start = dovecot_relay_start,
	.relay_step = dovecot_relay_step,
	.relay_free = dovecot_relay_free,
};

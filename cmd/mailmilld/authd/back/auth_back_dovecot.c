/* The back end "dovecot:SOCKET": Dovecot's auth service does the mechanisms.
 * Owns: what it is told about the client, and what its answers mean.  Each
 * exchange has a connection of its own. */

#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/mailmilld/authd/back/auth_back_int.h"
#include "cmd/mailmilld/authd/back/auth_dovecot.h"
#include "core/lim.h"
#include "core/process/log.h"
#include "core/util/base64.h"
#include "core/util/monotonic.h"
#include "core/util/wipe.h"

#define ID		"1"	/* of the only request of a connection */
#define PATIENCE_MS	60000	/* when there is no deadline */

struct relay {
	const char		*path;		/* of the socket: the state */
	struct auth_dovecot	*d;
	char			*login;		/* NULL, or: it was right, and
						 * the client is to answer
						 * the last challenge */
};

static void *
dovecot_open(const char *arg, char *, size_t)
{
	return strdup(arg);
}

static uint64_t
deadline(const struct auth_client *client)
{
	return client->deadline_ms != 0 ? client->deadline_ms :
	    monotonic_ms() + PATIENCE_MS;
}

static enum auth_relay_status
unsure(const char *path, const struct auth_client *client,
    const char *problem)
{
	log_warnx("dovecot-failed", "session=%s socket=%s problem=%s",
	    client->session, path, problem);
	return AUTH_RELAY_UNSURE;
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

/* Close the stream ${fp}, send the line that it wrote to ${line}, free that. */
static int
send_line(struct auth_dovecot *d, FILE *fp, char **line, size_t *len, int rc,
    uint64_t deadline_ms, const char **problem_r)
{
	putc('\n', fp);
	if (fclose(fp) == EOF || rc == -1) {
		*problem_r = "no memory";
		rc = -1;
	} else if (*len > AUTH_DOVECOT_LINE) {
		*problem_r = "more octets than the protocol can carry";
		rc = -1;
	} else
		rc = auth_dovecot_send(d, *line, *len, deadline_ms, problem_r);
	wipe_free(*line, *len);
	return rc;
}

static int
send_auth(struct auth_dovecot *d, const struct auth_client *client,
    const char *mech, const char *peer_name, const char *initial, size_t len,
    const char **problem_r)
{
	char address[ADDR_TEXT], *line = NULL;
	size_t octets = 0;
	FILE *fp = open_memstream(&line, &octets);
	int rc = 0;

	*problem_r = "no memory";
	if (fp == NULL)
		return -1;
	/* no-penalty: authd counts failures itself, and Dovecot's penalty, up
	 * to 15 seconds before it looks at a password, would hold a thread */
	fprintf(fp, "AUTH\t" ID "\t%s\tservice=smtp\tno-penalty", mech);
	if (client->is_tls)
		fputs("\tsecured", fp);
	put_value(fp, "session", client->session);
	put_value(fp, "rip", auth_back_address(client, address));
	if (peer_name != NULL) {
		fputs("\tvalid-client-cert", fp);
		put_value(fp, "cert_username", peer_name);
	}
	if (initial != NULL) {
		fputs("\tresp=", fp);	/* has to be the last */
		rc = put_base64(fp, initial, len);
	}
	return send_line(d, fp, &line, &octets, rc, deadline(client),
	    problem_r);
}

static int
send_cont(struct auth_dovecot *d, const struct auth_client *client,
    const char *response, size_t len, const char **problem_r)
{
	size_t octets = 0;
	char *line = NULL;
	FILE *fp = open_memstream(&line, &octets);
	int rc;

	*problem_r = "no memory";
	if (fp == NULL)
		return -1;
	fputs("CONT\t" ID "\t", fp);
	rc = put_base64(fp, response, len);
	return send_line(d, fp, &line, &octets, rc, deadline(client),
	    problem_r);
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

/* Decode the base64 ${text} into *octets_r; 0 or -1. */
static int
take_challenge(const char *text, char **octets_r, size_t *len_r)
{
	size_t len = strlen(text);
	ssize_t n;

	if (len > base64_octets(LIM_AUTH_CHALLENGE) ||
	    (*octets_r = malloc(LIM_AUTH_CHALLENGE + 1)) == NULL)
		return -1;
	n = base64_decode(text, len, *octets_r, LIM_AUTH_CHALLENGE);
	if (n == -1) {
		free(*octets_r);
		*octets_r = NULL;
		return -1;
	}
	(*octets_r)[n] = '\0';
	*len_r = (size_t)n;
	return 0;
}

static int
give_login(const char *login, char **octets_r, size_t *len_r)
{
	if ((*octets_r = strdup(login)) == NULL)
		return -1;
	*len_r = strlen(login);
	return 0;
}

static enum auth_relay_status
on_cont(struct relay *r, const struct auth_client *client, char **fields,
    int n, char **octets_r, size_t *len_r)
{
	if (take_challenge(n > 2 ? fields[2] : "", octets_r, len_r) == -1)
		return unsure(r->path, client, "a challenge that is not base64");
	return AUTH_RELAY_CHALLENGE;
}

static enum auth_relay_status
on_ok(struct relay *r, const struct auth_client *client, char **fields, int n,
    char **octets_r, size_t *len_r)
{
	const char *login = value_of(fields, n, "user");
	const char *last = value_of(fields, n, "resp");

	if (login == NULL || *login == '\0' || strlen(login) > AUTH_LOGIN_MAX)
		return unsure(r->path, client, "an OK that does not say whose");
	/* the password is right, but the user may not log in here */
	if (value_of(fields, n, "nologin") != NULL ||
	    value_of(fields, n, "proxy") != NULL)
		return give_login(login, octets_r, len_r) == 0 ?
		    AUTH_RELAY_NO : AUTH_RELAY_UNSURE;
	if (last == NULL || *last == '\0')
		return give_login(login, octets_r, len_r) == 0 ?
		    AUTH_RELAY_YES : AUTH_RELAY_UNSURE;
	/* RFC 4954 4: the 235 reply cannot carry data that comes with the
	 * success; it is sent as a challenge, which the client answers with an
	 * empty line */
	if ((r->login = strdup(login)) == NULL ||
	    take_challenge(last, octets_r, len_r) == -1)
		return unsure(r->path, client, "a challenge that is not base64");
	return AUTH_RELAY_CHALLENGE;
}

static enum auth_relay_status
on_fail(struct relay *r, const struct auth_client *client, char **fields,
    int n, char **octets_r, size_t *len_r)
{
	const char *login = value_of(fields, n, "user");
	const char *code = value_of(fields, n, "code");

	/* before version 1.2 of the protocol it was "temp" */
	if ((code != NULL && strcmp(code, "temp_fail") == 0) ||
	    value_of(fields, n, "temp") != NULL)
		return unsure(r->path, client, "it cannot tell now: see "
		    "Dovecot's log");
	if (login != NULL && *login != '\0' && strlen(login) <= AUTH_LOGIN_MAX &&
	    give_login(login, octets_r, len_r) == -1)
		return AUTH_RELAY_UNSURE;
	return AUTH_RELAY_NO;
}

static const struct {
	const char	*name;
	enum auth_relay_status (*take)(struct relay *r,
	    const struct auth_client *client, char **fields, int n,
	    char **octets_r, size_t *len_r);
} answers[] = {
	{ "OK", on_ok },
	{ "CONT", on_cont },
	{ "FAIL", on_fail },
};
#define NANSWERS	(sizeof(answers) / sizeof(answers[0]))

static enum auth_relay_status
receive(struct relay *r, const struct auth_client *client, char **octets_r,
    size_t *len_r)
{
	char *fields[AUTH_DOVECOT_FIELDS];
	const char *problem = "";
	size_t i;
	int n;

	n = auth_dovecot_receive(r->d, fields, deadline(client), &problem);
	if (n == -1)
		return unsure(r->path, client, problem);
	for (i = 0; i < NANSWERS; i++) {
		if (strcmp(fields[0], answers[i].name) == 0 && n > 1 &&
		    strcmp(fields[1], ID) == 0)
			return answers[i].take(r, client, fields, n, octets_r,
			    len_r);
	}
	return unsure(r->path, client, "an answer that is none of OK, CONT and "
	    "FAIL");
}

/* ------------------------------------------------------------ exchanges */

static void
dovecot_relay_free(void *relay)
{
	struct relay *r = relay;

	if (r == NULL)
		return;
	auth_dovecot_free(r->d);
	free(r->login);
	free(r);
}

/* ${peer_name}: the name in the client's verified certificate, or NULL. */
static enum auth_relay_status
start(const char *path, const struct auth_client *client, const char *mech,
    const char *peer_name, const char *initial, size_t len,
    struct relay **relay_r, char **octets_r, size_t *len_r)
{
	const char *problem = "no memory";
	struct relay *r = calloc(1, sizeof(*r));

	*relay_r = r;
	if (r == NULL)
		return unsure(path, client, problem);
	r->path = path;
	r->d = auth_dovecot_open(path, mech, deadline(client), &problem);
	if (r->d == NULL || send_auth(r->d, client, mech, peer_name, initial,
	    len, &problem) == -1)
		return unsure(path, client, problem);
	return receive(r, client, octets_r, len_r);
}

static enum auth_relay_status
dovecot_relay_start(void *state, const struct auth_client *client,
    const char *mech, const char *initial, size_t len, void **relay_r,
    char **octets_r, size_t *len_r)
{
	enum auth_relay_status status;
	struct relay *r = NULL;

	/* without a certificate Dovecot would believe the client's own name */
	if (strcmp(mech, "EXTERNAL") == 0 && client->peer_name == NULL)
		return AUTH_RELAY_NO;
	status = start(state, client, mech, client->peer_name, initial, len, &r,
	    octets_r, len_r);
	*relay_r = r;
	return status;
}

static enum auth_relay_status
dovecot_relay_step(void *relay, const struct auth_client *client,
    const char *response, size_t len, char **octets_r, size_t *len_r)
{
	struct relay *r = relay;
	const char *problem;

	if (r->login != NULL) {
		if (give_login(r->login, octets_r, len_r) == -1)
			return AUTH_RELAY_UNSURE;
		return len == 0 ? AUTH_RELAY_YES : AUTH_RELAY_NO;
	}
	if (send_cont(r->d, client, response, len, &problem) == -1)
		return unsure(r->path, client, problem);
	return receive(r, client, octets_r, len_r);
}

/* Run a mechanism of which the only message is ${initial}.  ${last} answers the
 * challenge that tells of a failure; NULL: there is no such challenge. */
static enum auth_verdict
ask(const char *path, const struct auth_client *client, const char *mech,
    const char *peer_name, const char *initial, size_t len, const char *last)
{
	enum auth_relay_status status;
	struct relay *r;
	char *octets = NULL;
	size_t octets_len = 0;

	status = start(path, client, mech, peer_name, initial, len, &r, &octets,
	    &octets_len);
	if (status == AUTH_RELAY_CHALLENGE && r->login != NULL)
		status = AUTH_RELAY_YES;
	if (status == AUTH_RELAY_CHALLENGE && last != NULL) {
		free(octets);
		octets = NULL;
		status = dovecot_relay_step(r, client, last, strlen(last),
		    &octets, &octets_len);
		if (status == AUTH_RELAY_YES)
			status = AUTH_RELAY_UNSURE;
	}
	free(octets);
	dovecot_relay_free(r);
	if (status == AUTH_RELAY_YES)
		return AUTH_YES;
	return status == AUTH_RELAY_NO ? AUTH_NO : AUTH_UNSURE;
}

/* As PLAIN (RFC 4616 2). */
static enum auth_verdict
dovecot_password(void *state, const struct auth_client *client,
    const char *login, const char *password)
{
	size_t login_len = strlen(login), password_len = strlen(password);
	size_t len = login_len + password_len + 2;
	char *message = malloc(len + 1);
	enum auth_verdict v;

	if (message == NULL)
		return AUTH_UNSURE;
	message[0] = '\0';
	memcpy(message + 1, login, login_len + 1);
	memcpy(message + 2 + login_len, password, password_len + 1);
	v = ask(state, client, "PLAIN", NULL, message, len, NULL);
	wipe_free(message, len);
	return v;
}

/* As OAUTHBEARER (RFC 7628 3.1), with the name as a saslname (RFC 5801 4). */
static enum auth_verdict
dovecot_token(void *state, const struct auth_client *client,
    const char *login, const char *token)
{
	enum auth_verdict v = AUTH_UNSURE;
	char *message = NULL;
	size_t len = 0;
	FILE *fp = open_memstream(&message, &len);

	if (fp == NULL)
		return AUTH_UNSURE;
	fputs("n,a=", fp);
	for (; *login != '\0'; login++) {
		if (*login == ',')
			fputs("=2C", fp);
		else if (*login == '=')
			fputs("=3D", fp);
		else
			putc(*login, fp);
	}
	fprintf(fp, ",\001auth=Bearer %s\001\001", token);
	if (fclose(fp) == 0)
		v = strpbrk(token, "\001\r\n") != NULL ? AUTH_NO :
		    ask(state, client, "OAUTHBEARER", NULL, message, len,
		    "\001");
	wipe_free(message, len);
	return v;
}

static enum auth_verdict
dovecot_exists(void *state, const struct auth_client *client,
    const char *login)
{
	return ask(state, client, "EXTERNAL", login, login, strlen(login),
	    NULL);
}

const struct auth_back_ops auth_back_dovecot = {
	.open = dovecot_open,
	.free = free,
	.password = dovecot_password,
	.token = dovecot_token,
	.exists = dovecot_exists,
	.relay_start = dovecot_relay_start,
	.relay_step = dovecot_relay_step,
	.relay_free = dovecot_relay_free,
};

/* See sasl_client.h: PLAIN, LOGIN and tokens; sasl_client_scram.c has SCRAM. */

#include "proto/sasl/sasl_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/saslprep.h"
#include "core/util/wipe.h"
#include "proto/auth/esmtp_auth_mech.h"
#include "proto/sasl/sasl_client_int.h"

/* RFC 4616 2: [authzid] NUL authcid NUL passwd */
static int
plain(struct sasl_client *x, const char *, size_t, struct sasl_client_out *out)
{
	size_t user = strlen(x->user), secret = strlen(x->secret);
	char *s;

	if (x->nsteps > 0)
		return errno = EPROTO, -1;
	if ((s = malloc(user + secret + 2)) == NULL)
		return -1;
	s[0] = '\0';
	memcpy(s + 1, x->user, user + 1);
	memcpy(s + user + 2, x->secret, secret);
	out->s = s;
	out->len = user + secret + 2;
	x->is_done = true;
	return 0;
}

/* No RFC.  The server asks twice, in words that differ. */
static int
login(struct sasl_client *x, const char *, size_t, struct sasl_client_out *out)
{
	if (x->nsteps > 1)
		return errno = EPROTO, -1;
	x->is_done = x->nsteps == 1;
	if ((out->s = strdup(x->nsteps == 0 ? x->user : x->secret)) == NULL)
		return -1;
	out->len = strlen(out->s);
	return 0;
}

/* RFC 7628 3.1, with its escapes of RFC 5802 5.1.  A challenge tells what is
 * wrong with the token; the answer to it is KVSEP, and then the server refuses.
 * */
static int
oauthbearer(struct sasl_client *x, const char *, size_t,
    struct sasl_client_out *out)
{
	char name[3 * SASL_CLIENT_NAME_MAX + 1];

	if (x->nsteps > 1)
		return errno = EPROTO, -1;
	sasl_client_saslname(x->user, name);
	if ((x->nsteps > 0 ? asprintf(&out->s, "\1") :
	    asprintf(&out->s, "n,a=%s,\1auth=Bearer %s\1\1", name,
	    x->secret)) == -1) {
		out->s = NULL;
		return errno = ENOMEM, -1;
	}
	x->is_done = x->nsteps == 0;
	out->len = strlen(out->s);
	return 0;
}

/* developers.google.com: the answer to a challenge is empty. */
static int
xoauth2(struct sasl_client *x, const char *, size_t,
    struct sasl_client_out *out)
{
	if (x->nsteps > 1)
		return errno = EPROTO, -1;
	if ((x->nsteps > 0 ? asprintf(&out->s, "%s", "") :
	    asprintf(&out->s, "user=%s\1auth=Bearer %s\1\1", x->user,
	    x->secret)) == -1) {
		out->s = NULL;
		return errno = ENOMEM, -1;
	}
	x->is_done = x->nsteps == 0;
	out->len = strlen(out->s);
	return 0;
}

#define SCRAM	sasl_client_scram, sasl_client_scram_go_on

static const struct sasl_client_mech mechs[] = {
	{ "SCRAM-SHA-256-PLUS", true,  false, true,  SCRAM },
	{ "SCRAM-SHA-256",	true,  false, false, SCRAM },
	{ "SCRAM-SHA-1-PLUS",	true,  false, true,  SCRAM },
	{ "SCRAM-SHA-1",	true,  false, false, SCRAM },
	{ "OAUTHBEARER",	true,  true,  false, oauthbearer, NULL },
	{ "XOAUTH2",		true,  true,  false, xoauth2, NULL },
	{ "PLAIN",		true,  false, false, plain, NULL },
	{ "LOGIN",		false, false, false, login, NULL },
};

static const struct sasl_client_mech *
find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(mechs) / sizeof(mechs[0]); i++)
		if (strcmp(mechs[i].name, name) == 0)
			return &mechs[i];
	return NULL;
}

static bool
can_do(const struct sasl_client_mech *m, const struct sasl_client_login *login)
{
	return m != NULL && m->is_token == login->is_token &&
	    (!m->is_plus || login->binding_len > 0);
}

/* The rows have the stronger ones first. */
static const char *
choose(const struct sasl_client_login *login, bool is_plus)
{
	const struct esmtp_auth_mech *row;
	const struct sasl_client_mech *m;
	size_t i;

	for (i = 0; (row = esmtp_auth_mech_at(i)) != NULL; i++) {
		m = find(row->name);
		if (login->mechanisms & (1u << i) && can_do(m, login) &&
		    m->is_plus == is_plus)
			return row->name;
	}
	return NULL;
}

const char *
sasl_client_choose(const struct sasl_client_login *login)
{
	const char *name = choose(login, true);

	return name != NULL ? name : choose(login, false);
}

/* RFC 5802 6: does the server seem to know channel binding? */
static bool
has_plus(unsigned int mechanisms)
{
	const struct esmtp_auth_mech *row;
	size_t i;

	for (i = 0; (row = esmtp_auth_mech_at(i)) != NULL; i++)
		if (mechanisms & (1u << i) &&
		    esmtp_auth_mech_is_plus(row->name, strlen(row->name)))
			return true;
	return false;
}

/* SASLprep, RFC 4013: as the server stores them.  A token is no text of people.
 * */
static int
prepare(struct sasl_client *x, const struct sasl_client_login *login)
{
	if (login->is_token) {
		if (strlen(login->user) >= sizeof(x->user) ||
		    strlen(login->secret) >= sizeof(x->secret) ||
		    strchr(login->user, '\1') || strchr(login->secret, '\1'))
			return errno = EINVAL, -1;
		strcpy(x->user, login->user);
		strcpy(x->secret, login->secret);
		return 0;
	}
	if (saslprep_text(login->user, x->user, sizeof(x->user)) == -1 ||
	    saslprep_text(login->secret, x->secret, sizeof(x->secret)) == -1)
		return errno = errno == ENAMETOOLONG ? EINVAL : errno, -1;
	return 0;
}

struct sasl_client *
sasl_client_new(const char *mechanism, const struct sasl_client_login *login)
{
	const struct sasl_client_mech *m = find(mechanism);
	struct sasl_client *x;

	if (!can_do(m, login) || (login->binding_len > 0 &&
	    (login->binding_len > sizeof(x->binding) ||
	    strlen(login->binding_type) >= sizeof(x->binding_type))))
		return errno = EINVAL, NULL;
	if ((x = calloc(1, sizeof(*x))) == NULL)
		return NULL;
	x->mech = m;
	x->is_plus_offered = has_plus(login->mechanisms);
	x->binding_len = login->binding_len;
	if (login->binding_len > 0) {
		strcpy(x->binding_type, login->binding_type);
		memcpy(x->binding, login->binding, login->binding_len);
	}
	if (prepare(x, login) == -1 || sasl_client_nonce(x, login->nonce) ==
	    -1) {
		int errnum = errno;

		sasl_client_free(x);
		return errno = errnum, NULL;
	}
	return x;
}

void
sasl_client_free(struct sasl_client *x)
{
	if (x == NULL)
		return;
	sasl_client_scram_end(x);
	free(x->bare);
	wipe_free(x, sizeof(*x));
}

/* What a step of the mechanism has come to: ${rc}. */
static int
stepped(struct sasl_client *x, int rc, struct sasl_client_out *out,
    char **out_r, size_t *len_r)
{
	int errnum = errno;

	*out_r = NULL;
	*len_r = 0;
	if (rc == -1) {
		x->is_done = false;
		wipe_free(out->s, out->len);
		return errno = errnum, -1;
	}
	if (rc == 1)
		return 1;
	x->nsteps++;
	*out_r = out->s;
	*len_r = out->len;
	return 0;
}

static int
step(struct sasl_client *x, const char *in, size_t len, char **out_r,
    size_t *len_r)
{
	struct sasl_client_out out = { .s = NULL };

	x->is_done = false;
	return stepped(x, x->mech->step(x, in, len, &out), &out, out_r, len_r);
}

int
sasl_client_begin(struct sasl_client *x, char **out_r, size_t *len_r)
{
	if (x->mech->is_first)
		return step(x, NULL, 0, out_r, len_r);
	*out_r = NULL;
	*len_r = 0;
	return 0;
}

int
sasl_client_step(struct sasl_client *x, const char *challenge, size_t len,
    char **out_r, size_t *len_r)
{
	return step(x, challenge, len, out_r, len_r);
}

int
sasl_client_go_on(struct sasl_client *x, char **out_r, size_t *len_r)
{
	struct sasl_client_out out = { .s = NULL };

	return stepped(x, x->mech->go_on(x, &out), &out, out_r, len_r);
}

bool
sasl_client_is_done(const struct sasl_client *x)
{
	return x->is_done;
}

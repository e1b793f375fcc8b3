/* The back end "passwd:FILE".
 * Owns: the file in memory, which is read again when it has changed; the fake
 * SCRAM keys of unknown users.
 * If a changed file cannot be used, that is logged once and the old one stays
 * in use. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "cmd/mailmilld/authd/back/auth_backs.h"
#include "core/process/log.h"
#include "core/table/passwdfile.h"
#include "core/util/wipe.h"

/* A file as it was read.  Threads may still use it when a newer one has taken
 * its place. */
struct shared {
	struct passwdfile	*file;
	unsigned int		 users;		/* under the lock of the back end */
};

struct passwd {
	pthread_mutex_t		 lock;		/* not held while hashing */
	struct shared		*now;
	struct passwdfile_stamp	 bad;		/* of a file that was refused */
	uint8_t			 secret[PASSWDFILE_SECRET];
	char			*path;
};

static struct shared *
load(const char *path, char *err_r, size_t errlen)
{
	struct shared *s = calloc(1, sizeof(*s));
	unsigned int iterations;
	unsigned long line = 0;

	snprintf(err_r, errlen, "%s: no memory", path);
	if (s == NULL)
		return NULL;
	if ((s->file = passwdfile_open(path, err_r, errlen)) == NULL) {
		free(s);
		return NULL;
	}
	s->users = 1;
	if (passwdfile_is_exposed(s->file))
		log_warnx("passwd-exposed", "file=%s reason=%s", path,
		    "others may read or change it: chmod o=,g-w");
	if ((iterations = passwdfile_excess(s->file, &line)) > 0)
		log_warnx("passwd-iterations", "file=%s line=%lu iterations=%u "
		    "reason=%s", path, line, iterations, "Postfix and other "
		    "clients with Cyrus SASL refuse more than 65536: set these "
		    "passwords anew");
	return s;
}

/* The caller has the lock. */
static void
let_go(struct shared *s)
{
	if (s == NULL || --s->users > 0)
		return;
	passwdfile_free(s->file);
	free(s);
}

/* Read the file again if it has changed, unless it was refused as it is.  The
 * caller has the lock. */
static void
refresh(struct passwd *p)
{
	char err[PASSWDFILE_ERROR_MAX + 1024];
	struct passwdfile_stamp stamp;
	struct shared *s;

	if (!passwdfile_is_stale(p->now->file))
		return;
	passwdfile_look(p->path, &stamp);
	if (memcmp(&stamp, &p->bad, sizeof(stamp)) == 0)
		return;
	if ((s = load(p->path, err, sizeof(err))) == NULL) {
		p->bad = stamp;
		log_errx("passwd-bad", "file=%s reason=%s effect=%s", p->path,
		    err, "the users of before stay in use");
		return;
	}
	memset(&p->bad, 0xff, sizeof(p->bad));
	let_go(p->now);
	p->now = s;
	log_event(LOG_LEVEL_NOTICE, "passwd-read", "file=%s", p->path);
}

static struct shared *
take(struct passwd *p)
{
	struct shared *s;

	pthread_mutex_lock(&p->lock);
	refresh(p);
	s = p->now;
	s->users++;
	pthread_mutex_unlock(&p->lock);
	return s;
}

static void
give_back(struct passwd *p, struct shared *s)
{
	pthread_mutex_lock(&p->lock);
	let_go(s);
	pthread_mutex_unlock(&p->lock);
}

static void
passwd_free(void *state)
{
	struct passwd *p = state;

	let_go(p->now);
	pthread_mutex_destroy(&p->lock);
	free(p->path);
	wipe_free(p, sizeof(*p));
}

static void *
passwd_open(const char *arg, char *err_r, size_t errlen)
{
	struct passwd *p = calloc(1, sizeof(*p));

	if (p == NULL || (p->path = strdup(arg)) == NULL ||
	    (p->now = load(arg, err_r, errlen)) == NULL)
		goto err1;
	pthread_mutex_init(&p->lock, NULL);
	memset(&p->bad, 0xff, sizeof(p->bad));
	arc4random_buf(p->secret, sizeof(p->secret));
	return p;
err1:
	if (p != NULL)
		free(p->path);
	free(p);
	return NULL;
}

static enum auth_verdict
check(struct passwd *p, int (*verify)(const struct passwdfile *f,
    const char *name, const char *secret), const char *login,
    const char *secret)
{
	struct shared *s = take(p);
	int rc = verify(s->file, login, secret);

	if (rc == -1)
		log_warn("passwd-check-failed", "file=%s", p->path);
	give_back(p, s);
	return rc == 1 ? AUTH_YES : rc == 0 ? AUTH_NO : AUTH_UNSURE;
}

static enum auth_verdict
passwd_password(void *state, const struct auth_client *,
    const char *login, const char *password)
{
	return check(state, passwdfile_verify, login, password);
}

static enum auth_verdict
passwd_token(void *state, const struct auth_client *, const char *login,
    const char *token)
{
	return check(state, passwdfile_verify_token, login, token);
}

static enum auth_verdict
passwd_exists(void *state, const struct auth_client *, const char *login)
{
	struct passwd *p = state;
	struct shared *s = take(p);
	enum auth_verdict v;

	v = passwdfile_find(s->file, login) != NULL ? AUTH_YES : AUTH_NO;
	give_back(p, s);
	return v;
}

/* Octets that depend on the file's secret, ${what} and ${login} alone. */
static int
derive(const struct passwd *p, const struct passwdfile *f, const char *what,
    const char *login, uint8_t out[32])
{
	uint8_t secret[PASSWDFILE_SECRET];
	char text[AUTH_LOGIN_MAX + 32];
	int rc;

	if (!passwdfile_secret(f, secret))
		memcpy(secret, p->secret, sizeof(secret));
	snprintf(text, sizeof(text), "%s %s", what, login);
	rc = HMAC(EVP_sha256(), secret, sizeof(secret),
	    (const unsigned char *)text, strlen(text), out, NULL) == NULL ? -1 :
	    0;
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

/* The fake keys of an unknown user: RFC 5802 9 wants an exchange that cannot be
 * told from that of a known one. */
static int
invent(const struct passwd *p, const struct passwdfile *f, const char *login,
    enum passwdfile_scram_hash hash, struct passwdfile_scram *scram_r)
{
	bool is_256 = hash == PASSWDFILE_SHA256;

	passwdfile_common_scram(f, hash, &scram_r->iterations,
	    &scram_r->salt_len);
	scram_r->key_len = is_256 ? 32 : 20;
	if (derive(p, f, is_256 ? "salt 256" : "salt 1", login,
	    scram_r->salt) == -1 ||
	    derive(p, f, is_256 ? "more 256" : "more 1", login,
	    scram_r->salt + 32) == -1 ||
	    derive(p, f, "stored", login, scram_r->stored_key) == -1 ||
	    derive(p, f, "server", login, scram_r->server_key) == -1)
		return -1;
	return 0;
}

static enum auth_verdict
passwd_scram(void *state, const struct auth_client *, const char *login,
    enum passwdfile_scram_hash hash, struct passwdfile_scram *scram_r)
{
	struct passwd *p = state;
	struct shared *s = take(p);
	const struct passwdfile_entry *e = passwdfile_find(s->file, login);
	enum auth_verdict v = AUTH_YES;

	/* for known users too, so that both take the same time */
	if (invent(p, s->file, login, hash, scram_r) == -1)
		v = AUTH_UNSURE;
	if (e != NULL && e->scram[hash] != NULL)
		*scram_r = *e->scram[hash];
	else if (v == AUTH_YES)
		v = AUTH_NO;
	give_back(p, s);
	return v;
}

static enum auth_verdict
passwd_cleartext(void *state, const struct auth_client *,
    const char *login, char *buf, size_t len)
{
	struct passwd *p = state;
	struct shared *s = take(p);
	const struct passwdfile_entry *e = passwdfile_find(s->file, login);
	enum auth_verdict v = AUTH_NO;
	uint8_t other[32];
	size_t i;

	/* for known users too, so that both take the same time */
	if (len <= 2 * sizeof(other) ||
	    derive(p, s->file, "cleartext", login, other) == -1)
		v = AUTH_UNSURE;
	for (i = 0; v == AUTH_NO && i < sizeof(other); i++)
		snprintf(buf + 2 * i, 3, "%02x", other[i]);
	if (v == AUTH_NO && e != NULL && e->cleartext != NULL)
		v = strlcpy(buf, e->cleartext, len) < len ? AUTH_YES :
		    AUTH_UNSURE;
	give_back(p, s);
	return v;
}

const struct auth_back_ops auth_back_passwd = {
	.open = passwd_open,
	.free = passwd_free,
	.password = passwd_password,
	.token = passwd_token,
	.exists = passwd_exists,
	.scram = passwd_scram,
	.cleartext = passwd_cleartext,
};

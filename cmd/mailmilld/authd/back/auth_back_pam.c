/* The back end "pam:SERVICE": Linux-PAM.
 * Owns: the conversation, what PAM's answers mean.  Each check has a handle of
 * its own, so that several threads can check at once.
 * A failure takes as long as the slowest check lately, up to SLOWEST_MS, since
 * modules answer at once for users that do not exist.  The delay of
 * pam_fail_delay(3) is left out: it would hold a thread of the pool. */

#include <security/pam_appl.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/mailmilld/authd/back/auth_backs.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"
#include "core/util/wipe.h"

#define PROMPTS_MAX	16	/* messages of a module in one call */
#define SLOWEST_MS	1000

struct pam {
	atomic_int	 slowest_ms;	/* that a check took lately */
	char		*service;
};

/* What the conversation answers with. */
struct answers {
	const char	*login, *password;	/* NULL: there is none */
};

/* Is there a file for the service?  Without one PAM uses /etc/pam.d/other,
 * which nearly always denies all logins, and nothing would say why. */
static bool
is_there(const char *service)
{
	static const char *const folders[] = { "/etc/pam.d", "/usr/lib/pam.d",
	    "/usr/share/pam.d", "/usr/etc/pam.d" };
	char path[128];
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], service);
		if (access(path, F_OK) == 0)
			return true;
	}
	return access("/etc/pam.d", F_OK) == -1 &&
	    access("/etc/pam.conf", F_OK) == 0;
}

static void *
pam_open(const char *arg, char *err_r, size_t errlen)
{
	struct pam *p;

	if (!is_there(arg)) {
		snprintf(err_r, errlen, "/etc/pam.d/%s: there is no such file: "
		    "make it, pam.d(5) says how", arg);
		return NULL;
	}
	if ((p = calloc(1, sizeof(*p))) == NULL ||
	    (p->service = strdup(arg)) == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

static void
pam_free(void *state)
{
	struct pam *p = state;

	free(p->service);
	free(p);
}

/* The answer to one message, malloced.  NULL with errno 0: it wants none. */
static char *
answer(const struct pam_message *m, const struct answers *a)
{
	const char *s = NULL;

	errno = 0;
	if (m->msg_style == PAM_PROMPT_ECHO_OFF)
		s = a->password;
	else if (m->msg_style == PAM_PROMPT_ECHO_ON)
		s = a->login;
	else if (m->msg_style == PAM_TEXT_INFO || m->msg_style == PAM_ERROR_MSG)
		return NULL;
	if (s == NULL) {
		errno = EINVAL;
		return NULL;
	}
	return strdup(s);
}

static int
converse(int n, const struct pam_message **messages,
    struct pam_response **responses_r, void *closure)
{
	struct pam_response *r;
	int i;

	if (n <= 0 || n > PROMPTS_MAX)
		return PAM_CONV_ERR;
	if ((r = calloc((size_t)n, sizeof(*r))) == NULL)
		return PAM_BUF_ERR;
	for (i = 0; i < n; i++) {
		r[i].resp = answer(messages[i], closure);
		if (r[i].resp == NULL && errno != 0)
			goto err1;
	}
	*responses_r = r;
	return PAM_SUCCESS;
err1:
	while (i-- > 0) {
		if (r[i].resp != NULL)
			wipe_free(r[i].resp, strlen(r[i].resp));
	}
	free(r);
	return PAM_CONV_ERR;
}

static void
no_delay(int, unsigned int, void *)
{
}

static int
set_items(pam_handle_t *h, const struct auth_client *client)
{
	union {
		void	(*func)(int, unsigned int, void *);
		const void *p;
	} delay = { .func = no_delay };
	char address[ADDR_TEXT];
	const char *host = auth_back_address(client, address);
	int rc;

	if ((rc = pam_set_item(h, PAM_FAIL_DELAY, delay.p)) != PAM_SUCCESS ||
	    (rc = pam_set_item(h, PAM_TTY, "smtp")) != PAM_SUCCESS)
		return rc;
	return host == NULL ? PAM_SUCCESS : pam_set_item(h, PAM_RHOST, host);
}

/* Does ${rc} mean no?  All other failures mean that PAM has no verdict. */
static bool
is_no(int rc)
{
	static const int no[] = { PAM_AUTH_ERR, PAM_USER_UNKNOWN, PAM_MAXTRIES,
	    PAM_PERM_DENIED, PAM_ACCT_EXPIRED, PAM_NEW_AUTHTOK_REQD,
	    PAM_CRED_EXPIRED, PAM_AUTHTOK_EXPIRED };
	size_t i;

	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (rc == no[i])
			return true;
	}
	return false;
}

/* Ask PAM.  NULL ${password}: only whether the account may be used. */
static enum auth_verdict
ask(const struct pam *p, const struct auth_client *client, const char *login,
    const char *password)
{
	struct answers answers = { login, password };
	const struct pam_conv conv = { converse, &answers };
	const int flags = PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK;
	pam_handle_t *h = NULL;
	enum auth_verdict v = AUTH_YES;
	int rc;

	rc = pam_start(p->service, login, &conv, &h);
	if (rc == PAM_SUCCESS)
		rc = set_items(h, client);
	if (rc == PAM_SUCCESS && password != NULL)
		rc = pam_authenticate(h, flags);
	if (rc == PAM_SUCCESS)
		rc = pam_acct_mgmt(h, flags);
	if (rc != PAM_SUCCESS)
		v = is_no(rc) ? AUTH_NO : AUTH_UNSURE;
	if (v == AUTH_UNSURE)
		log_warnx("pam-failed", "service=%s reason=%s session=%s",
		    p->service, pam_strerror(h, rc), client->session);
	if (h != NULL)
		pam_end(h, rc);
	return v;
}

static int
least(uint64_t a, uint64_t b)
{
	return (int)(a < b ? a : b);
}

/* Wait until a failure has taken as long as the slowest check.  Only successes
 * lower that time: failures can be quick, as they are for unknown users. */
static void
even_out(struct pam *p, enum auth_verdict v, uint64_t start_ms)
{
	int took = least(monotonic_ms() - start_ms, SLOWEST_MS);
	int slowest = atomic_load(&p->slowest_ms), rest;
	struct timespec ts;

	if (took > slowest)
		atomic_store(&p->slowest_ms, took);
	else if (v == AUTH_YES)
		atomic_store(&p->slowest_ms, slowest - (slowest - took) / 16);
	rest = slowest - took;
	if (v != AUTH_NO || rest <= 0)
		return;
	ts.tv_sec = rest / 1000;
	ts.tv_nsec = rest % 1000 * 1000000L;
	nanosleep(&ts, NULL);
}

static enum auth_verdict
pam_password(void *state, const struct auth_client *client, const char *login,
    const char *password)
{
	uint64_t start_ms = monotonic_ms();
	struct pam *p = state;
	enum auth_verdict v = AUTH_NO;

	if (*login != '\0' && strlen(password) < PAM_MAX_RESP_SIZE)
		v = ask(p, client, login, password);
	even_out(p, v, start_ms);
	return v;
}

static enum auth_verdict
pam_exists(void *state, const struct auth_client *client, const char *login)
{
	return *login == '\0' ? AUTH_NO : ask(state, client, login, NULL);
}

const struct auth_back_ops auth_back_pam = {
	.open = pam_open,
	.free = pam_free,
	.password = pam_password,
	.token = pam_password,
	.exists = pam_exists,
};

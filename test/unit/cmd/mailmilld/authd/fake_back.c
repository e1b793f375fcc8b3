/* Back ends for the tests of authd: see fake_back.h. */

#include "test/unit/cmd/mailmilld/authd/fake_back.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool is_open;
static int nwaiting;

static void
gate_wait(void)
{
	pthread_mutex_lock(&gate_lock);
	nwaiting++;
	pthread_cond_broadcast(&gate_cond);
	while (!is_open)
		pthread_cond_wait(&gate_cond, &gate_lock);
	pthread_mutex_unlock(&gate_lock);
}

int
fake_back_at_gate(void)
{
	int n;

	pthread_mutex_lock(&gate_lock);
	n = nwaiting;
	pthread_mutex_unlock(&gate_lock);
	return n;
}

void
fake_back_open_gate(void)
{
	pthread_mutex_lock(&gate_lock);
	is_open = true;
	pthread_cond_broadcast(&gate_cond);
	pthread_mutex_unlock(&gate_lock);
}

static enum auth_verdict
fake_password(void *, const struct auth_client *, const char *login,
    const char *password)
{
	if (strcmp(login, "slow") == 0)
		gate_wait();
	if (strcmp(login, "down") == 0)
		return AUTH_UNSURE;
	return strcmp(password, "pencil") == 0 ? AUTH_YES : AUTH_NO;
}

static void
fake_free(void *)
{
}

const struct auth_back_ops fake_back_ops = {
	.free = fake_free, .password = fake_password
};

/* One that does the mechanisms itself. */
static enum auth_verdict
relay_start(void *, const struct auth_client *, const char *,
    const char *initial, size_t len, void **relay_r, struct auth_octets *out)
{
	*relay_r = NULL;
	if (memmem(initial, len, "pencil", 6) == NULL)
		return AUTH_NO;
	out->s = strdup("user");
	out->len = 4;
	return AUTH_YES;
}

const struct auth_back_ops fake_back_relay_ops = {
	.free = fake_free, .relay_start = relay_start, .relay_free = fake_free
};

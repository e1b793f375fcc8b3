/* See send_envelope.h. */

#include "cmd/sendmail/send_envelope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/spool.h"

#define FLAGS	(SPOOL_ENV_8BITMIME | SPOOL_ENV_SMTPUTF8 | SPOOL_ENV_RET_FULL | \
		SPOOL_ENV_RET_HDRS)
#define NOTIFY	(SPOOL_NOTIFY_NEVER | SPOOL_NOTIFY_SUCCESS | \
		SPOOL_NOTIFY_FAILURE | SPOOL_NOTIFY_DELAY)

void
send_envelope_write(const struct send_envelope *env, FILE *out)
{
	size_t i;

	fprintf(out, SEND_ENVELOPE_HEAD "\nS%s\nF%u\nN%u\n", env->sender,
	    env->flags, env->notify);
	if (env->envid[0] != '\0')
		fprintf(out, "E%s\n", env->envid);
	for (i = 0; i < env->rcpts.n; i++)
		fprintf(out, "R%s\n", env->rcpts.v[i]);
	fputc('\n', out);
}

/* A number of only those bits.  Return 0 or -1. */
static int
read_bits(const char *s, size_t len, unsigned int bits, unsigned int *n_r)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < len && i < 8; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		n = n * 10 + (unsigned int)(s[i] - '0');
	}
	if (i == 0 || i < len || (n & ~bits) != 0)
		return -1;
	*n_r = n;
	return 0;
}

/* The address in the form that mailaddr_format() gives it */
static int
read_address(const char *s, size_t len, char out[SEND_ADDRESS_MAX])
{
	return send_address(s, len, NULL, out) == 0 && strlen(out) == len &&
	    memcmp(out, s, len) == 0 ? 0 : -1;
}

static int
read_envid(const char *s, size_t len, struct send_envelope *env)
{
	size_t i;

	if (len == 0 || len > LIM_ENVID)
		return -1;
	for (i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] >= 127)
			return -1;
	memcpy(env->envid, s, len);
	env->envid[len] = '\0';
	return 0;
}

/* A line behind the first one: its letter, and ${len} octets */
static int
read_line(char letter, const char *s, size_t len, struct send_envelope *env)
{
	char address[SEND_ADDRESS_MAX];
	unsigned int n;

	switch (letter) {
	case 'S':
		return len == 0 ? 0 : read_address(s, len, env->sender);
	case 'F':
		return read_bits(s, len, FLAGS, &env->flags);
	case 'N':
		if (read_bits(s, len, NOTIFY, &n) == -1)
			return -1;
		env->notify = (uint8_t)n;
		return 0;
	case 'E':
		return read_envid(s, len, env);
	case 'R':
		if (env->rcpts.n == SEND_ENVELOPE_RCPTS ||
		    read_address(s, len, address) == -1)
			return -1;
		return send_list_add(&env->rcpts, address);
	default:
		return -1;
	}
}

ssize_t
send_envelope_read(const char *s, size_t len, struct send_envelope *env_r)
{
	static const char head[] = SEND_ENVELOPE_HEAD "\n";
	const char *p = s + strlen(head), *end = s + len, *lf;

	if (len >= strlen(head) && memcmp(s, head, strlen(head)) == 0) {
		for (; (lf = memchr(p, '\n', (size_t)(end - p))) != NULL;
		    p = lf + 1) {
			if (lf == p && env_r->rcpts.n > 0)
				return lf + 1 - s;
			errno = 0;
			if (lf == p || read_line(*p, p + 1, (size_t)(lf - p) -
			    1, env_r) == -1)
				goto err1;
		}
	}
	errno = 0;
err1:
	if (errno != ENOMEM)
		errno = EBADMSG;
	send_envelope_free(env_r);
	return -1;
}

void
send_envelope_free(struct send_envelope *env)
{
	send_list_free(&env->rcpts);
}

/* What Dovecot's auth service, or who is in its place, says: which mechanism,
 * flags, the client's messages, a line each, up to an empty line; then all that
 * the service sends. */

#include "test/fuzz/fuzz.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/authd/back/auth_backs.h"
#include "core/process/log.h"
#include "core/util/monotonic.h"
#include "proto/sasl/auth_mech.h"
#include "test/fuzz/folder.h"

#define STEPS		4
#define MESSAGE_MAX	256
#define PATIENCE_MS	2000

struct service {
	int			 fd;	/* where it listens */
	const uint8_t		*p;	/* what it says to whoever connects */
	size_t			 len;
	pthread_t		 thread;
};

static void *
serve(void *arg)
{
	const struct service *s = arg;
	char heard[4096];
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) != -1) {
		if (s->len > 0)
			(void)send(fd, s->p, s->len, MSG_NOSIGNAL);
		(void)shutdown(fd, SHUT_WR);
		while (read(fd, heard, sizeof(heard)) > 0)
			continue;
		close(fd);
	}
	return NULL;
}

static void
service_open(struct service *s, char spec[FUZZ_PATH + 16])
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/auth", folder_open());
	FUZZ_HOLDS(snprintf(spec, FUZZ_PATH + 16, "dovecot:%s", sun.sun_path) <
	    FUZZ_PATH + 16);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FUZZ_HOLDS(s->fd != -1);
	FUZZ_HOLDS(bind(s->fd, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	FUZZ_HOLDS(listen(s->fd, 4) == 0);
	FUZZ_HOLDS(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static void
service_close(struct service *s)
{
	(void)shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static struct auth_exchange *
begin(struct fuzz_input *in, struct auth_back *back, const union addr *peer)
{
	struct auth_start start = { .hostname = "mx.example.test",
		.now = 1790000000, .back = back };
	uint8_t flags;

	start.mech = fuzz_mech(in);
	flags = fuzz_octet(in);
	start.client = (struct auth_client){ .peer = &peer->sa,
		.is_tls = flags & 1, .session = "S1",
		.peer_name = flags & 2 ? "alice\tx" : NULL,
		.deadline_ms = monotonic_ms() + PATIENCE_MS };
	return auth_exchange_new(&start);
}

/* The messages of one client. */
static void
talk(struct auth_exchange *x, const struct fuzz_input *messages)
{
	enum esmtp_auth_status status = ESMTP_AUTH_CHALLENGE;
	struct fuzz_input in = *messages;
	char *out = NULL, text[MESSAGE_MAX + 1];
	size_t len, out_len = 0;
	const char *s;
	int i;

	for (i = 0; status == ESMTP_AUTH_CHALLENGE && i < STEPS; i++) {
		free(out);
		out = NULL;
		s = fuzz_line(&in, &len);
		len = len < MESSAGE_MAX ? len : MESSAGE_MAX;
		if (len > 0)
			memcpy(text, s, len);
		text[len] = '\0';
		status = auth_exchange_step(x, i == 0 && len == 0 ? NULL :
		    text, len, monotonic_ms() + PATIENCE_MS, &out, &out_len);
		FUZZ_HOLDS(status != ESMTP_AUTH_OK ||
		    *auth_exchange_login(x) != '\0');
	}
	free(out);
}

void
fuzz_dovecot(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len }, messages;
	union addr peer = { .in = { .sin_family = AF_INET } };
	char spec[FUZZ_PATH + 16], error[AUTH_ERROR_MAX] = "";
	struct auth_exchange *x;
	struct auth_back *back;
	struct service s;
	uint8_t head[2];
	size_t n;

	head[0] = fuzz_octet(&in);
	head[1] = fuzz_octet(&in);
	messages = in;
	do
		(void)fuzz_line(&in, &n);
	while (n > 0);
	s.p = in.p;
	s.len = in.left;
	log_init("fuzz", LOG_TO_STDERR, -1, LOG_LEVEL_ERROR);
	service_open(&s, spec);
	FUZZ_HOLDS((back = auth_back_open(spec, error, sizeof(error))) != NULL);
	(void)auth_back_answers(back, error, sizeof(error));
	x = begin(&(struct fuzz_input){ head, sizeof(head) }, back, &peer);
	if (x != NULL)
		talk(x, &messages);
	auth_exchange_free(x);
	auth_back_free(back);
	service_close(&s);
}

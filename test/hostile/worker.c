/* Tricks of a worker. */

#include "test/hostile/hostile.h"

#include <stdio.h>
#include <string.h>

#include "cmd/mailmilld/role/auth_request.h"
#include "core/lim.h"
#include "core/process/log.h"

bool
trick_seal(uint64_t arg, unsigned int)
{
	static const uint64_t ends[] = { 0, 64, 4096, 4160, 65536, 1 << 20,
	    16 << 20, 1ULL << 40, UINT64_MAX };
	struct msg_committed mc = { .segment = arg };
	size_t i;

	for (mc.generation = 0; mc.generation < 5; mc.generation++)
		for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
			mc.end = ends[i];
			mc.is_sealed = 0;
			(void)hostile_send(ROLE_QUEUE, Q_COMMITTED, &mc, NULL,
			    0);
			mc.is_sealed = 1;
			(void)hostile_send(ROLE_QUEUE, Q_COMMITTED, &mc, NULL,
			    0);
		}
	return true;
}

bool
trick_etrn(uint64_t arg, unsigned int)
{
	static const char *const domains[] = { "example.test", "other.test",
		"EXAMPLE.test", "example.test.", "a@example.test", "%", "-",
		"x'; DROP TABLE deferred; --" };
	struct msg_start ms = { .has_subdomains = 0 };
	char name[LIM_DOMAIN];
	uint64_t i, sent = 0;

	for (i = 0; i < arg; i++) {
		const char *domain = domains[i % 16 < 8 ? 0 : i % 8];
		size_t len = strlen(domain);

		memcpy(name, domain, len);
		if (i % 16 == 15)	/* many that anybody might have */
			len = (size_t)snprintf(name, sizeof(name),
			    "d%llu.example.test", (unsigned long long)i);
		ms.has_subdomains = i % 3 == 2 ? (uint32_t)i : 0;
		if (hostile_send(ROLE_QUEUE, Q_START, &ms, name,
		    (unsigned int)len) == 0)
			sent++;
	}
	hostile_say("etrn", sent);
	return true;
}

bool
trick_silent(uint64_t, unsigned int)
{
	hostile.is_silent = true;
	return true;
}

bool
trick_hoarder(uint64_t, unsigned int)
{
	hostile.is_silent = hostile.is_hoarder = true;
	return true;
}

bool
trick_liar(uint64_t, unsigned int)
{
	const struct msg_empty empty = { 0 };
	unsigned int n = hostile.nkept;

	hostile.is_silent = hostile.is_liar = true;
	(void)hostile_send(ROLE_MASTER, M_CLOSED, &empty, hostile.kept,
	    n < MSG_CLOSED_MAX ? n : MSG_CLOSED_MAX);
	return true;
}

bool
trick_unknown(uint64_t arg, unsigned int)
{
	const struct msg_empty empty = { 0 };
	uint64_t i, handle;

	for (i = 0; i < arg; i++) {
		/* as the master's could be, and as they cannot be */
		handle = i % 2 == 0 ? i / 2 | (i + 1) << 32 : UINT64_MAX - i;
		if (hostile_send(ROLE_MASTER, M_CLOSED, &empty, &handle, 1)
		    == -1)
			break;
	}
	return true;
}

/* As authd and an honest worker write it, and as if a line of authd began in a
 * value. */
static void
log_forged(void)
{
	static const char line[] = "\n2000-01-01T00:00:00.000000Z "
	    "mailmilld/authd-1[1]: level=info event=auth-failed session=s "
	    "client=192.0.2.66 port=1 listener=x user=forged mechanism=PLAIN "
	    "code=535 reason=x\n";

	log_event(LOG_LEVEL_INFO, "auth-failed", "session=%s client=%s port=%u "
	    "listener=%s user=%s mechanism=%s code=%d reason=%s", "s",
	    "192.0.2.66", 4711U, "127.0.0.1:25", "forged", "PLAIN", 535,
	    "wrong password or unknown user");
	log_event(LOG_LEVEL_INFO, line, "session=%s", line);
	log_event(LOG_LEVEL_INFO, "rejected", "%s=%s", line, line);
}

/* Sessions that it has, and others: of an index beside it, of another number. */
static uint64_t
session_of(uint64_t handle, unsigned int how)
{
	switch (how % 4) {
	case 0:
		return handle;
	case 1:
		return handle ^ 1;
	case 2:
		return handle + (1ULL << 32);
	default:
		return UINT64_MAX - how;
	}
}

bool
trick_guess(uint64_t arg, unsigned int)
{
	struct auth_request r = { .mech = "PLAIN", .log_id = "forged" };
	uint8_t texts[512];
	struct msg_auth_start mas;
	char in[64];
	uint64_t i, sent = 0;
	unsigned int k, how;
	int n;

	log_forged();
	for (i = 0; i < arg; i++)
		for (k = 0; k < hostile.nkept && k < HOSTILE_KEPT; k++)
			for (how = 0; how < 4; how++) {
				r.id = (1ULL << 40) + sent;
				r.session = session_of(hostile.kept[k], how);
				n = snprintf(in, sizeof(in), "%cu%llu%cx", '\0',
				    (unsigned long long)sent, '\0');
				r.initial = in;
				r.initial_len = (size_t)n;
				n = auth_request_put(&r, &mas, texts,
				    sizeof(texts));
				sent += hostile_send(ROLE_AUTHD, A_START, &mas,
				    texts, (unsigned int)n) == 0;
			}
	hostile_say("guesses", sent);
	return true;
}

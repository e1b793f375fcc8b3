/* The client's TLS.
 * Owns: the client's side of the handshake, encryption and decryption. */

#include "test/sim/sim.h"

static void
send_flight(struct client *c)
{
	const char *octets;
	size_t n = simtls_client_take(c->tls, &octets);

	if (n > 0)
		client_send_wire(c, octets, n);
}

/* Continue the handshake, as far as the octets received allow. */
static void
shake(struct client *c)
{
	int done = simtls_client_handshake(c->tls);

	send_flight(c);
	if (done == 1) {
		c->is_shaking = false;
		c->sim->nhandshakes++;
	} else if (done == -1)
		client_give_up(c);	/* see client_check_closed() */
}

void
client_tls_begin(struct client *c)
{
	c->tls = simtls_client_new(0);
	c->is_shaking = true;
	shake(c);
}

void
client_tls_send(struct client *c, const char *buf, size_t len)
{
	if (simtls_client_write(c->tls, buf, len) == -1)
		sim_violation(c->sim, "the client's TLS failed to encrypt");
	send_flight(c);
}

void
client_tls_receive(struct client *c, const char *buf, size_t len)
{
	char text[4096];
	int n;

	simtls_client_feed(c->tls, buf, len);
	if (c->is_shaking)
		shake(c);
	while (!c->is_shaking
	    && (n = simtls_client_read(c->tls, text, sizeof(text))) > 0)
		client_hear(c, text, (size_t)n);
}

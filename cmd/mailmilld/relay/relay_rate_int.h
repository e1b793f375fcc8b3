/* When messages may be sent, at a rate: those who want to send one, and may not yet,
 * book the next time that nobody has booked, so that they have turns.
 * Pure: it is told the time. */

#ifndef CMD_MAILMILLD_RELAY_RELAY_RATE_INT_H
#define CMD_MAILMILLD_RELAY_RELAY_RATE_INT_H

#include <stdbool.h>
#include <stdint.h>

/* All 0: nothing was sent */
struct relay_rate {
	uint64_t	 next_us;	/* when what was sent and booked has used up its time */
};

/* Of all: ${rate} messages a minute, not 0; up to a second's share at once.
 * relay_rate_may(r, rate, n, now_ms): May one be sent now, after ${n} others?
 * relay_rate_sent(r, rate, now_ms): One is, which has not been booked.
 * relay_rate_book(r, rate, n, now_ms): Book ${n}.  Return when they may be sent.
 * relay_rate_is_over(r, now_ms): Is it as if nothing had been sent? */
bool relay_rate_may(const struct relay_rate *r, unsigned int rate,
    unsigned int n, uint64_t now_ms);
void relay_rate_sent(struct relay_rate *r, unsigned int rate, uint64_t now_ms);
uint64_t relay_rate_book(struct relay_rate *r, unsigned int rate,
    unsigned int n, uint64_t now_ms);
bool relay_rate_is_over(const struct relay_rate *r, uint64_t now_ms);

#endif

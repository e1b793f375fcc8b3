/* A rate of messages; see relay_rate_int.h. */

#include "cmd/mailmilld/relay/relay_rate_int.h"

#include <sys/param.h>

#define MINUTE_US	60000000
#define BURST_US	1000000

static uint64_t
each_us(unsigned int rate)
{
	return MINUTE_US / rate;
}

/* How far it may be ahead of the time: so that as many as in a second go at once */
static uint64_t
ahead_us(unsigned int rate)
{
	return BURST_US - MIN(each_us(rate), BURST_US);
}

bool
relay_rate_may(const struct relay_rate *r, unsigned int rate, unsigned int n,
    uint64_t now_ms)
{
	uint64_t now_us = now_ms * 1000;

	return MAX(r->next_us, now_us) + n * each_us(rate) <=
	    now_us + ahead_us(rate);
}

void
relay_rate_sent(struct relay_rate *r, unsigned int rate, uint64_t now_ms)
{
	r->next_us = MAX(r->next_us, now_ms * 1000) + each_us(rate);
}

uint64_t
relay_rate_book(struct relay_rate *r, unsigned int rate, unsigned int n,
    uint64_t now_ms)
{
	uint64_t now_us = now_ms * 1000;
	uint64_t at_us = MAX(r->next_us, now_us);

	r->next_us = at_us + n * each_us(rate);
	return at_us <= now_us + ahead_us(rate) ? now_ms :
	    (at_us - ahead_us(rate) + 999) / 1000;
}

bool
relay_rate_is_over(const struct relay_rate *r, uint64_t now_ms)
{
	return r->next_us <= now_ms * 1000;
}

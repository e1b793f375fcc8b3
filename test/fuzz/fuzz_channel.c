/* Messages between processes: who receives, who sends, a flag for a descriptor,
 * then packets, each with two octets for its length.  What comes out fits its
 * row in msg.def.  A_START is taken apart, as authd does. */

#include "test/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/auth_request.h"
#include "cmd/mailmilld/role/msg.h"

static void
auth_start(const struct channel_msg *m)
{
	static uint8_t buf[MSG_AUTH_START_OCTETS];
	struct msg_auth_start base;
	struct auth_request r, again;
	int n;

	if (auth_request_parse(m->base, m->entries, m->nentries, &r) == -1)
		return;
	n = auth_request_put(&r, &base, buf, sizeof(buf));
	FUZZ_HOLDS(n >= 0 && (unsigned int)n == m->nentries);
	FUZZ_HOLDS(auth_request_parse(&base, buf, (unsigned int)n, &again) ==
	    0);
	FUZZ_HOLDS(strcmp(r.mech, again.mech) == 0 &&
	    r.initial_len == again.initial_len);
}

static void
receive(struct channel *c, enum role_id self, enum role_id peer)
{
	const struct channel_row *row;
	struct channel_msg m;

	if (channel_recv(c, &m) != 1)
		return;
	FUZZ_HOLDS(m.type < NMSGS);
	row = &msg_rows[m.type];
	FUZZ_HOLDS(channel_row_goes(row, peer, self));
	FUZZ_HOLDS(m.nentries <= row->max_entries);
	FUZZ_HOLDS((m.fd != -1) == row->has_fd);
	if (m.type == A_START)
		auth_start(&m);
	if (m.fd != -1)
		close(m.fd);
	if (row->is_secret)
		channel_wipe(c);
}

void
fuzz_channel(const uint8_t *data, size_t len)
{
	struct fuzz_input in = { data, len };
	enum role_id self = fuzz_octet(&in) % NROLES;
	enum role_id peer = fuzz_octet(&in) % NROLES;
	struct channel *c;
	int fds[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	size_t n;
	bool has_fd;

	FUZZ_HOLDS(null != -1);
	FUZZ_HOLDS(channel_pair(fds) == 0);
	c = channel_open(fds[0], msg_rows, NMSGS, self, peer);
	FUZZ_HOLDS(c != NULL);
	while (in.left > 0) {
		has_fd = fuzz_octet(&in) & 1;
		n = fuzz_octet(&in);
		n |= (size_t)fuzz_octet(&in) << 8;
		n = n < in.left ? n : in.left;
		fuzz_send(fds[1], in.p, n, has_fd ? null : -1);
		in.p += n;
		in.left -= n;
		receive(c, self, peer);
	}
	channel_free(c);
	close(fds[1]);
	close(null);
}

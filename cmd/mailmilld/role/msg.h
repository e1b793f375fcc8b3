/* The messages between processes: their structs and their table (msg.def).
 * Every field is checked by the receiver before use. */

#ifndef CMD_MAILMILLD_ROLE_MSG_H
#define CMD_MAILMILLD_ROLE_MSG_H

#include <stdint.h>

#include "core/lim.h"
#include "core/process/channel.h"
#include "core/process/log.h"
#include "core/spool/job.h"
#include "core/util/addr.h"
#include "proto/esmtp_host.h"

enum role_id {
#define ROLE(ID, name) ROLE_##ID,
#include "cmd/mailmilld/role/role.def"
#undef ROLE
	NROLES
};

/* the bits of the delivery agents: the roles that transport.def names */
enum {
	ROLES_DELIVERING = 0
#define TRANSPORT(id, name, role, max_jobs, file) | 1u << ROLE_##role
#include "cmd/settings/transport.def"
#undef TRANSPORT
};

enum msg_type {
#define MSG(id, senders, receivers, base, entry, max, flags) id,
#include "cmd/mailmilld/role/msg.def"
#undef MSG
	NMSGS
};

typedef struct { char none; } msg_none;		/* no entries */

struct msg_empty { uint32_t unused; };

struct msg_init {
	uint32_t slot;		/* number among the processes of the role, from 1 */
	uint32_t instance;	/* of this process, from 1; a worker's has the number of its files in the low bits */
	uint32_t uid, gid;	/* to become; 0: stay (not started as root) */
	uint32_t is_successor;	/* it takes over from one that still runs */
};
/* Which certificates and keys: one more with each change of a file. */
struct msg_certs { uint32_t version, unused; };
struct msg_key { uint32_t version, pair; };
struct msg_keys_ready { uint32_t version, is_good; };
#define MSG_TICKET_KEYS	3	/* the one in use, and those before it */
struct msg_tickets {
	uint32_t nkeys;		/* filled in, the first makes new tickets */
	uint32_t lifetime;	/* seconds */
	struct { uint8_t name[16], aes[32], hmac[32]; } keys[MSG_TICKET_KEYS];
};
struct msg_sign {
	uint64_t id;		/* the worker's */
	uint32_t listener;	/* the session's: may it use that key? */
	uint32_t version, pair;
	uint32_t scheme;	/* enum tls_scheme */
};
struct msg_signed { uint64_t id; uint32_t status, unused; };	/* 0: signed */
struct msg_auth_start {
	uint64_t id;		/* of the exchange; the worker's */
	uint64_t session;	/* its handle: vouch.h has its client and its listener */
	uint32_t flags;		/* MSG_AUTH_* */
	/* lengths of the texts */
	uint16_t mech, log_id, initial, exporter, endpoint, peer_name;
};
#define MSG_AUTH_START_OCTETS	12800	/* all texts: auth_request.h asserts that they fit */
#define MSG_AUTH_STEP_OCTETS	LIM_AUTH_LINE	/* a response without base64 is shorter */
#define MSG_AUTH_TLS		0x01	/* the session is encrypted */
#define MSG_AUTH_INITIAL	0x02	/* there is an initial response */
struct msg_auth {
	uint64_t id;
	uint32_t status;	/* A_REPLY: enum esmtp_auth_status */
	uint32_t why;		/* A_REPLY: enum esmtp_auth_why */
};
struct msg_log { uint32_t kind; };	/* enum log_kind */
/* A process that logs, and how many lines a second it may log. */
struct msg_writer { uint32_t instance, role, slot, pid, rate; };
struct msg_writer_end { uint32_t instance; };
struct msg_peer { uint32_t role, slot, instance; };
#define MSG_TROUBLE_MAX	LOG_ERROR_MAX
struct msg_ready { uint32_t measures, unused; };	/* what bounds it (sandbox.h) */
struct msg_refused { int32_t call; uint32_t unused; };
struct msg_crashed { char module[248]; };	/* its path, cut; NUL terminated */
struct msg_beyond { uint32_t instance, unused; };
struct msg_hold { uint32_t is_held; };	/* MAIL is refused for now */
/* limit_ms: how long it may go on with what others wait for */
struct msg_drain { uint32_t is_reconfig, limit_ms; };
/* Sessions when it was told to drain; of these, those that it has moved or told
 * to end at once. */
struct msg_drained { uint32_t nsessions, nmoved, ntold; };
/* A session, as the master and its worker name it: never 0; the lower half is
 * an index, whose values are dense. */
#define HANDLE_INDEX(handle)	((uint32_t)(handle))
struct msg_session {
	uint64_t handle;
	uint32_t listener;	/* index into the configuration's Listen scopes */
	uint32_t unused;
	union addr peer;
};
struct msg_proxied { uint64_t handle; union addr peer; };
struct msg_verdict { uint64_t handle; uint32_t is_refused, unused; };
/* From the old worker only the handle and what was said so far count. */
struct msg_move {
	struct msg_session session;
	struct esmtp_moved moved;
};
#define MSG_CLOSED_MAX		1024	/* handles in an M_CLOSED; more go in the next */
#define MSG_CONTROL_OCTETS	8192	/* a request of mailmillctl with its newline:
					 * far above the longest that it makes */
struct msg_control { uint32_t octets; };
struct msg_committed {
	uint64_t segment, generation;
	uint64_t end;		/* offset up to which records are durable */
	uint32_t is_sealed;	/* nothing will follow in this segment */
	uint32_t unused;
};
struct msg_held {
	uint64_t left;		/* octets, as queue_held_left() counts them */
	uint64_t came, held;	/* through this worker: queue_held_came() */
};
struct msg_start { uint32_t has_subdomains, unused; };
/* Of a worker's Q_START: how many have been read, modulo 2^32, and how many more
 * there was room for then. */
struct msg_room { uint32_t nheard, room; };
struct msg_tls { uint64_t nlost; };	/* connections that relay had no room for */
/* Between a worker and spoold.  The number is in the low bits of the ids of all
 * files of the worker (core/spool/spool_id.h). */
struct msg_number {
	uint32_t number;
	int32_t errnum;		/* not 0: it cannot have it */
	uint64_t lowest_us;	/* its ids begin behind that time */
};
struct msg_mark { uint64_t us; };
struct msg_ask {
	uint64_t ask;		/* the worker's number for it */
	uint64_t value;		/* octets or an id, as msg.def says */
};
struct msg_answer {
	uint64_t ask;
	int32_t errnum;
	uint32_t is_short;	/* S_ROOM: no body may grow: the queue uses its reserve of room, or the worker has its share of the disk */
	uint64_t left;		/* S_ROOM: octets; UINT64_MAX: not known */
};
struct msg_file {
	uint64_t ask;
	/* of a segment; generation 0: it is new, and to be written first */
	uint64_t id, generation, nonce, octets;
};
struct msg_drop { uint64_t id; uint32_t is_segment, unused; };
/* A login at a next hop: relay names it, and says what the server offers; keyd
 * makes the exchange. */
struct msg_hop_login {
	uint64_t id;		/* of the exchange; relay's */
	uint32_t domain, route;	/* which Domain section, as the settings sort them, and value of Route */
	uint32_t mechanisms;	/* bits in the order of esmtp_auth_mech.def */
	uint32_t is_verified;	/* the server is who it should be */
	uint32_t binding;	/* of TLS, enum tls_client_binding */
	uint32_t unused;
};
#define MSG_HOP_BINDING	64	/* octets of it */
struct msg_hop_auth {
	uint64_t id;
	uint32_t status;	/* K_RESPONSE: 0, or errno: the exchange is over */
	uint32_t mechanism;	/* K_RESPONSE: its number in that order */
	uint32_t flags, unused;	/* K_RESPONSE: MSG_HOP_* */
};
#define MSG_HOP_OCTETS		4096	/* of a challenge, or of a response */
#define MSG_HOP_RESPONSE	0x01	/* the entries are a response, if of no octets */
#define MSG_HOP_DONE		0x02	/* all is said, and a success of the server counts */
/* A question to the resolver, and its answer; the number is the asker's. */
struct msg_lookup { uint64_t ask; uint32_t type, unused; };	/* enum lookup_type */
struct msg_looked_up {
	uint64_t ask;
	uint32_t status;	/* enum lookup_status */
	uint32_t ttl_s;
	uint32_t flags;		/* MSG_LOOKED_UP_* */
	uint32_t alias;		/* octets of a name, before the records */
};
#define MSG_LOOKED_UP_AUTHENTIC	0x01
#define MSG_LOOKED_UP_UNASKED	0x02	/* no name server was asked */
/* A question about a domain's policy of MTA-STS, or a report to be posted; the number
 * is the asker's. */
struct msg_sts_ask { uint64_t ask; };
struct msg_sts_policy {
	uint64_t ask;
	uint32_t mode;		/* enum sts_mode; STS_NONE also: there is none */
	uint32_t max_age_s;
	uint32_t failure;	/* enum sts_failure: why there is no newer one; STS_UNKNOWN: nor is known whether there is one */
	uint32_t unused;
};
struct msg_sts_posted {
	uint64_t ask;
	uint32_t failure;	/* enum sts_failure; STS_FETCHED: the report was taken */
	uint32_t unused;
};
#define MSG_POSTED_WHY	256
struct msg_source { uint64_t source; };	/* a file that jobs name, core/spool/job.h */

extern const struct channel_row msg_rows[NMSGS];

#endif

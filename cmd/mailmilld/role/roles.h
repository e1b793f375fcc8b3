/* What a role is: the struct that each role defines beside its program, and
 * what follows from these structs and the settings.
 * Owns: the list of the roles.
 * Knows nothing of what a role does. */

#ifndef CMD_MAILMILLD_ROLE_ROLES_H
#define CMD_MAILMILLD_ROLE_ROLES_H

#include <sys/stat.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/mailmilld/role/msg.h"
#include "cmd/settings/settings.h"

struct account;
struct child;

#define ROLE_FOLDERS_MAX	4
#define ROLE_PATH_MAX		1100	/* octets of a path in the settings, with NUL */

/* A folder in the spool that belongs to a role's account. */
struct role_folder {
	const char	*name;
	mode_t		 mode;
	bool		 has_many;	/* files, perhaps a million: a start does not wait until all have been looked at */
};

/* A file, or a folder with all that is below it. */
struct role_path {
	char	path[ROLE_PATH_MAX];
	bool	can_write;
};

/* What a process of the role may do once it has told M_READY (sandbox.h). */
struct role_profile {
	/* the system calls (core/process/syscalls.h) beside those that all
	 * roles make */
	const char	*calls;
	/* more_calls(s): further ones that the settings ask for; "": none;
	 * PROFILE_ANY_CALLS: with these settings the calls are not known (PAM),
	 * and the measures that would hinder such a process are left out.
	 * NULL: none */
	const char	*(*more_calls)(const struct settings *s);
	/* path(s, i, path_r): the ${i}th file or folder that it opens by its
	 * name; it is "" at first, and may stay so.  Return false after the
	 * last.  NULL: none */
	bool		 (*path)(const struct settings *s, size_t i,
			    struct role_path *path_r);
	/* port(s, i, port_r): the ${i}th TCP port that it connects to; it is 0
	 * at first, and may stay so.  Return false after the last.  NULL: none */
	bool		 (*port)(const struct settings *s, size_t i,
			    unsigned int *port_r);
	/* binds(s): does it choose the addresses that its TCP connections come
	 * from?  NULL: no */
	bool		 (*binds)(const struct settings *s);
	/* file_max(s): octets of the largest file that it writes
	 * (RLIMIT_FSIZE); PROFILE_FILE_ANY: there is no limit.  NULL: the same.
	 * There is none for the log and the queue's tables, which grow.  There
	 * is none for deliver, since the queue may have a message from a time
	 * when Max_Message_Size was greater, or 0: with a limit this one would
	 * never be delivered */
	uint64_t	 (*file_max)(const struct settings *s);
};
#define PROFILE_ANY_CALLS	NULL
#define PROFILE_FILE_ANY		UINT64_MAX

struct role {
	enum role_id	 id;
	bool		 is_single;	/* there is never a second: no number in its title */

	/* ROLE_ACCOUNT(field): the setting that names its account */
	const char	*account_setting;	/* NULL: the master's account */
	size_t		 account_offset;
	bool		 keeps_groups;	/* all groups that its account is in */
	/* each process has an account of its own, from the ranges of ids that
	 * belong to the role's account (privs.h) */
	bool		 has_range;

	/* own_account(s, slot, a_r): which account the settings name for each
	 * process.  Return 0, or -1 having logged why there is none.  NULL: that
	 * of account_setting */
	int		(*own_account)(const struct settings *s,
			    unsigned int slot, struct account *a_r);

	/* count(s): how many of it that configuration needs.  NULL: one */
	unsigned int	(*count)(const struct settings *s);
	/* main(c): its program; child.h says what it may expect.  Return the
	 * exit status */
	int		(*main)(struct child *c);

	/* The roles that it asks, ROLE_BIT() of each: it gets a channel to
	 * their processes.  They are started before it and end after it. */
	unsigned int	 peers;
	/* asks(s, id): has it a channel to ${id}, which is one of these, with these
	 * settings?  NULL: always */
	bool		(*asks)(const struct settings *s, enum role_id id);
	/* one that asks has a channel to one of them, and to each otherwise */
	bool		 is_split;
	/* at a reload the new one takes over at once, also from those that
	 * still ask the old one, which ends */
	bool		 is_replaced;
	/* all others need it: it starts before them, ends after them, and stays
	 * at a reload */
	bool		 is_lasting;
	/* clients are connected to it, and their own timeouts bound how long it
	 * takes to end at a reload */
	bool		 has_clients;

	const char	*root;		/* its chroot, a folder of the spool; NULL: none */
	bool		 has_secrets;	/* nobody may look into its memory */
	bool		 has_kerberos;	/* libraries in it may ask Kerberos */
	struct role_folder folders[ROLE_FOLDERS_MAX];	/* the outer one first */
	struct role_profile profile;
};

#define ROLE_BIT(id)	(1u << (id))
#define ROLE_ACCOUNT(field) \
	.account_setting = #field, \
	.account_offset = offsetof(struct settings, field)

#define ROLE(ID, name)	extern const struct role role_##name;
#include "cmd/mailmilld/role/role.def"
#undef ROLE

/* roles_use(list): The roles by number; before anything else here.  takes
 * ${list}. */
void roles_use(const struct role *const list[NROLES]);

const struct role *role_of(enum role_id id);

/* role_name(id): As role.def has it: in titles, the log, mailmillctl status.
 * "unknown" for a number that no role has. */
const char *role_name(enum role_id id);

/* role_by_name(name): The role of "-x name", or NROLES. */
enum role_id role_by_name(const char *name);

/* role_writes_nothing(s): file_max() of a role that writes no file: 0. */
uint64_t role_writes_nothing(const struct settings *s);

/* role_account(s, id): The name of its account, or NULL: the master's. */
const char *role_account(const struct settings *s, enum role_id id);

/* role_shares(id): The first role that has the account of ${id}: ${id} itself,
 * or another role, with which it shares its files. */
enum role_id role_shares(enum role_id id);

/* role_count(s, id): How many processes of it the configuration needs. */
unsigned int role_count(const struct settings *s, enum role_id id);

/* role_lasting(): ROLE_BIT() of each role that is_lasting. */
unsigned int role_lasting(void);

/* role_askers(id): ROLE_BIT() of each role that has ${id} among its peers. */
unsigned int role_askers(enum role_id id);

/* role_asks(s, a, a_slot, b, b_slot): Has process ${a_slot} of ${a} a channel
 * to process ${b_slot} of ${b}, which it asks? */
bool role_asks(const struct settings *s, enum role_id a, unsigned int a_slot,
    enum role_id b, unsigned int b_slot);

#endif

/* Options of listeners, by the names of the documented API; see ec_config(3).
 * There is no configuration file: the program says what the values are, with
 * mailmill_config_set(). */

#ifndef PROTO_EC_CONFIG_H
#define PROTO_EC_CONFIG_H

#include <sys/socket.h>

#include <stddef.h>
#include <stdint.h>

#include <mailmill/api.h>
#include <mailmill/ec_string.h>

MAILMILL_BEGIN

typedef long ec_atomic_t;

/* Those behind BOOL are refused, except for the ones that have a comment. */
typedef enum _ec_config_item_type {
	ECCFGTYPE_STRING,
	ECCFGTYPE_INT,
	ECCFGTYPE_UINT64,
	ECCFGTYPE_PERMS,		/* octal */
	ECCFGTYPE_BOOL,			/* true, false, yes, no, on, off, 1, 0 */
	ECCFGTYPE_FLOAT,		/* a number */
	ECCFGTYPE_SOCKADDR,		/* "192.0.2.1:25", "[2001:db8::1]:25" */
	ECCFGTYPE_SOCKADDR_PORTLESS,	/* "192.0.2.1", "2001:db8::1" */
	ECCFGTYPE_SIZE_T,		/* a number from 0 */
	ECCFGTYPE_THROTTLE,
	ECCFGTYPE_ECDICT,
	ECCFGTYPE_EC_CONFIG_REGEX
} ec_config_item_type_t;

#define EC_CFG_OPT_NOT_TUNABLE_ONLINE	0x01	/* is ignored */
#define EC_CFG_OPT_IS_ARRAY		0x02	/* is refused */

typedef struct _ec_config_header ec_config_header;	/* opaque */
typedef struct _ec_config_value ec_config_value;
typedef struct _ec_config_option_def ec_config_option_def;
typedef struct _ec_ptr_array ec_ptr_array;		/* never made here */

struct ec_config_value_mapping {
	const char	*name;		/* NULL ends the list */
	const char	*value;
};

/* One option.  It is kept. */
struct _ec_config_option_def {
	const char	*name;		/* letters, digits and '_', in any case */
	ec_config_item_type_t type;
	const char	*personality;	/* NULL */
	const char	*fallback;	/* is ignored */
	unsigned int	 flags;		/* EC_CFG_OPT_* */
	void		*closure;	/* of no meaning here */
	const char	*defval;	/* as text, which may be in quotes; NULL: none */
	const struct ec_config_value_mapping *map; /* words that stand for values; NULL: none */
	/* is it good?  1; or 0, and why in ${output}.  NULL: it is */
	int		(*validate_value)(ec_config_option_def *option,
			    string *output, ec_config_header *cfghdr,
			    ec_config_value *val);
	/* it is in force, in this thread; in others when this returns.  May set
	 * val->data.  NULL: nothing */
	void		(*postset)(ec_config_option_def *option,
			    string *output, ec_config_header *cfghdr,
			    ec_config_value *val);
	/* free val->data.  NULL: nothing */
	void		(*datafree)(ec_config_option_def *option, void *data);
};

typedef union _ec_config_value_storage {
	char		*vstr;
	int		 vint;		/* of PERMS and BOOL, too */
	uint64_t	 vu64;
	double		 vdouble;
	struct sockaddr	*vsa;
	void		*vthrot;
	void		*vdict;
	size_t		 vsize;
	void		*vre;
	ec_ptr_array	*varr;
} ec_config_value_storage;

/* A value, valid until it is released. */
struct _ec_config_value {
	ec_atomic_t	 refcnt;
	int		 leaked;	/* 0 */
	ec_config_option_def *opt;
	int		 shadow;	/* 0 */
	void		*node;		/* NULL */
	ec_config_value_storage *v;
	void		*data;		/* postset's */
};

/* ec_config_register_option(option): Return the slot of a new option, by which it
 * is known from then on; or -1 with errno: EINVAL, a missing or bad name,
 * another type, a list, or a default that is no value of it; ENOMEM.
 * ec_config_null_value(option_slot): Its default, to be released; NULL with
 * errno: EINVAL, no such slot; ENOENT, it has none.
 * Any thread. */
int ec_config_register_option(ec_config_option_def *option);
ec_config_value *ec_config_null_value(int option_slot);

/* mailmill_config_set(option_slot, listen, peer, value, output): The value at the
 * listener's address ${listen}, as netlistener_instantiate_addr() was given it,
 * for clients in the network ${peer} ("192.0.2.0/24"); NULL: at all, for all.  It
 * replaces what was said of the same two; NULL ${value}: nothing is said any
 * more.  ${output} gets what validate_value has to say, if it is not NULL.  Return
 * 1; or 0 with errno: EINVAL, no such slot, network or value; ENOMEM.  Any
 * thread. */
int mailmill_config_set(int option_slot, const char *listen, const char *peer,
    const char *value, string *output);

/* ec_config_option_fetch_generic(transaction, option_slot, from, nargs, args,
 * ...): The value that holds where ${nargs} texts say: "Listen" and an address,
 * "Peer" and the address of a client.  The most specific one: of the smallest
 * network of clients at that listener, of the listener, of the smallest network
 * at all of them, of all; then the default.  A peer whose name is no address is in
 * no network.  ${transaction} is of
 * ec_config_fetch_globalconf(), or NULL; ${from} and ${args} are NULL.  Return
 * it, to be released; or NULL with errno: EINVAL, no such slot, or another scope;
 * ENOENT, there is none.  Any thread.
 * ec_config_fetch_globalconf(), ec_config_release_scope_instance(tofree): The
 * configuration, and let it go.
 * ec_config_release_value(tofree): NULL is permitted, and has no effect. */
ec_config_value *ec_config_option_fetch_generic(ec_config_header *transaction,
    int option_slot, ec_config_header *from, int nargs, ec_ptr_array *args,
    ...);
ec_config_header *ec_config_fetch_globalconf(void);
void ec_config_release_scope_instance(void *tofree);
void ec_config_release_value(void *tofree);

/* sockaddr_to_string_opt(s, buffer, buf_size, opt): The address ${s} as text, cut
 * to ${buf_size} octets with its NUL: "192.0.2.1:25", "[2001:db8::1]:25", the path
 * of a socket in the file system; with EC_SA2S_NO_PORT "192.0.2.1",
 * "2001:db8::1".  Return its length. */
#define EC_SA2S_NO_PORT	0x01
int sockaddr_to_string_opt(struct sockaddr *s, char *buffer, int buf_size,
    int opt);

MAILMILL_END

#endif

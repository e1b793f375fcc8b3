/* A configuration of the master: read from its file, checked, in use.
 * Owns: where configurations come from, the order in which one is read, the
 * processes that check what it names (role/probe.h).
 * Knows nothing of what is done with it. */

#ifndef CMD_MAILMILLD_MASTER_CONFIG_CONFIG_H
#define CMD_MAILMILLD_MASTER_CONFIG_CONFIG_H

#include "cmd/mailmilld/creds/creds.h"
#include "cmd/mailmilld/role/probe.h"
#include "cmd/settings/settings.h"

enum config_check { CONFIG_AUTH, CONFIG_CREDS, CONFIG_MAILDIRS, CONFIG_ROUTES,
	CONFIG_MODULES, CONFIG_PIPES, CONFIG_STS, CONFIG_NCHECKS };

struct config {
	struct settings	*settings;
	int		 fd;		/* its text, in memory, for the children */
	struct creds	*creds;		/* certificates and keys */
	unsigned int	 generation;	/* 1 at start */
	struct probe	*checks[CONFIG_NCHECKS]; /* that run; NULL: none does */
	size_t		 nabsent;	/* what it names and may come later: a
					 * mount, the socket of a server */
};

/* config_source(filename, overrides, n): Where configurations come from; kept. */
void config_source(const char *filename, const char *const *overrides,
    size_t n);
const char *config_filename(void);

/* config_open(generation, config_r, err_r, errlen): Read it, and none of the
 * files that it names but those that it includes.  Return 0, or -1 with a
 * message.
 * config_load(generation, config_r, err_r, errlen): The same, and the files of
 * Recipients, Sender_Login and certificates. */
int config_open(unsigned int generation, struct config *config_r,
    char *err_r, size_t errlen);
int config_load(unsigned int generation, struct config *config_r,
    char *err_r, size_t errlen);

/* config_check(config, start, done, closure, err_r, errlen): Begin to find out,
 * by a process that ${start} starts (probe_start()) for each, whether authd and
 * keyd could open what ${config} names, and workers load its modules.  ${done},
 * unless NULL, is called on the loop at the end of each.  Return 0, or -1 with a
 * message.
 * config_verdict(config, err_r, errlen): Return 0 while a check is running, 1
 * when all have ended well, -1 with a message when one has not. */
int config_check(struct config *config,
    struct probe *(*start)(const struct probe_spec *spec),
    void (*done)(void *closure), void *closure, char *err_r, size_t errlen);
int config_verdict(struct config *config, char *err_r, size_t errlen);

/* config_complete(config, err_r, errlen): After config_open() all the rest of
 * this, waiting for the checks: for the start, and mailmilld -n. */
int config_complete(struct config *config, char *err_r, size_t errlen);
void config_clear(struct config *config);	/* ends its checks, too */

/* config_warn(config): Log what is allowed but hardly intended. */
void config_warn(const struct config *config);

#endif

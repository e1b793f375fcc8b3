/* Reading the configuration file, at the start and again. */

#ifndef CMD_MAILMILLD_RELOAD_H
#define CMD_MAILMILLD_RELOAD_H

#include "cmd/mailmilld/master/master.h"

/* config_source(filename, overrides, n): Where configurations come from; kept. */
void config_source(const char *filename, const char *const *overrides,
    size_t n);

/* config_read(generation, config_r, err_r, errlen): Load and check it, the
 * Recipients files, certificates, keys and back ends of AUTH included.  Return
 * 0, or -1 with a message. */
int config_read(unsigned int generation, struct config *config_r,
    char *err_r, size_t errlen);
void config_clear(struct config *config);

/* config_warn(config): Log what is right, but surely not meant. */
void config_warn(const struct config *config);

#endif

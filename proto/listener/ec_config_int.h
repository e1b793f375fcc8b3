/* Shared by ec_config.c, options and which value holds where, and
 * ec_config_value.c, what a value is. */

#ifndef PROTO_LISTENER_EC_CONFIG_INT_H
#define PROTO_LISTENER_EC_CONFIG_INT_H

#include <stdbool.h>

#include "proto/ec_config.h"

/* ec_config_value_new(option, text): A value of ${option} with one reference, NULL
 * with errno: EINVAL, ENOMEM.
 * ec_config_type_is_known(type): Are there values of it? */
ec_config_value *ec_config_value_new(ec_config_option_def *option,
    const char *text);
bool ec_config_type_is_known(ec_config_item_type_t type);

#endif

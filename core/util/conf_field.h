/* Setting the fields of a struct from text; the rows that describe them are in
 * core/conf_field.h.
 * Owns: the syntax of values, the text of errors.
 * Knows nothing of files or sections. */

#ifndef CORE_UTIL_CONF_FIELD_H
#define CORE_UTIL_CONF_FIELD_H

#include "core/conf_field.h"

/* conf_field_is_list(f): Whether it takes any number of values. */
bool conf_field_is_list(const struct conf_field *f);

/* conf_field_set(base, f, values, n, expected_r, len): Set the field of the
 * struct at ${base}, which was zeroed at first, from one value, or a list from
 * any number; the old value is freed.  Return 0; or -1 with errno EINVAL,
 * ERANGE or ENOMEM, the field unchanged, and in ${expected_r} what was
 * expected: "a number from 1 to 9 (processes)". */
int conf_field_set(void *base, const struct conf_field *f,
    const char *const *values, size_t n, char *expected_r, size_t len);

/* conf_field_default(base, f): The same from its default.  Return 0 or -1
 * (ENOMEM). */
int conf_field_default(void *base, const struct conf_field *f);

/* conf_field_check(f, value, expected_r, len): Check a value of the field, or
 * one of its list.  Return as conf_field_set() does. */
int conf_field_check(const struct conf_field *f, const char *value,
    char *expected_r, size_t len);

/* conf_field_free(base, f): Free what the field holds and zero it. */
void conf_field_free(void *base, const struct conf_field *f);

#endif

/* The reading of exported messages. */

#ifndef CORE_QUEUE_QUEUE_IMPORT_H
#define CORE_QUEUE_QUEUE_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

struct queue_answer;
struct queue_import;

/* queue_import_new(): NULL: ENOMEM.  queue_import_free(im): NULL does nothing. */
struct queue_import *queue_import_new(void);
void queue_import_free(struct queue_import *im);

/* queue_import_feed(a, im, buf, len): The next octets of the stream; 0: there are no
 * more.  Messages that are complete are stored, and counted in ${a}.
 * queue_import_is_over(im): Is nothing more to be read?
 * queue_import_error(im): Why; NULL: all has come. */
void queue_import_feed(struct queue_answer *a, struct queue_import *im,
    const char *buf, size_t len);
bool queue_import_is_over(const struct queue_import *im);
const char *queue_import_error(const struct queue_import *im);

#endif

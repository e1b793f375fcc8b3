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
 * more.  A message that is complete is stored, on disk, and counted in ${a}; what
 * comes behind it waits, since that takes a while: queue_import_has_more(im).
 * queue_import_more(a, im): Go on with that, up to the next message.
 * queue_import_is_over(im): Is nothing more to be read?
 * queue_import_error(im): Why; NULL: all has come. */
void queue_import_feed(struct queue_answer *a, struct queue_import *im,
    const char *buf, size_t len);
bool queue_import_has_more(const struct queue_import *im);
void queue_import_more(struct queue_answer *a, struct queue_import *im);
bool queue_import_is_over(const struct queue_import *im);
const char *queue_import_error(const struct queue_import *im);

#endif

/* Fuzz targets: functions that take any octets and end the program if something
 * does not hold.  fuzz.c chooses one for libFuzzer, replay.c gives each its kept
 * corpus.
 * Nothing may depend on an earlier input: an input that fails alone is the
 * report. */

#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void fuzz_func(const uint8_t *data, size_t len);

struct fuzz_target {
	const char	*name;
	size_t		 max;	/* octets */
	fuzz_func	*func;
};

#define FUZZ(name, max) fuzz_func fuzz_##name;
#include "test/fuzz/target.def"
#undef FUZZ

/* fuzz_target_find(name), fuzz_target_at(i): NULL: there is none such. */
const struct fuzz_target *fuzz_target_find(const char *name);
const struct fuzz_target *fuzz_target_at(size_t i);

/* FUZZ_HOLDS(condition): End the program if it does not, and say where. */
#define FUZZ_HOLDS(condition) \
	((condition) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #condition))
void fuzz_broken(const char *file, int line, const char *what)
    __attribute__((noreturn));

/* What is left of an input. */
struct fuzz_input {
	const uint8_t	*p;
	size_t		 left;
};

/* fuzz_octet(in): The next octet; 0 at the end.
 * fuzz_line(in, len_r): What is left up to the next LF, which is dropped. */
uint8_t fuzz_octet(struct fuzz_input *in);
const char *fuzz_line(struct fuzz_input *in, size_t *len_r);

/* fuzz_mech(in): The name of one of the mechanisms of AUTH, by the next octet.
 * fuzz_send(to, packet, len, fd): A packet into a socket, with the descriptor
 * ${fd}, which stays the caller's; -1: with none. */
const char *fuzz_mech(struct fuzz_input *in);
void fuzz_send(int to, const void *packet, size_t len, int fd);

/* fuzz_file(text, len, path): A file in memory with that text.  ${path} names it
 * as long as the descriptor that is returned is open. */
#define FUZZ_PATH	64
int fuzz_file(const void *text, size_t len, char path[FUZZ_PATH]);

#endif

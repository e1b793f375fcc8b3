/* What is left of a password in memory when it has been checked. */

#include <sys/mman.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/proto/sasl/auth_mech_fake.h"

#define SECRET		20	/* octets */
#define WINDOW		8	/* of it, which are no coincidence */
#define CHUNK		(1 << 20)
#define REGION_MAX	(1ul << 28)	/* the sanitizer's own are larger */

/* The secret is nowhere as it is but where a test has put it: this is it with
 * every octet another; and what a piece may begin with. */
static char masked[SECRET];
static bool begins[256];

static void
unmask(char *text)
{
	size_t i;

	for (i = 0; i < SECRET; i++)
		text[i] = (char)(masked[i] ^ 0x55);
}

static void
choose(void)
{
	FILE *fp = fopen("/dev/urandom", "r");
	size_t i;

	cr_assert_not_null(fp);
	for (i = 0; i < SECRET; i++)
		masked[i] = (char)(('a' + fgetc(fp) % 26) ^ 0x55);
	for (i = 0; i + WINDOW <= SECRET; i++)
		begins[(masked[i] ^ 0x55) & 0xff] = true;
	fclose(fp);
}

/* Does a window of the secret begin there? */
static bool
is_piece(const char *octets)
{
	size_t at, i;

	for (at = 0; at + WINDOW <= SECRET; at++) {
		for (i = 0; i < WINDOW; i++)
			if (octets[i] != (masked[at + i] ^ 0x55))
				break;
		if (i == WINDOW)
			return true;
	}
	return false;
}

static size_t
count(const char *octets, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i + WINDOW <= len; i++) {
		if (!begins[octets[i] & 0xff] || !is_piece(octets + i))
			continue;
		n++;
		i += SECRET - 1;
	}
	return n;
}

/* Places in our memory where there is a piece of the secret; not on the stack,
 * where the dynamic linker puts the registers that copied it. */
static size_t
copies(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY);
	char *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), line[512];
	unsigned long from, to;
	size_t n = 0;
	ssize_t got;

	cr_assert(maps != NULL && mem != -1 && chunk != MAP_FAILED);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx", &from, &to) != 2 ||
		    strstr(line, " rw") == NULL || to - from > REGION_MAX ||
		    strstr(line, "[stack]") != NULL)
			continue;
		/* our own buffer may have grown a neighbour */
		for (; from < to; from += CHUNK - SECRET) {
			if (from < (unsigned long)chunk + CHUNK &&
			    from + CHUNK > (unsigned long)chunk)
				continue;
			got = pread(mem, chunk, to - from < CHUNK ? to - from :
			    CHUNK, (off_t)from);
			if (got > 0)
				n += count(chunk, (size_t)got);
		}
	}
	munmap(chunk, CHUNK);
	close(mem);
	fclose(maps);
	return n;
}

static enum auth_verdict
any_password(void *state, const struct auth_client *, const char *,
    const char *password)
{
	char *right = state;

	unmask(right);
	right[0] = strncmp(password, right, SECRET) == 0;
	explicit_bzero(right + 1, SECRET - 1);
	return right[0] ? AUTH_YES : AUTH_NO;
}

static const struct auth_back_ops ops = { .password = any_password };

/* One response of ${head} and the secret. */
static enum esmtp_auth_status
respond(struct auth_exchange *x, const char *head, size_t len)
{
	enum esmtp_auth_status status;
	char text[64], *out;
	size_t out_len;

	memcpy(text, head, len);
	unmask(text + len);
	status = auth_exchange_step(x, text, len + SECRET, INT64_MAX, &out,
	    &out_len);
	explicit_bzero(text, sizeof(text));
	free(out);
	return status;
}

static void
expect_no_copies(const char *mech, const char *first, const char *head,
    size_t len)
{
	char right[SECRET];
	struct auth_back back = { .ops = &ops, .state = right };
	struct auth_start start = { .mech = mech, .back = &back };
	struct auth_exchange *x;
	struct said said;

	cr_assert_not_null(x = auth_exchange_new(&start));
	if (first != NULL)
		say_text(x, first, &said);
	cr_assert_eq(respond(x, head, len), ESMTP_AUTH_OK, "%s", mech);
	auth_exchange_free(x);
	cr_assert_eq(copies(), 0, "%s", mech);
}

Test(auth_mech_wipe, a_copy_that_is_left_would_be_found)
{
	char *text = malloc(SECRET);

	choose();
	cr_assert_eq(copies(), 0);
	unmask(text);
	cr_assert_eq(copies(), 1);
	explicit_bzero(text, SECRET);
	cr_assert_eq(copies(), 0);
	free(text);
}

Test(auth_mech_wipe, nothing_is_left_of_a_password)
{
	choose();
	expect_no_copies("PLAIN", NULL, "\0user\0", 6);
	expect_no_copies("LOGIN", "user", "", 0);
}

/* The targets for libFuzzer, in one program: the name by which it is called is
 * that of the target.
 * Owns: the table of targets, what they share. */

#include "test/fuzz/fuzz.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/sasl/auth_mech.h"

static const struct fuzz_target targets[] = {
#define FUZZ(name, max) { #name, max, fuzz_##name },
#include "test/fuzz/target.def"
#undef FUZZ
};
static const struct fuzz_target *chosen;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

const struct fuzz_target *
fuzz_target_at(size_t i)
{
	return i < sizeof(targets) / sizeof(targets[0]) ? &targets[i] : NULL;
}

const struct fuzz_target *
fuzz_target_find(const char *name)
{
	const struct fuzz_target *t;
	size_t i;

	for (i = 0; (t = fuzz_target_at(i)) != NULL; i++)
		if (strcmp(t->name, name) == 0)
			return t;
	return NULL;
}

void
fuzz_broken(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

uint8_t
fuzz_octet(struct fuzz_input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

const char *
fuzz_line(struct fuzz_input *in, size_t *len_r)
{
	const uint8_t *line = in->p, *lf;

	lf = in->left > 0 ? memchr(line, '\n', in->left) : NULL;
	*len_r = lf == NULL ? in->left : (size_t)(lf - line);
	in->p += *len_r + (lf != NULL);
	in->left -= *len_r + (lf != NULL);
	return (const char *)line;
}

const char *
fuzz_mech(struct fuzz_input *in)
{
	size_t n = 0;

	while (esmtp_auth_mech_at(n) != NULL)
		n++;
	return esmtp_auth_mech_at(fuzz_octet(in) % n)->name;
}

void
fuzz_send(int to, const void *packet, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char octets[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)packet,
		.iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (fd != -1) {
		m.msg_control = control.octets;
		m.msg_controllen = sizeof(control.octets);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	(void)sendmsg(to, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int
fuzz_file(const void *text, size_t len, char path[FUZZ_PATH])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_HOLDS(fd != -1);
	FUZZ_HOLDS(write(fd, text, len) == (ssize_t)len);
	snprintf(path, FUZZ_PATH, "/proc/self/fd/%d", fd);
	return fd;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = strrchr((*argv)[0], '/');

	(void)argc;
	name = name == NULL ? (*argv)[0] : name + 1;
	chosen = fuzz_target_find(name);
	if (chosen == NULL) {
		fprintf(stderr, "%s: no such target: test/fuzz/target.def has "
		    "them; test/fuzz/fuzz.sh makes a name for each\n", name);
		exit(2);
	}
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	chosen->func(data, len);
	return 0;
}

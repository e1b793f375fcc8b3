#include <sys/mman.h>
#include <sys/wait.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys_fixture.h"
#include "tls/keeper.h"

#define WINDOW		16	/* octets that are not found by chance */
#define MEMORY_MAX	(1 << 28)	/* octets, of which few are touched */

static char *
all_memory(size_t *len_r)
{
	int maps = open("/proc/self/maps", O_RDONLY);
	int mem = open("/proc/self/mem", O_RDONLY);
	/* a copy made in freed memory would overwrite what is looked for */
	char *all = mmap(NULL, MEMORY_MAX, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *line;
	static char list[65536];
	unsigned long from, to;
	ssize_t n;

	cr_assert_neq(all, MAP_FAILED);
	*len_r = 0;
	for (line = list; (n = read(maps, line, sizeof(list) - 1 -
	    (size_t)(line - list))) > 0; line += n)
		;
	*line = '\0';
	for (line = strtok(list, "\n"); line != NULL;
	    line = strtok(NULL, "\n")) {
		if (sscanf(line, "%lx-%lx", &from, &to) != 2 ||
		    strstr(line, " rw") == NULL || from == (unsigned long)all ||
		    to - from >= MEMORY_MAX)
			/* what is that large, a sanitizer has reserved */
			continue;
		cr_assert_lt(*len_r + (to - from), MEMORY_MAX);
		n = pread(mem, all + *len_r, to - from, (off_t)from);
		*len_r += n > 0 ? (size_t)n : 0;
	}
	close(maps);
	close(mem);
	return all;
}

/* For a process that has had the key nowhere but in its file.  Count
 * how often parts of the secret are found in memory, first after the key was
 * used, then after it was forgotten, and write both counts to ${out}. */
static void
use_and_look(int key_fd, const char *cert, int secret_fd, int out)
{
	uint8_t tbs[TLS_TBS_MAX], sig[TLS_SIG_MAX];
	size_t len = keys_tls13(tbs, KEYS_CONTEXT, 32), memlen, siglen;
	char err[KEEPER_ERROR_MAX];
	struct keeper *k = keeper_new();
	char secret[4096], *memory, *p;
	int i, nfound[2];
	ssize_t n, at;

	cr_assert_eq(keeper_load(k, 1, 0, key_fd, cert, strlen(cert), err,
	    sizeof(err)), 0, "%s", err);
	for (i = 0; i < 20; i++)
		if (keeper_sign(k, 1, 0, TLS_RSA_PSS_SHA256, tbs, len, sig,
		    &siglen) == -1)
			cr_assert_eq(keeper_sign(k, 1, 0, TLS_ECDSA_SHA256, tbs,
			    len, sig, &siglen), 0);
	for (i = 0; i < 2; i++) {
		memory = all_memory(&memlen);
		n = pread(secret_fd, secret, sizeof(secret), 0);
		cr_assert_geq(n, 2 * WINDOW);
		nfound[i] = 0;
		for (at = 0; at + WINDOW <= n; at += WINDOW)
			for (p = memory; (p = memmem(p, memlen - (size_t)
			    (p - memory), secret + at, WINDOW)) != NULL; p++)
				nfound[i]++;
		explicit_bzero(secret, sizeof(secret));
		munmap(memory, MEMORY_MAX);
		keeper_forget(k, 2);
	}
	keeper_free(k);
	cr_assert_eq(write(out, nfound, sizeof(nfound)), sizeof(nfound));
}

/* A file with the secret to look for: a part of the PEM text, or else of the
 * private number as it is in memory, by limbs. */
static int
secret_of(EVP_PKEY *key, bool is_text)
{
	unsigned char octets[512];
	char *text = keys_text(key, false, NULL), *at;
	BIGNUM *bn = NULL;
	int fd, len;

	if (is_text) {
		/* of P-256 the scalar, of RSA the last factors: the rest of
		 * the text has the public key, which is no secret */
		at = text + (strlen(text) > 1000 ? strlen(text) - 300 : 76);
		at[2 * WINDOW] = '\0';
		fd = keys_text_file(at);
	} else {
		cr_assert_eq(EVP_PKEY_get_bn_param(key, EVP_PKEY_is_a(key,
		    "RSA") ? "rsa-factor1" : "priv", &bn), 1);
		len = BN_bn2lebinpad(bn, octets, BN_num_bytes(bn));
		fd = keys_text_file("");
		cr_assert_eq(write(fd, octets, (size_t)len), len);
		BN_clear_free(bn);
	}
	free(text);
	return fd;
}

static void
look(enum keys_kind kind, bool is_text, int nfound_r[2])
{
	int io[2], result[2], fds[2], status;
	static char cert[8192];
	char *pem;
	X509 *x;
	pid_t pid;

	cr_assert_eq(pipe(io), 0);
	cr_assert_eq(pipe(result), 0);
	fds[0] = keys_text_file("");
	fds[1] = keys_text_file("");
	/* the key is made in another process than the one that is looked at */
	if ((pid = fork()) == 0) {
		EVP_PKEY *key = keys_make(kind);
		int a = keys_file(key), b = secret_of(key, is_text);

		x = keys_certificate(key);
		pem = keys_cert_pem(x);
		cr_assert_eq(write(io[1], pem, strlen(pem)),
		    (ssize_t)strlen(pem));
		/* The key comes late in the file: what uses the start of the
		 * buffer afterwards must not be what hides it. */
		for (status = 0; status < 30000; status++)
			cr_assert_eq(write(fds[0], "\n", 1), 1);
		status = (int)pread(a, cert, sizeof(cert), 0);
		cr_assert_eq(write(fds[0], cert, (size_t)status), status);
		status = (int)pread(b, cert, sizeof(cert), 0);
		cr_assert_eq(write(fds[1], cert, (size_t)status), status);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	cr_assert_eq(status, 0);
	cr_assert_gt(read(io[0], cert, sizeof(cert) - 1), 0);
	use_and_look(fds[0], cert, fds[1], result[1]);
	cr_assert_eq(read(result[0], nfound_r, 2 * sizeof(int)),
	    (ssize_t)(2 * sizeof(int)));
}

Test(keeper_memory, nothing_is_left_in_memory_of_a_text_or_a_forgotten_key,
    .timeout = 60)
{
	int nfound[2];

	/* keep freed memory mapped, so that it is searched too */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	look(KEYS_P256, false, nfound);
	cr_assert_gt(nfound[0], 0);
	cr_assert_eq(nfound[1], 0, "%d", nfound[1]);
	look(KEYS_RSA, false, nfound);
	cr_assert_gt(nfound[0], 0);
	cr_assert_eq(nfound[1], 0, "%d", nfound[1]);
	look(KEYS_RSA, true, nfound);
	cr_assert_eq(nfound[0], 0, "%d", nfound[0]);
	look(KEYS_P256, true, nfound);
	cr_assert_eq(nfound[0], 0, "%d", nfound[0]);
}

/* build/fuzz: every target with its kept corpus, test/fuzz/corpus/NAME/; needs no
 * clang.
 *	build/fuzz			all
 *	build/fuzz TARGET [FILE ...]	one, with these files
 *	build/fuzz -l			the names of the targets, with the octets
 *					of the longest input of each */

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/fuzz/fuzz.h"

/* Return whether it could be read. */
static bool
replay_file(const struct fuzz_target *t, const char *path)
{
	uint8_t *buf, *exact;
	size_t len = 0;
	FILE *fp;

	fp = fopen(path, "r");
	buf = malloc(t->max);
	if (fp == NULL || buf == NULL) {
		printf("FAIL %s: cannot be read\n", path);
		if (fp != NULL)
			fclose(fp);
		free(buf);
		return false;
	}
	len = fread(buf, 1, t->max, fp);
	fclose(fp);
	/* a sanitizer sees who reads behind its end */
	if ((exact = malloc(len)) == NULL && len > 0)
		abort();
	if (len > 0)
		memcpy(exact, buf, len);
	free(buf);
	/* for the case that this is the last that is said */
	printf("%s\n", path);
	fflush(stdout);
	t->func(exact, len);
	free(exact);
	return true;
}

/* Return how many files could not be read; none at all counts as one. */
static unsigned int
replay_corpus(const struct fuzz_target *t, unsigned int *nfiles)
{
	char pattern[PATH_MAX];
	unsigned int nfailed = 0;
	glob_t g = { 0 };
	size_t i;

	snprintf(pattern, sizeof(pattern), "test/fuzz/corpus/%s/*", t->name);
	if (glob(pattern, 0, NULL, &g) != 0) {
		printf("FAIL %s: no files here\n", pattern);
		return 1;
	}
	for (i = 0; i < g.gl_pathc; i++)
		nfailed += !replay_file(t, g.gl_pathv[i]);
	*nfiles += (unsigned int)g.gl_pathc;
	globfree(&g);
	return nfailed;
}

static int
list(void)
{
	const struct fuzz_target *t;
	size_t i;

	for (i = 0; (t = fuzz_target_at(i)) != NULL; i++)
		printf("%s %zu\n", t->name, t->max);
	return 0;
}

int
main(int argc, char **argv)
{
	unsigned int nfailed = 0, nfiles = 0, ntargets = 0;
	const struct fuzz_target *t = NULL;
	int i;

	if (argc == 2 && strcmp(argv[1], "-l") == 0)
		return list();
	if (argc > 1 && (t = fuzz_target_find(argv[1])) == NULL) {
		fprintf(stderr, "fuzz: no target %s: test/fuzz/target.def has "
		    "them\n", argv[1]);
		return 2;
	}
	if (argc > 2) {
		for (i = 2; i < argc; i++)
			nfailed += !replay_file(t, argv[i]);
		return nfailed != 0;
	}
	for (i = 0; (t = fuzz_target_at((size_t)i)) != NULL; i++)
		if (argc == 1 || strcmp(t->name, argv[1]) == 0) {
			nfailed += replay_corpus(t, &nfiles) != 0;
			ntargets++;
		}
	printf("fuzz: %u inputs of %u targets\n", nfiles, ntargets);
	printf("%u passed, %u failed\n", ntargets - nfailed, nfailed);
	return nfailed != 0;
}

/* Runs unit tests without Criterion: see criterion/criterion.h.
 *	standin [SUITE/NAME...]
 * runs all but these, and ends with a line "N passed, N failed". */

#include <sys/wait.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define SECONDS	120	/* for a test that says nothing, or less */

static struct standin_test *tests;
static int nfailed;		/* checks of the test that runs */

void
standin_add(struct standin_test *t)
{
	struct standin_test **at = &tests;

	/* in the order of their files */
	while (*at != NULL)
		at = &(*at)->next;
	*at = t;
}

void
standin_check(bool holds, bool is_fatal, const char *file, int line,
    const char *what, const char *more, ...)
{
	char said[512];
	va_list ap;

	if (holds)
		return;
	(void)__atomic_add_fetch(&nfailed, 1, __ATOMIC_RELAXED);
	va_start(ap, more);
	(void)vsnprintf(said, sizeof(said), more, ap);
	va_end(ap);
	fprintf(stderr, "%s:%d: %s%s\n", file, line, what, said);
	if (is_fatal)
		_exit(1);
}

static const struct standin_more *
suite_of(const struct standin_test *t)
{
	static const struct standin_more none;
	const struct standin_test *s;

	for (s = tests; s != NULL; s = s->next)
		if (s->name == NULL && strcmp(s->suite, t->suite) == 0)
			return &s->more;
	return &none;
}

static void __attribute__((noreturn))
child(const struct standin_test *t)
{
	const struct standin_more *suite = suite_of(t), *own = &t->more;
	void (*init)(void) = own->init != NULL ? own->init : suite->init;
	void (*fini)(void) = own->fini != NULL ? own->fini : suite->fini;

	(void)alarm(SECONDS);
	if (init != NULL)
		init();
	t->run();
	if (fini != NULL)
		fini();
	_exit(nfailed != 0);
}

static bool
passes(const struct standin_test *t)
{
	int status = 0;
	pid_t pid;

	(void)fflush(NULL);
	if ((pid = fork()) == -1) {
		perror("fork");
		exit(1);
	}
	if (pid == 0)
		child(t);
	while (waitpid(pid, &status, 0) != pid)
		continue;
	if (status != 0)
		printf("FAIL %s/%s: status 0x%x\n", t->suite, t->name,
		    (unsigned int)status);
	return status == 0;
}

static bool
is_wanted(const struct standin_test *t, char **others)
{
	char id[256];

	if (t->name == NULL)
		return false;
	snprintf(id, sizeof(id), "%s/%s", t->suite, t->name);
	for (; *others != NULL; others++)
		if (strcmp(*others, id) == 0)
			return false;
	return true;
}

int
main(int, char **argv)
{
	const struct standin_test *t;
	int npassed = 0, nbad = 0;

	for (t = tests; t != NULL; t = t->next)
		if (is_wanted(t, argv + 1)) {
			if (passes(t))
				npassed++;
			else
				nbad++;
		}
	printf("%d passed, %d failed\n", npassed, nbad);
	return nbad != 0;
}

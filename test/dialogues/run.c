/* build/dialogues: every dialogue in every way its octets can be cut.
 *	build/dialogues [-v] [-1] [-t | file ...]
 * -1: only whole; -v: with a trace of the whole run; -t: no dialogue is played,
 * but each cell of the table, and the table is printed as it then is. */

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/dialogues/dialogue.h"

#define TABLE	"test/dialogues/verbs.table"

static const char *const mode_names[] = { "whole", "split", "byte by byte",
	"replies taken byte by byte", "client gone", "client silent" };

struct total {
	unsigned long	ndialogues, nfailed, nwhole_only, nruns[PLAY_NMODES];
};

static bool
run_one(const struct dialogue *d, enum play_mode mode, size_t cut, bool v,
    struct play_result *r, struct total *t)
{
	play(d, mode, cut, v, r);
	if (!r->is_boundary || mode != PLAY_SPLIT)
		t->nruns[mode]++;
	if (!r->is_failed)
		return true;
	if (cut > 0)
		printf("FAIL %s (%s after octet %zu)\n", r->text,
		    mode_names[mode], cut);
	else
		printf("FAIL %s (%s)\n", r->text, mode_names[mode]);
	return false;
}

static bool
run_dialogue(const char *path, bool v, bool is_whole_only, struct total *t)
{
	struct play_result r;
	struct dialogue *d;
	size_t noctets, cut;
	bool is_good;

	t->ndialogues++;
	d = dialogue_parse(path);
	if (d == NULL)
		return false;
	if (v)
		printf("%s\n", path);
	is_good = run_one(d, PLAY_WHOLE, 0, v, &r, t);
	noctets = r.noctets;
	if (d->is_whole_only)
		t->nwhole_only++;
	if (is_good && !is_whole_only && !d->is_whole_only) {
		for (cut = 1; is_good && cut < noctets; cut++)
			is_good = run_one(d, PLAY_SPLIT, cut, false, &r, t);
		is_good = is_good
		    && run_one(d, PLAY_BYTES, 0, false, &r, t);
	}
	if (is_good && !is_whole_only)
		is_good = run_one(d, PLAY_DRIP, 0, false, &r, t);
	/* a client has to cope with any server */
	for (cut = 0; is_good && (d->is_vanishing ||
	    (d->is_of_client && !d->is_whole_only))
	    && !is_whole_only && cut < noctets; cut++)
		is_good = run_one(d, PLAY_VANISH, cut, false, &r, t)
		    && run_one(d, PLAY_STALL, cut, false, &r, t);
	dialogue_free(d);
	return is_good;
}

/* The table of verbs and states. */
static bool
run_table(bool is_printed, bool v)
{
	unsigned long ncells, nwrong;

	nwrong = table_check(TABLE, is_printed, v, &ncells);
	if (!is_printed)
		printf("dialogues: %lu cells of %s, %lu wrong\n", ncells, TABLE,
		    nwrong);
	return nwrong == 0;
}

int
main(int argc, char **argv)
{
	struct total t = { 0 };
	glob_t g = { 0 };
	bool v = false, is_whole_only = false, is_table = false;
	size_t i;
	int ch;

	while ((ch = getopt(argc, argv, "1tv")) != -1) {
		if (ch == '1')
			is_whole_only = true;
		else if (ch == 'v')
			v = true;
		else if (ch == 't')
			is_table = true;
		else {
			fprintf(stderr, "usage: dialogues [-1tv] [file ...]\n");
			return 2;
		}
	}
	if (!is_table && optind == argc &&
	    (glob("test/dialogues/*.txt", 0, NULL, &g) != 0 ||
	    glob("test/dialogues/client/*.txt", GLOB_APPEND, NULL, &g) != 0)) {
		fprintf(stderr, "dialogues: no test/dialogues/*.txt and "
		    "client/*.txt here\n");
		return 2;
	}
	if (play_setup() == -1) {
		fprintf(stderr, "dialogues: cannot set up\n");
		return 1;
	}
	if (is_table)
		return run_table(true, v) ? 0 : 1;
	if (g.gl_pathc > 0) {
		t.ndialogues++;
		t.nfailed += !run_table(false, v);
	}
	for (i = 0; i < g.gl_pathc; i++)
		t.nfailed += !run_dialogue(g.gl_pathv[i], v, is_whole_only, &t);
	for (; optind < argc; optind++)
		t.nfailed += !run_dialogue(argv[optind], v, is_whole_only, &t);
	globfree(&g);
	printf("dialogues: played %lu times whole, %lu split in two, %lu byte "
	    "by byte, %lu with replies taken byte by byte, %lu with a client "
	    "that goes away or falls silent", t.nruns[PLAY_WHOLE],
	    t.nruns[PLAY_SPLIT], t.nruns[PLAY_BYTES], t.nruns[PLAY_DRIP],
	    t.nruns[PLAY_VANISH] + t.nruns[PLAY_STALL]);
	if (t.nwhole_only > 0)
		printf(" (%lu depend on packets by design and are not split)",
		    t.nwhole_only);
	printf("\n%lu passed, %lu failed\n", t.ndialogues - t.nfailed,
	    t.nfailed);
	return t.nfailed == 0 ? 0 : 1;
}

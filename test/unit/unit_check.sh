#!/bin/sh
# unit_check.sh PROGRAM [OPTION...]: run unit tests, and count them in the last
# lines as the other suites do.  Criterion's own last line has no number of
# those that were skipped, and without --verbose it does not name them; and one
# that crashes in its teardown has passed there.
set -u
tap=$(mktemp) || exit 1
trap 'rm -f "$tap" "$tap".*' EXIT
{ "$@" --tap="$tap"; echo $? >"$tap.status"; } 2>&1 | tee "$tap.out"
# Criterion's words for a test that did not begin: one that is disabled, or
# that --filter has left out; the latter was not asked for
case " $* " in
*' --filter'*)	left_out='# SKIP test was skipped$' ;;
*)		left_out='^$' ;;
esac
grep '^ok .*# SKIP' "$tap" >"$tap.skip"
skips=$(grep -v "$left_out" "$tap.skip" |
    sed 's/^ok *[0-9]* *- *\(.*[^ ]\) *# SKIP/skip \1:/')
crashes=$(sed -n 's/.*The test `\(.*\)` crashed during its setup or teardown.*/\1/p' \
    "$tap.out")
if [ -n "$skips" ]; then
	echo "$skips"
	echo "$(echo "$skips" | wc -l) skipped"
fi
ncrashes=0
if [ -n "$crashes" ]; then
	echo "$crashes" | sed 's/.*/FAIL &: crashed during its setup or teardown/'
	ncrashes=$(echo "$crashes" | wc -l)
	echo 1 >"$tap.status"
fi
echo "$(($(grep -c '^ok ' "$tap") - $(wc -l <"$tap.skip") - ncrashes)) passed," \
    "$(($(grep -c '^not ok ' "$tap") + ncrashes)) failed"
exit "$(cat "$tap.status")"

#!/bin/sh
# unit_check.sh PROGRAM [OPTION...]: run unit tests, and count them in the last
# lines as the other suites do.  Criterion's own last line has no number of
# those that were skipped, and without --verbose it does not name them.
set -u
tap=$(mktemp) || exit 1
trap 'rm -f "$tap" "$tap.skip"' EXIT
"$@" --tap="$tap"
status=$?
# Criterion's words for a test that did not begin: one that is disabled, or
# that --filter has left out; the latter was not asked for
case " $* " in
*' --filter'*)	left_out='# SKIP test was skipped$' ;;
*)		left_out='^$' ;;
esac
grep '^ok .*# SKIP' "$tap" >"$tap.skip"
skips=$(grep -v "$left_out" "$tap.skip" |
    sed 's/^ok *[0-9]* *- *\(.*[^ ]\) *# SKIP/skip \1:/')
if [ -n "$skips" ]; then
	echo "$skips"
	echo "$(echo "$skips" | wc -l) skipped"
fi
echo "$(($(grep -c '^ok ' "$tap") - $(wc -l <"$tap.skip"))) passed," \
    "$(grep -c '^not ok ' "$tap") failed"
exit $status

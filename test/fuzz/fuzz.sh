#!/bin/sh
# fuzz.sh PROGRAM SECONDS [TARGET...] - each target for so long, from the kept
# corpus.  Fails on a find, and says how to see it again.
# Inputs that reach more than the kept ones stay in BUILD/grown/TARGET; to keep the
# best of them:
#	BUILD/TARGET -merge=1 test/fuzz/corpus/TARGET BUILD/grown/TARGET
set -u
program=$1 seconds=$2
shift 2
build=$(dirname "$program")
here=test/fuzz
all=$(sed -n 's/^FUZZ(\([a-z0-9]*\),.*/\1/p' $here/target.def)
bad=
for target in ${*:-$all}; do
	max=$(sed -n "s/^FUZZ($target,[^0-9]*\([0-9]*\)).*/\1/p" $here/target.def)
	[ -n "$max" ] || { echo "fuzz.sh: no target $target: $here/target.def" >&2
		exit 2; }
	mkdir -p "$build/found/$target" "$build/log" "$build/grown/$target"
	ln -sf "$(basename "$program")" "$build/$target"
	log=$build/log/$target.log
	dict=
	[ ! -f "$here/dict/$target" ] || dict=-dict=$here/dict/$target
	timeout -k 10 $((seconds + 120)) "$build/$target" \
	    -max_total_time="$seconds" -max_len="$max" -timeout=20 \
	    -rss_limit_mb=1024 -artifact_prefix="$build/found/$target/" \
	    -print_final_stats=1 $dict "$build/grown/$target" \
	    "$here/corpus/$target" >"$log" 2>&1 </dev/null
	status=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	cov=$(sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 edges, \2 features/p' \
	    "$log" | tail -1)
	printf '%-10s %9s runs, %s\n' "$target" "${runs:-?}" "${cov:-?}"
	[ $status = 0 ] && continue
	bad="$bad $target"
	grep -aE 'does not hold|violation|ERROR: |SUMMARY: |runtime error' "$log" |
	    head -5 | sed 's/^/    /'
	file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
	echo "    all of it: $log"
	[ -z "$file" ] || echo "    again: $build/$target $file"
done
[ -z "$bad" ] || { echo "fuzz: FAILED:$bad"; exit 1; }

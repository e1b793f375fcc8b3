#!/bin/sh
# fuzz.sh libfuzzer|afl PROGRAM SECONDS [TARGET...] - each target for so long, from
# the kept corpus.  Fails on a find, and says how to see it again.
# Inputs that reach more than the kept ones stay in BUILD/grown/TARGET (AFL++: in
# BUILD/grown/TARGET/default/queue), where the next run goes on; to keep the best
# of them, with the program of libFuzzer:
#	BUILD/TARGET -merge=1 test/fuzz/corpus/TARGET BUILD/grown/TARGET
set -u
fuzzer=$1 program=$2 seconds=$3
shift 3
build=$(dirname "$program")
here=test/fuzz

# a program that is killed leaves its files behind
shm=/dev/shm
[ -w $shm ] || shm=/tmp
TMPDIR=$(mktemp -d $shm/mailmill-fuzz.XXXXXX) || exit 1
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 1' INT TERM

# Of all: how many there were, what they have reached, what was found, in
# $runs, $cov and $found (file names); the status tells whether it is well.
run_libfuzzer() {
	mkdir -p "$build/found/$target"
	timeout -k 10 $((seconds + 120)) "$build/$target" \
	    -max_total_time="$seconds" -max_len="$max" -timeout=20 \
	    -rss_limit_mb=1024 -artifact_prefix="$build/found/$target/" \
	    -print_final_stats=1 ${dict:+"-dict=$dict"} \
	    "$build/grown/$target" "$here/corpus/$target" \
	    >"$log" 2>&1 </dev/null
	status=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	cov=$(sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 edges, \2 features/p' \
	    "$log" | tail -1)
	found=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
	return $status
}

# AFL++ goes on after a find, and keeps each in a file.  It wants to be told that
# nobody tunes the machine for it.
run_afl() {
	out=$build/grown/$target
	stats=$out/default/fuzzer_stats
	# those of the runs before are not this one's, and are not lost
	mkdir -p "$build/found/$target"
	for f in "$out"/default/crashes/id* "$out"/default/hangs/id*; do
		[ ! -f "$f" ] || mv "$f" "$build/found/$target/$(cksum <"$f" |
		    tr ' ' -)"
	done
	rm -rf "$out/default/crashes" "$out/default/hangs"
	AFL_NO_UI=1 AFL_NO_AFFINITY=1 AFL_SKIP_CPUFREQ=1 AFL_AUTORESUME=1 \
	    AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
	    AFL_FORKSRV_INIT_TMOUT=60000 \
	    ASAN_OPTIONS=abort_on_error=1:symbolize=0:detect_leaks=0 \
	    UBSAN_OPTIONS=abort_on_error=1:symbolize=0 \
	    timeout -k 10 $((seconds + 240)) afl-fuzz -V "$seconds" -m none \
	    -t 20000 -G "$max" ${dict:+-x "$dict"} -i "$here/corpus/$target" \
	    -o "$out" -- "$build/$target" >"$log" 2>&1 </dev/null
	status=$?
	runs=$(sed -n 's/^execs_done *: *//p' "$stats")
	cov=$(sed -n 's/^edges_found *: *\([0-9]*\).*/\1 edges/p' "$stats")
	found=$(find "$out/default/crashes" "$out/default/hangs" -name 'id*')
	[ $status = 0 ] && [ -z "$found" ]
}

all=$(sed -n 's/^FUZZ(\([a-z0-9]*\),.*/\1/p' $here/target.def)
bad=
mkdir -p "$build/log"
for target in ${*:-$all}; do
	max=$(sed -n "s/^FUZZ($target,[^0-9]*\([0-9]*\)).*/\1/p" $here/target.def)
	[ -n "$max" ] || { echo "fuzz.sh: no target $target: $here/target.def" >&2
		exit 2; }
	mkdir -p "$build/grown/$target"
	ln -sf "$(basename "$program")" "$build/$target"
	log=$build/log/$target.log
	dict=
	[ ! -f "$here/dict/$target" ] || dict=$here/dict/$target
	runs='' cov='' found=''
	if run_"$fuzzer"; then
		well=1
	else
		well=
		bad="$bad $target"
	fi
	printf '%-10s %9s runs, %s, %s finds\n' "$target" "${runs:-?}" \
	    "${cov:-?}" "$(echo "$found" | grep -c .)"
	[ -z "$well" ] || continue
	grep -aE 'does not hold|violation|ERROR: |SUMMARY: |runtime error|PROGRAM ABORT' \
	    "$log" | head -5 | sed 's/^/    /'
	echo "    all of it: $log"
	echo "$found" | grep . | head -5 | sed "s|^|    again: $build/$target |"
done
[ -z "$bad" ] || { echo "fuzz: FAILED:$bad"; exit 1; }

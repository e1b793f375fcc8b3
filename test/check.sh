#!/bin/bash
# check.sh [sanitize] - "make check": everything that can be tested, one stage
# after the other, and at the end one line for a reader and one for a program.
#
# A stage is a command.  It passes when its status is 0; where its output has
# a last line "N passed, N failed" the tests are counted from there, else it
# counts as one.  What a stage has skipped is named in lines "skip NAME: WHY" and
# counted in one "N skipped".  CHECK="unit system" runs only these stages.
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C

B=build/check
make_args=(WERROR=-Werror)
seeds=20000
kills=70
slower=1		# how much longer a stage may take
if [ "${1:-}" = sanitize ]; then
	B=build/sanitize
	make_args+=(SANITIZE=1)
	slower=4
	export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99:allocator_may_return_null=1
	export LSAN_OPTIONS=suppressions=$PWD/test/lsan.supp:print_suppressions=0
	export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
	export MAILMILL_SANITIZE=1
fi
make_args+=("B=$B")
export MAILMILL_BUILD=$PWD/$B
logs=$B/log
started=$SECONDS
passed=0
failed=0
skipped=0
broken=

wanted() {
	[ -z "${CHECK:-}" ] || [[ " $CHECK " = *" $1 "* ]]
}

# count LOG STATUS: sets p, f and k (skipped)
count() {
	local line
	k=$(sed -n 's/^\([0-9]*\) skipped$/\1/p' "$1" | tail -1)
	k=${k:-0}
	line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$1" | tail -1)
	if [ -n "$line" ]; then
		p=${line%% passed*}
		f=${line##*, }
		f=${f%% failed}
	else
		p=1
		f=0
	fi
	# a failure that nobody counted is one all the same
	if [ "$2" != 0 ] && [ "$f" = 0 ]; then
		f=1
		[ "$p" = 1 ] && p=0
	fi
}

# run NAME LIMIT COMMAND...: its output goes to its log; its status
run() {
	local name=$1 limit=$(($2 * slower))
	shift 2
	timeout -k 10 "$limit" "$@" >"$logs/$name.log" 2>&1 </dev/null
}

# early NAME LIMIT COMMAND...: run it, for a later "stage NAME LIMIT" to show
early() {
	! wanted "$1" || { run "$@"; echo $? >"$logs/$1.status"; }
}

# stage NAME LIMIT [COMMAND...]
stage() {
	local name=$1 limit=$(($2 * slower)) status t=$SECONDS log=$logs/$1.log
	wanted "$name" || return 0
	printf '%-10s ' "$name"
	if [ $# -gt 2 ]; then
		run "$@"
		status=$?
	else
		wait "$fetching"
		status=$(cat "$logs/$name.status") || status=1
	fi
	count "$log" $status
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + k))
	printf '%5d passed, %d failed  %4d s\n' "$p" "$f" $((SECONDS - t))
	# show what was skipped: it has not passed
	if [ "$k" != 0 ]; then
		echo "    $k skipped:"
		grep -a '^skip ' "$log" | sed 's/^/    /'
	fi
	if [ "$f" != 0 ]; then
		broken="$broken $name"
		[ $status = 124 ] && echo "    no end after $limit s"
		grep -aE '^(FAIL|not ok)|\[(FAIL|CRASH)\]|ERROR: (Address|Leak)|runtime error|[Aa]ssert' \
		    "$log" | head -20 | sed 's/^/    /'
		tail -n 25 "$log" | sed 's/^/    | /'
		echo "    all of it: $log"
	fi
}

sh test/deps.sh install check || exit 1
mkdir -p "$logs"
rm -f "$logs"/*.status
# they need the network, and nothing of the build; one after the other, since apt
# locks its lists.  They end with this program, also if that is interrupted
set -m
{
	early postfix 300 sh test/postfix.sh build/postfix
	early mailers 300 sh test/unpack.sh build/mailers exim4-daemon-light opensmtpd
	early haproxy 300 sh test/unpack.sh build/haproxy haproxy
} &
fetching=$!
set +m
trap 'kill -- -$fetching 2>/dev/null' EXIT
stage build 300 make -j"$(nproc)" "${make_args[@]}" tests
if [[ $broken = *build* ]]; then
	echo "check: does not build"
	echo "$passed passed, $failed failed"
	exit 1
fi

# some wait for a child or for a second to pass: meanwhile others run
stage unit 450 sh test/unit/unit_check.sh "$B/unit" -j$((2 * $(nproc)))
[ -x "$B/dialogues" ] && stage dialogues 300 "$B/dialogues"
[ -x "$B/sim" ] && stage sim-selftest 60 "$B/sim" --selftest
[ -x "$B/sim" ] && stage sim 300 "$B/sim" --seeds $seeds
[ -x "$B/fuzz" ] && stage fuzz 120 "$B/fuzz"
[ -x "$B/embed" ] && stage embed 60 sh test/embed/embed_check.sh "$B/embed"
# it has packages fetched, too
wait "$fetching"
stage library 900 python3 test/library/library.py
stage arch 120 python3 test/arch/check.py --objects "$B"
stage postfix 300
stage mailers 300
stage haproxy 300
stage live 120 python3 test/system/live.py
stage system 900 python3 test/system/run.py
stage crash 300 python3 test/system/crash.py --kills $kills

took=$((SECONDS - started))
if [ $failed = 0 ]; then
	echo "check: all is well, after $((took / 60)) min $((took % 60)) s"
else
	echo "check: FAILED in:$broken (after $((took / 60)) min $((took % 60)) s)"
fi
if [ $skipped = 0 ]; then
	echo "$passed passed, $failed failed"
else
	echo "$passed passed, $failed failed, $skipped skipped"
fi
[ $failed = 0 ]

#!/bin/sh
# bench.sh BUILD [bench.py's options] - "make bench": prepares what bench.py
# needs (a disk, Postfix's test programs, a syslog that discards), runs it, and
# takes the mount away again unless KEEP=1.  BENCH_DIR: where, 7 GB free.
set -eu
here=$(dirname "$0")
build=$1
shift
dir=${BENCH_DIR:-build/bench}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# one at a time: two would measure each other
exec 9>"$dir/lock"
flock -w 900 9 || { echo "bench: another one runs in $dir" >&2; exit 1; }

sh "$here/../postfix.sh" build/postfix
if [ "$(id -u)" = 0 ]; then
	was=$(grep -c " $dir/fs " /proc/mounts || :)
	sh "$here/disk.sh" on "$dir" "${BENCH_GIB:-6}"
	fs=$dir/fs
	if [ "$was" = 0 ] && [ -z "${KEEP:-}" ]; then
		trap 'sh "$here/disk.sh" off "$dir"' EXIT
	fi
else
	echo "bench: not root, so no disk of its own: what is measured depends" \
	    "on the file system of $dir" >&2
	fs=$dir/plain
	mkdir -p "$fs"
fi
python3 "$here/bench.py" --build "$build" --fs "$fs" --postfix build/postfix \
    --out "$dir/results.jsonl" "$@"

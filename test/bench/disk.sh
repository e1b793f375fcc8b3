#!/bin/sh
# disk.sh on DIR [GIB] | off DIR - a file system for measuring, at DIR/fs.
#
# An ext4 with a journal in a loop file that is written out in full before and
# reached with direct I/O: so a flush of it is a flush of the disk below, no
# block is allocated behind its back, and what the host's own file system is
# mounted with plays no part.  Needs root.  The image stays for the next run.
set -eu

usage() { sed -n 's/^# \(disk.sh.*\)/usage: \1/p' "$0" >&2; exit 2; }

[ $# -ge 2 ] || usage
what=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
gib=${3:-6}
img=$dir/disk.img

mounted() { grep -q " $dir/fs " /proc/mounts; }

case $what in
on)
	mounted && exit 0
	[ "$(id -u)" = 0 ] || { echo "disk.sh: needs root" >&2; exit 1; }
	mkdir -p "$dir/fs"
	fresh=
	if [ ! -s "$img" ]; then
		fresh=1
		dd if=/dev/zero of="$img.part" bs=4M count=$((gib * 256)) \
		    oflag=direct status=none
		mv "$img.part" "$img"
	fi
	dev=$(losetup -f --show --direct-io=on "$img")
	trap 'losetup -d "$dev" 2>/dev/null || :' EXIT
	if [ -n "$fresh" ] || ! blkid "$dev" >/dev/null 2>&1; then
		mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 \
		    "$dev"
	fi
	# detached at once: a loop device in use goes away with its mount
	mount -o relatime "$dev" "$dir/fs"
	;;
off)
	mounted || exit 0
	umount "$dir/fs"
	;;
*)
	usage
	;;
esac

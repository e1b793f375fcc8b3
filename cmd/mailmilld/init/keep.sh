#!/bin/sh
# keep.sh install MODE COPY FILE - install standard input as FILE, unless an
#	administrator has edited that one.
# keep.sh remove COPY FILE - remove FILE, unless it was edited.
#
# COPY is what was installed there last: a FILE that differs from it was edited.
set -eu

case $1 in
install)
	mode=$2 copy=$3 file=$4
	new=$(mktemp)
	trap 'rm -f "$new"' EXIT
	cat > "$new"
	if [ ! -e "$file" ] || cmp -s "$file" "$copy"; then
		install -D -m "$mode" "$new" "$file"
	elif ! cmp -s "$file" "$new"; then
		echo "$file has been edited and stays; the new one is $copy" >&2
	fi
	install -D -m 644 "$new" "$copy"
	;;
remove)
	copy=$2 file=$3
	[ ! -e "$file" ] || ! cmp -s "$file" "$copy" || rm -f "$file"
	;;
esac

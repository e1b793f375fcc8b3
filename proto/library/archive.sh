#!/bin/sh
# archive.sh MAP ENGINE LIBRARY - make the archive that is installed.
#
# In an archive the functions of different files call each other by global
# names, which could be those of the program that it is linked into, or of
# another library.  So LIBRARY is ENGINE with the prefix mailmill_internal_ to
# each name that MAP does not export.  Names with __ are the compiler's own.
set -eu

[ $# = 3 ] || { sed -n 's/^# \(archive.sh .*\) - .*/usage: \1/p' "$0" >&2; exit 2; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
sed -n 's/^[[:space:]]*\([A-Za-z_][A-Za-z0-9_]*\);.*/\1/p' "$1" |
    sort -u >"$tmp/exported"
${NM:-nm} -g --defined-only "$2" >"$tmp/nm"
awk 'NF == 3 && $3 !~ /^__/ { print $3 }' "$tmp/nm" | sort -u |
    comm -23 - "$tmp/exported" |
    sed 's/.*/& mailmill_internal_&/' >"$tmp/renamed"
${OBJCOPY:-objcopy} --redefine-syms="$tmp/renamed" "$2" "$3"

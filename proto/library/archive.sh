#!/bin/sh
# archive.sh MAP ENGINE LIBRARY - make an archive that is installed.
#
# In an archive the functions of different files call each other by global
# names, which could be those of the program that it is linked into, or of
# another library.  So LIBRARY is ENGINE with a prefix to each name that MAP does
# not export: mailmill_internal_ in libmailmill.a, mailmill_tls_internal_ in
# libmailmill-tls.a, which has some files of the other.  Names with __ are the
# compiler's own.
set -eu

[ $# = 3 ] || { sed -n 's/^# \(archive.sh .*\) - .*/usage: \1/p' "$0" >&2; exit 2; }
prefix=$(basename "$3" .a | sed 's/^lib//; s/-/_/g')_internal_
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
sed -n 's/^[[:space:]]*\([A-Za-z_][A-Za-z0-9_]*\);.*/\1/p' "$1" |
    sort -u >"$tmp/exported"
${NM:-nm} -g --defined-only "$2" >"$tmp/nm"
awk 'NF == 3 && $3 !~ /^__/ { print $3 }' "$tmp/nm" | sort -u |
    comm -23 - "$tmp/exported" |
    sed "s/.*/& $prefix&/" >"$tmp/renamed"
${OBJCOPY:-objcopy} --redefine-syms="$tmp/renamed" "$2" "$3"

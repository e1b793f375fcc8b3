#!/bin/sh
# unpack.sh DIR PACKAGE... - unpack Debian packages without installing them.
#
# The packages, with the libraries that they depend on, are fetched by apt-get
# download and unpacked under DIR/root.  So programs can be tested that cannot be
# installed beside each other.  Run again it does nothing.  Needs apt-get and
# package lists, but not root.
set -eu

[ $# -ge 2 ] || { echo "usage: unpack.sh DIR PACKAGE..." >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
[ "$(cat "$dir/packages" 2>/dev/null)" = "$*" ] && exit 0
PATH=$PATH:/usr/sbin:/sbin

get() {
	# as root apt-get downloads as the user _apt, who may not write here
	(cd "$tmp" && apt-get -q -o APT::Sandbox::User=root download "$@") \
	    >>"$tmp/log" 2>&1
}

libraries() {
	for p in "$@"; do apt-cache depends "$p"; done 2>/dev/null |
	    sed -n 's/^  Depends: \(lib[a-z0-9.+-]*\)$/\1/p' |
	    grep -vx -e 'libc6' -e 'libgcc.*' -e 'libstdc.*' -e libcrypt1 |
	    sort -u
}

tmp=$(mktemp -d "$dir/get.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
if ! get "$@"; then
	if [ "$(id -u)" = 0 ]; then
		apt-get -q update >>"$tmp/log" 2>&1 || :
	else
		sudo -n apt-get -q update >>"$tmp/log" 2>&1 || :
	fi
	get "$@" || { tail -3 "$tmp/log" >&2; exit 1; }
fi
libs=$(libraries "$@")
# a library's own libraries too (libnsl2 needs libtirpc3); one by one takes
# minutes, but one that is missing fails all of a call
libs=$(printf '%s\n' $libs $(libraries $libs) | sort -u)
get $libs || for l in $libs; do
	get "$l" || echo "unpack.sh: no $l" >&2
done
for f in "$tmp"/*.deb; do
	dpkg -x "$f" "$tmp/root"
done
rm -rf "$dir/root"
mv "$tmp/root" "$dir/root"
echo "$*" >"$dir/packages"

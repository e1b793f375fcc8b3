#!/bin/sh
# postfix.sh DIR - unpack Postfix's test programs, without installing Postfix.
#
# smtp-source and smtp-sink come from Debian's package, with the libraries it
# depends on, fetched by apt-get download and unpacked under DIR.  Then
# DIR/bin/smtp-source and DIR/bin/smtp-sink start them.  Run again it does
# nothing.  Needs apt-get and package lists, but not root.
set -eu

[ $# = 1 ] || { echo "usage: postfix.sh DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[ -x "$dir/bin/smtp-sink" ] && exit 0
PATH=$PATH:/usr/sbin:/sbin

get() {
	# as root apt-get downloads as the user _apt, who may not write here
	(cd "$tmp" && apt-get -q -o APT::Sandbox::User=root download "$@") \
	    >>"$tmp/log" 2>&1
}

tmp=$(mktemp -d "$dir/get.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
libs=$(apt-cache depends postfix 2>/dev/null |
    sed -n 's/^  Depends: \(lib[a-z0-9.+-]*\)$/\1/p')
if ! get postfix; then
	if [ "$(id -u)" = 0 ]; then
		apt-get -q update >>"$tmp/log" 2>&1 || :
	else
		sudo -n apt-get -q update >>"$tmp/log" 2>&1 || :
	fi
	get postfix || { tail -3 "$tmp/log" >&2; exit 1; }
	libs=$(apt-cache depends postfix |
	    sed -n 's/^  Depends: \(lib[a-z0-9.+-]*\)$/\1/p')
fi
# a library's own libraries too (libnsl2 needs libtirpc3)
more=$(for l in $libs; do apt-cache depends "$l"; done 2>/dev/null |
    sed -n 's/^  Depends: \(lib[a-z0-9.+-]*\)$/\1/p' |
    grep -vx -e libc6 -e 'libgcc.*' -e 'libstdc.*' -e libcrypt1 | sort -u)
for l in $(printf '%s\n' $libs $more | grep -vx libc6 | sort -u); do
	get "$l" || echo "postfix.sh: no $l" >&2
done
for f in "$tmp"/*.deb; do
	dpkg -x "$f" "$tmp/root"
done
for p in smtp-source smtp-sink; do
	cat >"$tmp/$p" <<E
#!/bin/sh
r=$dir/root
LD_LIBRARY_PATH=\$r/usr/lib/postfix\$(printf ':%s' \$r/usr/lib/*-linux-gnu* \$r/lib/*-linux-gnu*)
export LD_LIBRARY_PATH
exec \$r/usr/sbin/$p "\$@"
E
	chmod +x "$tmp/$p"
done
rm -rf "$dir/root"
mv "$tmp/root" "$dir/root"
mkdir -p "$dir/bin"
mv "$tmp/smtp-source" "$tmp/smtp-sink" "$dir/bin/"

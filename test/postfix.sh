#!/bin/sh
# postfix.sh DIR - unpack Postfix, without installing it.
#
# DIR/bin/smtp-source and DIR/bin/smtp-sink start its test programs; DIR/root
# has all of it (unpack.sh).  Run again it does nothing.
set -eu

[ $# = 1 ] || { echo "usage: postfix.sh DIR" >&2; exit 2; }
sh "$(dirname "$0")/unpack.sh" "$1" postfix
dir=$(cd "$1" && pwd)
mkdir -p "$dir/bin"
for p in smtp-source smtp-sink; do
	cat >"$dir/bin/$p" <<W
#!/bin/sh
r=$dir/root
LD_LIBRARY_PATH=\$r/usr/lib/postfix\$(printf ':%s' \$r/usr/lib/*-linux-gnu* \$r/lib/*-linux-gnu*)
export LD_LIBRARY_PATH
exec \$r/usr/sbin/$p "\$@"
W
	chmod +x "$dir/bin/$p"
done

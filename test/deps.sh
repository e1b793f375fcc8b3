#!/bin/sh
# deps.sh check|install build|run|check|fuzz-libfuzzer|fuzz-afl|fuzz-cover|bench|powercut - what mailmill needs from outside.
#
# check: one line that names the Debian packages that are missing, status 1.
# install: installs them with apt-get, as root or through sudo -n; if neither
# is possible, prints the same line and fails.
set -u

build="
gcc		cmd:cc
make		cmd:make
libc6-dev	hdr:stdio.h
pkg-config	cmd:pkg-config
libbsd-dev	pc:libbsd-overlay
libssl-dev	pc:openssl
libxxhash-dev	pc:libxxhash
libsqlite3-dev	pc:sqlite3
libjansson-dev	pc:jansson
libgsasl-dev	pc:libgsasl
libseccomp-dev	pc:libseccomp
libidn2-dev	pc:libidn2
libc-ares-dev	pc:libcares
libcurl4-openssl-dev pc:libcurl
zlib1g-dev	pc:zlib
libunistring-dev hdr:unistr.h
libpam0g-dev	hdr:security/pam_appl.h
libcrypt-dev	hdr:crypt.h
"
run="
curl		cmd:curl
"
check="
libcriterion-dev hdr:criterion/criterion.h
python3		cmd:python3
curl		cmd:curl
swaks		cmd:swaks
libnet-ssleay-perl perl:Net::SSLeay
libdigest-hmac-perl perl:Digest::HMAC_MD5
msmtp		cmd:msmtp
gsasl		cmd:gsasl
openssl		cmd:openssl
testssl.sh	cmd:testssl
sslscan		cmd:sslscan
gnutls-bin	cmd:gnutls-cli
mandoc		cmd:mandoc
groff-base	cmd:groff
util-linux	cmd:setpriv
dovecot-core	cmd:dovecot
dovecot-lmtpd	file:/usr/lib/dovecot/lmtp
fail2ban	cmd:fail2ban-regex
nsd		cmd:nsd
unbound		cmd:unbound
ldnsutils	cmd:ldns-signzone
systemd		cmd:systemd-analyze
libnss3-tools	cmd:tstclnt
default-jdk-headless cmd:javac
nodejs		cmd:node
node-nodemailer	file:/usr/share/nodejs/nodemailer/package.json
mutt		cmd:mutt
procmail	cmd:procmail
libsasl2-modules file:/usr/lib/*/sasl2/libscram.so
g++		cmd:c++
clang		cmd:clang++
libevent-dev	pc:libevent
libuv1-dev	pc:libuv
libglib2.0-dev	pc:glib-2.0
abigail-tools	cmd:abidiff
valgrind	cmd:valgrind
python3-cffi	py:cffi
"
libfuzzer="
clang		cmd:clang
libclang-rt-dev	file:/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer*.a
"
cover="
clang		cmd:clang
libclang-rt-dev	file:/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.profile*.a
llvm		cmd:llvm-cov
"
afl="
afl++		cmd:afl-clang-fast
libclang-rt-dev	file:/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan*.a
"
bench="
python3		cmd:python3
dovecot-core	cmd:dovecot
dovecot-lmtpd	file:/usr/lib/dovecot/lmtp
e2fsprogs	cmd:mkfs.ext4
mount		cmd:losetup
"
powercut="
python3		cmd:python3
libfuse3-dev	pc:fuse3
fuse3		cmd:fusermount3
mount		cmd:losetup
e2fsprogs	cmd:mkfs.ext4
xfsprogs	cmd:mkfs.xfs
btrfs-progs	cmd:mkfs.btrfs
"

PATH=$PATH:/usr/sbin:/sbin

there() {
	case $1 in
	cmd:*)	command -v "${1#cmd:}" >/dev/null 2>&1 ;;
	pc:*)	pkg-config --exists "${1#pc:}" 2>/dev/null ;;
	py:*)	python3 -c "import ${1#py:}" 2>/dev/null ;;
	perl:*)	perl -M"${1#perl:}" -e 1 2>/dev/null ;;
	file:*)	ls ${1#file:} >/dev/null 2>&1 ;;
	hdr:*)	echo "#include <${1#hdr:}>" | cc -E - >/dev/null 2>&1 ;;
	esac
}

missing() {
	set -- $list
	out=
	while [ $# -ge 2 ]; do
		there "$2" || out="$out $1"
		shift 2
	done
	echo "$out" | sed 's/^ *//'
}

complain() {
	echo "mailmill: missing; as root: apt-get install $1" >&2
	exit 1
}

[ $# = 2 ] || { sed -n 's/^# \(deps.sh.*\) - .*/usage: \1/p' "$0" >&2; exit 2; }
case $2 in
build)	list=$build ;;
run)	list=$build$run ;;
check)	list=$build$check ;;
fuzz-libfuzzer) list=$build$libfuzzer ;;
fuzz-cover) list=$build$cover ;;
fuzz-afl) list=$build$afl ;;
bench)	list=$build$bench ;;
powercut) list=$build$powercut ;;
*)	echo "deps.sh: $2?" >&2; exit 2 ;;
esac

need=$(missing)
[ -z "$need" ] && exit 0
[ "$1" = install ] || complain "$need"

root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null && sudo -n true 2>/dev/null || complain "$need"
	root="sudo -n"
fi
command -v apt-get >/dev/null || complain "$need"
echo "installing: $need"
apt="$root env DEBIAN_FRONTEND=noninteractive apt-get -q -y
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
if ! $apt install --no-install-recommends $need >"$log" 2>&1; then
	# the package lists may be absent or old
	{ $apt update && $apt install --no-install-recommends $need; } \
	    >"$log" 2>&1 || { tail -5 "$log" >&2; complain "$need"; }
fi
need=$(missing)
[ -z "$need" ] || complain "$need"

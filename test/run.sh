#!/bin/sh
# run.sh BUILD - "make run": the server in the foreground on 127.0.0.1:2525,
# its state under ./run/, its mail under ./run/mail/.
set -eu

build=$1
top=$(pwd)
run=$top/run
port=${PORT:-2525}
host=$(hostname)
conf=$run/mailmill.conf

# Started by root the processes run under accounts of their own, which may not
# be able to come here (/root is closed): then ./run leads to where they can.
reachable() {
	d=$top
	while [ "$d" != / ]; do
		case $(stat -c %A "$d") in
		*[xt]) ;;
		*) return 1 ;;
		esac
		d=$(dirname "$d")
	done
}

if [ "$(id -u)" = 0 ]; then
	if [ ! -e "$run" ] && ! reachable; then
		rm -f "$run"
		ln -s "$(mktemp -d /var/tmp/mailmill-run.XXXXXX)" "$run"
	fi
	mkdir -p "$run"
	run=$(cd "$run" && pwd -P)
	chmod 755 "$run"
fi
mkdir -p "$run/mail"
[ "$(id -u)" != 0 ] || chmod 1777 "$run/mail"

domain() {
	printf 'Domain "%s" {\n    Maildir = "%s/mail/%%d/%%u"\n}\n' "$1" "$run"
}

{
	cat <<E
# Made by "make run", anew each time.
hostname = "$host"
workers = 2
spool = "$run/spool"
pidfile = "$run/mailmilld.pid"
control = "$run/mailmilld.sock"
log = "stderr"

ESMTP_Listener {
    Listen "127.0.0.1:$port" { }
}
E
	domain localhost
	[ "$host" = localhost ] || domain "$host"
} >"$conf"

# says how to use it as soon as it answers
(
	n=0
	until "$build/mailmillctl" -c "$conf" status >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt 100 ] || exit 0
		sleep 0.1
	done
	printf '%s\n' "printf 'Subject: hello\\n\\nHello.\\n' | curl -sS --crlf smtp://127.0.0.1:$port --mail-from me@localhost --mail-rcpt you@localhost -T -  # arrives in run/mail/localhost/you/new/"
) &

exec "$build/mailmilld" -f -c "$conf"

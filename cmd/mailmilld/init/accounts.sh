#!/bin/sh
# Creates the accounts that mailmilld runs its processes under, where they are
# missing: the defaults of the settings "user", "queue_user" and so on.  Each worker
# has ids of its own: the account "user" gets a range of them (subuid(5)).
set -eu
PATH=$PATH:/usr/sbin:/sbin
settings=$(dirname "$0")/../../settings/setting.def

accounts() {
	sed -n 's/^SETTING(GLOBAL, "\([a-z]*_\)\{0,1\}user",[^"]*"\([^"]*\)".*/\2/p' \
	    "$settings"
}

for a in $(accounts); do
	getent passwd "$a" >/dev/null && continue
	home=/nonexistent
	[ "$a" = vmail ] && home=/var/vmail
	getent group "$a" >/dev/null || groupadd --system "$a"
	useradd --system --gid "$a" --no-create-home --home-dir "$home" \
	    --shell /usr/sbin/nologin "$a"
	echo "created the account $a"
done

# as many as the server can have processes
count=1024
workers=$(sed -n 's/^SETTING(GLOBAL, "user",[^"]*"\([^"]*\)".*/\1/p' "$settings")

has_range() {
	[ -f "$1" ] && grep -q "^$workers:" "$1"
}

if ! has_range /etc/subuid || ! has_range /etc/subgid; then
	# behind all that others have
	first=$(cat /etc/subuid /etc/subgid 2>/dev/null | awk -F: '
	    BEGIN { first = 100000 }
	    $2 + $3 > first { first = $2 + $3 }
	    END { printf "%.0f\n", first }')
	range=$first-$((first + count - 1))
	has_range /etc/subuid || usermod --add-subuids "$range" "$workers"
	has_range /etc/subgid || usermod --add-subgids "$range" "$workers"
	echo "gave $workers the ids $range for workers"
fi

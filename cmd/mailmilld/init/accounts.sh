#!/bin/sh
# Creates the accounts that mailmilld runs its processes under, where they are
# missing: the defaults of the settings "user", "queue_user" and so on.
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

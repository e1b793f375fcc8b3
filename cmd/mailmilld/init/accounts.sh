#!/bin/sh
# Creates the accounts mailmilld runs its processes under, where they are
# missing: _mailmill (workers), _mailmillq (queue), _mailmillk (private keys),
# _mailmilla (logins), vmail (delivery).
set -eu
PATH=$PATH:/usr/sbin:/sbin

for a in _mailmill _mailmillq _mailmillk _mailmilla vmail; do
	getent passwd "$a" >/dev/null && continue
	home=/nonexistent
	[ "$a" = vmail ] && home=/var/vmail
	getent group "$a" >/dev/null || groupadd --system "$a"
	useradd --system --gid "$a" --no-create-home --home-dir "$home" \
	    --shell /usr/sbin/nologin "$a"
	echo "created the account $a"
done

#!/bin/sh
# maildrop.sh FOLDER PROGRAM - makes the folder in which messages wait while no server
# takes them, and gives it and the program that writes there, set-group-id, to the
# group _mailmillp.  A program that is not installed yet is left to "make install".
# As root.
set -eu
PATH=$PATH:/usr/sbin:/sbin
folder=$1 program=$2 group=_mailmillp

if ! getent group "$group" >/dev/null; then
	groupadd --system "$group"
	echo "created the group $group"
fi
[ -d "$folder" ] || mkdir -m 700 "$folder"
chown "root:$group" "$folder"
chmod 1770 "$folder"
[ -e "$program" ] || exit 0
chown "root:$group" "$program"
chmod 2755 "$program"

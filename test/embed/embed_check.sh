#!/bin/sh
# embed_check.sh PROGRAM: run it; and show that what it links of the library
# is the engine alone: no scheduler, no other process, no clock.
set -eu
"$1"
bad=$(nm "$1" | awk '
	$2 ~ /[Tt]/ && $3 ~ /^(mailmill_internal_)?(scheduler_|schedule_event|pollset_|timers_|loopclock_|channel_|spool_|log_event|stats_)/ { print $3 }
	$1 == "U" && $2 ~ /^(time|gettimeofday|clock_gettime|fork|execve|pthread_create)(@|$)/ { print $2 }')
if [ -n "$bad" ]; then
	echo "FAIL embed: linked although nothing asked for it:" $bad
	exit 1
fi

#!/usr/bin/env bash
# Stop what the scripts beside this one started in DIRECTORY, the youngest first.
# down.sh DIRECTORY [--kill NAME | --wipe]
#   --kill NAME  end this one alone, with SIGKILL
#   --wipe       end them at once, and remove the directory
set -euo pipefail
work=${1-}
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"

how=TERM
case ${2-} in
--kill) stop "${3:?which one}" KILL && exit ;;
--wipe) how=KILL ;;
'') ;;
*) die "unknown: $2" ;;
esac
while read -r file; do
    [ -z "$file" ] || stop "$(basename "$file" .pid)" "$how"
done < <(find "$work/run" -name '*.pid' -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2-)
if [ -e "$work/run/ports" ]; then # SeaweedFS leaves sockets elsewhere
    sed -n 's|.*=|/tmp/seaweedfs-|p' "$work/run/ports" | while read -r stem; do
        rm -f /tmp/seaweedfs-*-"${stem##*-}".sock
    done
fi
[ "${2-}" != --wipe ] || rm -rf "$work"

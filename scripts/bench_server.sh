#!/usr/bin/env bash
# Measures the two shapes of a server with wrk and prints a Markdown table: the
# example registry (a thread per connection, calls that block) and epoll_server
# (one loop over a completion queue). Both serve the same file of the same store.
#   scripts/bench_server.sh [--quick]
# BUILD_DIR says where cmake built them (build); SECONDS_EACH how long a row takes (5).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

build=${BUILD_DIR:-build}
each=${SECONDS_EACH:-5}
sizes=(4096 1048576)
connections=(10 100 1000)
case ${1-} in
'') ;;
--quick) each=1 connections=(10 100) ;;
*) sed -n '2,6s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
command -v wrk >/dev/null || need_packages wrk
clean_env
ulimit -n "$(ulimit -Hn)"
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

start() { # COMMAND...: sets `server` and `port`
    rm -f "$work/listening" # or its last line would be read
    "$@" >"$work/listening" 2>"$work/log" &
    server=$!
    for _ in $(seq 100); do
        ! grep -qs "^listening on " "$work/listening" || break
        sleep 0.1
    done
    port=$(sed -n 's/^listening on .*://p' "$work/listening")
    [ -n "$port" ] || die "it does not listen: $(cat "$work/log")"
}

stop() {
    kill "$server"
    wait "$server" || die "the server did not end clean: $(cat "$work/log")"
    server=
}

field() { # NAME: a line of the server's status, its number alone
    sed -n "s/^$1:[[:space:]]*\([0-9]*\).*/\1/p" "/proc/$server/status"
}

ticks() { # of user and kernel time that the server has used
    sed 's/.*) //' "/proc/$server/stat" | awk '{ print $12 + $13 }'
}

row() { # SHAPE SIZE CONNECTIONS PATH: one line of the table
    local before after threads rss
    wrk -t1 -c"$3" -d1s "http://127.0.0.1:$port$4" >/dev/null # warm
    before=$(ticks)
    wrk -t1 -c"$3" -d"${each}s" --timeout 30s --latency "http://127.0.0.1:$port$4" >"$work/wrk" &
    local wrk=$!
    sleep "$(awk "BEGIN { print $each / 2 }")"
    threads=$(field Threads) rss=$(field VmRSS)
    wait $wrk
    after=$(ticks)
    ! grep -E 'Non-2xx|Socket errors' "$work/wrk" >&2 || die "$1 failed under load"
    awk -v shape="$1" -v size="$2" -v conns="$3" -v threads="$threads" -v rss="$rss" \
        -v ticks=$((after - before)) -v hertz="$(getconf CLK_TCK)" '
        / requests in / { requests = $1 }
        /Requests\/sec/ { rate = $2 }
        / 99%/ { slow = $2 }
        END { printf "| %s | %s | %d | %d | %.0f | %.0f us | %s | %d | %.1f MiB |\n",
              shape, size < 1048576 ? size / 1024 " KiB" : size / 1048576 " MiB", conns, rate,
              rate * size / 1048576, ticks / hertz / requests * 1e6, slow, threads, rss / 1024 }
        ' "$work/wrk"
}

echo "$(nproc) CPUs shared with wrk, $(uname -sr), ${each} s each, filesystem driver"
echo
echo "| server | object | connections | requests/s | MiB/s | CPU/request | 99% | threads | RSS |"
echo "|---|---|---|---|---|---|---|---|---|"
for size in "${sizes[@]}"; do
    head -c "$size" /dev/urandom >"$work/object"
    hex=$(sha256sum "$work/object" | cut -d' ' -f1)
    base=$work/store/docker/registry/v2
    mkdir -p "$base/blobs/sha256/${hex:0:2}/$hex" "$base/repositories/r/_layers/sha256/$hex"
    cp "$work/object" "$base/blobs/sha256/${hex:0:2}/$hex/data"
    printf 'sha256:%s' "$hex" >"$base/repositories/r/_layers/sha256/$hex/link"
    for conns in "${connections[@]}"; do
        start "$build/examples-c/registry" --param "rootdirectory=$work/store" \
            --listen 127.0.0.1:0
        row registry "$size" "$conns" "/v2/r/blobs/sha256:$hex"
        stop
        start "$build/examples-c/epoll_server" filesystem \
            "{\"rootdirectory\":\"$work/store\"}" 0
        row epoll_server "$size" "$conns" \
            "/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data"
        stop
    done
done

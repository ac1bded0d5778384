# What the scripts of this directory share; source it after `work=DIRECTORY`. bash.
#
# A server runs detached and is known by pid and kernel start time, kept in
# $work/run; nothing is ever stopped by name. Its ports are kept too, so that a
# server which starts again is found where it was.
# shellcheck shell=bash

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
clean_env

[ -n "${work-}" ] || die "usage: $0 DIRECTORY [PORT]"
mkdir -p "$work/run" "$work/log"
work=$(cd "$work" && pwd)

# All servers take the same keys and have the same region and bucket.
access_key=${STORAGEDRIVER_S3_ACCESS_KEY:-testaccesskey}
secret_key=${STORAGEDRIVER_S3_SECRET_KEY:-testsecretkey0123456789}
region=us-east-1
bucket=${STORAGEDRIVER_S3_BUCKET:-registry}

# The tools from PyPI; scripts/test.sh makes them.
venv=${STORAGEDRIVER_S3_VENV:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/target/s3-venv}

started() { # PID: when the kernel started it; nothing when it is gone or a zombie
    awk '{ sub(/^.*\) /, ""); if ($1 != "Z") print $20 }' "/proc/$1/stat" 2>/dev/null || true
}

alive() { # NAME
    local pid when
    [ -s "$work/run/$1.pid" ] || return 1
    read -r pid when <"$work/run/$1.pid"
    [ "$(started "$pid")" = "$when" ]
}

start() { # NAME COMMAND...: unless it runs already
    local name=$1 pid
    shift
    ! alive "$name" || return 0
    setsid "$@" >>"$work/log/$name.out" 2>&1 </dev/null &
    pid=$!
    echo "$pid $(started $pid)" >"$work/run/$name.pid"
}

stop() { # NAME [SIGNAL]: ask, wait, insist
    local pid tries
    if alive "$1"; then
        read -r pid _ <"$work/run/$1.pid"
        kill "-${2:-TERM}" "$pid" 2>/dev/null || true
        for ((tries = 0; tries < 200; tries++)); do
            alive "$1" || break
            sleep 0.05
        done
        ! alive "$1" || kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$work/run/$1.pid"
}

port() { # NAME [WANTED]: the same one each time
    ( # one at a time for all servers beside this one: none of them listens yet
        flock 9
        found=$(sed -n "s/^$1=//p" "$work/run/ports" 2>/dev/null || true)
        if [ -z "$found" ]; then
            found=${2:-$(free_port)}
            echo "$1=$found" >>"$work/run/ports"
        fi
        echo "$found"
    ) 9<"$work/.."
}

# Below the range that the kernel gives to clients, and not within 16 of a port that was
# given already: an OSD takes eight in a row.
free_port() {
    python3 -c '
import glob, os, random, re, socket, sys
taken = [int(port) for file in glob.glob(sys.argv[1]) if os.access(file, os.R_OK)
         for port in re.findall(r"=(\d+)", open(file).read())]
while True:
    port = random.randrange(12000, 32000)
    if any(abs(port - other) < 16 for other in taken): continue
    with socket.socket() as s:
        try: s.bind(("127.0.0.1", port))
        except OSError: continue
    print(port)
    break' "$work/../*/run/ports"
}

wait_for() { # NAME SECONDS COMMAND...: until it succeeds; fails at once when NAME is dead
    local name=$1 end=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        alive "$name" || die "$name ended: $(tail -n 5 "$work/log/$name.out")"
        [ $SECONDS -lt $end ] || die "$name is not ready: $(tail -n 5 "$work/log/$name.out")"
        sleep 0.1
    done
}

answers() { # URL: anything in HTTP
    curl --silent --output /dev/null --max-time 2 "$1"
}

listens() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1")
}

make_bucket() { # ENDPOINT
    AWS_ACCESS_KEY_ID=$access_key AWS_SECRET_ACCESS_KEY=$secret_key \
        "$venv/bin/python" "$(dirname "${BASH_SOURCE[0]}")/bucket.py" "$1" "$region" "$bucket"
}

tell() { # ENDPOINT: what a test has to know
    cat <<KNOW
S3_ENDPOINT=$1
S3_ACCESS_KEY=$access_key
S3_SECRET_KEY=$secret_key
S3_REGION=$region
S3_BUCKET=$bucket
KNOW
}

#!/bin/sh
# Build everything, start the example registry, push an image to it and pull it back.
#
#   scripts/demo.sh          once through, leaves nothing behind but build/
#   scripts/demo.sh --keep   the same, then keeps the registry running until Ctrl-C
#
# Needs a Rust toolchain and gcc; the rest comes from Debian (root installs it,
# anybody else is told what to install).
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh

keep=no
case ${1-} in
'') ;;
--keep) keep=yes ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0"; [ "$1" = --help ] && exit 0; exit 2 ;;
esac

command -v cargo >/dev/null 2>&1 || die "no cargo: install Rust from https://rustup.rs"
need_packages gcc libc6-dev make cmake pkg-config libmicrohttpd-dev libjansson-dev \
    nettle-dev skopeo python3

step "building the library and the examples in build/"
cmake -B build -DCMAKE_BUILD_TYPE=Release
cmake --build build --parallel

clean_env
work=$(mktemp -d)
server=
finish() {
    trap - EXIT INT TERM
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || printf 'the registry ended with code %s\n' "$?"
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

step "starting the registry over an empty directory"
mkdir "$work/store"
build/examples-c/registry --driver filesystem --param "rootdirectory=$work/store" \
    --listen 127.0.0.1:0 --verbose >"$work/listening" 2>"$work/log" &
server=$!
tries=0
until grep -q '^listening on ' "$work/listening"; do
    kill -0 "$server" 2>/dev/null || die "the registry did not start: $(cat "$work/log")"
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || die "the registry does not listen"
    sleep 0.1
done
address=$(sed -n 's/^listening on //p' "$work/listening")
echo "listening on $address, storing in $work/store"

step "making an OCI image of three layers from files of this repository"
digest=$(python3 tests/registry/oci_layout.py "$work/image" --layers 3 --size 8M --tag v1 \
    LICENSE Cargo.toml Cargo.lock include/storagedriver.h)
echo "manifest $digest"

step "pushing it: skopeo copy oci:image docker://$address/demo/image:v1"
skopeo --insecure-policy copy --dest-tls-verify=false \
    "oci:$work/image:v1" "docker://$address/demo/image:v1"

step "pulling it back"
skopeo --insecure-policy copy --src-tls-verify=false \
    "docker://$address/demo/image:v1" "oci:$work/pulled:v1"

step "comparing"
(cd "$work/image/blobs/sha256" && sha256sum ./*) >"$work/sums.pushed"
(cd "$work/pulled/blobs/sha256" && sha256sum ./*) >"$work/sums.pulled"
cmp "$work/sums.pushed" "$work/sums.pulled" || die "what came back is not what went in"
grep -q "$digest" "$work/pulled/index.json" || die "the manifest has another digest"
echo "the same manifest and the same $(grep -c . "$work/sums.pulled") blobs, byte for byte:"
sed 's/ .*//; s/^/  sha256:/' "$work/sums.pulled"

step "what the registry was asked"
shorten='s/([0-9a-f]{12})[0-9a-f]{52}/\1.../g'
grep ' /v2/' "$work/log" | sed -E "$shorten"

step "what lies on disk: Distribution's layout, which its own registry can serve too"
(cd "$work/store" && find . -type f -printf '%10s  %P\n') | sort -k2 |
    sed -E "$shorten"

if [ "$keep" = yes ]; then
    step "the registry keeps running on $address; Ctrl-C ends it and removes $work"
    echo "  skopeo inspect --tls-verify=false docker://$address/demo/image:v1"
    tail -n 0 -f --pid="$server" "$work/log" &
    wait "$server"
else
    step "done"
    cat <<END
To run a registry of your own:
  build/examples-c/registry --driver filesystem --param rootdirectory=DIR --listen 127.0.0.1:5000
or scripts/demo.sh --keep, which leaves this one running until Ctrl-C.
END
fi

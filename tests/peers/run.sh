#!/usr/bin/env bash
# The example registry and the Go registry (Debian's docker-registry) on the same
# directories, with skopeo as their client.
#
#   tests/peers/run.sh [BUILD] [unittest options]
#
# BUILD has examples-c/registry; without it REGISTRY_BIN names the program.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/../../scripts/lib.sh"

if [ $# -gt 0 ] && [ -d "$1" ]; then
    REGISTRY_BIN=$(cd "$1" && pwd)/examples-c/registry
    shift
fi
: "${REGISTRY_BIN:=$here/../../build/examples-c/registry}"
[ -x "$REGISTRY_BIN" ] || die "no registry at $REGISTRY_BIN: build the examples first"
export REGISTRY_BIN
unset REGISTRY_DRIVER REGISTRY_PARAMS REGISTRY_WRAPPER

need_packages docker-registry skopeo python3
clean_env
export PYTHONDONTWRITEBYTECODE=1 SD_TEST_ALL=1
cd "$here"
exec python3 -m unittest -v "$@"

#!/usr/bin/env bash
# moto's server (PyPI): S3 in memory, with any key. moto.sh DIRECTORY [PORT]
set -euo pipefail
work=${1-}
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"

port=$(port moto "${2-}")
start moto "$venv/bin/moto_server" -H 127.0.0.1 -p "$port"
wait_for moto 180 answers "http://127.0.0.1:$port/moto-api/data.json"
make_bucket "http://127.0.0.1:$port"
tell "http://127.0.0.1:$port"

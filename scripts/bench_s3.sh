#!/usr/bin/env bash
# Measures what S3 costs a client and prints Markdown tables: this library, OpenDAL
# and a plain hyper client, each alone in its process, against a server that stores
# nothing.
#   scripts/bench_s3.sh [--quick]
# With S3_ENDPOINT (http://HOST:PORT), S3_ACCESS_KEY, S3_SECRET_KEY and perhaps
# S3_REGION, S3_BUCKET and S3_NAME against that server as well. What is in the bucket
# below put, small, tree, large and upload is overwritten.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

case ${1-} in
'' | --quick) ;;
*) sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
target=${CARGO_TARGET_DIR:-$PWD/target}/bench_s3
cargo build --locked --release --manifest-path benches/s3/Cargo.toml --target-dir "$target" >&2
clean_env
echo "$(nproc) CPUs shared with the server, $(uname -sr), load $(cut -d' ' -f1 /proc/loadavg)"
echo
exec "$target/release/s3-bench" table "$@"

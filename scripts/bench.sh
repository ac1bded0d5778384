#!/usr/bin/env bash
# Builds the library as it is shipped and runs the benchmark on it:
#   scripts/bench.sh [--quick] [--json] [--dir DIR]... [--only TEXT] [--rounds N]
# LIBRARY_DIR takes a built library instead, the folder that holds libstoragedriver.so.
set -euo pipefail
cd "$(dirname "$0")/.."

out="${CARGO_TARGET_DIR:-target}/bench"
mkdir -p "$out"

if [ -n "${LIBRARY_DIR:-}" ]; then
    library=$(cd "$LIBRARY_DIR" && pwd)
elif [ -e build/libstoragedriver.so ]; then
    cmake --build build --target storagedriver >&2
    library=$PWD/build
else
    # One crate type: with several at once cargo passes no LTO.
    cargo rustc --release --lib --crate-type cdylib >&2
    library=$(cd "$out" && pwd)
    cp "${CARGO_TARGET_DIR:-target}/release/libstoragedriver.so" "$library/libstoragedriver.so.1"
    ln -sf libstoragedriver.so.1 "$library/libstoragedriver.so"
fi

"${CC:-cc}" -std=c11 -O2 -g -Wall -Wextra -Werror -Iinclude bench/*.c -o "$out/bench" \
    -L"$library" -lstoragedriver -Wl,-rpath,"$library"
exec "$out/bench" "$@"

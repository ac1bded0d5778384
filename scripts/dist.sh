#!/usr/bin/env bash
# Makes the release archive: the tree of HEAD and the crates it needs, so that
# building it needs cargo, a C compiler and cmake, and nothing from the network.
#
#   scripts/dist.sh [FOLDER]    writes FOLDER/storagedriver-VERSION.tar.xz (default: target)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

folder=$(cd "${1:-target}" && pwd)
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
name=storagedriver-$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step "the tree of $(git rev-parse --short HEAD)"
git archive --prefix="$name/" HEAD | tar -x -C "$work"
step "the crates of Cargo.lock"
mkdir "$work/$name/.cargo"
(cd "$work/$name" && cargo vendor --locked --versioned-dirs >.cargo/config.toml 2>"$work/log") ||
    die "$(cat "$work/log")"
step "$folder/$name.tar.xz"
date=$(git log -1 --format=%ct)
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$date" \
    -cf - "$name" | xz -T0 -3 >"$folder/$name.tar.xz"
ls -lh "$folder/$name.tar.xz"

#!/usr/bin/env bash
# Fuzzes the exported functions under the address sanitizer. Debian's clang has the fuzzer.
#
#   scripts/fuzz.sh [SECONDS]          the kept corpus, then SECONDS (120) of new inputs
#   scripts/fuzz.sh TARGET FILE...     these inputs again; TARGET is calls or values
#   scripts/fuzz.sh --merge FOLDER     takes what FOLDER/TARGET/ adds into the corpus
#
# An input that ends a target is kept in fuzz/crashes/. FUZZ_LEAKS=1 looks for leaks
# after each input instead of now and then.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

targets=(calls values)
work=target/fuzz
archive=$work/debug/libstoragedriver.a
map=abi/storagedriver.map

build() {
    # The sanitizer is not stable, hence the variable; only this crate is instrumented.
    # Without network drivers: an input must not name a host.
    RUSTC_BOOTSTRAP=1 CARGO_PROFILE_DEV_OPT_LEVEL=1 \
        cargo rustc --locked --lib --crate-type staticlib --profile dev --target-dir $work \
        --no-default-features --features inmemory,filesystem -- \
        -Zsanitizer=address -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    local target
    for target in "${targets[@]}"; do
        clang -std=gnu11 -g -O1 -Wall -Wextra -Werror -fsanitize=fuzzer,address -Iinclude \
            "fuzz/$target.c" $archive -lgcc_s -lutil -lrt -lpthread -lm -ldl \
            -o "$work/$target"
    done
}

run() { # TARGET ARGUMENT...
    local target=$1
    shift
    mkdir -p fuzz/crashes "$work/tmp"
    # Nor start what lies about under some name.
    SD_DRIVER_PATH=$work/tmp TMPDIR=$work/tmp "$work/$target" -detect_leaks=0 -timeout=60 \
        -rss_limit_mb=4096 -artifact_prefix="fuzz/crashes/$target-" "$@" 2>"$work/$target.log" && return 0
    tail -n 60 "$work/$target.log" >&2
    local input
    input=$(sed -n 's/.*Test unit written to //p' "$work/$target.log" | tail -n 1)
    echo "to see it again: scripts/fuzz.sh $target ${input:-$*}" >&2
    return 1
}

# Each exported function is called by an input of the corpus.
all_called() {
    local missing
    missing=$(comm -23 <(sed -n 's/^ *\(sd_[a-z0-9_]*\);$/\1/p' $map | sort) \
        <(sort -u $work/called))
    [ -z "$missing" ] || die "no input of the corpus calls: $(tr '\n' ' ' <<<"$missing")"
}

replay() {
    local target
    : >$work/called
    for target in "${targets[@]}"; do
        FUZZ_CALLED=$work/called run "$target" -runs=0 "fuzz/corpus/$target"
        echo "$target: $(find "fuzz/corpus/$target" -type f | wc -l) inputs of the corpus"
    done
    all_called
    echo "each function of $map was called"
}

fuzz() { # SECONDS, of which the sequences of calls get the most
    local target seconds
    for target in "${targets[@]}"; do
        seconds=$(($1 / 4))
        [ "$target" != calls ] || seconds=$(($1 - $1 / 4))
        mkdir -p "$work/new/$target"
        run "$target" -max_total_time=$seconds -max_len=2048 -len_control=0 -entropic=0 \
            "$work/new/$target" "fuzz/corpus/$target"
        echo "$target: $(sed -n 's/^Done \([0-9]* runs in .*\)/\1/p' "$work/$target.log")"
    done
}

merge() { # FOLDER
    local target
    for target in "${targets[@]}"; do
        rm -rf "$work/merged"
        mkdir -p "$work/merged" "$1/$target"
        run "$target" -merge=1 -use_counters=0 -max_len=2048 \
            "$work/merged" "fuzz/corpus/$target" "$1/$target"
        rm -rf "fuzz/corpus/$target"
        mv "$work/merged" "fuzz/corpus/$target"
    done
    du -sb fuzz/corpus
}

case ${1-120} in
-h | --help)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac
need_packages clang libclang-rt-dev
clean_env
step "building the fuzz targets"
build
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
done
case ${1-120} in
calls | values) run "$@" ;;
--merge) merge "$2" ;;
*)
    step "the corpus"
    replay
    step "new inputs for ${1-120} seconds"
    fuzz "${1-120}"
    ;;
esac

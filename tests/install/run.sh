#!/usr/bin/env bash
# Installs a finished cmake build and uses it from outside the tree: with pkg-config
# and with find_package, shared and static, where it was installed and after a move.
# Usage: tests/install/run.sh [BUILD]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../../build}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# Inside a check `set -e` is off, so the steps of each function are joined by &&.
check() { # NAME COMMAND...: run it, show what it said only if it fails
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        passed=$((passed + 1))
        echo "ok   install/$name"
    else
        failed=$((failed + 1))
        echo "FAIL install/$name: $*"
        sed 's/^/     /' "$work/said"
    fi
}

libdir() { # PREFIX: the folder below it that has the library
    dirname "$(find "$1" -name libstoragedriver.so -print -quit)"
}

with_pkg_config() { # PREFIX static|shared OUT
    local lib flags link
    lib=$(libdir "$1")
    flags=$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --cflags storagedriver)
    if [ "$2" = static ]; then
        link=$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --static --libs storagedriver)
        link=${link/-lstoragedriver/-l:libstoragedriver.a}
    else
        link=$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --libs storagedriver)
    fi
    case $flags in *"$1"*) ;; *) echo "not below $1: $flags"; return 1 ;; esac
    # shellcheck disable=SC2086 # one word per flag
    cc -std=c99 -Wall -Wextra -Wpedantic -Werror $flags "$here/main.c" -o "$3" $link
}

with_find_package() { # PREFIX OUT-FOLDER
    cmake -S "$here/cmake" -B "$2" -DCMAKE_PREFIX_PATH="$1" \
        -DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF &&
        grep -q "storagedriver_DIR:PATH=$1/" "$2/CMakeCache.txt" &&
        cmake --build "$2"
}

runs() { # LIBDIR PROGRAM
    local said
    said=$(LD_LIBRARY_PATH=$1 "$2")
    echo "$said"
    [[ $said == *works ]]
}

runs_alone() { # PROGRAM: without any library path
    local said
    said=$(env -u LD_LIBRARY_PATH "$1")
    [[ $said == *works ]]
}

needs() { # PROGRAM yes|no: whether it names the shared library, by its soname
    local found=no
    grep -q 'NEEDED.*\[libstoragedriver\.so\.[^.]*\]' <<<"$(readelf -d "$1")" && found=yes
    [ "$found" = "$2" ]
}

resolves_below() { # LIBDIR PROGRAM
    local said # whole, as `grep -q` at the end of a pipe stops it early
    said=$(LD_LIBRARY_PATH=$1 ldd "$2")
    echo "$said" >&2
    grep -q "libstoragedriver.so.1 => $1/" <<<"$said" && ! grep -q 'not found' <<<"$said"
}

installed_is_whole() { # PREFIX
    local lib file
    lib=$(libdir "$1")
    for file in "$1/include/storagedriver.h" "$lib"/libstoragedriver.{a,so,so.1,so.1.0.0} \
        "$1/bin/registry-storage-filesystem" "$lib/pkgconfig/storagedriver.pc" \
        "$lib"/cmake/storagedriver/storagedriver{Config,ConfigVersion,Targets}.cmake; do
        [ -e "$file" ] || { echo "missing: $file"; return 1; }
    done
    [ "$(readlink "$lib/libstoragedriver.so")" = libstoragedriver.so.1 ] &&
        [ "$(readlink "$lib/libstoragedriver.so.1")" = libstoragedriver.so.1.0.0 ]
}

program_finds_its_library() { # PREFIX: and says that nobody has started it
    local said status=0
    said=$(env -u LD_LIBRARY_PATH "$1/bin/registry-storage-filesystem" 2>&1) || status=$?
    echo "$said"
    [ $status -eq 2 ] && [[ $said == *"descriptor 3"* ]]
}

names_no_path_of() { # FOLDER PREFIX: no installed text file names the build or the source
    ! grep -rIl -e "$1" "$2"
}

private_libraries_are_rustcs() {
    local ours theirs
    ours=$(sed -n 's/^Libs.private: //p' "$build/storagedriver.pc")
    theirs=$(cd "$here/../.." && cargo rustc --quiet --locked --lib --crate-type staticlib \
        -- --print native-static-libs 2>&1 | sed -n 's/^note: native-static-libs: //p')
    echo "ours: $ours; rustc: $theirs"
    [ -n "$theirs" ] && [ "$ours" = "$theirs" ]
}

use() { # NAME PREFIX
    local lib
    lib=$(libdir "$2")
    check "$1/files" installed_is_whole "$2"
    check "$1/program_finds_its_library" program_finds_its_library "$2"
    check "$1/pkg-config_shared_builds" with_pkg_config "$2" shared "$work/$1-shared"
    check "$1/pkg-config_shared_runs" runs "$lib" "$work/$1-shared"
    check "$1/pkg-config_shared_needs_the_soname" needs "$work/$1-shared" yes
    check "$1/pkg-config_shared_resolves" resolves_below "$lib" "$work/$1-shared"
    check "$1/pkg-config_static_builds" with_pkg_config "$2" static "$work/$1-static"
    check "$1/pkg-config_static_runs_alone" runs_alone "$work/$1-static"
    check "$1/pkg-config_static_needs_nothing" needs "$work/$1-static" no
    check "$1/find_package_builds" with_find_package "$2" "$work/$1-cmake"
    check "$1/find_package_shared_runs" runs "$lib" "$work/$1-cmake/with_shared"
    check "$1/find_package_shared_needs_the_soname" needs "$work/$1-cmake/with_shared" yes
    check "$1/find_package_static_runs_alone" runs_alone "$work/$1-cmake/with_static"
    check "$1/find_package_static_needs_nothing" needs "$work/$1-cmake/with_static" no
}

check as_it_is cmake --install "$build" --prefix "$work/prefix"
use installed "$work/prefix"
check names_not_the_build_folder names_no_path_of "$build" "$work/prefix"
mv "$work/prefix" "$work/moved"
use moved "$work/moved"
check names_not_the_first_prefix names_no_path_of "$work/prefix" "$work/moved"
check into_destdir env DESTDIR="$work/stage" cmake --install "$build" --prefix /usr
check destdir_is_whole installed_is_whole "$work/stage/usr"
check private_libraries_are_what_rustc_says private_libraries_are_rustcs

echo "install: $passed passed, $failed failed"
[ "$failed" -eq 0 ]

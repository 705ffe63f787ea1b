#!/usr/bin/env bash
# Fuzzes each parser of untrusted input for SECS seconds: run.sh [SECS [TARGET]]. Prints a line per
# target; fails on a finding. The corpus is kept in build/fuzz/TARGET/corpus, findings in
# build/fuzz/TARGET.
#
# To reproduce a finding: build/fuzz/fuzz_TARGET build/fuzz/TARGET/crash-...
set -u
cd "$(dirname "$0")/../../.." || exit 1
secs=${1:-60}
only=${2:-}
out=build/fuzz

if ! command -v clang >/dev/null || ! clang -print-file-name=libclang_rt.fuzzer-x86_64.a | grep -q /; then
    echo "fuzzing needs clang and its run-time library: apt install clang libclang-rt-14-dev" >&2
    exit 1
fi

sanitize=address,undefined
flags=(-I. -D_GNU_SOURCE "-DARTEMIS_VERSION=\"fuzz\"" -O1 -g -fno-omit-frame-pointer -Wall -Wextra
    -fno-sanitize-recover=all "-fsanitize=fuzzer-no-link,$sanitize")
packages=(libmicrohttpd gnutls jansson libcurl libxxhash zlib nettle sqlite3 libcares libmurmurhash)
read -ra packages_cflags <<<"$(pkg-config --cflags "${packages[@]}")"
read -ra packages_libs <<<"$(pkg-config --libs "${packages[@]}")"

read -ra ccache <<<"$(command -v ccache)"

compile() { # SOURCE: prints the object
    local object="$out/${1%.*}.o"
    mkdir -p "$(dirname "$object")"
    case $1 in
    *.cpp) "${ccache[@]}" clang++ -std=c++17 "${flags[@]}" "${packages_cflags[@]}" -c -o "$object" "$1" ;;
    *) "${ccache[@]}" clang -std=c17 "${flags[@]}" "${packages_cflags[@]}" -c -o "$object" "$1" ;;
    esac && echo "$object"
}

# A target links the objects that it needs from the archives. The client library has its own, since
# it and the server may have a function of the same name.
archive() { # NAME FOLDER...
    local objects=() sources source object
    mapfile -t sources < <(find "${@:2}" \( -name '*.c' -o -name '*.cpp' \) ! -path artemis/main.c | sort)
    for source in "${sources[@]}"; do
        object=$(compile "$source") || exit 1
        objects+=("$object")
    done
    rm -f "$out/$1"
    ar rcs "$out/$1" "${objects[@]}"
}
archive command.a artemis
archive client.a libartemis
archive server.a artemis-core artemis-server artemis-web

failed=0
for source in tests/fuzz/fuzz_*.c; do
    target=$(basename "$source" .c) name=${target#fuzz_}
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    work=$out/$name
    mkdir -p "$work/corpus"
    object=$(compile "$source") &&
        clang++ "-fsanitize=fuzzer,$sanitize" -o "$out/$target" "$object" "$out"/{command,client,server}.a \
            "${packages_libs[@]}" -lwslay -lresolv || exit 1
    dictionary=()
    [ -f "tests/fuzz/$name.dict" ] && dictionary=("-dict=tests/fuzz/$name.dict")
    if "$out/$target" -max_total_time="$secs" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$work/" "${dictionary[@]}" "$work/corpus" "tests/fuzz/corpus/$name" \
        >"$work/log" 2>&1; then
        result=ok
    else
        result=FAILED failed=1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    printf '  %-8s %10s runs in %s s  %s\n' "$result" "${runs:-?}" "$secs" "$target"
    [ "$result" = ok ] || tail -n 40 "$work/log"
done
exit "$failed"

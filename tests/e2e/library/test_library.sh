#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Proves that other programs can use the client library: the examples work; what `make install`
# installs is enough to build them with pkg-config, with the shared library and with the archive, and
# in C++; only artemis_* is exported; and `make uninstall` removes everything. Of a build with a
# sanitizer, only the examples are run.
set -euo pipefail

top="$(cd "$(dirname "$0")/../../.." && pwd)"
binary="$(realpath "${ARTEMIS_BINARY:?must name the binary to test}")"
folder="$(mktemp -d /tmp/artemis-test-XXXXXX)"
children=()
failed=0

finish() {
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
    wait
    if [ "$failed" -ne 0 ]; then tail -n 50 "$folder"/*.log 2>/dev/null; fi
    rm -rf "$folder"
}
trap finish EXIT

fail() {
    failed=1
    printf 'library: %s\n' "$*"
    exit 1
}

# wait_for_line FILE PATTERN
wait_for_line() {
    local deadline=$((SECONDS + 60))
    until grep -q -- "$2" "$1" 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || fail "$(basename "$1") has no line $2 within 60 s"
        sleep 0.05
    done
}

for name in $(compgen -e | grep '^ARTEMIS_' || true); do unset "$name"; done
"$binary" server --addr 127.0.0.1:0 >"$folder/server" 2>"$folder/server.log" &
children+=($!)
wait_for_line "$folder/server" '^Listening on '
url="http://$(sed -n 's/^Listening on //p' "$folder/server")"

# The examples of a folder, beside the server.
run_examples() {
    local registered=$folder/registered.log watched=$folder/watched.log child watcher
    rm -f "$registered" "$watched"
    "$1/watch_service" "$url" orders >"$watched" 2>&1 &
    watcher=$!
    children+=("$watcher")
    "$1/register_service" "$url" o-1 10.0.0.1 80 >"$registered" 2>&1 &
    child=$!
    children+=("$child")
    wait_for_line "$registered" '^serving orders/o-1$'
    wait_for_line "$watched" '^new orders/o-1 http://10.0.0.1:80 up$'
    [ "$("$1/discover_service" "$url" orders 2)" = $'o-1 at http://10.0.0.1:80\no-1 at http://10.0.0.1:80' ] ||
        fail "discover_service did not find it"
    kill -TERM "$child"
    wait "$child" || fail "register_service failed at its end"
    wait_for_line "$watched" '^delete orders/o-1 '
    [ "$("$1/discover_service" "$url" orders 1)" = 'no instances of orders' ] || fail "the instance was not unregistered"
    kill -INT "$watcher"
    wait "$watcher" || fail "watch_service failed at its end"
    children=("${children[0]}")
}
run_examples "$(realpath "${EXAMPLES_DIR:?must name the folder of the examples}")"

[ "$binary" = "$top/build/artemis" ] || exit 0

# --- as installed -------------------------------------------------------------------------------------
root="$folder/a root"
prefix=/opt/artemis
at_prefix() { make -C "$top" --no-print-directory "$1" DESTDIR="$root" PREFIX=$prefix >"$folder/make.log" 2>&1 || fail "make $1"; }
at_prefix install

# pkg-config does not support blanks in paths: from here on there is none.
mv "$root" "$folder/root"
lib=$folder/root$prefix/lib
export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$folder/root
mkdir "$folder/shared" "$folder/static"
# The packages of the private dependencies are not needed: a system without their .pc files.
(unset PKG_CONFIG_PATH && PKG_CONFIG_LIBDIR=$lib/pkgconfig pkg-config --cflags --libs artemis) >"$folder/make.log" 2>&1 ||
    fail "pkg-config needs other packages: $(cat "$folder/make.log")"
read -ra private < <(pkg-config --static --libs-only-l artemis | sed 's/-lartemis//')
for source in "$top"/examples/*.c; do
    name=$(basename "$source" .c)
    cc -Wall -Wextra -Werror "$source" $(pkg-config --cflags --libs artemis) -Wl,-rpath,"$lib" \
        -o "$folder/shared/$name" || fail "$name does not build"
    cc -Wall -Wextra -Werror "$source" $(pkg-config --cflags artemis) "$lib/libartemis.a" \
        "${private[@]}" -pthread -o "$folder/static/$name" ||
        fail "$name does not build with the archive"
done
readelf -d "$folder/shared/watch_service" | grep -q 'NEEDED.*\[libartemis\.so\.0\]' || fail "not linked with the shared library"
run_examples "$folder/shared"
run_examples "$folder/static"
printf '#include <artemis.h>\nint main() { artemis_options o = {}; (void)o; return artemis_version() == nullptr; }\n' >"$folder/a.cpp"
g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror "$folder/a.cpp" $(pkg-config --cflags --libs artemis) -o "$folder/a" ||
    fail "the header is no C++"

seen=$(nm -D --defined-only "$lib/libartemis.so" | awk '{print $3}')
grep -q '^artemis_open$' <<<"$seen" || fail "artemis_open is not exported"
declared=$(grep -oE '\bartemis_[a-z_]+\(' "$top/libartemis/artemis.h" | tr -d '(' | grep -v '_fn$' | sort -u)
[ "$(sort <<<"$seen")" = "$declared" ] || fail "the shared library exports other names than the header declares: $(diff <(sort <<<"$seen") <(echo "$declared"))"
seen=$(nm -g --defined-only "$lib/libartemis.a" | awk 'NF == 3 {print $3}' | sort)
[ "$seen" = "$declared" ] || fail "the archive exports other names: $(diff <(echo "$seen") <(echo "$declared"))"

mv "$folder/root" "$root"
at_prefix uninstall
[ -z "$(find "$root" -type f -o -type l)" ] || fail "uninstall left: $(find "$root" -type f -o -type l)"

#!/usr/bin/env bash
# deps.sh [PACKAGE...]        installs the Debian packages that are missing; silent if none is
# deps.sh --check [--tests]   fails with one line that names what a build (and its tests) lacks
set -euo pipefail

check() {
    local missing=() name
    read -ra cc <<<"${CC:-cc}"
    read -ra cxx <<<"${CXX:-c++}"
    for name in "${cc[-1]}" "${cxx[-1]}" pkg-config; do
        command -v "$name" >/dev/null || missing+=("$name")
    done
    if [ "${#missing[@]}" -eq 0 ]; then
        for name in libmicrohttpd gnutls jansson libcurl libxxhash zlib nettle sqlite3 libcares libmurmurhash; do
            pkg-config --exists "$name" || missing+=("$name")
        done
        for name in toml++/toml.h wslay/wslay.h; do
            echo "#include <$name>" | "${cxx[@]}" -std=c++17 -E -xc++ - >/dev/null 2>&1 || missing+=("<$name>")
        done
        if [ "${1:-}" = --tests ]; then
            [ "$(printf '#include <stdarg.h>\n#include <stddef.h>\n#include <setjmp.h>\n#include <stdint.h>\n#include <cmocka.h>\n' |
                "${cc[@]}" -E -xc - >/dev/null 2>&1; echo $?)" -eq 0 ] || missing+=("<cmocka.h>")
        fi
    fi
    [ "${#missing[@]}" -eq 0 ] && return
    local list
    printf -v list ', %s' "${missing[@]}"
    echo "Missing: ${list:2}. Run: make deps" >&2
    exit 1
}
if [ "${1:-}" = --check ]; then
    check "${2:-}"
    exit
fi

packages=(gcc g++ libc6-dev make pkg-config binutils curl
    libmicrohttpd-dev libgnutls28-dev libjansson-dev libcurl4-gnutls-dev libtomlplusplus-dev
    libxxhash-dev zlib1g-dev libsqlite3-dev libwslay-dev nettle-dev libc-ares-dev libmurmurhash-dev libcmocka-dev)

missing=()
installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
for package in "${packages[@]}" "$@"; do
    grep -q "^ii  *${package}\$" <<<"$installed" ||
        [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
done
[ "${#missing[@]}" -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "deps: apt-get not found; install the equivalents of these Debian packages: ${missing[*]}" >&2
    exit 1
fi
root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "deps: run as root, or install sudo; missing: ${missing[*]}" >&2; exit 1; }
    root=(sudo)
fi
echo "deps: installing ${missing[*]}"
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

#!/usr/bin/env bash
# Installs the Debian packages that are missing. Silent, and quick, when none is.
set -euo pipefail

packages=(gcc g++ libc6-dev make pkg-config binutils curl
    libmicrohttpd-dev libjansson-dev libcurl4-gnutls-dev libtomlplusplus-dev
    libxxhash-dev zlib1g-dev libwslay-dev nettle-dev libcmocka-dev)

missing=()
installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
for package in "${packages[@]}" "$@"; do
    grep -q "^ii  *${package}\$" <<<"$installed" ||
        [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing+=("$package")
done
[ "${#missing[@]}" -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "deps: this machine has no apt-get; install what matches these Debian packages: ${missing[*]}" >&2
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

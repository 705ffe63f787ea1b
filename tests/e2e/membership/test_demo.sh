#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The demonstration of each membership provider ends with success (make demo PROVIDER=etcd).
set -euo pipefail
: "${ARTEMIS_BINARY:?must name the binary to test}"
demo=$(cd "$(dirname "$0")/../../demo" && pwd)

for file in "$demo"/providers/*.sh; do
    provider=$(basename "$file" .sh)
    code=0
    "$demo/demo.sh" "$provider" || code=$?
    # Where a server is not installed, CI fails before the tests: it installs the package.
    [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || exit 1
done

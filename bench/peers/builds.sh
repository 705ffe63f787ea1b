#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# builds.sh OLD_BINARY NEW_BINARY - compares two builds of Artemis: CPU and time per request.
#
# Each has one web thread on core 0, wrk the other cores, and 10,000 instances in 1,000 services.
# They are loaded in turn. CPU is user and system time of the whole process; the ratio is that of
# the old build divided by that of the new one.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
FILL_SECS=${FILL_SECS:-5}
. bench/lib.sh
# shellcheck source-path=SCRIPTDIR source=rounds.sh
. bench/peers/rounds.sh

[ $# -eq 2 ] || {
    sed -n '4,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
needs wrk curl taskset
needs_built "$1" "$2"
[ "$(nproc)" -ge 2 ] || { say "needs two cores: one for the servers, one for wrk"; exit 2; }

serve_alone old "$(realpath "$1")"
serve_alone new "$(realpath "$2")"
print_header old new
fill_each old new
for operation in heartbeat discovery heartbeat100 register; do
    take_turns "$operation" old new
done

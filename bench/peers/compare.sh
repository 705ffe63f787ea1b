#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# compare.sh SERVER URL PID - compares a running server with Artemis: CPU and time per request.
#
# SERVER is rust (Artemis in Rust), eureka, nacos or etcd. Start it yourself, alone on this machine
# and with its default settings; PID is its process. The script starts Artemis with one web thread,
# puts both on core 0 and wrk on the other cores, fills both with 10,000 instances in 1,000
# services, and loads them by turns. CPU is user and system time of the whole process.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. bench/lib.sh
# shellcheck source-path=SCRIPTDIR source=rounds.sh
. bench/peers/rounds.sh

WARM_SECS=${WARM_SECS:-10} # before an operation, of the other server: a JVM compiles meanwhile

usage() {
    sed -n '4,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
[ $# -eq 3 ] || usage
SERVER=$1 PEER_URL=${2%/} PEER_PID=$3
case $SERVER in rust | eureka | nacos | etcd) ;; *) usage ;; esac
needs wrk curl taskset
needs_built "$BINARY"
[ "$(nproc)" -ge 2 ] || { say "needs two cores: one for the servers, one for wrk"; exit 2; }
kill -0 "$PEER_PID" 2>/dev/null || { say "no process $PEER_PID"; exit 2; }

compare() { # OPERATION
    fill_each "$SERVER" artemis
    say "$1: warming up"
    load "$SERVER" "$1" "$WARM_SECS" 50000000 >"$WORK/warm"
    take_turns "$1" "$SERVER" artemis
}

serve_alone artemis "$BINARY"
TO[$SERVER]=$PEER_URL OF[$SERVER]=$PEER_PID AS[$SERVER]=$SERVER NEXT[$SERVER]=100000
taskset -apc 0 "$PEER_PID" >/dev/null || exit 1

print_header "$SERVER" artemis
[ "$SERVER" != etcd ] || check etcd lease "$(load etcd lease "$FILL_SECS")"
for operation in heartbeat discovery heartbeat100 register; do
    case $SERVER:$operation in rust:* | *:heartbeat | *:discovery | *:register) ;; *) continue ;; esac
    compare "$operation"
done

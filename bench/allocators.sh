#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# allocators.sh - memory and speed of the server with each allocator that is installed.
#
#   allocators.sh [NAME...]
#
# A NAME is glibc, jemalloc (package libjemalloc2) or mimalloc (libmimalloc2.0); they are preloaded.
# With ALLOCATOR_ROOT they come from packages that are unpacked there instead of installed.
# ARTEMIS_BINARY and BENCH_DIR are as for bench.sh. Prints a line for each:
#
#   full_kib      with 1,000,000 instances, after 3 s
#   deployed_kib  with 200,000 instances that have just registered, in another server
#   day_kib       the same number after the deployments of a day (churn.c)
#   left_kib      10 s after these have unregistered; the change log still has 65,536 of them
#   heartbeat_us  CPU time of a heartbeat, of 10,000 instances: median of 15 rounds of 1 s
set -u -o pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

HERE=$(cd "$(dirname "$0")" && pwd)
TICKS=$(getconf CLK_TCK)
ROUNDS=15

rss_kib() { awk '/^VmRSS/ {print $2}' "/proc/${PID[$1]}/status"; }
cpu_ticks() { sed 's/.*) //' "/proc/${PID[$1]}/stat" | awk '{ print $12 + $13 }'; }

library() {
    case $1 in
    glibc) echo "" ;;
    jemalloc) echo "${ALLOCATOR_ROOT:-}"/usr/lib/*/libjemalloc.so.2 ;;
    mimalloc) echo "${ALLOCATOR_ROOT:-}"/usr/lib/*/libmimalloc.so.2 ;;
    esac
}

start() {
    serve "$1" env LD_PRELOAD="$2" "$BINARY" server --addr 127.0.0.1:0 --set ratelimit.enabled=false \
        --set lease.ttl_secs=86400 --set lease.cleanup_interval_secs=1 \
        --set replication.tombstone_secs=1 --set cache.expiry_secs=1 "${@:3}"
}

churn() { "$PROGRAMS/churn" --port "${PORT[day]}" "$@" >&2; }

heartbeat_round() {
    local before requests
    before=$(cpu_ticks load)
    requests=$({ timeout -s INT 1 wrk -t2 -c64 -d60s -s "$HERE/load.lua" "${URL[load]}" -- heartbeat ||
        true; } | grep '^requests=' | field requests) || return 1
    calc "%.3f\n" "($(cpu_ticks load) - $before) / $TICKS / $requests * 1e6"
}

measure() {
    local preload full deployed day left us i
    preload=$(library "$1")
    start full "$preload" && fill full 1000000 || return 1
    sleep 3
    full=$(rss_kib full)
    stop full
    start day "$preload" && churn --hours 0 || return 1
    sleep 3
    deployed=$(rss_kib day)
    stop day
    start day "$preload" && churn || return 1
    sleep 5
    day=$(rss_kib day)
    stop day
    start day "$preload" && churn --empty yes || return 1
    sleep 10
    left=$(rss_kib day)
    stop day
    start load "$preload" && fill load 10000 || return 1
    us=$(for ((i = 0; i < ROUNDS; i++)); do heartbeat_round || exit 1; done | sort -n |
        sed -n "$(((ROUNDS + 1) / 2))p")
    stop load
    echo "allocator=$1 full_kib=$full deployed_kib=$deployed day_kib=$day left_kib=$left heartbeat_us=$us"
}

needs wrk curl
needs_built "$BINARY" "$PROGRAMS/churn" "$PROGRAMS/fill"
[ $# -gt 0 ] || set -- glibc jemalloc mimalloc
for name in "$@"; do
    measure "$name" || exit 1
done

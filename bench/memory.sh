#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# memory.sh - resident memory of a server before a peak, at it, and after all instances have left.
#
#   memory.sh [COUNT [TTL_SECS]]
#
# Registers COUNT instances (400000), which are never renewed, and waits until they are evicted and
# the server has returned the memory. ARTEMIS_BINARY and BENCH_DIR are as for bench.sh.
# Prints "before_kib=N peak_kib=N after_kib=N ratio=N"; fails if after is above 1.2 times before.
set -u -o pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

COUNT=${1:-400000}
TTL_SECS=${2:-30}

rss_kib() { awk '/^VmRSS/ {print $2}' "/proc/${PID[artemis]}/status"; }
instances() { curl -s "http://127.0.0.1:${PORT[artemis]}/metrics" | awk '$1 == "artemis_instances" {print $2}'; }

needs curl
serve artemis "$BINARY" server --addr 127.0.0.1:0 --set ratelimit.enabled=false \
    --set lease.ttl_secs="$TTL_SECS" --set lease.guard_percent=0 \
    --set lease.cleanup_interval_secs=1 || exit 1
fill artemis 1000 >/dev/null 2>&1 || exit 1 # what the first requests allocate belongs to "before"
before=$(rss_kib)
fill artemis "$COUNT" >/dev/null 2>&1 || exit 1
peak=$(rss_kib)
deadline=$((SECONDS + TTL_SECS + 900)) # the change log keeps changes for 10 minutes
limit=$(calc %d "$before * 1.2")
after=$(rss_kib)
while [ "$SECONDS" -lt "$deadline" ]; do
    after=$(rss_kib)
    [ "$(instances)" = 0 ] && [ "$after" -le "$limit" ] && break
    sleep 2
done
echo "before_kib=$before peak_kib=$peak after_kib=$after ratio=$(calc %.2f "$after / $before")"
[ "$after" -le "$limit" ]

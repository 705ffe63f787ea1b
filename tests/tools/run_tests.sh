#!/usr/bin/env bash
# Runs each test program given, JOBS at a time (as many as there are cores); prints a line for each,
# and the whole output of those that fail.
set -u

if [ "${1:-}" = --one ]; then
    start=$(date +%s%N)
    if output=$("$2" 2>&1); then verdict=ok code=0; else verdict="FAILED ($?)" code=1; fi
    ms=$((($(date +%s%N) - start) / 1000000))
    if [ "$code" -eq 0 ]; then output=; else output=$'\n'$output; fi
    printf '  %-12s %6d ms  %s%s\n' "$verdict" "$ms" "$2" "$output"
    exit "$code"
fi

[ $# -gt 0 ] || { echo "no test matches"; exit 1; }
if printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" "$0" --one; then
    echo "all $# passed"
else
    echo "some of $# failed"
    exit 1
fi

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# instructions.sh - user-space instructions for one request of each kind that repeat.c sends.
#
#   instructions.sh [--functions] [--token] [--check] [KIND...]
#
# Callgrind counts a whole life of the server, once with few requests and once with many; the
# difference, divided, is the cost of one, free of start and registration. Only the thread that
# spends most on the requests counts, that of push for push_50: the others work by the clock. The number hardly varies, so it shows a
# change that is lost in the noise of a throughput. With --functions, what each function cost goes
# to stderr. With --token, the server has a token, and each request sends it. ARTEMIS_BINARY and
# BENCH_DIR are as for bench.sh.
# With --check, fails if a kind needs 3 % more than bench/instructions.txt says; the yardstick is
# not counted then.
# Prints "KIND=N ...", with yardstick_heartbeat=N and yardstick_discovery=N.
set -u -o pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

FEW=500
MANY=2500
# Callgrind counts each byte of `rep stosb` as one, and libmicrohttpd clears the memory of
# a connection for each request; a loop of vector stores is nearer to what that costs.
export GLIBC_TUNABLES=glibc.cpu.x86_rep_stosb_threshold=1000000000
GLIBC_TUNABLES+=:glibc.cpu.x86_rep_movsb_threshold=1000000000

# life WHO KIND REQUESTS: one life of the server; a thread is counted in
# $WORK/WHO.KIND.REQUESTS-THREAD.
life() {
    local profile=$WORK/$1.$2.$3 command
    if [ "$1" = artemis ]; then
        command=("$BINARY" server --addr 127.0.0.1:0 --set server.threads=1)
        command+=(--set ratelimit.enabled=false --set lease.ttl_secs=86400)
        command+=("${TOKEN_ARGS[@]}")
    else
        command=("$PROGRAMS/yardstick" --threads 1)
        command+=(--heartbeat "$WORK/answer" --discovery "$WORK/answer")
    fi
    serve "$1" valgrind --tool=callgrind --separate-threads=yes \
        --callgrind-out-file="$profile" "${command[@]}" || exit 1
    fill "$1" 1000 2>/dev/null || exit 1
    case $1-$2 in artemis-heartbeat | artemis-discovery) response_of artemis "$2" >"$WORK/answer" ;; esac
    "$PROGRAMS/repeat" --port "${PORT[$1]}" --kind "$2" --requests "$3" || exit 1
    stop "$1"
}

# counted FILE
counted() { awk '/^(totals|summary):/ { n = $2 } END { print n + 0 }' "$1"; }

# cost WHO KIND: sets COST, and THREAD, the file of the thread whose count grew most.
cost() {
    local file more
    life "$1" "$2" "$FEW"
    life "$1" "$2" "$MANY"
    COST=0 THREAD=""
    for file in "$WORK/$1.$2.$MANY"-*; do
        more=$(($(counted "$file") - $(counted "$WORK/$1.$2.$FEW-${file##*-}")))
        [ $((more / (MANY - FEW))) -le $COST ] || { COST=$((more / (MANY - FEW))) && THREAD=$file; }
    done
    if [ $COST -le 0 ]; then
        say "callgrind counted nothing for $1"
        exit 1
    fi
    if [ -n "$FUNCTIONS" ] && [ "$1" = artemis ]; then
        say "$2: $COST instructions each; a whole life with $MANY of them, function by function:"
        callgrind_annotate "$THREAD" | grep -E '^ *[0-9,]+ \(' | head -40 >&2
    fi
}

FUNCTIONS=""
CHECK=""
TOKEN_ARGS=()
KINDS=""
for option in "$@"; do
    case $option in
    --functions) FUNCTIONS=yes ;;
    --check) CHECK=yes ;;
    --token)
        "$BINARY" token new bench --role admin --secret-file "$WORK/token" >"$WORK/tokens.toml" ||
            exit 1
        BENCH_TOKEN=$(cat "$WORK/token")
        export BENCH_TOKEN
        TOKEN_ARGS=(--config "$WORK/tokens.toml")
        ;;
    -*)
        say "unknown option $option"
        exit 2
        ;;
    *) KINDS+=" $option" ;;
    esac
done
needs valgrind curl
needs_built "$BINARY" "$PROGRAMS"/{yardstick,fill,repeat}

# check KIND COST: against the recorded number.
check() {
    local recorded
    recorded=$(awk -v kind="$1" '$1 == kind { print $2 }' "$HERE/instructions.txt")
    [ -n "$recorded" ] && [ $(($2 * 100)) -le $((recorded * 103)) ] && return 0
    say "$1 needs $2 instructions, recorded are ${recorded:-none}"
    FAILED=yes
}

HERE=$(dirname "$0")
FAILED=""
report=""
for kind in ${KINDS:-heartbeat discovery discovery_filtered heartbeat_100 register peer_heartbeat_100 push_50}; do
    cost artemis $kind
    report+="$kind=$COST "
    [ -z "$CHECK" ] || check $kind $COST
    case $CHECK$kind in
    heartbeat | discovery)
        cost yardstick $kind
        report+="yardstick_$kind=$COST "
        ;;
    esac
done
echo "${report% }"
[ -z "$FAILED" ]

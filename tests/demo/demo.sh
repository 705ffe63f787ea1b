#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh PROVIDER: two nodes find each other by a membership provider. Node b joins, registrations
# make the way in both directions, b leaves, returns, is killed, and recovers what a has. It ends by
# itself with an exit code, and needs $ARTEMIS_BINARY. It listens on loopback addresses alone.
#
# What differs between the providers is in providers/PROVIDER.sh, which has these functions:
#
#     settings NODE       prints the settings of a node, as lines of TOML
#     start_server        starts the server of the provider (left out: it needs none)
#     set_members NODE... what an operator does when nodes come or go (left out: nothing)
#
# They may use `need`, `start_program`, `free_port NAME`, `until_true`, `fail`, `peer_address NODE`, $work
# (a folder), $artemis and ${urls[NODE]} of the nodes that run. The exit code is 77 where a program
# that the provider needs is not installed.
set -euo pipefail

provider=${1:?usage: demo.sh PROVIDER}
folder=$(dirname "$0")
artemis=${ARTEMIS_BINARY:?must name the binary}
wait_secs=60
work=$(mktemp -d /tmp/artemis-demo-XXXXXX)
declare -A pids=() urls=() hosts=([a]=127.0.0.2 [b]=127.0.0.3)

# --- processes ----------------------------------------------------------------------------------------
say() { printf '\n== %s\n' "$*"; }
fail() {
    echo "demo: $*" >&2
    tail -n 20 "$work"/*.log >&2 2>/dev/null || true
    exit 1
}
finish() {
    local result=$? name
    trap - EXIT
    for name in "${!pids[@]}"; do kill -KILL "${pids[$name]}" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
    exit "$result"
}
trap finish EXIT
# need COMMAND PACKAGE: ends where the server of the provider is not installed.
need() {
    command -v "$1" >/dev/null && return
    echo "demo: $1 is missing; install $2" >&2
    exit 77
}
# until_true WHAT COMMAND...: repeats the command until it succeeds, then prints WHAT. Fails when a program
# has ended.
until_true() {
    local what=$1 deadline=$((SECONDS + wait_secs)) name
    shift
    until "$@" >/dev/null 2>&1; do
        for name in "${!pids[@]}"; do
            kill -0 "${pids[$name]}" 2>/dev/null || fail "$name has ended: $what"
        done
        [ "$SECONDS" -lt "$deadline" ] || fail "not within $wait_secs s: $what"
        sleep 0.05
    done
    echo "$what"
}
# start_program NAME COMMAND...: in the background, with its output in $work/NAME.log.
start_program() {
    local name=$1
    shift
    "$@" >>"$work/$name.log" 2>&1 &
    pids[$name]=$!
}
# free_port NAME: sets the variable to a port of all addresses here, below 8080 and those that other
# tests choose, and another at each call. Demonstrations that run at the same time have different numbers
# in $DEMO_NUMBER, below 8, so that they choose other ports.
free_port() {
    local port address
    while port=$((5000 + RANDOM % 380 * 8 + ${DEMO_NUMBER:-0})); do
        [ -z "${chosen_ports[$port]:-}" ] || continue
        for address in 127.0.0.1 "${hosts[@]}"; do
            (: <"/dev/tcp/$address/$port") 2>/dev/null && continue 2
        done
        break
    done
    chosen_ports[port]=yes
    printf -v "$1" '%s' "$port"
}
chosen_ports=()
peer_port=
free_port peer_port
peer_address() { echo "${hosts[$1]}:$peer_port"; }

# --- nodes --------------------------------------------------------------------------------------------
start_server() { :; }
set_members() { :; }
sees() { "$artemis" cluster --server "${urls[$1]}" | grep -q "^$2  *up "; } # NODE PEER
has_left() { "$artemis" cluster --server "${urls[$1]}" | grep -q 'has no peers'; }
[ -e "$folder/providers/$provider.sh" ] || fail "no such provider: $provider; use one of: $(cd "$folder/providers" && echo *.sh | sed 's/[.]sh//g')"
# shellcheck source=/dev/null
. "$folder/providers/$provider.sh"

write_settings() {
    {
        printf '[server]\nnode_id = "%s"\nlisten_addr = "%s:0"\n' "$1" "${hosts[$1]}"
        printf '[cluster]\nenabled = true\nhealth_interval_secs = 1\nbootstrap_grace_secs = 0\n'
        printf 'listen_addr = "%s"\nprovider = "%s"\n' "$(peer_address "$1")" "$provider"
        settings "$1"
    } >"$work/$1.toml"
}
listens() { # NODE: sets its url
    local line
    line=$(grep -m 1 '^Listening on ' "$work/$1.log") && urls[$1]=http://${line##* }
}
start() {
    : >"$work/$1.log"
    write_settings "$1"
    start_program "$1" "$artemis" server --config "$work/$1.toml"
    until_true "node $1 listens" listens "$1"
}
stop() { # NODE SIGNAL
    kill -"$2" "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null || true
    unset "pids[$1]" "urls[$1]"
}
finds() { [ "$("$artemis" lookup "$2" --server "${urls[$1]}")" = "$3" ]; } # NODE SERVICE URL
register() { # NODE SERVICE IP
    "$artemis" register "$2" i-1 --ip "$3" --port 8080 --server "${urls[$1]}" >/dev/null
    echo "$2 is registered at $1"
}

# --- the demonstration ----------------------------------------------------------------------------------
say "node a starts, and node b joins by the provider $provider"
start_server
set_members a
start a
set_members a b
start b
until_true "a sees b" sees a b
until_true "b sees a" sees b a

say "a registration at one node is found at the other"
register a shop 10.0.0.1
until_true "shop is found at b" finds b shop http://10.0.0.1:8080
register b stock 10.0.0.2
until_true "stock is found at a" finds a stock http://10.0.0.2:8080

say "node b leaves"
stop b TERM
set_members a
until_true "b has left the topology of a" has_left a b
until_true "stock is still found at a" finds a stock http://10.0.0.2:8080

say "node b returns, is killed, and recovers"
set_members a b
start b
until_true "a sees b" sees a b
stop b KILL
register a late 10.0.0.3
start b
until_true "b sees a" sees b a
until_true "shop is found at b" finds b shop http://10.0.0.1:8080
until_true "late is found at b" finds b late http://10.0.0.3:8080
until_true "a sees b" sees a b

say "what node a has seen"
"$artemis" cluster events --server "${urls[a]}"
stop b TERM
stop a TERM
say "done: $provider"

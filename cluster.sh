#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# cluster.sh - runs a cluster of 1 to 9 nodes on this machine, for experiments.
#
# `./cluster.sh help` prints the commands. It needs bash, curl, awk and the usual tools of Linux.
# The kernel reuses process ids, so a signal is sent only after /proc has confirmed that the process
# is the command that was started as that node. Exit codes: 0 done, 1 failed, 2 wrong usage.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=$(realpath -m -- "${CLUSTER_DIR:-$HERE/.cluster}")
BINARY=$(realpath -m -- "${ARTEMIS_BINARY:-$HERE/build/artemis}")
START_SECS=${CLUSTER_START_SECS:-30}
STOP_SECS=${CLUSTER_STOP_SECS:-45} # a node with slow clients takes 40 s to drain
. "$HERE/configs/local/secure.sh" # for --secure
. "$HERE/configs/local/status.sh" # cmd_status, cmd_logs
MARK=$DIR/cluster.lock
LAST_LINES=10
COUNT=0  # nodes that have a config file
NODES=() # 1 to COUNT
PORTS=() # port of each node; the first is PORTS[1]
STARTED=() # nodes that this run has started
SECURE="" # yes: with TLS
WANTED=""  # --secure
UNDO=""    # how `start` is undone when it fails: folder, layout, nodes; empty: it is not undone

usage() {
    cat <<EOT
usage: ./cluster.sh COMMAND

  start [N] [BASE_PORT] [--secure]
                         start N nodes (1 to 9, default 3) on BASE_PORT (default
                         8080) and above, and wait until all are ready; --secure:
                         with TLS, tokens, limits and admin sockets; if the
                         cluster runs, start those that are down
  status                 print a table of the nodes; exit code 0: all are ready
  logs [NODE] [-f]       print the logs of the nodes; -f: follow until Ctrl-C
  kill NODE              end a node with SIGKILL, to simulate a crash
  restart [NODE]         restart one node, or all nodes one after the other
  stop                   stop all nodes, each after it has drained
  clean                  stop, and remove all files of the cluster

Nodes are node1, node2 and so on; 1 means node1. Files: .cluster/{config,logs,
pids,data}. Settings: .cluster/config/config.d/*.toml, or the environment.
ARTEMIS_BINARY is the program (default build/artemis), CLUSTER_DIR the folder
(.cluster), CLUSTER_START_SECS (30) and CLUSTER_STOP_SECS (45) the time limits.
EOT
}

# --- messages ----------------------------------------------------------------------------------------

message() { echo "cluster.sh: $*" >&2; }

fail() { message "$@" && exit 1; }
usage_error() { message "$@" && exit 2; }

# names K...: "node1, node2 and node3"
names() {
    local k list="" last=""
    for k in "$@"; do
        [ -z "$last" ] || list+="${list:+, }$last"
        last=node$k
    done
    echo "${list:+$list and }$last"
}

# are COUNT SINGULAR PLURAL
are() { if [ "$1" -eq 1 ]; then echo "$2"; else echo "$3"; fi; }

require_at_most() { [ "$2" -le "$1" ] || usage_error "too many arguments; see \`./cluster.sh help\`"; }

# require_number WHAT VALUE MIN MAX EXAMPLE
require_number() {
    if ! [[ $2 =~ ^[0-9]{1,5}$ ]] || [ "$((10#$2))" -lt "$3" ] || [ "$((10#$2))" -gt "$4" ]; then
        usage_error "$1 must be a number from $3 to $4, is '$2'; try \`$5\`"
    fi
}

# --- the cluster --------------------------------------------------------------------------------

config_of() { echo "$DIR/config/node$1.toml"; }
log_of() { echo "$DIR/logs/node$1.log"; }
pid_file() { echo "$DIR/pids/node$1.pid"; }
command_file() { echo "$DIR/pids/node$1.command"; }
url_of() { echo "http://127.0.0.1:${PORTS[$1]}"; }
peer_url() { if [ "$SECURE" ]; then secure_peer_url "$1"; else echo "http://127.0.0.1:$1"; fi; }

load_layout() {
    local config port
    COUNT=0 NODES=()
    while config=$(config_of $((COUNT + 1))) && [ -f "$config" ]; do
        port=$(sed -n 's/^listen_addr = "127\.0\.0\.1:\([0-9]*\)"$/\1/p' "$config")
        [ -n "$port" ] || fail "$config has no listen_addr of this script; restore it"
        COUNT=$((COUNT + 1))
        NODES+=("$COUNT")
        PORTS[COUNT]=$port
        ! grep -q '^\[tls\]' "$config" || SECURE=yes
    done
}

require_cluster() {
    [ "$COUNT" -gt 0 ] || fail "there is no cluster; \`./cluster.sh start\` starts one"
}

# Sets NODE to the number of a node, given as 2 or node2.
read_node() {
    NODE=${1#node}
    if ! [[ $NODE =~ ^[1-9]$ ]] || [ "$NODE" -gt "$COUNT" ]; then
        usage_error "unknown node '$1'; use $(are "$COUNT" node1 "one of node1 to node$COUNT")"
    fi
}

# Prints the command line of a process, one argument on a line; nothing when it has ended.
command_of() { { tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null || true; }

# Prints the process id in a node's pid file; the process may be another one now.
recorded_pid() {
    local pid=""
    [ ! -f "$(pid_file "$1")" ] || read -r pid <"$(pid_file "$1")" || true
    [[ ! $pid =~ ^[1-9][0-9]*$ ]] || echo "$pid"
}

# Prints the process id of a node; false when the node does not run. The program may be a script, so
# the command may come after an interpreter.
pid_of() {
    local pid wanted
    pid=$(recorded_pid "$1")
    [ -n "$pid" ] && [ -s "$(command_file "$1")" ] || return 1
    wanted=$(<"$(command_file "$1")")
    [[ $'\n'$(command_of "$pid") == *$'\n'"$wanted" ]] && echo "$pid"
}

runs() { pid_of "$1" >/dev/null; }

# Sorts the given nodes into LIVE and ABSENT.
read_states() {
    local k
    LIVE=() ABSENT=()
    for k in "$@"; do
        if runs "$k"; then LIVE+=("$k"); else ABSENT+=("$k"); fi
    done
}

forget() {
    local k
    for k in "$@"; do rm -f "$(pid_file "$k")" "$(command_file "$k")"; done
}

# Removes the pid file of a node that has ended by itself, and reports it.
remove_stale_pid() {
    local pid now
    if [ ! -f "$(pid_file "$1")" ] || runs "$1"; then return 0; fi
    pid=$(recorded_pid "$1")
    now=$(command_of "${pid:-none}" | head -1)
    if [ -n "$now" ]; then
        message "node$1 had ended by itself; process $pid of its pid file is $now now and is not touched"
    else
        message "node$1 had ended by itself; \`./cluster.sh logs node$1\` may show why"
    fi
    forget "$1"
}

# --- the folder -----------------------------------------------------------------------------------

# Only one cluster.sh changes a cluster at a time; otherwise two could start the same node. A folder
# that is not one of a cluster is neither written nor removed.
take_lock() {
    if [ -e "$DIR" ] && [ ! -e "$MARK" ] && [ -n "$(ls -A "$DIR")" ]; then
        fail "$DIR is not the folder of a cluster; set CLUSTER_DIR to another one"
    fi
    mkdir -p "$DIR"/{config,logs,pids,data} ||
        fail "cannot write to $DIR; set CLUSTER_DIR to another folder"
    exec 9>>"$MARK"
    flock -n 9 || fail "another cluster.sh changes this cluster now; try again later"
    load_layout
}

# write_config K N BASE
write_config() {
    local i peers="" enabled=false
    [ "$2" -eq 1 ] || enabled=true
    for ((i = 1; i <= $2; i++)); do
        [ "$i" -eq "$1" ] || peers+="${peers:+, }\"$(peer_url $(($3 + i - 1)))\""
    done
    cat >"$(config_of "$1")" <<EOT
# Written by \`cluster.sh start\`, which may overwrite it. Put your settings, for all nodes, into
# config.d/*.toml beside this file.
[server]
node_id = "node$1"
listen_addr = "127.0.0.1:$(($3 + $1 - 1))"
${SECURE:+$(secure_server $(($3 + $1 - 1)))}

[cluster]
enabled = $enabled
cluster_id = "local-$3"
peers = [$peers]
health_interval_secs = 1 # short, for experiments
bootstrap_grace_secs = 0 # a new cluster has no data to wait for
${SECURE:+$(secure_config "$1" $(($3 + $1 - 1)))}
EOT
}

# write_layout N BASE
write_layout() {
    local k
    rm -f "$DIR"/config/node[1-9].toml
    SECURE=$WANTED
    [ -z "$SECURE" ] || { secure_certificates "$1" && secure_tokens; }
    for ((k = 1; k <= $1; k++)); do write_config "$k" "$@"; done
    load_layout
}

# --- ports ----------------------------------------------------------------------------------------

# Prints the inode of the socket that listens on a loopback port; false when there is none.
listener_on() {
    local tables=(/proc/net/tcp)
    [ ! -r /proc/net/tcp6 ] || tables+=(/proc/net/tcp6)
    awk -v port="$(printf %04X "$1")" '
        $4 == "0A" && $2 ~ ":" port "$" && $2 ~ /^(0100007F|0+|0+FFFF00000100007F):/ {
            print $10; found = 1; exit }
        END { exit !found }' "${tables[@]}"
}

# Prints the process that owns the socket, if this user may see it.
owner_of() {
    local pid
    pid=$(find /proc/[0-9]*/fd -lname "socket:\[$1\]" 2>/dev/null | cut -d/ -f3 | head -1 || true)
    [ -z "$pid" ] || echo "process $pid, $(command_of "$pid" | head -1)"
}

# Waits up to a second: a node that was just killed may still have its port.
check_port() {
    local tries socket owner
    for ((tries = 0; tries < 20; tries++)); do
        socket=$(listener_on "${PORTS[$1]}") || return 0
        sleep 0.05
    done
    owner=$(owner_of "$socket")
    fail "port ${PORTS[$1]} of node$1 is in use by ${owner:-a process that this user cannot see};" \
        "stop it, or use other ports: \`./cluster.sh start $COUNT BASE_PORT\`"
}

# --- starting -------------------------------------------------------------------------------------

require_binary() {
    command -v curl >/dev/null || fail "curl is missing; install it: sudo apt-get install curl"
    if [ ! -f "$BINARY" ] || [ ! -x "$BINARY" ]; then
        fail "$BINARY is not a program; run \`make\`${ARTEMIS_BINARY:+, or unset ARTEMIS_BINARY}"
    fi
}

# The child writes its own pid and holds the lock until it becomes the node. So the pid of a node is
# known whenever this script is interrupted. The node has a session of its own, so that Ctrl-C does
# not end it.
spawn() {
    local command=("$BINARY" server --config "$(config_of "$1")") key
    printf '%s\n' "${command[@]}" >"$(command_file "$1")"
    (
        # The environment overrides the file, and would give all nodes the same identity.
        for key in SERVER_{NODE_ID,LISTEN_ADDR,TLS_LISTEN_ADDR} \
            CLUSTER_{ENABLED,CLUSTER_ID,PEERS,PROVIDER,ADVERTISE_ADDR,LISTEN_ADDR}; do
            unset "ARTEMIS_$key"
        done
        mkdir -p "$DIR/data/node$1"
        cd "$DIR/data/node$1"
        echo "$BASHPID" >"$(pid_file "$1")"
        exec setsid "${command[@]}" 9>&-
    ) </dev/null >>"$(log_of "$1")" 2>&1 &
    until runs "$1" || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
}

http_get() { curl -q -s --noproxy '*' --max-time 2 ${SECURE:+-H "@$DIR/tokens/field"} "$@"; }

# True if the node itself responds that it is ready, not another process on its port.
is_ready() {
    http_get -f -D - -o /dev/null "$(url_of "$1")/ready" | awk -v node="node$1" '
        tolower($1) == "x-artemis-node:" { sub(/\r$/, ""); is = $2 == node }
        END { exit !is }'
}

# fail_start PROBLEM K...
fail_start() {
    local k problem=$1
    shift
    for k in "$@"; do
        message "node$k $problem; the last lines of its log:"
        tail -n "$LAST_LINES" "$(log_of "$k")" | sed "s/^/  node$k | /" >&2
    done
    fail "the start has failed${UNDO:+; stopping its nodes}"
}

# progress WHAT SECS: prints a line every 2 s; `started` and `said` are variables of the caller.
progress() {
    [ $((SECONDS - said)) -ge 2 ] || return 0
    said=$SECONDS
    message "waiting for $1, $((SECONDS - started)) of $2 s"
}

# await_ready K...
await_ready() {
    local k started=$SECONDS said=$SECONDS waiting=("$@") still
    while :; do
        still=()
        for k in "${waiting[@]}"; do
            runs "$k" || fail_start "has ended during its start" "$k"
            is_ready "$k" || still+=("$k")
        done
        waiting=("${still[@]}")
        [ ${#waiting[@]} -gt 0 ] || return 0
        [ $((SECONDS - started)) -lt "$START_SECS" ] || break
        progress "$(names "${waiting[@]}")" "$START_SECS"
        sleep 0.1
    done
    fail_start "is not ready after $START_SECS s" "${waiting[@]}"
}

# Waits until the running nodes have connected to each other, about a second: what is registered
# earlier reaches the other nodes later. Stops after 5 s, because ready nodes do not need it.
await_peers() {
    local k up deadline=$((SECONDS + 5))
    read_states "${NODES[@]}"
    for k in "${LIVE[@]}"; do
        while [ "$SECONDS" -lt "$deadline" ]; do
            up=$(http_get "$(url_of "$k")/api/status/cluster" | grep -o '"health":"up"' || true)
            [ "$(wc -w <<<"$up")" -lt $((${#LIVE[@]} - 1)) ] || break
            sleep 0.1
        done
    done
}

on_interrupt() { message "interrupted${UNDO:+; stopping the nodes of this start}" && exit 130; }

# On exit of a start that has failed: ends the nodes that it has started, and removes the files that
# it has written. They serve no client yet, so they are killed.
undo_start() {
    local code=$?
    trap - EXIT
    trap '' INT TERM
    exec 9>>"$MARK"
    flock 9
    [ ${#STARTED[@]} -eq 0 ] || force "${STARTED[@]}"
    [ "$UNDO" != folder ] || rm -rf -- "$DIR"
    [ "$UNDO" != layout ] || rm -f "$DIR"/config/node[1-9].toml
    exit "$code"
}

# launch K...: starts these nodes, waits until they are ready, and releases the lock.
launch() {
    local k
    trap on_interrupt INT TERM
    for k in "$@"; do
        remove_stale_pid "$k"
        check_port "$k"
    done
    STARTED=("$@")
    for k in "$@"; do spawn "$k"; done
    exec 9>&-
    await_ready "$@"
    await_peers
    for k in "$@"; do
        echo "node$k is ready: $(url_of "$k"), process $(recorded_pid "$k")"
        [ -z "$SECURE" ] || [ -z "$(secure_socket "$k")" ] ||
            echo "  artemis admin status --socket '$(secure_socket "$k")'"
    done
}

cmd_start() {
    local n=3 base=8080 last=65536 k urls=""
    read_states "${NODES[@]}"
    # Without arguments, start completes the running cluster.
    [ ${#LIVE[@]} -eq 0 ] || n=$COUNT base=${PORTS[1]}
    n=${1-$n} base=${2-$base}
    require_number "the number of nodes" "$n" 1 9 "./cluster.sh start 3"
    [ -z "$WANTED" ] || last=$((last - SECURE_PEER_OFFSET))
    require_number "the base port" "$base" 1 $((last - 10#$n)) "./cluster.sh start $n 8080"
    n=$((10#$n)) base=$((10#$base))
    require_binary
    [ -e "$DIR" ] || UNDO=folder
    take_lock
    UNDO=${UNDO:-nodes}
    trap undo_start EXIT
    read_states "${NODES[@]}"
    if [ ${#LIVE[@]} -gt 0 ]; then
        [ "$n $base" = "$COUNT ${PORTS[1]}" ] ||
            fail "a cluster of $COUNT nodes on port ${PORTS[1]} and above runs already" \
                "($(names "${LIVE[@]}")); stop it first: \`./cluster.sh stop\`"
        [ -z "$WANTED" ] || [ "$SECURE" ] ||
            fail "a cluster without --secure runs already; stop it first: \`./cluster.sh stop\`"
        [ ${#ABSENT[@]} -gt 0 ] ||
            fail "$(names "${LIVE[@]}") $(are "$n" runs run) already;" \
                "see \`./cluster.sh status\`, or use \`./cluster.sh restart\`"
        echo "$(names "${LIVE[@]}") $(are ${#LIVE[@]} runs run) already;" \
            "starting only $(names "${ABSENT[@]}")"
    else
        [ "$UNDO" = folder ] || UNDO=layout
        write_layout "$n" "$base"
        ABSENT=("${NODES[@]}")
    fi
    launch "${ABSENT[@]}"
    await_ready "${NODES[@]}"
    trap - EXIT
    for k in "${NODES[@]}"; do urls+="${urls:+,}$(url_of "$k")"; done
    # Makes the commands of artemis use all nodes:
    if [ "$SECURE" ]; then secure_environment "${PORTS[@]}"; else echo "export ARTEMIS_URL=$urls"; fi
}

# --- stopping ---------------------------------------------------------------------------------------

# signal_node SIGNAL K: does nothing when the node does not run.
signal_node() {
    local pid
    if pid=$(pid_of "$2"); then kill -s "$1" "$pid" 2>/dev/null || true; fi
}

# await_end SECS K...: afterwards LIVE holds the nodes that still run.
await_end() {
    local started=$SECONDS said=$SECONDS secs=$1
    shift
    while read_states "$@" && [ ${#LIVE[@]} -gt 0 ] && [ $((SECONDS - started)) -lt "$secs" ]; do
        progress "the end of $(names "${LIVE[@]}")" "$secs"
        sleep 0.05
    done
}

# force K...: ends the nodes with SIGKILL.
force() {
    local k
    for k in "$@"; do signal_node KILL "$k"; done
    await_end 10 "$@"
    [ ${#LIVE[@]} -eq 0 ] ||
        fail "$(names "${LIVE[@]}") cannot be killed: a debugger or the kernel holds it; try again"
    forget "$@"
}

# end K...: with SIGTERM, and after the time limit with SIGKILL.
end() {
    local k
    for k in "$@"; do signal_node TERM "$k"; done
    await_end "$STOP_SECS" "$@"
    if [ ${#LIVE[@]} -gt 0 ]; then
        message "$(names "${LIVE[@]}") did not end within $STOP_SECS s; killing"
        force "${LIVE[@]}"
    fi
    forget "$@"
}

cmd_stop() {
    local k live
    [ "$COUNT" -gt 0 ] || { echo "there is no cluster; nothing to stop" && return; }
    take_lock
    for k in "${NODES[@]}"; do remove_stale_pid "$k"; done
    read_states "${NODES[@]}"
    live=("${LIVE[@]}")
    [ ${#live[@]} -gt 0 ] || { echo "no node runs; nothing to stop" && return; }
    end "${live[@]}"
    echo "$(names "${live[@]}") $(are ${#live[@]} has have) ended"
}

cmd_kill() {
    local pid
    [ $# -gt 0 ] || usage_error "kill needs a node; try \`./cluster.sh kill node2\`"
    require_cluster
    read_node "$1"
    take_lock
    remove_stale_pid "$NODE"
    pid=$(pid_of "$NODE") || { echo "node$NODE does not run; nothing to kill" && return; }
    force "$NODE"
    echo "node$NODE, process $pid, is killed; \`./cluster.sh start\` starts it again"
}

cmd_restart() {
    local k
    require_cluster
    require_binary
    [ $# -eq 0 ] || { read_node "$1" && set -- "$NODE"; }
    [ $# -eq 1 ] || set -- "${NODES[@]}"
    for k in "$@"; do
        take_lock
        remove_stale_pid "$k"
        if runs "$k"; then end "$k"; fi
        launch "$k"
    done
}

cmd_clean() {
    [ -e "$DIR" ] || { echo "there is no $DIR; nothing to clean" && return; }
    cmd_stop
    take_lock
    rm -rf -- "$DIR"
    echo "$DIR is removed"
}

# --- main -----------------------------------------------------------------------------------------

main() {
    local argument verb=${1:-} rest=()
    set -- "${@:2}"
    if [ "$verb" = start ]; then
        for argument in "$@"; do
            case $argument in
            --secure) WANTED=yes ;;
            --*) usage_error "start has no option '$argument'; see \`./cluster.sh help\`" ;;
            *) rest+=("$argument") ;;
            esac
        done
        set -- "${rest[@]}"
    fi
    case $verb in
    help | -h | --help) usage && exit ;;
    '') usage >&2 && exit 2 ;;
    stop | status | clean) require_at_most 0 $# ;;
    restart | kill) require_at_most 1 $# ;;
    start | logs) require_at_most 2 $# ;;
    *) usage_error "unknown command '$verb'; see \`./cluster.sh help\`" ;;
    esac
    require_number CLUSTER_START_SECS "$START_SECS" 1 3600 "CLUSTER_START_SECS=30"
    require_number CLUSTER_STOP_SECS "$STOP_SECS" 1 3600 "CLUSTER_STOP_SECS=45"
    load_layout
    "cmd_$verb" "$@"
}

main "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# cluster.sh - a cluster of 1 to 9 nodes on this machine, to try things and to break them.
#
# `./cluster.sh help` tells how to use it. Needs bash, curl, awk and what every Linux has. A process
# gets a signal only after /proc has shown that it still is the command that was started as that
# node: pids are used again. Exits 0 when done, 1 when it could not be, 2 on wrong use.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DIR=$(realpath -m -- "${CLUSTER_DIR:-$HERE/.cluster}")
BINARY=$(realpath -m -- "${ARTEMIS_BINARY:-$HERE/build/artemis}")
START_SECS=${CLUSTER_START_SECS:-30}
STOP_SECS=${CLUSTER_STOP_SECS:-45} # with slow clients, a node takes 40 s to leave in good order
MARK=$DIR/cluster.lock
LAST_LINES=10
COUNT=0  # nodes that have a config file
NODES=() # 1 to COUNT
PORTS=() # theirs; the first is PORTS[1]

usage() {
    cat <<EOT
usage: ./cluster.sh COMMAND

  start [N] [BASE_PORT]  start N nodes (1 to 9, default 3) on BASE_PORT (default 8080) and the ports
                         after it, and wait until all are ready; of a cluster that runs already,
                         start the nodes that are missing
  status                 a table of the nodes; exit code 0 when all are ready
  logs [NODE] [-f]       what the nodes have logged; -f goes on until Ctrl-C
  kill NODE              end a node by SIGKILL, to see how the others cope
  restart [NODE]         restart one node, or all in turn, so that what is registered stays
  stop                   end all nodes in good order
  clean                  stop, and remove all files of the cluster

Nodes are node1, node2 and so on; 1 means node1. Files: .cluster/{config,logs,pids,data}.
Settings of your own go into .cluster/config/config.d/*.toml, or the environment of start.
ARTEMIS_BINARY is another program than build/artemis, CLUSTER_DIR another place for .cluster,
CLUSTER_START_SECS (30) and CLUSTER_STOP_SECS (45) are how long to wait.
EOT
}

# --- words ----------------------------------------------------------------------------------------

say() { echo "cluster.sh: $*" >&2; }

die() {
    say "$@"
    exit 1
}

wrong() {
    say "$@"
    exit 2
}

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

at_most() { [ "$2" -le "$1" ] || wrong "too many words; see \`./cluster.sh help\`"; }

# need_number WHAT VALUE MIN MAX EXAMPLE
need_number() {
    if ! [[ $2 =~ ^[0-9]{1,5}$ ]] || [ "$((10#$2))" -lt "$3" ] || [ "$((10#$2))" -gt "$4" ]; then
        wrong "$1 must be a number from $3 to $4, is '$2'; try \`$5\`"
    fi
}

# --- what there is --------------------------------------------------------------------------------

config_of() { echo "$DIR/config/node$1.toml"; }
log_of() { echo "$DIR/logs/node$1.log"; }
pid_file() { echo "$DIR/pids/node$1.pid"; }
command_file() { echo "$DIR/pids/node$1.command"; }
url_of() { echo "http://127.0.0.1:${PORTS[$1]}"; }

load_layout() {
    local config port
    COUNT=0 NODES=()
    while config=$(config_of $((COUNT + 1))) && [ -f "$config" ]; do
        port=$(sed -n 's/^listen_addr = "127\.0\.0\.1:\([0-9]*\)"$/\1/p' "$config")
        [ -n "$port" ] || die "$config has no listen_addr that this script wrote; put it back"
        COUNT=$((COUNT + 1))
        NODES+=("$COUNT")
        PORTS[COUNT]=$port
    done
}

need_cluster() {
    [ "$COUNT" -gt 0 ] || die "there is no cluster here; \`./cluster.sh start\` starts one"
}

# Sets NODE to the number of a node, given as 2 or node2.
read_node() {
    NODE=${1#node}
    if ! [[ $NODE =~ ^[1-9]$ ]] || [ "$NODE" -gt "$COUNT" ]; then
        wrong "there is no node '$1'; name $(are "$COUNT" node1 "one of node1 to node$COUNT")"
    fi
}

# The command line of a process, an argument a line; empty when it is gone.
command_of() { { tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null || true; }

# The process in a node's pid file, whatever it is now.
recorded_pid() {
    local pid=""
    [ ! -f "$(pid_file "$1")" ] || read -r pid <"$(pid_file "$1")" || true
    [[ ! $pid =~ ^[1-9][0-9]*$ ]] || echo "$pid"
}

# The process of a node; nothing, and false, when it does not run. The command may stand behind an
# interpreter: the program may be a script.
pid_of() {
    local pid wanted
    pid=$(recorded_pid "$1")
    [ -n "$pid" ] && [ -s "$(command_file "$1")" ] || return 1
    wanted=$(<"$(command_file "$1")")
    [[ $'\n'$(command_of "$pid") == *$'\n'"$wanted" ]] && echo "$pid"
}

runs() { pid_of "$1" >/dev/null; }

# Sorts the nodes given into LIVE and ABSENT.
look_at() {
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

# Says what has become of the process in a pid file that is not the node's any more, and removes it.
drop_stale() {
    local pid now
    if [ ! -f "$(pid_file "$1")" ] || runs "$1"; then return 0; fi
    pid=$(recorded_pid "$1")
    now=$(command_of "${pid:-none}" | head -1)
    if [ -n "$now" ]; then
        say "node$1 had ended by itself; process $pid of its pid file is $now now, and left alone"
    else
        say "node$1 had ended by itself; \`./cluster.sh logs node$1\` may tell why"
    fi
    forget "$1"
}

# --- the folder -----------------------------------------------------------------------------------

# One at a time, or two could start the same node and lose sight of one of them. What lies in a
# folder that is not a cluster's is never written over or removed.
take_lock() {
    if [ -e "$DIR" ] && [ ! -e "$MARK" ] && [ -n "$(ls -A "$DIR")" ]; then
        die "$DIR is not a folder of a cluster; set CLUSTER_DIR to another one"
    fi
    mkdir -p "$DIR"/{config,logs,pids,data} ||
        die "cannot write to $DIR; set CLUSTER_DIR to a folder of yours"
    exec 9>>"$MARK"
    flock -n 9 || die "another cluster.sh works on this cluster; try again when it is done"
    load_layout
}

# write_config K N BASE
write_config() {
    local i peers=""
    for ((i = 1; i <= $2; i++)); do
        [ "$i" -eq "$1" ] || peers+="${peers:+, }\"http://127.0.0.1:$(($3 + i - 1))\""
    done
    cat >"$(config_of "$1")" <<EOT
# Written by \`cluster.sh start\`, which may do so again. Settings of your own go into
# config.d/*.toml beside this file, for all nodes.
[server]
node_id = "node$1"
listen_addr = "127.0.0.1:$(($3 + $1 - 1))"

[cluster]
enabled = true
cluster_id = "local-$3"
peers = [$peers]
health_interval_secs = 1 # who plays with clusters does not want to wait
EOT
}

# write_layout N BASE
write_layout() {
    local k
    rm -f "$DIR"/config/node[1-9].toml
    for ((k = 1; k <= $1; k++)); do write_config "$k" "$@"; done
    load_layout
}

# --- ports ----------------------------------------------------------------------------------------

# Prints the socket that listens on a port of the loopback address; false when none does.
listener_on() {
    local tables=(/proc/net/tcp)
    [ ! -r /proc/net/tcp6 ] || tables+=(/proc/net/tcp6)
    awk -v port="$(printf %04X "$1")" '
        $4 == "0A" && $2 ~ ":" port "$" && $2 ~ /^(0100007F|0+|0+FFFF00000100007F):/ {
            print $10; found = 1; exit
        }
        END { exit !found }' "${tables[@]}"
}

# Whose socket it is, as far as this user may see.
owner_of() {
    local pid
    pid=$(find /proc/[0-9]*/fd -lname "socket:\[$1\]" 2>/dev/null | cut -d/ -f3 | head -1 || true)
    [ -z "$pid" ] || echo "process $pid, $(command_of "$pid" | head -1)"
}

# A node that was killed a moment ago may still hold its port.
check_port() {
    local tries socket owner
    for ((tries = 0; tries < 20; tries++)); do
        socket=$(listener_on "${PORTS[$1]}") || return 0
        sleep 0.05
    done
    owner=$(owner_of "$socket")
    die "port ${PORTS[$1]}, which node$1 needs, is taken" \
        "by ${owner:-a process that this user cannot see};" \
        "end that, or take other ports: \`./cluster.sh start $COUNT BASE_PORT\`"
}

# --- starting -------------------------------------------------------------------------------------

need_binary() {
    command -v curl >/dev/null || die "curl is missing; install it: sudo apt-get install curl"
    if [ ! -f "$BINARY" ] || [ ! -x "$BINARY" ]; then
        die "there is no program $BINARY; run \`make\`${ARTEMIS_BINARY:+, or unset ARTEMIS_BINARY}"
    fi
}

# The child writes its own pid, and holds the lock, until it becomes the node, so none is ever lost,
# whenever this script is interrupted; and has its own session, out of the reach of Ctrl-C.
spawn() {
    local command=("$BINARY" server --config "$(config_of "$1")") key
    printf '%s\n' "${command[@]}" >"$(command_file "$1")"
    (
        # The environment wins over the file, and would make all nodes the same one.
        for key in SERVER_{NODE_ID,LISTEN_ADDR} \
            CLUSTER_{ENABLED,CLUSTER_ID,PEERS,PROVIDER,ADVERTISE_ADDR}; do
            unset "ARTEMIS_$key"
        done
        mkdir -p "$DIR/data/node$1"
        cd "$DIR/data/node$1"
        echo "$BASHPID" >"$(pid_file "$1")"
        exec setsid "${command[@]}" 9>&-
    ) </dev/null >>"$(log_of "$1")" 2>&1 &
    until runs "$1" || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
}

ask() { curl -q -s --noproxy '*' --max-time 2 "$@"; }

# Whether the node itself says so, and no other that has its port.
is_ready() {
    ask -f -D - -o /dev/null "$(url_of "$1")/ready" | awk -v node="node$1" '
        tolower($1) == "x-artemis-node:" { sub(/\r$/, ""); is = $2 == node }
        END { exit !is }'
}

# give_up WHAT K...
give_up() {
    local k what=$1
    shift
    for k in "$@"; do
        say "node$k $what; the last lines of $(log_of "$k"):"
        tail -n "$LAST_LINES" "$(log_of "$k")" | sed "s/^/  node$k | /" >&2
    done
    die "see what there is by \`./cluster.sh status\`, and end it by \`./cluster.sh stop\`"
}

# progress WHAT SECS: a line every 2 s, by the caller's clocks.
progress() {
    [ $((SECONDS - said)) -ge 2 ] || return 0
    said=$SECONDS
    say "waiting for $1, $((SECONDS - started)) of $2 s"
}

# await_ready K...
await_ready() {
    local k started=$SECONDS said=$SECONDS waiting=("$@") still
    while :; do
        still=()
        for k in "${waiting[@]}"; do
            runs "$k" || give_up "has ended during its start" "$k"
            is_ready "$k" || still+=("$k")
        done
        waiting=("${still[@]}")
        [ ${#waiting[@]} -gt 0 ] || return 0
        [ $((SECONDS - started)) -lt "$START_SECS" ] || break
        progress "$(names "${waiting[@]}")" "$START_SECS"
        sleep 0.1
    done
    give_up "is not ready after $START_SECS s" "${waiting[@]}"
}

# Until the nodes that run have heard each other, a second or so: what is registered before that
# reaches the others late. No condition of being ready, so it may as well fail.
await_company() {
    local k heard deadline=$((SECONDS + 5))
    look_at "${NODES[@]}"
    for k in "${LIVE[@]}"; do
        while [ "$SECONDS" -lt "$deadline" ]; do
            heard=$(ask "$(url_of "$k")/api/status/cluster" | grep -o '"health":"up"' || true)
            [ "$(wc -w <<<"$heard")" -lt $((${#LIVE[@]} - 1)) ] || break
            sleep 0.1
        done
    done
}

on_interrupt() {
    say "interrupted; what was started goes on: \`./cluster.sh status\` shows it, \`stop\` ends it"
    exit 130
}

# launch K...: starts these, and returns when they are ready. Gives up the lock.
launch() {
    local k
    trap on_interrupt INT TERM
    for k in "$@"; do
        drop_stale "$k"
        check_port "$k"
    done
    for k in "$@"; do spawn "$k"; done
    exec 9>&-
    await_ready "$@"
    await_company
    for k in "$@"; do echo "node$k is ready: $(url_of "$k"), process $(recorded_pid "$k")"; done
}

cmd_start() {
    local n=3 base=8080
    look_at "${NODES[@]}"
    # Without arguments, the cluster that runs is meant.
    [ ${#LIVE[@]} -eq 0 ] || n=$COUNT base=${PORTS[1]}
    n=${1-$n} base=${2-$base}
    need_number "the number of nodes" "$n" 1 9 "./cluster.sh start 3"
    need_number "the base port" "$base" 1 $((65536 - 10#$n)) "./cluster.sh start $n 8080"
    n=$((10#$n)) base=$((10#$base))
    need_binary
    take_lock
    look_at "${NODES[@]}"
    if [ ${#LIVE[@]} -gt 0 ]; then
        [ "$n $base" = "$COUNT ${PORTS[1]}" ] ||
            die "a cluster of $COUNT from port ${PORTS[1]} on runs already" \
                "($(names "${LIVE[@]}")); end it first: \`./cluster.sh stop\`"
        [ ${#ABSENT[@]} -gt 0 ] ||
            die "$(names "${LIVE[@]}") $(are "$n" runs run) already;" \
                "see \`./cluster.sh status\`, or use \`./cluster.sh restart\`"
        echo "$(names "${LIVE[@]}") $(are ${#LIVE[@]} runs run) already;" \
            "starting only $(names "${ABSENT[@]}")"
    else
        write_layout "$n" "$base"
        ABSENT=("${NODES[@]}")
    fi
    launch "${ABSENT[@]}"
    await_ready "${NODES[@]}"
}

# --- ending ---------------------------------------------------------------------------------------

# signal_node SIGNAL K: gladly also one that does not run.
signal_node() {
    local pid
    if pid=$(pid_of "$2"); then kill -s "$1" "$pid" 2>/dev/null || true; fi
}

# await_end SECS K...: LIVE are those that still run after that.
await_end() {
    local started=$SECONDS said=$SECONDS secs=$1
    shift
    while look_at "$@" && [ ${#LIVE[@]} -gt 0 ] && [ $((SECONDS - started)) -lt "$secs" ]; do
        progress "the end of $(names "${LIVE[@]}")" "$secs"
        sleep 0.05
    done
}

# force K...: by SIGKILL.
force() {
    local k
    for k in "$@"; do signal_node KILL "$k"; done
    await_end 10 "$@"
    [ ${#LIVE[@]} -eq 0 ] ||
        die "$(names "${LIVE[@]}") cannot be killed: a debugger or the kernel holds it; try again"
    forget "$@"
}

# end K...: in good order, or else by force.
end() {
    local k
    for k in "$@"; do signal_node TERM "$k"; done
    await_end "$STOP_SECS" "$@"
    if [ ${#LIVE[@]} -gt 0 ]; then
        say "$(names "${LIVE[@]}") did not end within $STOP_SECS s and had to be killed"
        force "${LIVE[@]}"
    fi
    forget "$@"
}

cmd_stop() {
    local k live
    [ "$COUNT" -gt 0 ] || { echo "there is no cluster here; nothing to stop" && return; }
    take_lock
    for k in "${NODES[@]}"; do drop_stale "$k"; done
    look_at "${NODES[@]}"
    live=("${LIVE[@]}")
    if [ ${#live[@]} -eq 0 ]; then
        echo "no node runs; nothing to stop"
    else
        end "${live[@]}"
        echo "$(names "${live[@]}") $(are ${#live[@]} has have) ended"
    fi
}

cmd_kill() {
    local pid
    [ $# -gt 0 ] || wrong "kill which node? try \`./cluster.sh kill node2\`"
    need_cluster
    read_node "$1"
    take_lock
    drop_stale "$NODE"
    if pid=$(pid_of "$NODE"); then
        force "$NODE"
        echo "node$NODE, process $pid, is killed; \`./cluster.sh start\` brings it back"
    else
        echo "node$NODE does not run; nothing to kill"
    fi
}

cmd_restart() {
    local k
    need_cluster
    need_binary
    [ $# -eq 0 ] || { read_node "$1" && set -- "$NODE"; }
    [ $# -eq 1 ] || set -- "${NODES[@]}"
    for k in "$@"; do
        take_lock
        drop_stale "$k"
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

# --- looking --------------------------------------------------------------------------------------

# A node that runs and refuses connections starts, or leaves. Its log knows which.
unheard_state() {
    tail -n 200 "$(log_of "$1")" 2>/dev/null | awk '
        /^Loading configuration/ { state = "starting" }
        /draining signal=/ { state = "draining" }
        END { print state ? state : "starting" }'
}

# lag_to K ANSWER: how far a peer is behind, in ms, or why that is unknown.
lag_to() {
    local url
    url=$(url_of "$1")
    if ! [[ $2 =~ \"url\":\""$url"\",\"health\":\"([a-z]+)\"[^}]*\"lag_ms\":([0-9]+) ]]; then
        echo -
    elif [ "${BASH_REMATCH[1]}" != up ]; then
        echo "${BASH_REMATCH[1]}"
    else
        echo "${BASH_REMATCH[2]}"
    fi
}

# status_row K FILE: the file is what the node answered, or curl's exit code.
status_row() {
    local k pid state=down instances=- answer="" row
    if pid=$(pid_of "$1"); then
        answer=$(<"$2")
        if [[ $answer == *"\"node_id\":\"node$1\""* ]] &&
            [[ $answer =~ \"state\":\"([a-z]+)\".*\"instances\":([0-9]+),\"services\" ]]; then
            state=${BASH_REMATCH[1]} instances=${BASH_REMATCH[2]}
        elif [ "$answer" = 28 ]; then
            state=silent
        else
            state=$(unheard_state "$1")
        fi
    fi
    row=node$1$'\t'${pid:--}$'\t'${PORTS[$1]}$'\t'$state$'\t'$instances
    for k in "${NODES[@]}"; do
        if [ "$k" -eq "$1" ]; then row+=$'\t.'; else row+=$'\t'$(lag_to "$k" "$answer"); fi
    done
    echo "$row"
}

# Columns by tabs from stdin, each as wide as it must be: 9 nodes fit 80 characters.
print_table() {
    awk -F'\t' '
        { for (i = 1; i <= NF; i++) if (length(cell[NR, i] = $i) > wide[i]) wide[i] = length($i) }
        END {
            for (row = 1; row <= NR; row++)
                for (i = 1; i <= NF; i++)
                    printf "%" (i == 1 || i == 4 ? "-" : "") wide[i] "s%s", cell[row, i], \
                        i == NF ? "\n" : i < 6 ? "  " : " "
        }'
}

cmd_status() {
    local k work rows=$'NODE\tPID\tPORT\tSTATE\tINSTANCES' ready=0
    need_cluster
    work=$(mktemp -d)
    for k in "${NODES[@]}"; do # all at a time: a silent one takes 2 s
        { ask "$(url_of "$k")/api/status/cluster" >"$work/$k" || echo $? >"$work/$k"; } &
        rows+=$'\t'to$k
    done
    wait
    for k in "${NODES[@]}"; do rows+=$'\n'$(status_row "$k" "$work/$k"); done
    rm -rf "$work"
    print_table <<<"$rows"
    ready=$(grep -c $'\tready\t' <<<"$rows" || true)
    echo "$ready of $COUNT ready; to1, to2 ...: how far that node is behind this one, in ms"
    [ "$ready" -eq "$COUNT" ]
}

# Lines behind their node's name; tail -v names the file whenever it changes.
name_lines() {
    local line name=""
    while IFS= read -r line; do
        if [[ $line =~ ^'==> '.*/(node[1-9])\.log' <=='$ ]]; then
            name=${BASH_REMATCH[1]}
        elif [ -n "$line" ]; then
            printf '%s | %s\n' "$name" "$line"
        fi
    done
}

cmd_logs() {
    local argument how=(-n +1) files=("$DIR"/logs/node[1-"$COUNT"].log) one=""
    need_cluster
    for argument in "$@"; do
        if [ "$argument" = -f ]; then
            how=(-n "$LAST_LINES" --pid=$$ -F)
        else
            [ -z "$one" ] || wrong "logs takes one node or all; see \`./cluster.sh help\`"
            read_node "$argument"
            one=$NODE files=("$(log_of "$NODE")")
        fi
    done
    if [ -n "$one" ]; then
        tail "${how[@]}" "${files[@]}"
    else
        tail -v "${how[@]}" "${files[@]}" | name_lines
    fi
}

# --- main -----------------------------------------------------------------------------------------

main() {
    local verb=${1:-}
    set -- "${@:2}"
    case $verb in
    help | -h | --help) usage && exit ;;
    '') usage >&2 && exit 2 ;;
    stop | status | clean) at_most 0 $# ;;
    restart | kill) at_most 1 $# ;;
    start | logs) at_most 2 $# ;;
    *) wrong "there is no command '$verb'; \`./cluster.sh help\` lists them" ;;
    esac
    need_number CLUSTER_START_SECS "$START_SECS" 1 3600 "CLUSTER_START_SECS=30"
    need_number CLUSTER_STOP_SECS "$STOP_SECS" 1 3600 "CLUSTER_STOP_SECS=45"
    load_layout
    "cmd_$verb" "$@"
}

main "$@"

# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# nodes.sh - five nodes, and the clients of each. To be sourced by chaos.sh.
#
# What the clients want to be registered stands in $WORK/wanted.N, for the clients whose home is node
# N: a line `ID GENERATION` for each instance. A loop beside each node renews them all once a second in
# one call, through its home, or the next nodes when that does not answer; who is told
# `instance-not-found` registers again, as any client does. Loops and changes of what is wanted
# exclude each other by $WORK/lock.N.

declare -A NODE_PID LOOP_PID
NEXT_ID=100

# --- nodes ----------------------------------------------------------------------------------------------
# start_node N [COMMAND...]: with `env` and variables before it, where a scenario needs them.
start_node() {
    local n=$1 peers="" other
    for other in $NODES; do peers+=",$(address "$other"):8080"; done
    # Not through a function: the process that is started must be the node itself.
    ip netns exec "$NS-$n" "${@:2}" "$BINARY" server --addr "$(address "$n"):8080" --set "server.node_id=n$n" \
        --set server.threads=2 --set cluster.enabled=true --set "cluster.peers=${peers#,}" \
        --set "lease.ttl_secs=$TTL_SECS" --set "replication.timeout_secs=2" \
        --set "replication.anti_entropy_secs=$COMPARE_SECS" >>"$WORK/log.$n" 2>&1 </dev/null &
    NODE_PID[$n]=$!
}

# kill_node N: without a warning.
kill_node() {
    kill -KILL "${NODE_PID[$1]}" || violated "n$1 had ended by itself"
    { wait "${NODE_PID[$1]}"; } 2>/dev/null
    unset "NODE_PID[$1]"
}

is_ready() { ask "$1" /ready -f -o /dev/null; }

# ask N PATH [CURL-OPTION...]: node N from beside it, so that no cut is between.
ask() {
    on "$1" curl -s -m 2 "${@:3}" "http://$(address "$1"):8080$2"
}

wait_ready() { # N SECS
    local deadline=$(($(now_ms) + $2 * 1000))
    until is_ready "$1"; do
        [ "$(now_ms)" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}

# --- what clients say -----------------------------------------------------------------------------------
# The body of a call, from `ID GENERATION` lines: instances (whole) or instance_keys.
body_of() { # KIND
    awk -v kind="$1" '
        { printf "%s{\"region_id\":\"local\",\"zone_id\":\"zone1\",\"service_id\":\"s%d\",\"instance_id\":\"i%d\"",
            NR == 1 ? "{\"" kind "\":[" : ",", $1 % 4, $1
          if (kind == "instances")
              printf ",\"ip\":\"10.1.0.1\",\"port\":%d,\"metadata\":{\"generation\":\"%d\"}", 1000 + $1, $2
          printf "}" }
        END { print "]}" }'
}

# say FROM TO VERB KIND: the lines on stdin, from beside node FROM to node TO; prints the answer.
say() {
    body_of "$4" | on "$1" curl -s -f -m 1 -H 'Content-Type: application/json' -d @- \
        "http://$(address "$2"):8080/api/registry/$3"
}

# said_well FROM TO VERB KIND: and every line was taken.
said_well() {
    local answer
    answer=$(say "$@") && [[ $answer == *'"error_code":"success"'* ]] && return 0
    violated "$3 at n$2 was answered: ${answer:-nothing}"
    return 1
}

# --- what clients want ------------------------------------------------------------------------------------
locked() { # N COMMAND...
    local n=$1
    {
        flock 9
        "${@:2}"
    } 9>"$WORK/lock.$n"
}

put_wanted() { # N; the new lines on stdin
    cat >"$WORK/new.$1" && mv "$WORK/new.$1" "$WORK/wanted.$1"
}

do_join() { # N ID...
    local lines
    lines=$(printf '%s 1\n' "${@:2}")
    cat "$WORK/wanted.$1" - <<<"$lines" | put_wanted "$1"
    said_well "$1" "$1" register instances <<<"$lines"
}

do_leave() { # N ID...
    local id
    for id in "${@:2}"; do
        grep -v "^$id " "$WORK/wanted.$1" | put_wanted "$1"
        echo "$id $(date -u +%FT%T.%3NZ)" >>"$WORK/gone"
    done
    printf '%s 0\n' "${@:2}" | said_well "$1" "$1" unregister instance_keys
}

do_change() { # N ID
    awk -v id="$2" '$1 == id { $2++ } { print }' "$WORK/wanted.$1" | put_wanted "$1"
    grep "^$2 " "$WORK/wanted.$1" | said_well "$1" "$1" register instances
}

do_take() { # N LINE
    cat "$WORK/wanted.$1" - <<<"$2" | put_wanted "$1"
}

do_drop() { # N ID
    grep -v "^$2 " "$WORK/wanted.$1" | put_wanted "$1"
}

# join N COUNT: new instances at node N.
join() {
    local ids
    mapfile -t ids < <(seq "$NEXT_ID" $((NEXT_ID + $2 - 1)))
    NEXT_ID=$((NEXT_ID + $2))
    locked "$1" do_join "$1" "${ids[@]}"
}

# first_of N, last_of N: an instance whose home is N; the first is the oldest there.
first_of() { awk 'NR == 1 { print $1 }' "$WORK/wanted.$1"; }
last_of() { awk 'END { print $1 }' "$WORK/wanted.$1"; }

leave() { locked "$1" do_leave "$@"; }  # N ID...
change() { locked "$1" do_change "$@"; } # N ID

# move FROM TO ID: its client turns to another home, and says nothing yet.
move() {
    local line
    line=$(grep "^$3 " "$WORK/wanted.$1")
    locked "$1" do_drop "$1" "$3"
    locked "$2" do_take "$2" "$line"
}

# come_and_go N: the newest leaves, one changes, one joins.
come_and_go() {
    leave "$1" "$(last_of "$1")" && change "$1" "$(last_of "$1")" && join "$1" 1
}

# --- the loops ----------------------------------------------------------------------------------------------
register_again() { # FROM TO ANSWER
    local ids
    ids=$(jq -r '.failed_instance_keys[]?.instance_id | ltrimstr("i")' <<<"$3")
    [ -n "$ids" ] || return 0
    sed "s/^/$(date +%T) n$2 i/" <<<"$ids" >>"$WORK/refused"
    awk 'NR == FNR { lost[$1]; next } $1 in lost' <(echo "$ids") "$WORK/wanted.$1" |
        say "$1" "$2" register instances >/dev/null
}

renew() { # N
    local home=$1 to tries answer
    [ -s "$WORK/wanted.$home" ] || return 0
    for tries in 0 1 2; do
        to=$(((home + tries - 1) % 5 + 1))
        if answer=$(say "$home" "$to" heartbeat instance_keys <"$WORK/wanted.$home"); then
            register_again "$home" "$to" "$answer"
            return
        fi
    done
}

# renew_all N SECS: ends by itself.
renew_all() {
    local end=$((SECONDS + $2))
    trap - EXIT
    while [ "$SECONDS" -lt "$end" ]; do
        locked "$1" renew "$1"
        sleep 0.9
    done
}

start_clients() { # SECS
    local n
    : >"$WORK/gone"
    : >"$WORK/refused"
    for n in $NODES; do
        : >"$WORK/wanted.$n"
        renew_all "$n" "$1" &
        LOOP_PID[$n]=$!
    done
}

# --- the end --------------------------------------------------------------------------------------------------
end_all() {
    local n
    for n in "${!LOOP_PID[@]}"; do kill "${LOOP_PID[$n]}" 2>/dev/null; done
    for n in "${!NODE_PID[@]}"; do kill -KILL "${NODE_PID[$n]}" 2>/dev/null; done
    { wait; } 2>/dev/null
    LOOP_PID=() NODE_PID=()
}

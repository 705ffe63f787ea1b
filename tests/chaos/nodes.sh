# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# nodes.sh - five nodes and the clients of each. chaos.sh sources it.
#
# $WORK/wanted.N lists the instances that the clients of node N keep registered: one line `ID GENERATION`
# for each. A loop beside each node renews them once a second in one call, through node N, or through the
# next nodes when that one does not respond. Instances that get `instance-not-found` are registered again,
# as any client does. $WORK/lock.N serialises the loop and the changes of the list.

declare -A NODE_PID LOOP_PID
declare -A REGION # of a node that has another one than "local"
NEXT_ID=100
TOKEN_SETTINGS=() # of each node
TOKEN_FIELD=()    # for curl

# use_tokens: nodes and clients need tokens from now on.
use_tokens() {
    "$BINARY" token new peers --role peer --secret-file "$WORK/peer.token" >"$WORK/tokens.toml" &&
        "$BINARY" token new clients --role admin --secret-file "$WORK/client.token" >>"$WORK/tokens.toml" || exit 1
    TOKEN_SETTINGS=(--config "$WORK/tokens.toml" --set "cluster.token_file=$WORK/peer.token")
    TOKEN_FIELD=(-H "Authorization: Bearer $(cat "$WORK/client.token")")
}

# --- nodes ----------------------------------------------------------------------------------------------
# start_node N [COMMAND...]: COMMAND, like `env NAME=value`, runs the binary.
start_node() {
    local n=$1 peers="" other
    for other in $NODES; do peers+=",$(peer_url "$other")"; done
    node_settings "$n"
    # Not through the function `on`: the background process must be the node itself.
    ip netns exec "$NS-$n" "${@:2}" "$BINARY" server --addr "$(address "$n"):8080" --set "server.node_id=n$n" --set "server.region=${REGION[$n]:-local}" \
        --set server.allow_insecure=true --set server.threads=2 --set cluster.enabled=true --set "cluster.bootstrap_grace_secs=$GRACE_SECS" \
        --set "cluster.peers=${peers#,}" --set "lease.ttl_secs=$TTL_SECS" --set "replication.timeout_secs=2" \
        --set "replication.anti_entropy_secs=$COMPARE_SECS" "${TOKEN_SETTINGS[@]}" "${NODE_SETTINGS[@]}" >>"$WORK/log.$n" 2>&1 </dev/null &
    NODE_PID[$n]=$!
}

# kill_node N: by SIGKILL.
kill_node() {
    kill -KILL "${NODE_PID[$1]}" || violated "n$1 had ended early"
    { wait "${NODE_PID[$1]}"; } 2>/dev/null
    unset "NODE_PID[$1]"
}

is_ready() { ask "$1" /ready -f -o /dev/null; }

# ask N PATH [CURL-OPTION...]: a request to node N from its own namespace, unaffected by faults.
ask() {
    on "$1" curl -s -m 2 "${TOKEN_FIELD[@]}" "${@:3}" "http://$(address "$1"):8080$2"
}

wait_ready() { # N SECS
    local deadline=$(($(now_ms) + $2 * 1000))
    until is_ready "$1"; do
        [ "$(now_ms)" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}

# --- calls -----------------------------------------------------------------------------------
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

# call FROM TO VERB KIND: sends the lines on stdin from the namespace of FROM to node TO; prints the
# response.
call() {
    body_of "$4" | on "$1" curl -s -f -m 1 "${TOKEN_FIELD[@]}" -H 'Content-Type: application/json' -d @- \
        "http://$(address "$2"):8080/api/registry/$3"
}

# call_ok FROM TO VERB KIND: as call; fails unless every line was accepted.
call_ok() {
    local response
    response=$(call "$@") && [[ $response == *'"error_code":"success"'* ]] && return 0
    violated "$3 at n$2 got the response: ${response:-none}"
    return 1
}

# --- wanted instances ------------------------------------------------------------------------------------
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
    call_ok "$1" "$1" register instances <<<"$lines"
}

do_leave() { # N ID...
    local id
    for id in "${@:2}"; do
        grep -v "^$id " "$WORK/wanted.$1" | put_wanted "$1"
        echo "$id $(date -u +%FT%T.%3NZ)" >>"$WORK/gone"
    done
    printf '%s 0\n' "${@:2}" | call_ok "$1" "$1" unregister instance_keys
}

do_change() { # N ID
    awk -v id="$2" '$1 == id { $2++ } { print }' "$WORK/wanted.$1" | put_wanted "$1"
    grep "^$2 " "$WORK/wanted.$1" | call_ok "$1" "$1" register instances
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

# first_of N, last_of N: the oldest and the newest instance of node N's clients.
first_of() { awk 'NR == 1 { print $1 }' "$WORK/wanted.$1"; }
last_of() { awk 'END { print $1 }' "$WORK/wanted.$1"; }

leave() { locked "$1" do_leave "$@"; }  # N ID...
change() { locked "$1" do_change "$@"; } # N ID

# move FROM TO ID: the client of this instance uses node TO from now on; it sends nothing yet.
move() {
    local line
    line=$(grep "^$3 " "$WORK/wanted.$1")
    locked "$1" do_drop "$1" "$3"
    locked "$2" do_take "$2" "$line"
}

# make_changes N: unregisters the newest instance, changes one and registers one.
make_changes() {
    leave "$1" "$(last_of "$1")" && change "$1" "$(last_of "$1")" && join "$1" 1
}

# --- heartbeat loops ----------------------------------------------------------------------------------------------
register_again() { # FROM TO RESPONSE
    local ids
    ids=$(jq -r '.failed_instance_keys[]?.instance_id | ltrimstr("i")' <<<"$3")
    [ -n "$ids" ] || return 0
    sed "s/^/$(date +%T) n$2 i/" <<<"$ids" >>"$WORK/refused"
    awk 'NR == FNR { lost[$1]; next } $1 in lost' <(echo "$ids") "$WORK/wanted.$1" |
        call "$1" "$2" register instances >/dev/null
}

renew() { # N
    local home=$1 to tries response
    [ -s "$WORK/wanted.$home" ] || return 0
    for tries in 0 1 2; do
        to=$(((home + tries - 1) % 5 + 1))
        if response=$(call "$home" "$to" heartbeat instance_keys <"$WORK/wanted.$home"); then
            register_again "$home" "$to" "$response"
            return
        fi
    done
}

# renew_all N SECS: renews for this long.
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

# --- end --------------------------------------------------------------------------------------------------
end_all() {
    local n
    for n in "${!LOOP_PID[@]}"; do kill "${LOOP_PID[$n]}" 2>/dev/null; done
    for n in "${!NODE_PID[@]}"; do kill -KILL "${NODE_PID[$n]}" 2>/dev/null; done
    { wait; } 2>/dev/null
    LOOP_PID=() NODE_PID=()
}

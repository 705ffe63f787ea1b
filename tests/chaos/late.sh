# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# late.sh - the scenarios in which a node is stopped while calls wait in its sockets. chaos.sh sources it.

# A client's registration is in the socket of a node that is paused. Meanwhile the client registers newer
# content at another node. Its connection stays open, as behind a proxy.
queued_write_scenario() {
    local id line late continued
    id=$(first_of 1)
    line=$(grep "^$id " "$WORK/wanted.1")
    kill -STOP "${NODE_PID[2]}"
    cannot_reach 1 2
    body_of instances <<<"${line% *} 99" | on 1 curl -s -m 60 "${TOKEN_FIELD[@]}" -o "$WORK/late" -w '%{http_code}' \
        -H 'Content-Type: application/json' -d @- "http://$(address 2):8080/api/registry/register" >"$WORK/late.status" &
    late=$!
    sleep "$TTL_SECS"
    change 1 "$id"
    continued=$(now_ms)
    kill -CONT "${NODE_PID[2]}"
    wait "$late"
    [ "$(cat "$WORK/late.status")" = 503 ] || violated "the queued registration got $(cat "$WORK/late.status"): $(cat "$WORK/late")"
    agree_within $SOON_SECS "$continued" "after n2 continued"
    no_evictions
    returns_nothing $NODES
    REPORT=$AGREED
}

# A client dies while a node is paused with its renewal in the socket. The renewal counts from when it was
# sent: the instance stays evicted when the node continues.
late_renewal_scenario() {
    local id n continued
    id=$NEXT_ID
    join 1 1
    agree_within $SOON_SECS "$(now_ms)" "before n2 is paused"
    kill -STOP "${NODE_PID[2]}"
    cannot_reach 1 2
    sleep 1.5 # a renewal is sent once a second
    locked 1 do_drop 1 "$id"
    sleep $((TTL_SECS + 2))
    for n in 1 3 4 5; do lacks "$n" "$id"; done
    continued=$(now_ms)
    kill -CONT "${NODE_PID[2]}"
    wait_ready 2 $SOON_SECS || violated "n2 is not ready again"
    hold $TTL_SECS all_lack "$id"
    agree_within $SOON_SECS "$(now_ms)" "after n2 continued"
    returns_nothing $NODES
    REPORT="the dead instance stayed evicted for $(seconds $(($(now_ms) - continued))), $AGREED"
}

lacks() { # N ID
    shown "$1" >"$WORK/shown.$1"
    grep -q "/i$2 " "$WORK/shown.$1" || return 0
    violated "n$1 shows i$2, whose client has died"
    return 1
}

all_lack() { # ID
    local n
    for n in $NODES; do lacks "$n" "$1" || return 1; done
}

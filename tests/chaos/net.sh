# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# net.sh - five namespaces, each joined by a veth pair to a bridge in a sixth, and what can go wrong
# with the links between them. To be sourced by chaos.sh.
#
# Node N has 10.77.0.N on its eth0; the other end is portN of the bridge. Nothing of it touches the
# network of the host.

NS="artemis-chaos-$$"
HUB="$NS-hub"
NOBODY=02:00:00:00:00:fe # a hardware address that no interface has
BRIDGED=""               # the namespaces that are there
WIRE_PID=0

address() { echo "10.77.0.$1"; }
hardware() { echo "02:00:00:4d:00:0$1"; }
# on N COMMAND...: in the namespace of node N.
on() { ip netns exec "$NS-$1" "${@:2}"; }

add_namespace() {
    ip netns add "$1" && BRIDGED+=" $1" && ip -n "$1" link set lo up
}

join_bridge() {
    local n=$1 name=$NS-$1
    add_namespace "$name" &&
        ip -n "$name" link add eth0 address "$(hardware "$n")" type veth peer name "port$n" netns "$HUB" &&
        ip -n "$name" address add "$(address "$n")/24" dev eth0 &&
        ip -n "$name" link set eth0 up &&
        ip -n "$HUB" link set "port$n" master bridge up
}

# All of it; what the machine does not allow is said on stderr, and the answer is no.
net_up() {
    local n
    add_namespace "$HUB" && ip -n "$HUB" link add bridge type bridge forward_delay 0 &&
        ip -n "$HUB" link set bridge up || return 1
    for n in $NODES; do join_bridge "$n" || return 1; done
}

# The processes in them have ended before.
net_down() {
    local name
    [ "$WIRE_PID" -eq 0 ] || kill "$WIRE_PID"
    for name in $BRIDGED; do ip netns del "$name" 2>/dev/null; done
    BRIDGED=""
}

# --- cuts -----------------------------------------------------------------------------------------------
# cut_way A B: what A sends to B is lost without a word, as A's frames go to a hardware address that
# nobody has. What B sends to A arrives. The table of neighbours is all that this needs.
cut_way() {
    ip -n "$NS-$1" neigh replace "$(address "$2")" lladdr "$NOBODY" nud permanent dev eth0
}

heal_way() {
    ip -n "$NS-$1" neigh replace "$(address "$2")" lladdr "$(hardware "$2")" nud reachable dev eth0
}

cut_link() { cut_way "$1" "$2" && cut_way "$2" "$1"; }
heal_link() { heal_way "$1" "$2" && heal_way "$2" "$1"; }

# isolate N, rejoin N: the plug of one node.
isolate() { ip -n "$HUB" link set "port$1" down; }
rejoin() { ip -n "$HUB" link set "port$1" up; }

# --- bad lines ------------------------------------------------------------------------------------------
# bad_lines DELAY_MS LOSS_PERCENT: `wire` takes the place of the bridge; good_lines: the bridge again.
bad_lines() {
    local n ports=()
    for n in $NODES; do
        ports+=("port$n")
        ip -n "$HUB" link set "port$n" nomaster || return 1
    done
    ip netns exec "$HUB" "$WIRE" "$1" "$2" "${ports[@]}" 2>"$WORK/log.wire" &
    WIRE_PID=$!
}

good_lines() {
    local n ended=0
    kill "$WIRE_PID" 2>/dev/null || ended=1
    { wait "$WIRE_PID"; } 2>/dev/null
    WIRE_PID=0
    for n in $NODES; do ip -n "$HUB" link set "port$n" master bridge; done
    [ "$ended" -eq 0 ] || violated "the bad line ended by itself: $(cat "$WORK/log.wire")"
}

# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# net.sh - five namespaces, each connected by a veth pair to a bridge in a sixth one, and the faults of
# their links. chaos.sh sources it.
#
# Node N has 10.77.0.N on its eth0; the other end is portN of the bridge. The network of the host is not
# touched.

NS="artemis-chaos-$$"
HUB="$NS-hub"
UNUSED_ADDRESS=02:00:00:00:00:fe # a hardware address that no interface has
BRIDGED=""                       # the namespaces that exist
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

# Creates everything. Fails with a message on stderr where the machine does not allow it.
net_up() {
    local n
    add_namespace "$HUB" && ip -n "$HUB" link add bridge type bridge forward_delay 0 &&
        ip -n "$HUB" link set bridge up || return 1
    for n in $NODES; do join_bridge "$n" || return 1; done
}

# Call it after the processes in the namespaces have ended.
net_down() {
    local name
    [ "$WIRE_PID" -eq 0 ] || kill "$WIRE_PID"
    for name in $BRIDGED; do ip netns del "$name" 2>/dev/null; done
    BRIDGED=""
}

# --- cuts -----------------------------------------------------------------------------------------------
# cut_way A B: drops what A sends to B: an entry in A's neighbour table directs its frames to a hardware
# address that no interface has. What B sends to A arrives.
cut_way() {
    ip -n "$NS-$1" neigh replace "$(address "$2")" lladdr "$UNUSED_ADDRESS" nud permanent dev eth0
}

restore_way() {
    ip -n "$NS-$1" neigh replace "$(address "$2")" lladdr "$(hardware "$2")" nud reachable dev eth0
}

cut_link() { cut_way "$1" "$2" && cut_way "$2" "$1"; }
restore_link() { restore_way "$1" "$2" && restore_way "$2" "$1"; }

# isolate N, rejoin N: takes the link of one node down and up.
isolate() { ip -n "$HUB" link set "port$1" down; }
rejoin() { ip -n "$HUB" link set "port$1" up; }

# --- delay and loss ------------------------------------------------------------------------------------------
# degrade_lines DELAY_MS LOSS_PERCENT: replaces the bridge by `wire`; restore_lines: uses the bridge again.
degrade_lines() {
    local n ports=()
    for n in $NODES; do
        ports+=("port$n")
        ip -n "$HUB" link set "port$n" nomaster || return 1
    done
    ip netns exec "$HUB" "$WIRE" "$1" "$2" "${ports[@]}" 2>"$WORK/log.wire" &
    WIRE_PID=$!
}

restore_lines() {
    local n
    end_wire
    for n in $NODES; do ip -n "$HUB" link set "port$n" master bridge; done
}

end_wire() {
    local ended=0
    kill "$WIRE_PID" 2>/dev/null || ended=1
    { wait "$WIRE_PID"; } 2>/dev/null
    WIRE_PID=0
    [ "$ended" -eq 0 ] || violated "wire ended early: $(cat "$WORK/log.wire")"
}

# --- regions ------------------------------------------------------------------------------------------------
# add_end NAME BRIDGE: a port of the bridge, whose other end is lineNAME.
add_end() {
    ip -n "$HUB" link add "end$1" type veth peer name "line$1" && ip -n "$HUB" link set "line$1" up &&
        ip -n "$HUB" link set "end$1" master "$2" up
}

# split_regions DELAY_MS N...: nodes N get a bridge of their own, which `wire` connects with the other one.
split_regions() {
    local n
    ip -n "$HUB" link add east type bridge forward_delay 0 && ip -n "$HUB" link set east up &&
        add_end 1 bridge && add_end 2 east || return 1
    for n in "${@:2}"; do ip -n "$HUB" link set "port$n" master east || return 1; done
    ip netns exec "$HUB" "$WIRE" "$1" 0 line1 line2 2>"$WORK/log.wire" &
    WIRE_PID=$!
}

cut_regions() { ip -n "$HUB" link set end1 down; }
restore_regions() { ip -n "$HUB" link set end1 up; }

# join_regions: all nodes are on one bridge again.
join_regions() {
    local n
    end_wire
    for n in $NODES; do ip -n "$HUB" link set "port$n" master bridge; done
    for n in end1 end2 east; do ip -n "$HUB" link del "$n"; done
}

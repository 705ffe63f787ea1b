# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# The provider static: cluster.peers, which each node reads again when the operator has changed it.
peers=""
settings() { echo "peers = [$peers]"; }
set_members() {
    local name
    peers=""
    for name; do peers+="\"$(peer_address "$name")\","; done
    for name in "${!urls[@]}"; do
        write_settings "$name"
        "$artemis" reload --server "${urls[$name]}" >/dev/null
    done
}

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# The provider etcd: nodes register in an etcd of one member.
free_port etcd_port
free_port etcd_peer_port
settings() { printf '[cluster.etcd]\nendpoints = ["127.0.0.1:%s"]\n' "$etcd_port"; }
start_server() {
    need etcd etcd-server
    start_program etcd etcd --name=m --data-dir="$work/etcd" --log-level=error --logger=zap \
        --listen-client-urls="http://127.0.0.1:$etcd_port" \
        --advertise-client-urls="http://127.0.0.1:$etcd_port" \
        --listen-peer-urls="http://127.0.0.1:$etcd_peer_port" \
        --initial-advertise-peer-urls="http://127.0.0.1:$etcd_peer_port" \
        --initial-cluster="m=http://127.0.0.1:$etcd_peer_port"
    until_true "etcd answers" bash -c ": </dev/tcp/127.0.0.1/$etcd_port"
}

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# The provider dns: one name with the addresses of all nodes, in a server of dnsmasq.
free_port dns_port
settings() {
    echo '[cluster.dns]'
    echo "names = [\"artemis.test:$peer_port\"]"
    echo "servers = [\"127.0.0.1:$dns_port\"]"
    echo 'max_interval_secs = 1'
}
start_server() {
    need dnsmasq dnsmasq-base
    : >"$work/hosts"
    start_program dns dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= \
        --user="$(id -un)" --port="$dns_port" --listen-address=127.0.0.1 --bind-interfaces --no-resolv \
        --no-hosts --local=/test/ --local-ttl=1 --addn-hosts="$work/hosts" --log-facility="$work/dns.log"
    until_true "dnsmasq answers" bash -c ": </dev/tcp/127.0.0.1/$dns_port"
}
set_members() {
    local name
    for name; do echo "${hosts[$name]} artemis.test"; done >"$work/hosts"
    kill -HUP "${pids[dns]}"
}

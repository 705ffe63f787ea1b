/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of settings, in the order in which they are shown.
 */
#include "artemis-core/config/config.h"

#include <assert.h>

#define ROW(section, name)                                                                         \
    .key = #section "." #name, .offset = offsetof(struct config, section.name)
#define NAME(section, name, preset)                                                                \
    ROW(section, name), .type = CONFIG_TEXT, .form = CONFIG_FORM_NAME, .default_value = preset
#define ADDRESS(section, name, lowest_port, preset)                                                \
    ROW(section, name), .type = CONFIG_TEXT, .form = CONFIG_FORM_ADDRESS, .min = lowest_port,      \
                        .max = 65535, .default_value = preset
#define OPTIONAL_ADDRESS(section, name, lowest_port)                                               \
    ROW(section, name), .type = CONFIG_TEXT, .form = CONFIG_FORM_OPTIONAL_ADDRESS,                 \
                        .min = lowest_port, .max = 65535, .default_value = "",                     \
                        .default_note = "none"
#define FILE_PATH(section, name)                                                                   \
    ROW(section, name), .type = CONFIG_TEXT, .form = CONFIG_FORM_PATH, .default_value = "",        \
                        .default_note = "none"
#define NUMBER(section, name, least, most, preset)                                                 \
    ROW(section, name), .type = CONFIG_NUMBER, .min = least, .max = most, .default_value = preset
#define SWITCH(section, name, preset)                                                              \
    ROW(section, name), .type = CONFIG_BOOL, .default_value = preset
#define CHOICE(section, name, words, preset)                                                       \
    ROW(section, name), .type = CONFIG_CHOICE, .choices = words, .default_value = preset

enum { DAY_SECS = 24 * 60 * 60 };

static const char *const providers[] = {"static", "dns",        "registry", "etcd",
                                        "consul", "kubernetes", NULL};
static const char *const casings[] = {"snake_case", "camelCase", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const formats[] = {"text", "json", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};

const struct config_setting config_settings[] = {
    {NAME(server, node_id, NULL), .default_note = "host name",
     .description = "Name of this node, unique in the cluster."},
    {ADDRESS(server, listen_addr, 0, "127.0.0.1:8080"),
     .description = "Address and port on which the server listens; port 0 picks a free port."},
    {OPTIONAL_ADDRESS(server, tls_listen_addr, 0),
     .description = "Address and port on which the server listens for clients with TLS, beside "
                    "`server.listen_addr`; needs `tls.cert` and `tls.key`."},
    {SWITCH(server, allow_insecure, "false"),
     .description = "Whether the node starts although a listener on an address other than loopback "
                    "requires neither tokens nor client certificates. Everyone who reaches such a "
                    "listener may change the registry; each start logs a warning. If false, the "
                    "node does not start."},
    {NAME(server, region, "local"),
     .description = "Region of this node, which `artemis register` gives to instances by default. "
                    "Peers of another region are remote (`cluster.remote`)."},
    {NAME(server, zone, "zone1"),
     .description = "Zone of this node, which `artemis register` gives to instances by default."},
    {NUMBER(server, threads, 1, 256, NULL), .default_note = "number of cores",
     .description = "Number of threads that serve requests; a node with a listener for TLS has as "
                    "many more for it."},
    {ROW(server, max_body_bytes), .type = CONFIG_SIZE, .min = 1 << 10, .max = 1 << 30,
     .default_value = "4 MiB",
     .description = "Maximum size of a request body; a larger one is rejected with 413."},
    {NUMBER(server, max_connections, 16, 1000000, "10000"),
     .description = "Maximum number of open connections. Beyond it an idle one is closed, or the "
                    "new one is refused."},
    {NUMBER(server, max_connections_per_address, 0, 1000000, "0"),
     .default_note = "80 % of max_connections",
     .description = "Maximum number of open connections of one address (IPv6: a /64). At the limit "
                    "a new one closes one of them that is idle, or is refused. 0 means 80 % of "
                    "server.max_connections, and no limit for loopback."},
    {CHOICE(server, default_casing, casings, "snake_case"),
     .description = "Casing of a response if no name in the request has a casing, as in "
                    "`GET /api/discovery/services`. Otherwise a response has the casing of its "
                    "request."},

    {SWITCH(cluster, enabled, "false"),
     .description =
         "Whether this node replicates with peers. If false, it calls no peer and opens no "
         "listener for peers; `cluster_id`, `advertise_addr`, `bootstrap_grace_secs` (for Java "
         "clients) and `max_clock_skew_secs` (for restored records) still have an effect."},
    {NAME(cluster, cluster_id, "artemis"),
     .description = "Name of the cluster; a node with another name is rejected as a peer."},
    {ROW(cluster, token), .type = CONFIG_TEXT, .form = CONFIG_FORM_SECRET, .default_value = "",
     .default_note = "none is sent", .secret = true,
     .description = "Secret of a `peer` token that this node sends to its peers."},
    {ROW(cluster, token_file), .type = CONFIG_TEXT, .form = CONFIG_FORM_PATH, .default_value = "",
     .default_note = "none",
     .description = "File with that secret, instead of `cluster.token`; read at the start."},
    {ROW(cluster, peers), .type = CONFIG_LIST, .form = CONFIG_FORM_PEER, .min = 1, .max = 65535,
     .default_value = "", .default_note = "none", .reloadable = true,
     .description = "Addresses of the other nodes. This node skips its own address."},
    {ROW(cluster, provider), .type = CONFIG_LIST, .form = CONFIG_FORM_WORD, .choices = providers,
     .default_value = "static",
     .description =
         "Sources of the list of nodes, one word or a list of them; a node that one of "
         "them finds is a member. `static`: `cluster.peers`. `dns`: `cluster.dns.names`. "
         "`registry`: `cluster.seeds`, and the nodes that have registered there. `etcd`: the "
         "nodes that have registered at `cluster.etcd.endpoints`. `consul`: the nodes that have "
         "registered in Consul. `kubernetes`: the pods of `cluster.kubernetes.service`."},
    {ROW(cluster, seeds), .type = CONFIG_LIST, .form = CONFIG_FORM_PEER, .min = 1, .max = 65535,
     .default_value = "", .default_note = "none", .reloadable = true,
     .description =
         "Addresses of nodes through which this node joins the cluster with the provider "
         "`registry`; one of them is enough. Each stays a member of the topology. This "
         "node skips its own address."},
    {ROW(cluster, dns.names), .type = CONFIG_LIST, .form = CONFIG_FORM_DNS_NAME, .min = 1,
     .max = 65535, .default_value = "", .default_note = "none", .reloadable = true,
     .description = "Names under which the provider `dns` finds the nodes, at most 8: HOST:PORT "
                    "with A records, or AAAA records if it has no A records, or "
                    "_SERVICE._PROTOCOL.DOMAIN with SRV records. This node skips its own address."},
    {ROW(cluster, dns.servers), .type = CONFIG_LIST, .form = CONFIG_FORM_DNS_SERVER, .min = 1,
     .max = 65535, .default_value = "", .default_note = "those of /etc/resolv.conf",
     .description = "DNS servers of the provider `dns`."},
    {NUMBER(cluster, dns.min_interval_secs, 1, 3600, "1"),
     .description = "Minimum interval between two lookups of a name, in seconds, also where its "
                    "TTL is lower. After a failure the name is looked up again after that time, "
                    "and after twice as long with each further failure."},
    {NUMBER(cluster, dns.max_interval_secs, 1, 3600, "60"),
     .description = "Maximum interval between two lookups of a name, in seconds, also where its "
                    "TTL is higher."},
    {ROW(cluster, kubernetes.service), .type = CONFIG_TEXT, .form = CONFIG_FORM_KUBERNETES_SERVICE,
     .default_value = "", .default_note = "none",
     .description = "Headless service whose pods are the nodes of the provider `kubernetes`: NAME "
                    "in the namespace of this node, or NAMESPACE/NAME."},
    {ROW(cluster, kubernetes.peer_port), .type = CONFIG_TEXT, .form = CONFIG_FORM_KUBERNETES_PORT,
     .min = 1, .max = 65535, .default_value = "", .default_note = "the only port",
     .description = "Port of that service at which peers reach a pod, by name or as a number."},
    {ROW(cluster, kubernetes.api_server), .type = CONFIG_TEXT, .form = CONFIG_FORM_OPTIONAL_URL,
     .min = 1, .max = 65535, .default_value = "", .default_note = "that of the environment",
     .reloadable = true,
     .description =
         "URL of the Kubernetes API server. The default is `KUBERNETES_SERVICE_HOST` and "
         "`KUBERNETES_SERVICE_PORT`, which each pod has."},
    {ROW(cluster, kubernetes.account_dir), .type = CONFIG_TEXT, .form = CONFIG_FORM_PATH,
     .default_value = "/var/run/secrets/kubernetes.io/serviceaccount", .reloadable = true,
     .description = "Folder with the files `token`, `ca.crt` and `namespace` of the service "
                    "account. The token is read for each request, so that it can be replaced. If "
                    "empty, no token is sent."},
    {NUMBER(cluster, kubernetes.lease_secs, 3, 3600, "15"), .reloadable = true,
     .description = "Duration of the Lease of this node, in seconds. It is renewed each third of "
                    "that. When it ends, the other nodes remove this node from their topologies."},
    {NUMBER(cluster, remote.batch_ms, 0, 60000, "0"),
     .default_note = "1000, or a sixth of lease.ttl_secs if that is shorter",
     .description =
         "Interval at which collected renewals are sent to peers of other regions, in "
         "milliseconds; at most a sixth of `lease.ttl_secs`. It has no effect if it is shorter "
         "than `replication.batch_interval_ms`."},
    {SWITCH(cluster, remote.gzip, "true"),
     .description = "Whether messages to peers of other regions, and their responses, are "
                    "compressed."},
    {ROW(cluster, etcd.endpoints), .type = CONFIG_LIST, .form = CONFIG_FORM_PEER, .min = 1,
     .max = 65535, .default_value = "", .default_note = "none", .reloadable = true,
     .description =
         "Addresses of the members of etcd for the provider `etcd`: one is used, and the "
         "next one after a failure. Without a scheme it is http."},
    {NAME(cluster, etcd.prefix, "/artemis"),
     .description = "Prefix of the keys in etcd: a node has the key PREFIX/NODE_ID. Each cluster "
                    "needs its own."},
    {FILE_PATH(cluster, etcd.credentials_file), .reloadable = true,
     .description = "File with the user of etcd and the password, one line like USER:PASSWORD. It "
                    "is read at each login."},
    {FILE_PATH(cluster, etcd.token_file), .reloadable = true,
     .description =
         "File with a token that is sent to etcd, instead of a user. It is read for each "
         "request."},
    {FILE_PATH(cluster, etcd.ca), .reloadable = true,
     .description = "Certificates of the authorities that sign the certificates of etcd, a PEM "
                    "file; without it, those of the system. For endpoints with https."},
    {FILE_PATH(cluster, etcd.cert), .reloadable = true,
     .description = "Certificate of this node for etcd, a PEM file with the chain."},
    {FILE_PATH(cluster, etcd.key), .reloadable = true,
     .description = "Private key of `cluster.etcd.cert`, a PEM file without a password."},
    {NUMBER(cluster, etcd.ttl_secs, 2, 3600, "10"), .reloadable = true,
     .description = "How long a node that does not renew its lease in etcd stays registered, in "
                    "seconds. It renews three times in that time."},
    {ROW(cluster, consul.address), .type = CONFIG_TEXT, .form = CONFIG_FORM_PEER, .min = 1,
     .max = 65535, .default_value = "127.0.0.1:8500", .reloadable = true,
     .description = "Address of the Consul agent of this host for the provider `consul`. Without a "
                    "scheme it is http."},
    {ROW(cluster, consul.service), .type = CONFIG_TEXT, .form = CONFIG_FORM_LABEL,
     .default_value = "artemis",
     .description = "Name of the service in Consul whose instances are the nodes. Each cluster "
                    "needs its own."},
    {ROW(cluster, consul.token), .type = CONFIG_TEXT, .form = CONFIG_FORM_SECRET,
     .default_value = "", .default_note = "none is sent", .secret = true, .reloadable = true,
     .description = "ACL token that is sent to Consul."},
    {FILE_PATH(cluster, consul.token_file), .reloadable = true,
     .description = "File with that token, instead of `cluster.consul.token`. It is read for each "
                    "request."},
    {FILE_PATH(cluster, consul.ca), .reloadable = true,
     .description =
         "Certificates of the authorities that sign the certificate of the Consul agent, a PEM "
         "file; without it, those of the system. For an address with https."},
    {FILE_PATH(cluster, consul.cert), .reloadable = true,
     .description = "Certificate of this node for the Consul agent, a PEM file with the chain."},
    {FILE_PATH(cluster, consul.key), .reloadable = true,
     .description = "Private key of `cluster.consul.cert`, a PEM file without a password."},
    {NUMBER(cluster, consul.ttl_secs, 2, 3600, "10"), .reloadable = true,
     .description =
         "Time-to-live of the check of this node in Consul, in seconds. The node updates "
         "it three times in that time; without an update it leaves the topologies of "
         "the others."},
    {NUMBER(cluster, expected_nodes, 0, 65, "0"), .default_note = "not set", .reloadable = true,
     .description =
         "Number of nodes, this one included, that the cluster should have. While fewer are up and "
         "ready, it is under-replicated: shown by the status and by "
         "`artemis_cluster_under_replicated`, and `/ready?strict` fails."},
    {NUMBER(cluster, health_interval_secs, 1, 3600, "5"),
     .description = "Interval between two health checks of a peer, in seconds."},
    {NUMBER(cluster, bootstrap_grace_secs, 0, 3600, "30"),
     .description =
         "How long a node without data waits after its start before it serves discovery, "
         "in seconds: for a peer with data, and at the end for clients, which register "
         "again. 0 makes a new cluster ready at once."},
    {NUMBER(cluster, max_clock_skew_secs, 1, 365 * DAY_SECS, "3600"),
     .description = "How far a stamp may be ahead of the clocks of all members, in seconds. A "
                    "record with a later stamp is refused, and does not move the clock of this "
                    "node."},
    {ADDRESS(cluster, advertise_addr, 1, NULL), .default_note = "the address of the listener",
     .description = "Address at which clients reach this node; all nodes name it to clients. The "
                    "default is `server.tls_listen_addr`, or without that `server.listen_addr`. If "
                    "that is every interface, such as 0.0.0.0, it is the only address of the host; "
                    "a node of a cluster whose host has several does not start without this "
                    "setting. Peers use their own `cluster.peers`."},
    {OPTIONAL_ADDRESS(cluster, listen_addr, 0),
     .description = "Address and port on which the node listens for its peers. If it is set, "
                    "replication is served there and nowhere else, and `cluster.peers` must have "
                    "the addresses of these listeners."},
    {FILE_PATH(cluster.tls, cert),
     .description = "Certificate of this node for its peers, a PEM file with the chain. If it is "
                    "set, peers use TLS, and each must show a certificate."},
    {FILE_PATH(cluster.tls, key),
     .description = "Private key of `cluster.tls.cert`, a PEM file without a password."},
    {FILE_PATH(cluster.tls, ca),
     .description =
         "Certificates of the authorities that sign the certificates of peers, a PEM "
         "file. The name in a peer's certificate must be a host of `cluster.peers`, a name "
         "that the provider `dns` looked up, or `cluster.tls.member_name`."},

    {ROW(cluster, tls.member_name), .type = CONFIG_TEXT, .form = CONFIG_FORM_DOMAIN,
     .default_value = "", .default_note = "none",
     .description =
         "A name that the certificates of all nodes have. A caller whose certificate has "
         "it is a peer before it is known as a member, and members that the providers "
         "`registry`, `kubernetes`, `etcd` and `consul` find are verified by it in place of their "
         "host; these need it with `cluster.tls.cert`."},

    {FILE_PATH(tls, cert),
     .description = "Certificate of `server.tls_listen_addr`, a PEM file with the chain. A changed "
                    "file is read again within 5 s, or at SIGHUP."},
    {FILE_PATH(tls, key),
     .description = "Private key of `tls.cert`, a PEM file without a password."},
    {FILE_PATH(tls, client_ca),
     .description = "Certificates of the authorities that sign client certificates, a PEM file. "
                    "Certificates of other authorities are refused."},
    {SWITCH(tls, require_client_cert, "false"),
     .description = "Whether a client without a certificate is refused; needs `tls.client_ca`."},
    {CHOICE(tls, min_version, tls_versions, "1.2"),
     .description = "Lowest version of TLS that is accepted, from clients and from peers."},
    {NUMBER(tls, max_handshakes_per_address, 0, 1000000, "0"), .default_note = "no limit",
     .description = "Maximum number of connections of one address (IPv6: a /64) with TLS that have "
                    "not sent their first request. At the limit a new one closes one of them that "
                    "is a second old, or is closed. 0 means no limit."},

    {SWITCH(replication, enabled, "true"),
     .description = "Whether this node sends anything to its peers: changes, health checks, "
                    "anti-entropy, lease checks, and the bootstrap at its start. What peers send "
                    "is applied in any case."},
    {NUMBER(replication, timeout_secs, 1, 300, "5"),
     .description = "Timeout of a request to a peer, in seconds; the request is then retried. A "
                    "snapshot may take 12 times as long."},
    {NUMBER(replication, batch_size, 1, 10000, "100"),
     .description =
         "Initial limit of renewals per replication request; the limit doubles while more are "
         "pending, up to 10,000, and shrinks again."},
    {NUMBER(replication, batch_interval_ms, 1, 60000, "100"),
     .description = "Interval at which collected renewals are sent, in milliseconds; in a cluster "
                    "at most a sixth of `lease.ttl_secs`."},
    {NUMBER(replication, max_retries, 0, 100, "3"),
     .description = "Number of consecutive retries to a peer; if the last one fails, the peer is "
                    "down and anti-entropy repairs it later."},
    {NUMBER(replication, anti_entropy_secs, 1, DAY_SECS, "10"),
     .description = "Interval between two anti-entropy comparisons with a peer, in seconds."},
    {NUMBER(replication, tombstone_secs, 1, 30 * DAY_SECS, "600"),
     .description = "How long a tombstone is kept after an instance is unregistered, in seconds. "
                    "Peers that are offline for longer can resurrect it."},

    {NUMBER(lease, ttl_secs, 1, DAY_SECS, "30"), .reloadable = true,
     .description = "Time-to-live of a lease, in seconds; an instance that is not renewed for so "
                    "long is evicted. All nodes of a cluster need the same value."},
    {NUMBER(lease, cleanup_interval_secs, 1, DAY_SECS, "60"), .reloadable = true,
     .description =
         "How long a service stays known after its last instance left, in seconds: until "
         "then it is found with an empty list, later it is service-not-found."},
    {NUMBER(lease, guard_percent, 0, 100, "85"), .reloadable = true,
     .description = "Share of the expected renewals, in percent, below which the mass-expiry guard "
                    "suspends evictions; 0 disables the guard."},
    {NUMBER(lease, guard_min_leases, 0, 100000000, "50"), .reloadable = true,
     .description = "Minimum number of leases of a service, or of the node, for its guard to "
                    "engage."},
    {NUMBER(lease, guard_max_secs, 1, DAY_SECS, "300"), .reloadable = true,
     .description = "How long the guard keeps an instance after the end of its lease, in seconds."},

    {SWITCH(cache, enabled, "true"),
     .description = "Whether encoded responses are cached until their service changes."},
    {NUMBER(cache, expiry_secs, 1, DAY_SECS, "300"),
     .description = "How long an unused cached response is kept, in seconds."},

    {SWITCH(ratelimit, enabled, "true"), .reloadable = true,
     .description = "Whether the rate of client requests is limited."},
    {NUMBER(ratelimit, requests_per_second, 1, 100000000, "10000"), .reloadable = true,
     .description =
         "Average number of client requests per second that are served, of discovery, of "
         "changes, of heartbeats and of events each; further ones get 429."},
    {NUMBER(ratelimit, burst_size, 1, 100000000, "5000"), .reloadable = true,
     .description = "Number of client requests that are served at once, above the average rate."},
    {NUMBER(ratelimit, client_requests_per_second, 0, 100000000, "0"), .default_note = "no limit",
     .reloadable = true,
     .description =
         "Average number of requests per second of one client that are served, of discovery, of "
         "changes and of heartbeats each; further ones get 429. A client is a token, or an "
         "address without one (IPv6: a /64). 0 means no limit."},
    {NUMBER(ratelimit, client_burst_size, 1, 100000000, "1000"), .reloadable = true,
     .description = "Number of requests of one client that are served at once, above its average "
                    "rate."},
    {NUMBER(ratelimit, client_events_per_second, 0, 100000000, "100"), .reloadable = true,
     .description = "Average number of events per second that one client can publish; further "
                    "ones get 429. As many can be published at once. 0 means no limit."},

    {NUMBER(registry, max_instances_per_service, 0, 100000000, "0"), .default_note = "no limit",
     .reloadable = true,
     .description = "Maximum number of instances of a service that clients can register at this "
                    "node; further new ones are refused. Replication is never refused. 0 means no "
                    "limit."},

    {ROW(storage, data_dir), .type = CONFIG_TEXT, .form = CONFIG_FORM_PATH, .default_value = "",
     .default_note = "nothing is stored",
     .description = "Folder in which this node keeps its records over a restart; its parent must "
                    "exist. Two nodes cannot share a folder."},
    {NUMBER(storage, commit_interval_ms, 10, 10000, "200"),
     .description = "Interval between two commits to the disk, in milliseconds; a power failure "
                    "loses at most the changes since the last one."},

    {ROW(audit, max_file_bytes), .type = CONFIG_SIZE, .min = 4 << 10, .max = 1 << 30,
     .default_value = "16 MiB",
     .description =
         "Size at which the file of the audit log, `audit.log` in `storage.data_dir`, is "
         "renamed and a new one begins."},
    {NUMBER(audit, max_files, 2, 100, "5"),
     .description = "Number of files of the audit log, and of `audit-failures.log`; beyond it the "
                    "oldest is removed."},

    {ROW(admin, socket), .type = CONFIG_TEXT, .form = CONFIG_FORM_SOCKET, .default_value = "",
     .default_note = "none",
     .description = "Path of the UNIX socket for `artemis admin` and `artemis reload`. Only the "
                    "user of the node, and root, can use it."},

    {CHOICE(log, level, levels, "info"), .reloadable = true,
     .description = "Minimum severity that is logged."},
    {CHOICE(log, format, formats, "text"), .reloadable = true,
     .description = "Format of the log: lines for people, or one JSON object per line."},
};

const size_t config_setting_count = sizeof(config_settings) / sizeof(config_settings[0]);
static_assert(sizeof(config_settings) / sizeof(config_settings[0]) <= CONFIG_SETTINGS_MAX,
              "struct config has a source for each setting");

/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that concern more than one setting, or a setting and the host.
 */
#include "artemis-core/config/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "artemis-core/config/config_listeners.h"
#include "artemis-core/config/config_problem.h"
#include "artemis-core/config/config_tokens.h"
#include "artemis-core/config/config_value.h"

enum { SHOWN_ADDRESSES_BYTES = 256, BATCH_TTL_SHARE = 6 };

bool config_has_provider(const struct config *config, const char *name)
{
    const struct config_list *names = &config->cluster.provider;
    if (names->count == 0)
        return strcmp(name, "static") == 0;
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

/* --- rules of config_validate ----------------------------------------------------------------- */

/* The address without the scheme that it has by default. */
static const char *without_scheme(const struct config *config, const char *peer)
{
    const char *scheme = config->cluster.tls.cert[0] ? "https://" : "http://";
    return strncmp(peer, scheme, strlen(scheme)) == 0 ? peer + strlen(scheme) : peer;
}

static enum error check_addresses(const struct config *config, const char *key,
                                  const struct config_list *peers, struct config_problem *problem)
{
    for (size_t i = 0; i < peers->count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcasecmp(without_scheme(config, peers->items[i]),
                           without_scheme(config, peers->items[j])) == 0)
                return config_problem_set(problem, "%s: %s: \"%s\" is listed twice",
                                          config_source_of(config, key), key, peers->items[i]);
    return ERR_NONE;
}

static enum error check_connections(const struct config *config, struct config_problem *problem)
{
    if (config->server.threads <= config->server.max_connections)
        return ERR_NONE;
    return config_problem_set(
        problem, "server.max_connections: must be at least server.threads, %u (%s), is %u (%s)",
        config->server.threads, config_source_of(config, "server.threads"),
        config->server.max_connections, config_source_of(config, "server.max_connections"));
}

static enum error check_tombstones(const struct config *config, struct config_problem *problem)
{
    const uint32_t round_secs = config->replication.anti_entropy_secs;
    if (!config->cluster.enabled || !config->replication.enabled ||
        config->replication.tombstone_secs >= 2 * round_secs)
        return ERR_NONE;
    return config_problem_set(problem,
                              "replication.tombstone_secs: must be at least twice "
                              "replication.anti_entropy_secs, %u (%s), is %u (%s)",
                              round_secs, config_source_of(config, "replication.anti_entropy_secs"),
                              config->replication.tombstone_secs,
                              config_source_of(config, "replication.tombstone_secs"));
}

static enum error check_batch(const struct config *config, const char *key, uint32_t interval_ms,
                              struct config_problem *problem)
{
    const uint64_t ttl_ms = config->lease.ttl_secs * (uint64_t)1000;
    if (interval_ms <= ttl_ms / BATCH_TTL_SHARE)
        return ERR_NONE;
    return config_problem_set(
        problem, "%s: must be at most a sixth of lease.ttl_secs, %u (%s), is %u (%s)", key,
        config->lease.ttl_secs, config_source_of(config, "lease.ttl_secs"), interval_ms,
        config_source_of(config, key));
}

enum error config_batches_check(const struct config *config, struct config_problem *problem)
{
    if (!config->cluster.enabled)
        return ERR_NONE;
    enum error error =
        check_batch(config, "cluster.remote.batch_ms", config->cluster.remote.batch_ms, problem);
    if (!error)
        error = check_batch(config, "replication.batch_interval_ms",
                            config->replication.batch_interval_ms, problem);
    return error;
}

static enum error check_cluster_token(const struct config *config, struct config_problem *problem)
{
    if (!config->cluster.token[0] || !config->cluster.token_file[0])
        return ERR_NONE;
    return config_problem_set(
        problem, "%s: cluster.token_file: cluster.token is set too (%s); set one of them",
        config_source_of(config, "cluster.token_file"), config_source_of(config, "cluster.token"));
}

/* A list has no default before: that needs memory. */
static enum error set_default_provider(struct config *config, struct config_problem *problem)
{
    const struct config_setting *setting = config_find("cluster.provider");
    struct toml_value value = config_value_parse(setting, setting->default_value);
    enum error error = ERR_NONE;
    if (config->cluster.provider.count == 0)
        error = config_value_store(setting, &value, &config->cluster.provider);
    if (error)
        config_problem_set(problem, "%s: %s", setting->key, error_info(error)->message);
    return error;
}

static enum error check_dns(const struct config *config, struct config_problem *problem)
{
    size_t names = config->cluster.dns.names.count;
    bool has_provider = config_has_provider(config, "dns");
    if (has_provider && names == 0)
        return config_problem_set(problem,
                                  "%s: cluster.provider: dns needs cluster.dns.names, "
                                  "which is not set",
                                  config_source_of(config, "cluster.provider"));
    if (names > CONFIG_DNS_NAMES_MAX)
        return config_problem_set(
            problem, "%s: cluster.dns.names: must have at most %d names, has %zu",
            config_source_of(config, "cluster.dns.names"), CONFIG_DNS_NAMES_MAX, names);
    if (config->cluster.dns.min_interval_secs <= config->cluster.dns.max_interval_secs)
        return ERR_NONE;
    return config_problem_set(
        problem,
        "%s: cluster.dns.min_interval_secs: must be at most cluster.dns.max_interval_secs, %u "
        "(%s), is %u",
        config_source_of(config, "cluster.dns.min_interval_secs"),
        config->cluster.dns.max_interval_secs,
        config_source_of(config, "cluster.dns.max_interval_secs"),
        config->cluster.dns.min_interval_secs);
}

/* Nodes that are found by numeric addresses have no name that their certificates could have. */
static enum error check_member_name(const struct config *config, struct config_problem *problem)
{
    static const char *const names[] = {"registry", "kubernetes", "etcd", "consul"};
    bool has_name = !config->cluster.tls.cert[0] || config->cluster.tls.member_name[0];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !has_name; i++)
        if (config_has_provider(config, names[i]))
            return config_problem_set(problem,
                                      "%s: cluster.provider: %s with cluster.tls.cert needs "
                                      "cluster.tls.member_name, which is not set",
                                      config_source_of(config, "cluster.provider"), names[i]);
    return ERR_NONE;
}

static enum error check_kubernetes(const struct config *config, struct config_problem *problem)
{
    if (!config_has_provider(config, "kubernetes") || config->cluster.kubernetes.service[0])
        return ERR_NONE;
    return config_problem_set(problem,
                              "%s: cluster.provider: kubernetes needs cluster.kubernetes.service, "
                              "which is not set",
                              config_source_of(config, "cluster.provider"));
}

/* The certificate and the key of this node for the server of a provider. */
static enum error check_certificate(const struct config *config, const char *provider,
                                    const char *cert, const char *key,
                                    struct config_problem *problem)
{
    char source[CONFIG_TEXT_BYTES];
    bool has_cert = cert[0];
    if (has_cert == (key[0] != '\0'))
        return ERR_NONE;
    snprintf(source, sizeof(source), "cluster.%s.%s", provider, has_cert ? "cert" : "key");
    return config_problem_set(problem, "%s: %s: needs cluster.%s.%s, which is not set",
                              config_source_of(config, source), source, provider,
                              has_cert ? "key" : "cert");
}

static enum error check_consul(const struct config *config, struct config_problem *problem)
{
    if (!config->cluster.consul.token[0] || !config->cluster.consul.token_file[0])
        return check_certificate(config, "consul", config->cluster.consul.cert,
                                 config->cluster.consul.key, problem);
    return config_problem_set(
        problem,
        "%s: cluster.consul.token_file: cluster.consul.token is set too (%s); set one of them",
        config_source_of(config, "cluster.consul.token_file"),
        config_source_of(config, "cluster.consul.token"));
}

static enum error check_etcd(const struct config *config, struct config_problem *problem)
{
    const char *credentials = config->cluster.etcd.credentials_file;
    const char *token = config->cluster.etcd.token_file;
    if (config_has_provider(config, "etcd") && config->cluster.etcd.endpoints.count == 0)
        return config_problem_set(problem,
                                  "%s: cluster.provider: etcd needs cluster.etcd.endpoints, "
                                  "which is not set",
                                  config_source_of(config, "cluster.provider"));
    if (!credentials[0] || !token[0])
        return check_certificate(config, "etcd", config->cluster.etcd.cert,
                                 config->cluster.etcd.key, problem);
    return config_problem_set(
        problem,
        "%s: cluster.etcd.token_file: cluster.etcd.credentials_file is set too (%s); set one of "
        "them",
        config_source_of(config, "cluster.etcd.token_file"),
        config_source_of(config, "cluster.etcd.credentials_file"));
}

/* --- the advertised address ------------------------------------------------------------------- */

/* Whether HOST:PORT is every interface: 0.0.0.0, [::] or another form of them. */
static bool is_unspecified(const char *address, bool *is_ipv6)
{
    char host[CONFIG_TEXT_BYTES];
    struct in_addr ipv4;
    struct in6_addr ipv6;
    size_t size = strlen(address);
    const char *colon = strrchr(address, ':');
    if (colon)
        size = (size_t)(colon - address);
    if (size == 0 || size >= sizeof(host))
        return false;
    memcpy(host, address, size);
    host[size] = '\0';
    *is_ipv6 = host[0] == '[';
    if (!*is_ipv6)
        return inet_aton(host, &ipv4) && ipv4.s_addr == htonl(INADDR_ANY);
    host[size - 1] = '\0';
    return inet_pton(AF_INET6, host + 1, &ipv6) == 1 &&
           (IN6_IS_ADDR_UNSPECIFIED(&ipv6) ||
            (IN6_IS_ADDR_V4MAPPED(&ipv6) && ipv6.s6_addr32[3] == htonl(INADDR_ANY)));
}

/* The address of the listener that other hosts use: with TLS where there is one. */
static const char *client_address(const struct config *config)
{
    return config->server.tls_listen_addr[0] ? config->server.tls_listen_addr
                                             : config->server.listen_addr;
}

static enum error check_advertised(struct config *config, struct config_problem *problem)
{
    bool is_ipv6;
    char *advertised = config->cluster.advertise_addr;
    if (advertised[0] && is_unspecified(advertised, &is_ipv6))
        return config_problem_set(
            problem,
            "%s: cluster.advertise_addr: must be an address that other hosts reach, "
            "is \"%s\"",
            config_source_of(config, "cluster.advertise_addr"), advertised);
    const char *listener = client_address(config);
    if (!advertised[0] && !is_unspecified(listener, &is_ipv6))
        memcpy(advertised, listener, CONFIG_TEXT_BYTES);
    return ERR_NONE;
}

/* Sets the advertised address to `host` with the port for clients. False: not valid. */
static bool advertise(struct config *config, const char *host)
{
    const char *format = strchr(host, ':') ? "[%s]%s" : "%s%s";
    const char *port = strrchr(client_address(config), ':');
    char address[CONFIG_TEXT_BYTES];
    int size = snprintf(address, sizeof(address), format, host, port);
    if (size < 0 || (size_t)size >= sizeof(address) || !config_value_is_address(address, 0))
        return false;
    memcpy(config->cluster.advertise_addr, address, (size_t)size + 1);
    return true;
}

static void list_addresses(char out[SHOWN_ADDRESSES_BYTES], const struct config_host *host)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < host->address_count && at < SHOWN_ADDRESSES_BYTES; i++)
        at += (size_t)snprintf(out + at, SHOWN_ADDRESSES_BYTES - at, "%s%s", i > 0 ? ", " : "",
                               host->addresses[i]);
}

enum error config_advertise(struct config *config, const struct config_host *host,
                            struct config_problem *problem)
{
    bool is_ipv6;
    size_t count = 0;
    const char *found = NULL;
    const char *listener = client_address(config);
    const char *listener_key = config_listener_key(
        config->server.tls_listen_addr[0] ? CONFIG_LISTENER_TLS : CONFIG_LISTENER_PLAIN);
    if (config->cluster.advertise_addr[0] || !is_unspecified(listener, &is_ipv6))
        return ERR_NONE;
    for (size_t i = 0; i < host->address_count; i++)
        if (!strchr(host->addresses[i], ':')) {
            found = host->addresses[i];
            count++;
        }
    if (count == 0 && is_ipv6 && host->address_count > 0) {
        found = host->addresses[0];
        count = host->address_count;
    }
    if (count == 0)
        found = is_ipv6 ? "::1" : "127.0.0.1";
    if (count > 1 && config->cluster.enabled) {
        char addresses[SHOWN_ADDRESSES_BYTES];
        list_addresses(addresses, host);
        return config_problem_set(
            problem,
            "%s: %s: \"%s\" is every interface, and this host has "
            "several addresses (%s); set cluster.advertise_addr to the address at "
            "which peers and clients reach this node",
            config_source_of(config, listener_key), listener_key, listener, addresses);
    }
    if (count > 1 && advertise(config, host->name))
        return ERR_NONE;
    (void)advertise(config, found);
    return ERR_NONE;
}

/* --- all rules -------------------------------------------------------------------------------- */

enum error config_validate(struct config *config, struct config_problem *problem)
{
    enum error error = check_advertised(config, problem);
    if (!error)
        error = set_default_provider(config, problem);
    if (!error)
        error = check_connections(config, problem);
    if (!error)
        error = check_tombstones(config, problem);
    if (!error)
        error = config_batches_check(config, problem);
    if (!error)
        error = check_cluster_token(config, problem);
    if (!error)
        error = config_tokens_validate(config, problem);
    if (!error)
        error = check_addresses(config, "cluster.peers", &config->cluster.peers, problem);
    if (!error)
        error = check_addresses(config, "cluster.seeds", &config->cluster.seeds, problem);
    if (!error)
        error = check_dns(config, problem);
    if (!error)
        error = check_member_name(config, problem);
    if (!error)
        error = check_etcd(config, problem);
    if (!error)
        error = check_consul(config, problem);
    if (!error)
        error = check_kubernetes(config, problem);
    return error ? error : config_listeners_check(config, problem);
}

/* Whether a provider can find any. */
static bool has_peers(const struct config *config)
{
    return (config_has_provider(config, "static") && config->cluster.peers.count > 0) ||
           config_has_provider(config, "dns") || config_has_provider(config, "registry") ||
           config_has_provider(config, "etcd") || config_has_provider(config, "consul") ||
           config_has_provider(config, "kubernetes");
}

/* Settings of a provider that does not run. */
static void warn_about_providers(const struct config *config, struct text *out)
{
    const struct {
        const char *provider, *key;
        bool is_set;
    } rows[] = {
        {"static", "cluster.peers", config->cluster.peers.count > 0},
        {"dns", "cluster.dns.names", config->cluster.dns.names.count > 0},
        {"registry", "cluster.seeds", config->cluster.seeds.count > 0},
        {"etcd", "cluster.etcd.endpoints", config->cluster.etcd.endpoints.count > 0},
        {"kubernetes", "cluster.kubernetes.service", config->cluster.kubernetes.service[0] != 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (config->cluster.enabled && rows[i].is_set &&
            !config_has_provider(config, rows[i].provider))
            text_printf(out, "%s is set (%s), but cluster.provider does not have %s\n", rows[i].key,
                        config_source_of(config, rows[i].key), rows[i].provider);
}

/* A secret for etcd over http. */
static void warn_about_etcd(const struct config *config, struct text *out)
{
    const struct config_list *endpoints = &config->cluster.etcd.endpoints;
    bool has_secret =
        config->cluster.etcd.credentials_file[0] || config->cluster.etcd.token_file[0];
    if (!config->cluster.enabled || !has_secret || !config_has_provider(config, "etcd"))
        return;
    for (size_t i = 0; i < endpoints->count; i++)
        if (strncmp(endpoints->items[i], "https://", strlen("https://")) != 0)
            text_printf(out,
                        "cluster.etcd.endpoints: \"%s\" (%s) is not https: the password or token "
                        "for etcd is sent in clear text\n",
                        endpoints->items[i], config_source_of(config, "cluster.etcd.endpoints"));
}

/* A token for a Consul of another host over http. */
static void warn_about_consul(const struct config *config, struct text *out)
{
    const char *address = config->cluster.consul.address;
    const char *scheme_end = strstr(address, "://");
    bool has_token = config->cluster.consul.token[0] || config->cluster.consul.token_file[0];
    if (config->cluster.enabled && has_token && config_has_provider(config, "consul") &&
        strncmp(address, "https://", strlen("https://")) != 0 &&
        !config_address_is_loopback(scheme_end ? scheme_end + 3 : address))
        text_printf(out,
                    "cluster.consul.address: \"%s\" (%s) is not https: the token for Consul is "
                    "sent in clear text\n",
                    address, config_source_of(config, "cluster.consul.address"));
}

static size_t tokens_of_role(const struct config *config, enum auth_role role)
{
    size_t count = 0;
    for (size_t i = 0; i < config->auth.tokens.count; i++)
        count += config_token_role(&config->auth.tokens.items[i]) == role;
    return count;
}

/* A cluster whose nodes need tokens needs them in both directions. With TLS, the certificates of
 * peers are enough. */
static void warn_about_tokens(const struct config *config, struct text *out)
{
    bool has_own = config->cluster.token[0] || config->cluster.token_file[0];
    bool needs_peers = config->cluster.enabled && has_peers(config) && !config->cluster.tls.cert[0];
    if (needs_peers && has_own && tokens_of_role(config, ROLE_PEER) == 0)
        text_append_string(out, "cluster.token is set, but there is no [[auth.tokens]] with the "
                                "role peer: this node accepts peers without a token, or none\n");
    if (needs_peers && !has_own && tokens_of_role(config, ROLE_PEER) > 0)
        text_append_string(out, "[[auth.tokens]] has the role peer, but cluster.token is not set: "
                                "peers that need a token refuse this node\n");
}

void config_warn(const struct config *config, struct text *out)
{
    if (config->cluster.enabled && !has_peers(config))
        text_printf(out,
                    "cluster.enabled is true (%s), but cluster.peers is empty: this node has no "
                    "peers to replicate with\n",
                    config_source_of(config, "cluster.enabled"));
    config_listeners_warn(config, out);
    warn_about_tokens(config, out);
    warn_about_providers(config, out);
    warn_about_etcd(config, out);
    warn_about_consul(config, out);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/config/config_listeners.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "artemis-core/config/config_problem.h"

/* --- listeners -------------------------------------------------------------------------------- */

const char *config_listener_key(enum config_listener listener)
{
    static const char *const keys[] = {
        [CONFIG_LISTENER_PLAIN] = "server.listen_addr",
        [CONFIG_LISTENER_TLS] = "server.tls_listen_addr",
        [CONFIG_LISTENER_PEER] = "cluster.listen_addr",
    };
    return keys[listener];
}

const char *config_listener_address(const struct config *config, enum config_listener listener)
{
    switch (listener) {
    case CONFIG_LISTENER_PLAIN:
        return config->server.listen_addr;
    case CONFIG_LISTENER_TLS:
        return config->server.tls_listen_addr;
    case CONFIG_LISTENER_PEER:
        return config->cluster.enabled ? config->cluster.listen_addr : "";
    case CONFIG_LISTENERS:
        break;
    }
    return "";
}

bool config_listener_has_tls(const struct config *config, enum config_listener listener)
{
    return listener == CONFIG_LISTENER_TLS ||
           (listener == CONFIG_LISTENER_PEER && config->cluster.tls.cert[0]);
}

bool config_address_is_loopback(const char *address)
{
    char host[CONFIG_TEXT_BYTES];
    struct in_addr ipv4;
    struct in6_addr ipv6;
    const char *colon = strrchr(address, ':');
    size_t size = colon ? (size_t)(colon - address) : strlen(address);
    if (size > 1 && address[0] == '[' && address[size - 1] == ']') {
        address++;
        size -= 2;
    }
    if (size >= sizeof(host))
        return false;
    memcpy(host, address, size);
    host[size] = '\0';
    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &ipv4) == 1)
        return ntohl(ipv4.s_addr) >> 24 == IN_LOOPBACKNET;
    return inet_pton(AF_INET6, host, &ipv6) == 1 &&
           (IN6_IS_ADDR_LOOPBACK(&ipv6) ||
            (IN6_IS_ADDR_V4MAPPED(&ipv6) && ipv6.s6_addr[12] == IN_LOOPBACKNET));
}

static bool requires_certificate(const struct config *config, enum config_listener listener)
{
    if (listener == CONFIG_LISTENER_TLS)
        return config->tls.require_client_cert;
    return config_listener_has_tls(config, listener); /* peers always need one */
}

bool config_listener_serves_peers(const struct config *config, enum config_listener listener)
{
    return listener == CONFIG_LISTENER_PEER ||
           !config_listener_address(config, CONFIG_LISTENER_PEER)[0];
}

/* Whether a client certificate is enough: it does not make its owner a peer. */
static bool certificate_protects(const struct config *config, enum config_listener listener)
{
    return requires_certificate(config, listener) &&
           (listener == CONFIG_LISTENER_PEER || !config->cluster.enabled ||
            !config_listener_serves_peers(config, listener));
}

bool config_listener_is_protected(const struct config *config, enum config_listener listener)
{
    const char *address = config_listener_address(config, listener);
    return !address[0] || config_address_is_loopback(address) || config_requires_token(config) ||
           certificate_protects(config, listener);
}

/* --- rules ------------------------------------------------------------------------------------ */

/* A setting that is set although another one, which it needs, is not. */
static enum error check_needs(const struct config *config, struct config_problem *problem)
{
    const struct {
        bool is_set;
        const char *key;
        bool has_needed;
        const char *needed;
    } rules[] = {
        {config->server.tls_listen_addr[0], "server.tls_listen_addr", config->tls.cert[0],
         "tls.cert"},
        {config->tls.cert[0], "tls.cert", config->tls.key[0], "tls.key"},
        {config->tls.key[0], "tls.key", config->tls.cert[0], "tls.cert"},
        {config->tls.cert[0], "tls.cert", config->server.tls_listen_addr[0],
         "server.tls_listen_addr"},
        {config->tls.client_ca[0], "tls.client_ca", config->tls.cert[0], "tls.cert"},
        {config->tls.require_client_cert, "tls.require_client_cert", config->tls.client_ca[0],
         "tls.client_ca"},
        {config->cluster.tls.cert[0], "cluster.tls.cert", config->cluster.tls.key[0],
         "cluster.tls.key"},
        {config->cluster.tls.key[0], "cluster.tls.key", config->cluster.tls.cert[0],
         "cluster.tls.cert"},
        {config->cluster.tls.cert[0], "cluster.tls.cert", config->cluster.tls.ca[0],
         "cluster.tls.ca"},
        {config->cluster.tls.ca[0], "cluster.tls.ca", config->cluster.tls.cert[0],
         "cluster.tls.cert"},
        {config->cluster.tls.cert[0], "cluster.tls.cert", config->cluster.listen_addr[0],
         "cluster.listen_addr"},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i].is_set && !rules[i].has_needed)
            return config_problem_set(problem, "%s: %s: needs %s, which is not set",
                                      config_source_of(config, rules[i].key), rules[i].key,
                                      rules[i].needed);
    return ERR_NONE;
}

/* Peers with TLS have https:// addresses; plain ones would send everything in clear text. */
static enum error check_peer_schemes(const struct config *config, const char *key,
                                     const struct config_list *peers,
                                     struct config_problem *problem)
{
    if (!config->cluster.enabled || !config->cluster.tls.cert[0])
        return ERR_NONE;
    for (size_t i = 0; i < peers->count; i++)
        if (strncmp(peers->items[i], "http://", strlen("http://")) == 0)
            return config_problem_set(problem,
                                      "%s: %s: \"%s\" must begin with https://, because "
                                      "cluster.tls.cert is set (%s)",
                                      config_source_of(config, key), key, peers->items[i],
                                      config_source_of(config, "cluster.tls.cert"));
    return ERR_NONE;
}

static enum error check_different(const struct config *config, struct config_problem *problem)
{
    for (enum config_listener i = 0; i < CONFIG_LISTENERS; i++)
        for (enum config_listener j = 0; j < i; j++) {
            const char *address = config_listener_address(config, i);
            const char *port = strrchr(address, ':');
            if (port && strcmp(port, ":0") != 0 &&
                strcmp(address, config_listener_address(config, j)) == 0)
                return config_problem_set(problem, "%s: %s: must differ from %s, is \"%s\"",
                                          config_source_of(config, config_listener_key(i)),
                                          config_listener_key(i), config_listener_key(j), address);
        }
    return ERR_NONE;
}

/* How to protect each listener. */
static const char *remedy(const struct config *config, enum config_listener listener)
{
    static const char *const remedies[] = {
        [CONFIG_LISTENER_PLAIN] =
            "listen on 127.0.0.1 and serve other hosts at server.tls_listen_addr, or require "
            "tokens (auth.tokens)",
        [CONFIG_LISTENER_TLS] = "require client certificates (tls.client_ca and "
                                "tls.require_client_cert) or tokens (auth.tokens)",
        [CONFIG_LISTENER_PEER] = "set cluster.tls.cert, cluster.tls.key and cluster.tls.ca, or a "
                                 "token of the role peer (auth.tokens)",
    };
    if (requires_certificate(config, listener))
        return "its clients have certificates, but each could replicate; serve peers at "
               "cluster.listen_addr, or require tokens (auth.tokens)";
    return remedies[listener];
}

static enum error check_protected(const struct config *config, struct config_problem *problem)
{
    for (enum config_listener i = 0; i < CONFIG_LISTENERS && !config->server.allow_insecure; i++)
        if (!config_listener_is_protected(config, i))
            return config_problem_set(
                problem,
                "%s: %s: \"%s\" is open to everyone who can reach it; %s; or set "
                "server.allow_insecure = true",
                config_source_of(config, config_listener_key(i)), config_listener_key(i),
                config_listener_address(config, i), remedy(config, i));
    return ERR_NONE;
}

enum error config_listeners_check(const struct config *config, struct config_problem *problem)
{
    enum error error = check_needs(config, problem);
    if (!error)
        error = check_peer_schemes(config, "cluster.peers", &config->cluster.peers, problem);
    if (!error)
        error = check_peer_schemes(config, "cluster.seeds", &config->cluster.seeds, problem);
    if (!error)
        error = check_different(config, problem);
    return error ? error : check_protected(config, problem);
}

void config_listeners_warn(const struct config *config, struct text *out)
{
    for (enum config_listener i = 0; i < CONFIG_LISTENERS; i++) {
        const char *address = config_listener_address(config, i);
        const char *key = config_listener_key(i);
        if (!config_listener_is_protected(config, i))
            text_printf(out,
                        "%s is open to everyone who can reach %s (%s), because "
                        "server.allow_insecure is set\n",
                        key, address, config_source_of(config, key));
        else if (address[0] && config_requires_token(config) &&
                 !config_address_is_loopback(address) && !config_listener_has_tls(config, i))
            text_printf(out, "%s sends tokens in clear text to %s (%s); use TLS\n", key, address,
                        config_source_of(config, key));
    }
}

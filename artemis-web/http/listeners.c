/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/listeners.h"

#include <stdio.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/tls/credential_store.h"
#include "artemis-web/connections/acceptor.h"
#include "artemis-web/connections/listener.h"
#include "artemis-web/http/web_threads.h"

static enum error open_credentials(struct web *web, char problem[WEB_PROBLEM_BYTES])
{
    struct credential_source source;
    static_assert((int)WEB_PROBLEM_BYTES >= (int)CREDENTIALS_PROBLEM_BYTES, "it fits");
    if (!credential_source_of(web->engine->config, CONFIG_LISTENER_TLS, &source))
        return ERR_NONE;
    return credential_store_open(&source, clock_now(), &web->credentials, problem);
}

static struct credential_store *credentials_of(const struct web *web, enum config_listener kind)
{
    if (!config_listener_has_tls(web->engine->config, kind))
        return NULL;
    return kind == CONFIG_LISTENER_PEER ? web->engine->peer_credentials : web->credentials;
}

static struct tls_endpoint endpoint_of(struct web *web, enum config_listener kind)
{
    const struct config *config = web->engine->config;
    bool is_for_peers = kind == CONFIG_LISTENER_PEER;
    return (struct tls_endpoint){
        .listener = config_listener_key(kind),
        .credentials = credentials_of(web, kind),
        .cluster = is_for_peers ? &web->engine->cluster : NULL,
        .requests_certificate = config->tls.client_ca[0],
        .requires_certificate = is_for_peers || config->tls.require_client_cert,
        .counters = &web->tls_counters,
    };
}

static enum error open_one(struct web *web, enum config_listener kind, int *socket,
                           char problem[WEB_PROBLEM_BYTES])
{
    const struct config *config = web->engine->config;
    struct web_listener *listener = &web->listeners[kind];
    *listener = (struct web_listener){
        .web = web,
        .kind = kind,
        .serves_clients = kind != CONFIG_LISTENER_PEER,
        .serves_peers = config_listener_serves_peers(config, kind),
        .tls = endpoint_of(web, kind),
    };
    const char *address = config_listener_address(config, kind);
    if (!address[0])
        return ERR_NONE;
    return listener_open(config_listener_key(kind), address, socket, listener->address,
                         sizeof(listener->address), problem, WEB_PROBLEM_BYTES);
}

enum error listeners_open(struct web *web, struct opened_listeners *opened,
                          char problem[WEB_PROBLEM_BYTES])
{
    for (enum config_listener kind = 0; kind < CONFIG_LISTENERS; kind++)
        opened->sockets[kind] = -1;
    enum error error = open_credentials(web, problem);
    for (enum config_listener kind = 0; kind < CONFIG_LISTENERS && !error; kind++)
        error = open_one(web, kind, &opened->sockets[kind], problem);
    if (!error)
        return ERR_NONE;
    listeners_close(opened);
    credential_store_close(web->credentials);
    web->credentials = NULL;
    return error;
}

void listeners_close(struct opened_listeners *opened)
{
    for (enum config_listener kind = 0; kind < CONFIG_LISTENERS; kind++)
        if (opened->sockets[kind] >= 0)
            close(opened->sockets[kind]);
}

static void on_accepted(void *context, int socket, const struct sockaddr *peer, socklen_t size)
{
    struct web_listener *listener = context;
    const struct connection_origin from = web_origin(listener, peer);
    if (connections_admit(&listener->web->connections, socket, &from, clock_now().mono_ms))
        web_threads_add(listener->threads, socket, peer, size, listener);
    else
        close(socket);
}

enum error listeners_start(struct web *web, struct opened_listeners *opened)
{
    enum error error = ERR_NONE;
    for (enum config_listener kind = 0; kind < CONFIG_LISTENERS && !error; kind++) {
        struct web_listener *listener = &web->listeners[kind];
        listener->threads = listener->tls.credentials ? web->tls_threads : web->threads;
        if (opened->sockets[kind] < 0)
            continue;
        error = acceptor_start(opened->sockets[kind], on_accepted, listener, &listener->acceptor);
        if (!error)
            opened->sockets[kind] = -1;
    }
    return error;
}

void listeners_stop(struct web *web)
{
    for (enum config_listener kind = 0; kind < CONFIG_LISTENERS; kind++) {
        acceptor_stop(web->listeners[kind].acceptor);
        web->listeners[kind].acceptor = NULL;
    }
}

const struct web_listener *listeners_advertised(const struct web *web)
{
    const struct web_listener *tls = &web->listeners[CONFIG_LISTENER_TLS];
    return tls->address[0] ? tls : &web->listeners[CONFIG_LISTENER_PLAIN];
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/peer_client_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel does not deliver data that was not acknowledged within the timeout. */
static int on_socket_open(void *context, curl_socket_t socket, curlsocktype purpose)
{
    const struct peer_client_options *options = context;
    unsigned timeout_ms = (unsigned)options->timeout_ms;
    if (purpose == CURLSOCKTYPE_IPCXN)
        (void)setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    return CURL_SOCKOPT_OK;
}

/* Resets the connection: what an abandoned request still has in the socket is not delivered. */
static int on_socket_close(void *context, curl_socket_t socket)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)context;
    (void)setsockopt(socket, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    return close(socket);
}

static void set_sockets(CURL *curl, const struct peer_client_options *options)
{
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    /* libcurl resolves names in a thread of its own. A lookup that hangs is abandoned, because this
     * thread serves all peers. */
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket_open);
    curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, options);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, on_socket_close);
}

bool peer_client_connection_set(CURL *curl, const struct peer_client_options *options,
                                struct credentials **credentials)
{
    set_sockets(curl, options);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* ignores the environment */
    curl_easy_setopt(curl, CURLOPT_SSLVERSION,
                     options->min_version == TLS_VERSION_1_3 ? (long)CURL_SSLVERSION_TLSv1_3
                                                             : (long)CURL_SSLVERSION_TLSv1_2);
    if (!options->credentials)
        return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    *credentials = credential_store_get(options->credentials);
    const struct {
        CURLoption option;
        const char *text;
    } texts[] = {
        /* libcurl opens a new connection if these paths differ from those of a connection. */
        {CURLOPT_SSLCERT, credentials_path(*credentials, CREDENTIAL_CERT)},
        {CURLOPT_SSLKEY, credentials_path(*credentials, CREDENTIAL_KEY)},
        {CURLOPT_CAINFO, credentials_path(*credentials, CREDENTIAL_CA)},
        {CURLOPT_CAPATH, NULL}, /* no other authorities */
        {CURLOPT_PROTOCOLS_STR, "https"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (curl_easy_setopt(curl, texts[i].option, texts[i].text) != CURLE_OK)
            return false;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/peer_call.h"

#include "artemis/terminal/terminal_text.h"

#include <stdio.h>

/* Whether the hint of the response says what to do: it is about certificates or tokens. */
static bool is_access_refused(const struct call_response *response)
{
    return response->transfer == TRANSFER_NO_TLS || response->transfer == TRANSFER_NOT_TRUSTED ||
           response->transfer == TRANSFER_INTERRUPTED || response->http_status == 401 ||
           response->http_status == 403;
}

int peer_call_report(const struct call_peer *peer, const struct call_response *response)
{
    struct call_outcome outcome;
    json_t *root = NULL;
    char hint[SERVER_URL_MAX + 64];
    call_response_evaluate(response, peer->url.shown, &outcome, &root);
    json_decref(root);
    if (response->http_status == 404)
        snprintf(hint, sizeof hint,
                 "call the address of the node in cluster.peers; or the node is "
                 "older than this artemis");
    else
        snprintf(hint, sizeof hint, "check the node: artemis status --server %s", peer->url.shown);
    if (outcome.exit_code == EXIT_DONE) {
        terminal_text_print_error(stderr, hint, "%s sent an unexpected response", peer->url.shown);
        return EXIT_UNREACHABLE;
    }
    terminal_text_print_error(stderr, is_access_refused(response) ? outcome.hint : hint, "%s",
                              outcome.message);
    return (int)outcome.exit_code;
}

static int identify(struct call_peer *peer, bool prints_error)
{
    struct call_request request = {.path = "/health", .credentials = &peer->credentials};
    struct call_response response;
    curl_call_send(&peer->url, &request, peer->timeout_secs, &response);
    int exit_code = EXIT_DONE;
    if (response.transfer != TRANSFER_DONE || !response.cluster[0])
        exit_code = EXIT_UNREACHABLE;
    if (prints_error && response.transfer != TRANSFER_DONE)
        exit_code = peer_call_report(peer, &response);
    else if (prints_error && exit_code != EXIT_DONE)
        terminal_text_print_error(stderr, "the server may be older than this client",
                                  "%s does not report its cluster", peer->url.shown);
    snprintf(peer->name, sizeof peer->name, "%s", response.node);
    snprintf(peer->cluster, sizeof peer->cluster, "%s", response.cluster);
    snprintf(peer->cluster_header, sizeof peer->cluster_header, "X-Artemis-Cluster: %s",
             response.cluster);
    peer->headers[0] = "X-Artemis-Replication: true";
    peer->headers[1] = peer->cluster_header;
    peer->headers[2] = peer->token_header;
    peer->headers[3] = NULL;
    curl_call_free(&response);
    return exit_code;
}

static int read_token(struct call_peer *peer, const struct args *args)
{
    char problem[ARGS_PROBLEM_MAX];
    char *value;
    enum error error = token_option_read(args, &value, problem);
    if (!error && value && asprintf(&peer->token_header, "Authorization: %s", value) < 0) {
        peer->token_header = NULL;
        error = ERR_NO_MEMORY;
    }
    if (!error || error == ERR_NO_MEMORY)
        token_option_free(value);
    if (error == ERR_NO_MEMORY)
        return server_call_no_memory();
    if (error)
        terminal_text_print_error(stderr, NULL, "%s", problem);
    return error ? EXIT_USAGE : EXIT_DONE;
}

int peer_call_identify(struct call_peer *peer, const struct args *args)
{
    int exit_code = read_token(peer, args);
    return exit_code == EXIT_DONE ? identify(peer, true) : exit_code;
}

void peer_call_free(struct call_peer *peer)
{
    token_option_free(peer->token_header);
    peer->token_header = NULL;
}

int peer_call_find(struct call_peer *peer, const struct args *args)
{
    struct server_list servers;
    int exit_code = server_call_servers(args, &servers);
    if (exit_code != EXIT_DONE)
        return exit_code;
    exit_code = read_token(peer, args);
    if (exit_code == EXIT_DONE)
        exit_code = EXIT_UNREACHABLE;
    peer->timeout_secs = args_number(args, "timeout");
    server_credentials_read(args, &peer->credentials);
    for (size_t i = 0; i < servers.count && exit_code == EXIT_UNREACHABLE; i++) {
        peer->url = servers.urls[i];
        exit_code = identify(peer, i + 1 == servers.count);
    }
    server_list_free(&servers);
    return exit_code;
}

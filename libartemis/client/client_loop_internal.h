/* SPDX-License-Identifier: Apache-2.0
 *
 * client_loop_internal - what the files of the loop share: client_loop.c (turns and callbacks),
 * client_loop_requests.c (HTTP requests), client_loop_push.c (the push connection, the service
 * caches and the topics), client_loop_events.c (publications) and client_loop_nodes.c (the nodes of
 * the cluster).
 *
 * Client's thread.
 */
#pragma once

#include "libartemis/client/client_loop.h"
#include "libartemis/wire/node_list.h"

enum { NO_MEMORY_PAUSE_MS = 1000 };

enum call_kind { CALL_REGISTRY, CALL_FETCH, CALL_PUBLISH, CALL_NODES };

/* What an HTTP call is for, and its decoded response. */
struct call_context {
    enum call_kind kind;
    struct registry_request request; /* of the registry */
    char id[ID_BYTES_MAX + 1];       /* of the fetched service */
    uint64_t generation;             /* of the fetch */
    struct artemis_client *client;   /* of a publication */

    struct wire_reader reader;
    bool readable; /* the response is one of an Artemis server */
    bool failed;   /* another server may succeed */
    char problem[HTTP_PROBLEM_MAX];
    struct wire_result result;          /* unless it is a fetch */
    struct wire_instances instances;    /* of a fetch */
    bool unchanged;                     /* of a fetch: 304 */
    struct artemis_published published; /* of a publication */
    bool withheld;                      /* of a publication: its body must not be sent any more */
    struct node_list *nodes;            /* of a request for the nodes; otherwise NULL */
};

/* Queues a line for the log callback. Under the lock. */
void loop_log(struct artemis_client *client, enum artemis_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *loop_url(const struct artemis_client *client, size_t server);
/* Writes "URL: PROBLEM" to `out`, and returns it. */
const char *loop_set_problem(const struct artemis_client *client, char out[CLIENT_PROBLEM_MAX],
                             size_t server, const char *problem);

/* Under the lock: starts what is due. *at_ms becomes the time of the next action, if it is
 * earlier. */
void loop_start_registry_request(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms);
void loop_start_sync(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms);
void loop_start_publication(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms);
void loop_start_nodes(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms);
/* False: no memory. */
bool loop_start_fetch(struct artemis_client *client, struct sync_action *action);

/* Creates both or neither. False: no memory. */
bool loop_create_call(struct http_call **call, struct call_context **context);
/* Starts the call, which then owns its context. False: no memory; both are freed. */
bool loop_start_call(struct artemis_client *client, struct http_call *call);

/* Without the lock: takes the calls that have ended, and decodes their responses. */
void loop_take_calls(struct artemis_client *client, struct http_calls *calls);
/* Under the lock: applies and frees the calls. */
void loop_apply_calls(struct artemis_client *client, struct http_calls *calls);
/* Ends and frees all calls. */
void loop_cancel_calls(struct artemis_client *client);

/* Under the lock: applies the response of a fetch. */
void loop_apply_fetch(struct artemis_client *client, struct http_call *call, uint64_t now_ms);
/* The same for a publication. */
void loop_apply_publication(struct artemis_client *client, struct http_call *call, uint64_t now_ms);
/* The same for the nodes of the cluster. No other call may be taken and not applied. */
void loop_apply_nodes(struct artemis_client *client, struct http_call *call, uint64_t now_ms);
/* Under the lock: applies the state of the push socket and the pending pushes. */
void loop_apply_socket(struct artemis_client *client, enum push_state state);
void loop_drop_socket(struct artemis_client *client);

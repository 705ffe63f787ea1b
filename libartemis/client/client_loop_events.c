/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP requests of the loop that publish events.
 */
#include "libartemis/client/client_loop_internal.h"

#include "libartemis/base/clock.h"

/* Without the lock. The publication stays in flight until the call has ended. */
static bool may_send(void *context)
{
    struct call_context *call_context = context;
    struct artemis_client *client = call_context->client;
    pthread_mutex_lock(&client->lock);
    bool may = publication_may_send(client->shared.publications.in_flight);
    pthread_mutex_unlock(&client->lock);
    call_context->withheld = !may;
    return may;
}

static bool send_publication(struct artemis_client *client, size_t server,
                             const struct publication *publication)
{
    struct http_call *call;
    struct call_context *context;
    if (!loop_create_call(&call, &context))
        return false;
    call->server = server;
    call->may_send = may_send;
    text_append_string(&call->path, "/api/events/publish");
    text_append(&call->body, publication->body.data, publication->body.size);
    context->kind = CALL_PUBLISH;
    context->client = client;
    wire_reader_start_published(&context->reader, &context->result, &context->published);
    return loop_start_call(client, call);
}

static void end_expired(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    struct publication *expired;
    while ((expired = publications_expired(&client->shared.publications, now_ms, at_ms))) {
        loop_log(client, ARTEMIS_LOG_WARNING, "an event of %s was not published in time%s%s",
                 expired->topic, expired->cause[0] ? ": " : "", expired->cause);
        publication_free(expired);
    }
}

void loop_start_publication(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    struct publications *publications = &client->shared.publications;
    size_t server = 0;
    uint64_t next_ms = UINT64_MAX;
    end_expired(client, now_ms, at_ms);
    if (!publications_is_due(publications))
        return;
    if (servers_choose(&client->shared.event_servers, now_ms, &server, &next_ms)) {
        if (send_publication(client, server, publications_next(publications)))
            return;
        publications_retry(publications, "out of memory");
        next_ms = now_ms + NO_MEMORY_PAUSE_MS;
    }
    if (next_ms < *at_ms)
        *at_ms = next_ms;
}

/* Ends the one in flight. A failure without a caller is logged. */
static void fail(struct artemis_client *client, enum artemis_error error, const char *cause)
{
    const struct publication *publication = client->shared.publications.in_flight;
    if (!publication->has_caller && !publication->withdrawn)
        loop_log(client, ARTEMIS_LOG_WARNING, "an event of %s %s: %s", publication->topic,
                 error == ARTEMIS_UNCERTAIN ? "may not have been published" : "was not published",
                 cause);
    publications_end(&client->shared.publications, error, cause, NULL);
}

/* What the attempt says about the server. */
static void count_attempt(struct artemis_client *client, const struct http_call *call,
                          enum publication_result result, uint64_t now_ms)
{
    const struct call_context *context = call->context;
    struct servers *servers = &client->shared.event_servers;
    if (context->withheld)
        return; /* the caller had left: the server did not get the request */
    if (result == PUBLICATION_RETRYABLE || result == PUBLICATION_UNCERTAIN)
        servers_failed(servers, call->server, now_ms, call->retry_after_ms, client_clock_random());
    else
        servers_succeeded(servers, call->server);
    if (context->readable)
        node_refresh_on_publication(&client->shared.refresh, call->server);
}

void loop_apply_publication(struct artemis_client *client, struct http_call *call, uint64_t now_ms)
{
    struct publications *publications = &client->shared.publications;
    const struct call_context *context = call->context;
    const struct publication_response response = {
        .answered = call->answered,
        .readable = context->readable,
        .status = call->status,
        .result = &context->result,
    };
    enum publication_result result = publication_result_of(publications->in_flight, &response);
    char cause[CLIENT_PROBLEM_MAX];
    loop_set_problem(client, cause, call->server, context->problem);
    count_attempt(client, call, result, now_ms);
    if (result == PUBLICATION_RETRYABLE)
        publications_retry(publications, cause);
    else if (result == PUBLICATION_UNCERTAIN)
        fail(client, ARTEMIS_UNCERTAIN, cause);
    else if (result == PUBLICATION_REJECTED)
        fail(client, ARTEMIS_REFUSED, context->result.message);
    else
        publications_end(publications, ARTEMIS_OK, "", &context->published);
}

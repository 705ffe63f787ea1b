/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls of artemis.h for events of topics: artemis_publish, artemis_subscribe_topic.
 */
#include "libartemis/base/clock.h"
#include "libartemis/base/problem.h"
#include "libartemis/client/client.h"

#include "artemis-core/json/codec_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- arguments -------------------------------------------------------------------------------- */

static enum artemis_error check_topic(const char *topic, struct artemis_problem *problem)
{
    char quoted[TOPIC_BYTES_MAX + 32];
    if (!topic)
        return problem_set(problem, ARTEMIS_INVALID, "topic: is required");
    if (topic_name_is_valid(slice_of(topic)))
        return ARTEMIS_OK;
    text_quote(quoted, sizeof quoted, slice_of(topic));
    return problem_set(problem, ARTEMIS_INVALID, "topic: %s, is %s", topic_name_rule, quoted);
}

/* Writes the body of the request. */
static enum artemis_error write_body(const char *topic, const char *payload, struct text *body,
                                     struct artemis_problem *problem)
{
    char message[MESSAGE_BYTES];
    char *compact;
    if (!payload)
        return problem_set(problem, ARTEMIS_INVALID, "payload: is required");
    enum error error = event_payload_read(slice_of(payload), &compact, message);
    if (error == ERR_NO_MEMORY)
        return problem_no_memory(problem);
    if (error)
        return problem_set(problem, ARTEMIS_INVALID, "%s", message);
    wire_write_event(body, topic, slice_of(compact));
    free(compact);
    return text_failed(body) ? problem_no_memory(problem) : ARTEMIS_OK;
}

/* --- publish ---------------------------------------------------------------------------------- */

static bool is_done(void *context)
{
    const struct publication *publication = context;
    return publication->done;
}

/* Under the lock: the caller does not wait any longer. */
static enum artemis_error leave(struct artemis_client *client, struct publication *publication,
                                int timeout_ms, struct artemis_problem *problem)
{
    char cause[PUBLICATION_CAUSE_MAX];
    if (publications_leave(&client->shared.publications, publication, cause))
        return problem_set(problem, ARTEMIS_UNCERTAIN,
                           "no server has answered in %d ms; the event may have been published",
                           timeout_ms);
    return problem_set(problem, ARTEMIS_TIMED_OUT, "not published in %d ms%s%s", timeout_ms,
                       *cause ? ": " : "", cause);
}

/* Under the lock: takes over the result. */
static enum artemis_error finish(struct publication *publication,
                                 struct artemis_published *published,
                                 struct artemis_problem *problem)
{
    enum artemis_error error = publication->error;
    if (error == ARTEMIS_UNCERTAIN)
        problem_set(problem, error, "the event may have been published: %s", publication->cause);
    else if (error)
        problem_set(problem, error, "%s", publication->cause);
    else if (published)
        *published = publication->published;
    publication_free(publication);
    return error;
}

/* Under the lock. Takes over the body if it succeeds. */
static enum artemis_error publish(struct artemis_client *client, const char *topic,
                                  struct text *body, int timeout_ms,
                                  struct artemis_published *published,
                                  struct artemis_problem *problem)
{
    struct publication *publication;
    bool waits = timeout_ms > 0;
    uint64_t limit_ms = waits ? (uint64_t)timeout_ms : client->settings.attempt_timeout_ms;
    uint64_t deadline_ms = client_clock_ms() + limit_ms;
    enum error error = publications_add(&client->shared.publications, topic, body, deadline_ms,
                                        waits, &publication);
    if (error == ERR_TOO_MANY_EVENTS)
        return problem_set(problem, ARTEMIS_OVER_LIMIT,
                           "%d events of this client wait to be published", PUBLICATIONS_MAX);
    if (error)
        return problem_no_memory(problem);
    http_wake(client->http);
    if (!waits)
        return ARTEMIS_OK;
    if (!client_wait(client, is_done, publication, deadline_ms))
        return leave(client, publication, timeout_ms, problem);
    return finish(publication, published, problem);
}

enum artemis_error artemis_publish(struct artemis_client *client, const char *topic,
                                   const char *payload, int timeout_ms,
                                   struct artemis_published *published,
                                   struct artemis_problem *problem)
{
    struct text body = {0};
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (!error)
        error = check_topic(topic, problem);
    if (!error && topic_name_is_reserved(slice_of(topic)))
        error = problem_set(problem, ARTEMIS_INVALID,
                            "topic: names that begin with \"artemis.\" are reserved for events of "
                            "nodes, is \"%s\"",
                            topic);
    if (!error)
        error = write_body(topic, payload, &body, problem);
    if (!error) {
        pthread_mutex_lock(&client->lock);
        error = publish(client, topic, &body, timeout_ms, published, problem);
        pthread_mutex_unlock(&client->lock);
    }
    text_free(&body);
    return error;
}

/* --- subscribe -------------------------------------------------------------------------------- */

static bool is_answered(void *context)
{
    const struct artemis_subscription *subscription = context;
    return subscription->is_active || subscription->topic->refused;
}

static bool is_not_running(void *context)
{
    const struct artemis_subscription *subscription = context;
    return subscription->client->shared.running != subscription;
}

/* Under the lock: ends the subscription, and releases the caller's reference. */
static void end_subscription(struct artemis_subscription *subscription)
{
    struct artemis_client *client = subscription->client;
    if (subscription->topic)
        topic_sync_remove(&client->shared.topics, subscription);
    if (!client_is_loop(client))
        (void)client_wait(client, is_not_running, subscription, UINT64_MAX / 2);
    http_wake(client->http);
    subscription_unref(subscription);
}

/* Under the lock. */
static enum artemis_error begin_subscription(struct artemis_client *client,
                                             struct artemis_subscription *subscription,
                                             int timeout_ms, struct artemis_problem *problem)
{
    uint64_t deadline_ms = client_clock_ms() + (uint64_t)timeout_ms;
    enum error error = topic_sync_add(&client->shared.topics, subscription);
    if (error == ERR_TOO_MANY_ITEMS)
        return problem_set(problem, ARTEMIS_OVER_LIMIT,
                           "topic: a client may subscribe to %d topics", TOPICS_MAX);
    if (error)
        return problem_no_memory(problem);
    http_wake(client->http);
    if (timeout_ms == 0)
        return ARTEMIS_OK;
    const char *cause = client->shared.push_problem;
    if (!client_wait(client, is_answered, subscription, deadline_ms))
        return problem_set(problem, ARTEMIS_TIMED_OUT, "not subscribed in %d ms%s%s", timeout_ms,
                           *cause ? ": " : "", cause);
    if (!subscription->is_active)
        return problem_set(problem, ARTEMIS_REFUSED, "%s", subscription->topic->reason);
    return ARTEMIS_OK;
}

enum artemis_error artemis_subscribe_topic(struct artemis_client *client, const char *topic,
                                           artemis_event_fn *callback, void *context,
                                           int timeout_ms, struct artemis_subscription **out,
                                           struct artemis_problem *problem)
{
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (!error && (!callback || !out))
        error = problem_set(problem, ARTEMIS_INVALID, "callback and subscription: are required");
    if (!error)
        error = check_topic(topic, problem);
    if (error)
        return error;
    struct artemis_subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        return problem_no_memory(problem);
    subscription->client = client;
    subscription->callback = callback;
    subscription->context = context;
    subscription->refs = 1;
    snprintf(subscription->name, sizeof subscription->name, "%s", topic);
    pthread_mutex_lock(&client->lock);
    error = begin_subscription(client, subscription, timeout_ms, problem);
    if (error)
        end_subscription(subscription);
    else
        *out = subscription;
    pthread_mutex_unlock(&client->lock);
    return error;
}

void artemis_unsubscribe_topic(struct artemis_subscription *subscription)
{
    if (!subscription)
        return;
    struct artemis_client *client = subscription->client;
    pthread_mutex_lock(&client->lock);
    end_subscription(subscription);
    pthread_mutex_unlock(&client->lock);
}

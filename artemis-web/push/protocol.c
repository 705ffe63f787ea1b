/* SPDX-License-Identifier: Apache-2.0
 *
 * What the messages of clients mean: the native protocol on /ws, and the three of the Java clients.
 */
#include <stdio.h>
#include <stdlib.h>

#include "artemis-server/clock.h"
#include "artemis-server/registry/registry_watch.h"
#include "artemis-web/push/push_internal.h"
#include "artemis-web/registry_calls.h"

/* --- subscriptions ---------------------------------------------------------------------------- */

static struct subscription *find(const struct websocket *websocket, const struct topic *topic)
{
    struct subscription *subscription = websocket->subscriptions;
    while (subscription && subscription->subscriber.topic != topic)
        subscription = subscription->next;
    return subscription;
}

struct subscription *subscription_add(struct websocket *websocket, struct slice service_id,
                                      enum push_form form, bool *is_new)
{
    struct push *push = websocket->push;
    struct topic *topic = topics_take(&push->topics, service_id);
    *is_new = false;
    if (!topic)
        return NULL;
    struct subscription *subscription = find(websocket, topic);
    if (subscription) {
        topic->readers[subscription->form]--;
        topic->readers[form]++;
        subscription->form = form;
        return subscription;
    }
    if (websocket->subscription_count < SUBSCRIPTIONS_MAX &&
        atomic_load(&push->counters.subscriptions) < SUBSCRIPTIONS_ALL_MAX)
        subscription = malloc(sizeof(*subscription));
    if (!subscription) {
        topics_release(&push->topics, topic);
        return NULL;
    }
    push_start_reading(push);
    *subscription = (struct subscription){
        .websocket = websocket, .form = form, .next = websocket->subscriptions};
    topic_link(topic, SUBSCRIBER_WEBSOCKET, &subscription->subscriber);
    topic->readers[form]++;
    if (subscription->next)
        subscription->next->prev = subscription;
    websocket->subscriptions = subscription;
    websocket->subscription_count++;
    push_count(&push->counters.subscriptions, 1);
    *is_new = true;
    return subscription;
}

void subscription_remove(struct subscription *subscription)
{
    struct websocket *websocket = subscription->websocket;
    struct topic *topic = subscription->subscriber.topic;
    send_queue_forget(&websocket->queue, subscription);
    topic_unlink(&subscription->subscriber, SUBSCRIBER_WEBSOCKET);
    topic->readers[subscription->form]--;
    topics_release(&websocket->push->topics, topic);
    if (subscription->prev)
        subscription->prev->next = subscription->next;
    else
        websocket->subscriptions = subscription->next;
    if (subscription->next)
        subscription->next->prev = subscription->prev;
    websocket->subscription_count--;
    push_uncount(&websocket->push->counters.subscriptions);
    free(subscription);
}

/* --- /ws -------------------------------------------------------------------------------------- */

struct client_message {
    struct slice type;
    struct slice service_id; /* as sent */
    struct slice run;
    uint64_t version; /* UINT64_MAX: none */
    bool camel;
    char id[ID_BYTES_MAX]; /* of the service, canonical */
    size_t id_size;
};

static enum error read_fields(struct document *document, struct client_message *received,
                              char message[MESSAGE_BYTES])
{
    enum error error = document_text(document, "type", &received->type, message);
    if (!error)
        error = document_text(document, "service_id", &received->service_id, message);
    if (!error)
        error = document_text(document, "run", &received->run, message);
    if (!error)
        error = document_u64(document, "version", &received->version, message);
    received->camel = document_is_camel(document);
    return error;
}

static enum error read_id(struct client_message *received, char message[MESSAGE_BYTES])
{
    struct field_problem problem;
    enum error error =
        service_id_canonical(received->service_id, received->id, &received->id_size, &problem);
    if (error)
        snprintf(message, MESSAGE_BYTES, "service_id: %s", problem.problem);
    return error;
}

static void subscribe(struct websocket *websocket, const struct client_message *received,
                      struct text *out, char message[MESSAGE_BYTES])
{
    struct push *push = websocket->push;
    struct slice id = {received->id, received->id_size};
    const char *run = push->engine->epoch;
    bool is_new;
    struct subscription *subscription =
        subscription_add(websocket, id, received->camel ? FORM_CAMEL : FORM_NATIVE, &is_new);
    if (!subscription) {
        snprintf(
            message, MESSAGE_BYTES,
            "service_id: a connection may have %d subscriptions, all together %d, and the node "
            "must have memory for them",
            SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_ALL_MAX);
        return;
    }
    /* What is in the log and was not handed out yet is older than the subscription, or comes. */
    if (received->version != UINT64_MAX &&
        ((received->run.size && !slice_equal(received->run, slice_of(run))) ||
         push_has_newer(push, id, received->version)))
        subscription_mark_lagging(subscription);
    message_subscribed(out, id, atomic_load(&push->dispatched), run);
}

static void unsubscribe(struct websocket *websocket, const struct client_message *received,
                        struct text *out)
{
    struct slice id = {received->id, received->id_size};
    const struct topic *topic = topics_find(&websocket->push->topics, id);
    struct subscription *subscription = topic ? find(websocket, topic) : NULL;
    if (subscription)
        subscription_remove(subscription);
    message_unsubscribed(out, id);
}

/* Leaves a sentence in *message where there is nothing to answer but an error. */
static void answer_native(struct websocket *websocket, struct client_message *received,
                          struct text *out, char message[MESSAGE_BYTES])
{
    bool subscribes = slice_equal(received->type, SLICE("subscribe"));
    if (slice_equal(received->type, SLICE("ping"))) {
        message_pong(out);
        return;
    }
    if (!subscribes && !slice_equal(received->type, SLICE("unsubscribe"))) {
        char quoted[160] = "missing";
        if (received->type.data)
            text_quote(quoted, sizeof(quoted), received->type);
        snprintf(message, MESSAGE_BYTES, "type: must be subscribe, unsubscribe or ping, is %s",
                 quoted);
        return;
    }
    if (read_id(received, message))
        return;
    if (subscribes)
        subscribe(websocket, received, out, message);
    else
        unsubscribe(websocket, received, out);
}

static void on_native(struct websocket *websocket, struct slice text)
{
    struct push *push = websocket->push;
    struct client_message received = {.version = UINT64_MAX};
    struct document *document;
    char message[MESSAGE_BYTES] = "";
    struct text *out = &push->scratch[1];
    text_clear(out);
    enum error error = document_parse(text, &document, message);
    if (!error) {
        error = read_fields(document, &received, message);
        if (!error)
            answer_native(websocket, &received, out, message);
        document_free(document);
    }
    if (message[0] || error)
        message_error(out, message[0] ? message : error_info(error)->message);
    websocket_reply(websocket, out);
}

/* --- the Java endpoints ----------------------------------------------------------------------- */

static void write_plain_success(struct text *out)
{
    struct json_writer w = jw_to(out, CASING_CAMEL);
    jw_open(&w, '{');
    jw_name(&w, "failed_instances");
    jw_null(&w);
    codec_write_status(&w, DIALECT_JAVA, ERR_NONE, NULL, false);
    jw_close(&w, '}');
}

/* By the rules of HTTP, with one exception: what cannot be read is answered with success, as the
 * Java servers do. */
static void on_java_heartbeat(struct websocket *websocket, struct slice text)
{
    struct push *push = websocket->push;
    char message[MESSAGE_BYTES] = "";
    struct text response = {0};
    struct batch_call call = {
        .engine = push->engine,
        .now = clock_now(),
        .body = text,
        .java = true,
        .failed_bytes_max = JAVA_MESSAGE_BYTES_MAX,
        .response = &response,
    };
    enum error error = engine_admit(push->engine, false, call.now);
    if (!error)
        error = registry_call_heartbeat(&call, message);
    if (error == ERR_INVALID_JSON)
        write_plain_success(&response);
    else if (error)
        codec_write_error(&response, DIALECT_JAVA, error, message[0] ? message : NULL);
    websocket_reply(websocket, &response);
    text_free(&response);
}

/* One DiscoveryConfig; nothing is answered, and a bad one is ignored, as the Java servers do. */
static void on_java_subscription(struct websocket *websocket, struct slice text)
{
    char message[MESSAGE_BYTES];
    struct document *document;
    struct client_message received = {0};
    bool is_new;
    if (document_parse(text, &document, message))
        return;
    enum error error = document_text(document, "service_id", &received.service_id, message);
    if (!error)
        error = read_id(&received, message);
    document_free(document);
    if (error)
        return;
    if (!subscription_add(websocket, (struct slice){received.id, received.id_size}, FORM_JAVA,
                          &is_new))
        websocket_close(websocket, WSLAY_CODE_POLICY_VIOLATION, "too many subscriptions");
}

static void ignore(struct websocket *websocket, struct slice text)
{
    (void)websocket;
    (void)text;
}

void protocol_begin(struct websocket *websocket)
{
    bool is_new;
    if (websocket->endpoint == ENDPOINT_JAVA_ALL_CHANGES &&
        !subscription_add(websocket, SLICE("*"), FORM_JAVA, &is_new))
        websocket_end(websocket);
}

void protocol_text(struct websocket *websocket, struct slice message)
{
    static void (*const readers[ENDPOINT_COUNT])(struct websocket *, struct slice) = {
        [ENDPOINT_NATIVE] = on_native,
        [ENDPOINT_JAVA_HEARTBEAT] = on_java_heartbeat,
        [ENDPOINT_JAVA_CHANGES] = on_java_subscription,
        [ENDPOINT_JAVA_ALL_CHANGES] = ignore,
    };
    readers[websocket->endpoint](websocket, message);
}

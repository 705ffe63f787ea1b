/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/protocol.h"

#include <stdio.h>
#include <wslay/wslay.h>

#include "artemis-core/model/topic_name.h"
#include "artemis-server/clock.h"
#include "artemis-server/registry/registry.h"
#include "artemis-web/registry_calls.h"

static struct client client_of(const struct websocket *websocket)
{
    return (struct client){websocket->token ? websocket->token->name : NULL, &websocket->address};
}

/* Each message that is no heartbeat is a discovery call of the client, as a lookup is. */
static enum error admit_discovery(const struct websocket *websocket)
{
    struct push *push = websocket->push;
    const struct client client = client_of(websocket);
    return call_limits_admit(&push->engine->limits, CALL_DISCOVERY, &client, push->now.mono_ms);
}

/* --- /ws -------------------------------------------------------------------------------------- */

struct client_message {
    struct slice type;
    struct slice service_id; /* as sent */
    struct slice topic;      /* of events */
    struct slice epoch;      /* `run` on the wire */
    uint64_t revision;       /* `version` on the wire; UINT64_MAX: none */
    bool camel;
    bool has_filter;
    struct instance_filter filter; /* its texts are borrowed from the message */
    char id[ID_BYTES_MAX];         /* of the service, canonical */
    size_t id_size;
};

static enum error read_fields(struct document *document, struct client_message *received,
                              char message[MESSAGE_BYTES])
{
    enum error error = document_text(document, "type", &received->type, message);
    if (!error)
        error = document_text(document, "service_id", &received->service_id, message);
    if (!error)
        error = document_text(document, "topic", &received->topic, message);
    if (!error)
        error = document_text(document, "run", &received->epoch, message);
    if (!error)
        error = document_u64(document, "version", &received->revision, message);
    if (!error)
        error = document_filter(document, &received->filter, &received->has_filter, message);
    received->camel = document_names(document) == NAMES_CAMEL;
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

/* Whether the client has missed changes of the service since the version that it names. Changes
 * that are in the log and not dispatched yet need no resync: they are older than the subscription,
 * or are dispatched to it. Without a version, a client with a filter gets the state first: what it
 * knows of the service may have been selected in another way. */
static bool is_outdated(const struct push *push, const struct client_message *received,
                        struct slice id)
{
    if (received->revision == UINT64_MAX)
        return received->has_filter;
    bool other_epoch =
        received->epoch.size && !slice_equal(received->epoch, slice_of(push->engine->epoch));
    return other_epoch || registry_has_newer(push->engine->registry, id, received->revision);
}

/* "*" is all services. */
static bool may_see(const struct websocket *websocket, struct slice id)
{
    return slice_equal(id, SLICE("*")) ? token_reads_all(websocket->token)
                                       : token_may_read(websocket->token, id);
}

static void subscribe(struct websocket *websocket, const struct client_message *received,
                      struct text *response, char message[MESSAGE_BYTES])
{
    struct push *push = websocket->push;
    struct slice id = {received->id, received->id_size};
    char problem[SUBSCRIPTION_PROBLEM_BYTES];
    if (!may_see(websocket, id)) {
        snprintf(message, MESSAGE_BYTES, "service_id: token \"%s\" may not see this service",
                 websocket->token->name);
        return;
    }
    struct subscription *subscription =
        subscription_add(websocket, id, received->camel ? FORM_CAMEL : FORM_NATIVE,
                         received->has_filter ? &received->filter : NULL, problem);
    if (!subscription) {
        snprintf(message, MESSAGE_BYTES, "%s: cannot subscribe: %s",
                 received->has_filter ? "filter" : "service_id", problem);
        return;
    }
    if (is_outdated(push, received, id))
        subscription_set_state(subscription, SUBSCRIPTION_LAGGING);
    message_subscribed(response, id, atomic_load(&push->dispatched), push->engine->epoch,
                       received->has_filter);
}

static void unsubscribe(struct websocket *websocket, const struct client_message *received,
                        struct text *response)
{
    struct slice id = {received->id, received->id_size};
    const struct topic *topic = topics_find(&websocket->push->topics, id);
    struct subscription *subscription = topic ? subscription_find(websocket, topic) : NULL;
    if (subscription)
        subscription_end(subscription);
    message_unsubscribed(response, id);
}

/* --- topics of events ------------------------------------------------------------------------- */

/* Events of nodes are for operators, as GET /api/cluster/events is. The services of a token limit
 * the other topics, too. */
static bool may_see_topic(const struct websocket *websocket, struct slice topic)
{
    const struct token *token = websocket->token;
    if (token && topic_name_is_reserved(topic))
        return auth_role_allows(token->role, ROLE_OPERATOR);
    return token_may_read(token, topic);
}

static void subscribe_topic(struct websocket *websocket, const struct client_message *received,
                            struct text *response, char message[MESSAGE_BYTES])
{
    struct slice topic = received->topic;
    char problem[SUBSCRIPTION_PROBLEM_BYTES];
    if (!may_see_topic(websocket, topic))
        snprintf(message, MESSAGE_BYTES, "topic: token \"%s\" may not see \"%.*s\"",
                 websocket->token->name, (int)topic.size, topic.data);
    else if (!subscription_add_events(websocket, topic, problem))
        snprintf(message, MESSAGE_BYTES, "topic: cannot subscribe to \"%.*s\": %s", (int)topic.size,
                 topic.data, problem);
    else
        message_subscribed_topic(response, topic);
}

static void unsubscribe_topic(struct websocket *websocket, struct slice name, struct text *response)
{
    const struct topic *topic = topics_find(&websocket->push->event_topics, name);
    struct subscription *subscription = topic ? subscription_find(websocket, topic) : NULL;
    if (subscription)
        subscription_end(subscription);
    message_unsubscribed_topic(response, name);
}

/* False: it is a message of another type. */
static bool handle_topic_message(struct websocket *websocket, const struct client_message *received,
                                 struct text *response, char message[MESSAGE_BYTES])
{
    bool subscribes = slice_equal(received->type, SLICE("subscribe_topic"));
    if (!subscribes && !slice_equal(received->type, SLICE("unsubscribe_topic")))
        return false;
    if (!topic_name_is_valid(received->topic)) {
        char quoted[160] = "missing";
        if (received->topic.data)
            text_quote(quoted, sizeof(quoted), received->topic);
        snprintf(message, MESSAGE_BYTES, "topic: %s, is %s", topic_name_rule, quoted);
    } else if (subscribes) {
        subscribe_topic(websocket, received, response, message);
    } else {
        unsubscribe_topic(websocket, received->topic, response);
    }
    return true;
}

/* Writes the response, or an error into *message. */
static void handle_native(struct websocket *websocket, struct client_message *received,
                          struct text *response, char message[MESSAGE_BYTES])
{
    bool subscribes = slice_equal(received->type, SLICE("subscribe"));
    if (slice_equal(received->type, SLICE("ping"))) {
        message_pong(response);
        return;
    }
    if (handle_topic_message(websocket, received, response, message))
        return;
    if (!subscribes && !slice_equal(received->type, SLICE("unsubscribe"))) {
        char quoted[160] = "missing";
        if (received->type.data)
            text_quote(quoted, sizeof(quoted), received->type);
        snprintf(
            message, MESSAGE_BYTES,
            "type: must be subscribe, unsubscribe, subscribe_topic, unsubscribe_topic or ping, "
            "is %s",
            quoted);
        return;
    }
    if (read_id(received, message))
        return;
    if (subscribes)
        subscribe(websocket, received, response, message);
    else
        unsubscribe(websocket, received, response);
}

static void on_native(struct websocket *websocket, struct slice text)
{
    struct client_message received = {.revision = UINT64_MAX};
    struct document *document = NULL;
    struct text response = {0};
    char message[MESSAGE_BYTES] = "";
    enum error refused = admit_discovery(websocket);
    enum error error = document_parse(text, &document, message);
    if (!error)
        error = read_fields(document, &received, message);
    if (refused) {
        engine_describe_limit(websocket->push->engine, CALL_DISCOVERY, refused, message);
        message_refused(&response, refused, message, received.service_id, received.topic);
    } else {
        if (!error)
            handle_native(websocket, &received, &response, message);
        if (message[0] || error)
            message_error(&response, message[0] ? message : error_info(error)->message,
                          received.service_id, received.topic);
    }
    document_free(document);
    websocket_respond(websocket, &response);
    text_free(&response);
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

/* Responds as the HTTP route does, except that a message which is not JSON gets a success, as the
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
        .token = websocket->token,
        .failed_bytes_max = JAVA_MESSAGE_BYTES_MAX,
        .response = &response,
    };
    const struct client client = client_of(websocket);
    enum error error = engine_admit(push->engine, CALL_HEARTBEAT, &client, call.now);
    if (error == ERR_RATE_LIMITED || error == ERR_CLIENT_RATE_LIMITED)
        engine_describe_limit(push->engine, CALL_HEARTBEAT, error, message);
    if (!error)
        error = registry_call_heartbeat(&call, message);
    text_append_slice(&response, call.success);
    if (error == ERR_INVALID_JSON)
        write_plain_success(&response);
    else if (error)
        codec_write_error(&response, DIALECT_JAVA, error, message[0] ? message : NULL);
    websocket_respond(websocket, &response);
    text_free(&response);
}

/* A Java client names no version when it subscribes, so it may have missed changes since its
 * lookup. A reload makes it look up again. A service that is not known here has nothing to look up,
 * except that on a node of a cluster that has just started it may have been removed elsewhere. A
 * single node that has just started reloads when clients have had time to register again (push.c):
 * until then a lookup would return an empty list. */
static bool needs_reload(const struct push *push, struct slice id)
{
    const struct engine *engine = push->engine;
    return registry_service_revision(engine->registry, id) != 0 ||
           (engine->replication && engine_is_recently_started(engine, push->now));
}

/* Subscribes to the service of a DiscoveryConfig. There is no response, and an invalid message is
 * ignored, as the Java servers do. A message over a rate limit ends the WebSocket: its client
 * connects again and repeats its subscriptions. */
static void on_java_subscription(struct websocket *websocket, struct slice text)
{
    char message[MESSAGE_BYTES];
    struct document *document;
    struct client_message received = {0};
    if (admit_discovery(websocket)) {
        websocket_close(websocket, CODE_TRY_AGAIN_LATER, "over the rate limit; connect again");
        return;
    }
    if (document_parse(text, &document, message))
        return;
    enum error error = document_text(document, "service_id", &received.service_id, message);
    if (!error)
        error = read_id(&received, message);
    document_free(document);
    if (error)
        return;
    struct slice id = {received.id, received.id_size};
    if (!may_see(websocket, id)) {
        websocket_close(websocket, WSLAY_CODE_POLICY_VIOLATION,
                        "the token does not allow this service");
        return;
    }
    const struct topic *topic = topics_find(&websocket->push->topics, id);
    /* A client that subscribes again after each reload would otherwise never end. */
    bool is_new = !topic || !subscription_find(websocket, topic);
    char problem[SUBSCRIPTION_PROBLEM_BYTES];
    struct subscription *subscription = subscription_add(websocket, id, FORM_JAVA, NULL, problem);
    if (!subscription)
        websocket_close(websocket, WSLAY_CODE_POLICY_VIOLATION, "too many subscriptions");
    else if (is_new && needs_reload(websocket->push, id))
        subscription_set_state(subscription, SUBSCRIPTION_LAGGING);
}

static void ignore(struct websocket *websocket, struct slice text)
{
    (void)websocket;
    (void)text;
}

void protocol_start(struct websocket *websocket)
{
    char problem[SUBSCRIPTION_PROBLEM_BYTES];
    if (websocket->endpoint == ENDPOINT_JAVA_ALL_CHANGES &&
        !subscription_add(websocket, SLICE("*"), FORM_JAVA, NULL, problem))
        websocket_end(websocket);
}

void protocol_message(struct websocket *websocket, struct slice message)
{
    static void (*const readers[ENDPOINT_COUNT])(struct websocket *, struct slice) = {
        [ENDPOINT_NATIVE] = on_native,
        [ENDPOINT_JAVA_HEARTBEAT] = on_java_heartbeat,
        [ENDPOINT_JAVA_CHANGES] = on_java_subscription,
        [ENDPOINT_JAVA_ALL_CHANGES] = ignore,
    };
    readers[websocket->endpoint](websocket, message);
}

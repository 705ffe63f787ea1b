/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics of events: what is sent to a server, which callbacks follow from what it pushes, and that
 * each allocation may fail.
 */
#include "libartemis/watch/topic_sync.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBSCRIBE(topic)   "{\"type\":\"subscribe_topic\",\"topic\":\"" topic "\"}"
#define UNSUBSCRIBE(topic) "{\"type\":\"unsubscribe_topic\",\"topic\":\"" topic "\"}"
#define RUN                "00000000000000aa"

struct fixture {
    struct callback_queue callbacks;
    struct topic_sync sync;
    uint64_t now_ms;
    char log[1024];
};

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    callback_queue_init(&fixture->callbacks);
    topic_sync_init(&fixture->sync, &fixture->callbacks);
    fixture->now_ms = 1000;
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    topic_sync_free(&fixture->sync);
    callback_queue_rewind(&fixture->callbacks, NULL);
    free(fixture);
    return 0;
}

static struct artemis_subscription *new_subscription(const char *topic)
{
    struct artemis_subscription *subscription = calloc(1, sizeof *subscription);
    assert_non_null(subscription);
    subscription->refs = 1;
    snprintf(subscription->name, sizeof subscription->name, "%s", topic);
    return subscription;
}

static struct artemis_subscription *subscribe(struct fixture *fixture, const char *topic)
{
    struct artemis_subscription *subscription = new_subscription(topic);
    assert_int_equal(topic_sync_add(&fixture->sync, subscription), ERR_NONE);
    return subscription;
}

static void unsubscribe(struct fixture *fixture, struct artemis_subscription *subscription)
{
    topic_sync_remove(&fixture->sync, subscription);
    subscription_unref(subscription);
}

/* NULL: nothing is sent before `at_ms`. */
static void assert_sends(struct fixture *fixture, const char *expected, uint64_t expected_ms)
{
    struct text message;
    uint64_t at_ms = 0;
    assert_int_equal(topic_sync_next(&fixture->sync, fixture->now_ms, &message, &at_ms),
                     expected != NULL);
    if (expected)
        assert_string_equal(text_string(&message), expected);
    else
        assert_int_equal(at_ms, expected_ms);
    text_free(&message);
}

static enum error receive(struct fixture *fixture, const char *json)
{
    struct push_message message;
    enum error error = wire_read_push(slice_of(json), &message);
    if (!error)
        topic_sync_push(&fixture->sync, &message, fixture->now_ms);
    wire_free_push(&message);
    return error;
}

static void receive_event(struct fixture *fixture, const char *topic, const char *node, int number)
{
    char json[400];
    snprintf(json, sizeof json,
             "{\"type\":\"event\",\"topic\":\"%s\",\"node_id\":\"%s\",\"run\":\"" RUN
             "\",\"number\":%d,\"time\":\"2026-02-14T08:00:00.123Z\",\"payload\":{\"n\":%d}}",
             topic, node, number, number);
    assert_int_equal(receive(fixture, json), ERR_NONE);
}

static void confirm(struct fixture *fixture, const char *topic)
{
    char json[200];
    snprintf(json, sizeof json, "{\"type\":\"subscribed_topic\",\"topic\":\"%s\"}", topic);
    assert_int_equal(receive(fixture, json), ERR_NONE);
}

/* "topic node/number" for each event, "topic lost N" for each loss; ", " between. */
static void assert_callbacks(struct fixture *fixture, const char *expected)
{
    struct queued_callback *callback;
    size_t size = 0;
    fixture->log[0] = '\0';
    while ((callback = callback_queue_take(&fixture->callbacks))) {
        const struct shared_event *event = callback->topic_event;
        size += (size_t)snprintf(fixture->log + size, sizeof fixture->log - size, "%s%s ",
                                 size ? ", " : "", callback->subscription->name);
        if (event)
            size += (size_t)snprintf(fixture->log + size, sizeof fixture->log - size, "%s/%d",
                                     event->view.node_id, (int)event->view.number);
        else
            size += (size_t)snprintf(fixture->log + size, sizeof fixture->log - size, "lost %d",
                                     (int)callback->lost);
        queued_callback_free(callback);
    }
    assert_string_equal(fixture->log, expected);
}

/* Connects, and subscribes to one topic. */
static struct artemis_subscription *begin(struct fixture *fixture)
{
    struct artemis_subscription *subscription = subscribe(fixture, "t");
    assert_sends(fixture, NULL, UINT64_MAX);
    topic_sync_connected(&fixture->sync, false);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    assert_sends(fixture, NULL, fixture->now_ms + TOPIC_CONFIRM_TIMEOUT_MS);
    confirm(fixture, "t");
    assert_true(subscription->is_active);
    assert_sends(fixture, NULL, UINT64_MAX);
    return subscription;
}

/* --- events ----------------------------------------------------------------------------------- */

static void event_has_all_that_the_server_sent(void **state)
{
    struct fixture *fixture = *state;
    struct artemis_subscription *subscription = begin(fixture);
    receive_event(fixture, "t", "n1", 7);
    struct queued_callback *callback = callback_queue_take(&fixture->callbacks);
    assert_non_null(callback);
    const struct artemis_event *event = &callback->topic_event->view;
    assert_int_equal(callback->kind, CALLBACK_TOPIC_EVENT);
    assert_ptr_equal(callback->subscription, subscription);
    assert_int_equal(event->type, ARTEMIS_EVENT);
    assert_string_equal(event->topic, "t");
    assert_string_equal(event->node_id, "n1");
    assert_string_equal(event->run, RUN);
    assert_int_equal(event->number, 7);
    assert_int_equal(event->time_ms, 1771056000123);
    assert_string_equal(event->payload, "{\"n\":7}");
    assert_int_equal(event->payload_size, 7);
    assert_int_equal(event->lost, 0);
    queued_callback_free(callback);
    unsubscribe(fixture, subscription);
}

static void event_arrives_once_and_in_order(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    receive_event(fixture, "t", "n1", 1);
    receive_event(fixture, "t", "n1", 3);
    receive_event(fixture, "t", "n2", 1);
    receive_event(fixture, "t", "n1", 3);
    receive_event(fixture, "t", "n1", 2);
    assert_callbacks(fixture, "t n1/1, t n1/3, t n2/1");
    topic_sync_disconnected(&fixture->sync);
    topic_sync_connected(&fixture->sync, false); /* another server, which is behind */
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    confirm(fixture, "t");
    receive_event(fixture, "t", "n1", 3);
    receive_event(fixture, "t", "n1", 4);
    assert_callbacks(fixture, "t lost 0, t n1/4");
}

static void subscriptions_of_a_topic_share_it(void **state)
{
    struct fixture *fixture = *state;
    struct artemis_subscription *one = begin(fixture);
    struct artemis_subscription *two = subscribe(fixture, "t");
    struct artemis_subscription *other = subscribe(fixture, "u");
    assert_true(two->is_active);
    assert_sends(fixture, SUBSCRIBE("u"), 0);
    confirm(fixture, "u");
    receive_event(fixture, "t", "n1", 2);
    receive_event(fixture, "u", "n1", 1); /* each topic has its own order */
    assert_callbacks(fixture, "t n1/2, t n1/2, u n1/1");
    unsubscribe(fixture, one);
    assert_sends(fixture, NULL, UINT64_MAX);
    unsubscribe(fixture, two);
    assert_sends(fixture, UNSUBSCRIBE("t"), 0);
    assert_sends(fixture, NULL, UINT64_MAX);
    receive_event(fixture, "t", "n1", 3);
    assert_callbacks(fixture, "");
    unsubscribe(fixture, other);
    topic_sync_disconnected(&fixture->sync);
    assert_true(LIST_EMPTY(&fixture->sync.topics));
    assert_int_equal(fixture->sync.count, 0);
}

static void queued_event_outlives_its_subscription(void **state)
{
    struct fixture *fixture = *state;
    struct artemis_subscription *subscription = begin(fixture);
    receive_event(fixture, "t", "n1", 1);
    unsubscribe(fixture, subscription);
    assert_null(TAILQ_FIRST(&fixture->callbacks.list)->subscription->topic);
    assert_callbacks(fixture, "t n1/1");
}

static void subscription_without_a_connection_needs_no_message_to_end(void **state)
{
    struct fixture *fixture = *state;
    unsubscribe(fixture, subscribe(fixture, "t"));
    assert_true(LIST_EMPTY(&fixture->sync.topics));
    topic_sync_connected(&fixture->sync, false);
    assert_sends(fixture, NULL, UINT64_MAX);
}

static void topics_have_a_limit(void **state)
{
    struct fixture *fixture = *state;
    char name[16];
    for (int i = 0; i < TOPICS_MAX; i++) {
        snprintf(name, sizeof name, "t%d", i);
        subscribe(fixture, name);
    }
    subscribe(fixture, "t0"); /* no further topic */
    struct artemis_subscription *refused = new_subscription("more");
    assert_int_equal(topic_sync_add(&fixture->sync, refused), ERR_TOO_MANY_ITEMS);
    assert_int_equal(refused->refs, 1);
    subscription_unref(refused);
}

/* The server has the limit, too. */
static void topic_that_has_ended_does_not_count(void **state)
{
    struct fixture *fixture = *state;
    struct artemis_subscription *last = begin(fixture);
    char name[16];
    for (int i = 1; i < TOPICS_MAX; i++) {
        snprintf(name, sizeof name, "t%d", i);
        subscribe(fixture, name);
    }
    unsubscribe(fixture, last);
    subscribe(fixture, "more");
    struct artemis_subscription *refused = new_subscription("t"); /* its end is not sent yet */
    assert_int_equal(topic_sync_add(&fixture->sync, refused), ERR_TOO_MANY_ITEMS);
    subscription_unref(refused);
    assert_sends(fixture, UNSUBSCRIBE("t"), 0);
    assert_sends(fixture, SUBSCRIBE("more"), 0);
}

/* --- losses ----------------------------------------------------------------------------------- */

static void loss_is_reported_before_the_next_event(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    receive_event(fixture, "t", "n1", 1);
    assert_int_equal(receive(fixture, "{\"type\":\"events_lost\",\"topic\":\"t\",\"count\":5}"),
                     ERR_NONE);
    receive_event(fixture, "t", "n1", 7);
    assert_callbacks(fixture, "t n1/1, t lost 5, t n1/7");
}

static void loss_without_a_number_is_reported_as_unknown(void **state)
{
    static const char *const losses[] = {
        "{\"type\":\"events_lost\",\"topic\":\"t\"}",
        "{\"type\":\"events_lost\",\"topic\":\"t\",\"count\":0}",
        "{\"type\":\"events_lost\",\"topic\":\"t\",\"count\":-3}",
        "{\"type\":\"events_lost\",\"topic\":\"t\",\"count\":\"5\"}",
    };
    struct fixture *fixture = *state;
    begin(fixture);
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        assert_int_equal(receive(fixture, losses[i]), ERR_NONE);
        assert_callbacks(fixture, "t lost 0");
    }
}

static void new_subscription_has_lost_nothing_in_an_interruption(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    topic_sync_disconnected(&fixture->sync);
    struct artemis_subscription *late = subscribe(fixture, "t");
    assert_false(late->is_active);
    topic_sync_connected(&fixture->sync, false);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    assert_callbacks(fixture, "");
    confirm(fixture, "t");
    assert_true(late->is_active);
    assert_callbacks(fixture, "t lost 0"); /* of the first one */
}

static void invalid_event_counts_as_lost(void **state)
{
    static const char *const events[] = {
        "{\"type\":\"event\",\"topic\":\"t\"}",
        "{\"type\":\"event\",\"topic\":\"t\",\"node_id\":\"n\",\"run\":\"" RUN "\",\"number\":1}",
        "{\"type\":\"event\",\"topic\":\"t\",\"node_id\":\"n\",\"run\":\"x\",\"number\":1,"
        "\"payload\":1}",
        "{\"type\":\"event\",\"topic\":\"t\",\"node_id\":\"\",\"run\":\"" RUN "\",\"number\":1,"
        "\"payload\":1}",
        "{\"type\":\"event\",\"topic\":\"t\",\"node_id\":\"n\",\"run\":\"" RUN "\",\"number\":0,"
        "\"payload\":1}",
    };
    struct fixture *fixture = *state;
    begin(fixture);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        assert_int_equal(receive(fixture, events[i]), ERR_NONE);
        assert_callbacks(fixture, "t lost 1");
    }
    receive(fixture, "{\"type\":\"event\",\"topic\":\"T\",\"payload\":1}");
    receive(fixture, "{\"type\":\"event\",\"topic\":[\"t\"],\"payload\":1}");
    receive(fixture, "{\"type\":\"events_lost\",\"topic\":\"u\",\"count\":1}");
    assert_callbacks(fixture, "");
}

static void payload_over_the_limit_counts_as_lost(void **state)
{
    struct fixture *fixture = *state;
    struct text json = {0};
    begin(fixture);
    text_append_string(&json, "{\"type\":\"event\",\"topic\":\"t\",\"node_id\":\"n\",\"run\":\"" RUN
                              "\",\"number\":1,\"payload\":\"");
    for (int i = 0; i < 4095; i++)
        text_append_char(&json, 'x');
    text_append_string(&json, "\"}");
    assert_int_equal(receive(fixture, text_string(&json)), ERR_NONE);
    text_free(&json);
    assert_callbacks(fixture, "t lost 1");
}

/* --- refused topics --------------------------------------------------------------------------- */

static void refused_topic_is_repeated_later(void **state)
{
    struct fixture *fixture = *state;
    const struct artemis_subscription *subscription = subscribe(fixture, "t");
    topic_sync_connected(&fixture->sync, false);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    receive(fixture, "{\"type\":\"error\",\"message\":\"no\",\"topic\":\"t\"}");
    assert_true(subscription->topic->refused);
    assert_string_equal(subscription->topic->reason, "no");
    assert_sends(fixture, NULL, fixture->now_ms + TOPIC_RETRY_MS);
    subscribe(fixture, "t"); /* its caller waits for an answer */
    assert_false(subscription->topic->refused);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    receive(fixture, "{\"type\":\"error\",\"message\":\"no\",\"topic\":\"t\"}");
    fixture->now_ms += TOPIC_RETRY_MS;
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    confirm(fixture, "t");
    assert_true(subscription->is_active);
    receive(fixture, "{\"type\":\"error\",\"message\":\"late\",\"topic\":\"t\"}");
    assert_int_equal(subscription->topic->phase, TOPIC_ACTIVE);
    assert_callbacks(fixture, "");
}

static void topic_that_is_not_confirmed_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct artemis_subscription *subscription = subscribe(fixture, "t");
    topic_sync_connected(&fixture->sync, false);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    fixture->now_ms += TOPIC_CONFIRM_TIMEOUT_MS;
    assert_sends(fixture, NULL, fixture->now_ms + TOPIC_RETRY_MS);
    assert_true(subscription->topic->refused);
    topic_sync_disconnected(&fixture->sync);
    assert_false(subscription->topic->refused);
    confirm(fixture, "t"); /* of a connection that has ended */
    assert_false(subscription->is_active);
}

/* Connects, and subscribes to a topic that the server does not confirm in time. */
static struct artemis_subscription *begin_late(struct fixture *fixture)
{
    struct artemis_subscription *subscription = subscribe(fixture, "t");
    topic_sync_connected(&fixture->sync, false);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    fixture->now_ms += TOPIC_CONFIRM_TIMEOUT_MS;
    assert_sends(fixture, NULL, fixture->now_ms + TOPIC_RETRY_MS);
    assert_true(subscription->topic->refused);
    return subscription;
}

static void topic_that_is_confirmed_late_is_active(void **state)
{
    struct fixture *fixture = *state;
    const struct artemis_subscription *subscription = begin_late(fixture);
    confirm(fixture, "t");
    assert_true(subscription->is_active);
    assert_false(subscription->topic->refused);
    receive_event(fixture, "t", "n1", 1);
    assert_callbacks(fixture, "t n1/1");
    assert_sends(fixture, NULL, UINT64_MAX);
}

/* The server may have executed the subscription. */
static void topic_that_may_be_confirmed_late_is_unsubscribed(void **state)
{
    struct fixture *fixture = *state;
    unsubscribe(fixture, begin_late(fixture));
    assert_sends(fixture, UNSUBSCRIBE("t"), 0);
    assert_sends(fixture, NULL, UINT64_MAX);
    struct artemis_subscription *again = subscribe(fixture, "t");
    confirm(fixture, "t"); /* of the subscription that has ended */
    assert_false(again->is_active);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
}

static void limited_topic_is_repeated_soon(void **state)
{
    struct fixture *fixture = *state;
    const struct artemis_subscription *subscription = subscribe(fixture, "t");
    topic_sync_connected(&fixture->sync, false);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    receive(fixture, "{\"type\":\"error\",\"message\":\"over\",\"reason\":\"over-limit\","
                     "\"topic\":\"t\"}");
    assert_false(subscription->topic->refused);
    assert_sends(fixture, NULL, fixture->now_ms + TOPIC_LIMITED_MS);
    fixture->now_ms += TOPIC_LIMITED_MS;
    assert_sends(fixture, SUBSCRIBE("t"), 0);
}

static void server_without_websocket_refuses_all(void **state)
{
    struct fixture *fixture = *state;
    const struct artemis_subscription *early = subscribe(fixture, "t");
    topic_sync_connected(&fixture->sync, true);
    const struct artemis_subscription *late = subscribe(fixture, "u");
    assert_true(early->topic->refused);
    assert_true(late->topic->refused);
    assert_sends(fixture, NULL, UINT64_MAX);
    topic_sync_connected(&fixture->sync, false);
    assert_false(early->topic->refused);
    assert_false(late->topic->refused);
    assert_sends(fixture, SUBSCRIBE("u"), 0);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void add_survives_each_failed_allocation(void **state)
{
    struct fixture *fixture = *state;
    struct artemis_subscription *subscription = new_subscription("t");
    for (long n = 1;; n++) {
        long live = failing_malloc_live();
        failing_malloc_after(n);
        enum error error = topic_sync_add(&fixture->sync, subscription);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(error, happened ? ERR_NO_MEMORY : ERR_NONE);
        if (!happened)
            break;
        assert_int_equal(failing_malloc_live(), live);
        assert_int_equal(fixture->sync.count, 0);
        assert_int_equal(subscription->refs, 1);
    }
}

/* What there is no memory for is reported as lost, at the latest by the next turn. */
static void event_without_memory_is_reported_as_lost(void **state)
{
    struct fixture *fixture = *state;
    struct push_message message;
    char json[300];
    begin(fixture);
    for (int n = 1;; n++) {
        snprintf(json, sizeof json,
                 "{\"type\":\"event\",\"topic\":\"t\",\"node_id\":\"n%d\",\"run\":\"" RUN
                 "\",\"number\":1,\"payload\":1}",
                 n);
        assert_int_equal(wire_read_push(slice_of(json), &message), ERR_NONE);
        failing_malloc_after(n);
        topic_sync_push(&fixture->sync, &message, fixture->now_ms);
        bool happened = failing_malloc_happened();
        failing_malloc_after(1);
        struct text next;
        uint64_t at_ms;
        assert_false(topic_sync_next(&fixture->sync, fixture->now_ms, &next, &at_ms));
        failing_malloc_after(-1);
        wire_free_push(&message);
        if (!happened)
            break;
        assert_sends(fixture, NULL, UINT64_MAX);
        assert_callbacks(fixture, "t lost 1");
    }
    assert_int_equal(fixture->callbacks.count, 1);
}

static void interruption_without_memory_is_reported_later(void **state)
{
    struct fixture *fixture = *state;
    struct push_message message;
    begin(fixture);
    topic_sync_disconnected(&fixture->sync);
    topic_sync_connected(&fixture->sync, false);
    assert_sends(fixture, SUBSCRIBE("t"), 0);
    const char *json = "{\"type\":\"subscribed_topic\",\"topic\":\"t\"}";
    assert_int_equal(wire_read_push(slice_of(json), &message), ERR_NONE);
    failing_malloc_after(1);
    topic_sync_push(&fixture->sync, &message, fixture->now_ms);
    assert_true(failing_malloc_happened());
    failing_malloc_after(1);
    struct text next;
    uint64_t at_ms;
    assert_false(topic_sync_next(&fixture->sync, fixture->now_ms, &next, &at_ms));
    failing_malloc_after(-1);
    assert_int_equal(at_ms, fixture->now_ms + TOPIC_NO_MEMORY_MS);
    assert_callbacks(fixture, "");
    receive_event(fixture, "t", "n1", 1);
    assert_callbacks(fixture, "t lost 0, t n1/1");
    wire_free_push(&message);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(event_has_all_that_the_server_sent),
        TEST(event_arrives_once_and_in_order),
        TEST(subscriptions_of_a_topic_share_it),
        TEST(queued_event_outlives_its_subscription),
        TEST(subscription_without_a_connection_needs_no_message_to_end),
        TEST(topics_have_a_limit),
        TEST(topic_that_has_ended_does_not_count),
        TEST(loss_is_reported_before_the_next_event),
        TEST(loss_without_a_number_is_reported_as_unknown),
        TEST(new_subscription_has_lost_nothing_in_an_interruption),
        TEST(invalid_event_counts_as_lost),
        TEST(payload_over_the_limit_counts_as_lost),
        TEST(refused_topic_is_repeated_later),
        TEST(topic_that_is_not_confirmed_is_refused),
        TEST(topic_that_is_confirmed_late_is_active),
        TEST(topic_that_may_be_confirmed_late_is_unsubscribed),
        TEST(limited_topic_is_repeated_soon),
        TEST(server_without_websocket_refuses_all),
        TEST(add_survives_each_failed_allocation),
        TEST(event_without_memory_is_reported_as_lost),
        TEST(interruption_without_memory_is_reported_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

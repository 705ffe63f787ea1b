/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of topics with the client library and real servers: publish at one node, subscribe at
 * another, lost connections, slow subscribers, tokens, and arguments that are not valid.
 */
#include "libartemis/artemis.h"

#include "tests/support/client/calls.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 20000, NODES = 2, PAYLOAD_BYTES_MAX = 4096 };

static struct cluster cluster;
static struct artemis_client *client;   /* publishes */
static struct artemis_client *follower; /* subscribes */

/* --- what a subscription gets ----------------------------------------------------------------- */

struct event_log {
    pthread_mutex_t lock;
    char text[8192]; /* "1 2 lost:0 3 ": payloads and losses */
    int events;
    uint64_t lost;
    int interruptions;
    struct artemis_subscription *subscription;
    bool ends_itself;     /* the callback ends the subscription */
    pthread_mutex_t hold; /* the callback waits for it */
};

static struct event_log log_of_t;

static void on_event(const struct artemis_event *event, void *context)
{
    struct event_log *log = context;
    pthread_mutex_lock(&log->hold);
    pthread_mutex_unlock(&log->hold);
    pthread_mutex_lock(&log->lock);
    size_t size = strlen(log->text);
    if (event->type == ARTEMIS_EVENT)
        snprintf(log->text + size, sizeof log->text - size, "%.16s ", event->payload);
    else
        snprintf(log->text + size, sizeof log->text - size, "lost:%d ", (int)event->lost);
    log->events += event->type == ARTEMIS_EVENT;
    log->lost += event->lost;
    log->interruptions += event->type == ARTEMIS_EVENTS_LOST && event->lost == 0;
    bool ends = log->ends_itself;
    pthread_mutex_unlock(&log->lock);
    if (ends)
        artemis_unsubscribe_topic(log->subscription);
}

static void log_init(struct event_log *log)
{
    *log = (struct event_log){.events = 0};
    pthread_mutex_init(&log->lock, NULL);
    pthread_mutex_init(&log->hold, NULL);
}

static void log_free(struct event_log *log)
{
    pthread_mutex_destroy(&log->lock);
    pthread_mutex_destroy(&log->hold);
}

static void check_log(struct event_log *log, const char *expected)
{
    char text[sizeof log->text];
    pthread_mutex_lock(&log->lock);
    memcpy(text, log->text, sizeof text);
    pthread_mutex_unlock(&log->lock);
    assert_string_equal(text, expected);
}

struct expected_log {
    struct event_log *log;
    const char *text;
};

static bool has_text(void *context)
{
    const struct expected_log *expected = context;
    pthread_mutex_lock(&expected->log->lock);
    bool has = strcmp(expected->log->text, expected->text) == 0;
    pthread_mutex_unlock(&expected->log->lock);
    return has;
}

static void wait_log(struct event_log *log, const char *text)
{
    struct expected_log expected = {.log = log, .text = text};
    if (!wait_until(has_text, &expected, wait_deadline_ms()))
        check_log(log, text);
}

/* --- clients ---------------------------------------------------------------------------------- */

static struct artemis_client *open_client(const char *servers, const char *authorization)
{
    struct artemis_client *opened = NULL;
    struct artemis_problem problem = {.text = ""};
    const struct artemis_options options = {.servers = servers,
                                            .attempt_timeout_ms = 2000,
                                            .ping_ms = 500,
                                            .authorization = authorization};
    if (artemis_open(&options, &opened, &problem))
        fail_msg("%s", problem.text);
    return opened;
}

static int start(void **state)
{
    char both[128];
    (void)state;
    cluster_start(&cluster, NODES,
                  (const char *const[]){"ratelimit.client_events_per_second=0", NULL});
    client = open_client(cluster.nodes[0].url, NULL);
    snprintf(both, sizeof both, "%s,%s", cluster.nodes[1].url, cluster.nodes[0].url);
    follower = open_client(both, NULL);
    log_init(&log_of_t);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(artemis_close(follower, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK);
    cluster_stop(&cluster);
    log_free(&log_of_t);
    return 0;
}

static void subscribe(struct artemis_client *with, const char *topic, struct event_log *log)
{
    struct artemis_problem problem = {.text = ""};
    if (artemis_subscribe_topic(with, topic, on_event, log, TIMEOUT_MS, &log->subscription,
                                &problem))
        fail_msg("%s", problem.text);
}

static void publish(struct artemis_client *with, const char *topic, const char *payload)
{
    struct artemis_problem problem = {.text = ""};
    if (artemis_publish(with, topic, payload, TIMEOUT_MS, NULL, &problem))
        fail_msg("%s", problem.text);
}

/* --- publish and subscribe -------------------------------------------------------------------- */

static void event_published_at_one_node_arrives_at_the_other(void **state)
{
    struct artemis_published published = {.number = 0};
    (void)state;
    subscribe(follower, "t", &log_of_t);
    call_wait_metric(cluster.http[1], "artemis_event_subscriptions", 1);
    assert_int_equal(artemis_publish(client, "t", " { \"a\" : 1 } ", TIMEOUT_MS, &published, NULL),
                     ARTEMIS_OK);
    assert_string_equal(published.node_id, "node1");
    assert_int_equal(strlen(published.run), 16);
    assert_true(published.number > 0);
    for (int i = 2; i <= 5; i++) {
        char payload[8];
        snprintf(payload, sizeof payload, "%d", i);
        publish(client, "t", payload);
    }
    publish(client, "other", "0");
    wait_log(&log_of_t, "{\"a\":1} 2 3 4 5 ");
}

static void events_in_the_background_keep_their_order(void **state)
{
    char expected[1024] = "";
    (void)state;
    subscribe(follower, "t", &log_of_t);
    for (int i = 0; i < 100; i++) {
        char payload[8];
        size_t size = strlen(expected);
        snprintf(payload, sizeof payload, "%d", i);
        snprintf(expected + size, sizeof expected - size, "%d ", i);
        assert_int_equal(artemis_publish(client, "t", payload, 0, NULL, NULL), ARTEMIS_OK);
    }
    assert_int_equal(artemis_close(client, TIMEOUT_MS, NULL), ARTEMIS_OK); /* publishes the rest */
    wait_log(&log_of_t, expected);
    client = open_client(cluster.nodes[0].url, NULL);
}

static void topic_has_several_subscriptions(void **state)
{
    static struct event_log second;
    (void)state;
    log_init(&second);
    subscribe(follower, "t", &log_of_t);
    subscribe(follower, "t", &second);
    publish(client, "t", "1");
    wait_log(&log_of_t, "1 ");
    wait_log(&second, "1 ");
    artemis_unsubscribe_topic(second.subscription);
    publish(client, "t", "2");
    wait_log(&log_of_t, "1 2 ");
    check_log(&second, "1 ");
    call_wait_metric(cluster.http[1], "artemis_event_subscriptions", 1);
    artemis_unsubscribe_topic(log_of_t.subscription);
    call_wait_metric(cluster.http[1], "artemis_event_subscriptions", 0);
}

/* The second event is queued already when the callback of the first one ends the subscription. */
static void callback_ends_its_subscription(void **state)
{
    static struct event_log other;
    (void)state;
    log_init(&other);
    log_of_t.ends_itself = true;
    subscribe(follower, "t", &log_of_t);
    subscribe(follower, "u", &other);
    pthread_mutex_lock(&other.hold); /* the client reads nothing while the callback runs */
    publish(client, "u", "0");
    publish(client, "t", "1");
    publish(client, "t", "2");
    publish(client, "u", "3"); /* comes after them */
    call_wait_metric(cluster.http[1], "artemis_events_delivered_total", 4);
    pthread_mutex_unlock(&other.hold);
    wait_log(&other, "0 3 ");
    check_log(&log_of_t, "1 ");
    call_wait_metric(cluster.http[1], "artemis_event_subscriptions", 1);
}

static struct event_log log_of_v;

/* Called in the client's thread: a blocking call keeps the client running. */
static void on_event_relay(const struct artemis_event *event, void *context)
{
    (void)context;
    if (!log_of_v.subscription)
        subscribe(follower, "v", &log_of_v);
    publish(follower, "t", event->payload);
}

static void callback_publishes_and_subscribes(void **state)
{
    struct artemis_subscription *relay = NULL;
    (void)state;
    log_init(&log_of_v);
    subscribe(client, "t", &log_of_t);
    assert_int_equal(
        artemis_subscribe_topic(follower, "u", on_event_relay, NULL, TIMEOUT_MS, &relay, NULL),
        ARTEMIS_OK);
    publish(client, "u", "1");
    publish(client, "u", "2");
    wait_log(&log_of_t, "1 2 ");
    publish(client, "v", "3");
    wait_log(&log_of_v, "3 ");
    artemis_unsubscribe_topic(relay);
}

/* --- lost connections ------------------------------------------------------------------------- */

static void subscription_continues_at_another_node(void **state)
{
    (void)state;
    subscribe(follower, "t", &log_of_t);
    publish(client, "t", "1");
    wait_log(&log_of_t, "1 ");
    cluster_kill_node(&cluster, 1);
    wait_log(&log_of_t, "1 lost:0 "); /* subscribed again; how many were lost is not known */
    publish(client, "t", "2");
    wait_log(&log_of_t, "1 lost:0 2 ");
}

static void publisher_uses_the_next_node(void **state)
{
    char both[128];
    (void)state;
    snprintf(both, sizeof both, "%s,%s", cluster.nodes[1].url, cluster.nodes[0].url);
    struct artemis_client *publisher = open_client(both, NULL);
    subscribe(client, "t", &log_of_t);
    publish(publisher, "t", "1");
    wait_log(&log_of_t, "1 ");
    cluster_kill_node(&cluster, 1);
    publish(publisher, "t", "2"); /* the connection is refused, or known to be closed */
    wait_log(&log_of_t, "1 2 ");
    assert_int_equal(artemis_close(publisher, TIMEOUT_MS, NULL), ARTEMIS_OK);
}

/* --- slow subscribers ------------------------------------------------------------------------- */

static int published_count;

/* Publishes another event; true: the node has dropped some. */
static bool publish_until_some_are_dropped(void *context)
{
    published_count++;
    publish(client, "t", context);
    return call_metric(cluster.http[0], "artemis_events_dropped_total") > 0;
}

static bool has_all(void *context)
{
    struct event_log *log = context;
    pthread_mutex_lock(&log->lock);
    bool has = log->events + (int)log->lost == published_count;
    pthread_mutex_unlock(&log->lock);
    return has;
}

/* What it gets, and the numbers of what it lost, add up. */
static void slow_callback_learns_how_many_events_were_lost(void **state)
{
    static char payload[PAYLOAD_BYTES_MAX + 1];
    (void)state;
    struct artemis_client *slow = open_client(cluster.nodes[0].url, NULL);
    memset(payload, 'x', PAYLOAD_BYTES_MAX);
    payload[0] = payload[PAYLOAD_BYTES_MAX - 1] = '"';
    published_count = 0;
    subscribe(slow, "t", &log_of_t);
    pthread_mutex_lock(&log_of_t.hold);
    assert_true(wait_until(publish_until_some_are_dropped, payload, wait_deadline_ms()));
    pthread_mutex_unlock(&log_of_t.hold);
    assert_true(wait_until(has_all, &log_of_t, wait_deadline_ms()));
    assert_int_equal(artemis_close(slow, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_true(log_of_t.lost > 0);
    assert_int_equal(log_of_t.interruptions, 0);
}

/* --- arguments -------------------------------------------------------------------------------- */

static void check_invalid(const char *topic, const char *payload, const char *text)
{
    struct artemis_problem problem = {.text = ""};
    assert_int_equal(artemis_publish(client, topic, payload, TIMEOUT_MS, NULL, &problem),
                     ARTEMIS_INVALID);
    assert_int_equal(problem.error, ARTEMIS_INVALID);
    if (!strstr(problem.text, text))
        fail_msg("\"%s\" is not in: %s", text, problem.text);
}

static void invalid_events_are_not_sent(void **state)
{
    char large[PAYLOAD_BYTES_MAX + 2];
    char deep[80] = "";
    char long_topic[130];
    (void)state;
    double published = call_metric(cluster.http[0], "artemis_events_published_total");
    memset(large, '1', sizeof large);
    large[0] = large[PAYLOAD_BYTES_MAX] = '"';
    large[PAYLOAD_BYTES_MAX + 1] = '\0';
    memset(deep, '[', 33);
    memset(deep + 33, ']', 33);
    deep[66] = '\0';
    memset(long_topic, 't', sizeof long_topic);
    long_topic[129] = '\0';
    check_invalid(NULL, "1", "topic: is required");
    check_invalid("", "1", "topic: must be 1 to 128 characters");
    check_invalid("Orders", "1", "is \"Orders\"");
    check_invalid("a\nb", "1", "is \"a\\x0ab\"");
    check_invalid(long_topic, "1", "topic: must be 1 to 128 characters");
    check_invalid("artemis.cluster", "1", "reserved for events of nodes, is \"artemis.cluster\"");
    check_invalid("t", NULL, "payload: is required");
    check_invalid("t", "", "payload: must be JSON");
    check_invalid("t", "text", "payload: must be JSON in UTF-8 (a text needs quotes), is \"text\"");
    check_invalid("t", "1,\"topic\":\"u\"", "payload: must be JSON");
    check_invalid("t", "\"\xff\"", "payload: must be JSON in UTF-8");
    check_invalid("t", large, "payload: must be at most 4096 bytes as JSON, is 4097");
    check_invalid("t", deep, "payload: must have at most 32 levels");
    assert_true(call_metric(cluster.http[0], "artemis_events_published_total") == published);
    struct artemis_problem problem;
    assert_int_equal(artemis_publish(NULL, "t", "1", 0, NULL, &problem), ARTEMIS_INVALID);
    assert_string_equal(problem.text, "client: is required");
    assert_int_equal(artemis_publish(client, "t", "1", -1, NULL, &problem), ARTEMIS_INVALID);
}

static void invalid_subscriptions_are_refused(void **state)
{
    struct artemis_subscription *subscription = NULL;
    struct artemis_problem problem;
    (void)state;
    assert_int_equal(
        artemis_subscribe_topic(client, "T", on_event, NULL, 0, &subscription, &problem),
        ARTEMIS_INVALID);
    assert_non_null(strstr(problem.text, "is \"T\""));
    assert_int_equal(artemis_subscribe_topic(client, "t", NULL, NULL, 0, &subscription, &problem),
                     ARTEMIS_INVALID);
    assert_int_equal(artemis_subscribe_topic(client, "t", on_event, NULL, 0, NULL, &problem),
                     ARTEMIS_INVALID);
    assert_null(subscription);
    artemis_unsubscribe_topic(NULL);
    for (int i = 0; i < 100; i++) {
        char topic[16];
        snprintf(topic, sizeof topic, "t%d", i);
        subscribe(follower, topic, &log_of_t);
    }
    assert_int_equal(
        artemis_subscribe_topic(follower, "more", on_event, NULL, 0, &subscription, &problem),
        ARTEMIS_OVER_LIMIT);
    assert_non_null(strstr(problem.text, "100 topics"));
}

/* --- tokens ----------------------------------------------------------------------------------- */

static struct temp_folder folder;
static struct server_process server;
static struct http *http;

static int start_with_tokens(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    server_process_start(&server,
                         (const char *const[]){"--config", tokens_write(&folder, ""), NULL}, NULL);
    http = http_new(server.port);
    log_init(&log_of_t);
    return 0;
}

static int stop_with_tokens(void **state)
{
    (void)state;
    http_free(http);
    server_process_stop(&server);
    temp_folder_remove(&folder);
    log_free(&log_of_t);
    return 0;
}

static void token_limits_topics(void **state)
{
    struct artemis_problem problem = {.text = ""};
    struct artemis_subscription *subscription = NULL;
    (void)state;
    struct artemis_client *reader = open_client(server.url, "Bearer " TOKEN_SHOP_READER);
    struct artemis_client *writer = open_client(server.url, "Bearer " TOKEN_SHOP_WRITER);
    subscribe(reader, "shop-orders", &log_of_t);
    assert_int_equal(
        artemis_subscribe_topic(reader, "t", on_event, NULL, TIMEOUT_MS, &subscription, &problem),
        ARTEMIS_REFUSED);
    assert_string_equal(problem.text, "topic: token \"shop-reader\" may not see \"t\"");
    assert_int_equal(artemis_subscribe_topic(reader, "artemis.guard", on_event, NULL, TIMEOUT_MS,
                                             &subscription, &problem),
                     ARTEMIS_REFUSED);
    assert_null(subscription);
    assert_int_equal(artemis_publish(reader, "shop-orders", "1", TIMEOUT_MS, NULL, &problem),
                     ARTEMIS_REFUSED);
    assert_int_equal(artemis_publish(writer, "t", "1", TIMEOUT_MS, NULL, &problem),
                     ARTEMIS_REFUSED);
    assert_non_null(strstr(problem.text, "token \"shop-writer\""));
    publish(writer, "shop-orders", "2");
    wait_log(&log_of_t, "2 ");
    assert_int_equal(artemis_close(reader, TIMEOUT_MS, NULL), ARTEMIS_OK);
    assert_int_equal(artemis_close(writer, TIMEOUT_MS, NULL), ARTEMIS_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(event_published_at_one_node_arrives_at_the_other),
        TEST(events_in_the_background_keep_their_order),
        TEST(topic_has_several_subscriptions),
        TEST(callback_ends_its_subscription),
        TEST(callback_publishes_and_subscribes),
        TEST(subscription_continues_at_another_node),
        TEST(publisher_uses_the_next_node),
        TEST(slow_callback_learns_how_many_events_were_lost),
        TEST(invalid_events_are_not_sent),
        TEST(invalid_subscriptions_are_refused),
        cmocka_unit_test_setup_teardown(token_limits_topics, start_with_tokens, stop_with_tokens),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}

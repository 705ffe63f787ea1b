/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of topics reach each process of a peer at most once, in order.
 */
#include "artemis-server/replication/peer_requests.h"
#include "tests/unit/artemis-server/replication/replicator_fixture.h"

enum { REFUSED_PAUSE_MS = 1000 };

static uint64_t last;

static int set_up(void **state)
{
    (void)state;
    last = 0;
    rig_open();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

static void publish(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct event *event = event_create(&(struct event_content){
            .number = ++last,
            .wall_ms = 7,
            .node_id = SLICE("self"),
            .run = SLICE("00000000000000aa"),
            .topic = SLICE("t"),
            .payload = SLICE("{}"),
        });
        assert_non_null(event);
        replicator_put_event(rig.replicator, event);
    }
}

/* The message has the events with these numbers. */
static void check_events(const struct message *message, uint64_t first, size_t count)
{
    assert_int_equal(message->events.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(message->events.items[i]->number, first + i);
}

static void join_as(uint32_t peer, uint64_t epoch)
{
    join(peer);
    respond_health(peer, (struct health_response){.is_ready = true, .epoch = epoch});
    if (!replicator_is_ready(rig.replicator) && sent(peer, MESSAGE_SNAPSHOT))
        finish(peer, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    if (sent(peer, MESSAGE_DIGEST))
        respond_same_digests(peer);
    pump();
}

static uint64_t dropped(uint32_t peer, enum event_drop reason)
{
    return view_of(peer).events_dropped[reason];
}

static void events_go_to_every_peer_at_once_and_in_order(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    publish(1);
    for (uint32_t peer = 0; peer < 2; peer++)
        check_events(expect(peer, MESSAGE_EVENTS), 1, 1);
    publish(3); /* they wait while a message is in flight */
    assert_int_equal(in_flight(0, MESSAGE_EVENTS), 1);
    assert_int_equal(view_of(0).events_waiting, 3);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(0, MESSAGE_EVENTS), 2, 3);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_EVENTS));
    finish(1, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(1, MESSAGE_EVENTS), 2, 3);
    assert_int_equal(view_of(0).events_delivered, 4);
    assert_int_equal(view_of(1).events_delivered, 1);
}

static void a_message_has_so_many_events_at_most(void **state)
{
    (void)state;
    join_up(0);
    publish(EVENTS_PER_MESSAGE_MAX + 1);
    check_events(expect(0, MESSAGE_EVENTS), 1, EVENTS_PER_MESSAGE_MAX);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(0, MESSAGE_EVENTS), EVENTS_PER_MESSAGE_MAX + 1, 1);
}

static void a_failed_message_is_sent_again_before_later_events(void **state)
{
    (void)state;
    join_up(0);
    publish(2);
    expect(0, MESSAGE_EVENTS);
    publish(2);
    finish(0, MESSAGE_EVENTS, SEND_RETRYABLE);
    assert_null(sent(0, MESSAGE_EVENTS)); /* backoff, in which nothing is due at once */
    assert_true(replicator_due_ms(rig.replicator, rig_now()) > rig_now().mono_ms + 1);
    pass_ms(500);
    check_events(expect(0, MESSAGE_EVENTS), 1, 2);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(0, MESSAGE_EVENTS), 3, 2);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    assert_int_equal(view_of(0).events_delivered, 4);
    assert_int_equal(dropped(0, EVENT_DROP_PEER_DOWN), 0);
}

/* The earlier process may have delivered what it was sent. */
static void a_failed_message_is_not_sent_to_another_process(void **state)
{
    (void)state;
    join_as(0, 1);
    publish(2);
    assert_int_equal(expect(0, MESSAGE_EVENTS)->events.to_epoch, 1);
    publish(1);
    pass_ms(HEALTH_MS);
    respond_health(0, (struct health_response){.is_ready = true, .epoch = 2});
    finish(0, MESSAGE_EVENTS, SEND_RETRYABLE);
    pass_ms(500);
    struct message *message = expect(0, MESSAGE_EVENTS);
    check_events(message, 3, 1); /* it was never sent */
    assert_int_equal(message->events.to_epoch, 2);
    assert_int_equal(dropped(0, EVENT_DROP_PEER_RESTARTED), 2);
}

static void a_peer_that_is_not_up_gets_no_events(void **state)
{
    (void)state;
    join(0);
    publish(2); /* not known yet */
    respond_health(0, (struct health_response){.is_ready = true});
    assert_null(sent(0, MESSAGE_EVENTS));
    publish(1);
    finish(0, MESSAGE_EVENTS, SEND_UNREACHABLE);
    publish(4);
    assert_int_equal(dropped(0, EVENT_DROP_PEER_DOWN), 7);
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, (struct health_response){.is_ready = true});
    assert_null(sent(0, MESSAGE_EVENTS));
    publish(1);
    check_events(expect(0, MESSAGE_EVENTS), 8, 1);
}

static void what_waits_for_a_peer_is_dropped_when_it_is_down(void **state)
{
    (void)state;
    join_up(0);
    publish(1);
    expect(0, MESSAGE_EVENTS);
    publish(5);
    finish(0, MESSAGE_EVENTS, SEND_RETRYABLE);
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    assert_int_equal(dropped(0, EVENT_DROP_PEER_DOWN), 6);
    assert_int_equal(view_of(0).events_waiting, 0);
}

/* An older node does not have the path. It gets what is published later, one message a second. */
static void a_message_that_is_too_large_is_sent_in_halves(void **state)
{
    (void)state;
    join_up(0);
    publish(1);
    check_events(expect(0, MESSAGE_EVENTS), 1, 1);
    publish(5); /* they wait for the first one */
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(0, MESSAGE_EVENTS), 2, 5);
    finish(0, MESSAGE_EVENTS, SEND_TOO_LARGE);
    check_events(expect(0, MESSAGE_EVENTS), 2, 2);
    publish(1);
    finish(0, MESSAGE_EVENTS, SEND_RETRYABLE);
    pass_ms(500);
    check_events(expect(0, MESSAGE_EVENTS), 2, 2);
    assert_int_equal(view_of(0).events_waiting, 1);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(0, MESSAGE_EVENTS), 4, 3); /* one more than the peer has taken */
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(0, MESSAGE_EVENTS), 7, 1);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    assert_int_equal(view_of(0).events_delivered, 7);
    assert_int_equal(dropped(0, EVENT_DROP_REFUSED), 0);
}

static void an_event_that_is_too_large_is_dropped_alone(void **state)
{
    (void)state;
    join_up(0);
    publish(1);
    check_events(expect(0, MESSAGE_EVENTS), 1, 1);
    publish(2);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(0, MESSAGE_EVENTS), 2, 2);
    finish(0, MESSAGE_EVENTS, SEND_TOO_LARGE);
    check_events(expect(0, MESSAGE_EVENTS), 2, 1);
    finish(0, MESSAGE_EVENTS, SEND_TOO_LARGE);
    assert_int_equal(dropped(0, EVENT_DROP_REFUSED), 1);
    pass_ms(REFUSED_PAUSE_MS);
    check_events(expect(0, MESSAGE_EVENTS), 3, 1);
    finish(0, MESSAGE_EVENTS, SEND_UNREACHABLE); /* the peer is down, and what waits is dropped */
    assert_int_equal(dropped(0, EVENT_DROP_PEER_DOWN), 1);
}

/* One event that is too large by itself is no reason to send all later ones one by one. */
static void the_limit_of_a_message_grows_again(void **state)
{
    (void)state;
    join_up(0);
    publish(1);
    expect(0, MESSAGE_EVENTS);
    publish(2);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(0, MESSAGE_EVENTS), 2, 2);
    finish(0, MESSAGE_EVENTS, SEND_TOO_LARGE);
    finish(0, MESSAGE_EVENTS, SEND_TOO_LARGE); /* the first one is dropped */
    pass_ms(REFUSED_PAUSE_MS);
    for (size_t max = 1; max < EVENTS_PER_MESSAGE_MAX; max++) {
        assert_int_equal(expect(0, MESSAGE_EVENTS)->events.count, max);
        publish(EVENTS_PER_MESSAGE_MAX + 1);
        finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    }
    for (int i = 0; i < 2; i++) { /* no limit of the peer any more */
        assert_int_equal(expect(0, MESSAGE_EVENTS)->events.count, EVENTS_PER_MESSAGE_MAX);
        finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    }
}

static void a_message_that_is_not_full_leaves_the_limit(void **state)
{
    (void)state;
    join_up(0);
    publish(1);
    expect(0, MESSAGE_EVENTS);
    publish(4);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    finish(0, MESSAGE_EVENTS, SEND_TOO_LARGE);
    for (int i = 0; i < 2; i++) { /* 2 events, and 2 of at most 3 */
        assert_int_equal(expect(0, MESSAGE_EVENTS)->events.count, 2);
        finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    }
    publish(1);
    expect(0, MESSAGE_EVENTS);
    publish(5);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    assert_int_equal(expect(0, MESSAGE_EVENTS)->events.count, 3);
}

/* What waits behind the half that is in flight is counted too. */
static void halves_of_a_peer_that_goes_down_are_dropped(void **state)
{
    (void)state;
    join_up(0);
    publish(1);
    check_events(expect(0, MESSAGE_EVENTS), 1, 1);
    publish(5);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    expect(0, MESSAGE_EVENTS);
    finish(0, MESSAGE_EVENTS, SEND_TOO_LARGE);
    check_events(expect(0, MESSAGE_EVENTS), 2, 2);
    finish(0, MESSAGE_EVENTS, SEND_UNREACHABLE);
    assert_int_equal(dropped(0, EVENT_DROP_PEER_DOWN), 5);
    assert_int_equal(view_of(0).events_waiting, 0);
}

static void refused_events_are_dropped(void **state)
{
    (void)state;
    join_up(0);
    for (unsigned round = 1; round <= 5; round++) {
        publish(2);
        assert_int_equal(in_flight(0, MESSAGE_EVENTS), 1);
        finish(0, MESSAGE_EVENTS, SEND_REJECTED);
        assert_int_equal(dropped(0, EVENT_DROP_REFUSED), round * 2);
        assert_int_equal(view_of(0).health, PEER_UP);                  /* records are still sent */
        respond_health(0, (struct health_response){.is_ready = true}); /* at once */
        publish(1);
        pass_ms(REFUSED_PAUSE_MS - 1);
        assert_null(sent(0, MESSAGE_EVENTS));
        pass_ms(1);
        check_events(expect(0, MESSAGE_EVENTS), last, 1);
        finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    }
}

static void a_legacy_peer_gets_no_events(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_ready = true, .is_legacy = true});
    publish(3);
    assert_null(sent(0, MESSAGE_EVENTS));
    assert_int_equal(dropped(0, EVENT_DROP_REFUSED), 3);
    assert_int_equal(view_of(0).events_waiting, 0);
}

static void a_slow_peer_loses_the_oldest_events(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    publish(1);
    expect(0, MESSAGE_EVENTS);
    finish(1, MESSAGE_EVENTS, SEND_DELIVERED);
    for (unsigned i = 0; i < EVENTS_WAITING_MAX + 10; i++) {
        publish(1);
        finish(1, MESSAGE_EVENTS, SEND_DELIVERED);
    }
    assert_int_equal(dropped(0, EVENT_DROP_QUEUE_FULL), 10);
    assert_int_equal(dropped(1, EVENT_DROP_QUEUE_FULL), 0);
    assert_int_equal(view_of(0).events_waiting, EVENTS_WAITING_MAX);
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    check_events(expect(0, MESSAGE_EVENTS), 12, EVENTS_PER_MESSAGE_MAX);
    assert_int_equal(view_of(1).events_delivered, EVENTS_WAITING_MAX + 11);
}

/* Each event is counted once for each peer. */
static void a_removed_peer_leaves_nothing_behind(void **state)
{
    (void)state;
    join_up(0);
    publish(3);
    struct message *message = expect(0, MESSAGE_EVENTS);
    publish(3);
    replicator_remove_peer(rig.replicator, 0);
    finish_message(message, SEND_RETRYABLE);
    join_up(0);
    assert_null(sent(0, MESSAGE_EVENTS));
    publish(1);
    check_events(expect(0, MESSAGE_EVENTS), 7, 1);
}

static void a_shutdown_sends_what_waits(void **state)
{
    (void)state;
    join_up(0);
    publish(1);
    replicator_flush(rig.replicator);
    expect(0, MESSAGE_EVENTS);
    finish(0, MESSAGE_GOODBYE, SEND_DELIVERED);
    assert_false(replicator_is_idle(rig.replicator));
    finish(0, MESSAGE_EVENTS, SEND_DELIVERED);
    assert_true(replicator_is_idle(rig.replicator));
}

static void a_body_names_both_processes(void **state)
{
    (void)state;
    struct text body = {0};
    join_as(0, 0x1f);
    publish(1);
    peer_request_write_body(expect(0, MESSAGE_EVENTS), rig.node, false, rig_now(), &body);
    assert_string_equal(
        text_string(&body),
        "{\"run\":\"00000000000000aa\",\"to_run\":\"000000000000001f\","
        "\"events\":[{\"number\":1,\"time_ms\":7,\"topic\":\"t\",\"payload\":\"{}\"}]}");
    text_free(&body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_go_to_every_peer_at_once_and_in_order),
        TEST(a_message_has_so_many_events_at_most),
        TEST(a_failed_message_is_sent_again_before_later_events),
        TEST(a_failed_message_is_not_sent_to_another_process),
        TEST(a_peer_that_is_not_up_gets_no_events),
        TEST(what_waits_for_a_peer_is_dropped_when_it_is_down),
        TEST(refused_events_are_dropped),
        TEST(a_message_that_is_too_large_is_sent_in_halves),
        TEST(an_event_that_is_too_large_is_dropped_alone),
        TEST(the_limit_of_a_message_grows_again),
        TEST(a_message_that_is_not_full_leaves_the_limit),
        TEST(halves_of_a_peer_that_goes_down_are_dropped),
        TEST(a_legacy_peer_gets_no_events),
        TEST(a_slow_peer_loses_the_oldest_events),
        TEST(a_removed_peer_leaves_nothing_behind),
        TEST(a_shutdown_sends_what_waits),
        TEST(a_body_names_both_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

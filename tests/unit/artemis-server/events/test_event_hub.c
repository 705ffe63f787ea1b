/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/events/event_hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#define RUN  "00000000000000aa"
#define PEER "00000000000000bb"

static struct event_hub *hub;
static unsigned local_wakes, peer_wakes;

static void count_wake(void *context)
{
    ++*(unsigned *)context;
}

static int set_up(void **state)
{
    (void)state;
    hub = calloc(1, sizeof(*hub));
    event_hub_init(hub, "self", RUN);
    local_wakes = peer_wakes = 0;
    event_hub_set_local(hub, count_wake, &local_wakes);
    event_hub_set_peers(hub, count_wake, &peer_wakes);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    failing_malloc_after(-1);
    event_hub_free(hub);
    free(hub);
    return 0;
}

static struct moment now(void)
{
    return (struct moment){.mono_ms = 1000, .wall_ms = 5000};
}

static enum error publish(const char *payload, uint64_t *number)
{
    return event_hub_publish(hub, SLICE("t"), slice_of(payload), now(), number);
}

/* The numbers of the events that wait, as "1 2 3". */
static const char *take(size_t (*take_some)(struct event_hub *, struct event **, size_t))
{
    static char numbers[16 * 1024];
    struct event *events[2];
    size_t at = 0;
    size_t count;
    numbers[0] = '\0';
    while ((count = take_some(hub, events, 2)))
        for (size_t i = 0; i < count; i++) {
            at += (size_t)snprintf(numbers + at, sizeof(numbers) - at, at ? " %llu" : "%llu",
                                   (unsigned long long)events[i]->number);
            event_unref(events[i]);
        }
    return numbers;
}

static enum error receive_as(const char *run, const char *numbers)
{
    char body[8192];
    char message[MESSAGE_BYTES];
    struct event_message *events;
    int at = snprintf(body, sizeof(body), "{\"run\":\"%s\",\"events\":[", run);
    for (const char *n = numbers; *n; n++)
        at += snprintf(body + at, sizeof(body) - (size_t)at,
                       "%s{\"number\":%c,\"time_ms\":7,\"topic\":\"t\",\"payload\":\"%c\"}",
                       n > numbers ? "," : "", *n, *n);
    snprintf(body + at, sizeof(body) - (size_t)at, "]}");
    assert_int_equal(event_message_read_peer(slice_of(body), &events, message), ERR_NONE);
    enum error error = event_hub_receive(hub, SLICE("peer"), events, now());
    event_message_free(events);
    return error;
}

static void receive(const char *numbers)
{
    assert_int_equal(receive_as(PEER, numbers), ERR_NONE);
}

static void subscribe(void)
{
    atomic_fetch_add(&hub->subscriptions, 1);
}

/* --- events of this node ---------------------------------------------------------------------- */

static void an_event_goes_to_subscribers_and_to_peers(void **state)
{
    (void)state;
    uint64_t number = 0;
    subscribe();
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(publish("{}", &number), ERR_NONE);
        assert_int_equal(number, i);
    }
    assert_string_equal(take(event_hub_take_local), "1 2 3");
    assert_string_equal(take(event_hub_take_for_peers), "1 2 3");
    assert_int_equal(local_wakes, 1);
    assert_int_equal(peer_wakes, 1);
    assert_int_equal(publish("{}", &number), ERR_NONE);
    assert_int_equal(local_wakes, 2);
    assert_int_equal(peer_wakes, 2);
    assert_int_equal(hub->counters.published, 4);
}

static void an_event_names_its_publisher(void **state)
{
    (void)state;
    struct event *event;
    uint64_t number;
    subscribe();
    assert_int_equal(publish("[1]", &number), ERR_NONE);
    assert_int_equal(event_hub_take_local(hub, &event, 1), 1);
    assert_true(slice_equal(event->node_id, SLICE("self")));
    assert_true(slice_equal(event->run, SLICE(RUN)));
    assert_true(slice_equal(event->topic, SLICE("t")));
    assert_true(slice_equal(event->payload, SLICE("[1]")));
    assert_int_equal(event->wall_ms, 5000);
    event_unref(event);
}

static void without_subscribers_events_go_to_peers_only(void **state)
{
    (void)state;
    uint64_t number;
    assert_int_equal(publish("1", &number), ERR_NONE);
    receive("1");
    assert_string_equal(take(event_hub_take_local), "");
    assert_string_equal(take(event_hub_take_for_peers), "1");
}

static void without_peers_events_go_to_subscribers_only(void **state)
{
    (void)state;
    uint64_t number;
    event_hub_set_peers(hub, NULL, NULL);
    subscribe();
    assert_int_equal(publish("1", &number), ERR_NONE);
    assert_string_equal(take(event_hub_take_for_peers), "");
    assert_string_equal(take(event_hub_take_local), "1");
}

/* A full queue refuses the event for all, and the publisher sees it. */
static void a_full_queue_refuses_further_events(void **state)
{
    (void)state;
    uint64_t number = 0;
    subscribe();
    for (int i = 0; i < EVENTS_WAITING_MAX; i++)
        assert_int_equal(publish("1", &number), ERR_NONE);
    assert_int_equal(publish("1", &number), ERR_TOO_MANY_EVENTS);
    assert_int_equal(number, EVENTS_WAITING_MAX);
    (void)take(event_hub_take_local);
    assert_int_equal(publish("1", &number), ERR_TOO_MANY_EVENTS); /* for the peers */
    assert_int_equal(local_wakes, 1);
    (void)take(event_hub_take_for_peers);
    assert_int_equal(publish("1", &number), ERR_NONE);
    assert_int_equal(number, EVENTS_WAITING_MAX + 1); /* refused events have no number */
    assert_int_equal(hub->counters.refused, 2);
}

static void the_end_of_a_thread_empties_its_queue(void **state)
{
    (void)state;
    uint64_t number;
    subscribe();
    assert_int_equal(publish("1", &number), ERR_NONE);
    event_hub_set_local(hub, NULL, NULL);
    event_hub_set_peers(hub, NULL, NULL);
    assert_int_equal(publish("1", &number), ERR_NONE);
    assert_string_equal(take(event_hub_take_local), "");
    assert_string_equal(take(event_hub_take_for_peers), "");
}

/* --- events of peers -------------------------------------------------------------------------- */

static void events_of_a_peer_are_not_forwarded(void **state)
{
    (void)state;
    subscribe();
    receive("123");
    assert_string_equal(take(event_hub_take_for_peers), "");
    assert_string_equal(take(event_hub_take_local), "1 2 3");
    assert_int_equal(local_wakes, 1);
    assert_int_equal(hub->counters.received, 3);
}

static void a_repeated_or_late_message_delivers_nothing_again(void **state)
{
    (void)state;
    subscribe();
    receive("12");
    receive("12");
    receive("5");
    receive("1234");
    receive("6");
    assert_string_equal(take(event_hub_take_local), "1 2 5 6");
    assert_int_equal(hub->counters.duplicates, 6);
    assert_int_equal(hub->counters.missed, 2);
}

static void what_nobody_subscribed_to_is_admitted_once_as_well(void **state)
{
    (void)state;
    receive("12");
    subscribe();
    receive("123");
    assert_string_equal(take(event_hub_take_local), "3");
}

static void events_of_peers_are_dropped_at_the_limit(void **state)
{
    (void)state;
    uint64_t number;
    event_hub_set_peers(hub, NULL, NULL);
    subscribe();
    for (int i = 0; i < EVENTS_WAITING_MAX - 1; i++)
        assert_int_equal(publish("1", &number), ERR_NONE);
    receive("123");
    assert_int_equal(hub->counters.dropped_full, 2);
    (void)take(event_hub_take_local);
    receive("1234");
    assert_string_equal(take(event_hub_take_local), "4");
}

static void each_failed_allocation_is_reported(void **state)
{
    (void)state;
    uint64_t number;
    subscribe();
    failing_malloc_after(1);
    assert_int_equal(publish("1", &number), ERR_NO_MEMORY);
    failing_malloc_after(-1);
    receive("1");
    assert_string_equal(take(event_hub_take_local), "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_goes_to_subscribers_and_to_peers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_event_names_its_publisher, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_subscribers_events_go_to_peers_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_peers_events_go_to_subscribers_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_queue_refuses_further_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_a_thread_empties_its_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_of_a_peer_are_not_forwarded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_repeated_or_late_message_delivers_nothing_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_subscribed_to_is_admitted_once_as_well, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(events_of_peers_are_dropped_at_the_limit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_failed_allocation_is_reported, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of guards, where more services are engaged than are known at a time.
 */
#include "artemis-server/events/guard_events.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { LEASES = 60, FURTHER = 6, FURTHER_MS = 5000 };

static struct registry *registry;
static struct event_hub *hub;
static struct guard_events guard_events;

static void ignore(void *context)
{
    (void)context;
}

static int set_up(void **state)
{
    (void)state;
    registry = make_registry();
    hub = calloc(1, sizeof(*hub));
    guard_events = (struct guard_events){.is_node_engaged = false};
    event_hub_init(hub, "self", "00000000000000aa");
    event_hub_set_peers(hub, ignore, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    event_hub_free(hub);
    free(hub);
    registry_free(registry);
    return 0;
}

static void put_services(int first, int count, uint64_t ms)
{
    for (int i = first; i < first + count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "s%d", i);
        put_many(registry, name, 0, LEASES, at_ms(ms));
    }
}

static void run(uint64_t from_ms, uint64_t to_ms)
{
    for (uint64_t ms = from_ms; ms <= to_ms; ms += TICK_MS)
        registry_expire(registry, at_ms(ms));
}

/* The number of events about services that are published now, of this kind. */
static unsigned count_events(uint64_t ms, const char *kind)
{
    struct registry_stats stats = stats_of(registry);
    struct event *event;
    unsigned count = 0;
    guard_events_publish(&guard_events, hub, registry, &stats, at_ms(ms));
    while (event_hub_take_for_peers(hub, &event, 1)) {
        char payload[1024];
        snprintf(payload, sizeof(payload), "%.*s", (int)event->payload.size, event->payload.data);
        count += strstr(payload, kind) && strstr(payload, "service_id");
        event_unref(event);
    }
    return count;
}

static void service_that_is_engaged_is_not_published_as_released(void **state)
{
    (void)state;
    uint64_t first_ms = TTL_MS + TICK_MS;
    uint64_t second_ms = FURTHER_MS + TTL_MS + TICK_MS;
    put_services(0, GUARD_SERVICES_MAX, 0);
    run(TICK_MS, FURTHER_MS);
    put_services(GUARD_SERVICES_MAX, FURTHER, FURTHER_MS);
    run(FURTHER_MS + TICK_MS, first_ms);
    assert_int_equal(stats_of(registry).engaged_services, GUARD_SERVICES_MAX);
    assert_int_equal(count_events(first_ms, "\"engaged\""), GUARD_SERVICES_MAX);
    run(first_ms + TICK_MS, second_ms);
    assert_int_equal(stats_of(registry).engaged_services, GUARD_SERVICES_MAX + FURTHER);
    assert_int_equal(count_events(second_ms, "\"released\""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(service_that_is_engaged_is_not_published_as_released,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

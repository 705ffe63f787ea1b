/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that wait, on virtual time: each is resumed once, by its service, its time, its client
 * or the end, and gives its room back.
 */
#include "tests/unit/artemis-web/push/push_fixture.h"

enum { WAITS = 500 };

static struct push_fixture fixture;
static struct push *const push = &fixture.push;
static struct registry *registry;

static int set_up(void **state)
{
    (void)state;
    push_fixture_start(&fixture, 1024);
    registry = fixture.engine.registry;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    push_fixture_stop(&fixture);
    return 0;
}

/* A request that waits for a service, "" for all, and whose client is at the other end. */
static struct long_poll *begin(const char *service_id, uint64_t version, uint64_t wait_ms,
                               int *client)
{
    static char connection; /* never looked into */
    int ends[2];
    struct long_poll *long_poll = calloc(1, sizeof(*long_poll));
    assert_non_null(long_poll);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    *client = ends[1];
    *long_poll = (struct long_poll){
        .source.kind = SOURCE_LONG_POLL,
        .condition = {.id_size = strlen(service_id),
                      .version = version,
                      .until_ms = push->now.mono_ms + wait_ms},
        .connection = (struct MHD_Connection *)&connection,
        .socket = ends[0],
    };
    memcpy(long_poll->condition.id, service_id, strlen(service_id));
    assert_true(push_reserve(push));
    long_poll_start(push, long_poll);
    return long_poll;
}

static void end_client(int client, int ours)
{
    close(client);
    close(ours);
}

/* --- what ends a wait ------------------------------------------------------------------------- */

static void change_of_its_service_ends_it_and_no_other(void **state)
{
    (void)state;
    int clients[3];
    put(registry, "s", "i", at_ms(0));
    put(registry, "t", "i", at_ms(0));
    uint64_t version = registry_revision(registry);
    const struct long_poll *s = begin("s", version, 60000, &clients[0]);
    const struct long_poll *t = begin("t", version, 60000, &clients[1]);
    const struct long_poll *all = begin("", version, 60000, &clients[2]);
    int sockets[] = {s->socket, t->socket, all->socket};
    push_fixture_round(push);
    assert_int_equal(resumed, 0);
    put(registry, "t", "j", at_ms(0));
    push_fixture_round(push);
    assert_int_equal(resumed, 2);
    assert_int_equal(push->counters.long_polls, 1);
    assert_int_equal(push->counters.clients, 1);
    assert_null(topics_find(&push->topics, SLICE("t")));
    put(registry, "s", "j", at_ms(0));
    push_fixture_round(push);
    assert_int_equal(resumed, 3);
    for (int i = 0; i < 3; i++)
        end_client(clients[i], sockets[i]);
}

/* Requests that were resumed, by the end of the round. */
static unsigned resumed_by_now(void)
{
    push_free_closed(push);
    return resumed;
}

static void what_changed_before_it_began_ends_it_at_once(void **state)
{
    (void)state;
    int clients[4];
    put(registry, "s", "i", at_ms(0));
    uint64_t version = registry_revision(registry);
    put(registry, "s", "j", at_ms(0));
    begin("s", version, 60000, &clients[0]);
    assert_int_equal(resumed_by_now(), 1);
    begin("", version, 60000, &clients[1]);
    assert_int_equal(resumed_by_now(), 2);
    /* The service went away, and is not known any more: its version is none. */
    take_out(registry, "s", "i", at_ms(0));
    take_out(registry, "s", "j", at_ms(0));
    registry_cleanup(registry, at_ms(60000 + TICK_MS));
    assert_int_equal(registry_service_revision(registry, SLICE("s")), 0);
    begin("s", version, 60000, &clients[2]);
    assert_int_equal(resumed_by_now(), 3);
    begin("later", version, 0, &clients[3]); /* no time to wait */
    assert_int_equal(resumed_by_now(), 4);
    push_fixture_round(push);
    assert_int_equal(resumed_by_now(), 4);
    for (int i = 0; i < 4; i++)
        close(clients[i]);
}

static void client_that_leaves_ends_it(void **state)
{
    (void)state;
    int clients[2];
    const struct long_poll *first = begin("s", 0, 60000, &clients[0]);
    const struct long_poll *second = begin("s", 0, 60000, &clients[1]);
    int sockets[] = {first->socket, second->socket};
    assert_int_equal(send(clients[1], "GET", 3, 0), 3); /* the next request is none of this */
    push_fixture_round(push);
    assert_int_equal(resumed_by_now(), 0);
    close(clients[0]);
    push_fixture_round(push);
    assert_int_equal(resumed_by_now(), 1);
    assert_int_equal(push->counters.long_polls, 1);
    shutdown(clients[1], SHUT_WR);
    push_fixture_round(push);
    assert_int_equal(resumed_by_now(), 2);
    close(sockets[0]);
    end_client(clients[1], sockets[1]);
}

static void draining_ends_it_at_once(void **state)
{
    (void)state;
    int client;
    atomic_store(&push->draining, true);
    begin("s", 0, 60000, &client);
    assert_int_equal(resumed_by_now(), 1);
    close(client);
}

static void without_memory_it_ends_at_once(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        int client;
        struct long_poll *long_poll;
        unsigned before = resumed;
        failing_malloc_after(n + 1); /* the first is the test's own */
        long_poll = begin("s", 0, 60000, &client);
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        int ours = long_poll->socket;
        assert_int_equal(resumed_by_now(), before + failed);
        long_polls_end_all(push);
        assert_int_equal(resumed_by_now(), before + 1);
        end_client(client, ours);
        if (!failed)
            break;
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static void it_ends_at_its_time_or_a_slot_later(void **state)
{
    (void)state;
    static const uint64_t waits_ms[] = {1, 63, 64, 65, 300, 1000, 59999, 60000};
    for (size_t i = 0; i < sizeof(waits_ms) / sizeof(*waits_ms); i++) {
        int client;
        int ours = begin("s", 0, waits_ms[i], &client)->socket;
        uint64_t began_ms = push->now.mono_ms;
        unsigned before = resumed;
        int sleep_ms;
        while ((sleep_ms = long_polls_next_ms(push)) >= 0) { /* as the thread would sleep */
            assert_int_equal(resumed_by_now(), before);
            assert_in_range(sleep_ms, 1, waits_ms[i] + 2 * LONG_POLL_SLOT_MS);
            push->now.mono_ms += (uint64_t)sleep_ms;
            long_polls_end_due(push);
        }
        assert_int_equal(resumed_by_now(), before + 1);
        assert_in_range(push->now.mono_ms - began_ms, waits_ms[i],
                        waits_ms[i] + 2 * LONG_POLL_SLOT_MS);
        end_client(client, ours);
    }
}

static void nobody_waits_for_nothing(void **state)
{
    (void)state;
    assert_int_equal(long_polls_next_ms(push), -1);
    push->now.mono_ms += 1000 * 1000;
    long_polls_end_due(push);
    long_polls_end_all(push);
    assert_int_equal(resumed_by_now(), 0);
}

/* Each of many is resumed once, neither before its time nor a slot after it, also when the thread
 * oversleeps by far. */
static void many_waits_end_each_at_its_time(void **state)
{
    (void)state;
    static struct {
        int client, ours;
        uint64_t until_ms;
    } waits[WAITS];
    uint64_t seed = 5;
    for (int i = 0; i < WAITS; i++) {
        const struct long_poll *long_poll =
            begin("s", 0, random_below(&seed, LONG_POLL_MS_MAX) + 1, &waits[i].client);
        waits[i].ours = long_poll->socket;
        waits[i].until_ms = long_poll->condition.until_ms;
    }
    while (push->counters.long_polls) {
        push->now.mono_ms += random_below(&seed, 10) ? random_below(&seed, 200) : 5000;
        long_polls_end_due(push);
        unsigned due = 0;
        unsigned surely = 0;
        for (int i = 0; i < WAITS; i++) {
            due += waits[i].until_ms <= push->now.mono_ms;
            surely += waits[i].until_ms + LONG_POLL_SLOT_MS <= push->now.mono_ms;
        }
        assert_in_range(resumed_by_now(), surely, due);
    }
    for (int i = 0; i < WAITS; i++)
        end_client(waits[i].client, waits[i].ours);
    int client;
    int ours = begin("s", 0, 60000, &client)->socket;
    push->now.mono_ms += 3ull * LONG_POLL_SLOTS * LONG_POLL_SLOT_MS; /* rounds later */
    long_polls_end_due(push);
    assert_int_equal(resumed_by_now(), WAITS + 1);
    end_client(client, ours);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(change_of_its_service_ends_it_and_no_other),
        TEST(what_changed_before_it_began_ends_it_at_once),
        TEST(client_that_leaves_ends_it),
        TEST(draining_ends_it_at_once),
        TEST(without_memory_it_ends_at_once),
        TEST(it_ends_at_its_time_or_a_slot_later),
        TEST(nobody_waits_for_nothing),
        TEST(many_waits_end_each_at_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

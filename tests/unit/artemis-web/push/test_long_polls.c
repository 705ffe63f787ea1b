/* SPDX-License-Identifier: Apache-2.0
 *
 * Long polls, in virtual time: each is resumed once, by a change, its time, a disconnect or a
 * drain, and returns its place.
 */
#include <poll.h>

#include "artemis-core/base/sha256.h"
#include "artemis-server/auth/token_table.h"
#include "tests/unit/artemis-web/push/push_fixture.h"

enum { POLLS = 500 };

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

/* Starts a long poll of the holder of a token on a service, "" for all; *client is the client's end
 * of its connection. */
static struct long_poll *begin_with(const struct token *token, const char *service_id,
                                    uint64_t revision, uint64_t wait_ms, int *client)
{
    static char connection; /* never dereferenced */
    int ends[2];
    struct long_poll_condition condition = {.id_size = strlen(service_id),
                                            .revision = revision,
                                            .until_ms = push->now.mono_ms + wait_ms,
                                            .token = token};
    memcpy(condition.id, service_id, strlen(service_id));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    *client = ends[1];
    struct long_poll *poll = long_poll_create(&condition, &connection, ends[0]);
    assert_non_null(poll);
    assert_true(push_reserve(push));
    push_start_client(push, &poll->client);
    return poll;
}

static struct long_poll *begin(const char *service_id, uint64_t revision, uint64_t wait_ms,
                               int *client)
{
    return begin_with(NULL, service_id, revision, wait_ms, client);
}

static void end_client(int client, int ours)
{
    close(client);
    close(ours);
}

/* --- what ends it ----------------------------------------------------------------------------- */

static void change_ends_the_long_polls_of_its_service(void **state)
{
    (void)state;
    int clients[3];
    put(registry, "s", "i", at_ms(0));
    put(registry, "t", "i", at_ms(0));
    uint64_t revision = registry_revision(registry);
    const struct long_poll *s = begin("s", revision, 60000, &clients[0]);
    const struct long_poll *t = begin("t", revision, 60000, &clients[1]);
    const struct long_poll *all = begin("", revision, 60000, &clients[2]);
    int sockets[] = {s->socket, t->socket, all->socket};
    push_fixture_run(push);
    assert_int_equal(resumed, 0);
    put(registry, "t", "j", at_ms(0));
    push_fixture_run(push);
    assert_int_equal(resumed, 2);
    assert_int_equal(push->counters.long_polls, 1);
    assert_int_equal(push->counters.clients, 1);
    assert_null(topics_find(&push->topics, SLICE("t")));
    put(registry, "s", "j", at_ms(0));
    push_fixture_run(push);
    assert_int_equal(resumed, 3);
    for (int i = 0; i < 3; i++)
        end_client(clients[i], sockets[i]);
}

/* Runs a turn; returns the number of requests resumed so far. */
static unsigned resumed_by_now(void)
{
    push_turn(push, NULL, 0, push->now);
    return resumed;
}

/* More than are resumed in one call. */
static void change_ends_many_long_polls(void **state)
{
    (void)state;
    static_assert(POLLS > (int)RESUMES_MAX, "several calls");
    static int clients[POLLS];
    static int sockets[POLLS];
    put(registry, "s", "i", at_ms(0));
    uint64_t revision = registry_revision(registry);
    for (int i = 0; i < POLLS; i++)
        sockets[i] = begin("s", revision, 60000, &clients[i])->socket;
    push_fixture_run(push);
    assert_int_equal(resumed, 0);
    put(registry, "s", "j", at_ms(0));
    push_fixture_run(push);
    assert_int_equal(resumed, POLLS);
    assert_int_equal(push->counters.long_polls, 0);
    for (int i = 0; i < POLLS; i++)
        end_client(clients[i], sockets[i]);
}

/* A change that the request has already seen may be dispatched after the long poll has started. */
static void change_up_to_its_revision_does_not_end_it(void **state)
{
    (void)state;
    int clients[3];
    int sockets[3];
    sockets[0] = begin("other", 0, 60000, &clients[0])->socket; /* changes are dispatched now */
    put(registry, "s", "i", at_ms(0));
    uint64_t revision = registry_revision(registry);
    sockets[1] = begin("s", revision, 60000, &clients[1])->socket;
    sockets[2] = begin("", revision, 60000, &clients[2])->socket;
    push_fixture_run(push);
    assert_int_equal(push->dispatched, revision);
    assert_int_equal(resumed, 0);
    put(registry, "s", "j", at_ms(0));
    push_fixture_run(push);
    assert_int_equal(resumed, 2);
    for (int i = 0; i < 3; i++)
        end_client(clients[i], sockets[i]);
}

static void change_before_it_started_ends_it_at_once(void **state)
{
    (void)state;
    int clients[4];
    put(registry, "s", "i", at_ms(0));
    uint64_t revision = registry_revision(registry);
    put(registry, "s", "j", at_ms(0));
    begin("s", revision, 60000, &clients[0]);
    assert_int_equal(resumed_by_now(), 1);
    begin("", revision, 60000, &clients[1]);
    assert_int_equal(resumed_by_now(), 2);
    /* The service has no instances and is no longer known: it has no revision. */
    take_out(registry, "s", "i", at_ms(0));
    take_out(registry, "s", "j", at_ms(0));
    registry_cleanup(registry, at_ms(60000 + TICK_MS));
    assert_int_equal(registry_service_revision(registry, SLICE("s")), 0);
    begin("s", revision, 60000, &clients[2]);
    assert_int_equal(resumed_by_now(), 3);
    begin("later", revision, 0, &clients[3]); /* its time has run out */
    assert_int_equal(resumed_by_now(), 4);
    push_fixture_run(push);
    assert_int_equal(resumed_by_now(), 4);
    for (int i = 0; i < 4; i++)
        close(clients[i]);
}

static void disconnect_of_the_client_ends_it(void **state)
{
    (void)state;
    int clients[2];
    const struct long_poll *first = begin("s", 0, 60000, &clients[0]);
    const struct long_poll *second = begin("s", 0, 60000, &clients[1]);
    int sockets[] = {first->socket, second->socket};
    assert_int_equal(send(clients[1], "GET", 3, 0), 3); /* input does not end it */
    close(clients[0]);
    push_fixture_at(push, LONG_POLL_UNWATCHED_MS - 1);
    assert_int_equal(resumed_by_now(), 0);
    push_fixture_at(push, LONG_POLL_UNWATCHED_MS); /* at its end they are watched */
    push_fixture_run(push);
    assert_int_equal(resumed_by_now(), 1);
    assert_int_equal(push->counters.long_polls, 1);
    shutdown(clients[1], SHUT_WR);
    push_fixture_run(push);
    assert_int_equal(resumed_by_now(), 2);
    close(sockets[0]);
    end_client(clients[1], sockets[1]);
}

static void connection_that_cannot_be_watched_ends_it(void **state)
{
    (void)state;
    int client;
    close(begin("s", 0, 60000, &client)->socket);
    push_fixture_at(push, LONG_POLL_UNWATCHED_MS - 1);
    assert_int_equal(resumed_by_now(), 0);
    push_fixture_at(push, LONG_POLL_UNWATCHED_MS);
    assert_int_equal(resumed_by_now(), 1);
    close(client);
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

/* The tokens of settings with one token. */
static struct token_table *make_tokens(struct config_token *token)
{
    struct config config = {.auth.tokens = {1, token}};
    struct token_table *tokens;
    struct sha256 digest = sha256_of(slice_of(token->name)); /* the secret is the name */
    sha256_write_hex(&digest, token->sha256);
    assert_int_equal(token_table_create(&config, &tokens), ERR_NONE);
    return tokens;
}

static void revoked_token_ends_its_long_polls(void **state)
{
    (void)state;
    int clients[4];
    int sockets[4];
    struct token_table *one = make_tokens(&(struct config_token){.name = "one"});
    struct token_table *two = make_tokens(&(struct config_token){.name = "two"});
    sockets[0] = begin("s", 0, 60000, &clients[0])->socket;
    sockets[1] =
        begin_with(token_table_find(one, SLICE("one")), "s", 0, 60000, &clients[1])->socket;
    sockets[2] =
        begin_with(token_table_find(two, SLICE("two")), "s", 0, 60000, &clients[2])->socket;
    push_check_tokens(push);
    push_fixture_run(push);
    assert_int_equal(resumed, 0);
    token_table_revoke_missing(one, two);
    push_check_tokens(push);
    push_fixture_run(push);
    assert_int_equal(resumed, 1);
    /* One that arrives after the reload ends at once. */
    sockets[3] =
        begin_with(token_table_find(one, SLICE("one")), "s", 0, 60000, &clients[3])->socket;
    assert_int_equal(resumed_by_now(), 2);
    for (int i = 0; i < 4; i++)
        end_client(clients[i], sockets[i]);
    token_table_unref(one);
    token_table_unref(two);
}

static void without_memory_it_ends_at_once(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        int client;
        struct long_poll *poll;
        unsigned before = resumed;
        failing_malloc_after(n + 1); /* the first allocation is the long poll itself */
        poll = begin("s", 0, 60000, &client);
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        int ours = poll->socket;
        assert_int_equal(resumed_by_now(), before + failed);
        long_polls_end_all(push);
        assert_int_equal(resumed_by_now(), before + 1);
        end_client(client, ours);
        if (!failed)
            break;
    }
}

/* --- arrival ---------------------------------------------------------------------------------- */

/* Returns whether the thread was woken; it takes the wakeup. */
static bool is_woken(void)
{
    struct pollfd fd = {.fd = push->wake, .events = POLLIN};
    eventfd_t ignored;
    return poll(&fd, 1, 0) == 1 && eventfd_read(push->wake, &ignored) == 0;
}

static void add(int client_and_ours[2])
{
    static char connection; /* never dereferenced */
    const struct long_poll_condition condition = {
        .id = "s", .id_size = 1, .until_ms = push->now.mono_ms + 60000};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client_and_ours), 0);
    assert_true(push_reserve(push));
    push_add_long_poll(push, &condition, &connection, client_and_ours[1]);
}

static void arrivals_wake_the_thread_once_for_all(void **state)
{
    (void)state;
    int ends[2][2];
    push_wake_for_long_polls(push);
    assert_false(is_woken());
    add(ends[0]);
    add(ends[1]);
    assert_false(is_woken());
    push_wake_for_long_polls(push);
    assert_true(is_woken());
    push_wake_for_long_polls(push);
    assert_false(is_woken());
    push_fixture_run(push);
    assert_int_equal(push->counters.long_polls, 2);
    for (int i = 0; i < 2; i++)
        end_client(ends[i][0], ends[i][1]);
}

static void websocket_behind_long_polls_wakes_the_thread(void **state)
{
    (void)state;
    int ends[2][2];
    const struct push_caller caller = {0};
    add(ends[0]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[1]), 0);
    assert_true(push_reserve(push));
    push_add_websocket(push, ENDPOINT_NATIVE, ends[1][1], (void *)(intptr_t)ends[1][1], &caller,
                       (struct slice){0});
    assert_true(is_woken());
    push_fixture_run(push);
    assert_int_equal(push->counters.websockets, 1);
    close(ends[1][0]); /* the HTTP server closes the other end */
    end_client(ends[0][0], ends[0][1]);
}

/* --- time ------------------------------------------------------------------------------------- */

static void it_ends_at_its_time_or_one_slot_later(void **state)
{
    (void)state;
    static const uint64_t wait_ms[] = {1, 63, 64, 65, 300, 1000, 59999, 60000};
    for (size_t i = 0; i < sizeof(wait_ms) / sizeof(*wait_ms); i++) {
        int client;
        int ours = begin("s", 0, wait_ms[i], &client)->socket;
        uint64_t began_ms = push->now.mono_ms;
        unsigned before = resumed;
        int next_ms;
        while ((next_ms = long_polls_next_ms(push)) >= 0) { /* as the thread waits */
            assert_int_equal(resumed_by_now(), before);
            assert_in_range(next_ms, 1, wait_ms[i] + 2 * LONG_POLL_SLOT_MS);
            push->now.mono_ms += (uint64_t)next_ms;
            long_polls_end_due(push);
        }
        assert_int_equal(resumed_by_now(), before + 1);
        assert_in_range(push->now.mono_ms - began_ms, wait_ms[i],
                        wait_ms[i] + 2 * LONG_POLL_SLOT_MS);
        end_client(client, ours);
    }
}

static void without_long_polls_there_is_no_timeout(void **state)
{
    (void)state;
    assert_int_equal(long_polls_next_ms(push), -1);
    push->now.mono_ms += 1000 * 1000;
    long_polls_end_due(push);
    long_polls_end_all(push);
    assert_int_equal(resumed_by_now(), 0);
}

/* None is resumed before its time or more than a slot after it, even if the thread runs late. */
static void many_long_polls_end_each_at_its_time(void **state)
{
    (void)state;
    static struct {
        int client, ours;
        uint64_t until_ms;
    } polls[POLLS];
    uint64_t seed = 5;
    for (int i = 0; i < POLLS; i++) {
        const struct long_poll *poll =
            begin("s", 0, random_below(&seed, LONG_POLL_MS_MAX) + 1, &polls[i].client);
        polls[i].ours = poll->socket;
        polls[i].until_ms = poll->until_ms;
    }
    while (push->counters.long_polls) {
        push->now.mono_ms += random_below(&seed, 10) ? random_below(&seed, 200) : 5000;
        long_polls_end_due(push);
        unsigned due = 0;
        unsigned overdue = 0;
        for (int i = 0; i < POLLS; i++) {
            due += polls[i].until_ms <= push->now.mono_ms;
            overdue += polls[i].until_ms + LONG_POLL_SLOT_MS <= push->now.mono_ms;
        }
        assert_in_range(resumed_by_now(), overdue, due);
    }
    for (int i = 0; i < POLLS; i++)
        end_client(polls[i].client, polls[i].ours);
    int client;
    int ours = begin("s", 0, 60000, &client)->socket;
    push->now.mono_ms += 3ull * LONG_POLL_SLOTS * LONG_POLL_SLOT_MS; /* several revolutions later */
    long_polls_end_due(push);
    assert_int_equal(resumed_by_now(), POLLS + 1);
    end_client(client, ours);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(change_ends_the_long_polls_of_its_service),
        TEST(change_ends_many_long_polls),
        TEST(change_up_to_its_revision_does_not_end_it),
        TEST(change_before_it_started_ends_it_at_once),
        TEST(disconnect_of_the_client_ends_it),
        TEST(connection_that_cannot_be_watched_ends_it),
        TEST(draining_ends_it_at_once),
        TEST(revoked_token_ends_its_long_polls),
        TEST(without_memory_it_ends_at_once),
        TEST(arrivals_wake_the_thread_once_for_all),
        TEST(websocket_behind_long_polls_wakes_the_thread),
        TEST(it_ends_at_its_time_or_one_slot_later),
        TEST(without_long_polls_there_is_no_timeout),
        TEST(many_long_polls_end_each_at_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The snapshot for a node that bootstraps: how many are sent at the same time.
 */
#include "artemis-web/api/handlers.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { READERS = 100 };

static struct engine engine;

static enum error open_snapshot(struct response *response, char message[MESSAGE_BYTES])
{
    struct request request = {.engine = &engine, .now = at_ms(0)};
    *response = (struct response){0};
    return handle_peer_services(&request, response, message);
}

/* Each of them holds a copy of the list of the service that is being sent. */
static void unread_snapshots_are_limited_to_the_number_of_peers(void **state)
{
    (void)state;
    char message[MESSAGE_BYTES];
    struct response responses[READERS];
    size_t count = 0;
    engine.registry = make_registry();
    atomic_store(&engine.state, NODE_READY);
    put_many(engine.registry, "s", 0, 1000, at_ms(0));
    for (; open_snapshot(&responses[count], message) == ERR_NONE; count++) {
        struct text piece = {0};
        bool ended = false;
        assert_true(count + 1 < READERS);
        const struct response_stream *stream = &responses[count].stream;
        assert_int_equal(stream->next(stream->context, &piece, &ended), ERR_NONE);
        assert_false(ended);
        text_free(&piece);
    }
    assert_int_equal(count, REPLICATOR_PEERS_MAX);
    assert_non_null(strstr(message, "at most 64"));
    assert_int_equal(open_snapshot(&responses[count], message), ERR_OVERLOADED);

    response_clear(&responses[--count]);
    assert_int_equal(open_snapshot(&responses[count++], message), ERR_NONE);
    while (count)
        response_clear(&responses[--count]);
    assert_int_equal(atomic_load(&engine.snapshots), 0);
    registry_free(engine.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unread_snapshots_are_limited_to_the_number_of_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

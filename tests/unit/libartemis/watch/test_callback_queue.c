/* SPDX-License-Identifier: Apache-2.0
 *
 * Queued callbacks outlive what they were made from.
 */
#include "libartemis/watch/callback_queue.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <string.h>

/* The URL of a server is freed when its number is given to another one. */
static void registration_event_has_copies_of_its_texts(void **state)
{
    struct callback_queue queue;
    char server[] = "http://a:1";
    char reason[] = "no-permission";
    char message[] = "not allowed";
    (void)state;
    callback_queue_init(&queue);
    const struct artemis_registration_event event = {
        .state = ARTEMIS_REJECTED, .server = server, .reason = reason, .message = message};
    assert_int_equal(callback_queue_add_event(&queue, &event, NULL), ERR_NONE);
    memset(server, 'x', sizeof server - 1);
    memset(reason, 'x', sizeof reason - 1);
    memset(message, 'x', sizeof message - 1);
    struct queued_callback *callback = callback_queue_take(&queue);
    assert_non_null(callback);
    assert_int_equal(callback->state, ARTEMIS_REJECTED);
    assert_string_equal(callback->server, "http://a:1");
    assert_string_equal(callback->reason, "no-permission");
    assert_string_equal(callback->text, "not allowed");
    queued_callback_free(callback);
}

static void registration_event_without_memory_is_not_queued(void **state)
{
    struct callback_queue queue;
    (void)state;
    callback_queue_init(&queue);
    const struct artemis_registration_event event = {.server = "s", .reason = "", .message = "m"};
    failing_malloc_after(1);
    enum error error = callback_queue_add_event(&queue, &event, NULL);
    failing_malloc_after(-1);
    assert_int_equal(error, ERR_NO_MEMORY);
    assert_int_equal(queue.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registration_event_has_copies_of_its_texts),
        cmocka_unit_test(registration_event_without_memory_is_not_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

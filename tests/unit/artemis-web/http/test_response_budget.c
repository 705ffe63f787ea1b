/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit of response bodies that clients have not read yet.
 */
#include "artemis-web/http/response_budget.h"

#include <microhttpd.h>
#include <stdlib.h>

#include "artemis-web/http/web_internal.h"
#include "tests/support/cmocka_all.h"

enum { BODY_BYTES = 16 * 1024 * 1024, BODIES_MAX = 100 };

static struct web web;

static struct text body_of(size_t size)
{
    struct text body = {0};
    assert_non_null(text_reserve(&body, size));
    body.size = size;
    return body;
}

static struct MHD_Response *create(struct text *body)
{
    struct MHD_Response *response = response_budget_create(&web, body);
    assert_non_null(response);
    assert_null(body->data); /* the response has it */
    return response;
}

static void unread_bodies_are_limited(void **state)
{
    (void)state;
    struct MHD_Response *responses[BODIES_MAX];
    size_t count = 0;
    struct text body = body_of(BODY_BYTES);
    while (!response_budget_exceeded(&web, body.capacity)) {
        assert_true(count < BODIES_MAX);
        responses[count++] = create(&body);
        body = body_of(BODY_BYTES);
    }
    assert_in_range(count, UNREAD_BODIES_BYTES_MAX / BODY_BYTES / 2,
                    UNREAD_BODIES_BYTES_MAX / BODY_BYTES);
    MHD_destroy_response(responses[--count]); /* its client has read it */
    assert_false(response_budget_exceeded(&web, body.capacity));
    text_free(&body);
    while (count)
        MHD_destroy_response(responses[--count]);
    assert_int_equal(atomic_load(&web.metrics.unread_bytes), 0);
}

static void small_bodies_are_sent_in_any_case(void **state)
{
    (void)state;
    struct text small = body_of(100);
    struct text empty = {0};
    atomic_store(&web.metrics.unread_bytes, UNREAD_BODIES_BYTES_MAX);
    assert_false(response_budget_exceeded(&web, small.capacity));
    assert_false(response_budget_exceeded(&web, empty.capacity));
    MHD_destroy_response(create(&small));
    MHD_destroy_response(create(&empty));
    assert_int_equal(atomic_load(&web.metrics.unread_bytes), UNREAD_BODIES_BYTES_MAX);
    atomic_store(&web.metrics.unread_bytes, 0);
}

static void the_only_body_may_be_larger(void **state)
{
    (void)state;
    const struct text huge = {.capacity = (size_t)2 * UNREAD_BODIES_BYTES_MAX, .size = 1};
    assert_false(response_budget_exceeded(&web, huge.capacity));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unread_bodies_are_limited),
        cmocka_unit_test(small_bodies_are_sent_in_any_case),
        cmocka_unit_test(the_only_body_may_be_larger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cached responses: what they take over, how long they live (checked by the sanitizers), and the
 * gzip form, which several threads may request at once.
 */
#include "artemis-server/cache/cached_response.h"

#include <assert.h>
#include <pthread.h>

#include "artemis-core/base/gzip.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

static struct cached_response *make_response(size_t body_bytes, uint64_t revision)
{
    struct text body = {0};
    struct cached_response *response = NULL;
    for (size_t i = 0; i < body_bytes; i++)
        text_append_char(&body, (char)('a' + i % 26));
    assert_false(text_failed(&body));
    assert_int_equal(cached_response_create(&body, revision, &response), ERR_NONE);
    assert_null(body.data); /* taken over */
    assert_int_equal(body.size, 0);
    return response;
}

static void response_has_body_and_revision(void **state)
{
    (void)state;
    struct cached_response *response = make_response(3, 1770000000000001ull);
    assert_int_equal(response->body.size, 3);
    assert_memory_equal(response->body.data, "abc", 3);
    assert_int_equal(response->revision, 1770000000000001ull);
    cached_response_unref(response);
}

static void body_has_no_spare_capacity(void **state)
{
    (void)state;
    struct cached_response *response = make_response(1000, 1);
    assert_int_equal(response->body.size, 1000);
    assert_int_equal(response->body.capacity, 1000);
    cached_response_unref(response);
}

static void empty_body_is_a_response(void **state)
{
    (void)state;
    struct slice zipped = {0};
    struct text back = {0};
    struct cached_response *response = make_response(0, 1);
    assert_int_equal(response->body.size, 0);
    assert_int_equal(cached_response_gzip(response, &zipped), ERR_NONE);
    assert_int_equal(gzip_decompress(zipped, 10, &back), ERR_NONE);
    assert_int_equal(back.size, 0);
    text_free(&back);
    cached_response_unref(response);
}

static void response_lives_until_its_last_reference(void **state)
{
    (void)state;
    struct cached_response *response = make_response(10, 1);
    assert_ptr_equal(cached_response_ref(response), response);
    cached_response_unref(response);
    assert_memory_equal(response->body.data, "abcdefghij", 10);
    cached_response_unref(response);
    cached_response_unref(NULL);
}

static void gzip_is_made_once_and_gives_back_the_body(void **state)
{
    (void)state;
    struct slice first = {0};
    struct slice second = {0};
    struct text back = {0};
    struct cached_response *response = make_response(100000, 1);
    assert_int_equal(cached_response_gzip(response, &first), ERR_NONE);
    assert_int_equal(cached_response_gzip(response, &second), ERR_NONE);
    assert_ptr_equal(first.data, second.data);
    assert_int_equal(first.size, second.size);
    assert_true(first.size < 100000 / 10);
    assert_int_equal(gzip_decompress(first, 100000, &back), ERR_NONE);
    assert_int_equal(back.size, 100000);
    assert_memory_equal(back.data, response->body.data, 100000);
    text_free(&back);
    cached_response_unref(response);
}

static void gzip_keeps_no_spare_memory(void **state)
{
    (void)state;
    struct slice zipped = {0};
    struct cached_response *response = make_response(100000, 1);
    assert_int_equal(cached_response_gzip(response, &zipped), ERR_NONE);
    assert_int_equal(response->gzip->capacity, zipped.size);
    cached_response_unref(response);
}

/* --- the budget ------------------------------------------------------------------------------- */

static void cached_response_is_charged_until_it_is_evicted(void **state)
{
    (void)state;
    struct cache_budget budget = {.limit_bytes = SIZE_MAX};
    struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
    struct slice zipped = {0};
    struct cached_response *first = make_response(1000, 1);
    struct cached_response *second = make_response(50000, 2);
    assert_true(cached_response_put(first, &budget));
    assert_int_equal(budget.used_bytes, sizeof(*first) + 1000);
    assert_true(cached_response_put(second, &budget));
    assert_int_equal(second->refs, 2);
    assert_int_equal(cached_response_gzip(second, &zipped), ERR_NONE);
    assert_int_equal(budget.used_bytes,
                     2 * sizeof(*first) + 51000 + sizeof(struct text) + zipped.size);
    cached_response_evict(second, &evicted);
    assert_int_equal(budget.used_bytes, sizeof(*first) + 1000);
    cached_response_evict(first, &evicted);
    assert_int_equal(budget.used_bytes, 0);
    assert_int_equal(first->refs, 2); /* until the list is freed */
    cached_response_free_evicted(&evicted);
    assert_int_equal(first->refs, 1);
    assert_int_equal(second->refs, 1);
    cached_response_unref(first);
    cached_response_unref(second);
}

static void gzip_of_an_evicted_response_is_not_charged(void **state)
{
    (void)state;
    struct cache_budget budget = {.limit_bytes = SIZE_MAX};
    struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
    struct slice zipped = {0};
    struct cached_response *response = make_response(1000, 1);
    assert_true(cached_response_put(response, &budget));
    cached_response_evict(response, &evicted);
    assert_int_equal(cached_response_gzip(response, &zipped), ERR_NONE);
    assert_int_equal(budget.used_bytes, 0);
    cached_response_free_evicted(&evicted);
    cached_response_unref(response);
}

static void response_beyond_the_budget_is_not_cached(void **state)
{
    (void)state;
    struct cache_budget budget = {.limit_bytes = SIZE_MAX};
    struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
    struct cached_response *first = make_response(1000, 1);
    struct cached_response *second = make_response(1, 2);
    const size_t limit_bytes = sizeof(*first) + 1000;
    budget.limit_bytes = limit_bytes - 1;
    assert_false(cached_response_put(first, &budget));
    assert_int_equal(budget.used_bytes, 0);
    assert_int_equal(first->refs, 1);
    budget.limit_bytes = limit_bytes;
    assert_true(cached_response_put(first, &budget));
    assert_false(cached_response_put(second, &budget));
    assert_int_equal(budget.used_bytes, limit_bytes);
    cached_response_evict(first, &evicted);
    assert_true(cached_response_put(second, &budget));
    cached_response_evict(second, &evicted);
    cached_response_free_evicted(&evicted);
    cached_response_unref(first);
    cached_response_unref(second);
}

/* --- threads ---------------------------------------------------------------------------------- */

enum { THREADS = 6, ROUNDS = 40 };

struct gzipper {
    struct cached_response *response; /* the thread's own reference */
    pthread_barrier_t *start;
    struct slice zipped;
    pthread_t thread;
};

static void *ask_for_gzip(void *context)
{
    struct gzipper *gzipper = context;
    pthread_barrier_wait(gzipper->start);
    enum error error = cached_response_gzip(gzipper->response, &gzipper->zipped);
    assert(error == ERR_NONE);
    struct text back = {0};
    error = gzip_decompress(gzipper->zipped, gzipper->response->body.size, &back);
    assert(error == ERR_NONE && back.size == gzipper->response->body.size);
    assert(memcmp(back.data, gzipper->response->body.data, back.size) == 0);
    text_free(&back);
    cached_response_unref(gzipper->response);
    return NULL;
}

static void threads_that_ask_at_once_get_the_same_gzip(void **state)
{
    (void)state;
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, THREADS);
    for (int round = 0; round < ROUNDS; round++) {
        struct gzipper gzippers[THREADS];
        struct cache_budget budget = {.limit_bytes = SIZE_MAX};
        struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
        struct cached_response *response = make_response(30000, 1);
        assert_true(cached_response_put(response, &budget));
        for (int i = 0; i < THREADS; i++) {
            gzippers[i] =
                (struct gzipper){.response = cached_response_ref(response), .start = &start};
            assert_int_equal(pthread_create(&gzippers[i].thread, NULL, ask_for_gzip, &gzippers[i]),
                             0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(gzippers[i].thread, NULL);
            assert_ptr_equal(gzippers[i].zipped.data, gzippers[0].zipped.data);
        }
        assert_int_equal(budget.used_bytes, sizeof(*response) + 30000 + sizeof(struct text) +
                                                gzippers[0].zipped.size); /* once */
        cached_response_evict(response, &evicted);
        cached_response_free_evicted(&evicted);
        assert_int_equal(response->refs, 1);
        cached_response_unref(response);
    }
    pthread_barrier_destroy(&start);
}

/* --- objects of the sender -------------------------------------------------------------------- */

static int freed;

static void free_object(void *object)
{
    (void)object;
    freed++;
}

static void object_is_kept_as_long_as_the_response(void **state)
{
    (void)state;
    char objects[2];
    struct cache_budget budget = {.limit_bytes = SIZE_MAX};
    struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
    struct cached_response *response = make_response(10, 1);
    assert_true(cached_response_put(response, &budget));
    size_t used_bytes = budget.used_bytes;
    assert_null(cached_response_object(response, 3));
    assert_ptr_equal(cached_response_keep(response, 3, &objects[0], 100, free_object), &objects[0]);
    assert_int_equal(budget.used_bytes, used_bytes + 100);
    assert_ptr_equal(cached_response_object(response, 3), &objects[0]);
    assert_null(cached_response_object(response, 2));
    assert_ptr_equal(cached_response_keep(response, 3, &objects[1], 100, free_object), &objects[0]);
    assert_int_equal(freed, 1); /* the second */
    assert_int_equal(budget.used_bytes, used_bytes + 100);
    cached_response_evict(response, &evicted);
    assert_int_equal(budget.used_bytes, 0);
    cached_response_free_evicted(&evicted);
    assert_int_equal(freed, 1);
    cached_response_unref(response);
    assert_int_equal(freed, 2);
}

static void first_sending_differs_from_later_ones(void **state)
{
    (void)state;
    struct cached_response *response = make_response(10, 1);
    assert_false(cached_response_is_sent_again(response));
    assert_true(cached_response_is_sent_again(response));
    assert_true(cached_response_is_sent_again(response));
    cached_response_unref(response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(response_has_body_and_revision),
        cmocka_unit_test(body_has_no_spare_capacity),
        cmocka_unit_test(empty_body_is_a_response),
        cmocka_unit_test(response_lives_until_its_last_reference),
        cmocka_unit_test(gzip_is_made_once_and_gives_back_the_body),
        cmocka_unit_test(gzip_keeps_no_spare_memory),
        cmocka_unit_test(cached_response_is_charged_until_it_is_evicted),
        cmocka_unit_test(gzip_of_an_evicted_response_is_not_charged),
        cmocka_unit_test(response_beyond_the_budget_is_not_cached),
        cmocka_unit_test(threads_that_ask_at_once_get_the_same_gzip),
        cmocka_unit_test(object_is_kept_as_long_as_the_response),
        cmocka_unit_test(first_sending_differs_from_later_ones),
    };
    return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}

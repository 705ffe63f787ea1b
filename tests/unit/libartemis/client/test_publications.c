/* SPDX-License-Identifier: Apache-2.0
 *
 * Publications: their order, when one may be sent again, and that a caller that leaves knows
 * whether its event may have been published.
 */
#include "libartemis/client/publications.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct publications publications;

static int start(void **state)
{
    (void)state;
    publications_init(&publications);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    publications_free(&publications);
    return 0;
}

static struct publication *add(const char *topic, uint64_t deadline_ms, bool has_caller)
{
    struct publication *publication = NULL;
    struct text body = {0};
    text_append_string(&body, "{}");
    assert_int_equal(
        publications_add(&publications, topic, &body, deadline_ms, has_caller, &publication),
        ERR_NONE);
    assert_int_equal(body.size, 0);
    return publication;
}

static struct publication *next(void)
{
    assert_true(publications_is_due(&publications));
    struct publication *publication = publications_next(&publications);
    assert_false(publications_is_due(&publications));
    return publication;
}

static void events_are_published_one_after_another(void **state)
{
    (void)state;
    struct publication *one = add("a", 100, true);
    struct publication *two = add("b", 100, false);
    assert_ptr_equal(next(), one);
    assert_true(publication_may_send(one));
    publications_end(&publications, ARTEMIS_OK, "",
                     &(struct artemis_published){.node_id = "n", .number = 5});
    assert_true(one->done);
    assert_int_equal(one->error, ARTEMIS_OK);
    assert_int_equal(one->published.number, 5);
    publication_free(one);
    assert_ptr_equal(next(), two);
    publications_end(&publications, ARTEMIS_REFUSED, "no", NULL); /* frees it */
    assert_true(publications_is_empty(&publications));
    assert_false(publications_is_due(&publications));
}

static void publication_that_was_not_sent_is_the_next_one(void **state)
{
    (void)state;
    struct publication *one = add("a", 100, true);
    add("b", 100, false);
    next();
    publications_retry(&publications, "no route");
    assert_ptr_equal(next(), one);
    assert_string_equal(one->cause, "no route");
    assert_true(publication_may_send(one));
    publications_retry(&publications, "not ready"); /* the server has not executed it */
    assert_false(one->sent);
}

/* --- results ---------------------------------------------------------------------------------- */

struct attempt {
    bool sent, answered, readable, done;
    int status;
    enum publication_result expected;
};

static void only_what_no_server_has_executed_is_retryable(void **state)
{
    static const struct attempt attempts[] = {
        {.expected = PUBLICATION_RETRYABLE}, /* no connection */
        {.sent = true, .expected = PUBLICATION_UNCERTAIN},
        {true, true, true, true, 200, PUBLICATION_DELIVERED},
        {true, true, true, false, 400, PUBLICATION_REJECTED},
        {true, true, true, false, 403, PUBLICATION_REJECTED},
        {true, true, true, false, 404, PUBLICATION_REJECTED},
        {false, true, true, false, 401, PUBLICATION_REJECTED},
        {true, true, true, false, 408, PUBLICATION_RETRYABLE},
        {true, true, true, false, 429, PUBLICATION_RETRYABLE},
        {true, true, true, false, 503, PUBLICATION_RETRYABLE},
        {true, true, true, false, 500, PUBLICATION_UNCERTAIN}, /* out of memory for the response */
        {true, true, true, false, 200, PUBLICATION_UNCERTAIN},
        {true, true, false, false, 503, PUBLICATION_UNCERTAIN}, /* of a proxy */
        {true, true, false, false, 200, PUBLICATION_UNCERTAIN},
        {false, true, false, false, 503, PUBLICATION_RETRYABLE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        const struct attempt *attempt = &attempts[i];
        const struct publication publication = {.sent = attempt->sent};
        const struct wire_result result = {.done = attempt->done};
        const struct publication_response response = {.answered = attempt->answered,
                                                      .readable = attempt->readable,
                                                      .status = attempt->status,
                                                      .result = &result};
        if (publication_result_of(&publication, &response) != attempt->expected)
            fail_msg("attempt %zu", i);
    }
}

/* --- callers that leave ----------------------------------------------------------------------- */

static void caller_leaves_a_waiting_publication(void **state)
{
    char cause[PUBLICATION_CAUSE_MAX];
    (void)state;
    struct publication *one = add("a", 100, true);
    next();
    publications_retry(&publications, "no route");
    assert_false(publications_leave(&publications, one, cause));
    assert_string_equal(cause, "no route");
    assert_true(publications_is_empty(&publications));
}

static void publication_that_was_left_is_not_sent(void **state)
{
    char cause[PUBLICATION_CAUSE_MAX];
    (void)state;
    struct publication *one = add("a", 100, true);
    next();
    assert_false(publications_leave(&publications, one, cause));
    assert_false(publication_may_send(one));
    publications_retry(&publications, "no route");
    assert_true(publications_is_empty(&publications));
    assert_false(publications_is_due(&publications));
}

static void caller_that_leaves_a_sent_publication_does_not_know(void **state)
{
    char cause[PUBLICATION_CAUSE_MAX];
    (void)state;
    struct publication *one = add("a", 100, true);
    next();
    assert_true(publication_may_send(one));
    assert_true(publications_leave(&publications, one, cause));
    publications_end(&publications, ARTEMIS_OK, "", NULL);
    assert_true(publications_is_empty(&publications));
}

/* --- limits ----------------------------------------------------------------------------------- */

static void publication_without_caller_expires(void **state)
{
    uint64_t at_ms = 1000;
    (void)state;
    struct publication *caller = add("a", 50, true); /* its caller has the deadline */
    struct publication *one = add("b", 100, false);
    struct publication *two = add("c", 200, false);
    assert_null(publications_expired(&publications, 99, &at_ms));
    assert_int_equal(at_ms, 100);
    assert_ptr_equal(publications_expired(&publications, 100, &at_ms), one);
    publication_free(one);
    at_ms = 1000;
    assert_null(publications_expired(&publications, 100, &at_ms));
    assert_int_equal(at_ms, 200);
    assert_ptr_equal(publications_expired(&publications, 200, &at_ms), two);
    publication_free(two);
    assert_ptr_equal(next(), caller);
}

static void kept_publications_do_not_expire(void **state)
{
    uint64_t at_ms = 1000;
    (void)state;
    struct publication *one = add("a", 100, false);
    struct publication *two = add("b", 200, false);
    next();
    publications_keep(&publications);
    publications_retry(&publications, "no route"); /* it was in flight */
    struct publication *three = add("c", 300, false);
    assert_null(publications_expired(&publications, 999, &at_ms));
    assert_int_equal(at_ms, 1000);
    assert_ptr_equal(next(), one);
    publications_end(&publications, ARTEMIS_OK, "", NULL);
    assert_ptr_equal(next(), two);
    publications_end(&publications, ARTEMIS_OK, "", NULL);
    assert_ptr_equal(next(), three);
}

static void waiting_events_have_a_limit(void **state)
{
    struct publication *publication = NULL;
    struct text body = {0};
    (void)state;
    for (int i = 0; i < PUBLICATIONS_MAX; i++)
        add("a", 100, false);
    assert_int_equal(publications_add(&publications, "a", &body, 100, false, &publication),
                     ERR_TOO_MANY_EVENTS);
    assert_null(publication);
    next(); /* what is in flight counts, too */
    assert_int_equal(publications_add(&publications, "a", &body, 100, false, &publication),
                     ERR_TOO_MANY_EVENTS);
    publications_end(&publications, ARTEMIS_OK, "", NULL);
    add("a", 100, false);
}

static void add_without_memory_changes_nothing(void **state)
{
    struct publication *publication = NULL;
    struct text body = {0};
    (void)state;
    text_append_string(&body, "{}");
    long live = failing_malloc_live();
    failing_malloc_after(1);
    assert_int_equal(publications_add(&publications, "a", &body, 100, true, &publication),
                     ERR_NO_MEMORY);
    failing_malloc_after(-1);
    assert_int_equal(failing_malloc_live(), live);
    assert_int_equal(body.size, 2);
    assert_true(publications_is_empty(&publications));
    text_free(&body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_are_published_one_after_another),
        TEST(publication_that_was_not_sent_is_the_next_one),
        TEST(only_what_no_server_has_executed_is_retryable),
        TEST(caller_leaves_a_waiting_publication),
        TEST(publication_that_was_left_is_not_sent),
        TEST(caller_that_leaves_a_sent_publication_does_not_know),
        TEST(publication_without_caller_expires),
        TEST(kept_publications_do_not_expire),
        TEST(waiting_events_have_a_limit),
        TEST(add_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

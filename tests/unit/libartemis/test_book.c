/* SPDX-License-Identifier: Apache-2.0
 *
 * What is sent for the instances of a client, and when, on virtual time; and what those who wait
 * are told.
 */
#include "libartemis/book.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEARTBEAT_MS = 10000 };

struct fixture {
    struct book book;
    struct book_request request;
    struct book_news news;
    uint64_t now_ms;
};

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->book.heartbeat_ms = HEARTBEAT_MS;
    fixture->now_ms = 1000;
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->request.instances)
        book_failed(&fixture->book, &fixture->request);
    book_free(&fixture->book);
    free(fixture);
    return 0;
}

static struct instance *make(const char *id, int port)
{
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = SLICE("r"),
                 [FIELD_ZONE] = SLICE("z"),
                 [FIELD_SERVICE] = SLICE("s"),
                 [FIELD_INSTANCE] = slice_of(id),
                 [FIELD_IP] = SLICE("10.0.0.1")},
        .port = port,
    };
    struct instance *instance;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    return instance;
}

static struct instance_key key_of(const char *id)
{
    const struct slice parts[KEY_FIELDS] = {SLICE("r"), SLICE("z"), SLICE("s"), {0}, slice_of(id)};
    struct instance_key key;
    struct field_problem problem;
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    return key;
}

static void want(struct fixture *fixture, const char *id, int port, struct ticket *ticket)
{
    struct instance *instance = make(id, port);
    assert_int_equal(book_want(&fixture->book, instance, ticket), ERR_NONE);
    instance_unref(instance);
}

static bool leave(struct fixture *fixture, const char *id, struct ticket *ticket)
{
    struct instance_key key = key_of(id);
    return book_leave(&fixture->book, &key, fixture->now_ms + 5000, ticket);
}

/* The next request is this call, with so many instances. */
static void assert_sends(struct fixture *fixture, enum book_call call, size_t count)
{
    uint64_t at_ms;
    assert_true(book_next(&fixture->book, fixture->now_ms, &fixture->request, &at_ms));
    assert_int_equal(fixture->request.call, call);
    assert_int_equal(fixture->request.count, count);
}

static void assert_sends_nothing_before(struct fixture *fixture, uint64_t expected_ms)
{
    uint64_t at_ms = 0;
    assert_false(book_next(&fixture->book, fixture->now_ms, &fixture->request, &at_ms));
    assert_int_equal(at_ms, expected_ms);
}

static void answer(struct fixture *fixture)
{
    const struct wire_outcome outcome = {.done = true};
    book_answered(&fixture->book, &fixture->request, &outcome, fixture->now_ms, &fixture->news);
}

static void refuse(struct fixture *fixture, const char *id, const char *reason)
{
    struct wire_failure failure = {.key = key_of(id)};
    snprintf(failure.reason, sizeof failure.reason, "%s", reason);
    snprintf(failure.message, sizeof failure.message, "%s it is", reason);
    const struct wire_outcome outcome = {.failures = &failure, .failure_count = 1};
    book_answered(&fixture->book, &fixture->request, &outcome, fixture->now_ms, &fixture->news);
}

static void registered_then_renewed_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct ticket ticket = {0};
    assert_sends_nothing_before(fixture, UINT64_MAX);
    want(fixture, "1", 1, &ticket);
    assert_sends(fixture, BOOK_REGISTER, 1);
    assert_false(ticket.done);
    assert_sends_nothing_before(fixture, UINT64_MAX); /* one request at a time */
    answer(fixture);
    assert_true(ticket.done);
    assert_int_equal(ticket.problem.error, ARTEMIS_OK);
    assert_sends_nothing_before(fixture, 1000 + HEARTBEAT_MS);
    for (int i = 0; i < 3; i++) {
        fixture->now_ms += HEARTBEAT_MS;
        assert_sends(fixture, BOOK_HEARTBEAT, 1);
        answer(fixture);
        assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
    }
}

static void heartbeats_of_all_come_to_go_together(void **state)
{
    struct fixture *fixture = *state;
    want(fixture, "1", 1, NULL);
    assert_sends(fixture, BOOK_REGISTER, 1);
    answer(fixture);
    fixture->now_ms += HEARTBEAT_MS / 4;
    want(fixture, "2", 1, NULL);
    assert_sends(fixture, BOOK_REGISTER, 1);
    answer(fixture);
    fixture->now_ms = 1000 + HEARTBEAT_MS;
    assert_sends(fixture, BOOK_HEARTBEAT, 2);
    answer(fixture);
    assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
}

static void many_go_in_batches(void **state)
{
    struct fixture *fixture = *state;
    char id[16];
    for (int i = 0; i < BOOK_BATCH_MAX + 5; i++) {
        snprintf(id, sizeof id, "%d", i);
        want(fixture, id, 1, NULL);
    }
    assert_sends(fixture, BOOK_REGISTER, BOOK_BATCH_MAX);
    answer(fixture);
    assert_sends(fixture, BOOK_REGISTER, 5);
    answer(fixture);
    assert_sends_nothing_before(fixture, 1000 + HEARTBEAT_MS);
}

static void unknown_lease_is_registered_again_with_its_content(void **state)
{
    struct fixture *fixture = *state;
    want(fixture, "1", 7, NULL);
    want(fixture, "2", 7, NULL);
    assert_sends(fixture, BOOK_REGISTER, 2);
    answer(fixture);
    fixture->now_ms += HEARTBEAT_MS;
    assert_sends(fixture, BOOK_HEARTBEAT, 2);
    refuse(fixture, "1", "instance-not-found");
    assert_int_equal(fixture->news.lost, 1);
    assert_string_equal(fixture->news.refused, "");
    assert_sends(fixture, BOOK_REGISTER, 1);
    assert_int_equal(instance_port(fixture->request.instances[0]), 7);
    answer(fixture);
    assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
}

static void server_that_fails_leaves_all_due(void **state)
{
    struct fixture *fixture = *state;
    struct ticket ticket = {0};
    want(fixture, "1", 1, &ticket);
    for (int i = 0; i < 3; i++) {
        assert_sends(fixture, BOOK_REGISTER, 1);
        book_failed(&fixture->book, &fixture->request);
        assert_false(ticket.done);
    }
    assert_sends(fixture, BOOK_REGISTER, 1);
    answer(fixture);
    assert_true(ticket.done);
}

static void refused_registration_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    struct ticket ticket = {0};
    want(fixture, "1", 1, &ticket);
    assert_sends(fixture, BOOK_REGISTER, 1);
    refuse(fixture, "1", "invalid-field");
    assert_true(ticket.done);
    assert_int_equal(ticket.problem.error, ARTEMIS_REFUSED);
    assert_string_equal(ticket.problem.text, "invalid-field it is");
    assert_string_equal(fixture->news.refused, "invalid-field it is");
    assert_true(book_is_empty(&fixture->book));
}

static void refused_change_is_undone(void **state)
{
    struct fixture *fixture = *state;
    struct ticket ticket = {0};
    struct instance_key key = key_of("1");
    want(fixture, "1", 1, NULL);
    assert_sends(fixture, BOOK_REGISTER, 1);
    answer(fixture);
    want(fixture, "1", 2, &ticket);
    assert_sends(fixture, BOOK_REGISTER, 1);
    refuse(fixture, "1", "invalid-field");
    assert_int_equal(ticket.problem.error, ARTEMIS_REFUSED);
    assert_int_equal(instance_port(book_find(&fixture->book, &key)), 1);
    assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
}

static void what_was_taken_once_is_not_given_up_when_refused_elsewhere(void **state)
{
    struct fixture *fixture = *state;
    want(fixture, "1", 1, NULL);
    assert_sends(fixture, BOOK_REGISTER, 1);
    answer(fixture);
    for (int i = 0; i < 2; i++) {
        fixture->now_ms += HEARTBEAT_MS;
        assert_sends(fixture, BOOK_HEARTBEAT, 1);
        refuse(fixture, "1", "instance-not-found");
        assert_sends(fixture, BOOK_REGISTER, 1);
        const struct wire_outcome whole = {.message = "no permission"};
        book_answered(&fixture->book, &fixture->request, &whole, fixture->now_ms, &fixture->news);
        assert_string_equal(fixture->news.refused, "no permission");
        assert_sends_nothing_before(fixture, fixture->now_ms + HEARTBEAT_MS);
    }
}

static void change_during_a_registration_is_sent_next(void **state)
{
    struct fixture *fixture = *state;
    struct ticket tickets[2] = {0};
    want(fixture, "1", 1, &tickets[0]);
    assert_sends(fixture, BOOK_REGISTER, 1);
    want(fixture, "1", 2, &tickets[1]);
    assert_true(tickets[0].done); /* overtaken */
    assert_int_equal(tickets[0].problem.error, ARTEMIS_TIMED_OUT);
    answer(fixture);
    assert_false(tickets[1].done);
    assert_sends(fixture, BOOK_REGISTER, 1);
    assert_int_equal(instance_port(fixture->request.instances[0]), 2);
    answer(fixture);
    assert_int_equal(tickets[1].problem.error, ARTEMIS_OK);
    assert_true(tickets[1].done);
}

static void unregister_waits_for_a_registration_under_way(void **state)
{
    struct fixture *fixture = *state;
    struct ticket ticket = {0};
    want(fixture, "1", 1, NULL);
    assert_sends(fixture, BOOK_REGISTER, 1);
    assert_true(leave(fixture, "1", &ticket));
    assert_false(leave(fixture, "1", NULL)); /* it is leaving already */
    assert_sends_nothing_before(fixture, UINT64_MAX);
    answer(fixture);
    assert_false(ticket.done);
    assert_sends(fixture, BOOK_UNREGISTER, 1);
    answer(fixture);
    assert_true(ticket.done);
    assert_int_equal(ticket.problem.error, ARTEMIS_OK);
    assert_true(book_is_empty(&fixture->book));
}

static void unregister_of_what_was_never_sent_calls_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct ticket ticket = {0};
    want(fixture, "1", 1, NULL);
    assert_true(leave(fixture, "1", &ticket));
    assert_true(ticket.done);
    assert_true(book_is_empty(&fixture->book));
    assert_false(leave(fixture, "1", NULL));
}

static void unregister_is_given_up_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct ticket ticket = {0};
    want(fixture, "1", 1, NULL);
    assert_sends(fixture, BOOK_REGISTER, 1);
    answer(fixture);
    assert_true(leave(fixture, "1", &ticket));
    assert_sends(fixture, BOOK_UNREGISTER, 1);
    book_failed(&fixture->book, &fixture->request);
    fixture->now_ms += 5000;
    assert_sends_nothing_before(fixture, UINT64_MAX);
    assert_int_equal(ticket.problem.error, ARTEMIS_TIMED_OUT);
    assert_true(book_is_empty(&fixture->book));
}

static void registered_again_while_leaving_stays(void **state)
{
    struct fixture *fixture = *state;
    want(fixture, "1", 1, NULL);
    assert_sends(fixture, BOOK_REGISTER, 1);
    answer(fixture);
    assert_true(leave(fixture, "1", NULL));
    assert_sends(fixture, BOOK_UNREGISTER, 1);
    want(fixture, "1", 2, NULL);
    answer(fixture);
    assert_sends(fixture, BOOK_REGISTER, 1);
    answer(fixture);
    assert_false(book_is_empty(&fixture->book));
}

static void who_stops_waiting_is_not_told(void **state)
{
    struct fixture *fixture = *state;
    struct ticket tickets[2] = {0};
    want(fixture, "1", 1, &tickets[0]);
    want(fixture, "2", 1, &tickets[1]);
    book_forget_ticket(&fixture->book, &tickets[0]);
    assert_sends(fixture, BOOK_REGISTER, 2);
    answer(fixture);
    assert_false(tickets[0].done);
    assert_true(tickets[1].done);
}

static void leave_all_takes_all_out(void **state)
{
    struct fixture *fixture = *state;
    want(fixture, "1", 1, NULL);
    want(fixture, "2", 1, NULL);
    assert_sends(fixture, BOOK_REGISTER, 2);
    answer(fixture);
    want(fixture, "3", 1, NULL);
    book_leave_all(&fixture->book, UINT64_MAX);
    assert_sends(fixture, BOOK_UNREGISTER, 2);
    answer(fixture);
    assert_true(book_is_empty(&fixture->book));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registered_then_renewed_in_time),
        TEST(heartbeats_of_all_come_to_go_together),
        TEST(many_go_in_batches),
        TEST(unknown_lease_is_registered_again_with_its_content),
        TEST(server_that_fails_leaves_all_due),
        TEST(refused_registration_is_not_kept),
        TEST(refused_change_is_undone),
        TEST(what_was_taken_once_is_not_given_up_when_refused_elsewhere),
        TEST(change_during_a_registration_is_sent_next),
        TEST(unregister_waits_for_a_registration_under_way),
        TEST(unregister_of_what_was_never_sent_calls_nobody),
        TEST(unregister_is_given_up_in_time),
        TEST(registered_again_while_leaving_stays),
        TEST(who_stops_waiting_is_not_told),
        TEST(leave_all_takes_all_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics: one for each service that has subscribers, and "*".
 */
#include "artemis-web/push/topics.h"

#include <stdio.h>

#include "artemis-web/frames/frame.h"
#include "artemis-web/push/long_polls.h"
#include "artemis-web/push/websocket.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

struct fixture {
    struct topics topics;
    long live;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture.live = failing_malloc_live();
    assert_int_equal(topics_init(&fixture.topics, 42), ERR_NONE);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    topics_free(&fixture->topics);
    assert_int_equal(failing_malloc_live(), fixture->live);
    return 0;
}

static struct topic *subscribe(struct topics *topics, const char *id,
                               struct subscription *subscription)
{
    struct topic *topic = topics_get(topics, slice_of(id));
    assert_non_null(topic);
    subscription->topic = topic;
    LIST_INSERT_HEAD(&topic->plain.subscriptions, subscription, view_link);
    return topic;
}

static void unsubscribe(struct topics *topics, struct subscription *subscription)
{
    LIST_REMOVE(subscription, view_link);
    topics_subscriber_removed(topics, subscription->topic);
}

static void topic_of_all_services_is_never_freed(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscription subscription;
    assert_ptr_equal(topics_find(topics, SLICE("*")), topics->all);
    assert_ptr_equal(topics_get(topics, SLICE("*")), topics->all);
    subscribe(topics, "*", &subscription);
    unsubscribe(topics, &subscription);
    topics_free_idle(topics);
    assert_ptr_equal(topics_find(topics, SLICE("*")), topics->all);
}

static void topic_exists_while_it_has_subscribers(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscription subscription;
    struct long_poll poll;
    assert_null(topics_find(topics, SLICE("s")));
    struct topic *topic = subscribe(topics, "s", &subscription);
    LIST_INSERT_HEAD(&topic->long_polls, &poll, topic_link);
    topics_free_idle(topics); /* it was idle when it was created */
    assert_ptr_equal(topics_find(topics, SLICE("s")), topic);
    assert_true(slice_equal(topic_id(topic), SLICE("s")));
    assert_null(topics_find(topics, SLICE("S")));
    assert_null(topics_find(topics, SLICE("ss")));
    assert_null(topics_find(topics, SLICE("")));
    unsubscribe(topics, &subscription);
    topics_free_idle(topics);
    assert_ptr_equal(topics_find(topics, SLICE("s")), topic);
    LIST_REMOVE(&poll, topic_link);
    topics_subscriber_removed(topics, topic);
    topics_free_idle(topics);
    assert_null(topics_find(topics, SLICE("s")));
}

static void idle_topic_is_valid_until_idle_topics_are_freed(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscription subscription;
    struct topic *topic = subscribe(topics, "s", &subscription);
    for (int i = 0; i < 3; i++) { /* it enters the list of idle topics once */
        unsubscribe(topics, &subscription);
        assert_ptr_equal(subscribe(topics, "s", &subscription), topic);
    }
    unsubscribe(topics, &subscription);
    assert_ptr_equal(topics_find(topics, SLICE("s")), topic);
    topics_free_idle(topics);
    assert_null(topics_find(topics, SLICE("s")));
    topics_free_idle(topics);
}

static void state_is_dropped_with_the_topic(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = topics_get(topics, SLICE("s"));
    struct frame *frame = frame_create(FRAME_TEXT, SLICE("state"));
    topic_cache_state(topics, topic, &topic->plain, FORM_NATIVE, frame_ref(frame));
    topic_cache_state(topics, topic, &topic->plain, FORM_CAMEL, frame_ref(frame));
    topic_drop_states(topic);
    assert_int_equal(frame->refs, 1);
    assert_null(topic->plain.state[FORM_NATIVE]);
    topic_cache_state(topics, topic, &topic->plain, FORM_JAVA, frame_ref(frame));
    topics_drop_states(topics);
    assert_int_equal(frame->refs, 1);
    topic_cache_state(topics, topic, &topic->plain, FORM_JAVA, frame_ref(frame));
    topics_free_idle(topics);
    assert_int_equal(frame->refs, 1);
    assert_null(topics_find(topics, SLICE("s")));
    topics_drop_states(topics);
    frame_unref(frame);
}

static void many_topics_are_distinguished(void **state)
{
    enum { TOPICS = 2000 };
    struct topics *topics = &((struct fixture *)*state)->topics;
    static struct subscription subscriptions[TOPICS];
    char name[16];
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        subscribe(topics, name, &subscriptions[i]);
    }
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        assert_ptr_equal(topics_find(topics, slice_of(name)), subscriptions[i].topic);
        assert_true(slice_equal(topic_id(subscriptions[i].topic), slice_of(name)));
        if (i % 3 == 0)
            unsubscribe(topics, &subscriptions[i]);
    }
    topics_free_idle(topics);
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        bool freed = i % 3 == 0;
        assert_ptr_equal(topics_find(topics, slice_of(name)),
                         freed ? NULL : subscriptions[i].topic);
        if (!freed)
            unsubscribe(topics, &subscriptions[i]);
    }
}

static void without_memory_no_topic_is_created(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscription subscriptions[200];
    char name[16];
    long failures = 0;
    for (int i = 0; i < 200; i++) { /* chunks and the index grow on the way */
        snprintf(name, sizeof(name), "s%d", i);
        for (long n = 1;; n++, failures++) {
            failing_malloc_after(n);
            struct topic *topic = topics_get(topics, slice_of(name));
            if (!failing_malloc_happened()) {
                subscribe(topics, name, &subscriptions[i]);
                break;
            }
            assert_null(topic);
            assert_null(topics_find(topics, slice_of(name)));
        }
    }
    failing_malloc_after(-1);
    assert_true(failures > 200);
    for (int i = 0; i < 200; i++)
        unsubscribe(topics, &subscriptions[i]);
}

static void without_memory_topics_do_not_start(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        struct topics topics;
        long live = failing_malloc_live();
        failing_malloc_after(n);
        enum error error = topics_init(&topics, 1);
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(error, failed ? ERR_NO_MEMORY : ERR_NONE);
        topics_free(&topics);
        assert_int_equal(failing_malloc_live(), live);
        if (!failed)
            break;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(topic_of_all_services_is_never_freed),
        TEST(topic_exists_while_it_has_subscribers),
        TEST(idle_topic_is_valid_until_idle_topics_are_freed),
        TEST(state_is_dropped_with_the_topic),
        TEST(many_topics_are_distinguished),
        TEST(without_memory_no_topic_is_created),
        cmocka_unit_test(without_memory_topics_do_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics: there while somebody watches, one for each service, and "*" for good.
 */
#include "artemis-web/push/topics.h"

#include <stdio.h>

#include "artemis-web/push/frame.h"
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

static struct topic *watch(struct topics *topics, const char *id, enum subscriber_kind kind,
                           struct subscriber *subscriber)
{
    struct topic *topic = topics_take(topics, slice_of(id));
    assert_non_null(topic);
    topic_link(topic, kind, subscriber);
    return topic;
}

static void unwatch(struct topics *topics, enum subscriber_kind kind, struct subscriber *subscriber)
{
    struct topic *topic = subscriber->topic;
    topic_unlink(subscriber, kind);
    assert_null(subscriber->topic);
    topics_release(topics, topic);
}

static void star_is_there_for_good(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscriber subscriber;
    assert_ptr_equal(topics_find(topics, SLICE("*")), topics->all);
    assert_ptr_equal(topics_take(topics, SLICE("*")), topics->all);
    watch(topics, "*", SUBSCRIBER_WEBSOCKET, &subscriber);
    unwatch(topics, SUBSCRIBER_WEBSOCKET, &subscriber);
    assert_ptr_equal(topics_find(topics, SLICE("*")), topics->all);
}

static void topic_is_there_while_it_is_watched(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscriber subscription;
    struct subscriber waiting;
    assert_null(topics_find(topics, SLICE("s")));
    struct topic *topic = watch(topics, "s", SUBSCRIBER_WEBSOCKET, &subscription);
    assert_ptr_equal(watch(topics, "s", SUBSCRIBER_LONG_POLL, &waiting), topic);
    assert_ptr_equal(topics_find(topics, SLICE("s")), topic);
    assert_true(slice_equal(topic_id(topic), SLICE("s")));
    assert_null(topics_find(topics, SLICE("S")));
    assert_null(topics_find(topics, SLICE("ss")));
    assert_null(topics_find(topics, SLICE("")));
    unwatch(topics, SUBSCRIBER_WEBSOCKET, &subscription);
    assert_ptr_equal(topics_find(topics, SLICE("s")), topic);
    unwatch(topics, SUBSCRIBER_LONG_POLL, &waiting);
    assert_null(topics_find(topics, SLICE("s")));
}

static void topic_with_changes_or_pinned_stays(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = topics_take(topics, SLICE("s"));
    topic->first_change = 1;
    topics_release(topics, topic);
    assert_ptr_equal(topics_find(topics, SLICE("s")), topic);
    topic->first_change = 0;
    topic->pinned = true;
    topics_release(topics, topic);
    assert_ptr_equal(topics_find(topics, SLICE("s")), topic);
    topic->pinned = false;
    topics_release(topics, topic);
    assert_null(topics_find(topics, SLICE("s")));
}

static void watchers_are_linked_and_unlinked_anywhere(void **state)
{
    enum { WATCHERS = 5 };
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscriber subscribers[WATCHERS];
    static const int order[WATCHERS] = {2, 0, 4, 1, 3}; /* amid, at the end, at the start... */
    struct topic *topic = NULL;
    for (int i = 0; i < WATCHERS; i++)
        topic = watch(topics, "s", SUBSCRIBER_WEBSOCKET, &subscribers[i]);
    for (int gone = 0; gone < WATCHERS; gone++) {
        int count = 0;
        const struct subscriber *prev = NULL;
        for (struct subscriber *at = topic->subscribers[SUBSCRIBER_WEBSOCKET]; at; at = at->next) {
            assert_ptr_equal(at->prev, prev);
            assert_ptr_equal(at->topic, topic);
            prev = at;
            count++;
        }
        assert_int_equal(count, WATCHERS - gone);
        unwatch(topics, SUBSCRIBER_WEBSOCKET, &subscribers[order[gone]]);
    }
    assert_null(topics_find(topics, SLICE("s")));
}

static void state_is_dropped_with_the_topic(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct topic *topic = topics_take(topics, SLICE("s"));
    struct frame *frame = frame_create(FRAME_TEXT, SLICE("state"));
    topic->state[FORM_NATIVE] = frame_ref(frame);
    topic->state[FORM_CAMEL] = frame_ref(frame);
    topic_drop_state(topic);
    assert_int_equal(frame->refs, 1);
    assert_null(topic->state[FORM_NATIVE]);
    topic->state[FORM_JAVA] = frame_ref(frame);
    topics_release(topics, topic);
    assert_int_equal(frame->refs, 1);
    frame_unref(frame);
}

static void many_topics_are_told_apart(void **state)
{
    enum { TOPICS = 2000 };
    struct topics *topics = &((struct fixture *)*state)->topics;
    static struct subscriber subscribers[TOPICS];
    char name[16];
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        watch(topics, name, SUBSCRIBER_WEBSOCKET, &subscribers[i]);
    }
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        assert_ptr_equal(topics_find(topics, slice_of(name)), subscribers[i].topic);
        assert_true(slice_equal(topic_id(subscribers[i].topic), slice_of(name)));
        if (i % 3 == 0)
            unwatch(topics, SUBSCRIBER_WEBSOCKET, &subscribers[i]);
    }
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        assert_ptr_equal(topics_find(topics, slice_of(name)), subscribers[i].topic);
        if (subscribers[i].topic)
            unwatch(topics, SUBSCRIBER_WEBSOCKET, &subscribers[i]);
    }
}

static void without_memory_there_is_no_topic(void **state)
{
    struct topics *topics = &((struct fixture *)*state)->topics;
    struct subscriber subscribers[200];
    char name[16];
    long failures = 0;
    for (int i = 0; i < 200; i++) { /* chunks and the index grow on the way */
        snprintf(name, sizeof(name), "s%d", i);
        for (long n = 1;; n++, failures++) {
            failing_malloc_after(n);
            struct topic *topic = topics_take(topics, slice_of(name));
            if (!failing_malloc_happened()) {
                topic_link(topic, SUBSCRIBER_WEBSOCKET, &subscribers[i]);
                break;
            }
            assert_null(topic);
            assert_null(topics_find(topics, slice_of(name)));
        }
    }
    failing_malloc_after(-1);
    assert_true(failures > 200);
    for (int i = 0; i < 200; i++)
        unwatch(topics, SUBSCRIBER_WEBSOCKET, &subscribers[i]);
}

static void without_memory_there_are_no_topics(void **state)
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
        TEST(star_is_there_for_good),
        TEST(topic_is_there_while_it_is_watched),
        TEST(topic_with_changes_or_pinned_stays),
        TEST(watchers_are_linked_and_unlinked_anywhere),
        TEST(state_is_dropped_with_the_topic),
        TEST(many_topics_are_told_apart),
        TEST(without_memory_there_is_no_topic),
        cmocka_unit_test(without_memory_there_are_no_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Revisions and the ring. Each change has its number in wall_ms, so a reader knows exactly which
 * changes it got.
 */
#include "artemis-server/registry/change_log.h"

#include <assert.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/wait.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { CAPACITY = 16 };

/* A log with `count` changes, numbered from 1; returns its revision before the first. */
static uint64_t make_log(struct change_log *log, uint32_t capacity, unsigned count)
{
    struct instance *instance = make_instance((struct brief){.service = "s", .id = "i"});
    assert_int_equal(change_log_init(log, capacity, 0, at_ms(0)), ERR_NONE);
    uint64_t start = change_log_revision(log);
    for (unsigned i = 1; i <= count; i++)
        assert_int_equal(change_log_append(log, 0, instance, CHANGE_NEW, (struct moment){0, i}),
                         start + i);
    instance_unref(instance);
    return start;
}

static uint64_t size_of_log(struct change_log *log)
{
    uint64_t size;
    uint64_t bytes;
    change_log_usage(log, &size, &bytes);
    return size;
}

/* The changes since start + `since` are numbers since + 1 to `last`. */
static void check_since(struct change_log *log, uint64_t start, unsigned since, unsigned last)
{
    struct change *changes = NULL;
    size_t count = 99;
    uint64_t newest = 0;
    assert_int_equal(change_log_since(log, start + since, &changes, &count, &newest), ERR_NONE);
    assert_int_equal(count, last - since);
    assert_int_equal(newest, start + last);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(changes[i].wall_ms, since + 1 + i);
    change_list_free(changes, count);
}

static void check_gone(struct change_log *log, uint64_t revision)
{
    struct change *changes = (struct change *)1;
    size_t count = 99;
    uint64_t newest = 98;
    assert_int_equal(change_log_since(log, revision, &changes, &count, &newest), ERR_VERSION_GONE);
    assert_ptr_equal(changes, (struct change *)1); /* out-arguments are left alone */
    assert_int_equal(count, 99);
    assert_int_equal(newest, 98);
}

static void first_version_is_the_wall_clock_in_microseconds(void **state)
{
    (void)state;
    struct change_log log;
    uint64_t start = make_log(&log, CAPACITY, 0);
    assert_int_equal(start, START_WALL_MS * 1000);
    assert_int_equal(size_of_log(&log), 0);
    change_log_free(&log);
}

static void versions_grow_by_one_whatever_the_clock_says(void **state)
{
    (void)state;
    struct change_log log;
    struct instance *instance = make_instance((struct brief){.service = "s", .id = "i"});
    uint64_t start = make_log(&log, CAPACITY, 0);
    static const int64_t jumps_ms[] = {0, 1, -86400000, 86400000, -1};
    for (uint64_t i = 0; i < 5; i++) {
        struct moment now = at_ms(0);
        now.wall_ms += (uint64_t)jumps_ms[i];
        assert_int_equal(change_log_append(&log, 0, instance, CHANGE_NEW, now), start + i + 1);
        assert_int_equal(change_log_revision(&log), start + i + 1);
    }
    instance_unref(instance);
    change_log_free(&log);
}

static void since_the_newest_version_is_empty(void **state)
{
    (void)state;
    struct change_log log;
    uint64_t start = make_log(&log, CAPACITY, 0);
    check_since(&log, start, 0, 0);
    change_log_free(&log);
    start = make_log(&log, CAPACITY, 5);
    check_since(&log, start, 5, 5);
    change_log_free(&log);
}

static void since_an_older_version_gives_all_after_it_in_order(void **state)
{
    (void)state;
    struct change_log log;
    uint64_t start = make_log(&log, CAPACITY, 7);
    for (unsigned since = 0; since <= 7; since++)
        check_since(&log, start, since, 7);
    change_log_free(&log);
}

static void change_keeps_instance_type_and_time(void **state)
{
    (void)state;
    struct change_log log;
    struct change *changes;
    size_t count;
    uint64_t newest;
    struct instance *a = make_instance((struct brief){.service = "s", .id = "a"});
    struct instance *b = make_instance((struct brief){.service = "s", .id = "b"});
    uint64_t start = make_log(&log, CAPACITY, 0);
    change_log_append(&log, 0, a, CHANGE_CHANGE, at_ms(5));
    change_log_append(&log, 0, b, CHANGE_DELETE, at_ms(6));
    instance_unref(a); /* the log holds its own references */
    instance_unref(b);
    assert_int_equal(change_log_since(&log, start, &changes, &count, &newest), ERR_NONE);
    change_log_free(&log); /* and the list holds its own */
    assert_int_equal(count, 2);
    assert_ptr_equal(changes[0].instance, a);
    assert_ptr_equal(changes[1].instance, b);
    assert_int_equal(changes[0].type, CHANGE_CHANGE);
    assert_int_equal(changes[1].type, CHANGE_DELETE);
    assert_int_equal(changes[1].wall_ms, START_WALL_MS + 6);
    assert_true(slice_equal(instance_text(changes[1].instance, FIELD_INSTANCE), SLICE("b")));
    change_list_free(changes, count);
}

static void full_ring_drops_the_oldest(void **state)
{
    (void)state;
    for (unsigned appended = CAPACITY - 1; appended < 4 * CAPACITY; appended++) {
        struct change_log log;
        uint64_t start = make_log(&log, CAPACITY, appended);
        unsigned kept = appended < CAPACITY ? appended : CAPACITY;
        unsigned oldest = appended - kept; /* the revision that is still good to ask with */
        assert_int_equal(size_of_log(&log), kept);
        check_since(&log, start, oldest, appended);
        check_since(&log, start, oldest + 1, appended);
        if (oldest)
            check_gone(&log, start + oldest - 1);
        change_log_free(&log);
    }
}

static void versions_never_given_out_are_gone(void **state)
{
    (void)state;
    struct change_log log;
    uint64_t start = make_log(&log, CAPACITY, 3);
    check_gone(&log, 0);
    check_gone(&log, 1);
    check_gone(&log, start - 1); /* from before this start */
    check_gone(&log, start + 4); /* from a node whose clock is ahead */
    check_gone(&log, UINT64_MAX);
    check_gone(&log, UINT64_MAX - 1);
    change_log_free(&log);
}

static void log_of_one_change_works(void **state)
{
    (void)state;
    struct change_log log;
    uint64_t start = make_log(&log, 1, 9);
    assert_int_equal(size_of_log(&log), 1);
    check_since(&log, start, 8, 9);
    check_gone(&log, start + 7);
    change_log_free(&log);
}

static void restart_with_a_later_clock_goes_on_above(void **state)
{
    (void)state;
    struct change_log log;
    uint64_t start = make_log(&log, CAPACITY, 900);
    change_log_free(&log);
    assert_int_equal(change_log_init(&log, CAPACITY, 0, at_ms(1)), ERR_NONE);
    assert_true(change_log_revision(&log) > start + 900);
    check_gone(&log, start + 900);
    change_log_free(&log);
}

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    struct change_log log = {0};
    change_log_free(&log);
    change_list_free(NULL, 0);
}

/* --- threads ---------------------------------------------------------------------------------- */

enum { APPENDERS = 2, READERS = 2, APPENDS = 20000, SMALL_RING = 1024 };

struct appender {
    struct change_log *log;
    struct instance *instance; /* its own: the reader knows it by the pointer */
    pthread_t thread;
};

struct reader {
    struct change_log *log;
    const struct appender *appenders;
    uint64_t start;
    pthread_t thread;
};

/* In these two, assert is that of the C library: cmocka's must stay in the main thread. */
static void *append_all(void *context)
{
    struct appender *appender = context;
    uint64_t last = 0;
    for (uint64_t i = 1; i <= APPENDS; i++) {
        uint64_t revision = change_log_append(appender->log, 0, appender->instance, CHANGE_NEW,
                                              (struct moment){0, i});
        assert(revision > last);
        last = revision;
    }
    return NULL;
}

/* The numbers of each appender follow each other without a gap, from list to list too. */
static void follow(const struct reader *reader, const struct change *changes, size_t count,
                   uint64_t seen[APPENDERS])
{
    for (size_t i = 0; i < count; i++) {
        int from = changes[i].instance == reader->appenders[1].instance;
        assert(changes[i].instance == reader->appenders[from].instance);
        assert(changes[i].wall_ms > seen[from]);
        assert(seen[from] == 0 || changes[i].wall_ms == seen[from] + 1);
        seen[from] = changes[i].wall_ms;
    }
}

static void *read_all(void *context)
{
    struct reader *reader = context;
    const uint64_t end = reader->start + (uint64_t)APPENDERS * APPENDS;
    uint64_t seen[APPENDERS] = {0};
    uint64_t revision = reader->start;
    while (revision < end) {
        struct change *changes;
        size_t count;
        uint64_t newest;
        enum error error = change_log_since(reader->log, revision, &changes, &count, &newest);
        if (error == ERR_VERSION_GONE) { /* too slow: start again from what is newest */
            revision = change_log_revision(reader->log);
            memset(seen, 0, sizeof(seen));
            continue;
        }
        assert(error == ERR_NONE && newest == revision + count);
        follow(reader, changes, count, seen);
        change_list_free(changes, count);
        revision = newest;
    }
    return NULL;
}

static void readers_see_each_change_once_while_others_append(void **state)
{
    (void)state;
    struct change_log log;
    struct appender appenders[APPENDERS];
    struct reader readers[READERS];
    uint64_t start = make_log(&log, SMALL_RING, 0);
    for (int i = 0; i < APPENDERS; i++)
        appenders[i] = (struct appender){
            .log = &log,
            .instance = make_instance((struct brief){.service = "s", .id = i ? "b" : "a"}),
        };
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.log = &log, .appenders = appenders, .start = start};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
    }
    for (int i = 0; i < APPENDERS; i++)
        assert_int_equal(pthread_create(&appenders[i].thread, NULL, append_all, &appenders[i]), 0);
    for (int i = 0; i < APPENDERS; i++)
        pthread_join(appenders[i].thread, NULL);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    assert_int_equal(change_log_revision(&log), start + (uint64_t)APPENDERS * APPENDS);
    assert_int_equal(size_of_log(&log), SMALL_RING);
    for (int i = 0; i < APPENDERS; i++)
        instance_unref(appenders[i].instance);
    change_log_free(&log);
}

/* --- reading on, and waiting for more --------------------------------------------------------- */

/* Reads at most `max` changes after start + `since`: they are the numbers from since + 1 on. */
static void check_read(struct change_log *log, uint64_t start, unsigned since, size_t max,
                       size_t expected)
{
    struct change changes[CAPACITY];
    size_t count = 99;
    assert_int_equal(change_log_read(log, start + since, changes, max, &count), ERR_NONE);
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(changes[i].wall_ms, since + 1 + i);
        instance_unref(changes[i].instance);
    }
}

static void read_gives_the_first_of_what_follows(void **state)
{
    (void)state;
    struct change_log log;
    uint64_t start = make_log(&log, CAPACITY, CAPACITY + 4);
    check_read(&log, start, 4, CAPACITY, CAPACITY);
    check_read(&log, start, 4, 3, 3);
    check_read(&log, start, 10, 3, 3);
    check_read(&log, start, CAPACITY + 2, 3, 2);
    check_read(&log, start, CAPACITY + 4, 3, 0);
    check_read(&log, start, 4, 0, 0);
    change_log_free(&log);
}

static void read_of_what_was_dropped_or_never_was_is_gone(void **state)
{
    (void)state;
    struct change_log log;
    struct change changes[CAPACITY];
    size_t count = 99;
    uint64_t start = make_log(&log, CAPACITY, CAPACITY + 4);
    assert_int_equal(change_log_read(&log, start + 3, changes, CAPACITY, &count), ERR_VERSION_GONE);
    assert_int_equal(count, 0);
    assert_int_equal(change_log_read(&log, start + CAPACITY + 5, changes, CAPACITY, &count),
                     ERR_VERSION_GONE);
    assert_int_equal(change_log_read(&log, 0, changes, CAPACITY, &count), ERR_VERSION_GONE);
    assert_int_equal(change_log_read(&log, UINT64_MAX, changes, CAPACITY, &count),
                     ERR_VERSION_GONE);
    change_log_free(&log);
}

static void count_call(void *context)
{
    ++*(unsigned *)context;
}

static void append_one(struct change_log *log)
{
    struct instance *instance = make_instance((struct brief){.service = "s", .id = "i"});
    change_log_append(log, 0, instance, CHANGE_NEW, at_ms(0));
    instance_unref(instance);
}

static void waker_is_called_once_for_what_is_awaited(void **state)
{
    (void)state;
    struct change_log log;
    unsigned calls = 0;
    uint64_t start = make_log(&log, CAPACITY, 0);
    log.wake = count_call;
    log.wake_context = &calls;
    append_one(&log);
    change_log_wake(&log);
    assert_int_equal(calls, 0); /* it is not armed */
    assert_true(change_log_arm_wakeup(&log, start + 1));
    change_log_wake(&log);
    assert_int_equal(calls, 0); /* nothing has come */
    append_one(&log);
    append_one(&log);
    change_log_wake(&log);
    assert_int_equal(calls, 1);
    change_log_wake(&log);
    append_one(&log);
    change_log_wake(&log);
    assert_int_equal(calls, 1); /* once is enough */
    change_log_free(&log);
}

static void what_is_there_already_is_not_awaited(void **state)
{
    (void)state;
    struct change_log log;
    unsigned calls = 0;
    uint64_t start = make_log(&log, CAPACITY, 2);
    log.wake = count_call;
    log.wake_context = &calls;
    assert_false(change_log_arm_wakeup(&log, start));
    assert_false(change_log_arm_wakeup(&log, start + 1));
    append_one(&log);
    change_log_wake(&log);
    assert_int_equal(calls, 0);
    assert_true(change_log_arm_wakeup(&log, start + 3));
    assert_true(change_log_arm_wakeup(&log, start + 3)); /* asked again, it is the same */
    append_one(&log);
    change_log_wake(&log);
    assert_int_equal(calls, 1);
    change_log_free(&log);
}

/* A sleeper that reads on, and sleeps when it has read all: it misses nothing, while others append
 * and wake. */
struct sleeper {
    struct change_log log;
    pthread_mutex_t lock;
    pthread_cond_t called;
    unsigned calls;
};

static void wake_sleeper(void *context)
{
    struct sleeper *sleeper = context;
    pthread_mutex_lock(&sleeper->lock);
    sleeper->calls++;
    pthread_cond_signal(&sleeper->called);
    pthread_mutex_unlock(&sleeper->lock);
}

static void *append_and_wake(void *context)
{
    struct sleeper *sleeper = context;
    struct instance *instance = make_instance((struct brief){.service = "s", .id = "i"});
    for (int i = 0; i < APPENDS; i++) {
        change_log_append(&sleeper->log, 0, instance, CHANGE_NEW, (struct moment){0, 1});
        change_log_wake(&sleeper->log);
    }
    instance_unref(instance);
    return NULL;
}

/* False: it was not called within the timeout of a test. */
static bool sleep_until_called(struct sleeper *sleeper, unsigned calls)
{
    struct timespec deadline;
    int error = 0;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += wait_timeout_ms() / 1000;
    pthread_mutex_lock(&sleeper->lock);
    while (sleeper->calls == calls && !error)
        error = pthread_cond_timedwait(&sleeper->called, &sleeper->lock, &deadline);
    pthread_mutex_unlock(&sleeper->lock);
    return !error;
}

static void sleeper_is_woken_for_each_change(void **state)
{
    (void)state;
    static struct sleeper sleeper;
    static struct change changes[65536];
    pthread_t threads[APPENDERS];
    uint64_t seen = make_log(&sleeper.log, 65536, 0);
    uint64_t end = seen + APPENDERS * APPENDS;
    pthread_mutex_init(&sleeper.lock, NULL);
    pthread_cond_init(&sleeper.called, NULL);
    sleeper.log.wake = wake_sleeper;
    sleeper.log.wake_context = &sleeper;
    for (int i = 0; i < APPENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_and_wake, &sleeper), 0);
    while (seen < end) {
        pthread_mutex_lock(&sleeper.lock);
        unsigned calls = sleeper.calls;
        pthread_mutex_unlock(&sleeper.lock);
        if (change_log_arm_wakeup(&sleeper.log, seen))
            assert_true(sleep_until_called(&sleeper, calls));
        size_t count;
        assert_int_equal(change_log_read(&sleeper.log, seen, changes, 65536, &count), ERR_NONE);
        for (size_t i = 0; i < count; i++)
            instance_unref(changes[i].instance);
        seen += count;
    }
    for (int i = 0; i < APPENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(seen, end);
    change_log_free(&sleeper.log);
    pthread_mutex_destroy(&sleeper.lock);
    pthread_cond_destroy(&sleeper.called);
}

/* Of the ring of a log, as far as it is in memory. */
static size_t resident_pages(const struct change_log *log)
{
    enum { PAGES_MAX = 256 };
    unsigned char in_memory[PAGES_MAX];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (size_t)log->_shared.ring / page * page;
    size_t end = (size_t)(log->_shared.ring + log->capacity);
    size_t pages = 0;
    assert_true((end - begin) / page < PAGES_MAX);
    assert_int_equal(mincore((void *)begin, end - begin, in_memory), 0);
    for (size_t i = 0; i < (end - begin) / page; i++)
        pages += in_memory[i] & 1;
    return pages;
}

static void trim_returns_the_empty_part_of_the_ring(void **state)
{
    (void)state;
    /* The newest changes are in one part of 4,096 with the first that are dropped. */
    enum { LARGE = 32768, NEWEST = LARGE + 1000, DROPPED = 9000, PAGES_RETURNED = 15 };
    struct change_log log;
    uint64_t start = make_log(&log, LARGE, NEWEST);
    size_t full = resident_pages(&log);
    change_log_trim(&log, (struct moment){0, CHANGE_LOG_KEEP_MS + DROPPED + 1});
    assert_int_equal(size_of_log(&log), NEWEST - DROPPED);
    assert_in_range(resident_pages(&log), 1, full - PAGES_RETURNED);
    check_since(&log, start, DROPPED, NEWEST);
    struct instance *instance = make_instance((struct brief){.service = "s", .id = "i"});
    for (unsigned i = NEWEST + 1; i <= LARGE + DROPPED; i++)
        assert_int_equal(change_log_append(&log, 0, instance, CHANGE_NEW, (struct moment){0, i}),
                         start + i);
    instance_unref(instance);
    check_since(&log, start, DROPPED, LARGE + DROPPED);
    change_log_free(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_version_is_the_wall_clock_in_microseconds),
        cmocka_unit_test(versions_grow_by_one_whatever_the_clock_says),
        cmocka_unit_test(since_the_newest_version_is_empty),
        cmocka_unit_test(since_an_older_version_gives_all_after_it_in_order),
        cmocka_unit_test(change_keeps_instance_type_and_time),
        cmocka_unit_test(full_ring_drops_the_oldest),
        cmocka_unit_test(trim_returns_the_empty_part_of_the_ring),
        cmocka_unit_test(versions_never_given_out_are_gone),
        cmocka_unit_test(log_of_one_change_works),
        cmocka_unit_test(restart_with_a_later_clock_goes_on_above),
        cmocka_unit_test(freeing_nothing_is_fine),
        cmocka_unit_test(readers_see_each_change_once_while_others_append),
        cmocka_unit_test(read_gives_the_first_of_what_follows),
        cmocka_unit_test(read_of_what_was_dropped_or_never_was_is_gone),
        cmocka_unit_test(waker_is_called_once_for_what_is_awaited),
        cmocka_unit_test(what_is_there_already_is_not_awaited),
        cmocka_unit_test(sleeper_is_woken_for_each_change),
    };
    return cmocka_run_group_tests_name("change_log", tests, NULL, NULL);
}

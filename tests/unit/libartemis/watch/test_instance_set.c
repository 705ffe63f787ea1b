/* SPDX-License-Identifier: Apache-2.0
 *
 * Every difference is reported once, and nothing else is. Each test logs the reported differences
 * as text: "+a/1" for new, "~a/1" for a change, "-a/1" for a delete.
 */
#include "libartemis/watch/instance_set.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct difference_log {
    char text[1024];
    long fails_after; /* so many more are taken; -1: all */
};

static enum error log_difference(void *context, enum artemis_change_type type,
                                 struct shared_instance *before, struct shared_instance *now)
{
    struct difference_log *log = context;
    static const char signs[] = {
        [ARTEMIS_NEW] = '+', [ARTEMIS_CHANGE] = '~', [ARTEMIS_DELETE] = '-'};
    const struct shared_instance *instance = now ? now : before;
    assert_int_equal(before != NULL, type != ARTEMIS_NEW);
    assert_int_equal(now != NULL, type != ARTEMIS_DELETE);
    if (log->fails_after == 0)
        return ERR_NO_MEMORY;
    log->fails_after -= log->fails_after > 0;
    size_t size = strlen(log->text);
    snprintf(log->text + size, sizeof log->text - size, "%c%s/%s ", signs[type],
             instance->view.service_id, instance->view.instance_id);
    return ERR_NONE;
}

static struct shared_instance *make(const char *service_id, const char *instance_id, int port)
{
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = SLICE("r"),
                 [FIELD_ZONE] = SLICE("z"),
                 [FIELD_SERVICE] = slice_of(service_id),
                 [FIELD_INSTANCE] = slice_of(instance_id),
                 [FIELD_IP] = SLICE("10.0.0.1")},
        .port = port,
    };
    struct instance *core;
    struct shared_instance *shared;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &core, &problem), ERR_NONE);
    assert_int_equal(shared_instance_create(core, &shared), ERR_NONE);
    instance_unref(core);
    return shared;
}

static void put(struct instance_set *set, const char *id, int port, struct difference_log *log)
{
    struct shared_instance *instance = make("a", id, port);
    assert_int_equal(instance_set_put(set, instance, log_difference, log), ERR_NONE);
    shared_instance_unref(instance);
}

/* "a1 b2": service, instance; the port follows after a colon, or is 1. */
static size_t parse(const char *text, struct shared_instance *instances[16])
{
    size_t count = 0;
    for (const char *at = text; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        const char service[] = {at[0], '\0'};
        const char instance[] = {at[1], '\0'};
        instances[count++] = make(service, instance, at[2] == ':' ? at[3] - '0' : 1);
    }
    return count;
}

static enum error replace(struct instance_set *set, const char *service_id, const char *text,
                          struct difference_log *log)
{
    struct shared_instance *instances[16];
    size_t count = parse(text, instances);
    enum error error = instance_set_replace(set, service_id, instances, count, log_difference, log);
    for (size_t i = 0; i < count; i++)
        shared_instance_unref(instances[i]);
    return error;
}

static void assert_log(struct difference_log *log, const char *expected)
{
    assert_string_equal(log->text, expected);
    log->text[0] = '\0';
}

static void put_reports_new_and_changed_but_not_equal(void **state)
{
    (void)state;
    struct instance_set set = {0};
    struct difference_log log = {.fails_after = -1};
    put(&set, "2", 1, &log);
    put(&set, "1", 1, &log);
    put(&set, "3", 1, &log);
    assert_log(&log, "+a/2 +a/1 +a/3 ");
    put(&set, "2", 1, &log);
    assert_log(&log, "");
    put(&set, "2", 7, &log);
    assert_log(&log, "~a/2 ");
    assert_int_equal(set.count, 3);
    for (size_t i = 0; i < 3; i++) /* in order */
        assert_int_equal(set.each[i]->view.instance_id[0], '1' + (int)i);
    assert_int_equal(set.each[1]->view.port, 7);
    instance_set_clear(&set);
}

static void remove_reports_only_existing_instances(void **state)
{
    (void)state;
    struct instance_set set = {0};
    struct difference_log log = {.fails_after = -1};
    struct shared_instance *key = make("a", "1", 9);
    put(&set, "1", 1, &log);
    put(&set, "2", 1, &log);
    log.text[0] = '\0';
    assert_int_equal(instance_set_remove(&set, key, log_difference, &log), ERR_NONE);
    assert_log(&log, "-a/1 ");
    assert_int_equal(instance_set_remove(&set, key, log_difference, &log), ERR_NONE);
    assert_log(&log, "");
    assert_int_equal(set.count, 1);
    shared_instance_unref(key);
    instance_set_clear(&set);
}

static void replace_reports_the_differences(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after, *on_difference;
    } rows[] = {
        {"", "", ""},
        {"", "a1 a2", "+a/1 +a/2 "},
        {"a1 a2", "", "-a/1 -a/2 "},
        {"a1 a2 a3", "a3 a1 a2", ""},
        {"a1 a2 a3", "a4 a2:5 a3", "-a/1 ~a/2 +a/4 "},
        {"a1 b1 c1", "b1:2 d1", "-a/1 ~b/1 -c/1 +d/1 "},
        {"a1", "a1 a1", ""}, /* twice the same */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct instance_set set = {0};
        struct difference_log log = {.fails_after = -1};
        assert_int_equal(replace(&set, NULL, rows[i].before, &log), ERR_NONE);
        log.text[0] = '\0';
        assert_int_equal(replace(&set, NULL, rows[i].after, &log), ERR_NONE);
        assert_log(&log, rows[i].on_difference);
        assert_int_equal(replace(&set, NULL, rows[i].after, &log), ERR_NONE);
        assert_log(&log, ""); /* and nothing twice */
        instance_set_clear(&set);
    }
}

static void replace_of_one_service_keeps_the_others(void **state)
{
    (void)state;
    struct instance_set set = {0};
    struct difference_log log = {.fails_after = -1};
    assert_int_equal(replace(&set, NULL, "a1 b1 b2 c1", &log), ERR_NONE);
    log.text[0] = '\0';
    assert_int_equal(replace(&set, "b", "b2:3 b4", &log), ERR_NONE);
    assert_log(&log, "-b/1 ~b/2 +b/4 ");
    assert_int_equal(set.count, 4);
    instance_set_clear(&set);
}

static void failure_half_way_changes_nothing(void **state)
{
    (void)state;
    struct instance_set set = {0};
    struct difference_log log = {.fails_after = -1};
    assert_int_equal(replace(&set, NULL, "a1 a2 a3", &log), ERR_NONE);
    for (long n = 0; n < 3; n++) {
        log = (struct difference_log){.fails_after = n};
        assert_int_equal(replace(&set, NULL, "a2:9 a3:9 a4", &log), ERR_NO_MEMORY);
        assert_int_equal(set.count, 3);
        assert_int_equal(set.each[1]->view.port, 1);
    }
    log = (struct difference_log){.fails_after = -1};
    assert_int_equal(replace(&set, NULL, "a2:9 a3:9 a4", &log), ERR_NONE);
    assert_log(&log, "-a/1 ~a/2 ~a/3 +a/4 ");
    instance_set_clear(&set);
}

/* Random operations, against an array that is searched from its start. */
static void agrees_with_a_naive_set(void **state)
{
    (void)state;
    enum { IDS = 40, STEPS = 20000 };
    struct instance_set set = {0};
    struct difference_log log = {.fails_after = -1};
    int naive[IDS] = {0}; /* the port; 0: not there */
    unsigned seed = 42;
    for (int step = 0; step < STEPS; step++) {
        int id = rand_r(&seed) % IDS;
        int port = rand_r(&seed) % 3;
        char name[4];
        snprintf(name, sizeof name, "%d", id);
        struct shared_instance *instance = make("a", name, port);
        log.text[0] = '\0';
        enum error error = port ? instance_set_put(&set, instance, log_difference, &log)
                                : instance_set_remove(&set, instance, log_difference, &log);
        assert_int_equal(error, ERR_NONE);
        assert_int_equal(log.text[0] != '\0', naive[id] != port);
        naive[id] = port;
        shared_instance_unref(instance);
    }
    size_t count = 0;
    for (int id = 0; id < IDS; id++)
        count += naive[id] != 0;
    assert_int_equal(set.count, count);
    for (size_t i = 0; i < set.count; i++)
        assert_int_equal(set.each[i]->view.port,
                         naive[strtol(set.each[i]->view.instance_id, NULL, 10)]);
    instance_set_clear(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_reports_new_and_changed_but_not_equal),
        cmocka_unit_test(remove_reports_only_existing_instances),
        cmocka_unit_test(replace_reports_the_differences),
        cmocka_unit_test(replace_of_one_service_keeps_the_others),
        cmocka_unit_test(failure_half_way_changes_nothing),
        cmocka_unit_test(agrees_with_a_naive_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

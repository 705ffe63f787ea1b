/* SPDX-License-Identifier: Apache-2.0
 *
 * Services that are published with a filter: which are kept, and which are evicted.
 */
#include "libartemis/watch/service_cache.h"

#include "libartemis/watch/view_filter.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>

static struct callback_queue callbacks;
static size_t deferred;
static struct service_cache *cache;

static int start(void **state)
{
    (void)state;
    callback_queue_init(&callbacks);
    assert_int_equal(service_cache_create("s", &callbacks, &deferred, &cache), ERR_NONE);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    service_cache_free(cache);
    return 0;
}

/* The service of one of many zones, with a reference. */
static struct shared_service *publish(int zone)
{
    char zone_id[16];
    struct instance_filter filter;
    struct field_problem problem;
    struct shared_service *service = NULL;
    snprintf(zone_id, sizeof zone_id, "z%d", zone);
    const struct artemis_filter asked = {.zone_id = zone_id};
    assert_int_equal(view_filter_read(&asked, STATUSES_UP, &filter, &problem), ERR_NONE);
    assert_int_equal(service_cache_publish_filtered(cache, &filter, &service), ERR_NONE);
    return service;
}

static void filter_that_was_used_least_recently_is_evicted(void **state)
{
    (void)state;
    struct shared_service *services[FILTERED_MAX + 1];
    for (int i = 0; i < FILTERED_MAX; i++)
        services[i] = publish(i);
    struct shared_service *again = publish(0);
    assert_ptr_equal(again, services[0]);
    artemis_service_free(&again->view);
    services[FILTERED_MAX] = publish(FILTERED_MAX); /* evicts filter 1 */
    assert_int_equal(cache->filtered_count, FILTERED_MAX);
    again = publish(0);
    assert_ptr_equal(again, services[0]);
    artemis_service_free(&again->view);
    again = publish(1); /* evicts filter 2 */
    assert_ptr_not_equal(again, services[1]);
    artemis_service_free(&again->view);
    assert_int_equal(cache->filtered_count, FILTERED_MAX);
    for (int i = 0; i <= FILTERED_MAX; i++)
        artemis_service_free(&services[i]->view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(filter_that_was_used_least_recently_is_evicted, start,
                                        stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

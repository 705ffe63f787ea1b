/* SPDX-License-Identifier: Apache-2.0
 *
 * All functions that any thread may call, at once, while one thread advances time, evicts and
 * cleans up. The threads meet before each round, so they make equal progress on any machine, and
 * the test ends after a number of rounds. What holds for one thread is checked during the rounds,
 * what holds for the whole at the end. Most useful under the thread sanitizer: make VARIANT=tsan
 * unit ONLY=registry
 *
 * Threads use assert of the C library: cmocka's must stay in the main thread.
 */
#include "artemis-server/registry/registry.h"

#include <assert.h>
#include <pthread.h>

#include "tests/unit/artemis-web/api/discovery_fixture.h"

enum {
    SERVICES = 6,
    IDS = 32,
    CHANGERS = 3,
    THREADS = CHANGERS + 4,
    ROUNDS = 500, /* in each of which: */
    OPERATIONS = 60,
    SWEEPS = 4,
    DISCOVERIES = 20,
    VIEWS = 2,
    SILENT_ROUNDS = 8,  /* of 64: all fall expired, and every lease ends */
    SHORT_TTL_MS = 400, /* five rounds: an instance is touched about three times */
    NAME_BYTES = 16,
};

static bool guarded; /* whether the guard may hold what has ended */

/* Made once; the threads share them, and their reference counts. */
struct cast {
    char services[SERVICES][NAME_BYTES];
    char ids[IDS][NAME_BYTES];
    struct instance *instances[SERVICES][IDS][2]; /* with two contents each */
    struct instance_key keys[SERVICES][IDS];
};

static struct cast cast;
static struct registry *registry;
static _Atomic uint64_t shared_ms;
static pthread_barrier_t meeting;

struct changer {
    pthread_t thread;
    uint64_t seed;
    struct instance *own; /* used by this thread alone */
    struct instance_key own_key;
};

static struct moment moment_now(void)
{
    return at_ms(atomic_load(&shared_ms));
}

/* A thread may have read the clock a while ago. */
static struct moment a_while_ago(uint64_t *seed)
{
    uint64_t ms = atomic_load(&shared_ms);
    uint64_t ago = random_below(seed, 60);
    return at_ms(ms > ago ? ms - ago : 0);
}

/* --- changers --- */

static void change_something(struct changer *changer)
{
    uint32_t service = random_below(&changer->seed, SERVICES);
    uint32_t id = random_below(&changer->seed, IDS);
    struct moment now = a_while_ago(&changer->seed);
    switch (random_below(&changer->seed, 8)) {
    case 0:
    case 1:
    case 2: {
        uint32_t content = random_below(&changer->seed, 2);
        enum error error = registry_register(registry, cast.instances[service][id][content], now);
        assert(error == ERR_NONE);
        break;
    }
    case 3:
        assert_int_equal(registry_unregister(registry, &cast.keys[service][id], 0, now), ERR_NONE);
        break;
    default: {
        enum error error = registry_renew(registry, &cast.keys[service][id], now);
        assert(error == ERR_NONE || error == ERR_INSTANCE_NOT_FOUND);
    }
    }
}

/* Its own lease must hold exactly as long as it should, whatever the others do. The call is slow
 * when the thread has to wait, so a rejection is compared with the time after it. */
static uint64_t renew_own(struct changer *changer, uint64_t renewed_ms)
{
    struct moment now = moment_now();
    enum error error = registry_renew(registry, &changer->own_key, now);
    if (error) {
        assert(error == ERR_INSTANCE_NOT_FOUND);
        assert(moment_now().mono_ms >= renewed_ms + SHORT_TTL_MS);
        error = registry_register(registry, changer->own, now);
        assert(error == ERR_NONE);
    } else {
        assert(now.mono_ms < renewed_ms + SHORT_TTL_MS || guarded);
    }
    return now.mono_ms;
}

static void *change(void *context)
{
    struct changer *changer = context;
    uint64_t renewed_ms = moment_now().mono_ms;
    enum error error = registry_register(registry, changer->own, at_ms(renewed_ms - START_MONO_MS));
    assert(error == ERR_NONE);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&meeting);
        if (round % 64 < SILENT_ROUNDS)
            continue;
        for (int i = 0; i < OPERATIONS; i++) {
            change_something(changer);
            if (random_below(&changer->seed, 200) == 0)
                renewed_ms = renew_own(changer, renewed_ms);
        }
    }
    return NULL;
}

/* --- the lease thread --- */

static void *expire(void *context)
{
    (void)context;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&meeting);
        for (int i = 0; i < SWEEPS; i++)
            registry_expire(registry, at_ms(atomic_fetch_add(&shared_ms, TICK_MS) + TICK_MS));
        cleanup(registry, moment_now());
    }
    return NULL;
}

/* --- readers --- */

/* A service's revision never goes back, and one revision is one body. */
static void discover_one(struct cached_response **kept, const char *service, bool zip)
{
    struct cached_response *response = NULL;
    enum error error =
        get_service(registry, slice_of(service), DIALECT_SNAKE, true, moment_now(), &response);
    if (error) {
        assert(error == ERR_SERVICE_NOT_FOUND);
        return;
    }
    const struct cached_response *before = *kept;
    assert(!before || response->revision >= before->revision);
    assert(!before || response->revision > before->revision ||
           (response->body.size == before->body.size &&
            memcmp(response->body.data, before->body.data, before->body.size) == 0));
    cached_response_unref(*kept);
    *kept = response;
    if (!zip)
        return;
    struct slice
        zipped; /* made while the response may be evicted_responses: it must be paid back with it */
    error = cached_response_gzip(response, &zipped);
    assert(error == ERR_NONE);
}

static void *discover(void *context)
{
    struct cached_response *kept[SERVICES] = {NULL};
    uint64_t *seed = context;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&meeting);
        for (int i = 0; i < DISCOVERIES; i++) {
            uint32_t service = random_below(seed, SERVICES);
            discover_one(&kept[service], cast.services[service], random_below(seed, 8) == 0);
        }
    }
    for (int i = 0; i < SERVICES; i++)
        cached_response_unref(kept[i]);
    return NULL;
}

struct follower {
    pthread_t thread;
    json_t *copy; /* {instance: content} of all services but the changers' own */
    uint64_t revision;
};

static void keep(json_t *copy, json_t *instance, bool there)
{
    char name[4 * NAME_BYTES];
    snprintf(name, sizeof(name), "%s/%s",
             json_string_value(json_object_get(instance, "service_id")),
             json_string_value(json_object_get(instance, "instance_id")));
    if (there)
        json_object_set(copy, name, instance);
    else
        json_object_del(copy, name);
}

static json_t *load(const char *data, size_t size)
{
    json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
    assert(root);
    return root;
}

/* Starts again with all services. Later changes may be in them already. */
static void fetch_all(struct follower *follower)
{
    struct cached_response *response = NULL;
    enum error error = get_services(registry, DIALECT_SNAKE, moment_now(), &response);
    assert(error == ERR_NONE && response->revision >= follower->revision);
    json_t *root = load(response->body.data, response->body.size);
    const json_t *service;
    json_t *instance;
    size_t i;
    size_t j;
    json_object_clear(follower->copy);
    json_array_foreach(json_object_get(root, "services"), i, service)
        json_array_foreach(json_object_get(service, "instances"), j, instance)
            keep(follower->copy, instance, true);
    follower->revision = response->revision;
    cached_response_unref(response);
    json_decref(root);
}

static void follow_once(struct follower *follower)
{
    struct text text = {0};
    enum error error = discovery_write_delta(registry, follower->revision, DIALECT_SNAKE, &text);
    if (error) {
        assert(error == ERR_VERSION_GONE);
        fetch_all(follower);
        return;
    }
    json_t *root = load(text.data, text.size);
    const char *service;
    json_t *changes;
    json_object_foreach(json_object_get(root, "delta"), service, changes)
    {
        const json_t *change;
        size_t i;
        json_array_foreach(changes, i, change)
        {
            const char *type = json_string_value(json_object_get(change, "change_type"));
            keep(follower->copy, json_object_get(change, "instance"), strcmp(type, "delete") != 0);
        }
    }
    uint64_t revision = (uint64_t)json_integer_value(json_object_get(root, "version"));
    assert(revision >= follower->revision);
    follower->revision = revision;
    json_decref(root);
    text_free(&text);
}

static void *follow(void *context)
{
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&meeting);
        if (round % 16 == 0)
            fetch_all(context);
        else
            follow_once(context);
    }
    return NULL;
}

/* --- the operator --- */

static void look_at_lease(void *context, const struct lease_status *lease)
{
    *(uint64_t *)context += lease->ends_in_ms + instance_port(lease->instance);
}

static void look_at_guard(void *context, struct slice id, const struct guard *guard,
                          uint32_t members_guarded)
{
    (void)id;
    *(uint64_t *)context += (uint64_t)guard->state + members_guarded;
}

static void look_around(uint64_t *seed)
{
    uint64_t seen = 0;
    struct registry_stats stats;
    struct instance *instance = NULL;
    struct slice service = slice_of(cast.services[random_below(seed, SERVICES)]);
    registry_stats(registry, &stats);
    assert(stats.guarded <= stats.instances);
    registry_each_guard(registry, moment_now(), look_at_guard, &seen);
    enum error error = registry_each_lease(registry, service, moment_now(), look_at_lease, &seen);
    assert(error == ERR_NONE || error == ERR_SERVICE_NOT_FOUND);
    if (pick_plain(registry, service, false, LOOKUP_ROUND_ROBIN, 0, &instance) == ERR_NONE)
        instance_unref(instance);
}

/* As a reload does. The time-to-live stays, because renew_own checks it. */
static void change_options(const struct lease_options *usual, bool longer)
{
    struct lease_options options = *usual;
    if (longer) {
        options.guard_max_ms += SHORT_TTL_MS;
        options.guard_min_leases++;
    }
    registry_set_lease_options(registry, &options);
}

static void *operate(void *context)
{
    uint64_t *seed = context;
    const struct lease_options usual = registry_lease_options(registry);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&meeting);
        for (int i = 0; i < VIEWS; i++)
            look_around(seed);
        if (round % 8)
            continue;
        change_options(&usual, round % 16 == 0);
        struct slice service = slice_of(cast.services[random_below(seed, SERVICES)]);
        if (round % 32 == 0)
            service = (struct slice){0}; /* the node, and all */
        enum error error = registry_release_guard(registry, service, moment_now());
        assert(error == ERR_NONE || error == ERR_SERVICE_NOT_FOUND);
    }
    change_options(&usual, false);
    return NULL;
}

/* --- the tests --- */

static void make_cast(void)
{
    for (int s = 0; s < SERVICES; s++) {
        snprintf(cast.services[s], NAME_BYTES, "s%d", s);
        for (int i = 0; i < IDS; i++) {
            snprintf(cast.ids[i], NAME_BYTES, "i%d", i);
            for (int content = 0; content < 2; content++)
                cast.instances[s][i][content] = make_instance((struct brief){
                    .service = cast.services[s], .id = cast.ids[i], .port = 1 + content});
            cast.keys[s][i] = make_key(cast.services[s], cast.ids[i]);
        }
    }
}

static void free_cast(void)
{
    for (int s = 0; s < SERVICES; s++)
        for (int i = 0; i < IDS; i++)
            for (int content = 0; content < 2; content++)
                instance_unref(cast.instances[s][i][content]);
}

/* Runs all threads to their end; the follower has its last cleanup at what they left. */
static void run_threads(struct follower *follower)
{
    struct changer changers[CHANGERS];
    uint64_t seeds[2] = {101, 102};
    pthread_t others[3];
    char id[NAME_BYTES];
    atomic_store(&shared_ms, 0);
    pthread_barrier_init(&meeting, NULL, THREADS);
    for (int i = 0; i < CHANGERS; i++) {
        snprintf(id, sizeof(id), "own%d", i);
        changers[i] = (struct changer){
            .seed = (uint64_t)i,
            .own = make_instance((struct brief){.service = "own", .id = id}),
            .own_key = make_key("own", id),
        };
        assert_int_equal(pthread_create(&changers[i].thread, NULL, change, &changers[i]), 0);
    }
    assert_int_equal(pthread_create(&others[0], NULL, expire, NULL), 0);
    assert_int_equal(pthread_create(&others[1], NULL, discover, &seeds[0]), 0);
    assert_int_equal(pthread_create(&others[2], NULL, operate, &seeds[1]), 0);
    assert_int_equal(pthread_create(&follower->thread, NULL, follow, follower), 0);
    for (int i = 0; i < CHANGERS; i++) {
        pthread_join(changers[i].thread, NULL);
        instance_unref(changers[i].own);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(others[i], NULL);
    pthread_join(follower->thread, NULL);
    pthread_barrier_destroy(&meeting);
}

/* The copy of the follower equals the state that a new one fetches. */
static void check_follower(struct follower *follower)
{
    struct follower fresh = {.copy = json_object()};
    follow_once(follower);
    fetch_all(&fresh);
    assert_int_equal(follower->revision, fresh.revision);
    assert_true(json_equal(follower->copy, fresh.copy));
    json_decref(fresh.copy);
}

static void check_counters(uint64_t start)
{
    struct registry_stats stats = stats_of(registry);
    assert_int_equal(stats.instances, stats.registered - stats.unregistered - stats.evicted);
    assert_int_equal(stats.revision - start,
                     stats.registered + stats.changed + stats.unregistered + stats.evicted);
}

static void run_with(uint32_t guard_percent)
{
    struct registry_options options = usual_options();
    options.ttl_ms = SHORT_TTL_MS;
    options.cleanup_interval_ms = 500;
    options.cache_expiry_ms = 500;
    options.guard_percent = guard_percent;
    options.guard_min_leases = 8;
    options.guard_max_ms = 3 * SHORT_TTL_MS;
    guarded = guard_percent > 0;
    make_cast();
    registry = make_registry_with(options);
    open_cache(registry); /* before the threads that use it */
    uint64_t start = registry_revision(registry);
    struct follower follower = {.copy = json_object(), .revision = start};
    run_threads(&follower);
    registry_validate(registry);
    check_counters(start);
    check_follower(&follower);
    json_decref(follower.copy);

    /* With time, everything ends. */
    uint64_t ms = atomic_load(&shared_ms);
    for (int i = 0; i < 10; i++)
        registry_expire(registry, at_ms(ms += SHORT_TTL_MS));
    cleanup(registry, at_ms(ms + 1000));
    registry_validate(registry);
    check_counters(start);
    assert_int_equal(stats_of(registry).instances, 0);
    assert_int_equal(stats_of(registry).services, 0);
    assert_int_equal(stats_of(registry).cached_responses, 0);
    assert_int_equal(cache_stats(registry).service_bytes, 0);
    free_registry(registry);
    free_cast();
}

static void threads_agree_in_the_end(void **state)
{
    (void)state;
    run_with(0);
}

static void threads_agree_in_the_end_with_the_guard(void **state)
{
    (void)state;
    run_with(85);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_agree_in_the_end),
        cmocka_unit_test(threads_agree_in_the_end_with_the_guard),
    };
    json_object_seed(1); /* or the first threads would do it, all at once */
    return cmocka_run_group_tests_name("registry: threads", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry against a naive one: a table with a row for each possible instance, searched from
 * end to end. 100,000 random operations per seed; every response is compared as JSON. A follower
 * keeps a copy by the changes alone, and must always equal the registry.
 *
 * Time advances in whole ticks, so the naive registry knows exactly when a lease ends. SEED=n in
 * the environment runs one seed.
 */
#include "artemis-server/registry/registry.h"

#include "tests/unit/artemis-web/api/discovery_fixture.h"

#ifdef __SANITIZE_THREAD__
enum { SEEDS = 1 }; /* there is one thread, and it is very slow */
#else
enum { SEEDS = 3 };
#endif

enum { OPERATIONS = 100000, SERVICES = 12, IDS = 14, SIGHTS = 1000, CLEANUP_MS = 60000 };
enum { LOG_CAPACITY = 256 };

static const char *const statuses[] = {NULL, "down", "starting", "odd"};

/* One instance that is, or is not, registered. */
struct row {
    bool there;
    struct brief brief; /* its content */
    uint64_t deadline_ms;
};

struct naive_service {
    bool known;
    uint64_t revision;
    uint64_t empty_since_ms;
    struct row rows[IDS];
};

static struct registry *registry;
static struct naive_service naive[SERVICES];
static uint64_t revision; /* of the last change */
static uint64_t now_ms;   /* monotonic, on a tick */
static int64_t wall_skew; /* the wall clock jumps about */
static uint64_t seed;
static char service_names[SERVICES][8];
static char id_names[IDS][8];

/* The follower: {service: {instance: content}}, and the revision it has. */
static json_t *copy;
static uint64_t copy_revision;

static struct moment now(void)
{
    return (struct moment){now_ms, START_WALL_MS + (uint64_t)((int64_t)now_ms + wall_skew)};
}

/* Ids with an odd number are in a group: it is a part of the identity. */
static const char *group_of(unsigned id)
{
    return id % 2 ? "blue" : NULL;
}

/* --- what the naive registry responses --- */

static json_t *expected_instance(const struct row *row)
{
    const struct brief *brief = &row->brief;
    char url[64];
    snprintf(url, sizeof(url), "http://10.0.0.1:%d", brief->port);
    const char *status = brief->status ? brief->status : "up";
    json_t *json =
        json_pack("{ss ss ss ss ss si ss ss}", "region_id", "region", "zone_id", "zone",
                  "service_id", brief->service, "instance_id", brief->id, "ip", "10.0.0.1", "port",
                  brief->port, "url", url, "status", strcmp(status, "odd") ? status : "unknown");
    if (brief->group)
        json_object_set_new(json, "group_id", json_string(brief->group));
    return json;
}

/* {instance: content} of a service. */
static json_t *expected_members(unsigned service, bool all_statuses)
{
    json_t *members = json_object();
    for (unsigned id = 0; id < IDS; id++) {
        const struct row *row = &naive[service].rows[id];
        if (row->there && (all_statuses || !row->brief.status))
            json_object_set_new(members, id_names[id], expected_instance(row));
    }
    return members;
}

/* The same from an array of instances; each may be in it once. */
static json_t *content_of(const json_t *instances)
{
    json_t *members = json_object();
    json_t *instance;
    size_t i;
    assert_true(json_is_array(instances));
    json_array_foreach(instances, i, instance)
    {
        const char *id = json_string_value(json_object_get(instance, "instance_id"));
        assert_null(json_object_get(members, id));
        json_object_set(members, id, instance);
    }
    return members;
}

static void check_equal(json_t *actual, json_t *expected)
{
    if (!json_equal(actual, expected)) {
        print_error("registry: %s\n", json_dumps(actual, JSON_SORT_KEYS));
        print_error("expected: %s\n", json_dumps(expected, JSON_SORT_KEYS));
        fail();
    }
    json_decref(actual);
    json_decref(expected);
}

/* --- the operations --- */

static void mark_changed(unsigned service)
{
    naive[service].revision = ++revision;
    naive[service].known = true;
    bool empty = true;
    for (unsigned id = 0; id < IDS; id++)
        empty = empty && !naive[service].rows[id].there;
    if (empty)
        naive[service].empty_since_ms = now_ms;
}

static void check_version(void)
{
    assert_int_equal(registry_revision(registry), revision);
}

static void do_register(unsigned service, unsigned id)
{
    struct row *row = &naive[service].rows[id];
    bool same = row->there && random_below(&seed, 2);
    struct brief brief = {.service = service_names[service],
                          .id = id_names[id],
                          .group = group_of(id),
                          .status = statuses[random_below(&seed, 4)],
                          .port = 1 + (int)random_below(&seed, 60000)};
    if (same)
        brief = row->brief;
    put_as(registry, brief, now());
    bool changed =
        !row->there || brief.port != row->brief.port || brief.status != row->brief.status;
    *row = (struct row){true, brief, now_ms + TTL_MS};
    if (changed)
        mark_changed(service);
    check_version();
}

static struct instance_key key_of(unsigned service, unsigned id)
{
    const struct slice parts[KEY_FIELDS] = {SLICE("region"), SLICE("zone"),
                                            slice_of(service_names[service]),
                                            slice_of(group_of(id)), slice_of(id_names[id])};
    struct instance_key key;
    struct field_problem problem;
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    return key;
}

static void do_renew(unsigned service, unsigned id)
{
    struct row *row = &naive[service].rows[id];
    struct instance_key key = key_of(service, id);
    enum error expected =
        row->there && now_ms < row->deadline_ms ? ERR_NONE : ERR_INSTANCE_NOT_FOUND;
    assert_int_equal(registry_renew(registry, &key, now()), expected);
    if (!expected)
        row->deadline_ms = now_ms + TTL_MS;
    check_version();
}

static void do_unregister(unsigned service, unsigned id)
{
    struct row *row = &naive[service].rows[id];
    struct instance_key key = key_of(service, id);
    assert_int_equal(registry_unregister(registry, &key, 0, now()), ERR_NONE);
    bool was_there = row->there;
    row->there = false;
    if (was_there)
        mark_changed(service);
    check_version();
}

/* Which service's evictions come first is not said: so their revisions are looked up, and must lie
 * in the range of all of them. */
static void look_up_versions(uint64_t before, const unsigned evicted[SERVICES])
{
    for (unsigned service = 0; service < SERVICES; service++) {
        if (!evicted[service])
            continue;
        uint64_t actual = revision_of(registry, service_names[service]);
        assert_in_range(actual, before + evicted[service], revision);
        for (unsigned other = 0; other < service; other++)
            assert_int_not_equal(actual, naive[other].revision);
        naive[service].revision = actual;
    }
}

static void do_expire(void)
{
    unsigned evicted[SERVICES] = {0};
    uint64_t before = revision;
    registry_expire(registry, now());
    for (unsigned service = 0; service < SERVICES; service++)
        for (unsigned id = 0; id < IDS; id++) {
            struct row *row = &naive[service].rows[id];
            if (!row->there || now_ms < row->deadline_ms)
                continue;
            row->there = false;
            evicted[service]++;
            mark_changed(service);
        }
    check_version();
    look_up_versions(before, evicted);
}

static void do_cleanup(void)
{
    cleanup(registry, now());
    for (unsigned service = 0; service < SERVICES; service++) {
        bool empty = true;
        for (unsigned id = 0; id < IDS; id++)
            empty = empty && !naive[service].rows[id].there;
        if (empty && naive[service].empty_since_ms + CLEANUP_MS <= now_ms)
            naive[service] = (struct naive_service){0};
    }
}

static void do_discover(unsigned service)
{
    struct cached_response *response = NULL;
    bool all = random_below(&seed, 2);
    enum error error = get_service(registry, slice_of(service_names[service]), DIALECT_SNAKE, all,
                                   now(), &response);
    assert_int_equal(error, naive[service].known ? ERR_NONE : ERR_SERVICE_NOT_FOUND);
    if (error)
        return;
    assert_int_equal(response->revision, naive[service].revision);
    json_t *root = read_response(response);
    assert_int_equal(json_integer_value(json_object_get(root, "version")), naive[service].revision);
    check_equal(content_of(instances_of(root)), expected_members(service, all));
    json_decref(root);
}

static bool is_up(const struct row *row)
{
    return row->there && !row->brief.status;
}

static void do_pick(unsigned service)
{
    struct instance *instance = NULL;
    enum lookup_strategy strategy = random_below(&seed, LOOKUP_STRATEGIES);
    enum error error = pick_plain(registry, slice_of(service_names[service]), false, strategy,
                                  (uint32_t)next_random(&seed), &instance);
    bool any_is_up = false;
    bool is_one_of_them = false;
    for (unsigned id = 0; id < IDS; id++) {
        const struct row *row = &naive[service].rows[id];
        any_is_up = any_is_up || is_up(row);
        if (instance &&
            slice_equal(instance_text(instance, FIELD_INSTANCE), slice_of(id_names[id])))
            is_one_of_them = is_up(row) && row->brief.port == instance_port(instance);
    }
    assert_int_equal(is_one_of_them, any_is_up);
    enum error none = naive[service].known ? ERR_INSTANCE_NOT_FOUND : ERR_SERVICE_NOT_FOUND;
    assert_int_equal(error, any_is_up ? ERR_NONE : none);
    instance_unref(instance);
}

/* --- all services, and the follower --- */

/* {service: {instance: content}} of the services that have members. */
static json_t *expected_all(void)
{
    json_t *all = json_object();
    for (unsigned service = 0; service < SERVICES; service++) {
        json_t *members = expected_members(service, true);
        if (json_object_size(members))
            json_object_set(all, service_names[service], members);
        json_decref(members);
    }
    return all;
}

static json_t *ask_for_all(void)
{
    json_t *root = read_response(ask_services(registry, DIALECT_SNAKE, now()));
    json_t *all = json_object();
    const json_t *service;
    size_t i;
    assert_int_equal(json_integer_value(json_object_get(root, "version")), revision);
    json_array_foreach(json_object_get(root, "services"), i, service)
    {
        const char *id = json_string_value(json_object_get(service, "service_id"));
        assert_null(json_object_get(all, id));
        json_object_set_new(all, id, content_of(json_object_get(service, "instances")));
    }
    json_decref(root);
    return all;
}

static void do_services(void)
{
    check_equal(ask_for_all(), expected_all());
}

/* Applies one change as a client would, and checks that it fits what came before. */
static void apply(const char *service, const json_t *change)
{
    json_t *members = json_object_get(copy, service);
    json_t *instance = json_object_get(change, "instance");
    const char *id = json_string_value(json_object_get(instance, "instance_id"));
    const char *type = json_string_value(json_object_get(change, "change_type"));
    const json_t *known = json_object_get(members, id);
    assert_string_equal(json_string_value(json_object_get(instance, "service_id")), service);
    if (!members) {
        members = json_object();
        json_object_set_new(copy, service, members);
    }
    if (strcmp(type, "delete") == 0) {
        assert_non_null(known);
        json_object_del(members, id);
        if (json_object_size(members) == 0)
            json_object_del(copy, service);
        return;
    }
    assert_string_equal(type, known ? "change" : "new");
    json_object_set(members, id, instance);
}

static void follow(void)
{
    struct text text = {0};
    enum error error = discovery_write_delta(registry, copy_revision, DIALECT_SNAKE, &text);
    bool gone = revision - copy_revision > LOG_CAPACITY;
    assert_int_equal(error, gone ? ERR_VERSION_GONE : ERR_NONE);
    if (gone) {
        json_decref(copy);
        copy = ask_for_all();
    } else {
        json_t *root = parse_body((struct slice){text.data, text.size});
        const char *service;
        json_t *changes;
        assert_int_equal(json_integer_value(json_object_get(root, "version")), revision);
        json_object_foreach(json_object_get(root, "delta"), service, changes)
        {
            const json_t *change;
            size_t i;
            json_array_foreach(changes, i, change) apply(service, change);
        }
        json_decref(root);
    }
    text_free(&text);
    copy_revision = revision;
    check_equal(json_incref(copy), expected_all());
}

/* --- runs --- */

static void pass_time(void)
{
    now_ms += (uint64_t)random_below(&seed, 100) * TICK_MS;
    if (random_below(&seed, 500) == 0)
        now_ms += (uint64_t)random_below(&seed, 10000) * TICK_MS;
    if (random_below(&seed, 100) == 0)
        wall_skew = (int64_t)random_below(&seed, 20000000) - 10000000;
    do_expire();
    if (random_below(&seed, 8) == 0)
        do_cleanup();
}

static void do_one(void)
{
    unsigned service = random_below(&seed, SERVICES);
    unsigned id = random_below(&seed, IDS);
    uint32_t dice = random_below(&seed, 1000);
    if (dice < 300)
        do_register(service, id);
    else if (dice < 600)
        do_renew(service, id);
    else if (dice < 700)
        do_unregister(service, id);
    else if (dice < 830)
        pass_time();
    else if (dice < 930)
        do_discover(service);
    else if (dice < 970)
        do_pick(service);
    else if (dice < 975)
        do_services();
    else if (dice < 978)
        follow();
}

static void start(uint64_t first_seed)
{
    struct registry_options options = usual_options();
    options.guard_percent = 0;
    options.hash_seed = first_seed;
    options.change_log_capacity = LOG_CAPACITY;
    cache_settings.enabled = first_seed % 2;
    options.cache_expiry_ms = 20000;
    seed = first_seed;
    now_ms = 4321 * TICK_MS;
    wall_skew = 0;
    memset(naive, 0, sizeof(naive));
    for (unsigned i = 0; i < SERVICES; i++)
        snprintf(service_names[i], sizeof(service_names[i]), "s%u", i);
    for (unsigned i = 0; i < IDS; i++)
        snprintf(id_names[i], sizeof(id_names[i]), "i%u", i);
    assert_int_equal(registry_create(&options, now(), &registry), ERR_NONE);
    copy = json_object();
    revision = copy_revision = registry_revision(registry);
}

static void run_seed(uint64_t first_seed)
{
    print_message("SEED=%llu\n", (unsigned long long)first_seed); /* shown when the test fails */
    start(first_seed);
    for (int step = 0; step < OPERATIONS; step++) {
        do_one();
        if (step % SIGHTS == 0)
            registry_validate(registry);
    }
    follow();
    do_services();
    registry_validate(registry);
    json_decref(copy);
    free_registry(registry);
}

static void random_operations_agree_with_a_naive_registry(void **state)
{
    (void)state;
    const char *wanted = getenv("SEED");
    if (wanted) {
        run_seed(strtoull(wanted, NULL, 10));
        return;
    }
    for (uint64_t fixed = 1; fixed <= SEEDS; fixed++)
        run_seed(fixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_a_naive_registry),
    };
    return cmocka_run_group_tests_name("registry: oracle", tests, NULL, NULL);
}

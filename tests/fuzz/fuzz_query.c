/* SPDX-License-Identifier: Apache-2.0
 *
 * The target of a request, without a handler: route, query and the values in it. A second line is
 * the value of Accept-Encoding.
 *
 * A parameter has the same value in either spelling of its name, and is refused in both together.
 * Numbers and durations are those of the text. A filter has one text.
 */
#include <errno.h>

#include "artemis-web/api/long_poll.h"
#include "artemis-web/api/route_table.h"
#include "artemis-web/query/known_revision.h"
#include "tests/fuzz/support/fake_microhttpd.h"
#include "tests/fuzz/support/fuzz.h"

enum { TARGET_BYTES = 4096 };

static struct config config;
static struct engine engine = {.config = &config, .epoch = "run"};

static struct request new_request(void)
{
    return (struct request){.engine = &engine,
                            .mhd = (struct MHD_Connection *)&library,
                            .http_version = "HTTP/1.1",
                            .header = library_header(),
                            .is_get = true,
                            .now = now};
}

static void prepare(void)
{
    const struct registry_options options = {.hash_seed = 1,
                                             .ttl_ms = 30000,
                                             .cleanup_interval_ms = 60000,
                                             .cache_expiry_ms = 300000,
                                             .change_log_capacity = 64};
    enum error error = registry_create(&options, now, &engine.registry);
    assert(!error);
    config_init(&config, "fuzz", 1);
}

static void check_message(enum error error, const char *message)
{
    struct text response = {0};
    assert(error == ERR_INVALID_FIELD && message[0]);
    codec_write_error(&response, DIALECT_SNAKE, error, message);
    fuzz_check_response(&response);
}

/* --- route ------------------------------------------------------------------------------------ */

static void check_route(const char *path)
{
    bool java;
    bool again;
    const struct route *route = route_find(&api_routes, path, &java);
    if (!route)
        return;
    assert(route_find(&api_routes, route->path, &again) == route && !again);
    assert(java == (strstr(path, "/artemis/") != NULL));
    assert(route_index(&api_routes, route) < api_routes.count);
}

/* --- query ------------------------------------------------------------------------------------ */

/* A parameter, and what it is when all its names are in the other spelling. */
static void check_spellings(const char *snake_name, const char *camel_name)
{
    char message[MESSAGE_BYTES] = "";
    struct slice value = {0};
    struct slice other = {0};
    struct request request = new_request();
    enum error error = request_query(&request, snake_name, &value, message);
    if (error)
        check_message(error, message);
    else if (value.data)
        assert(text_is_utf8(value));
    if (strcmp(snake_name, camel_name) == 0)
        return;
    for (size_t i = 0; i < library.count; i++) {
        struct field *field = &library.fields[i];
        if (strcasecmp(field->name, snake_name) == 0)
            field->name = (char *)camel_name;
        else if (strcasecmp(field->name, camel_name) == 0)
            field->name = (char *)snake_name;
    }
    request = new_request();
    assert(request_query(&request, snake_name, &other, message) == error);
    assert(error || slice_equal(value, other));
}

static void check_version(const struct query *query)
{
    char message[MESSAGE_BYTES] = "";
    struct known_revision known = {0};
    struct request request = new_request();
    enum error error = known_revision_from_query(&request, query, &known, message);
    if (error) {
        check_message(error, message);
        return;
    }
    struct slice text = query->value[QUERY_VERSION];
    assert(known.given == (text.data != NULL));
    if (!known.given)
        return;
    char number[32];
    assert(text.size > 0 && text.size < sizeof(number));
    memcpy(number, text.data, text.size);
    number[text.size] = '\0';
    char *end;
    errno = 0;
    assert(strtoull(number, &end, 10) == known.revision && !*end && !errno);
}

static void check_wait(const struct query *query)
{
    char message[MESSAGE_BYTES] = "";
    struct long_poll_query get;
    struct request request = new_request();
    enum error error = long_poll_read(&request, query, &get, message);
    if (error)
        check_message(error, message);
    else
        assert(get.wait_ms <= LONG_POLL_MS_MAX && (get.requested || !get.wait_ms) &&
               (get.delta || !get.delta_since));
}

/* The text of a filter is the same, in whatever order its metadata is given. */
static void check_filter_key(const struct instance_filter *filter)
{
    char key[FILTER_KEY_BYTES_MAX];
    char other_key[FILTER_KEY_BYTES_MAX];
    char problem[PROBLEM_BYTES];
    struct instance_filter other = *filter;
    other.metadata_count = 0;
    for (size_t i = filter->metadata_count; i > 0; i--)
        assert(!instance_filter_add_metadata(&other, filter->metadata[i - 1], problem));
    size_t size = instance_filter_key(filter, key);
    assert(size <= sizeof(key) && instance_filter_key(&other, other_key) == size);
    assert(memcmp(key, other_key, size) == 0);
}

static void check_filter(const struct query *query)
{
    char problem[PROBLEM_BYTES] = "";
    char message[MESSAGE_BYTES] = "";
    struct instance_filter filter = {.statuses = STATUSES_UP};
    enum error error = discovery_statuses(query->value[QUERY_STATUS], &filter.statuses, message);
    if (error)
        check_message(error, message);
    assert(filter.statuses && filter.statuses <= STATUSES_ALL);
    if (instance_filter_read_id(query->value[QUERY_ZONE], &filter.zone, problem))
        check_message(ERR_INVALID_FIELD, problem);
    if (instance_filter_read_near(query->value[QUERY_NEAR], &filter, problem))
        check_message(ERR_INVALID_FIELD, problem);
    else
        assert(filter.near_region.size + 1 + filter.near_zone.size ==
               query->value[QUERY_NEAR].size);
    for (size_t i = 0; i < query->metadata_count; i++)
        if (instance_filter_add_metadata(&filter, query->metadata[i], problem))
            check_message(ERR_INVALID_FIELD, problem);
    check_filter_key(&filter);
}

static void check_strategy(const struct query *query)
{
    char message[MESSAGE_BYTES] = "";
    struct lookup_choice choice;
    enum error error = discovery_choice(query->value[QUERY_STRATEGY], query->value[QUERY_HASH_KEY],
                                        &choice, message);
    if (error)
        check_message(error, message);
}

static void check_query(void)
{
    char message[MESSAGE_BYTES] = "";
    struct query query;
    struct request request = new_request();
    enum error error = query_read(&request, (1u << QUERY_NAMES) - 1, &query, message);
    if (error) {
        check_message(error, message);
        return;
    }
    for (enum query_name each = 0; each < QUERY_META; each++)
        assert(!query.value[each].data || text_is_utf8(query.value[each]));
    check_version(&query);
    check_wait(&query);
    check_filter(&query);
    check_strategy(&query);
    request = new_request();
    assert(library.count == 0 || query_read(&request, 0, &query, message));
}

static void check_accept_encoding(char *line)
{
    library.count = 0;
    struct request request = new_request();
    assert(!request_accepts_gzip(&request));
    add_field(MHD_HEADER_KIND, "Accept-Encoding", line, strlen(line));
    request = new_request();
    (void)request_accepts_gzip(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char target[TARGET_BYTES + 1];
    if (!engine.registry)
        prepare();
    size_t kept = size < TARGET_BYTES ? size : TARGET_BYTES;
    if (kept)
        memcpy(target, data, kept);
    target[kept] = '\0';
    char *line = target;
    char *path = strsep(&line, "\n");
    char *query = strchr(path, '?');
    library.count = 0;
    if (query) {
        *query++ = '\0';
        read_arguments(query);
    }
    decode(path);
    check_route(path);
    check_query();
    check_spellings("service_id", "serviceId");
    check_spellings("region_id", "regionId");
    check_spellings("dry_run", "dryRun");
    check_spellings("run", "run");
    if (line)
        check_accept_encoding(line);
    return 0;
}

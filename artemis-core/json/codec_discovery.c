/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec.h"

#include <stdio.h>
#include <stdlib.h>

#include "artemis-core/json/codec_internal.h"

enum { EXCERPT_BYTES = 80, PLACE_BYTES = 48 };

struct discovery_request {
    struct document document;
    bool is_list;
    struct lookup_choice choice;      /* the hash key is borrowed from `document` */
    struct discovery_config *configs; /* owned; slices are borrowed from `document` */
    size_t count;
};

enum error discovery_statuses(struct slice words, unsigned *statuses, char message[MESSAGE_BYTES])
{
    char problem[PROBLEM_BYTES];
    if (words.size == 0)
        return ERR_NONE;
    enum error error = instance_filter_read_statuses(words, statuses, problem);
    if (error)
        snprintf(message, MESSAGE_BYTES, "status: %s", problem);
    return error;
}

static const char *const strategies[LOOKUP_STRATEGIES] = {
    [LOOKUP_RANDOM] = "random",
    [LOOKUP_ROUND_ROBIN] = "round-robin",
    [LOOKUP_WEIGHTED] = "weighted",
    [LOOKUP_CONSISTENT_HASH] = "consistent-hash",
};

const char *discovery_strategy_name(enum lookup_strategy strategy)
{
    return strategies[strategy];
}

enum error discovery_choice(struct slice strategy, struct slice hash_key, struct lookup_choice *out,
                            char message[MESSAGE_BYTES])
{
    enum lookup_strategy found = LOOKUP_RANDOM;
    while (strategy.size && found < LOOKUP_STRATEGIES &&
           !slice_equal(strategy, slice_of(strategies[found])))
        found++;
    if (found == LOOKUP_STRATEGIES) {
        char quoted[128];
        text_quote(quoted, sizeof(quoted), strategy);
        snprintf(message, MESSAGE_BYTES,
                 "strategy: must be random, round-robin, weighted or consistent-hash, is %s",
                 quoted);
        return ERR_INVALID_FIELD;
    }
    if (found == LOOKUP_CONSISTENT_HASH && hash_key.size == 0) {
        snprintf(message, MESSAGE_BYTES, "hash_key: is required with consistent-hash");
        return ERR_INVALID_FIELD;
    }
    *out = (struct lookup_choice){found, hash_key};
    return ERR_NONE;
}

/* Reads a text member of a config. *out is unchanged if it is absent. */
static enum error config_text(struct discovery_request *request, const json_t *config,
                              const char *place, const char *snake, const char *camel,
                              struct slice *out, char message[MESSAGE_BYTES])
{
    json_t *value;
    char problem[PROBLEM_BYTES];
    enum error error = member_get(config, snake, camel, &value, &request->document.names, problem,
                                  sizeof(problem));
    if (!error && value && !json_is_string(value)) {
        char excerpt[EXCERPT_BYTES];
        json_excerpt(value, excerpt, sizeof(excerpt));
        snprintf(problem, sizeof(problem), "must be a string, is %s", excerpt);
        error = ERR_INVALID_FIELD;
    }
    if (error) {
        snprintf(message, MESSAGE_BYTES, "%s.%s: %s", place,
                 request->document.names == NAMES_CAMEL ? camel : snake, problem);
        return error;
    }
    if (value)
        *out = (struct slice){json_string_value(value), json_string_length(value)};
    return ERR_NONE;
}

/* Region and zone do not filter, but their names count for the casing of the response. */
static void add_zone_names(struct discovery_request *request, const json_t *object)
{
    enum name_casing *names = &request->document.names;
    if (json_object_get(object, "region_id") || json_object_get(object, "zone_id"))
        name_casing_add(names, NAMES_SNAKE);
    if (json_object_get(object, "regionId") || json_object_get(object, "zoneId"))
        name_casing_add(names, NAMES_CAMEL);
}

static enum error read_config(struct discovery_request *request, const json_t *value,
                              const char *place, struct discovery_config *out,
                              char message[MESSAGE_BYTES])
{
    if (!json_is_object(value)) {
        char excerpt[EXCERPT_BYTES];
        json_excerpt(value, excerpt, sizeof(excerpt));
        snprintf(message, MESSAGE_BYTES, "%s: must be an object, is %s", place, excerpt);
        return ERR_INVALID_FIELD;
    }
    struct slice status = {0};
    add_zone_names(request, value);
    enum error error =
        config_text(request, value, place, "service_id", "serviceId", &out->service_id, message);
    if (!error)
        error = config_text(request, value, place, "status", "status", &status, message);
    if (error)
        return error;
    char problem_text[MESSAGE_BYTES];
    error = discovery_statuses(status, &out->statuses, problem_text);
    if (error) {
        snprintf(message, MESSAGE_BYTES, "%s.%.400s", place, problem_text);
        return error;
    }
    char canonical[ID_BYTES_MAX];
    size_t size;
    struct field_problem problem;
    error = service_id_canonical(out->service_id, canonical, &size, &problem);
    if (error)
        snprintf(message, MESSAGE_BYTES, "%s.%s: %s", place,
                 request->document.names == NAMES_CAMEL ? "serviceId" : "service_id",
                 problem.problem);
    return error;
}

static enum error read_list(struct discovery_request *request, json_t *list,
                            char message[MESSAGE_BYTES])
{
    const char *name =
        request->document.names == NAMES_CAMEL ? "discoveryConfigs" : "discovery_configs";
    if (!json_is_array(list)) {
        char excerpt[EXCERPT_BYTES];
        json_excerpt(list, excerpt, sizeof(excerpt));
        snprintf(message, MESSAGE_BYTES, "%s: must be a list, is %s", name, excerpt);
        return ERR_INVALID_FIELD;
    }
    size_t count = json_array_size(list);
    if (count > BATCH_ITEMS_MAX) {
        snprintf(message, MESSAGE_BYTES, "%s: must be at most %d items, has %zu", name,
                 BATCH_ITEMS_MAX, count);
        return ERR_TOO_MANY_ITEMS;
    }
    request->is_list = true;
    request->configs = calloc(count ? count : 1, sizeof(*request->configs));
    if (!request->configs)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        char place[PLACE_BYTES];
        snprintf(place, sizeof(place), "%s[%zu]", name, i);
        enum error error =
            read_config(request, json_array_get(list, i), place, &request->configs[i], message);
        if (error)
            return error;
        request->count++;
    }
    return ERR_NONE;
}

static enum error read_single(struct discovery_request *request, json_t *config,
                              char message[MESSAGE_BYTES])
{
    const char *name =
        request->document.names == NAMES_CAMEL ? "discoveryConfig" : "discovery_config";
    if (!config) {
        snprintf(message, MESSAGE_BYTES, "%s: is required", name);
        return ERR_INVALID_FIELD;
    }
    request->configs = calloc(1, sizeof(*request->configs));
    if (!request->configs)
        return ERR_NO_MEMORY;
    request->count = 1;
    return read_config(request, config, name, request->configs, message);
}

static enum error read_choice(struct discovery_request *request, char message[MESSAGE_BYTES])
{
    struct slice strategy = {0};
    struct slice hash_key = {0};
    enum error error = document_text(&request->document, "strategy", &strategy, message);
    if (!error)
        error = document_text(&request->document, "hash_key", &hash_key, message);
    return error ? error : discovery_choice(strategy, hash_key, &request->choice, message);
}

static enum error read_request(struct discovery_request *request, struct slice body,
                               char message[MESSAGE_BYTES])
{
    enum error error = document_open(body, &request->document, message);
    if (error)
        return error;
    struct document *document = &request->document;
    add_zone_names(request, document->root);
    char problem[PROBLEM_BYTES];
    json_t *list = NULL;
    json_t *config = NULL;
    error = member_get(document->root, "discovery_configs", "discoveryConfigs", &list,
                       &document->names, problem, sizeof(problem));
    const char *name = error ? "discoveryConfigs" : "discoveryConfig";
    if (!error)
        error = member_get(document->root, "discovery_config", "discoveryConfig", &config,
                           &document->names, problem, sizeof(problem));
    if (error) { /* given in both casings */
        snprintf(message, MESSAGE_BYTES, "%s: %s", name, problem);
        return error;
    }
    error = list ? read_list(request, list, message) : read_single(request, config, message);
    return error ? error : read_choice(request, message);
}

enum error discovery_request_parse(struct slice body, struct discovery_request **out,
                                   enum name_casing *names, char message[MESSAGE_BYTES])
{
    struct discovery_request *request = calloc(1, sizeof(*request));
    if (!request)
        return ERR_NO_MEMORY;
    enum error error = read_request(request, body, message);
    *names = request->document.names;
    if (error)
        discovery_request_free(request);
    else
        *out = request;
    return error;
}

void discovery_request_free(struct discovery_request *request)
{
    if (!request)
        return;
    free(request->configs);
    document_close(&request->document);
    free(request);
}

bool discovery_request_is_list(const struct discovery_request *request)
{
    return request->is_list;
}

size_t discovery_request_count(const struct discovery_request *request)
{
    return request->count;
}

struct discovery_config discovery_request_config(const struct discovery_request *request,
                                                 size_t index)
{
    return request->configs[index];
}

struct lookup_choice discovery_request_choice(const struct discovery_request *request)
{
    return request->choice;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/discovery_encoder.h"
#include "artemis-web/api/handlers.h"
#include "artemis-web/api/long_poll.h"
#include "artemis-web/query/known_revision.h"

#include <stdio.h>
#include <stdlib.h>

/* Of one response with several services. The instances are those of the services: a filter may
 * leave all of them out of the response. */
enum { LOOKUP_BYTES_MAX = 16 * 1024 * 1024, LOOKUP_INSTANCES_MAX = 1000000 };

/* --- query ------------------------------------------------------------------------------------ */

/* The parameters of each path. region_id and zone_id filter nothing: clients of earlier releases
 * and of other implementations send their own place. */
enum {
    QUERY_OF_ALL = 1 << QUERY_REGION_ID | 1 << QUERY_ZONE_ID,
    QUERY_OF_FILTER =
        1 << QUERY_STATUS | 1 << QUERY_REGION | 1 << QUERY_ZONE | 1 << QUERY_NEAR | 1 << QUERY_META,
    QUERY_OF_POLL = 1 << QUERY_VERSION | 1 << QUERY_RUN | 1 << QUERY_WAIT | 1 << QUERY_DELTA,
    QUERY_OF_LOOKUP = QUERY_OF_ALL | QUERY_OF_FILTER,
    QUERY_OF_SERVICE = QUERY_OF_LOOKUP | QUERY_OF_POLL, /* and of services */
    QUERY_OF_DELTA = QUERY_OF_ALL | 1 << QUERY_VERSION | 1 << QUERY_RUN,
};

static enum error read_place(const struct query *query, struct instance_filter *filter,
                             char message[MESSAGE_BYTES])
{
    char problem[PROBLEM_BYTES];
    const char *name = "region";
    enum error error = ERR_NONE;
    if (query->value[QUERY_REGION].data)
        error = instance_filter_read_id(query->value[QUERY_REGION], &filter->region, problem);
    if (!error && query->value[QUERY_ZONE].data) {
        name = "zone";
        error = instance_filter_read_id(query->value[QUERY_ZONE], &filter->zone, problem);
    }
    if (!error && query->value[QUERY_NEAR].data) {
        name = "near";
        error = instance_filter_read_near(query->value[QUERY_NEAR], filter, problem);
    }
    if (error)
        snprintf(message, MESSAGE_BYTES, "%s: %s", name, problem);
    return error;
}

/* Reads the filter of a query. filter->statuses stays if the query has no status. */
static enum error read_filter(const struct query *query, struct instance_filter *filter,
                              char message[MESSAGE_BYTES])
{
    char problem[PROBLEM_BYTES];
    enum error error = read_place(query, filter, message);
    if (!error)
        error = discovery_statuses(query->value[QUERY_STATUS], &filter->statuses, message);
    for (size_t i = 0; i < query->metadata_count && !error; i++) {
        error = instance_filter_add_metadata(filter, query->metadata[i], problem);
        if (error)
            snprintf(message, MESSAGE_BYTES, "meta.KEY: %s", problem);
    }
    return error;
}

/* An error of the response cache. */
static enum error describe(enum error error, char message[MESSAGE_BYTES])
{
    if (error == ERR_OVERLOADED)
        snprintf(message, MESSAGE_BYTES,
                 "too many responses to requests with a filter are not read yet");
    return error;
}

/* --- service ---------------------------------------------------------------------------------- */

/* A service in canonical form, and which of its instances are requested. */
struct selection {
    char id[ID_BYTES_MAX];
    size_t id_size;
    struct instance_filter filter;
};

static struct slice selection_id(const struct selection *selection)
{
    return (struct slice){selection->id, selection->id_size};
}

/* Without `status`, instances that are up; Java clients get all. */
static void begin_selection(const struct request *request, struct selection *selection)
{
    selection->filter = (struct instance_filter){
        .statuses = request->java ? STATUSES_ALL : STATUSES_UP,
    };
}

/* Reads a GET without a body. */
static enum error read_query(struct request *request, const struct query *query,
                             struct selection *selection, char message[MESSAGE_BYTES])
{
    begin_selection(request, selection);
    enum error error = read_filter(query, &selection->filter, message);
    if (error)
        return error;
    struct field_problem problem;
    error = service_id_canonical(query->value[QUERY_SERVICE_ID], selection->id, &selection->id_size,
                                 &problem);
    if (error)
        snprintf(message, MESSAGE_BYTES, "%s: %s",
                 request->names == NAMES_CAMEL ? "serviceId" : "service_id", problem.problem);
    return error;
}

/* The filter of the query stays; the config has the service, and may have a status. */
static void select_config(const struct discovery_request *discovery, size_t index,
                          struct selection *selection)
{
    struct discovery_config config = discovery_request_config(discovery, index);
    struct field_problem problem;
    /* The parser has checked the service id. */
    enum error error =
        service_id_canonical(config.service_id, selection->id, &selection->id_size, &problem);
    (void)error;
    if (config.statuses)
        selection->filter.statuses = config.statuses;
}

static enum error parse_body(struct request *request, struct discovery_request **out,
                             char message[MESSAGE_BYTES])
{
    enum name_casing names = NAMES_NEUTRAL;
    enum error error = discovery_request_parse(request_body(request), out, &names, message);
    name_casing_add(&request->names, names);
    return error;
}

static enum error read_body(struct request *request, const struct query *query,
                            struct selection *selection, char message[MESSAGE_BYTES])
{
    struct discovery_request *discovery;
    begin_selection(request, selection);
    enum error error = read_filter(query, &selection->filter, message);
    if (!error)
        error = parse_body(request, &discovery, message);
    if (error)
        return error;
    if (discovery_request_is_list(discovery)) {
        snprintf(message, MESSAGE_BYTES, "discovery_config: is required (lookup takes a list)");
        error = ERR_INVALID_FIELD;
    } else {
        select_config(discovery, 0, selection);
    }
    discovery_request_free(discovery);
    return error;
}

/* Java clients expect an empty Service for an unknown service id. */
static void write_unknown_for_java(struct response *response, struct slice id)
{
    struct json_writer w = jw_to(&response->body, CASING_CAMEL);
    jw_open(&w, '{');
    codec_write_status(&w, DIALECT_JAVA, ERR_NONE, NULL, false);
    jw_name(&w, "service");
    codec_write_service(&w, DIALECT_JAVA, id, NULL, 0);
    jw_close(&w, '}');
}

/* The service is unknown. A long poll from revision 0 waits for its first registration. */
static enum error respond_unknown(struct request *request, const struct long_poll_query *get,
                                  struct slice id, struct response *response,
                                  char message[MESSAGE_BYTES])
{
    if (get->requested && get->revision == 0) {
        enum error error = long_poll_decide(request, get, id, 0, response, message);
        if (error || response->kind == RESPONSE_LONG_POLL || response->not_modified)
            return error;
    }
    if (request->java) {
        write_unknown_for_java(response, id);
        return ERR_NONE;
    }
    char quoted[160];
    text_quote(quoted, sizeof(quoted), id);
    snprintf(message, MESSAGE_BYTES, "service_id: no such service: %s", quoted);
    return ERR_SERVICE_NOT_FOUND;
}

static struct service_view view_of(const struct request *request, const struct selection *selection)
{
    const struct instance_filter *filter = &selection->filter;
    bool is_plain = instance_filter_is_plain(filter) &&
                    (filter->statuses == STATUSES_UP || filter->statuses == STATUSES_ALL);
    enum dialect dialect = request_dialect(request);
    return is_plain ? discovery_service_view(dialect, filter->statuses == STATUSES_ALL)
                    : discovery_filtered_view(dialect, filter);
}

/* The changes since the version of the client, where it asks for them and they are known; else the
 * whole service. Changes have no order, so that with `near` it is always the whole service. */
static enum error find_response(struct request *request, const struct selection *selection,
                                const struct long_poll_query *get, struct cached_response **cached)
{
    struct response_cache *cache = request->engine->responses;
    struct slice id = selection_id(selection);
    struct service_view view = view_of(request, selection);
    enum error error = ERR_VERSION_GONE;
    if (get->delta_since && selection->filter.near_region.size == 0)
        error = response_cache_get_delta(cache, id, &view, get->delta_since, request->now, cached);
    if (error == ERR_VERSION_GONE)
        error = response_cache_get(cache, id, &view, request->now, cached);
    return error;
}

enum error handle_service(struct request *request, struct response *response,
                          char message[MESSAGE_BYTES])
{
    struct query query;
    struct selection selection;
    struct long_poll_query get;
    enum error error = query_read(
        request, QUERY_OF_SERVICE | (unsigned)request->is_get << QUERY_SERVICE_ID, &query, message);
    if (!error)
        error = request->is_get ? read_query(request, &query, &selection, message)
                                : read_body(request, &query, &selection, message);
    if (!error)
        error = request_check_read(request, selection_id(&selection), message);
    if (!error)
        error = long_poll_read(request, &query, &get, message);
    if (error || long_poll_defer(request, &get, response))
        return error;
    struct cached_response *cached;
    error = find_response(request, &selection, &get, &cached);
    response->send_etag = true;
    if (error == ERR_SERVICE_NOT_FOUND)
        return respond_unknown(request, &get, selection_id(&selection), response, message);
    if (error)
        return describe(error, message);
    response_set_cached(response, cached);
    return long_poll_decide(request, &get, selection_id(&selection), cached->revision, response,
                            message);
}

/* --- services, services-delta ----------------------------------------------------------------- */

/* Reads the revision from the query, or else from the body. */
static enum error read_known_revision(struct request *request, struct known_revision *known,
                                      char message[MESSAGE_BYTES])
{
    struct document *document;
    struct query query;
    enum error error = query_read(request, QUERY_OF_DELTA, &query, message);
    if (!error)
        error = known_revision_from_query(request, &query, known, message);
    if (error || known->given)
        return error;
    error = document_parse(request_body(request), &document, message);
    if (error)
        return error;
    error = known_revision_from_body(request, document, known, message);
    name_casing_add(&request->names, document_names(document));
    document_free(document);
    return error;
}

/* The body filters nothing, but must be valid. */
static enum error read_ignored_body(struct request *request, char message[MESSAGE_BYTES])
{
    struct slice ignored = {0};
    struct document *document;
    enum error error = document_parse(request_body(request), &document, message);
    if (error)
        return error;
    error = document_text(document, "region_id", &ignored, message);
    if (!error)
        error = document_text(document, "zone_id", &ignored, message);
    name_casing_add(&request->names, document_names(document));
    document_free(document);
    return error;
}

enum error handle_services(struct request *request, struct response *response,
                           char message[MESSAGE_BYTES])
{
    struct query query;
    struct long_poll_query get;
    struct instance_filter filter = {.statuses = STATUSES_ALL};
    struct registry *registry = request->engine->registry;
    enum error error = request_check_read(request, SLICE("*"), message);
    if (!error)
        error = query_read(request, QUERY_OF_SERVICE, &query, message);
    query.value[QUERY_DELTA] = (struct slice){0}; /* it is always all services */
    if (!error)
        error = read_filter(&query, &filter, message);
    if (!error && !request->is_get)
        error = read_ignored_body(request, message);
    if (!error)
        error = long_poll_read(request, &query, &get, message);
    if (error || long_poll_defer(request, &get, response))
        return error;
    /* Before a response is encoded that may not be needed. */
    error = long_poll_decide(request, &get, (struct slice){0}, registry_revision(registry),
                             response, message);
    if (error || response->kind == RESPONSE_LONG_POLL)
        return error;
    response->send_etag = true;
    response->send_epoch = true;
    enum dialect dialect = request_dialect(request);
    struct all_services_view view = instance_filter_selects_all(&filter)
                                        ? discovery_all_services_view(dialect)
                                        : discovery_all_services_filtered_view(dialect, &filter);
    struct cached_response *cached;
    error = response_cache_get_all(request->engine->responses, &view, request->now, &cached);
    if (!error)
        response_set_cached(response, cached);
    return describe(error, message);
}

enum error handle_services_delta(struct request *request, struct response *response,
                                 char message[MESSAGE_BYTES])
{
    struct known_revision known = {0};
    enum error error = request_check_read(request, SLICE("*"), message);
    if (!error)
        error = read_known_revision(request, &known, message);
    if (error)
        return error;
    if (!known.given) {
        snprintf(message, MESSAGE_BYTES, "version: is required");
        return ERR_INVALID_FIELD;
    }
    response->send_epoch = true;
    if (known.other_epoch) {
        snprintf(message, MESSAGE_BYTES,
                 "run: is not the epoch of this node's versions; fetch all services again");
        return ERR_VERSION_GONE;
    }
    error = discovery_write_delta(request->engine->registry, known.revision,
                                  request_dialect(request), &response->body);
    if (error == ERR_VERSION_GONE)
        snprintf(
            message, MESSAGE_BYTES,
            "version: this node no longer has the changes since %llu; fetch all services again",
            (unsigned long long)known.revision);
    return error;
}

/* --- lookup ----------------------------------------------------------------------------------- */

/* Writes the response up to {"services":[. end_list ends it. */
static struct json_writer begin_list(struct request *request, struct response *response)
{
    enum dialect dialect = request_dialect(request);
    struct json_writer w = jw_to(&response->body, dialect_casing(dialect));
    jw_open(&w, '{');
    codec_write_status(&w, dialect, ERR_NONE, NULL, false);
    jw_name(&w, "services");
    jw_open(&w, '[');
    return w;
}

static void end_list(struct json_writer *w)
{
    jw_close(w, ']');
    jw_close(w, '}');
}

/* Writes one service of a list. An unknown service has an empty list of instances, which Rust
 * clients require; Java clients expect null. */
static enum error list_service(struct request *request, const struct selection *selection,
                               struct json_writer *w)
{
    enum dialect dialect = request_dialect(request);
    enum error error = discovery_write_service(request->engine->registry, selection_id(selection),
                                               dialect, &selection->filter, w);
    if (error != ERR_SERVICE_NOT_FOUND)
        return error;
    static struct instance *const none[1];
    codec_write_service(w, dialect, selection_id(selection), request->java ? NULL : none, 0);
    return ERR_NONE;
}

static enum error lookup_list(struct request *request, const struct discovery_request *discovery,
                              const struct instance_filter *filter, struct response *response,
                              char message[MESSAGE_BYTES])
{
    size_t count = discovery_request_count(discovery);
    if (count == 0 && request->java) {
        snprintf(message, MESSAGE_BYTES, "discoveryConfigs: must not be empty");
        return ERR_INVALID_FIELD;
    }
    const char *name = request->names == NAMES_CAMEL ? "discoveryConfigs" : "discovery_configs";
    uint64_t instances = 0;
    struct json_writer w = begin_list(request, response);
    for (size_t i = 0; i < count; i++) {
        struct selection selection = {.filter = *filter};
        select_config(discovery, i, &selection);
        enum error error = request_check_read(request, selection_id(&selection), message);
        if (error)
            return error;
        instances += registry_count_members(request->engine->registry, selection_id(&selection));
        if (instances > LOOKUP_INSTANCES_MAX) {
            snprintf(message, MESSAGE_BYTES,
                     "%s: the services have more than %d instances at item %zu of %zu; send fewer "
                     "items per request",
                     name, LOOKUP_INSTANCES_MAX, i, count);
            return ERR_TOO_MANY_ITEMS;
        }
        error = list_service(request, &selection, &w);
        if (error)
            return error;
        if (response->body.size > LOOKUP_BYTES_MAX) {
            snprintf(message, MESSAGE_BYTES,
                     "%s: the response exceeds %d bytes at item %zu of %zu; send fewer items per "
                     "request",
                     name, LOOKUP_BYTES_MAX, i, count);
            return ERR_TOO_MANY_ITEMS;
        }
    }
    end_list(&w);
    return ERR_NONE;
}

static enum error lookup_one(struct request *request, const struct selection *selection,
                             const struct lookup_choice *choice, struct response *response)
{
    struct instance *instance = NULL;
    struct near_counts near;
    enum dialect dialect = request_dialect(request);
    enum error error = registry_pick(request->engine->registry, selection_id(selection),
                                     &selection->filter, choice, arc4random(), &instance, &near);
    struct json_writer w = jw_to(&response->body, dialect_casing(dialect));
    jw_open(&w, '{');
    jw_name(&w, "success");
    jw_bool(&w, !error);
    if (error) {
        char quoted[160];
        char why[256];
        bool is_plain = instance_filter_is_plain(&selection->filter) &&
                        selection->filter.statuses == STATUSES_UP;
        const char *nothing = is_plain ? "no instance is up:" : "no instance matches:";
        text_quote(quoted, sizeof(quoted), selection_id(selection));
        snprintf(why, sizeof(why), "%s %s",
                 error == ERR_SERVICE_NOT_FOUND ? "no such service:" : nothing, quoted);
        jw_name(&w, "message");
        jw_string(&w, why);
        if (!request->java) {
            jw_name(&w, "reason");
            jw_string(&w, error_info(error)->reason);
        }
        response->outcome = error;
        response->status = request->java ? 200 : 404;
    } else {
        codec_write_near(&w, &near);
        jw_name(&w, "instance");
        codec_write_instance(&w, dialect, instance);
    }
    jw_close(&w, '}');
    instance_unref(instance);
    return ERR_NONE;
}

/* Lookup by query: one instance where a strategy is given, else a list with one service. */
static enum error lookup_query(struct request *request, struct response *response,
                               char message[MESSAGE_BYTES])
{
    struct query query;
    struct selection selection;
    struct lookup_choice choice;
    const unsigned accepted =
        QUERY_OF_LOOKUP | 1 << QUERY_SERVICE_ID | 1 << QUERY_STRATEGY | 1 << QUERY_HASH_KEY;
    enum error error = query_read(request, accepted, &query, message);
    struct slice strategy = query.value[QUERY_STRATEGY];
    struct slice hash_key = query.value[QUERY_HASH_KEY];
    if (!error)
        error = read_query(request, &query, &selection, message);
    if (!error)
        error = request_check_read(request, selection_id(&selection), message);
    if (!error)
        error = discovery_choice(strategy, hash_key, &choice, message);
    if (error)
        return error;
    if (strategy.size)
        return lookup_one(request, &selection, &choice, response);
    struct json_writer w = begin_list(request, response);
    error = list_service(request, &selection, &w);
    end_list(&w);
    return error;
}

static enum error lookup_body(struct request *request, struct response *response,
                              char message[MESSAGE_BYTES])
{
    struct query query;
    struct selection selection;
    struct discovery_request *discovery;
    begin_selection(request, &selection);
    enum error error = query_read(request, QUERY_OF_LOOKUP, &query, message);
    if (!error)
        error = read_filter(&query, &selection.filter, message);
    if (!error)
        error = parse_body(request, &discovery, message);
    if (error)
        return error;
    if (discovery_request_is_list(discovery)) {
        error = lookup_list(request, discovery, &selection.filter, response, message);
    } else {
        select_config(discovery, 0, &selection);
        error = request_check_read(request, selection_id(&selection), message);
        struct lookup_choice choice = discovery_request_choice(discovery);
        if (!error)
            error = lookup_one(request, &selection, &choice, response);
    }
    discovery_request_free(discovery);
    return error;
}

enum error handle_lookup(struct request *request, struct response *response,
                         char message[MESSAGE_BYTES])
{
    return request->is_get ? lookup_query(request, response, message)
                           : lookup_body(request, response, message);
}

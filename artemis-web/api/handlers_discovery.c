/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/discovery_encoder.h"
#include "artemis-web/api/handlers.h"
#include "artemis-web/api/known_revision.h"
#include "artemis-web/api/long_poll.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOKUP_BYTES_MAX = 16 * 1024 * 1024 }; /* of one response with several services */

/* Region and zone in the query filter nothing; the casing of their names decides the casing of the
 * response. */
static enum error read_zone(struct request *request, char message[MESSAGE_BYTES])
{
    struct slice ignored = {0};
    enum error error = request_query(request, "region_id", &ignored, message);
    return error ? error : request_query(request, "zone_id", &ignored, message);
}

/* --- service ---------------------------------------------------------------------------------- */

/* A service in canonical form, and which of its instances are requested. */
struct selection {
    char id[ID_BYTES_MAX];
    size_t id_size;
    bool all_statuses;
};

static struct slice selection_id(const struct selection *selection)
{
    return (struct slice){selection->id, selection->id_size};
}

static enum error read_query(struct request *request, struct selection *selection,
                             char message[MESSAGE_BYTES])
{
    struct slice id = {0};
    struct slice status = {0};
    enum error error = read_zone(request, message);
    if (!error)
        error = request_query(request, "service_id", &id, message);
    if (!error)
        error = request_query(request, "status", &status, message);
    if (!error)
        error = discovery_status_filter(status, &selection->all_statuses, message);
    if (error)
        return error;
    struct field_problem problem;
    error = service_id_canonical(id, selection->id, &selection->id_size, &problem);
    if (error)
        snprintf(message, MESSAGE_BYTES, "%s: %s",
                 request->names == NAMES_CAMEL ? "serviceId" : "service_id", problem.problem);
    return error;
}

static void select_config(const struct discovery_request *discovery, size_t index,
                          struct selection *selection)
{
    struct discovery_config config = discovery_request_config(discovery, index);
    struct field_problem problem;
    /* The parser has checked the service id. */
    enum error error =
        service_id_canonical(config.service_id, selection->id, &selection->id_size, &problem);
    (void)error;
    selection->all_statuses = config.all_statuses;
}

static enum error parse_body(struct request *request, struct discovery_request **out,
                             char message[MESSAGE_BYTES])
{
    enum name_casing names = NAMES_NEUTRAL;
    enum error error = read_zone(request, message);
    if (!error)
        error = discovery_request_parse(request_body(request), out, &names, message);
    name_casing_add(&request->names, names);
    return error;
}

static enum error read_body(struct request *request, struct selection *selection,
                            char message[MESSAGE_BYTES])
{
    struct discovery_request *discovery;
    enum error error = parse_body(request, &discovery, message);
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

/* The changes since the version of the client, where it asks for them and they are known; else the
 * whole service. */
static enum error find_response(struct request *request, const struct selection *selection,
                                const struct long_poll_query *get, struct cached_response **cached)
{
    struct response_cache *cache = request->engine->responses;
    struct slice id = selection_id(selection);
    struct service_view view =
        discovery_service_view(request_dialect(request), selection->all_statuses || request->java);
    enum error error = ERR_VERSION_GONE;
    if (get->delta_since)
        error = response_cache_get_delta(cache, id, &view, get->delta_since, request->now, cached);
    if (error == ERR_VERSION_GONE)
        error = response_cache_get(cache, id, &view, request->now, cached);
    return error;
}

enum error handle_service(struct request *request, struct response *response,
                          char message[MESSAGE_BYTES])
{
    struct selection selection = {0};
    struct long_poll_query get;
    enum error error = request->is_get ? read_query(request, &selection, message)
                                       : read_body(request, &selection, message);
    if (!error)
        error = request_check_read(request, selection_id(&selection), message);
    if (!error)
        error = long_poll_read(request, true, &get, message);
    if (error)
        return error;
    struct cached_response *cached;
    error = find_response(request, &selection, &get, &cached);
    response->send_etag = true;
    if (error == ERR_SERVICE_NOT_FOUND)
        return respond_unknown(request, &get, selection_id(&selection), response, message);
    if (error)
        return error;
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
    enum error error = read_zone(request, message);
    if (!error)
        error = known_revision_from_query(request, known, message);
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
    struct long_poll_query get;
    struct registry *registry = request->engine->registry;
    enum error error = request_check_read(request, SLICE("*"), message);
    if (!error)
        error = read_zone(request, message);
    if (!error && !request->is_get)
        error = read_ignored_body(request, message);
    if (!error)
        error = long_poll_read(request, false, &get, message);
    if (!error) /* before a response is encoded that may not be needed */
        error = long_poll_decide(request, &get, (struct slice){0}, registry_revision(registry),
                                 response, message);
    if (error || response->kind == RESPONSE_LONG_POLL)
        return error;
    response->send_etag = true;
    response->send_epoch = true;
    struct all_services_view view = discovery_all_services_view(request_dialect(request));
    struct cached_response *cached;
    error = response_cache_get_all(request->engine->responses, &view, request->now, &cached);
    if (!error)
        response_set_cached(response, cached);
    return error;
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
    enum error error =
        discovery_write_service(request->engine->registry, selection_id(selection), dialect,
                                selection->all_statuses || request->java, w);
    if (error != ERR_SERVICE_NOT_FOUND)
        return error;
    static struct instance *const none[1];
    codec_write_service(w, dialect, selection_id(selection), request->java ? NULL : none, 0);
    return ERR_NONE;
}

static enum error lookup_list(struct request *request, const struct discovery_request *discovery,
                              struct response *response, char message[MESSAGE_BYTES])
{
    size_t count = discovery_request_count(discovery);
    if (count == 0 && request->java) {
        snprintf(message, MESSAGE_BYTES, "discoveryConfigs: must not be empty");
        return ERR_INVALID_FIELD;
    }
    struct json_writer w = begin_list(request, response);
    for (size_t i = 0; i < count; i++) {
        struct selection selection = {0};
        select_config(discovery, i, &selection);
        enum error error = request_check_read(request, selection_id(&selection), message);
        if (!error)
            error = list_service(request, &selection, &w);
        if (error)
            return error;
        if (response->body.size > LOOKUP_BYTES_MAX) {
            snprintf(message, MESSAGE_BYTES,
                     "%s: the response exceeds %d bytes at item %zu of %zu; send fewer items per "
                     "request",
                     request->names == NAMES_CAMEL ? "discoveryConfigs" : "discovery_configs",
                     LOOKUP_BYTES_MAX, i, count);
            return ERR_TOO_MANY_ITEMS;
        }
    }
    end_list(&w);
    return ERR_NONE;
}

static enum error lookup_one(struct request *request, const struct selection *selection,
                             enum lookup_strategy strategy, struct response *response)
{
    struct instance *instance = NULL;
    enum dialect dialect = request_dialect(request);
    enum error error =
        registry_pick(request->engine->registry, selection_id(selection),
                      selection->all_statuses || request->java, strategy, arc4random(), &instance);
    struct json_writer w = jw_to(&response->body, dialect_casing(dialect));
    jw_open(&w, '{');
    jw_name(&w, "success");
    jw_bool(&w, !error);
    if (error) {
        char quoted[160];
        char why[256];
        text_quote(quoted, sizeof(quoted), selection_id(selection));
        snprintf(
            why, sizeof(why), "%s %s",
            error == ERR_SERVICE_NOT_FOUND ? "no such service:" : "no instance is up:", quoted);
        jw_name(&w, "message");
        jw_string(&w, why);
        response->outcome = error;
        response->status = request->java ? 200 : 404;
    } else {
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
    struct selection selection = {0};
    struct slice word = {0};
    enum lookup_strategy strategy = LOOKUP_RANDOM;
    enum error error = read_query(request, &selection, message);
    if (!error)
        error = request_query(request, "strategy", &word, message);
    if (!error)
        error = request_check_read(request, selection_id(&selection), message);
    if (!error)
        error = discovery_strategy(word, &strategy, message);
    if (error)
        return error;
    if (word.size)
        return lookup_one(request, &selection, strategy, response);
    struct json_writer w = begin_list(request, response);
    error = list_service(request, &selection, &w);
    end_list(&w);
    return error;
}

static enum error lookup_body(struct request *request, struct response *response,
                              char message[MESSAGE_BYTES])
{
    struct discovery_request *discovery;
    enum error error = parse_body(request, &discovery, message);
    if (error)
        return error;
    if (discovery_request_is_list(discovery)) {
        error = lookup_list(request, discovery, response, message);
    } else {
        struct selection selection = {0};
        select_config(discovery, 0, &selection);
        error = request_check_read(request, selection_id(&selection), message);
        if (!error)
            error =
                lookup_one(request, &selection, discovery_request_strategy(discovery), response);
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

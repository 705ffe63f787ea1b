/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes and renewals from peers. They are applied to the registry and never forwarded.
 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-server/log.h"

/* --- headers ---------------------------------------------------------------------------------- */

/* The last request of a peer that shuts down carries its state. */
static void note_goodbye(const struct request *request)
{
    const char *state = request_header(request, HEADER_PEER_STATE);
    const char *node = request_header(request, HEADER_PEER_NODE);
    if (state && node && strcmp(state, "draining") == 0)
        engine_on_peer_goodbye(request->engine, node);
}

/* --- changes and renewals --------------------------------------------------------------------- */

static enum error apply_peer_register(struct batch_call *call, struct batch *batch, size_t *next)
{
    size_t index = (*next)++;
    struct wire_record record = {.peer = call->peer};
    enum error error = batch_stamp(batch, index, &record);
    if (!error)
        error = batch_instance(batch, index, &record.instance);
    if (error == ERR_INVALID_FIELD)
        return ERR_NONE; /* recorded in the batch */
    if (error)
        return error;
    wire_record_add_age(&record, call->transit_ms);
    error = registry_apply(call->engine->registry, &record, call->now);
    instance_unref(record.instance);
    return error && error != ERR_NO_MEMORY ? batch_fail(batch, index, error, NULL) : error;
}

typedef enum error apply_record(struct registry *registry, const struct wire_record *record,
                                struct moment now);

static enum error apply_peer_key(struct batch_call *call, struct batch *batch, size_t index,
                                 apply_record *apply)
{
    struct instance_key key;
    struct wire_record record = {.key = &key, .peer = call->peer};
    enum error error = batch_stamp(batch, index, &record);
    if (!error)
        error = batch_key(batch, index, &key);
    if (error == ERR_INVALID_FIELD)
        return ERR_NONE; /* recorded in the batch */
    if (error)
        return error;
    wire_record_add_age(&record, call->transit_ms);
    error = apply(call->engine->registry, &record, call->now);
    return error && error != ERR_NO_MEMORY ? batch_fail(batch, index, error, &key) : error;
}

/* The records from `index` on that are packed. */
static size_t packed_records(const struct batch_call *call, const struct batch *batch, size_t index,
                             struct wire_record records[REGISTRY_KEYS_MAX])
{
    size_t left = batch_count(batch) - index;
    size_t max = left < REGISTRY_KEYS_MAX ? left : REGISTRY_KEYS_MAX;
    size_t count = 0;
    for (; count < max && batch_packed_record(batch, index + count, &records[count]); count++) {
        records[count].peer = call->peer;
        wire_record_add_age(&records[count], call->transit_ms);
    }
    return count;
}

static enum error apply_peer_heartbeat(struct batch_call *call, struct batch *batch, size_t *next)
{
    struct wire_record records[REGISTRY_KEYS_MAX];
    enum error errors[REGISTRY_KEYS_MAX];
    enum error error = ERR_NONE;
    size_t count = packed_records(call, batch, *next, records);
    if (count == 0)
        return apply_peer_key(call, batch, (*next)++, registry_apply_renewal);
    registry_apply_renewals(call->engine->registry, records, count, call->now, errors);
    for (size_t i = 0; i < count && !error; i++) {
        if (errors[i])
            error = errors[i] == ERR_NO_MEMORY
                        ? errors[i]
                        : batch_fail(batch, *next + i, errors[i], records[i].key);
    }
    *next += count;
    batch_note_names(batch, *next - 1);
    return error;
}

static enum error apply_peer_unregister(struct batch_call *call, struct batch *batch, size_t *next)
{
    return apply_peer_key(call, batch, (*next)++, registry_apply_unregister);
}

/* How long the request was in transit. Its clock does not move that of this node: anybody may have
 * sent it. */
static uint64_t transit_ms(const struct request *request)
{
    const char *header = request_header(request, HEADER_PEER_CLOCK);
    uint64_t clock_ms = header ? strtoull(header, NULL, 10) : 0; /* an older node sends none */
    return registry_transit_ms(request->engine->registry, clock_ms, request->now);
}

/* Notes that records were refused for a reason that concerns all records of the peer. */
static void note_refused(const struct request *request, enum error outcome)
{
    bool is_refused = outcome == ERR_VERSION_AHEAD || outcome == ERR_TOO_MANY_ITEMS;
    if (outcome == ERR_VERSION_AHEAD)
        engine_on_stamp_ahead(request->engine);
    if (is_refused && log_admit(LOG_LEVEL_WARN))
        log_event(LOG_LEVEL_WARN,
                  outcome == ERR_VERSION_AHEAD
                      ? "refused records with stamps too far ahead of the clocks of all members; "
                        "check the clocks of the nodes"
                      : "refused records: too many node ids are in use",
                  LOG_TEXT("peer", request_header(request, HEADER_PEER_NODE)));
}

/* Applies a batch of a peer. The sender of a request that was in transit for longer than its
 * timeout has sent the records again since, or dropped them: nothing is applied. */
static enum error handle_update(struct request *request, struct response *response,
                                char message[MESSAGE_BYTES], enum batch_kind kind,
                                batch_call_apply *apply)
{
    uint64_t transit = transit_ms(request);
    uint64_t max_ms = request->engine->config->replication.timeout_secs * (uint64_t)1000;
    if (transit <= max_ms) {
        enum error error = handle_batch(request, response, message, kind, apply, transit);
        if (!error)
            note_refused(request, response->outcome);
        return error;
    }
    snprintf(message, MESSAGE_BYTES,
             "%s: the request was in transit for %llu ms; at most %llu ms are allowed "
             "(replication.timeout_secs)",
             framing_field_name(HEADER_PEER_CLOCK), (unsigned long long)transit,
             (unsigned long long)max_ms);
    if (log_admit(LOG_LEVEL_WARN))
        log_event(LOG_LEVEL_WARN, "refused a replication request",
                  LOG_TEXT("peer", request_header(request, HEADER_PEER_NODE)),
                  LOG_TEXT("reason", message));
    return ERR_REQUEST_TIMEOUT;
}

enum error handle_peer_register(struct request *request, struct response *response,
                                char message[MESSAGE_BYTES])
{
    return handle_update(request, response, message, BATCH_OF_INSTANCES, apply_peer_register);
}

enum error handle_peer_heartbeat(struct request *request, struct response *response,
                                 char message[MESSAGE_BYTES])
{
    note_goodbye(request);
    return handle_update(request, response, message, BATCH_OF_KEYS, apply_peer_heartbeat);
}

enum error handle_peer_unregister(struct request *request, struct response *response,
                                  char message[MESSAGE_BYTES])
{
    return handle_update(request, response, message, BATCH_OF_KEYS, apply_peer_unregister);
}

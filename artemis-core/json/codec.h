/* SPDX-License-Identifier: Apache-2.0
 *
 * codec - the JSON of the wire to the model, and back. The only room that knows Jansson.
 *
 * Reading: a request body becomes a `batch` (register, heartbeat, unregister), a
 * `discovery_request`, or a plain `document` for the small rest. Names are read in snake_case and
 * camelCase alike; what was used decides the dialect of the answer. Unknown fields are ignored,
 * null counts as absent, a name given twice is refused. What is wrong is told in a message that
 * names item, field and value.
 *
 * Writing: the parts that answers are made of, appended to a json_writer.
 *
 * Everything here is pure. An object belongs to one thread; instances may be shared. Slices that a
 * request gives out live as long as the request.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/json/json_writer.h"
#include "artemis-core/model/instance.h"
#include "artemis-core/model/wire_record.h"

enum {
    MESSAGE_BYTES = 512,
    BATCH_ITEMS_MAX = 10000,
};

/* How an answer is spelled. DIALECT_JAVA is camelCase with nulls written and Java's error codes. */
enum dialect { DIALECT_SNAKE, DIALECT_CAMEL, DIALECT_JAVA, DIALECT_COUNT };

enum casing dialect_casing(enum dialect dialect);

/* --- documents -----------------------------------------------------------------------------------
 */

struct document;

/* ERR_INVALID_JSON (not JSON, not an object, too deep, invalid UTF-8, NUL, a name given twice) or
 * ERR_TOO_MANY_ITEMS (a tree out of proportion), with *message filled; or ERR_NO_MEMORY. An empty
 * body reads as {}. */
MUST_USE enum error document_parse(struct slice body, struct document **out,
                                   char message[MESSAGE_BYTES]);
void document_free(struct document *document);
bool document_is_camel(const struct document *document); /* a camelCase name has been read so far */

/* Optional members: absent leaves *out alone. ERR_INVALID_FIELD with *message. */
MUST_USE enum error document_text(struct document *document, const char *snake_name,
                                  struct slice *out, char message[MESSAGE_BYTES]);
MUST_USE enum error document_u64(struct document *document, const char *snake_name, uint64_t *out,
                                 char message[MESSAGE_BYTES]);

/* A list of at most `max` numbers, none above `highest`; *given tells whether it was there.
 * ERR_INVALID_FIELD, ERR_TOO_MANY_ITEMS with *message. */
MUST_USE enum error document_numbers(struct document *document, const char *snake_name,
                                     uint64_t highest, size_t max, uint64_t *out, size_t *count,
                                     bool *given, char message[MESSAGE_BYTES]);

/* --- batches ---------------------------------------------------------------------------------- */

enum batch_kind {
    BATCH_OF_INSTANCES, /* {"instances":[Instance]} */
    BATCH_OF_KEYS,      /* {"instance_keys":[Key]} or {"instances":[Instance]} */
};

struct batch;

/* The body must outlive the batch.
 * ERR_INVALID_JSON, ERR_INVALID_FIELD (no list), ERR_TOO_MANY_ITEMS with *message; ERR_NO_MEMORY.
 * *camel tells the dialect of the answer even when this fails. */
MUST_USE enum error batch_parse(struct slice body, enum batch_kind kind, struct batch **out,
                                bool *camel, char message[MESSAGE_BYTES]);
void batch_free(struct batch *batch);
size_t batch_count(const struct batch *batch);
bool batch_is_camel(const struct batch *batch);

/* Reads one item. ERR_INVALID_FIELD is noted as the item's failure; ERR_NO_MEMORY is the caller's.
 */
MUST_USE enum error batch_instance(struct batch *batch, size_t index, struct instance **out);
MUST_USE enum error batch_key(struct batch *batch, size_t index, struct instance_key *out);
/* The version and age that a peer adds to an item; a client's item leaves *record as it is. */
MUST_USE enum error batch_stamp(struct batch *batch, size_t index, struct wire_record *record);
/* Notes that an item failed in the engine. ERR_NO_MEMORY when it cannot be noted. */
MUST_USE enum error batch_fail(struct batch *batch, size_t index, enum error why,
                               const struct instance_key *key);

/* The error of the first failed item, ERR_NONE when all went well. */
enum error batch_outcome(const struct batch *batch);
/* The whole answer, failed items included; those that go beyond bytes_max are left out, if it is
 * not 0. */
void batch_write_response(const struct batch *batch, enum dialect dialect, size_t bytes_max,
                          struct text *out);

/* --- discovery -------------------------------------------------------------------------------- */

enum lookup_strategy { LOOKUP_RANDOM, LOOKUP_ROUND_ROBIN };

struct discovery_config {
    struct slice service_id; /* as sent */
    bool all_statuses;
};

struct discovery_request;

/* Reads {"discovery_config":{..}}, or {"discovery_configs":[..]}, and a strategy.
 * ERR_INVALID_JSON, ERR_INVALID_FIELD, ERR_TOO_MANY_ITEMS with *message; ERR_NO_MEMORY. */
MUST_USE enum error discovery_request_parse(struct slice body, struct discovery_request **out,
                                            bool *camel, char message[MESSAGE_BYTES]);
void discovery_request_free(struct discovery_request *request);
bool discovery_request_is_list(const struct discovery_request *request);
size_t discovery_request_count(const struct discovery_request *request);
struct discovery_config discovery_request_config(const struct discovery_request *request,
                                                 size_t index);
enum lookup_strategy discovery_request_strategy(const struct discovery_request *request);
/* "up" and nothing mean the usual filter, "all" shows every status; else ERR_INVALID_FIELD. */
MUST_USE enum error discovery_status_filter(struct slice word, bool *all_statuses,
                                            char message[MESSAGE_BYTES]);
/* "round-robin", "random", or nothing for the latter; else ERR_INVALID_FIELD. */
MUST_USE enum error discovery_strategy(struct slice word, enum lookup_strategy *strategy,
                                       char message[MESSAGE_BYTES]);

/* --- writing ---------------------------------------------------------------------------------- */

/* "response_status":{..} with `message`, or the sentence of the error where it is NULL. `partial`:
 * some items of a batch failed. */
void codec_write_status(struct json_writer *w, enum dialect dialect, enum error error,
                        const char *message, bool partial);
/* An answer that is nothing but its status. */
void codec_write_error(struct text *out, enum dialect dialect, enum error error,
                       const char *message);
void codec_write_instance(struct json_writer *w, enum dialect dialect,
                          const struct instance *instance);
/* The members alone, for an object that is open. `raw_status`: also text that is no known
 * status. */
void codec_write_instance_members(struct json_writer *w, enum dialect dialect,
                                  const struct instance *instance, bool raw_status);
/* A Service; `instances` NULL writes only the id (and Java's nulls). */
void codec_write_service(struct json_writer *w, enum dialect dialect, struct slice service_id,
                         struct instance *const *instances, size_t count);
enum change_type { CHANGE_NEW, CHANGE_CHANGE, CHANGE_DELETE, CHANGE_RELOAD };
void codec_write_change(struct json_writer *w, enum dialect dialect,
                        const struct instance *instance, enum change_type type, uint64_t wall_ms);

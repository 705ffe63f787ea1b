/* SPDX-License-Identifier: Apache-2.0
 *
 * codec - converts between JSON on the wire and the model, with Jansson.
 *
 * Reading: a request body becomes a `batch` (register, heartbeat, unregister), a
 * `discovery_request`, or a `document` (all other bodies). Member names are accepted in snake_case
 * and in camelCase; the parsers report which casing the names have, since it decides the dialect of
 * the response. Unknown members are ignored, null counts as absent, and a member given twice is an
 * error. Every error comes with a message that names item, field and value.
 *
 * Writing: functions that append the parts of a response to a json_writer.
 *
 * Pure. An object belongs to one thread; instances may be shared. Slices returned by an object are
 * valid until it is freed.
 */
#pragma once

#include <jansson.h>

#include "artemis-core/base/error.h"
#include "artemis-core/json/json_writer.h"
#include "artemis-core/model/instance_filter.h"
#include "artemis-core/model/wire_record.h"

enum {
    MESSAGE_BYTES = 512,
    BATCH_ITEMS_MAX = 10000,
};

/* The form of a response. DIALECT_JAVA is camelCase with explicit nulls and the error codes of the
 * Java API. */
enum dialect { DIALECT_SNAKE, DIALECT_CAMEL, DIALECT_JAVA, DIALECT_COUNT };

enum casing dialect_casing(enum dialect dialect);

/* The dialect of the response. `neutral` applies to a request with NAMES_NEUTRAL. */
enum dialect dialect_choose(bool java, enum name_casing names, enum casing neutral);

/* --- documents -------------------------------------------------------------------------------- */

struct document;

/* Parses a body; an empty one is {}. ERR_INVALID_JSON (not JSON, not an object, too deep, invalid
 * UTF-8, NUL, a member given twice) or ERR_TOO_MANY_ITEMS (too many values for its size), both fill
 * *message; ERR_NO_MEMORY. */
MUST_USE enum error document_parse(struct slice body, struct document **out,
                                   char message[MESSAGE_BYTES]);
void document_free(struct document *document);
/* The casing of the names that were read so far. */
enum name_casing document_names(const struct document *document);

/* Read an optional member of the root; *out is unchanged if it is absent. ERR_INVALID_FIELD (fills
 * *message). */
MUST_USE enum error document_text(struct document *document, const char *snake_name,
                                  struct slice *out, char message[MESSAGE_BYTES]);
MUST_USE enum error document_u64(struct document *document, const char *snake_name, uint64_t *out,
                                 char message[MESSAGE_BYTES]);

/* Reads an optional list of at most `max` numbers from 0 to `highest`. *given is whether it is
 * present. ERR_INVALID_FIELD, ERR_TOO_MANY_ITEMS (both fill *message). */
MUST_USE enum error document_numbers(struct document *document, const char *snake_name,
                                     uint64_t highest, size_t max, uint64_t *out, size_t *count,
                                     bool *given, char message[MESSAGE_BYTES]);

/* Parses JSON with these flags of Jansson, within a budget of memory that follows from its size.
 * The caller owns *out. ERR_INVALID_JSON, ERR_TOO_MANY_ITEMS, with *message; ERR_NO_MEMORY. */
MUST_USE enum error json_read(struct slice body, size_t flags, json_t **out,
                              char message[MESSAGE_BYTES]);

/* Reads an optional filter: {"zone":Z,"region":R,"status":S,"meta":{KEY:VALUE}}, with the rules of
 * the query of discovery. Without `status` it selects every status. Its texts are borrowed from the
 * document. *given is whether it is present. ERR_INVALID_FIELD (fills *message), also for an
 * unknown member and for `near`. */
MUST_USE enum error document_filter(struct document *document, struct instance_filter *filter,
                                    bool *given, char message[MESSAGE_BYTES]);

/* --- batches ---------------------------------------------------------------------------------- */

enum batch_kind {
    BATCH_OF_INSTANCES, /* {"instances":[Instance]} */
    BATCH_OF_KEYS,      /* {"instance_keys":[Key]} or {"instances":[Instance]} */
};

struct batch;

/* Parses a body, which must outlive the batch. Sets *names even when it fails. ERR_INVALID_JSON,
 * ERR_INVALID_FIELD (no list), ERR_TOO_MANY_ITEMS (all fill *message); ERR_NO_MEMORY. The thread
 * that parses a batch frees it. */
MUST_USE enum error batch_parse(struct slice body, enum batch_kind kind, struct batch **out,
                                enum name_casing *names, char message[MESSAGE_BYTES]);
void batch_free(struct batch *batch);
size_t batch_count(const struct batch *batch);
/* The casing of the names that were read so far: of the list and of the items. */
enum name_casing batch_names(const struct batch *batch);

/* Read one item, in any order. After ERR_INVALID_FIELD, the failure of the item is already recorded
 * in the batch. ERR_NO_MEMORY is not recorded. */
MUST_USE enum error batch_instance(struct batch *batch, size_t index, struct instance **out);
MUST_USE enum error batch_key(struct batch *batch, size_t index, struct instance_key *out);
/* The instance of an item, a temporary one, if it is valid, and was created when the batch was
 * parsed, as most are; else NULL. The caller notes the names. */
struct instance *batch_created_instance(const struct batch *batch, size_t index);
/* The key of an item, borrowed, if it is valid and was packed when the batch was parsed, as most
 * are. NULL: batch_key reads it. */
const struct instance_key *batch_packed_key(const struct batch *batch, size_t index);
/* The items up to `index` count as read: their casing is that of messages from now on. The calls
 * that read an item, and batch_fail, do this by themselves. */
void batch_note_names(struct batch *batch, size_t index);
/* Fills *record with that key and what a peer adds, all borrowed; `peer` stays. False: there is no
 * such key, or the stamp is not valid. batch_stamp and batch_key read them. */
bool batch_packed_record(const struct batch *batch, size_t index, struct wire_record *record);
/* The client revision of a key; 0: none. */
MUST_USE enum error batch_client_revision(struct batch *batch, size_t index, uint64_t *out);
/* Reads what a peer adds to an item: stamp, age, deletion; and the client revision. Members that
 * are absent, as in an item of a client, are 0. */
MUST_USE enum error batch_stamp(struct batch *batch, size_t index, struct wire_record *record);
/* Records that the engine rejected an item. ERR_NO_MEMORY: not recorded. */
MUST_USE enum error batch_fail(struct batch *batch, size_t index, enum error error,
                               const struct instance_key *key);
/* The same with the field that is the cause, and what is wrong with it. */
MUST_USE enum error batch_fail_field(struct batch *batch, size_t index, enum error error,
                                     const struct field_problem *problem);
/* Records ERR_STALE_REVISION of an item: its client revision is not above `stored`. ERR_NO_MEMORY:
 * not recorded. */
MUST_USE enum error batch_fail_stale(struct batch *batch, size_t index, uint64_t given,
                                     uint64_t stored);

/* The error of the first failed item; ERR_NONE if none failed. */
enum error batch_outcome(const struct batch *batch);
/* The failed items, in the order in which they failed. */
struct batch_failure {
    size_t index; /* of the item */
    enum error error;
    const char *message; /* names item, field and value; borrowed */
};
size_t batch_failure_count(const struct batch *batch);
struct batch_failure batch_failure(const struct batch *batch, size_t number);
/* The response if no item failed, a constant; empty otherwise. */
struct slice batch_success(const struct batch *batch, enum dialect dialect);
/* Writes the response, with the failed items. If bytes_max is not 0, failed items that do not fit
 * in it are omitted. */
void batch_write_response(const struct batch *batch, enum dialect dialect, size_t bytes_max,
                          struct text *out);

/* --- discovery -------------------------------------------------------------------------------- */

enum lookup_strategy {
    LOOKUP_RANDOM,
    LOOKUP_ROUND_ROBIN,
    LOOKUP_WEIGHTED,
    LOOKUP_CONSISTENT_HASH,
    LOOKUP_STRATEGIES,
};

/* How one instance of a service is chosen. */
struct lookup_choice {
    enum lookup_strategy strategy;
    struct slice hash_key; /* of LOOKUP_CONSISTENT_HASH: not empty */
};

struct discovery_config {
    struct slice service_id; /* as sent */
    unsigned statuses;       /* a set (instance_filter.h); 0: not given */
};

struct discovery_request;

/* Parses {"discovery_config":{..}} or {"discovery_configs":[..]}, and an optional choice. Sets
 * *names even when it fails. ERR_INVALID_JSON, ERR_INVALID_FIELD, ERR_TOO_MANY_ITEMS (all fill
 * *message); ERR_NO_MEMORY. */
MUST_USE enum error discovery_request_parse(struct slice body, struct discovery_request **out,
                                            enum name_casing *names, char message[MESSAGE_BYTES]);
void discovery_request_free(struct discovery_request *request);
bool discovery_request_is_list(const struct discovery_request *request);
size_t discovery_request_count(const struct discovery_request *request);
struct discovery_config discovery_request_config(const struct discovery_request *request,
                                                 size_t index);
struct lookup_choice discovery_request_choice(const struct discovery_request *request);
/* Reads the statuses of instances that are asked for; empty: *statuses stays. Else
 * ERR_INVALID_FIELD. */
MUST_USE enum error discovery_statuses(struct slice words, unsigned *statuses,
                                       char message[MESSAGE_BYTES]);
/* Reads the name of a strategy; empty: random. ERR_INVALID_FIELD: it is unknown, or needs a hash
 * key, which is empty. The choice borrows the key. */
MUST_USE enum error discovery_choice(struct slice strategy, struct slice hash_key,
                                     struct lookup_choice *out, char message[MESSAGE_BYTES]);
/* The name of a strategy on the wire. */
const char *discovery_strategy_name(enum lookup_strategy strategy);

/* --- writing ---------------------------------------------------------------------------------- */

/* Writes "response_status":{..}. `message` NULL: the message of the error. `partial`: some items of
 * a batch failed. */
void codec_write_status(struct json_writer *w, enum dialect dialect, enum error error,
                        const char *message, bool partial);
/* Writes a whole response that has only a status. */
void codec_write_error(struct text *out, enum dialect dialect, enum error error,
                       const char *message);
void codec_write_instance(struct json_writer *w, enum dialect dialect,
                          const struct instance *instance);
/* Writes the member `weight`, unless it is the default. */
void codec_write_weight(struct json_writer *w, const struct instance *instance);
/* Writes the members into an object that is already open. `raw_status`: a status that is not known
 * is written as registered, not as "unknown". */
void codec_write_instance_members(struct json_writer *w, enum dialect dialect,
                                  const struct instance *instance, bool raw_status);
/* Writes a Service. `instances` NULL: only the id (and the nulls of the Java API). */
void codec_write_service(struct json_writer *w, enum dialect dialect, struct slice service_id,
                         struct instance *const *instances, size_t count);
/* Writes "near":{..}, if it is given. */
void codec_write_near(struct json_writer *w, const struct near_counts *near);
/* Write a Service in parts, with codec_write_instance for each instance between them. */
void codec_begin_service(struct json_writer *w, enum dialect dialect, struct slice service_id,
                         const struct near_counts *near);
void codec_end_service(struct json_writer *w, enum dialect dialect);
enum change_type { CHANGE_NEW, CHANGE_CHANGE, CHANGE_DELETE, CHANGE_RELOAD };
void codec_write_change(struct json_writer *w, enum dialect dialect,
                        const struct instance *instance, enum change_type type, uint64_t wall_ms);

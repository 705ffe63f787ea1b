/* SPDX-License-Identifier: Apache-2.0
 *
 * instance - one running copy of a service: its fields, its identity, and what is valid.
 *
 * An instance is immutable and counted by reference: it is made once from a checked spec, packed
 * into one allocation, and shared by the store, the change log and whoever builds an answer, in any
 * thread. A change is a new instance.
 *
 * Identity is (region, zone, service, group, instance). It is kept in canonical form: the service
 * id in lower case (ASCII letters), and no group where the group is missing, empty or "default". An
 * optional text that is empty counts as absent, and so does a url that says what ip and port say.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum {
    ID_BYTES_MAX = 255,
    IP_BYTES_MAX = 255,
    LONG_TEXT_BYTES_MAX = 1024,
    STATUS_BYTES_MAX = 32,
    METADATA_ENTRIES_MAX = 64,
    METADATA_BYTES_MAX = 8 * 1024,
    PORT_MAX = 65535,
    PROBLEM_BYTES = 256,
};

/* The text fields. Those of the key come first, in the order of identity. */
enum instance_field {
    FIELD_REGION,
    FIELD_ZONE,
    FIELD_SERVICE,
    FIELD_GROUP,
    FIELD_INSTANCE,
    KEY_FIELDS,
    FIELD_IP = KEY_FIELDS,
    FIELD_URL,
    FIELD_STATUS,
    FIELD_MACHINE_NAME,
    FIELD_PROTOCOL,
    FIELD_HEALTH_CHECK_URL,
    TEXT_FIELDS,
};

struct field_info {
    const char *name;  /* in snake_case, as on the wire */
    const char *camel; /* the same in camelCase */
    bool required;
    uint16_t bytes_max;
};

const struct field_info *instance_field_info(enum instance_field field);

/* STATUS_OTHER is text that we do not know: kept, and shown as "unknown" to all but Java clients.
 */
enum instance_status {
    STATUS_UP,
    STATUS_STARTING,
    STATUS_DOWN,
    STATUS_UNHEALTHY,
    STATUS_UNKNOWN,
    STATUS_OTHER,
};

struct metadata_entry {
    struct slice name;
    struct slice value;
};

/* What an instance is made from. All slices are borrowed; zero means absent. */
struct instance_spec {
    struct slice text[TEXT_FIELDS];
    int64_t port;
    const struct metadata_entry *metadata;
    size_t metadata_count;
};

/* Which field a spec fails by, and how: "must be 0 to 65535, is 70000". */
struct field_problem {
    const char *field; /* snake_case; lives for ever */
    char problem[PROBLEM_BYTES];
};

struct instance;

/* Checks the spec and makes an instance with one reference, the caller's.
 * ERR_INVALID_FIELD (with *problem filled) or ERR_NO_MEMORY. */
MUST_USE enum error instance_create(const struct instance_spec *spec, struct instance **out,
                                    struct field_problem *problem);
struct instance *instance_ref(struct instance *instance); /* returns it */
void instance_unref(struct instance *instance);           /* takes NULL */

/* An instance that is nothing but a key, by its packed bytes; for where only identity counts. NULL:
 * out of memory. */
struct instance *instance_of_key(struct slice packed_key);

struct slice instance_text(const struct instance *instance, enum instance_field field);
uint16_t instance_port(const struct instance *instance);
enum instance_status instance_status(const struct instance *instance);
/* The word for a status; STATUS_OTHER gives "unknown". */
struct slice instance_status_word(enum instance_status status);
size_t instance_metadata_count(const struct instance *instance);
/* Walks the metadata: start with *cursor = 0. False at the end. */
bool instance_next_metadata(const struct instance *instance, size_t *cursor,
                            struct metadata_entry *entry);
/* The url as answered: the one given, or http://ip:port. */
void instance_append_url(const struct instance *instance, struct text *out);
size_t instance_size(const struct instance *instance); /* of its memory, in bytes */
/* Same identity and same content: registering it again is but a renewal. */
bool instance_equal(const struct instance *a, const struct instance *b);

/* --- keys ------------------------------------------------------------------------------------- */

/* A key, canonical and packed: two keys are the same when their packed bytes are. */
struct instance_key {
    uint16_t end[KEY_FIELDS]; /* where each part ends in bytes */
    char bytes[KEY_FIELDS * ID_BYTES_MAX];
};

/* Checks the five parts and packs them. ERR_INVALID_FIELD. */
MUST_USE enum error instance_key_make(const struct slice parts[KEY_FIELDS],
                                      struct instance_key *out, struct field_problem *problem);
struct slice instance_key_part(const struct instance_key *key, enum instance_field part);
/* The packed bytes, borrowed from the key or the instance: for hashing and comparing. */
struct slice instance_key_packed(const struct instance_key *key);
struct slice instance_packed_key(const struct instance *instance);

/* The canonical form of a service id in `out`. ERR_INVALID_FIELD, with `problem` as for a field. */
MUST_USE enum error service_id_canonical(struct slice id, char out[ID_BYTES_MAX], size_t *out_size,
                                         struct field_problem *problem);

/* SPDX-License-Identifier: Apache-2.0
 *
 * instance - one registered endpoint of a service: its fields, its key, and the validation of both.
 *
 * An instance is immutable and reference-counted. instance_create makes it from a validated spec,
 * in one allocation; the store, the change log and threads that build responses share it. A change
 * creates a new instance. Instances of a batch are temporary: they are in memory of the batch, and
 * the store copies those that it keeps.
 *
 * The key is (region, zone, service, group, instance), stored in canonical form: the service id in
 * lower case (ASCII letters), and no group if the group is missing, empty or "default". An empty
 * optional text counts as absent. A url that equals the one derived from ip and port is not stored.
 *
 * The common texts of an instance are its protocol and its metadata: instances of a service often
 * have the same ones. instance_share makes an instance that refers to those of another one.
 *
 * The client revision (`revision` on the wire) is optional: the client's own number of this change,
 * which grows with each of its changes. It distinguishes a late request from a new one
 * (record_order.h). It is not the revision of a node's change log. It takes 8 bytes, an absent one
 * none.
 *
 * The weight says how much traffic an instance gets in relation to the others of its service. It
 * takes 2 bytes if it is not the default.
 *
 * Thread-safe: any thread may read, reference and release a shared instance. Sizes are in bytes.
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
    WEIGHT_DEFAULT = 100,
    WEIGHT_MAX = 1000,
    PROBLEM_BYTES = 256,
};

#define CLIENT_REVISION_MAX ((uint64_t)INT64_MAX)

/* The text fields. The fields of the key come first, in the order of the key. */
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
    const char *camel; /* in camelCase */
    uint8_t name_size;
    uint8_t camel_size;
    bool required;
    uint16_t bytes_max; /* of the value */
};

const struct field_info *instance_field_info(enum instance_field field);

/* STATUS_OTHER is any other text: it is stored, and written as "unknown" except to Java clients. */
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

/* The fields of an instance to create. All slices are borrowed; zero means absent. */
struct instance_spec {
    struct slice text[TEXT_FIELDS];
    int64_t port;
    int64_t weight; /* read if has_weight; otherwise the weight is WEIGHT_DEFAULT */
    bool has_weight;
    const struct metadata_entry *metadata;
    size_t metadata_count;
    uint64_t client_revision; /* 0: none */
    bool is_plain; /* all texts are known to be plain (text_scan.h): only their sizes are checked */
};

/* The field of a spec that is invalid, and why: "must be 0 to 65535, is 70000". */
struct field_problem {
    const char *field; /* in snake_case; a constant */
    char problem[PROBLEM_BYTES];
};

struct instance;

/* Validates the spec and creates an instance with one reference, which the caller owns.
 * ERR_INVALID_FIELD (fills *problem), ERR_NO_MEMORY. */
MUST_USE enum error instance_create(const struct instance_spec *spec, struct instance **out,
                                    struct field_problem *problem);
/* Creates a temporary instance in `size` bytes at `memory`, which is aligned like a pointer. It has
 * no references and is never released; instance_keep copies it. Its memory must outlive its use.
 * NULL: the spec is not valid, or needs more bytes. */
struct instance *instance_create_in(const struct instance_spec *spec, void *memory, size_t size);
struct instance *instance_ref(struct instance *instance); /* returns its argument */
void instance_unref(struct instance *instance);           /* accepts NULL */

/* Creates an instance that has only a key and a client revision (0: none), from the packed bytes of
 * the key, for uses that need no more. NULL: out of memory. */
struct instance *instance_of_key(struct slice packed_key, uint64_t client_revision);
/* A copy with this client revision, which is not 0. NULL: out of memory. */
struct instance *instance_with_client_revision(const struct instance *instance,
                                               uint64_t client_revision);

/* A reference to the instance, or to a copy if it is temporary. NULL: out of memory for a copy. */
struct instance *instance_keep(struct instance *instance);

struct slice instance_text(const struct instance *instance, enum instance_field field);
uint16_t instance_port(const struct instance *instance);
uint32_t instance_weight(const struct instance *instance);
enum instance_status instance_status(const struct instance *instance);
/* The status on the wire; "unknown" for STATUS_OTHER. */
struct slice instance_status_name(enum instance_status status);
size_t instance_metadata_count(const struct instance *instance);
/* Iterates over the metadata, sorted by name. Start with *cursor = 0. False at the end. */
bool instance_next_metadata(const struct instance *instance, size_t *cursor,
                            struct metadata_entry *entry);
/* Appends the url of the instance: the registered one, or http://ip:port. */
void instance_append_url(const struct instance *instance, struct text *out);
uint64_t instance_client_revision(const struct instance *instance); /* 0: none */
/* Bytes of memory of an instance with this content that shares nothing. */
size_t instance_size(const struct instance *instance);
/* Bytes of memory that a reference keeps, those of the instance that holds the common texts
 * included. */
size_t instance_kept_size(const struct instance *instance);
/* Whether key, content and client revision are the same; registering an equal instance is a
 * renewal. */
bool instance_equal(const struct instance *a, const struct instance *b);

/* The common texts, packed. Borrowed. */
struct slice instance_common_texts(const struct instance *instance);
/* The common texts are held by another instance. */
bool instance_is_sharing(const struct instance *instance);
/* A copy of an instance that refers to the common texts of `holder`. Both have the same texts and
 * hold them. The copy has a reference to the holder. NULL: out of memory. */
struct instance *instance_share(const struct instance *instance, struct instance *holder);

/* --- keys ------------------------------------------------------------------------------------- */

/* A canonical key, packed: two keys are equal when their packed bytes are. */
struct instance_key {
    uint16_t end[KEY_FIELDS]; /* offset in `bytes` at which each part ends */
    char bytes[KEY_FIELDS * ID_BYTES_MAX];
};

/* Validates the five parts and packs them. ERR_INVALID_FIELD (fills *problem). */
MUST_USE enum error instance_key_make(const struct slice parts[KEY_FIELDS],
                                      struct instance_key *out, struct field_problem *problem);
/* The same for parts that are known to be plain (text_scan.h). */
MUST_USE enum error instance_key_make_plain(const struct slice parts[KEY_FIELDS],
                                            struct instance_key *out,
                                            struct field_problem *problem);
/* Reads packed bytes from outside, as from a file. ERR_INVALID_FIELD. */
MUST_USE enum error instance_key_unpack(struct slice packed, struct instance_key *out);
static inline struct slice instance_key_part(const struct instance_key *key,
                                             enum instance_field part)
{
    size_t start = part == 0 ? 0 : key->end[part - 1];
    return (struct slice){key->bytes + start, key->end[part] - start};
}
/* The packed bytes, for hashing and comparing; borrowed from the key or the instance. */
static inline struct slice instance_key_packed(const struct instance_key *key)
{
    return (struct slice){(const char *)key->end, sizeof(key->end) + key->end[KEY_FIELDS - 1]};
}
struct slice instance_packed_key(const struct instance *instance);

/* Writes the canonical form of a service id to `out`. ERR_INVALID_FIELD (fills *problem). */
MUST_USE enum error service_id_canonical(struct slice id, char out[ID_BYTES_MAX], size_t *out_size,
                                         struct field_problem *problem);

/* SPDX-License-Identifier: Apache-2.0
 *
 * config - every setting of a node, in one table.
 *
 * A `struct config` holds the values, and of each where it came from. The table holds what is known
 * of a setting: key, type, default, what is allowed, whether it can change without a restart, and a
 * sentence for people. Checks, messages, the status API and `artemis config reference` all read
 * that table, so a setting is added in two places: its field below and its row in config_table.c.
 *
 *     config_init(&config, "host-17", 8);
 *     code = config_set_text(&config, "lease.ttl_secs", "60", "--set", &problem);   (and so on)
 *     code = config_validate(&config, &problem);
 *     config_free(&config);
 *
 * Pure: no file, no environment, no clock; `artemis/settings` brings the values. Whoever gives a
 * value also names its source ("FILE:LINE", "environment ARTEMIS_LEASE_TTL_SECS", "--set"); the
 * message of a refusal begins with it, and what it proposes is spelled as that source spells it.
 * A refused value leaves the config as it was.
 *
 * A config owns its peers, nothing else; it may be moved by assignment, and one copy is freed. One
 * thread fills it; then it is read-only and any thread may read.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis-core/config/toml.h"
#include "artemis-core/json/json_writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum {
    CONFIG_SETTINGS = 32,    /* rows of the table */
    CONFIG_TEXT_BYTES = 256, /* of a text, its end included */
    CONFIG_LIST_MAX = 64,
    CONFIG_SOURCE_BYTES = 192,
    CONFIG_PROBLEM_BYTES = 768,
    CONFIG_VARIABLE_BYTES = 64, /* of the name of a variable of the environment */
};

struct config_list {
    size_t count;
    char **items; /* owned by the config, one block; NULL when count is 0 */
};

/* What a setting means is said in its row of the table. */
struct config {
    struct {
        char node_id[CONFIG_TEXT_BYTES];
        char listen_addr[CONFIG_TEXT_BYTES];
        char region[CONFIG_TEXT_BYTES];
        char zone[CONFIG_TEXT_BYTES];
        uint32_t threads;
        uint64_t max_body_bytes;
        uint32_t max_connections;
    } server;
    struct {
        bool enabled;
        char cluster_id[CONFIG_TEXT_BYTES];
        struct config_list
            peers; /* each HOST:PORT, or the same with http:// or https:// before it */
        char provider[32];
        uint32_t health_interval_secs;
        char advertise_addr[CONFIG_TEXT_BYTES]; /* "" until config_validate, if not set */
    } cluster;
    struct {
        bool enabled;
        uint32_t timeout_secs, batch_size, batch_interval_ms, max_retries, anti_entropy_secs;
        uint32_t tombstone_secs;
    } replication;
    struct {
        uint32_t ttl_secs, cleanup_interval_secs, guard_percent, guard_min_leases, guard_max_secs;
    } lease;
    struct {
        bool enabled;
        uint32_t expiry_secs;
    } cache;
    struct {
        bool enabled;
        uint32_t requests_per_second, burst_size;
    } ratelimit;
    struct {
        enum log_level level;
        enum log_format format;
    } log;
    char sources[CONFIG_SETTINGS][CONFIG_SOURCE_BYTES]; /* by row of the table: see config_source */
};

enum config_type {
    CONFIG_TEXT,   /* char[] */
    CONFIG_CHOICE, /* an enum, in the order of `choices` */
    CONFIG_BOOL,   /* bool */
    CONFIG_NUMBER, /* uint32_t */
    CONFIG_SIZE,   /* uint64_t bytes; read from an integer, or a text like "4 MiB" */
    CONFIG_LIST,   /* struct config_list */
};

/* What a text, or an item of a list, must look like. */
enum config_form { CONFIG_FORM_NAME, CONFIG_FORM_WORD, CONFIG_FORM_ADDRESS, CONFIG_FORM_PEER };

struct config_setting {
    const char *key; /* "lease.ttl_secs" */
    size_t offset;   /* of the field in struct config */
    enum config_type type;
    enum config_form form;      /* of a TEXT or LIST */
    const char *default_value;  /* the default as text; NULL when it is worked out */
    const char *default_note;   /* for people, where `fallback` says too little: "host name" */
    uint64_t min, max;          /* of a NUMBER or SIZE; the port of an ADDRESS */
    const char *const *choices; /* of a CHOICE or a WORD; NULL-terminated */
    bool reloadable;            /* can change without a restart */
    bool secret;                /* shown as *** */
    const char *description;    /* what it does */
};

extern const struct config_setting config_settings[CONFIG_SETTINGS];

struct config_problem {
    char text[CONFIG_PROBLEM_BYTES]; /* "SOURCE: KEY: must be ..., is ..." */
};

/* What the sources of environment and command line are called, or begin with. */
#define CONFIG_SOURCE_ENVIRONMENT "environment "
#define CONFIG_SOURCE_SET         "--set"

/* Fills in the defaults. Those of node_id and threads come from the host: a name that cannot be a
 * node id becomes "localhost", and the cores are brought into the range of server.threads. */
void config_init(struct config *config, const char *host_name, uint32_t cores);
void config_free(struct config *config);

/* Sets one setting from a typed value. ERR_INVALID_FIELD, with `problem` filled, when the key is
 * unknown, the type wrong or the value not allowed; ERR_NO_MEMORY. */
MUST_USE enum error config_set(struct config *config, const char *key,
                               const struct toml_value *value, const char *source,
                               struct config_problem *problem);

/* The same from the text of an environment variable or of --set: a text as it stands, without
 * quotes; a list as a TOML array, or as values with commas between. */
MUST_USE enum error config_set_text(struct config *config, const char *key, const char *text,
                                    const char *source, struct config_problem *problem);

/* To be called when all is set: works out the defaults that depend on other settings, then checks
 * what concerns more than one. Fails as config_set does. */
MUST_USE enum error config_validate(struct config *config, struct config_problem *problem);

/* How the environment spells a key: ARTEMIS_LEASE_TTL_SECS. */
void config_variable(const char *key, char out[CONFIG_VARIABLE_BYTES]);
/* The key that was probably meant by one that is unknown, or NULL. */
const char *config_nearest(const char *key);
/* NULL when there is no such setting. */
const struct config_setting *config_find(const char *key);
/* Whether some setting's key begins with `section` and a dot. */
bool config_has_section(struct slice section);

/* "default", or what config_set was told. */
const char *config_source(const struct config *config, const struct config_setting *setting);
/* The value, lent by the config: TEXT, CHOICE as TOML text; NUMBER, SIZE as integer. Not masked. */
struct toml_value config_get(const struct config *config, const struct config_setting *setting);
bool config_same(const struct config *a, const struct config *b,
                 const struct config_setting *setting);

/* Append for people, masked where secret: the value as config_set_text would read it, or as JSON.
 */
void config_write_text(struct text *out, const struct config *config,
                       const struct config_setting *setting);
void config_write_json(struct json_writer *out, const struct config *config,
                       const struct config_setting *setting);
/* Append for people: what is allowed ("1 to 256"), and the name of a type ("whole number"). */
void config_write_allowed(struct text *out, const struct config_setting *setting);
const char *config_type_name(enum config_type type);

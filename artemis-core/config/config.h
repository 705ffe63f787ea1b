/* SPDX-License-Identifier: Apache-2.0
 *
 * config - the settings of a node: values, defaults, validation.
 *
 * A `struct config` holds the value and the source of each setting. The table `config_settings`
 * describes each setting: key, type, default, allowed values, description. Validation, messages,
 * the status API and `artemis config reference` use that table. To add a setting, add its field
 * below and its row in config_table.c.
 *
 *     config_init(&config, "host-17", 8);
 *     error = config_set_text(&config, "lease.ttl_secs", "60", "--set", &problem);
 *     error = config_validate(&config, &problem);
 *     config_free(&config);
 *
 * Pure: reads no file, environment or clock; `artemis/settings` does. The caller passes the source
 * of each value ("FILE:LINE", "environment ARTEMIS_LEASE_TTL_SECS", "--set"). An error message
 * begins with the source, and writes the corrected setting in the syntax of that source. An invalid
 * value leaves the config unchanged.
 *
 * Ownership: a config owns its list of peers and its tokens, and nothing else. It may be moved by
 * assignment; then only one copy is freed. One thread fills it; afterwards any thread may read it.
 */
#pragma once

#include "artemis-core/auth/token.h"
#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis-core/config/toml.h"
#include "artemis-core/json/json_writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

enum {
    CONFIG_SETTINGS_MAX = 96,
    CONFIG_TEXT_BYTES = 256, /* with the terminating zero */
    CONFIG_LIST_MAX = 64,
    CONFIG_DNS_NAMES_MAX = 8,
    CONFIG_SOURCE_BYTES = 192,
    CONFIG_PROBLEM_BYTES = 768,
    CONFIG_VARIABLE_BYTES = 64, /* name of an environment variable */
};

struct config_list {
    size_t count;
    char **items; /* one allocation, owned by the config; NULL when count is 0 */
};

/* One [[auth.tokens]] of a file. The descriptions of its fields are in config_token_settings. */
struct config_token {
    char name[CONFIG_TEXT_BYTES];
    unsigned role; /* see config_token_role */
    char sha256[CONFIG_TEXT_BYTES];
    struct config_list services;
    char expires[CONFIG_TEXT_BYTES]; /* "": never */
    uint32_t max_services;           /* 0: no limit */
    char source[CONFIG_SOURCE_BYTES];
    uint32_t index; /* in its file */
    unsigned given; /* bit set of the fields that are set */
};

struct config_tokens {
    size_t count;
    struct config_token *items; /* owned by the config */
};

/* The values. The descriptions are in the table. */
struct config {
    struct {
        char node_id[CONFIG_TEXT_BYTES];
        char listen_addr[CONFIG_TEXT_BYTES];
        char tls_listen_addr[CONFIG_TEXT_BYTES]; /* "": no TLS for clients */
        bool allow_insecure;
        char region[CONFIG_TEXT_BYTES];
        char zone[CONFIG_TEXT_BYTES];
        uint32_t threads;
        uint64_t max_body_bytes;
        uint32_t max_connections, max_connections_per_address; /* of the latter, 0: a share */
        enum casing default_casing; /* of a response to a request with NAMES_NEUTRAL */
    } server;
    struct {
        bool enabled;
        char cluster_id[CONFIG_TEXT_BYTES];
        struct config_list peers;    /* HOST:PORT, http://HOST:PORT or https://HOST:PORT */
        struct config_list provider; /* empty before config_validate: static */
        uint32_t health_interval_secs, bootstrap_grace_secs, max_clock_skew_secs;
        uint32_t expected_nodes;                /* 0: not set */
        char advertise_addr[CONFIG_TEXT_BYTES]; /* default: see config_advertise */
        char listen_addr[CONFIG_TEXT_BYTES];    /* "": peers use the listeners of the clients */
        struct {
            char cert[CONFIG_TEXT_BYTES], key[CONFIG_TEXT_BYTES], ca[CONFIG_TEXT_BYTES];
            char member_name[CONFIG_TEXT_BYTES]; /* "": none */
        } tls;                                   /* "": peers use plain HTTP */
        struct config_list seeds;                /* as peers */
        struct {
            struct config_list names;   /* HOST:PORT, or _SERVICE._PROTOCOL.DOMAIN */
            struct config_list servers; /* ADDRESS:PORT; empty: those of the system */
            uint32_t min_interval_secs, max_interval_secs;
        } dns;
        struct {
            char service[CONFIG_TEXT_BYTES];     /* NAME, or NAMESPACE/NAME; "": not set */
            char peer_port[CONFIG_TEXT_BYTES];   /* a name or a number; "": the only one */
            char api_server[CONFIG_TEXT_BYTES];  /* http[s]://HOST:PORT; "": of the environment */
            char account_dir[CONFIG_TEXT_BYTES]; /* with token, ca.crt, namespace; "": none */
            uint32_t lease_secs;
        } kubernetes;
        struct {
            uint32_t batch_ms; /* 0: the default */
            bool gzip;
        } remote; /* peers of other regions */
        struct {
            struct config_list endpoints; /* as peers */
            char prefix[CONFIG_TEXT_BYTES];
            char credentials_file[CONFIG_TEXT_BYTES], token_file[CONFIG_TEXT_BYTES]; /* "": none */
            char ca[CONFIG_TEXT_BYTES], cert[CONFIG_TEXT_BYTES], key[CONFIG_TEXT_BYTES];
            uint32_t ttl_secs;
        } etcd;
        struct {
            char address[CONFIG_TEXT_BYTES]; /* as one of peers */
            char service[CONFIG_TEXT_BYTES];
            char token[CONFIG_TEXT_BYTES], token_file[CONFIG_TEXT_BYTES]; /* "": none */
            char ca[CONFIG_TEXT_BYTES], cert[CONFIG_TEXT_BYTES], key[CONFIG_TEXT_BYTES];
            uint32_t ttl_secs;
        } consul;
        char token[CONFIG_TEXT_BYTES]; /* "": none is sent */
        char token_file[CONFIG_TEXT_BYTES];
    } cluster;
    struct {
        char cert[CONFIG_TEXT_BYTES], key[CONFIG_TEXT_BYTES], client_ca[CONFIG_TEXT_BYTES];
        bool require_client_cert;
        enum tls_version min_version;
        uint32_t max_handshakes_per_address; /* 0: no limit */
    } tls;
    struct {
        bool enabled;
        uint32_t timeout_secs, batch_size, batch_interval_ms, max_retries, anti_entropy_secs;
        uint32_t tombstone_secs;
    } replication;
    struct {
        struct config_tokens tokens;
    } auth;
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
        uint32_t client_requests_per_second; /* 0: no limit */
        uint32_t client_burst_size;
        uint32_t client_events_per_second; /* 0: no limit */
    } ratelimit;
    struct {
        uint32_t max_instances_per_service; /* 0: no limit */
    } registry;
    struct {
        char data_dir[CONFIG_TEXT_BYTES]; /* "": nothing is stored */
        uint32_t commit_interval_ms;
    } storage;
    struct {
        uint64_t max_file_bytes;
        uint32_t max_files;
    } audit;
    struct {
        char socket[CONFIG_TEXT_BYTES]; /* "": there is none */
    } admin;
    struct {
        enum log_level level;
        enum log_format format;
    } log;
    char sources[CONFIG_SETTINGS_MAX][CONFIG_SOURCE_BYTES]; /* see config_source */
};

enum config_type {
    CONFIG_TEXT,   /* char[] */
    CONFIG_CHOICE, /* an enum in the order of `choices` */
    CONFIG_BOOL,   /* bool */
    CONFIG_NUMBER, /* uint32_t */
    CONFIG_SIZE,   /* uint64_t, in bytes; given as an integer or a text like "4 MiB" */
    CONFIG_LIST,   /* struct config_list */
};

/* The syntax of a text, or of the items of a list. */
enum config_form {
    CONFIG_FORM_NAME,
    CONFIG_FORM_WORD,
    CONFIG_FORM_ADDRESS,
    CONFIG_FORM_OPTIONAL_ADDRESS,
    CONFIG_FORM_PEER,
    CONFIG_FORM_PATH,
    CONFIG_FORM_SOCKET,  /* the path of a UNIX socket */
    CONFIG_FORM_SECRET,  /* of a token, or nothing */
    CONFIG_FORM_SHA256,  /* hexadecimal */
    CONFIG_FORM_EXPIRY,  /* see token_expiry_read */
    CONFIG_FORM_PATTERN, /* see token_pattern_matches */
    CONFIG_FORM_TOKEN_NAME,
    CONFIG_FORM_DNS_NAME,           /* HOST:PORT, or _SERVICE._PROTOCOL.DOMAIN */
    CONFIG_FORM_DOMAIN,             /* a host name, or nothing */
    CONFIG_FORM_LABEL,              /* of a host name */
    CONFIG_FORM_DNS_SERVER,         /* a numeric address and a port */
    CONFIG_FORM_OPTIONAL_URL,       /* http://HOST:PORT or https://HOST:PORT, or nothing */
    CONFIG_FORM_KUBERNETES_SERVICE, /* NAME or NAMESPACE/NAME, or nothing */
    CONFIG_FORM_KUBERNETES_PORT,    /* the name of a port or a number, or nothing */
};

struct config_setting {
    const char *key; /* "lease.ttl_secs" */
    size_t offset;   /* of the field in struct config */
    enum config_type type;
    enum config_form form;      /* of a TEXT or LIST */
    const char *default_value;  /* as text; NULL if it is computed */
    const char *default_note;   /* shown instead of the value: "host name"; or NULL */
    uint64_t min, max;          /* of a NUMBER or SIZE; of the port of an address */
    const char *const *choices; /* of a CHOICE or a WORD; NULL-terminated */
    bool secret;                /* shown as *** */
    bool reloadable;            /* takes effect without a restart */
    const char *description;    /* one or two sentences */
};

extern const struct config_setting config_settings[]; /* config_setting_count rows */
extern const size_t config_setting_count;
/* The fields of [[auth.tokens]]; `offset` is in struct config_token. */
extern const struct config_setting config_token_settings[];
extern const size_t config_token_setting_count;
enum { CONFIG_TOKENS_MAX = 1024 };

struct config_problem {
    char text[CONFIG_PROBLEM_BYTES]; /* "SOURCE: KEY: must be ..., is ..." */
};

/* Whether cluster.provider has that name. */
bool config_has_provider(const struct config *config, const char *name);
/* Whether requests need a token (auth.tokens). */
bool config_requires_token(const struct config *config);
enum auth_role config_token_role(const struct config_token *token);
uint64_t config_token_expires_ms(const struct config_token *token); /* wall clock; 0: never */

/* The prefix of sources in the environment, and the source of --set. */
#define CONFIG_SOURCE_ENVIRONMENT "environment "
#define CONFIG_SOURCE_SET         "--set"

/* Sets the defaults. server.node_id is the host name, or "localhost" if that is not a valid id.
 * server.threads is the number of cores, within its range. */
void config_init(struct config *config, const char *host_name, uint32_t cores);
void config_free(struct config *config);

/* Sets one setting from a typed value. ERR_INVALID_FIELD: unknown key, wrong type, or a value that
 * is not allowed. ERR_NO_MEMORY. Both fill *problem. */
MUST_USE enum error config_set(struct config *config, const char *key,
                               const struct toml_value *value, const char *source,
                               struct config_problem *problem);

/* As config_set, from the text of an environment variable or of --set. A text is taken without
 * quotes. A list is a TOML array, or values separated by commas. */
MUST_USE enum error config_set_text(struct config *config, const char *key, const char *text,
                                    const char *source, struct config_problem *problem);

/* Call it when all settings are set. Computes the defaults that depend on other settings, then
 * checks the rules that concern more than one setting. Fails like config_set. */
MUST_USE enum error config_validate(struct config *config, struct config_problem *problem);

/* The rule of config_validate about the batches of a cluster: a renewal must reach a peer long
 * before the lease ends there, also if the one before it was lost. A reload checks it again,
 * because lease.ttl_secs is reloadable and the intervals are not. Fails like config_set. */
MUST_USE enum error config_batches_check(const struct config *config,
                                         struct config_problem *problem);

/* The sockets on which a node can listen. */
enum config_listener {
    CONFIG_LISTENER_PLAIN, /* server.listen_addr: clients */
    CONFIG_LISTENER_TLS,   /* server.tls_listen_addr: clients */
    CONFIG_LISTENER_PEER,  /* cluster.listen_addr: peers */
    CONFIG_LISTENERS,
};
/* The setting of a listener, and its address; "": the node does not listen there. */
const char *config_listener_key(enum config_listener listener);
const char *config_listener_address(const struct config *config, enum config_listener listener);
/* Whether the listener speaks TLS. */
bool config_listener_has_tls(const struct config *config, enum config_listener listener);
/* Whether peers can call the node there: at cluster.listen_addr, or without it everywhere. */
bool config_listener_serves_peers(const struct config *config, enum config_listener listener);
/* Whether a listener is not open to everyone: it does not listen, or on the loopback interface
 * only, or it requires a token or a client certificate. The latter is not enough where a node of a
 * cluster serves peers, except at cluster.listen_addr, where it must be that of a member.
 * config_validate refuses other listeners unless server.allow_insecure is set. */
bool config_listener_is_protected(const struct config *config, enum config_listener listener);

/* The properties of the host from which the advertised address is derived. Addresses are numeric,
 * IPv6 without brackets, and neither loopback nor link-local. Everything is borrowed. */
struct config_host {
    const char *name;
    const char *const *addresses;
    size_t address_count;
};

/* Derives cluster.advertise_addr, the address for clients, if it is not set and the server listens
 * on every interface (at server.tls_listen_addr if that is set): the only address of the host (IPv4
 * if it has both), or loopback if it has none. If there are several, a node of a cluster gets
 * ERR_INVALID_FIELD (fills *problem), and any other its host name. Call it after
 * config_validate. */
MUST_USE enum error config_advertise(struct config *config, const struct config_host *host,
                                     struct config_problem *problem);

/* Appends a line for each combination of settings that is valid but probably a mistake. */
void config_warn(const struct config *config, struct text *out);

/* Writes the environment variable of a key: ARTEMIS_LEASE_TTL_SECS. */
void config_variable(const char *key, char out[CONFIG_VARIABLE_BYTES]);
/* The key that an unknown one was probably meant to be, or NULL. */
const char *config_nearest(const char *key);
/* NULL: no such setting. */
const struct config_setting *config_find(const char *key);
/* The setting of an environment variable without ARTEMIS_: LEASE_TTL_SECS. NULL: none. */
const struct config_setting *config_find_variable(struct slice name);
/* Whether a key begins with `section` and a dot. */
bool config_has_section(struct slice section);

/* The source that was passed to config_set, or "default". */
const char *config_source(const struct config *config, const struct config_setting *setting);
/* The value, borrowed from the config. TEXT and CHOICE give a TOML text, NUMBER and SIZE an
 * integer. Secrets are not masked. */
struct toml_value config_get(const struct config *config, const struct config_setting *setting);
bool config_same(const struct config *a, const struct config *b,
                 const struct config_setting *setting);

/* Sets a setting to its value in another configuration, with the source. ERR_NO_MEMORY. */
MUST_USE enum error config_copy(struct config *to, const struct config *from,
                                const struct config_setting *setting);

/* Append the value, as text for config_set_text or as JSON. A secret that is set is appended as
 * ***. */
void config_write_text(struct text *out, const struct config *config,
                       const struct config_setting *setting);
void config_write_json(struct json_writer *out, const struct config *config,
                       const struct config_setting *setting);
/* Appends what a token is for, without its digest: "write, services shop-*, expires 2027-01-31". */
void config_write_token(struct text *out, const struct config_token *token);
/* Appends the allowed values: "1 to 256". */
void config_write_allowed(struct text *out, const struct config_setting *setting);
/* "whole number" */
const char *config_type_name(enum config_type type);

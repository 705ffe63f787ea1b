/* SPDX-License-Identifier: Apache-2.0
 *
 * artemis - the client library: registers instances, finds services, reports changes.
 *
 *     struct artemis_options options = {.servers = "http://10.0.0.7:8080,http://10.0.0.8:8080"};
 *     struct artemis_problem problem;
 *     struct artemis_client *client;
 *     if (artemis_open(&options, &client, &problem))
 *         exit_with(problem.text);
 *
 * A client has one thread. It sends heartbeats, keeps discovered services up to date over one
 * WebSocket, and uses the next server when one does not answer. Clients share no state.
 *
 * THREADS. Any thread may call any function; calls may overlap. Callbacks run in the client's
 * thread, one at a time, and never under a lock. They may call all functions except artemis_close.
 * A blocking call in a callback keeps the client running; callbacks that become due meanwhile
 * follow later. While a callback runs, the client sends no heartbeats: callbacks must be short.
 * After fork(2), the child must not use the clients of its parent.
 *
 * TIME. All durations are in milliseconds. A call that can block takes `timeout_ms`, from 0 (do not
 * wait) to ARTEMIS_TIMEOUT_MAX_MS, and returns within that time.
 *
 * ERRORS. A call that can fail returns an enum artemis_error. If it fails, it does not change its
 * out-arguments, and fills `problem`, its last argument, unless that is NULL. The library prints
 * nothing and keeps no error state.
 *
 * OWNERSHIP. Arguments are copied and need not outlive the call. Results are freed with the
 * function named in their description. They stay valid after artemis_close; only watches and
 * subscriptions end with their client.
 *
 * LIMITS. Servers are not trusted. A server that exceeds a limit counts as failed, and the next one
 * is used: a decoded HTTP response of max_response_mb with a header of 64 KB; a pushed message of
 * 4 MB; one instance of 256 KB of JSON. A client needs up to five times the size of the responses
 * that it decodes at the same time (at most eight). In each turn of its thread it reads 256 KB of
 * pushes for at most 20 ms, so heartbeats are sent however much a server pushes. While 10,000
 * callbacks are queued, it reads no pushes. A client has at most 100 topics of events, and 1,024
 * events that wait to be published.
 *
 * COMPATIBILITY. Structs end in `reserved`, which must be zero: initialize them with {0} or with
 * designators. Later versions may add fields and enum values.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ARTEMIS_API      __attribute__((visibility("default")))
#define ARTEMIS_MUST_USE __attribute__((warn_unused_result))
#else
#define ARTEMIS_API
#define ARTEMIS_MUST_USE
#endif

#define ARTEMIS_TIMEOUT_MAX_MS 86400000

/* --- errors ----------------------------------------------------------------------------------- */

enum artemis_error {
    ARTEMIS_OK = 0,
    ARTEMIS_INVALID,   /* an argument or an option is invalid */
    ARTEMIS_REFUSED,   /* a server refused the request; the same request would be refused again */
    ARTEMIS_TIMED_OUT, /* not done within the timeout; the problem has the last cause */
    ARTEMIS_UNKNOWN,   /* this client has not registered such an instance */
    ARTEMIS_NO_MEMORY,
    ARTEMIS_SYSTEM,     /* no thread could be created, or libcurl could not be initialized */
    ARTEMIS_UNCERTAIN,  /* the request was sent and not answered: it may have been executed */
    ARTEMIS_OVER_LIMIT, /* over a limit of this client: see LIMITS above */
};

struct artemis_problem {
    enum artemis_error error;
    char text[512]; /* a sentence without a full stop */
};

/* A short description; valid for ever, also for values of later versions. */
ARTEMIS_API const char *artemis_error_text(enum artemis_error error);

/* The version of the linked library, such as "0.3.0". */
ARTEMIS_API const char *artemis_version(void);

/* --- the client ------------------------------------------------------------------------------- */

enum artemis_log_level {
    ARTEMIS_LOG_INFO,    /* such as: connected, registered again */
    ARTEMIS_LOG_WARNING, /* such as: a server does not answer, a heartbeat was refused */
};

/* Called in the client's thread. `message` is one line, borrowed for the call. */
typedef void artemis_log_fn(enum artemis_log_level level, const char *message, void *context);

struct artemis_instance;

/* What became of an instance that the client keeps registered. */
enum artemis_registration_state {
    ARTEMIS_REGISTERED, /* a server accepted the registration */
    ARTEMIS_RENEWED,    /* the first accepted heartbeat after another state */
    ARTEMIS_RETRYING,   /* no server answered the last request; the client tries again */
    ARTEMIS_REJECTED,   /* a server refused the registration or a heartbeat */
};

/* Borrowed for the call. No pointer is NULL. */
struct artemis_registration_event {
    enum artemis_registration_state state;
    const struct artemis_instance *instance;
    const char *server;  /* the URL of the server */
    const char *reason;  /* the server's reason code, such as "no-permission"; "" if it sent none.
                            With ARTEMIS_REGISTERED, "instance-not-found" means that the server did
                            not know the instance, and got it again */
    const char *message; /* of the server, or why it did not answer; "" if there is none */
};

/* Called in the client's thread when the state of a registration changes, and for each accepted
 * registration. */
typedef void artemis_registration_fn(const struct artemis_registration_event *event, void *context);

struct artemis_options {
    /* The servers, separated by commas: http://host:port or https://host:port, with a path prefix
     * if a proxy needs one (a trailing /api may be left out). All must belong to one cluster. The
     * client uses the first server, and the next one when it does not answer. A server that failed
     * is not used for 100 ms; each further failure doubles that time, up to 10 s, and a random part
     * of up to half is subtracted. If the server sent Retry-After, it is not used for that time.
     *
     * A server that responds is asked for the nodes of its cluster. If these include the server
     * under the URL given here, the client uses the others too, and a node that the cluster names
     * no more is not used any more, unless it is given here. So all nodes can be replaced while the
     * client runs. Behind a proxy or a load balancer, the client uses only the servers given here.
     */
    const char *servers;

    /* Region and zone of instances that do not name theirs. NULL: "local" and "zone1", the defaults
     * of a server. */
    const char *region_id;
    const char *zone_id;

    /* Interval between heartbeats; 0: 10,000. The lease should be three times as long. */
    int heartbeat_ms;

    /* Time for one server to answer one request, before the next server is used; 0: 3,000. */
    int attempt_timeout_ms;

    /* Interval between pings on the WebSocket; 0: 10,000. The connection is closed if nothing
     * arrives for twice that time. */
    int ping_ms;

    /* Interval between requests to a server that has no WebSocket; 0: 5,000. */
    int poll_ms;

    /* artemis_close does not unregister: the leases expire. */
    bool stay_registered;

    /* Value of the Authorization header of every request, such as "Bearer TOKEN"; NULL: none. */
    const char *authorization;

    artemis_log_fn *log; /* NULL: no log */
    void *log_context;

    artemis_registration_fn *on_registration; /* NULL: no events */
    void *registration_context;

    /* Largest response to a fetch of a service ("*": of all), decoded, in MB; 0: 64, enough for
     * about 200,000 instances; at most 4,096. See LIMITS above. */
    int max_response_mb;

    /* PEM files for servers with https://. cacert: the authorities that sign the certificates of
     * the servers; NULL: those of the system. cert and key: the certificate that is shown to a
     * server that asks for one; NULL: none. key NULL: cert holds both. The files are read for each
     * new connection, so that they can be replaced while the client runs. */
    const char *cacert;
    const char *cert;
    const char *key;

    /* Interval between requests for the nodes of the cluster; 0: 10,000; -1: they are never
     * requested, and the client uses only the servers given above. They are also requested when the
     * client begins to use another server. The client sends `authorization` to every node that a
     * server names; if that server has https://, only to nodes with https://. */
    int nodes_ms;

    const void *reserved[1];
};

struct artemis_client;

/* Checks the options and starts the client. It contacts no server yet.
 * ARTEMIS_INVALID, ARTEMIS_NO_MEMORY, ARTEMIS_SYSTEM. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error artemis_open(const struct artemis_options *options,
                                                             struct artemis_client **client,
                                                             struct artemis_problem *problem);

/* Unregisters the instances of this client (unless stay_registered is set) and publishes the events
 * that wait, then ends its thread, its watches, its subscriptions and its connections. No other
 * call may be running. NULL is accepted. ARTEMIS_INVALID: called in a callback; the client stays
 * open. ARTEMIS_TIMED_OUT: the client is closed, but instances are registered until their leases
 * expire, or events were not published. */
ARTEMIS_API enum artemis_error artemis_close(struct artemis_client *client, int timeout_ms,
                                             struct artemis_problem *problem);

/* --- instances -------------------------------------------------------------------------------- */

struct artemis_metadata {
    const char *name;
    const char *value;
};

/* One instance of a service. In arguments, NULL, "" and 0 mean absent; service_id, instance_id and
 * an address (url, or ip with port) are required. In results, no text is NULL, and "" means absent.
 * Region, zone, service, group and instance are its identity. */
struct artemis_instance {
    const char *region_id;
    const char *zone_id;
    const char *service_id; /* in results: in lower case */
    const char *group_id;   /* "default" means absent */
    const char *instance_id;
    const char *ip;
    uint16_t port;
    const char *url;    /* absent: http://ip:port */
    const char *status; /* "up" (also when absent), "starting", "down", "unhealthy" or "unknown" */
    const char *machine_name;
    const char *protocol;
    const char *health_check_url;
    const struct artemis_metadata *metadata;
    size_t metadata_count;
    /* Share of the traffic in relation to the other instances: 0 to 1,000. In arguments, it is read
     * if has_weight is set, and is 100 otherwise. In results, both are always set. */
    uint16_t weight;
    bool has_weight;
    const void *reserved[3];
};

/* Registers the instance and keeps it registered, until artemis_unregister or artemis_close: sends
 * heartbeats, and registers it again with a server that does not know it. If it is registered
 * already, its content is replaced.
 * ARTEMIS_INVALID, ARTEMIS_NO_MEMORY. ARTEMIS_REFUSED: it is not registered (a change is undone).
 * ARTEMIS_TIMED_OUT: no server has accepted it yet; the client keeps trying. With timeout_ms 0 the
 * call returns ARTEMIS_OK at once, and the client registers in the background. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_register(struct artemis_client *client, const struct artemis_instance *instance,
                 int timeout_ms, struct artemis_problem *problem);

/* Keeps alive an instance that another program registered: sends heartbeats, but never registers
 * it. Only the identity of `key` is read. An instance that this client registered stays registered.
 * Errors as artemis_register. ARTEMIS_REFUSED: the server does not know the instance. If a server
 * loses it later, the heartbeats end with an ARTEMIS_REJECTED event. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_heartbeat(struct artemis_client *client, const struct artemis_instance *key, int timeout_ms,
                  struct artemis_problem *problem);

/* Changes the status of an instance of this client, and nothing else. Only the identity of `key` is
 * read. Errors as artemis_register, and ARTEMIS_UNKNOWN. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_set_status(struct artemis_client *client, const struct artemis_instance *key,
                   const char *status, int timeout_ms, struct artemis_problem *problem);

/* Unregisters the instance and stops its heartbeats. Only the identity of `key` is read.
 * ARTEMIS_UNKNOWN, ARTEMIS_INVALID, ARTEMIS_NO_MEMORY. ARTEMIS_TIMED_OUT: no server has answered
 * yet; the client keeps trying for attempt_timeout_ms, then the lease expires. With timeout_ms 0
 * the call returns ARTEMIS_OK at once, and the client unregisters in the background. */
ARTEMIS_API enum artemis_error artemis_unregister(struct artemis_client *client,
                                                  const struct artemis_instance *key,
                                                  int timeout_ms, struct artemis_problem *problem);

/* --- services --------------------------------------------------------------------------------- */

/* A service at one moment. Immutable; may be read and shared by any number of threads. */
struct artemis_service {
    const char *service_id; /* in lower case */
    size_t instance_count;
    const struct artemis_instance *const *instances; /* sorted by identity */

    /* Revision of the service's last change at the server. Those of different servers, and of
     * before and after a restart, are not comparable. */
    uint64_t version;

    /* The service was not being kept up to date when it was returned: see
     * artemis_service_age_ms. */
    bool stale;

    /* Of a filter with a near place: how many of the instances are in that zone, in other zones of
     * its region, and elsewhere. They are listed in this order. Otherwise 0. */
    struct {
        size_t zone, region, beyond;
    } near;
};

/* Returns the instances of a service with status "up"; "*" means all services. The first call asks
 * a server, which pushes changes from then on; later calls return the known state at once, without
 * network. If no server answers, the last known state is returned as `stale`. An unknown service
 * has no instances. A service that is not watched, and not asked for in ten minutes, is dropped.
 * ARTEMIS_INVALID, ARTEMIS_NO_MEMORY. ARTEMIS_TIMED_OUT, ARTEMIS_REFUSED: no state is known. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_discover(struct artemis_client *client, const char *service_id, int timeout_ms,
                 const struct artemis_service **service, struct artemis_problem *problem);

/* As artemis_discover, with instances of every status. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_discover_all(struct artemis_client *client, const char *service_id, int timeout_ms,
                     const struct artemis_service **service, struct artemis_problem *problem);

/* Which instances a call is about. An instance must match all that is given; NULL, "" and 0 mean
 * any. The client selects from what servers send it. */
struct artemis_filter {
    const char *region_id;
    const char *zone_id;
    const struct artemis_metadata *metadata; /* it must have all of them; at most 8 */
    size_t metadata_count;
    /* Statuses with commas between, such as "up,starting", or "all". NULL: the instances that are
     * up; for artemis_watch_filtered: all. */
    const char *status;
    /* The instances of this zone come first, then those of other zones of this region, then the
     * others. Both or none. Watches ignore it. */
    const char *near_region_id;
    const char *near_zone_id;
    const void *reserved[4];
};

/* As artemis_discover, with the instances that match the filter. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_discover_filtered(struct artemis_client *client, const char *service_id,
                          const struct artemis_filter *filter, int timeout_ms,
                          const struct artemis_service **service, struct artemis_problem *problem);

/* Returns another reference to the service, to be freed too. */
ARTEMIS_API const struct artemis_service *
artemis_service_ref(const struct artemis_service *service);

/* Releases a reference. NULL is accepted. */
ARTEMIS_API void artemis_service_free(const struct artemis_service *service);

/* For a stale service: time since the last contact with its server. Otherwise 0. */
ARTEMIS_API int64_t artemis_service_age_ms(const struct artemis_service *service);

enum artemis_pick { ARTEMIS_ROUND_ROBIN, ARTEMIS_RANDOM, ARTEMIS_WEIGHTED };

/* Returns one instance, which is valid as long as the service is; NULL if the service has no
 * instances: callers must check. With a near place it is one of the nearest. Round robin is shared
 * by all threads, and continues when the service changes. ARTEMIS_WEIGHTED: at random, each as
 * likely as its weight says; an instance with a weight of 0 is returned only if all have it. */
ARTEMIS_API const struct artemis_instance *artemis_pick(const struct artemis_service *service,
                                                        enum artemis_pick how);

/* Returns the instance that serves a key, such as a user or a session: the same one for the same
 * key as long as the instances and their weights are the same, in every program, and as `lookup` of
 * a server with consistent-hash. An instance that joins takes keys in proportion to its weight, and
 * one that leaves loses its own; all other keys stay where they are. An instance with a weight of 0
 * is returned only if all have it. NULL as artemis_pick. Takes time in proportion to the number of
 * instances: about 10 us for 1,000. */
ARTEMIS_API const struct artemis_instance *
artemis_pick_by_key(const struct artemis_service *service, const char *hash_key);

/* --- changes ---------------------------------------------------------------------------------- */

enum artemis_change_type { ARTEMIS_NEW, ARTEMIS_CHANGE, ARTEMIS_DELETE };

/* Borrowed for the call. */
struct artemis_change {
    enum artemis_change_type type;
    const struct artemis_instance *instance; /* after the change; of a delete, before it */
    const struct artemis_instance *previous; /* NULL for ARTEMIS_NEW */
    int64_t time_ms; /* ms since 1970, UTC: when it changed, or when the client noticed */
};

/* Called in the client's thread; see THREADS above. */
typedef void artemis_change_fn(const struct artemis_change *change, void *context);

/* Flag: first report the instances that exist already, as ARTEMIS_NEW. */
#define ARTEMIS_WATCH_CURRENT 1u

struct artemis_watch;

/* Calls back for each change of the service ("*": of all services), for instances of every status,
 * in the order of the changes of each instance. After ARTEMIS_OK no later change is missed. After a
 * lost connection, the new state is compared with the last reported one, and only the differences
 * are reported; an instance that came and went meanwhile is not. `flags` is 0 or
 * ARTEMIS_WATCH_CURRENT. With timeout_ms 0 the call does not wait until the watch is active.
 * ARTEMIS_INVALID, ARTEMIS_TIMED_OUT, ARTEMIS_REFUSED, ARTEMIS_NO_MEMORY: there is no watch, but
 * callbacks may have run already (with ARTEMIS_WATCH_CURRENT). */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_watch(struct artemis_client *client, const char *service_id, unsigned flags,
              artemis_change_fn *callback, void *context, int timeout_ms,
              struct artemis_watch **watch, struct artemis_problem *problem);

/* As artemis_watch, for the instances that match the filter: one that begins to match is reported
 * as ARTEMIS_NEW, one that does not match any more as ARTEMIS_DELETE. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_watch_filtered(struct artemis_client *client, const char *service_id,
                       const struct artemis_filter *filter, unsigned flags,
                       artemis_change_fn *callback, void *context, int timeout_ms,
                       struct artemis_watch **watch, struct artemis_problem *problem);

/* Ends the watch. When it returns, the callback does not run and is not called again; called in the
 * callback itself, it does not wait for its end. NULL is accepted. The caller must not hold a lock
 * that the callback takes. */
ARTEMIS_API void artemis_unwatch(struct artemis_watch *watch);

/* --- events ----------------------------------------------------------------------------------- */

/* An event has a topic, a name of 1 to 128 characters of a-z, 0-9, '.', '_' and '-', and a payload,
 * which is JSON. A server sends it to all subscribers of the topic at every node of its cluster,
 * and keeps nothing. A client that is not connected does not get it. */

/* Identifies an event: a node numbers the events that it publishes. */
struct artemis_published {
    char node_id[256];
    char run[24];    /* the process of the node */
    uint64_t number; /* from 1 on, and growing, within a run */
    const void *reserved[4];
};

/* Publishes an event, once the earlier ones of this client are published. `payload` is a JSON value
 * in UTF-8, at most 4,096 bytes as compact JSON and 32 levels; a text needs quotes. Topics that
 * begin with "artemis." are reserved for nodes. `published` may be NULL.
 *
 * An event is published at most once. It is sent to another server, or again, only if its body was
 * not sent, or a server has answered that it has not published it (such as: over a rate limit).
 * With timeout_ms 0 the call returns ARTEMIS_OK at once, and the client publishes in the
 * background, for attempt_timeout_ms, or until the timeout of artemis_close; a failure is in the
 * log.
 * ARTEMIS_INVALID, ARTEMIS_NO_MEMORY, ARTEMIS_OVER_LIMIT; ARTEMIS_REFUSED: such as, the token does
 * not allow it; ARTEMIS_TIMED_OUT: the event was not published, and will not be. ARTEMIS_UNCERTAIN:
 * it may have been published, or still be. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error artemis_publish(struct artemis_client *client,
                                                                const char *topic,
                                                                const char *payload, int timeout_ms,
                                                                struct artemis_published *published,
                                                                struct artemis_problem *problem);

enum artemis_event_type {
    ARTEMIS_EVENT,
    ARTEMIS_EVENTS_LOST, /* events of the topic were lost before the next one */
};

/* Borrowed for the call. No pointer is NULL. */
struct artemis_event {
    enum artemis_event_type type;
    const char *topic;
    /* Of ARTEMIS_EVENTS_LOST: how many, when the server had to drop them for a slow client, or the
     * client had no memory. 0: an unknown number, after a lost connection, even if there were none.
     * The callback of the loss comes when the client is subscribed again. */
    uint64_t lost;
    /* Of ARTEMIS_EVENT; otherwise "" and 0. */
    const char *payload; /* compact JSON in UTF-8 */
    size_t payload_size;
    const char *node_id; /* of the node that published it, its process, and its number there */
    const char *run;
    uint64_t number;
    int64_t time_ms; /* ms since 1970, UTC, of the clock of that node */
};

/* Called in the client's thread; see THREADS above. */
typedef void artemis_event_fn(const struct artemis_event *event, void *context);

struct artemis_subscription;

/* Calls back for each event of the topic, at most once, and in the order in which a node published
 * them; events of different nodes have no order. After ARTEMIS_OK, no event is missed that is
 * published at the server of this client, unless the callback learns of a loss. After a lost
 * connection the client subscribes again, with the same server or the next one. With timeout_ms 0
 * the call does not wait until the subscription is active. A topic may have several subscriptions.
 * Topics that begin with "artemis." have the events of nodes (docs/CONTRACT.md).
 * ARTEMIS_INVALID, ARTEMIS_NO_MEMORY, ARTEMIS_OVER_LIMIT, ARTEMIS_TIMED_OUT, ARTEMIS_REFUSED (such
 * as, the token does not allow it): there is no subscription, but callbacks may have run already.
 * If a server refuses the topic later, it is in the log, and the client asks again each minute. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error artemis_subscribe_topic(
    struct artemis_client *client, const char *topic, artemis_event_fn *callback, void *context,
    int timeout_ms, struct artemis_subscription **subscription, struct artemis_problem *problem);

/* Ends the subscription, as artemis_unwatch ends a watch. */
ARTEMIS_API void artemis_unsubscribe_topic(struct artemis_subscription *subscription);

#ifdef __cplusplus
}
#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * artemis - the client library: register instances, find services, hear of changes.
 *
 *     struct artemis_options options = {.servers = "http://10.0.0.7:8080,http://10.0.0.8:8080"};
 *     struct artemis_problem problem;
 *     struct artemis_client *client;
 *     if (artemis_open(&options, &client, &problem))
 *         give_up(problem.text);
 *
 * A client has one thread of its own, which does all that is to be done: it sends heartbeats, keeps
 * what was discovered fresh over one WebSocket, and fails over to the next server when one does not
 * answer. There is no other state: two clients in a process know nothing of each other.
 *
 * THREADS. Every function may be called from any thread, several at a time. Callbacks come from the
 * client's thread, one at a time, and never under a lock: they may call all functions but
 * artemis_close. A blocking call made in a callback goes on driving the client; callbacks that
 * become due meanwhile come after it. While a callback runs no heartbeat is sent, so it must not
 * take long. After fork(2), the child may use no client that it inherited.
 *
 * TIME. All spans are in milliseconds. A call that may have to wait takes `timeout_ms`, from 0 (do
 * not wait) to ARTEMIS_TIMEOUT_MAX_MS, and comes back by then.
 *
 * ERRORS. What can fail returns an enum artemis_error and leaves its out-arguments alone when it
 * fails. `problem`, the last argument, may be NULL; else it is filled on failure with a sentence
 * that says what and where. Nothing is printed and no error is kept anywhere.
 *
 * OWNERSHIP. What is passed in is copied: it need not outlive the call. What is given out is freed
 * with the function that is named beside it; it stays valid when the client is closed, but for
 * watches, which end with it.
 *
 * GROWTH. Structs end in `reserved`, which must be zero: initialize them with {0} or by name.
 * Fields and values of enums may be added.
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
    ARTEMIS_INVALID,   /* an argument or an option is wrong: mend the call */
    ARTEMIS_REFUSED,   /* a server answered, and will not do it: trying again does not help */
    ARTEMIS_TIMED_OUT, /* not done by then; the problem says what stood in the way last */
    ARTEMIS_UNKNOWN,   /* this client has registered no such instance */
    ARTEMIS_NO_MEMORY,
    ARTEMIS_SYSTEM, /* the system gave no thread, or libcurl could not start */
};

struct artemis_problem {
    enum artemis_error error;
    char text[512]; /* a sentence without a full stop */
};

/* A few words, for ever; of a value from a later version, too. */
ARTEMIS_API const char *artemis_error_text(enum artemis_error error);

/* Of the library that is linked: "0.2.0". */
ARTEMIS_API const char *artemis_version(void);

/* --- the client ------------------------------------------------------------------------------- */

enum artemis_log_level {
    ARTEMIS_LOG_INFO,    /* connected, registered again */
    ARTEMIS_LOG_WARNING, /* a server was lost, a heartbeat was refused */
};

/* From the client's thread. `message` is one line, borrowed for the call. */
typedef void artemis_log_fn(enum artemis_log_level level, const char *message, void *context);

struct artemis_options {
    /* The servers, with commas between: http://host:port or https://host:port, with the path they
     * stand behind if there is one (/api at its end may be left out). All must belong to one
     * cluster. The first is asked first; the next when it does not answer, and so on around. A
     * server that failed is left alone for 100 ms, doubled with each further failure up to 10 s,
     * less a random part of up to half; or for as long as it says in Retry-After. */
    const char *servers;

    /* What an instance gets whose region_id or zone_id is NULL. NULL: "local" and "zone1", as in a
     * server's own settings. */
    const char *region_id;
    const char *zone_id;

    /* Time between two heartbeats; 0: 10,000. The lease must be longer: three times is good. */
    int heartbeat_ms;

    /* How long one server may take for one answer before the next is tried; 0: 3,000. */
    int attempt_timeout_ms;

    /* How often the connection over which changes come is asked for a sign of life; 0: 10,000. It
     * counts as lost after twice that time without one. */
    int ping_ms;

    /* How often to ask where a server has no WebSocket to push changes; 0: 5,000. */
    int poll_ms;

    /* Leaves what is registered alone at artemis_close: the leases end by themselves. */
    bool stay_registered;

    /* The value of a header Authorization for every request, like "Bearer TOKEN"; NULL: none. */
    const char *authorization;

    artemis_log_fn *log; /* NULL: nobody wants to know */
    void *log_context;

    const void *reserved[8];
};

struct artemis_client;

/* Checks the options and starts the client; contacts no server yet.
 * ARTEMIS_INVALID, ARTEMIS_NO_MEMORY, ARTEMIS_SYSTEM. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error artemis_open(const struct artemis_options *options,
                                                             struct artemis_client **client,
                                                             struct artemis_problem *problem);

/* Unregisters what this client has registered (see stay_registered), within the time given, and
 * ends its thread, its watches and its connections. Calls of other threads must be over. NULL does
 * nothing. ARTEMIS_INVALID: called in a callback, and nothing is done; ARTEMIS_TIMED_OUT: it is
 * closed, but what was registered is left to the end of its lease. */
ARTEMIS_API enum artemis_error artemis_close(struct artemis_client *client, int timeout_ms,
                                             struct artemis_problem *problem);

/* --- instances -------------------------------------------------------------------------------- */

struct artemis_metadata {
    const char *name;
    const char *value;
};

/* One running copy of a service. When registering, NULL, "" and 0 mean absent: service_id,
 * instance_id and an address (url, or ip with port) are required. When answered, every text is
 * there, "" for absent. Region, zone, service, group and instance are its identity. */
struct artemis_instance {
    const char *region_id;
    const char *zone_id;
    const char *service_id; /* answered in lower case */
    const char *group_id;   /* "default" is no group */
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
    const void *reserved[4];
};

/* Registers the instance and keeps it registered: with heartbeats, and anew wherever a server does
 * not know it (any more), until it is unregistered or the client is closed. An instance that is
 * registered already is changed to what is given now.
 * ARTEMIS_INVALID; ARTEMIS_REFUSED: it is not kept (a change is undone); ARTEMIS_TIMED_OUT: no
 * server has taken it yet, and the client goes on trying. With timeout_ms 0 that is left to the
 * client from the start: ARTEMIS_OK. ARTEMIS_NO_MEMORY. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_register(struct artemis_client *client, const struct artemis_instance *instance,
                 int timeout_ms, struct artemis_problem *problem);

/* Changes the status alone. Of `key`, only the identity is read. As artemis_register;
 * ARTEMIS_UNKNOWN. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_set_status(struct artemis_client *client, const struct artemis_instance *key,
                   const char *status, int timeout_ms, struct artemis_problem *problem);

/* Ends the heartbeats at once and takes the instance out. Of `key`, only the identity is read.
 * ARTEMIS_TIMED_OUT: the client tries a little longer (attempt_timeout_ms), then it is left to the
 * end of its lease. With timeout_ms 0, that is left to the client from the start: ARTEMIS_OK.
 * ARTEMIS_UNKNOWN, ARTEMIS_INVALID, ARTEMIS_NO_MEMORY. */
ARTEMIS_API enum artemis_error artemis_unregister(struct artemis_client *client,
                                                  const struct artemis_instance *key,
                                                  int timeout_ms, struct artemis_problem *problem);

/* --- finding services ------------------------------------------------------------------------- */

/* A service at one moment. Immutable; may be read and shared by any number of threads. */
struct artemis_service {
    const char *service_id; /* in lower case */
    size_t instance_count;
    const struct artemis_instance *const *instances; /* in the order of their identity */

    /* Of the state, as the server counts; a change has a higher one. Comparable only as long as
     * the same server answers. */
    uint64_t version;

    /* No connection kept this fresh when it was given out: see artemis_service_age_ms. */
    bool stale;
};

/* The instances of a service that are up. The first call asks a server, and has the service pushed
 * from then on; later calls answer at once from what is known, without the network. When no server
 * can be reached, the last known is given out, and `stale` says so. A service that nobody has
 * registered has no instances. "*" is all services at once.
 * What was not asked for in ten minutes, and is not watched, is forgotten.
 * ARTEMIS_INVALID; ARTEMIS_TIMED_OUT, ARTEMIS_REFUSED: never known so far; ARTEMIS_NO_MEMORY. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_discover(struct artemis_client *client, const char *service_id, int timeout_ms,
                 const struct artemis_service **service, struct artemis_problem *problem);

/* The same with instances of every status. */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_discover_all(struct artemis_client *client, const char *service_id, int timeout_ms,
                     const struct artemis_service **service, struct artemis_problem *problem);

/* Another reference to the same, to be freed as well. Returns it. */
ARTEMIS_API const struct artemis_service *
artemis_service_ref(const struct artemis_service *service);

/* NULL does nothing. */
ARTEMIS_API void artemis_service_free(const struct artemis_service *service);

/* Of a stale one: time since a server was last heard of; else 0. */
ARTEMIS_API int64_t artemis_service_age_ms(const struct artemis_service *service);

enum artemis_pick { ARTEMIS_ROUND_ROBIN, ARTEMIS_RANDOM };

/* One of its instances, borrowed from the service; NULL if it has none. Turns are taken by all
 * threads together, and go on when the service changes. */
ARTEMIS_API const struct artemis_instance *artemis_pick(const struct artemis_service *service,
                                                        enum artemis_pick how);

/* --- changes ---------------------------------------------------------------------------------- */

enum artemis_change_type { ARTEMIS_NEW, ARTEMIS_CHANGE, ARTEMIS_DELETE };

/* Borrowed for the call. */
struct artemis_change {
    enum artemis_change_type type;
    const struct artemis_instance *instance; /* as it is now; of a delete, as it was */
    const struct artemis_instance *previous; /* NULL for new */
    int64_t time_ms;                         /* ms since 1970, UTC: when it changed, or was found to
                                                have changed */
};

/* From the client's thread; see THREADS above. */
typedef void artemis_change_fn(const struct artemis_change *change, void *context);

/* Begins with what is there already, as ARTEMIS_NEW. */
#define ARTEMIS_WATCH_CURRENT 1u

struct artemis_watch;

/* Calls back for each change of the service, or of all with "*", of instances of every status, in
 * the order in which they happened to each. When it comes back with ARTEMIS_OK, every later change
 * will be told. After a connection was lost, what is then found is compared with what was told: the
 * difference is told, and nothing twice; what came and went in between is not known.
 * With timeout_ms 0 the beginning is not waited for. `flags` is 0 or ARTEMIS_WATCH_CURRENT.
 * ARTEMIS_INVALID, ARTEMIS_TIMED_OUT, ARTEMIS_REFUSED, ARTEMIS_NO_MEMORY: there is no watch, though
 * calls back may have come already (with ARTEMIS_WATCH_CURRENT). */
ARTEMIS_MUST_USE ARTEMIS_API enum artemis_error
artemis_watch(struct artemis_client *client, const char *service_id, unsigned flags,
              artemis_change_fn *callback, void *context, int timeout_ms,
              struct artemis_watch **watch, struct artemis_problem *problem);

/* When it comes back, the callback does not run and will not be called again; called in that very
 * callback, it does not wait for its end. NULL does nothing. The caller must hold no lock that the
 * callback takes. */
ARTEMIS_API void artemis_unwatch(struct artemis_watch *watch);

#ifdef __cplusplus
}
#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * error - every error of the program, in one table.
 *
 * Every call that can fail returns an `enum error`; ERR_NONE is success. For each error the table
 * holds the error_code that clients of the native API decode (a closed set), a finer reason, and
 * the HTTP status; and the errorCode and HTTP status of the Java API (below /artemis/), which
 * responds with 200 to most errors. The groups say what a caller does next: correct the request,
 * try again later, or report a bug.
 *
 * Pure and thread-safe: constant data only.
 */
#pragma once

/* Marks a function whose result must not be ignored. */
#define MUST_USE __attribute__((warn_unused_result))

/* clang-format off */
/*      name                     error_code             reason                 http  java error code         java http  message */
#define ERROR_TABLE(X)                                                                                                                                                     \
    X(ERR_NONE,                    "success",             "",                    200, "success",                200, "done")                                               \
    /* Correct the request. */                                                                                                                                             \
    X(ERR_INVALID_JSON,            "bad-request",         "invalid-json",        400, "bad-request",            400, "the body cannot be read")                            \
    X(ERR_INVALID_FIELD,           "bad-request",         "invalid-field",       400, "bad-request",            200, "a field is missing or invalid")                      \
    X(ERR_TOO_MANY_ITEMS,          "bad-request",         "too-large",           400, "bad-request",            200, "too many items in one request")                      \
    X(ERR_BODY_TOO_LARGE,          "bad-request",         "too-large",           413, "bad-request",            413, "the body is too large")                              \
    X(ERR_HEADER_TOO_LARGE,        "bad-request",         "too-large",           431, "bad-request",            431, "the request header is too large")                    \
    X(ERR_MALFORMED_REQUEST,       "bad-request",         "malformed-request",   400, "bad-request",            400, "the request is not valid HTTP")                      \
    X(ERR_REQUEST_TIMEOUT,         "bad-request",         "request-timeout",     408, "bad-request",            408, "the request came too slowly")                        \
    X(ERR_NO_SUCH_PATH,            "bad-request",         "no-such-path",        404, "bad-request",            404, "no such path")                                       \
    X(ERR_WRONG_METHOD,            "bad-request",         "wrong-method",        405, "bad-request",            405, "the path has no such method")                        \
    X(ERR_UPGRADE_REQUIRED,        "bad-request",         "upgrade-required",    426, "bad-request",            426, "the path needs a WebSocket")                         \
    X(ERR_INSTANCE_NOT_FOUND,      "bad-request",         "instance-not-found",  200, "data-not-found",         200, "the instance is not registered")                     \
    X(ERR_STALE_REVISION,          "bad-request",         "stale-revision",      200, "bad-request",            200, "the revision is not above the stored one")            \
    X(ERR_OVER_QUOTA,              "bad-request",         "over-quota",          200, "bad-request",            200, "over a quota of this node")                           \
    X(ERR_SERVICE_NOT_FOUND,       "bad-request",         "service-not-found",   200, "data-not-found",         200, "no such service")                                    \
    X(ERR_VERSION_GONE,            "bad-request",         "version-gone",        200, "data-not-found",         200, "changes since that version are no longer available") \
    X(ERR_NOT_A_PEER,              "bad-request",         "not-a-peer",          400, "bad-request",            400, "only nodes of the cluster may call this")            \
    X(ERR_CLUSTER_MISMATCH,        "bad-request",         "cluster-mismatch",    403, "no-permission",          403, "this node belongs to another cluster")               \
    X(ERR_NODE_BLOCKED,            "bad-request",         "node-blocked",        403, "no-permission",          403, "an operator has blocked the node that calls")         \
    X(ERR_VERSION_AHEAD,           "bad-request",         "version-ahead",       400, "bad-request",            400, "the version is too far ahead of the clocks of all members") \
    X(ERR_NO_TOKEN,                "bad-request",         "no-token",            401, "no-permission",          401, "this node needs a token")                            \
    X(ERR_INVALID_TOKEN,           "bad-request",         "invalid-token",       401, "no-permission",          401, "the token is not known")                             \
    X(ERR_TOKEN_EXPIRED,           "bad-request",         "token-expired",       401, "no-permission",          401, "the token has expired")                              \
    X(ERR_NO_PERMISSION,           "bad-request",         "no-permission",       403, "no-permission",          403, "the token does not allow this")                      \
    /* Try again later, or elsewhere. */                                                                                                                                   \
    X(ERR_RATE_LIMITED,            "rate-limited",        "over-limit",          429, "rate-limited",           200, "over the rate limit of this node")                   \
    X(ERR_CLIENT_RATE_LIMITED,     "rate-limited",        "over-client-limit",   429, "rate-limited",           200, "over the rate limit of one client")                   \
    X(ERR_TOO_MANY_CONNECTIONS,    "service-unavailable", "over-limit",          503, "service-unavailable",    503, "too many connections")                               \
    X(ERR_TOO_MANY_SUBSCRIBERS,    "service-unavailable", "over-limit",          503, "service-unavailable",    503, "too many subscribers and long polls")                \
    X(ERR_TOO_MANY_RELEASES,       "service-unavailable", "over-limit",          503, "service-unavailable",    503, "too many releases of guards within one lease.ttl_secs") \
    X(ERR_TOO_MANY_EVENTS,         "service-unavailable", "over-limit",          503, "service-unavailable",    503, "too many events wait for subscribers or peers")      \
    X(ERR_OVERLOADED,              "service-unavailable", "overloaded",          503, "service-unavailable",    200, "this node is overloaded")                            \
    X(ERR_NOT_READY,               "service-unavailable", "not-ready",           503, "service-unavailable",    200, "this node is starting")                              \
    X(ERR_DRAINING,                "service-unavailable", "draining",            503, "service-unavailable",    200, "this node is shutting down")                         \
    /* Report it: a bug or a shortage of the server. */                                                                                                                    \
    X(ERR_NO_MEMORY,               "internal-error",      "out-of-memory",       500, "internal-service-error", 200, "out of memory")                                      \
    X(ERR_SYSTEM,                  "internal-error",      "system",              500, "internal-service-error", 200, "a system call failed")
/* clang-format on */

enum error {
#define X(name, code, reason, http, java_code, java_http, message) name,
    ERROR_TABLE(X)
#undef X
        ERROR_COUNT
};

struct error_info {
    const char *name;      /* as in the source: "ERR_RATE_LIMITED" */
    const char *code;      /* error_code of the native API */
    const char *reason;    /* "" for success */
    int http_status;       /* in the native API */
    const char *java_code; /* errorCode of the Java API */
    int java_http_status;  /* in the Java API */
    const char *message;   /* for people; without a full stop */
};

/* Returns the row of `error`. */
const struct error_info *error_info(enum error error);

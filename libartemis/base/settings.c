/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/settings.h"

#include "libartemis/base/node_refresh.h"
#include "libartemis/base/problem.h"
#include "libartemis/base/url.h"

#include "artemis-core/base/text.h"
#include "artemis-core/model/instance.h"

#include <stdlib.h>
#include <string.h>

enum {
    DURATION_MAX_MS = 86400000,
    RESPONSE_MB_MAX = 4096,
    RESPONSE_MB_DEFAULT = 64,
};

/* --- servers ---------------------------------------------------------------------------------- */

static enum artemis_error read_url(struct settings *settings, const char *text,
                                   struct artemis_problem *problem)
{
    char *url = NULL;
    bool is_loopback = false;
    const char *fault = NULL;
    enum error error = url_read(text, &url, &is_loopback, &fault);
    if (error == ERR_NO_MEMORY)
        return problem_no_memory(problem);
    if (error) {
        char quoted[128];
        text_quote(quoted, sizeof quoted, slice_of(text));
        /* The text may contain a password. */
        return problem_set(problem, ARTEMIS_INVALID, "options.servers: %s %s",
                           strchr(text, '@') ? "a URL" : quoted, fault);
    }
    node_urls_add_option(&settings->servers, url, is_loopback);
    return ARTEMIS_OK;
}

static enum artemis_error read_urls(struct settings *settings, const char *list,
                                    struct artemis_problem *problem)
{
    static const char separators[] = ", \t\n";
    for (const char *at = list + strspn(list, separators); *at;) {
        size_t length = strcspn(at, separators);
        char text[URL_BYTES_MAX];
        if (settings->servers.count == SERVERS_MAX)
            return problem_set(problem, ARTEMIS_INVALID, "options.servers: must be at most %d URLs",
                               SERVERS_MAX);
        if (length >= sizeof text)
            return problem_set(problem, ARTEMIS_INVALID,
                               "options.servers: a URL must be shorter than %d bytes",
                               URL_BYTES_MAX);
        memcpy(text, at, length);
        text[length] = '\0';
        enum artemis_error error = read_url(settings, text, problem);
        if (error)
            return error;
        at += length;
        at += strspn(at, separators);
    }
    if (settings->servers.count == 0)
        return problem_set(problem, ARTEMIS_INVALID, "options.servers: must be at least one URL");
    return ARTEMIS_OK;
}

/* --- other options ---------------------------------------------------------------------------  */

struct duration {
    uint64_t *to;
    int given, fallback;
    const char *name;
    int lowest; /* -1 means never: NODES_NEVER */
};

static enum artemis_error read_duration(const struct duration *duration,
                                        struct artemis_problem *problem)
{
    int given = duration->given;
    if (given < duration->lowest || given > DURATION_MAX_MS)
        return problem_set(problem, ARTEMIS_INVALID, "options.%s: must be %d to %d, is %d",
                           duration->name, duration->lowest, DURATION_MAX_MS, given);
    *duration->to = (uint64_t)(given > 0 ? given : duration->fallback);
    if (given < 0)
        *duration->to = NODES_NEVER;
    return ARTEMIS_OK;
}

static enum artemis_error read_durations(struct settings *settings,
                                         const struct artemis_options *options,
                                         struct artemis_problem *problem)
{
    const struct duration durations[] = {
        {&settings->heartbeat_ms, options->heartbeat_ms, 10000, "heartbeat_ms", 0},
        {&settings->attempt_timeout_ms, options->attempt_timeout_ms, 3000, "attempt_timeout_ms", 0},
        {&settings->ping_ms, options->ping_ms, 10000, "ping_ms", 0},
        {&settings->poll_ms, options->poll_ms, 5000, "poll_ms", 0},
        {&settings->nodes_ms, options->nodes_ms, 10000, "nodes_ms", -1},
    };
    enum artemis_error error = ARTEMIS_OK;
    for (size_t i = 0; i < sizeof durations / sizeof *durations && !error; i++)
        error = read_duration(&durations[i], problem);
    return error;
}

static enum artemis_error read_limits(struct settings *settings,
                                      const struct artemis_options *options,
                                      struct artemis_problem *problem)
{
    int given = options->max_response_mb;
    if (given < 0 || given > RESPONSE_MB_MAX)
        return problem_set(problem, ARTEMIS_INVALID,
                           "options.max_response_mb: must be 0 to %d, is %d", RESPONSE_MB_MAX,
                           given);
    settings->response_bytes_max = (size_t)(given > 0 ? given : RESPONSE_MB_DEFAULT) << 20;
    return ARTEMIS_OK;
}

/* A control character could end the header field and start another one. */
static bool is_header_text(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static enum artemis_error copy_texts(struct settings *settings,
                                     const struct artemis_options *options,
                                     struct artemis_problem *problem)
{
    const char *authorization = options->authorization;
    if (authorization && (!*authorization || !is_header_text(authorization)))
        return problem_set(problem, ARTEMIS_INVALID,
                           "options.authorization: must be text without control characters");
    settings->region_id = strdup(options->region_id ? options->region_id : "local");
    settings->zone_id = strdup(options->zone_id ? options->zone_id : "zone1");
    settings->authorization = authorization ? strdup(authorization) : NULL;
    if (!settings->region_id || !settings->zone_id || (authorization && !settings->authorization))
        return problem_no_memory(problem);
    return ARTEMIS_OK;
}

/* The files are not read here: they may come later, and are read for each connection. */
static enum artemis_error copy_files(struct settings *settings,
                                     const struct artemis_options *options,
                                     struct artemis_problem *problem)
{
    const char *key = options->key ? options->key : options->cert;
    const struct {
        char **to;
        const char *from;
        const char *name;
    } files[] = {
        {&settings->cacert, options->cacert, "cacert"},
        {&settings->cert, options->cert, "cert"},
        {&settings->key, key, "key"},
    };
    if (options->key && !options->cert)
        return problem_set(problem, ARTEMIS_INVALID, "options.key: needs options.cert");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!files[i].from)
            continue;
        if (!*files[i].from)
            return problem_set(problem, ARTEMIS_INVALID, "options.%s: must not be empty",
                               files[i].name);
        *files[i].to = strdup(files[i].from);
        if (!*files[i].to)
            return problem_no_memory(problem);
    }
    return ARTEMIS_OK;
}

/* The ids are valid if a key that contains them is valid. */
static enum artemis_error check_location(const struct settings *settings,
                                         struct artemis_problem *problem)
{
    const struct slice parts[KEY_FIELDS] = {
        [FIELD_REGION] = slice_of(settings->region_id),
        [FIELD_ZONE] = slice_of(settings->zone_id),
        [FIELD_SERVICE] = SLICE("s"),
        [FIELD_INSTANCE] = SLICE("i"),
    };
    struct instance_key key;
    struct field_problem invalid;
    if (instance_key_make(parts, &key, &invalid))
        return problem_set(problem, ARTEMIS_INVALID, "options.%s: %s", invalid.field,
                           invalid.problem);
    return ARTEMIS_OK;
}

static enum artemis_error check_reserved(const struct artemis_options *options,
                                         struct artemis_problem *problem)
{
    for (size_t i = 0; i < sizeof options->reserved / sizeof *options->reserved; i++)
        if (options->reserved[i])
            return problem_set(problem, ARTEMIS_INVALID,
                               "options.reserved: must be zero; initialize the options with {0}");
    return ARTEMIS_OK;
}

enum artemis_error settings_read(struct settings *settings, const struct artemis_options *options,
                                 struct artemis_problem *problem)
{
    *settings = (struct settings){0};
    if (!options || !options->servers)
        return problem_set(problem, ARTEMIS_INVALID, "options.servers: is required");
    enum artemis_error error = check_reserved(options, problem);
    if (!error)
        error = read_urls(settings, options->servers, problem);
    if (!error)
        error = read_durations(settings, options, problem);
    if (!error)
        error = read_limits(settings, options, problem);
    if (!error)
        error = copy_texts(settings, options, problem);
    if (!error)
        error = copy_files(settings, options, problem);
    if (!error)
        error = check_location(settings, problem);
    settings->stay_registered = options->stay_registered;
    settings->log = options->log;
    settings->log_context = options->log_context;
    settings->on_registration = options->on_registration;
    settings->registration_context = options->registration_context;
    if (error)
        settings_free(settings);
    return error;
}

void settings_free(struct settings *settings)
{
    node_urls_free(&settings->servers);
    free(settings->region_id);
    free(settings->zone_id);
    free(settings->authorization);
    free(settings->cacert);
    free(settings->cert);
    free(settings->key);
    *settings = (struct settings){0};
}

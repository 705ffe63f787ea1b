/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/keep_alive.h"

#include "artemis/call/key_args.h"
#include "artemis/call/library_client.h"
#include "artemis/call/server_call.h"
#include "artemis/cmd/instance_command.h"
#include "artemis/output/view_watch.h"
#include "artemis/terminal/terminal_text.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 2000 };

struct keep_alive {
    const struct args *args;
    struct library_client library;
    bool registers;
    bool accepted;       /* of the library's thread: a server accepted the instance */
    bool failed;         /* of the library's thread: the last event was a failure */
    atomic_bool is_over; /* a server refused the instance for good */
};

/* --- events ----------------------------------------------------------------------------------- */

static void print_accepted(const struct keep_alive *keep, bool is_registration)
{
    static const char *const lines[2][2] = {{"renewed", "renewed again"},
                                            {"registered", "registered again"}};
    /* The first heartbeat after a registration is not printed. */
    if (is_registration || keep->failed || !keep->accepted)
        instance_command_print_done(keep->args, lines[is_registration][keep->accepted]);
}

static void print_failed(const struct keep_alive *keep,
                         const struct artemis_registration_event *event)
{
    if (event->state == ARTEMIS_RETRYING)
        terminal_text_print_error(stderr, NULL, "%s; retrying", event->message);
    else
        terminal_text_print_error(stderr, keep->accepted ? "retrying" : NULL, "%s", event->message);
}

/* A refused instance is not kept: one that no server has accepted, or one that `heartbeat` must not
 * register. The library retries after every other error. */
static bool ends_command(const struct keep_alive *keep,
                         const struct artemis_registration_event *event)
{
    bool is_unknown = strcmp(event->reason, "instance-not-found") == 0;
    return event->state == ARTEMIS_REJECTED &&
           (!keep->accepted || (!keep->registers && is_unknown));
}

/* Called by the thread of the library. */
static void on_event(const struct artemis_registration_event *event, void *context)
{
    struct keep_alive *keep = context;
    bool is_accepted = event->state == ARTEMIS_REGISTERED || event->state == ARTEMIS_RENEWED;
    if (args_has(keep->args, "json")) {
        if (view_registration_json(event, stdout))
            (void)server_call_no_memory();
    } else if (is_accepted) {
        print_accepted(keep, event->state == ARTEMIS_REGISTERED);
    } else {
        print_failed(keep, event);
    }
    fflush(stdout);
    if (ends_command(keep, event)) {
        keep->is_over = true;
        library_client_wake(&keep->library);
    }
    keep->accepted |= is_accepted;
    keep->failed = !is_accepted;
}

/* --- the instance ----------------------------------------------------------------------------- */

static size_t count_metadata(const struct args *args)
{
    size_t count = 0;
    for (size_t position = 0; args_next(args, "meta", &position);)
        count++;
    return count;
}

static void free_metadata(struct artemis_metadata *metadata, size_t count)
{
    for (size_t i = 0; metadata && i < count; i++)
        free((char *)(uintptr_t)metadata[i].name);
    free(metadata);
}

/* The index of a name, or `count`. */
static size_t find_metadata(const struct artemis_metadata *metadata, size_t count, const char *pair,
                            size_t name_length)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(metadata[i].name) == name_length &&
            memcmp(metadata[i].name, pair, name_length) == 0)
            return i;
    return count;
}

/* Splits the values of --meta; the last value of a name counts. Release with free_metadata.
 * ERR_NO_MEMORY. */
static enum error read_metadata(const struct args *args, struct artemis_metadata **metadata,
                                size_t *count)
{
    struct artemis_metadata *read = calloc(count_metadata(args) + 1, sizeof *read);
    size_t position = 0;
    size_t filled = 0;
    if (!read)
        return ERR_NO_MEMORY;
    for (const char *pair; (pair = args_next(args, "meta", &position));) {
        size_t name_length = strcspn(pair, "=");
        size_t index = find_metadata(read, filled, pair, name_length);
        if (index == filled) {
            char *name = strndup(pair, name_length);
            if (!name) {
                free_metadata(read, filled);
                return ERR_NO_MEMORY;
            }
            read[filled++].name = name;
        }
        read[index].value = pair + name_length + 1;
    }
    *metadata = read;
    *count = filled;
    return ERR_NONE;
}

static struct artemis_instance identity_of(const struct key_args *key)
{
    return (struct artemis_instance){
        .region_id = key->region,
        .zone_id = key->zone,
        .service_id = key->service,
        .group_id = key->group,
        .instance_id = key->instance,
    };
}

static enum artemis_error start_registration(struct keep_alive *keep, const struct key_args *key,
                                             struct artemis_problem *problem)
{
    const struct args *args = keep->args;
    struct artemis_instance instance = identity_of(key);
    struct artemis_metadata *metadata = NULL;
    size_t count = 0;
    if (read_metadata(args, &metadata, &count)) {
        *problem = (struct artemis_problem){.error = ARTEMIS_NO_MEMORY, .text = "out of memory"};
        return ARTEMIS_NO_MEMORY;
    }
    instance.ip = args_text(args, "ip");
    instance.port = args_text(args, "port") ? (uint16_t)args_number(args, "port") : 0;
    instance.url = args_text(args, "url");
    instance.status = args_text(args, "status");
    instance.machine_name = args_text(args, "machine");
    instance.protocol = args_text(args, "protocol");
    instance.health_check_url = args_text(args, "health-url");
    instance.has_weight = args_has(args, "weight");
    instance.weight = instance.has_weight ? (uint16_t)args_number(args, "weight") : 0;
    instance.metadata = metadata;
    instance.metadata_count = count;
    enum artemis_error error = artemis_register(keep->library.client, &instance, 0, problem);
    free_metadata(metadata, count);
    return error;
}

/* --- life ------------------------------------------------------------------------------------- */

/* Gets the key, and retries while no server is reachable. False: the command ends with
 * *exit_code. */
static bool resolve_key(const struct keep_alive *keep, struct key_args *key, int *exit_code)
{
    for (bool is_first = true;; is_first = false) {
        struct server_call_result failure;
        *exit_code = key_args_try(keep->args, key, &failure);
        bool is_retried = failure.outcome.retryable;
        if (*exit_code != EXIT_DONE && (is_first || !is_retried))
            *exit_code = server_call_report(keep->args, &failure);
        server_call_result_free(&failure);
        if (*exit_code == EXIT_DONE || !is_retried)
            return *exit_code == EXIT_DONE;
        if (library_client_sleep(&keep->library, RETRY_MS)) {
            *exit_code = EXIT_DONE;
            return false;
        }
    }
}

static int end(struct keep_alive *keep, const struct artemis_instance *identity)
{
    struct artemis_problem problem;
    if (!args_has(keep->args, "unregister"))
        return EXIT_DONE;
    if (artemis_unregister(keep->library.client, identity, keep->library.timeout_ms, &problem))
        return library_client_print_error(&problem);
    if (!args_has(keep->args, "json"))
        instance_command_print_done(keep->args, "unregistered");
    return EXIT_DONE;
}

static int run(struct keep_alive *keep)
{
    struct key_args key;
    struct artemis_problem problem;
    int exit_code = EXIT_DONE;
    if (!resolve_key(keep, &key, &exit_code))
        return exit_code;
    const struct artemis_options options = {
        .region_id = key.region,
        .zone_id = key.zone,
        .heartbeat_ms = (int)args_number(keep->args, "every") * 1000,
        .stay_registered = true,
        .on_registration = on_event,
        .registration_context = keep,
    };
    exit_code = library_client_open(&keep->library, keep->args, &options);
    if (exit_code != EXIT_DONE)
        return exit_code;
    const struct artemis_instance identity = identity_of(&key);
    enum artemis_error error =
        keep->registers ? start_registration(keep, &key, &problem)
                        : artemis_heartbeat(keep->library.client, &identity, 0, &problem);
    if (error)
        return library_client_print_error(&problem);
    while (library_client_wait(&keep->library, -1) != LIBRARY_INTERRUPTED)
        if (keep->is_over)
            return EXIT_REFUSED;
    return end(keep, &identity);
}

int keep_alive(const struct args *args, bool registers)
{
    struct keep_alive keep = {.args = args, .registers = registers};
    int exit_code = library_client_begin(&keep.library);
    if (exit_code != EXIT_DONE)
        return exit_code;
    exit_code = run(&keep);
    library_client_end(&keep.library);
    return exit_code;
}

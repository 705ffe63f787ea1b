/* SPDX-License-Identifier: Apache-2.0
 *
 * What callers want to know of others: discover, watch.
 */
#include "libartemis/client.h"
#include "libartemis/clock.h"
#include "libartemis/problem.h"

#include <stdlib.h>
#include <string.h>

static enum artemis_error read_id(const char *service_id, char id[ID_BYTES_MAX + 1],
                                  struct artemis_problem *problem)
{
    struct field_problem wrong = {.problem = "must be UTF-8"};
    size_t size = 0;
    struct slice text = slice_of(service_id);
    if (!text_is_utf8(text) || service_id_canonical(text, id, &size, &wrong))
        return problem_set(problem, ARTEMIS_INVALID, "service_id: %s", wrong.problem);
    id[size] = '\0';
    return ARTEMIS_OK;
}

static bool is_known(void *context)
{
    const struct entry *entry = context;
    return entry->known || entry->refused;
}

static bool is_fresh(void *context)
{
    const struct entry *entry = context;
    return entry->fresh || entry->refused;
}

/* Under the lock: waits until the entry is `ready`, or was refused. */
static enum artemis_error wait_for(struct artemis_client *client, struct entry *entry,
                                   bool (*ready)(void *), int timeout_ms,
                                   struct artemis_problem *problem)
{
    uint64_t deadline_ms = client_clock_ms() + (uint64_t)timeout_ms;
    entry->pins++; /* it stays, whoever else loses interest */
    bool well = client_wait(client, ready, entry, deadline_ms);
    entry->pins--;
    if (well && !entry->refused)
        return ARTEMIS_OK;
    if (well)
        return problem_set(problem, ARTEMIS_REFUSED, "%s", entry->reason);
    const char *why = client->shared.push_problem;
    return problem_set(problem, ARTEMIS_TIMED_OUT, "not done in %d ms%s%s", timeout_ms,
                       *why ? ": " : "", why);
}

/* --- discover --------------------------------------------------------------------------------- */

/* Under the lock. */
static enum artemis_error look_up(struct artemis_client *client, const char *id, bool only_up,
                                  int timeout_ms, struct snapshot **snapshot,
                                  struct artemis_problem *problem)
{
    struct entry *entry;
    if (follow_entry(&client->shared.follow, id, &entry))
        return problem_no_memory(problem);
    entry->used = true;
    entry->used_ms = client_clock_ms();
    enum artemis_error error = ARTEMIS_OK;
    if (!entry->known)
        error = wait_for(client, entry, is_known, timeout_ms, problem);
    if (error)
        return error;
    return entry_snapshot(entry, only_up, snapshot) ? problem_no_memory(problem) : ARTEMIS_OK;
}

static enum artemis_error discover(struct artemis_client *client, const char *service_id,
                                   bool only_up, int timeout_ms,
                                   const struct artemis_service **service,
                                   struct artemis_problem *problem)
{
    char id[ID_BYTES_MAX + 1];
    struct snapshot *snapshot = NULL;
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (!error && !service)
        error = problem_set(problem, ARTEMIS_INVALID, "service: must point to where it goes");
    if (!error)
        error = read_id(service_id, id, problem);
    if (error)
        return error;
    pthread_mutex_lock(&client->lock);
    error = look_up(client, id, only_up, timeout_ms, &snapshot, problem);
    pthread_mutex_unlock(&client->lock);
    if (!error)
        *service = &snapshot->view;
    return error;
}

enum artemis_error artemis_discover(struct artemis_client *client, const char *service_id,
                                    int timeout_ms, const struct artemis_service **service,
                                    struct artemis_problem *problem)
{
    return discover(client, service_id, true, timeout_ms, service, problem);
}

enum artemis_error artemis_discover_all(struct artemis_client *client, const char *service_id,
                                        int timeout_ms, const struct artemis_service **service,
                                        struct artemis_problem *problem)
{
    return discover(client, service_id, false, timeout_ms, service, problem);
}

/* --- watch ------------------------------------------------------------------------------------ */

/* Under the lock. */
static enum artemis_error begin_watch(struct artemis_client *client, const char *id,
                                      struct artemis_watch *watch, int timeout_ms,
                                      struct artemis_problem *problem)
{
    struct entry *entry;
    if (follow_entry(&client->shared.follow, id, &entry) ||
        entry_add_watch(entry, watch, client_clock_wall_ms()))
        return problem_no_memory(problem);
    http_wake(client->http);
    if (timeout_ms == 0)
        return ARTEMIS_OK;
    return wait_for(client, entry, is_fresh, timeout_ms, problem);
}

static bool is_not_told(void *context)
{
    const struct artemis_watch *watch = context;
    return watch->client->shared.telling != watch;
}

/* Under the lock. Frees what the caller has of it. */
static void end_watch(struct artemis_watch *watch)
{
    struct artemis_client *client = watch->client;
    if (watch->entry)
        entry_remove_watch(watch->entry, watch);
    if (!client_is_loop(client))
        (void)client_wait(client, is_not_told, watch, UINT64_MAX / 2);
    http_wake(client->http);
    watch_unref(watch);
}

enum artemis_error artemis_watch(struct artemis_client *client, const char *service_id,
                                 unsigned flags, artemis_change_fn *callback, void *context,
                                 int timeout_ms, struct artemis_watch **out,
                                 struct artemis_problem *problem)
{
    char id[ID_BYTES_MAX + 1];
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (!error && (!callback || !out))
        error = problem_set(problem, ARTEMIS_INVALID, "callback and watch: are required");
    if (!error && (flags & ~ARTEMIS_WATCH_CURRENT))
        error = problem_set(problem, ARTEMIS_INVALID, "flags: has unknown bits, is %#x", flags);
    if (!error)
        error = read_id(service_id, id, problem);
    if (error)
        return error;
    struct artemis_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return problem_no_memory(problem);
    *watch = (struct artemis_watch){
        .client = client, .callback = callback, .context = context, .flags = flags, .refs = 1};
    pthread_mutex_lock(&client->lock);
    error = begin_watch(client, id, watch, timeout_ms, problem);
    if (error)
        end_watch(watch);
    else
        *out = watch;
    pthread_mutex_unlock(&client->lock);
    return error;
}

void artemis_unwatch(struct artemis_watch *watch)
{
    if (!watch)
        return;
    struct artemis_client *client = watch->client;
    pthread_mutex_lock(&client->lock);
    end_watch(watch);
    pthread_mutex_unlock(&client->lock);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/book.h"

#include "libartemis/problem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { NO_MEMORY_PAUSE_MS = 1000 };

enum lease_state { LEASE_ASKED, LEASE_KEPT, LEASE_LEAVING };

struct lease {
    struct lease *next;
    struct instance *wanted;
    struct instance *taken; /* what a server took last; NULL: nothing so far */
    enum lease_state state;
    bool was_sent;        /* a server may know it */
    uint64_t due_ms;      /* of the next heartbeat */
    uint64_t leave_by_ms; /* when leaving: given up then */
    struct ticket *tickets;
};

/* --- leases ----------------------------------------------------------------------------------- */

static struct lease **find(const struct book *book, struct slice packed_key)
{
    struct lease **at = (struct lease **)&book->leases;
    while (*at && !slice_equal(instance_packed_key((*at)->wanted), packed_key))
        at = &(*at)->next;
    return at;
}

static void settle(struct lease *lease, enum artemis_error error, const char *text)
{
    struct ticket *ticket = lease->tickets;
    lease->tickets = NULL;
    while (ticket) {
        struct ticket *next = ticket->next; /* once done, it is not ours */
        problem_set(&ticket->problem, error, "%s", text);
        ticket->done = true;
        ticket = next;
    }
}

static void hang(struct lease *lease, struct ticket *ticket)
{
    if (!ticket)
        return;
    ticket->next = lease->tickets;
    lease->tickets = ticket;
}

/* Takes the lease out of the list at `at`. */
static void drop(struct lease **at)
{
    struct lease *lease = *at;
    *at = lease->next;
    assert(!lease->tickets);
    instance_unref(lease->wanted);
    instance_unref(lease->taken);
    free(lease);
}

enum error book_want(struct book *book, struct instance *instance, struct ticket *ticket)
{
    struct lease *lease = *find(book, instance_packed_key(instance));
    if (!lease) {
        lease = calloc(1, sizeof *lease);
        if (!lease)
            return ERR_NO_MEMORY;
        lease->next = book->leases;
        book->leases = lease;
    }
    settle(lease, ARTEMIS_TIMED_OUT, "overtaken by a later call for the same instance");
    instance_unref(lease->wanted);
    lease->wanted = instance_ref(instance);
    lease->state = LEASE_ASKED;
    hang(lease, ticket);
    return ERR_NONE;
}

static void leave(struct lease **at, uint64_t leave_by_ms, struct ticket *ticket)
{
    struct lease *lease = *at;
    settle(lease, ARTEMIS_TIMED_OUT, "overtaken by a later call for the same instance");
    lease->state = LEASE_LEAVING;
    lease->leave_by_ms = leave_by_ms;
    hang(lease, ticket);
    if (lease->was_sent)
        return;
    settle(lease, ARTEMIS_OK, "");
    drop(at);
}

bool book_leave(struct book *book, const struct instance_key *key, uint64_t leave_by_ms,
                struct ticket *ticket)
{
    struct lease **at = find(book, instance_key_packed(key));
    if (!*at || (*at)->state == LEASE_LEAVING)
        return false;
    leave(at, leave_by_ms, ticket);
    return true;
}

void book_leave_all(struct book *book, uint64_t leave_by_ms)
{
    for (struct lease **at = &book->leases; *at;) {
        struct lease *lease = *at;
        leave(at, leave_by_ms, NULL);
        if (*at == lease)
            at = &lease->next;
    }
}

struct instance *book_find(const struct book *book, const struct instance_key *key)
{
    struct lease *lease = *find(book, instance_key_packed(key));
    return lease && lease->state != LEASE_LEAVING ? lease->wanted : NULL;
}

bool book_is_empty(const struct book *book)
{
    return !book->leases;
}

void book_forget_ticket(struct book *book, struct ticket *ticket)
{
    for (struct lease *lease = book->leases; lease; lease = lease->next)
        for (struct ticket **at = &lease->tickets; *at; at = &(*at)->next)
            if (*at == ticket) {
                *at = ticket->next;
                return;
            }
}

/* --- what is due ------------------------------------------------------------------------------ */

static void drop_overdue(struct book *book, uint64_t now_ms)
{
    for (struct lease **at = &book->leases; *at;) {
        struct lease *lease = *at;
        if (lease->state != LEASE_LEAVING || lease->leave_by_ms > now_ms) {
            at = &lease->next;
            continue;
        }
        settle(lease, ARTEMIS_TIMED_OUT, "no server answered; the lease ends by itself");
        drop(at);
    }
}

static bool is_due(const struct lease *lease, enum book_call call, uint64_t now_ms)
{
    static const enum lease_state states[] = {[BOOK_REGISTER] = LEASE_ASKED,
                                              [BOOK_HEARTBEAT] = LEASE_KEPT,
                                              [BOOK_UNREGISTER] = LEASE_LEAVING};
    if (lease->state != states[call])
        return false;
    return call != BOOK_HEARTBEAT || lease->due_ms <= now_ms;
}

/* Leaving comes first: it is about what was there before. */
static bool choose_call(const struct book *book, uint64_t now_ms, enum book_call *call)
{
    static const enum book_call order[] = {BOOK_UNREGISTER, BOOK_REGISTER, BOOK_HEARTBEAT};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (const struct lease *lease = book->leases; lease; lease = lease->next)
            if (is_due(lease, order[i], now_ms)) {
                *call = order[i];
                return true;
            }
    return false;
}

static uint64_t next_time(const struct book *book)
{
    uint64_t at_ms = UINT64_MAX;
    for (const struct lease *lease = book->leases; lease; lease = lease->next)
        if (lease->state == LEASE_KEPT && lease->due_ms < at_ms)
            at_ms = lease->due_ms;
    return at_ms;
}

bool book_next(struct book *book, uint64_t now_ms, struct book_request *request, uint64_t *at_ms)
{
    enum book_call call = BOOK_HEARTBEAT;
    *at_ms = UINT64_MAX;
    if (book->under_way)
        return false;
    drop_overdue(book, now_ms);
    if (!choose_call(book, now_ms, &call)) {
        *at_ms = next_time(book);
        return false;
    }
    struct instance **instances = calloc(BOOK_BATCH_MAX, sizeof(struct instance *));
    if (!instances) {
        *at_ms = now_ms + NO_MEMORY_PAUSE_MS;
        return false;
    }
    *request = (struct book_request){.call = call, .instances = instances};
    /* Heartbeats that are due soon go along, and so come to be due together. */
    uint64_t soon_ms = now_ms + book->heartbeat_ms / 2;
    for (struct lease *lease = book->leases; lease && request->count < BOOK_BATCH_MAX;
         lease = lease->next)
        if (is_due(lease, call, soon_ms)) {
            instances[request->count++] = instance_ref(lease->wanted);
            lease->was_sent = true;
        }
    book->under_way = true;
    return true;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void free_request(struct book_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        instance_unref(request->instances[i]);
    free(request->instances);
    *request = (struct book_request){0};
}

static void on_done(struct lease **at, enum book_call call, struct instance *sent, uint64_t due_ms)
{
    struct lease *lease = *at;
    lease->due_ms = due_ms;
    if (call == BOOK_REGISTER) {
        instance_unref(lease->taken);
        lease->taken = instance_ref(sent);
    }
    /* What was asked while the answer was under way comes next. */
    if (call == BOOK_REGISTER && lease->state == LEASE_ASKED && lease->wanted == sent) {
        lease->state = LEASE_KEPT;
        settle(lease, ARTEMIS_OK, "");
    }
    if (call == BOOK_UNREGISTER && lease->state == LEASE_LEAVING) {
        settle(lease, ARTEMIS_OK, "");
        drop(at);
    }
}

/* What was never taken is not kept; a change that is refused is undone. What a server took before
 * and another refuses now is not given up: its next heartbeat tries again. */
static void on_refused_registration(struct lease **at, uint64_t due_ms, const char *message)
{
    struct lease *lease = *at;
    settle(lease, ARTEMIS_REFUSED, message);
    if (!lease->taken) {
        drop(at);
        return;
    }
    struct instance *refused = lease->wanted;
    lease->wanted = instance_ref(lease->taken);
    instance_unref(refused);
    lease->state = LEASE_KEPT;
    lease->due_ms = due_ms;
}

static void on_refused(struct lease **at, enum book_call call, struct instance *sent,
                       uint64_t due_ms, const char *message)
{
    struct lease *lease = *at;
    if (call == BOOK_REGISTER && lease->state == LEASE_ASKED && lease->wanted == sent)
        on_refused_registration(at, due_ms, message);
    if (call == BOOK_HEARTBEAT)
        lease->due_ms = due_ms;
    if (call == BOOK_UNREGISTER && lease->state == LEASE_LEAVING) {
        settle(lease, ARTEMIS_REFUSED, message);
        drop(at);
    }
}

static const struct wire_failure *failure_of(const struct wire_outcome *outcome,
                                             const struct instance *instance)
{
    struct slice key = instance_packed_key(instance);
    for (size_t i = 0; i < outcome->failure_count; i++)
        if (slice_equal(instance_key_packed(&outcome->failures[i].key), key))
            return &outcome->failures[i];
    return NULL;
}

static void on_item(struct book *book, enum book_call call, struct instance *sent,
                    const struct wire_outcome *outcome, uint64_t now_ms, struct book_news *news)
{
    struct lease **at = find(book, instance_packed_key(sent));
    const struct wire_failure *failure = outcome->done ? NULL : failure_of(outcome, sent);
    uint64_t due_ms = now_ms + book->heartbeat_ms;
    if (!*at)
        return;
    /* Without a list of items it is the whole that was refused. */
    if (outcome->done || (!failure && outcome->failure_count > 0)) {
        on_done(at, call, sent, due_ms);
        return;
    }
    if (call == BOOK_HEARTBEAT && failure && strcmp(failure->reason, "instance-not-found") == 0) {
        news->lost++;
        if ((*at)->state == LEASE_KEPT)
            (*at)->state = LEASE_ASKED;
        return;
    }
    const char *message = failure ? failure->message : outcome->message;
    memcpy(news->refused, message, sizeof news->refused);
    on_refused(at, call, sent, due_ms, message);
}

void book_answered(struct book *book, struct book_request *request,
                   const struct wire_outcome *outcome, uint64_t now_ms, struct book_news *news)
{
    *news = (struct book_news){0};
    for (size_t i = 0; i < request->count; i++)
        on_item(book, request->call, request->instances[i], outcome, now_ms, news);
    free_request(request);
    book->under_way = false;
}

void book_failed(struct book *book, struct book_request *request)
{
    free_request(request);
    book->under_way = false;
}

void book_free(struct book *book)
{
    while (book->leases) {
        settle(book->leases, ARTEMIS_TIMED_OUT, "the client was closed");
        drop(&book->leases);
    }
}

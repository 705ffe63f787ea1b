/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct scheduled_call {
    uint64_t when_ms;
    uint64_t order; /* orders events of the same time */
    sim_event *call;
    void *context;
    uint32_t a, b;
};

/* A binary heap; the earliest event is first. */
static struct scheduled_call *heap;
static size_t heap_count;
static size_t heap_capacity;
static uint64_t next_order;

static bool is_before(const struct scheduled_call *a, const struct scheduled_call *b)
{
    return a->when_ms != b->when_ms ? a->when_ms < b->when_ms : a->order < b->order;
}

static void swap(size_t a, size_t b)
{
    struct scheduled_call event = heap[a];
    heap[a] = heap[b];
    heap[b] = event;
}

void sim_at(uint64_t when_ms, sim_event *call, void *context, uint32_t a, uint32_t b)
{
    if (heap_count == heap_capacity) {
        heap_capacity = heap_capacity ? heap_capacity * 2 : 1024;
        heap = realloc(heap, heap_capacity * sizeof(*heap));
        if (!heap)
            abort();
    }
    size_t at = heap_count++;
    heap[at] = (struct scheduled_call){when_ms, next_order++, call, context, a, b};
    for (; at && is_before(&heap[at], &heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(at, (at - 1) / 2);
}

static struct scheduled_call remove_first(void)
{
    struct scheduled_call first = heap[0];
    heap[0] = heap[--heap_count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap_count; child++)
            if (is_before(&heap[child], &heap[least]))
                least = child;
        if (least == at)
            return first;
        swap(at, least);
        at = least;
    }
}

void sim_run(struct sim *sim, uint64_t until_ms)
{
    while (heap_count && heap[0].when_ms <= until_ms && !sim->failure[0]) {
        struct scheduled_call event = remove_first();
        sim->now_ms = event.when_ms;
        sim->counts.events++;
        event.call(sim, event.context, event.a, event.b);
    }
    if (!sim->failure[0])
        sim->now_ms = until_ms;
}

void sim_clear_events(void (*drop)(sim_event *call, void *context))
{
    for (size_t i = 0; i < heap_count; i++)
        drop(heap[i].call, heap[i].context);
    free(heap);
    heap = NULL;
    heap_count = heap_capacity = 0;
    next_order = 0;
}

/* xorshift64*, as in the replicator: reproducible for one seed. */
uint64_t sim_random(struct sim *sim, uint64_t below)
{
    sim->random ^= sim->random >> 12;
    sim->random ^= sim->random << 25;
    sim->random ^= sim->random >> 27;
    return (sim->random * 0x2545F4914F6CDD1D >> 16) % below;
}

bool sim_chance(struct sim *sim, uint32_t percent)
{
    return sim_random(sim, 100) < percent;
}

uint64_t sim_faults_end_ms(const struct sim *sim)
{
    return WORLD_EPOCH_MS + sim->settings.faults_ms;
}

uint64_t sim_end_ms(const struct sim *sim)
{
    return sim_faults_end_ms(sim) + RECOVERY_MS + sim->settings.extra_ms;
}

uint64_t sim_quiet_ms(const struct sim *sim)
{
    if (sim->settings.quiet_ms)
        return WORLD_EPOCH_MS + sim->settings.quiet_ms;
    uint64_t hops = sim->settings.hops > 1 ? sim->settings.hops - 1 : 0;
    return sim_end_ms(sim) - QUIET_MS - hops * 2 * ANTI_ENTROPY_MS;
}

/* --- the log ---------------------------------------------------------------------------------- */

enum { STORY_LINES = 60, LINE_BYTES = 160 };

static bool stores_story;
static int story_client;
static char story[STORY_LINES][LINE_BYTES];
static size_t story_count;

void sim_start_story(int client)
{
    stores_story = true;
    story_client = client;
    story_count = 0;
}

void sim_print_story(void)
{
    for (size_t i = story_count > STORY_LINES ? story_count - STORY_LINES : 0; i < story_count; i++)
        printf("  %s\n", story[i % STORY_LINES]);
}

/* A line about an instance begins with its id: i7. */
static bool concerns_other_client(const char *text)
{
    unsigned client;
    return sscanf(text, "i%u", &client) == 1 && (int)client != story_client;
}

void sim_log(struct sim *sim, const char *format, ...)
{
    char text[LINE_BYTES - 16];
    if (!sim->verbose)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    double secs = (double)(sim->now_ms - WORLD_EPOCH_MS) / 1000;
    if (!stores_story)
        printf("%8.3f  %s\n", secs, text);
    else if (!concerns_other_client(text))
        snprintf(story[story_count++ % STORY_LINES], LINE_BYTES, "%8.3f  %s", secs, text);
}

void sim_fail(struct sim *sim, int invariant, int client, const char *format, ...)
{
    if (sim->failure[0])
        return; /* only the first failure is reported */
    sim->failed_client = client;
    sim->counts.failed_by[invariant]++;
    double secs = (double)(sim->now_ms - WORLD_EPOCH_MS) / 1000;
    int at =
        snprintf(sim->failure, sizeof(sim->failure), "invariant %d at %.3f s: ", invariant, secs);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim->failure + at, sizeof(sim->failure) - (size_t)at, format, arguments);
    va_end(arguments);
}

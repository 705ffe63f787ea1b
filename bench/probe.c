/* SPDX-License-Identifier: Apache-2.0
 *
 * probe - what discovery is like while many leases end together.
 *
 *   probe --port PORT --ttl-secs 5 [--services 1000] [--per-service 100] [--rate 4000]
 *         [--connections 8]
 *
 * Registers services x per-service instances, renews all of them as fast as two connections can,
 * and then asks for each service in turn, at a fixed rate, until a second after the last lease
 * ended. The server must run with lease.ttl_secs = --ttl-secs and lease.guard_percent = 0.
 *
 * A request's latency counts from the moment it was due, not from when it was sent: a server that
 * stalls is charged for all that waited meanwhile. A stale answer is one that shows an instance
 * although it was asked for after the lease's end; its age is the time between the two. The end is
 * reckoned from the response to the renewal, so that the server is never charged for the network.
 *
 * Prints one line: spread_ms (first to last lease end), calm_p50_ms, calm_p99_ms (before the end),
 * p50_ms, p99_ms, max_ms (from 200 ms before the first end to 500 ms after the last), stale_ms (age
 * of the oldest stale answer), early (answers without an instance before its lease ended), failed
 * (answers other than 200), left (services still shown at the very end).
 */
#include "bench/common.h"

#include <pthread.h>
#include <sys/prctl.h>

#define BATCH           1000
#define MAX_CONNECTIONS 64
#define BEFORE_SECS     0.2
#define AFTER_SECS      0.5
#define WATCH_SECS      1.0 /* after the last end */

struct renewal {
    double sent, answered;
};

struct plan {
    uint16_t port;
    uint32_t services, per_service, rate, connections, batches;
    double ttl_secs;
    double begin, end;          /* when the probes ask */
    double first_end, last_end; /* of the leases */
    struct renewal *renewals;   /* of each batch */
};

struct half {
    struct plan *plan;
    uint32_t first;
};

struct sample {
    double due, sent, received;
    uint32_t service;
    bool shows_instance;
};

struct prober {
    pthread_t thread;
    const struct plan *plan;
    uint32_t id;
    struct sample *samples;
    size_t count, capacity;
    size_t failed;
};

struct result {
    double *calm_ms, *window_ms;
    size_t calm_count, window_count, early, failed;
    double stale_ms;
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (!memory)
        die("out of memory");
    return memory;
}

static bool shows_instance(struct http *h, uint32_t service, size_t *failed)
{
    char path[128];

    snprintf(path, sizeof path, "/api/discovery/service?service_id=bench-%06u", service);
    struct http_response response = http_get(h, path);
    *failed += response.status != 200;
    return memmem(response.body, response.body_bytes, "\"instance_id\"", 13) != NULL;
}

/* Renews every other batch, from the first or the second on. */
static void *renew_half(void *argument)
{
    struct half *half = argument;
    struct plan *plan = half->plan;
    struct http h;

    http_open(&h, plan->port);
    for (uint32_t batch = half->first; batch < plan->batches; batch += 2) {
        plan->renewals[batch].sent = now_secs();
        http_renew(&h, batch * BATCH, BATCH, plan->per_service);
        plan->renewals[batch].answered = now_secs();
    }
    http_close(&h);
    return NULL;
}

static void renew_all(struct plan *plan)
{
    struct half even = {plan, 0}, odd = {plan, 1};
    pthread_t thread;

    if (pthread_create(&thread, NULL, renew_half, &odd) != 0)
        die("pthread_create: %s", strerror(errno));
    renew_half(&even);
    pthread_join(thread, NULL);
}

/* The bounds of when the leases of a batch end. */
static struct renewal lease_end(const struct plan *plan, uint32_t batch)
{
    return (struct renewal){.sent = plan->renewals[batch].sent + plan->ttl_secs,
                            .answered = plan->renewals[batch].answered + plan->ttl_secs};
}

static void register_and_renew(struct plan *plan)
{
    uint32_t total = plan->services * plan->per_service;
    struct http h;

    http_open(&h, plan->port);
    for (uint32_t first = 0; first < total; first += BATCH)
        http_register(&h, first, BATCH, plan->per_service);
    http_close(&h);
    renew_all(plan);
    plan->begin = now_secs() + 0.1;
    plan->first_end = plan->begin + plan->ttl_secs;
    for (uint32_t batch = 0; batch < plan->batches; batch++) {
        struct renewal end = lease_end(plan, batch);
        plan->first_end = end.sent < plan->first_end ? end.sent : plan->first_end;
        plan->last_end = end.answered > plan->last_end ? end.answered : plan->last_end;
    }
    plan->end = plan->last_end + WATCH_SECS;
    if (plan->begin + 0.5 > plan->first_end)
        die("registering and renewing took too long for a ttl of %.0f s", plan->ttl_secs);
}

static void sleep_until(double when)
{
    struct timespec t = {.tv_sec = (time_t)when};

    t.tv_nsec = (long)((when - (double)t.tv_sec) * 1e9);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* One connection: it asks every connections / rate seconds, each time for another service. */
static void *ask(void *argument)
{
    struct prober *p = argument;
    const struct plan *plan = p->plan;
    struct http h;

    prctl(PR_SET_TIMERSLACK, 1UL);
    http_open(&h, plan->port);
    for (uint32_t turn = p->id; p->count < p->capacity; turn += plan->connections) {
        struct sample *s = &p->samples[p->count];
        s->due = plan->begin + (double)turn / plan->rate;
        if (s->due > plan->end)
            break;
        sleep_until(s->due);
        s->service = turn % plan->services;
        s->sent = now_secs();
        s->shows_instance = shows_instance(&h, s->service, &p->failed);
        s->received = now_secs();
        p->count++;
    }
    http_close(&h);
    return NULL;
}

static void evaluate(const struct plan *plan, const struct sample *s, struct result *r)
{
    struct renewal end = lease_end(plan, s->service * plan->per_service / BATCH);
    double latency_ms = (s->received - s->due) * 1e3;
    double stale_ms = (s->sent - end.answered) * 1e3;

    if (s->due < plan->first_end - BEFORE_SECS)
        r->calm_ms[r->calm_count++] = latency_ms;
    else if (s->due < plan->last_end + AFTER_SECS)
        r->window_ms[r->window_count++] = latency_ms;
    if (s->shows_instance && stale_ms > r->stale_ms)
        r->stale_ms = stale_ms;
    if (!s->shows_instance && s->received < end.sent)
        r->early++;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Values must be sorted. */
static double percentile(const double *values, size_t count, double percent)
{
    size_t rank = (size_t)((double)count * percent / 100);

    return count == 0 ? 0 : values[rank < count ? rank : count - 1];
}

static size_t count_left(const struct plan *plan)
{
    size_t left = 0, failed = 0;
    struct http h;

    http_open(&h, plan->port);
    for (uint32_t service = 0; service < plan->services; service++)
        left += shows_instance(&h, service, &failed);
    http_close(&h);
    return left;
}

static void run_probers(const struct plan *plan, struct prober *probers)
{
    for (uint32_t id = 0; id < plan->connections; id++) {
        struct prober *p = &probers[id];
        double turns = (plan->end - plan->begin) * plan->rate / plan->connections;
        *p = (struct prober){.plan = plan, .id = id, .capacity = (size_t)turns + 2};
        p->samples = allocate(p->capacity, sizeof *p->samples);
        if (pthread_create(&p->thread, NULL, ask, p) != 0)
            die("pthread_create: %s", strerror(errno));
    }
    for (uint32_t id = 0; id < plan->connections; id++)
        pthread_join(probers[id].thread, NULL);
}

static void report(const struct plan *plan, struct prober *probers)
{
    struct result r = {0};
    size_t total = 0;

    for (uint32_t id = 0; id < plan->connections; id++)
        total += probers[id].count;
    r.calm_ms = allocate(total, sizeof *r.calm_ms);
    r.window_ms = allocate(total, sizeof *r.window_ms);
    for (uint32_t id = 0; id < plan->connections; id++) {
        for (size_t i = 0; i < probers[id].count; i++)
            evaluate(plan, &probers[id].samples[i], &r);
        r.failed += probers[id].failed;
        free(probers[id].samples);
    }
    qsort(r.calm_ms, r.calm_count, sizeof *r.calm_ms, compare);
    qsort(r.window_ms, r.window_count, sizeof *r.window_ms, compare);
    printf("spread_ms=%.0f samples=%zu calm_p50_ms=%.2f calm_p99_ms=%.2f p50_ms=%.2f p99_ms=%.2f "
           "max_ms=%.2f stale_ms=%.0f early=%zu failed=%zu left=%zu\n",
           (plan->last_end - plan->first_end) * 1e3, r.window_count,
           percentile(r.calm_ms, r.calm_count, 50), percentile(r.calm_ms, r.calm_count, 99),
           percentile(r.window_ms, r.window_count, 50), percentile(r.window_ms, r.window_count, 99),
           percentile(r.window_ms, r.window_count, 100), r.stale_ms, r.early, r.failed,
           count_left(plan));
    free(r.calm_ms);
    free(r.window_ms);
}

int main(int argc, char **argv)
{
    (void)argc;
    static struct prober probers[MAX_CONNECTIONS];
    struct plan plan = {
        .port = option_port(argv),
        .services = option_number(argv, "--services", 1000),
        .per_service = option_number(argv, "--per-service", 100),
        .rate = option_number(argv, "--rate", 4000),
        .connections = option_number(argv, "--connections", 8),
        .ttl_secs = option_number(argv, "--ttl-secs", 5),
    };
    uint32_t total = plan.services * plan.per_service;

    if (total == 0 || total % BATCH != 0 || BATCH % plan.per_service != 0)
        die("%s: --per-service must divide %d, and that the instances", argv[0], BATCH);
    if (plan.rate == 0 || plan.connections == 0 || plan.connections > MAX_CONNECTIONS)
        die("%s: --rate must be positive, --connections 1 to %d", argv[0], MAX_CONNECTIONS);
    plan.batches = total / BATCH;
    plan.renewals = allocate(plan.batches, sizeof *plan.renewals);
    register_and_renew(&plan);
    run_probers(&plan, probers);
    report(&plan, probers);
    free(plan.renewals);
    return 0;
}

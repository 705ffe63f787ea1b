/* SPDX-License-Identifier: Apache-2.0
 *
 * lag - measures the replication lag under load: from the response at one node until the change is
 * visible at another.
 *
 *   lag --port PORT [--watch PORT] [--secs 10] [--changes 2000] [--renewals 20000]
 *       [--pause-us 2000] [--instances 20000]
 *
 * At --port, one connection changes instances and another renews leases, at the given rates per
 * second; 0 turns one off. A third connection changes one instance at a time there and polls
 * --watch until the new content is visible. Without --watch it measures only the time of the
 * registration. The server needs a lease.ttl_secs longer than the measurement.
 *
 * Prints one line: samples, lag_p50_ms, lag_p99_ms, register_p50_ms, register_p99_ms, changed,
 * renewed (the numbers of the load).
 */
#include "bench/common.h"

#include <pthread.h>

#define PER_SERVICE 10u
#define BEATS       100u /* batches per second */
#define PROBES      500u /* services, changed in turn */
#define PORTS       60000u
#define SAMPLES_MAX 200000u
#define SEEN_SECS   10.0

struct plan {
    uint16_t port, watch;
    double begin, end;
    uint32_t pause_us;
    uint32_t instances;
};

struct load {
    const struct plan *plan;
    uint32_t each_beat;
    bool renews;
    uint64_t done;
};

struct probe_samples {
    double *lag_ms, *register_ms;
    size_t count;
};

static void sleep_until(double when)
{
    double left = when - now_secs();

    if (left > 0)
        usleep((useconds_t)(left * 1e6));
}

/* --- load ------------------------------------------------------------------------------------- */

/* Different content each round, so that every registration is a change. */
static void add_changed(struct text *t, uint32_t n, uint32_t per_service, uint64_t round)
{
    text_add_ids(t, n, per_service);
    text_printf(t, ",\"ip\":\"10.0.0.1\",\"port\":%u,\"status\":\"up\"}",
                1024u + (uint32_t)(round % 50000));
}

static void change(struct http *h, uint32_t first, uint32_t count, uint64_t round)
{
    struct text body = {0};

    text_append_string(&body, "{\"instances\":[");
    for (uint32_t i = 0; i < count; i++) {
        text_append_string(&body, i ? "," : "");
        add_changed(&body, first + i, PER_SERVICE, round);
    }
    text_append_string(&body, "]}");
    if (http_post(h, "/api/registry/register", &body).status != 200)
        die("a change was refused");
    text_free(&body);
}

static void *run_load(void *argument)
{
    struct load *load = argument;
    struct http h;
    uint32_t next = 0;

    http_open(&h, load->plan->port);
    for (uint64_t beat = 0; now_secs() < load->plan->end; beat++) {
        sleep_until(load->plan->begin + (double)beat / BEATS);
        if (load->renews)
            http_renew(&h, next, load->each_beat, PER_SERVICE);
        else
            change(&h, next, load->each_beat, beat);
        next += load->each_beat;
        if (next + load->each_beat > load->plan->instances)
            next = 0;
        load->done += load->each_beat;
    }
    http_close(&h);
    return NULL;
}

/* --- probes ----------------------------------------------------------------------------------- */

static double register_probe(struct http *h, uint32_t probe, uint32_t port)
{
    struct text body = {0};
    double begin = now_secs();

    text_printf(&body,
                "{\"instances\":[{\"region_id\":\"local\",\"zone_id\":\"zone1\",\"service_id\":"
                "\"probe-%u\",\"instance_id\":\"i\",\"ip\":\"10.0.0.1\",\"port\":%u}]}",
                probe, port);
    if (http_post(h, "/api/registry/register", &body).status != 200)
        die("a registration was refused");
    text_free(&body);
    return now_secs() - begin;
}

static double wait_until_seen(struct http *h, uint32_t probe, uint32_t port)
{
    char path[128];
    char wanted[32];
    double begin = now_secs();

    snprintf(path, sizeof path, "/api/discovery/service?service_id=probe-%u", probe);
    snprintf(wanted, sizeof wanted, "\"port\":%u,", port);
    while (!strstr(http_get(h, path).body, wanted))
        if (now_secs() - begin > SEEN_SECS)
            die("probe-%u: not seen after %.0f s", probe, SEEN_SECS);
    return now_secs() - begin;
}

static void run_probes(const struct plan *plan, struct probe_samples *samples)
{
    struct http writer;
    struct http watcher;
    /* Each run registers other ports: a registration of the same content is only a renewal. */
    uint32_t first_port = (uint32_t)(now_secs() * 1000) % PORTS;

    http_open(&writer, plan->port);
    if (plan->watch)
        http_open(&watcher, plan->watch);
    while (now_secs() < plan->end && samples->count < SAMPLES_MAX) {
        uint32_t probe = (uint32_t)samples->count % PROBES;
        uint32_t port = 1024 + (first_port + (uint32_t)samples->count) % PORTS;
        samples->register_ms[samples->count] = register_probe(&writer, probe, port) * 1e3;
        samples->lag_ms[samples->count] =
            plan->watch ? wait_until_seen(&watcher, probe, port) * 1e3 : 0;
        samples->count++;
        usleep(plan->pause_us);
    }
    http_close(&writer);
    if (plan->watch)
        http_close(&watcher);
}

/* --- report ----------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double quantile(double *values, size_t count, double q)
{
    qsort(values, count, sizeof *values, by_value);
    return count ? values[(size_t)((double)(count - 1) * q)] : 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    struct plan plan = {.port = option_port(argv),
                        .watch = (uint16_t)option_number(argv, "--watch", 0),
                        .pause_us = option_number(argv, "--pause-us", 2000),
                        .instances = option_number(argv, "--instances", 20000)};
    uint32_t secs = option_number(argv, "--secs", 10);
    struct load changes = {.plan = &plan,
                           .each_beat = option_number(argv, "--changes", 2000) / BEATS};
    struct load renewals = {.plan = &plan,
                            .each_beat = option_number(argv, "--renewals", 20000) / BEATS,
                            .renews = true};
    struct probe_samples samples = {.lag_ms = calloc(SAMPLES_MAX, sizeof(double)),
                                    .register_ms = calloc(SAMPLES_MAX, sizeof(double))};
    pthread_t threads[2];
    struct http h;

    if (!samples.lag_ms || !samples.register_ms)
        die("out of memory");
    http_open(&h, plan.port);
    if (plan.instances < 1000 || changes.each_beat > plan.instances ||
        renewals.each_beat > plan.instances)
        die("--instances: must be at least 1000, and a hundredth of --changes and --renewals");
    for (uint32_t first = 0; first < plan.instances && (changes.each_beat || renewals.each_beat);
         first += 1000)
        http_register(&h, first, 1000, PER_SERVICE);
    http_close(&h);
    plan.begin = now_secs() + 0.1;
    plan.end = plan.begin + secs;
    if (changes.each_beat && pthread_create(&threads[0], NULL, run_load, &changes))
        die("cannot start a thread");
    if (renewals.each_beat && pthread_create(&threads[1], NULL, run_load, &renewals))
        die("cannot start a thread");
    run_probes(&plan, &samples);
    if (changes.each_beat)
        pthread_join(threads[0], NULL);
    if (renewals.each_beat)
        pthread_join(threads[1], NULL);
    printf("samples=%zu lag_p50_ms=%.2f lag_p99_ms=%.2f register_p50_ms=%.3f "
           "register_p99_ms=%.3f changed=%llu renewed=%llu\n",
           samples.count, quantile(samples.lag_ms, samples.count, 0.5),
           quantile(samples.lag_ms, samples.count, 0.99),
           quantile(samples.register_ms, samples.count, 0.5),
           quantile(samples.register_ms, samples.count, 0.99), (unsigned long long)changes.done,
           (unsigned long long)renewals.done);
    free(samples.lag_ms);
    free(samples.register_ms);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The membership provider `dns`: a thread that resolves cluster.dns.names with c-ares.
 *
 * The thread sleeps until a name is due (dns_plan.h), and then resolves all names that are due in
 * one round, with a channel of its own, so each round reads /etc/resolv.conf again. A round ends at
 * the timeouts of c-ares; each response counts at once. A name with a port has A records, or AAAA
 * records where it has no A record; a name of a service has SRV records, whose targets have the
 * addresses. With TLS, the certificate of a member must have the name that was resolved: that of
 * the settings, or the target.
 */
#include "artemis-server/cluster/providers/provider.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/cluster/providers/dns_plan.h"
#include "artemis-server/cluster/providers/member_address.h"
#include "artemis-server/log.h"

enum {
    MS_PER_SEC = 1000,
    QUERY_TIMEOUT_MS = 1000, /* of the first try at a server; c-ares doubles it for the second */
    QUERY_TRIES = 2,
    ROUND_MS = 5000, /* how long names that become due join a round */
    POLL_MS_MAX = 3600 * MS_PER_SEC,
    SERVERS_BYTES = 4096,
};

struct dns;

/* A name that is being resolved. */
struct job {
    struct dns *dns;
    size_t number; /* of the name in the plan */
    bool is_running;
    unsigned in_flight; /* queries */
    struct member_list members;
    struct dns_targets targets; /* of an SRV record, which has them */
    size_t left_out;
    uint32_t ttl_secs;
    const char *problem;                      /* NULL: none */
    char target_problem[DNS_HOST_BYTES + 80]; /* of the last target that failed; "": none */
};

struct query {
    struct job *job;
    enum dns_type type;
    char host[DNS_HOST_BYTES];
    uint16_t port;
};

struct dns {
    struct provider *provider;
    pthread_t thread;
    int wake_fd;          /* an eventfd: there is something to read below */
    pthread_mutex_t lock; /* of the next two */
    bool is_stopping;
    struct dns_plan *next; /* after a reload; NULL: none */
    /* Of the thread alone: */
    struct dns_plan *plan;
    ares_channel channel;
    unsigned in_flight; /* queries of the round */
    struct job jobs[CONFIG_DNS_NAMES_MAX];
};

static void wake(struct dns *dns)
{
    uint64_t one = 1;
    (void)!write(dns->wake_fd, &one, sizeof(one));
}

static void clear_wake(struct dns *dns)
{
    uint64_t count;
    (void)!read(dns->wake_fd, &count, sizeof(count));
}

/* --- queries ---------------------------------------------------------------------------------- */

static void start_query(struct job *job, enum dns_type type, const char *host, uint16_t port);

static void end_query(struct query *query)
{
    struct job *job = query->job;
    job->in_flight--;
    job->dns->in_flight--;
    free(query);
}

static bool is_service(const struct job *job)
{
    return job->dns->plan->names[job->number].port == 0;
}

/* A target may be in several records, one for each port. */
static void add_target(struct job *job, const char *host, const char *url)
{
    struct dns_targets *targets = &job->targets;
    for (size_t i = 0; i < targets->count; i++)
        if (strcmp(targets->items[i].url, url) == 0 && strcmp(targets->items[i].host, host) == 0)
            return;
    if (targets->count == MEMBERS_MAX)
        return;
    snprintf(targets->items[targets->count].host, DNS_HOST_BYTES, "%s", host);
    snprintf(targets->items[targets->count].url, MEMBER_URL_BYTES, "%s", url);
    targets->count++;
}

static void add_address(struct job *job, const struct query *query, const char *address)
{
    char text[DNS_HOST_BYTES + 16];
    const struct config *config = job->dns->provider->config;
    snprintf(text, sizeof(text), query->type == DNS_AAAA ? "[%s]:%u" : "%s:%u", address,
             query->port);
    enum error error = member_address_add(&job->members, config, text, query->host);
    job->left_out += error != ERR_NONE;
    if (!error && is_service(job))
        add_target(job, query->host, text);
}

/* A target that fails keeps its last addresses; the others are used as they are. */
static void fail_query(const struct query *query, const char *problem)
{
    struct job *job = query->job;
    const struct dns_targets *before = &job->dns->plan->names[job->number].targets;
    if (query->type == DNS_SRV || !is_service(job)) {
        job->problem = problem;
        return;
    }
    snprintf(job->target_problem, sizeof(job->target_problem), "%s: %s; its last addresses stay",
             query->host, problem);
    for (size_t i = 0; i < before->count; i++) {
        if (strcmp(before->items[i].host, query->host) != 0)
            continue;
        job->left_out += member_address_add(&job->members, job->dns->provider->config,
                                            before->items[i].url, query->host) != ERR_NONE;
        add_target(job, query->host, before->items[i].url);
    }
}

/* A target of another domain is left out. */
static void start_target(struct job *job, const struct dns_record *record)
{
    if (dns_name_has_target(&job->dns->plan->names[job->number], record->host))
        start_query(job, DNS_A, record->host, record->port);
}

/* A target without addresses is left out: its record may be removed a moment later. */
static void read_response(struct query *query, const unsigned char *data, int size)
{
    struct job *job = query->job;
    struct dns_response response;
    if (!dns_response_read(data, (size_t)size, query->type, &response)) {
        fail_query(query, "the response of the server is not valid");
        return;
    }
    if (response.ttl_secs < job->ttl_secs)
        job->ttl_secs = response.ttl_secs;
    job->left_out += response.left_out;
    for (size_t i = 0; i < response.count; i++)
        if (query->type == DNS_SRV)
            start_target(job, &response.records[i]);
        else
            add_address(job, query, response.records[i].host);
    if (query->type == DNS_A && response.count == 0)
        start_query(job, DNS_AAAA, query->host, query->port);
}

static void on_response(void *context, int status, int timeouts, unsigned char *data, int size)
{
    struct query *query = context;
    (void)timeouts;
    if (status == ARES_SUCCESS)
        read_response(query, data, size);
    else if (status == ARES_ENODATA && query->type == DNS_A)
        start_query(query->job, DNS_AAAA, query->host, query->port);
    else if (status != ARES_ENODATA && status != ARES_ENOTFOUND)
        fail_query(query, ares_strerror(status));
    end_query(query);
}

static void start_query(struct job *job, enum dns_type type, const char *host, uint16_t port)
{
    struct query *query = calloc(1, sizeof(*query));
    if (!query) {
        job->problem = error_info(ERR_NO_MEMORY)->message;
        return;
    }
    query->job = job;
    query->type = type;
    query->port = port;
    snprintf(query->host, sizeof(query->host), "%s", host);
    job->in_flight++;
    job->dns->in_flight++;
    ares_query(job->dns->channel, query->host, ns_c_in, (int)type, on_response, query);
}

/* --- a round ---------------------------------------------------------------------------------- */

static bool is_stopping(struct dns *dns)
{
    pthread_mutex_lock(&dns->lock);
    bool stopping = dns->is_stopping;
    pthread_mutex_unlock(&dns->lock);
    return stopping;
}

/* "10.0.0.53:53,[fd00::53]:53" */
static bool set_servers(ares_channel channel, const struct config_list *servers)
{
    char text[SERVERS_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < servers->count && size < sizeof(text); i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s", i > 0 ? "," : "",
                                 servers->items[i]);
    return servers->count == 0 ||
           (size < sizeof(text) && ares_set_servers_ports_csv(channel, text) == ARES_SUCCESS);
}

/* Returns false with a problem. */
static bool open_channel(struct dns *dns, const char **problem)
{
    struct ares_options options = {.timeout = QUERY_TIMEOUT_MS, .tries = QUERY_TRIES};
    int status = ares_init_options(&dns->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (status != ARES_SUCCESS) {
        *problem = ares_strerror(status);
        return false;
    }
    if (set_servers(dns->channel, &dns->provider->config->cluster.dns.servers))
        return true;
    *problem = "cluster.dns.servers cannot be used";
    ares_destroy(dns->channel);
    return false;
}

/* Waits for the servers, the timeouts of c-ares, or a stop. */
static void process(struct dns *dns)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd polled[ARES_GETSOCK_MAXNUM + 1] = {{.fd = dns->wake_fd, .events = POLLIN}};
    unsigned bits = (unsigned)ares_getsock(dns->channel, sockets, ARES_GETSOCK_MAXNUM);
    nfds_t count = 1;
    struct timeval most = {.tv_sec = 1};
    struct timeval space;
    const struct timeval *wait = ares_timeout(dns->channel, &most, &space);
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        /* Not by the macros of c-ares, which shift a signed 1 into the sign. */
        short events = (short)((bits >> i & 1u ? POLLIN : 0) |
                               (bits >> (i + ARES_GETSOCK_MAXNUM) & 1u ? POLLOUT : 0));
        if (events)
            polled[count++] = (struct pollfd){.fd = sockets[i], .events = events};
    }
    (void)poll(polled, count, (int)(wait->tv_sec * MS_PER_SEC + wait->tv_usec / 1000 + 1));
    for (nfds_t i = 1; i < count; i++)
        ares_process_fd(dns->channel, polled[i].revents & ~POLLOUT ? polled[i].fd : ARES_SOCKET_BAD,
                        polled[i].revents & POLLOUT ? polled[i].fd : ARES_SOCKET_BAD);
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* timeouts */
    if (polled[0].revents)
        clear_wake(dns);
    if (is_stopping(dns))
        ares_cancel(dns->channel);
}

static void start_job(struct dns *dns, size_t number)
{
    const struct dns_name *name = &dns->plan->names[number];
    struct job *job = &dns->jobs[number];
    *job = (struct job){.dns = dns, .number = number, .ttl_secs = UINT32_MAX, .is_running = true};
    start_query(job, name->port ? DNS_A : DNS_SRV, name->host, name->port);
}

/* One failure for each name that fails, in each round. */
static void report(struct dns *dns, bool has_failed)
{
    struct member_list members;
    char problem[DNS_PROBLEM_BYTES];
    if (is_stopping(dns))
        return;
    if (dns_plan_members(dns->plan, &members))
        provider_publish(dns->provider, &members, "the responses of the servers");
    if (!dns_plan_problem(dns->plan, problem))
        provider_recover(dns->provider);
    else if (has_failed)
        provider_fail(dns->provider, problem);
}

static void end_job(struct dns *dns, struct job *job, uint64_t now_ms)
{
    const char *target_problem = job->target_problem[0] ? job->target_problem : NULL;
    job->is_running = false;
    if (!job->problem && job->members.count == 0)
        job->problem = target_problem;
    if (job->problem) {
        dns_plan_on_failure(dns->plan, job->number, job->problem, now_ms);
    } else {
        dns_plan_on_response(dns->plan, job->number, &job->members, job->ttl_secs, job->left_out,
                             now_ms);
        if (is_service(job) && job->members.count > 0)
            dns_plan_on_targets(dns->plan, job->number, &job->targets, target_problem);
    }
    report(dns, dns->plan->names[job->number].problem[0]);
}

static bool has_next(struct dns *dns)
{
    pthread_mutex_lock(&dns->lock);
    bool has_next = dns->next;
    pthread_mutex_unlock(&dns->lock);
    return has_next;
}

static void start_due(struct dns *dns, uint64_t now_ms)
{
    for (size_t i = 0; i < dns->plan->count; i++)
        if (!dns->jobs[i].is_running && dns->plan->names[i].due_ms <= now_ms)
            start_job(dns, i);
}

static void end_finished(struct dns *dns, uint64_t now_ms)
{
    for (size_t i = 0; i < dns->plan->count; i++)
        if (dns->jobs[i].is_running && dns->jobs[i].in_flight == 0)
            end_job(dns, &dns->jobs[i], now_ms);
}

/* A name that is slow delays no other: each response counts when it is there, and names that become
 * due meanwhile are resolved in this round, while it is not too old. */
static void resolve(struct dns *dns, uint64_t started_ms)
{
    uint64_t now_ms = started_ms;
    do {
        if (now_ms < started_ms + ROUND_MS && !has_next(dns) && !is_stopping(dns))
            start_due(dns, now_ms);
        if (dns->in_flight > 0)
            process(dns);
        now_ms = clock_now().mono_ms;
        end_finished(dns, now_ms);
    } while (dns->in_flight > 0);
    ares_destroy(dns->channel);
}

/* Resolves the names that are due. */
static void run_round(struct dns *dns)
{
    const char *problem;
    uint64_t now_ms = clock_now().mono_ms;
    if (open_channel(dns, &problem)) {
        resolve(dns, now_ms);
        return;
    }
    for (size_t i = 0; i < dns->plan->count; i++)
        if (dns->plan->names[i].due_ms <= now_ms)
            dns_plan_on_failure(dns->plan, i, problem, now_ms);
    report(dns, true);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Takes the names of a reload. True: there are any. */
static bool take_names(struct dns *dns)
{
    pthread_mutex_lock(&dns->lock);
    struct dns_plan *next = dns->next;
    dns->next = NULL;
    pthread_mutex_unlock(&dns->lock);
    if (!next)
        return false;
    dns_plan_keep_responses(next, dns->plan);
    free(dns->plan);
    dns->plan = next;
    return true;
}

static void sleep_until(struct dns *dns, uint64_t due_ms, uint64_t now_ms)
{
    struct pollfd polled = {.fd = dns->wake_fd, .events = POLLIN};
    uint64_t wait_ms = due_ms - now_ms < POLL_MS_MAX ? due_ms - now_ms : POLL_MS_MAX;
    if (poll(&polled, 1, (int)wait_ms) > 0)
        clear_wake(dns);
}

static void *run(void *argument)
{
    struct dns *dns = argument;
    while (!is_stopping(dns)) {
        bool has_changed = take_names(dns);
        uint64_t now_ms = clock_now().mono_ms;
        uint64_t due_ms = dns_plan_due_ms(dns->plan);
        if (due_ms <= now_ms)
            run_round(dns);
        else if (has_changed)
            report(dns, true);
        else
            sleep_until(dns, due_ms, now_ms);
    }
    return NULL;
}

/* --- the provider ----------------------------------------------------------------------------- */

static struct dns_plan *create_plan(const struct config *config)
{
    struct dns_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return NULL;
    plan->interval_min_ms = config->cluster.dns.min_interval_secs * (uint64_t)MS_PER_SEC;
    plan->interval_max_ms = config->cluster.dns.max_interval_secs * (uint64_t)MS_PER_SEC;
    dns_plan_set_names(plan, &config->cluster.dns.names, clock_now().mono_ms);
    return plan;
}

static void free_dns(struct dns *dns)
{
    if (dns->wake_fd >= 0)
        close(dns->wake_fd);
    pthread_mutex_destroy(&dns->lock);
    free(dns->plan);
    free(dns->next);
    free(dns);
}

static enum error start(struct provider *provider, const char **reason)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    *reason = "the resolver of cluster.dns.names cannot start";
    if (!dns)
        return ERR_NO_MEMORY;
    dns->provider = provider;
    dns->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    dns->plan = create_plan(provider->config);
    pthread_mutex_init(&dns->lock, NULL);
    enum error error = dns->plan ? ERR_NONE : ERR_NO_MEMORY;
    if (!error && (dns->wake_fd < 0 || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS))
        error = ERR_SYSTEM;
    provider->state = dns;
    if (!error && pthread_create(&dns->thread, NULL, run, dns) != 0)
        error = ERR_SYSTEM;
    if (error) {
        provider->state = NULL;
        free_dns(dns);
        return error;
    }
    pthread_setname_np(dns->thread, "dns");
    return ERR_NONE;
}

static void reload(struct provider *provider)
{
    struct dns *dns = provider->state;
    struct dns_plan *next = create_plan(provider->config);
    if (!next) {
        log_line(LOG_LEVEL_ERROR, "out of memory; cluster.dns.names stays as it was");
        return;
    }
    pthread_mutex_lock(&dns->lock);
    free(dns->next);
    dns->next = next;
    pthread_mutex_unlock(&dns->lock);
    wake(dns);
}

static void stop(struct provider *provider)
{
    struct dns *dns = provider->state;
    pthread_mutex_lock(&dns->lock);
    dns->is_stopping = true;
    pthread_mutex_unlock(&dns->lock);
    wake(dns);
    pthread_join(dns->thread, NULL);
    provider->state = NULL;
    free_dns(dns);
}

const struct provider_kind provider_dns = {"dns", start, reload, stop};

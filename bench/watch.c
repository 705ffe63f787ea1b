/* SPDX-License-Identifier: Apache-2.0
 *
 * watch - many subscribers of changes, and the latency of a push.
 *
 *   watch --port PORT [--pid PID] [--kind ws|get] [--clients 10000] [--services 1]
 *         [--changes 0] [--rate 0] [--secs 10] [--warm-secs 1] [--pad 0]
 *         [--stopped 0] [--limit-secs 120]
 *
 * Connects the clients and distributes them over the services: WebSockets that subscribe, or long
 * polls, each for a version later than that of the last response. Then
 *
 *   --changes N   makes N changes, each after all clients have received the one before;
 *   --rate R      makes R changes a second, of all services in turn, for --secs. SIGUSR2 pauses the
 *                 changes and SIGUSR1 resumes them; with --secs 0 they last until SIGTERM.
 *
 * A change is a registration of the only instance of a service; --pad is a number of bytes to add
 * to it. A latency is the time from before the request of the change is sent until a client has
 * received the change. The last --stopped clients do not read while changes are made. --pid is the
 * process of the server, for its memory. Everything runs in one thread and ends after --limit-secs.
 *
 * Prints "ready" when all clients are subscribed, and one line at the end: bytes_each (memory of
 * the server per client, before changes), later_bytes_each (at the end); for --changes median_ms,
 * last_ms (medians over the changes of the times at which half and all clients had it), worst_ms;
 * for --rate changed, p50_ms, p99_ms, max_ms, missing, and reloaded (stopped clients that got a
 * reload).
 */
#include "bench/common.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum {
    WRITERS = 16,
    EVENTS = 512,
    BUFFER_BYTES = 1024 * 1024,
    OPENING_AT_ONCE = 100,
    CHANGES_KEPT = 60000, /* times of sending; the port of the instance is the index */
    FIRST_PORT = 1024,
    STOPPED_RECEIVE_BYTES = 4096,
    TIMEOUT_SECS = 10,
    READ_PAUSE_US = 1000, /* between two reads, so that this thread does not wake for each change */
};

enum stage {
    STAGE_OPENING, /* connected; the first request has no response yet */
    STAGE_SUBSCRIBING,
    STAGE_SUBSCRIBED,
    STAGE_RESPONDED, /* a long poll with a response, not sent again yet */
    STAGE_FREE,      /* a writer without a request */
    STAGE_BUSY,
};

struct client {
    int fd;
    enum stage stage;
    uint32_t service;
    uint64_t version; /* of the last response to a GET */
    bool stopped;
    bool reloaded;
    struct text rest; /* an incomplete message */
};

static struct {
    uint16_t port;
    uint32_t pid, clients, services, changes, rate, secs, warm_secs, pad, stopped;
    bool websockets;
    int epoll;
    struct client *all; /* the clients, then the writers */
    uint32_t opened;
    uint32_t reloaded;         /* stopped clients that got a reload */
    double sent[CHANGES_KEPT]; /* 0: not counted */
    uint64_t changed;
    uint64_t expected, arrived; /* deliveries of counted changes */
    struct samples samples;
    char *padding;
} run;

static volatile sig_atomic_t paused, ended;

static void on_signal(int number)
{
    if (number == SIGTERM)
        ended = 1;
    else
        paused = number == SIGUSR2;
}

/* Resident memory of the server; 0: unknown. */
static double resident_bytes(void)
{
    char path[64], line[256];
    double kib = 0;

    if (!run.pid)
        return 0;
    snprintf(path, sizeof path, "/proc/%u/status", run.pid);
    FILE *status = fopen(path, "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtod(line + 6, NULL);
    if (status)
        fclose(status);
    return kib * 1024;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void set_readable(struct client *c, bool readable)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    if (epoll_ctl(run.epoll, readable ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, c->fd, &event) != 0)
        die("epoll: %s", strerror(errno));
}

/* Closing it sends a reset, so that its port is free for the next run. */
static void open_socket(struct client *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(run.port)};
    struct linger no_linger = {.l_onoff = 1};
    int on = 1, small = STOPPED_RECEIVE_BYTES;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &no_linger, sizeof no_linger);
    if (c->stopped)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("cannot connect to 127.0.0.1:%u: %s", run.port, strerror(errno));
    set_readable(c, true);
}

static void poll_service(struct client *c)
{
    char request[256];
    int size = snprintf(request, sizeof request,
                        "GET /api/discovery/service?service_id=watched-%u&version=%llu&wait=60s "
                        "HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                        c->service, (unsigned long long)c->version);

    send_request(c->fd, request, (size_t)size);
}

static void open_client(struct client *c)
{
    static const char upgrade[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n";

    open_socket(c);
    c->stage = STAGE_OPENING;
    if (run.websockets)
        send_request(c->fd, upgrade, sizeof upgrade - 1);
    else
        poll_service(c);
}

/* Sends a frame of less than 126 bytes. The mask is 0, so the payload is unchanged. */
static void send_frame(struct client *c, unsigned char opcode, const char *payload, size_t size)
{
    char frame[6 + 125] = {(char)(0x80 | opcode), (char)(0x80 | size)};

    memcpy(frame + 6, payload, size);
    send_request(c->fd, frame, 6 + size);
}

static void subscribe(struct client *c)
{
    char text[125];
    int size = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"service_id\":\"watched-%u\"}",
                        c->service);

    send_frame(c, 1, text, (size_t)size);
    c->stage = STAGE_SUBSCRIBING;
}

/* --- input ------------------------------------------------------------------------------------ */

static const char *after(const char *text, size_t size, const char *name)
{
    const char *at = memmem(text, size, name, strlen(name));

    return at ? at + strlen(name) : NULL;
}

/* Records the latency of each counted change in a message. */
static void on_changes(struct client *c, const char *text, size_t size, double now)
{
    const char *end = text + size;

    if (c->stopped) {
        bool reload = after(text, size, "\"reload\"") != NULL;
        run.reloaded += reload && !c->reloaded;
        c->reloaded |= reload;
        return;
    }
    for (const char *at = text; (at = after(at, (size_t)(end - at), "\"port\":"));) {
        unsigned long port = strtoul(at, NULL, 10);
        if (port < FIRST_PORT || run.sent[port - FIRST_PORT] == 0)
            continue;
        samples_add(&run.samples, (now - run.sent[port - FIRST_PORT]) * 1e3);
        run.arrived++;
    }
}

static void set_subscribed(struct client *c)
{
    run.opened += c->stage != STAGE_RESPONDED;
    c->stage = STAGE_SUBSCRIBED;
}

static void on_frame(struct client *c, unsigned opcode, const char *text, size_t size, double now)
{
    if (opcode == 9)
        send_frame(c, 10, text, size);
    else if (opcode != 1)
        die("a WebSocket was closed: %.*s", (int)size, size > 2 ? text + 2 : "");
    else if (c->stage == STAGE_SUBSCRIBING && after(text, size, "\"subscribed\""))
        set_subscribed(c);
    else
        on_changes(c, text, size, now);
}

/* Handles the frame at the start of the input; returns its size, or 0 where it is incomplete. */
static size_t take_frame(struct client *c, const char *data, size_t size, double now)
{
    const unsigned char *b = (const unsigned char *)data;
    size_t head = 2, payload = size < 2 ? 0 : b[1];
    size_t wide = payload == 126 ? 2 : payload == 127 ? 8 : 0;

    if (size < head + wide)
        return 0;
    for (size_t i = 0, value = 0; i < wide; i++)
        payload = value = value << 8 | b[head + i];
    head += wide;
    if (size < head + payload)
        return 0;
    on_frame(c, b[0] & 15, data + head, payload, now);
    return head + payload;
}

static void on_response(struct client *c, int status, const char *body, size_t size, double now)
{
    const char *version = after(body, size, "\"version\":");

    if (c->stage == STAGE_BUSY) {
        if (status != 200 || !after(body, size, "\"success\""))
            die("a change was refused: %d %.*s", status, (int)size, body);
        c->stage = STAGE_FREE;
    } else if (run.websockets && status == 101) {
        subscribe(c);
    } else if (!run.websockets && status == 200 && version) {
        on_changes(c, body, size, now);
        c->version = strtoull(version, NULL, 10);
        if (c->stage == STAGE_OPENING) { /* the next one is a long poll */
            poll_service(c);
            set_subscribed(c);
        } else {
            c->stage = STAGE_RESPONDED;
        }
    } else {
        die("a client was refused: %d %.*s", status, (int)size, body);
    }
}

static size_t take_response(struct client *c, const char *data, size_t size, double now)
{
    const char *end = memmem(data, size, "\r\n\r\n", 4);

    if (!end)
        return 0;
    size_t head = (size_t)(end - data) + 4;
    int status = atoi(data + strlen("HTTP/1.1 "));
    const char *length = after(data, head, "\r\nContent-Length: ");
    size_t body = length ? strtoul(length, NULL, 10) : 0;
    if (size < head + body)
        return 0;
    on_response(c, status, data + head, body, now);
    return head + body;
}

static void on_readable(struct client *c)
{
    static char buffer[BUFFER_BYTES];
    size_t size = c->rest.size, used = 0, taken = 1;

    if (size)
        memcpy(buffer, c->rest.data, size);
    ssize_t got = recv(c->fd, buffer + size, sizeof buffer - size, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got == 0 && c->stage == STAGE_FREE) { /* closed for being idle */
        close(c->fd);
        open_socket(c);
        return;
    }
    if (got <= 0)
        die("the server closed a connection: %s", got < 0 ? strerror(errno) : "end of stream");
    size += (size_t)got;
    double now = now_secs();
    for (; taken && used < size; used += taken) {
        bool frames =
            run.websockets && (c->stage == STAGE_SUBSCRIBING || c->stage == STAGE_SUBSCRIBED);
        taken = (frames ? take_frame : take_response)(c, buffer + used, size - used, now);
    }
    text_clear(&c->rest);
    text_append(&c->rest, buffer + used, size - used);
    if (text_failed(&c->rest))
        die("out of memory");
}

static void run_events(double secs)
{
    static struct epoll_event events[EVENTS];
    secs = secs < 0 ? 0 : secs;
    struct timespec wait = {.tv_sec = (time_t)secs};

    wait.tv_nsec = (long)((secs - (double)wait.tv_sec) * 1e9);
    int count = epoll_pwait2(run.epoll, events, EVENTS, &wait, NULL);
    if (count < 0 && errno != EINTR)
        die("epoll: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        on_readable(events[i].data.ptr);
    if (count < EVENTS)
        usleep(READ_PAUSE_US);
}

/* --- changes ---------------------------------------------------------------------------------- */

static struct client *free_writer(void)
{
    for (uint32_t i = 0; i < WRITERS; i++)
        if (run.all[run.clients + i].stage == STAGE_FREE)
            return &run.all[run.clients + i];
    return NULL;
}

/* Registers the instance of a service with another port: a change. */
static void change(struct client *writer, uint32_t service, bool counts)
{
    uint32_t slot = (uint32_t)(run.changed++ % CHANGES_KEPT);
    uint32_t others = run.clients - run.stopped;
    struct text body = {0}, request = {0};

    text_printf(&body,
                "{\"instances\":[{\"region_id\":\"local\",\"zone_id\":\"zone1\",\"service_id\":"
                "\"watched-%u\",\"instance_id\":\"i-000000001\",\"ip\":\"10.0.0.1\",\"port\":%u,"
                "\"url\":\"http://10.0.0.1:8080\",\"metadata\":{\"pad\":\"%s\"}}]}",
                service, FIRST_PORT + slot, run.padding);
    text_printf(&request,
                "POST /api/registry/register HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                body.size, text_string(&body));
    if (text_failed(&body) || text_failed(&request))
        die("out of memory");
    run.sent[slot] = counts ? now_secs() : 0;
    if (counts)
        run.expected += (others + run.services - 1 - service) / run.services;
    writer->stage = STAGE_BUSY;
    send_request(writer->fd, request.data, request.size);
    text_free(&body);
    text_free(&request);
}

static void register_all(void)
{
    for (uint32_t service = 0; service < run.services; service++) {
        struct client *writer = free_writer();
        change(writer, service, false);
        while (writer->stage == STAGE_BUSY)
            run_events(1);
    }
}

static void open_all(void)
{
    for (uint32_t i = 0; i < run.clients; i++) {
        struct client *c = &run.all[i];
        *c =
            (struct client){.service = i % run.services, .stopped = i >= run.clients - run.stopped};
        open_client(c);
        while (i + 1 - run.opened >= OPENING_AT_ONCE)
            run_events(1);
    }
    while (run.opened < run.clients)
        run_events(1);
}

/* Waits until the server has suspended all long polls. */
static void wait_until_suspended(void)
{
    struct http h;
    unsigned long suspended = 0;
    double until = now_secs() + TIMEOUT_SECS;

    http_open(&h, run.port);
    while (!run.websockets && suspended < run.clients && now_secs() < until) {
        struct http_response response = http_get(&h, "/metrics");
        const char *at = after(response.body, response.body_bytes, "\nartemis_waiting_requests ");
        suspended = at ? strtoul(at, NULL, 10) : 0;
        run_events(0.02);
    }
    if (!run.websockets && suspended < run.clients)
        die("of %u long polls the server has suspended %lu", run.clients, suspended);
    http_close(&h);
}

static void poll_again(void)
{
    for (uint32_t i = 0; i < run.clients; i++) {
        if (run.all[i].stage == STAGE_RESPONDED) {
            poll_service(&run.all[i]);
            set_subscribed(&run.all[i]);
        }
        if (i % OPENING_AT_ONCE == 0)
            run_events(0);
    }
    wait_until_suspended();
}

/* Makes the changes of --changes. */
static void make_changes(void)
{
    struct samples medians = {0}, lasts = {0};
    double worst = 0;

    for (uint32_t i = 0; i < run.changes; i++) {
        for (double until = now_secs() + 0.2; now_secs() < until;)
            run_events(until - now_secs());
        run.samples.count = 0;
        change(free_writer(), i % run.services, true);
        for (double until = now_secs() + TIMEOUT_SECS; run.arrived < run.expected;) {
            run_events(1);
            if (now_secs() > until)
                die("change %u: only %zu clients received it within %d s", i, run.samples.count,
                    TIMEOUT_SECS);
        }
        double median = samples_percentile(&run.samples, 50),
               last = samples_percentile(&run.samples, 100);
        worst = last > worst ? last : worst;
        samples_add(&medians, median);
        samples_add(&lasts, last);
        poll_again();
    }
    if (run.changes)
        printf("median_ms=%.1f last_ms=%.1f worst_ms=%.1f ", samples_percentile(&medians, 50),
               samples_percentile(&lasts, 50), worst);
    free(medians.ms);
    free(lasts.ms);
}

static void stop_reading(bool stops)
{
    for (uint32_t i = run.clients - run.stopped; i < run.clients; i++)
        set_readable(&run.all[i], !stops);
}

/* Makes the changes of --rate. Up to one second of delay is caught up. */
static void make_changes_at_rate(void)
{
    double begin = now_secs(), due = begin;
    uint64_t before = run.changed;

    run.samples.count = 0;
    while (!ended && (run.secs == 0 || now_secs() < begin + run.secs)) {
        double now = now_secs();
        struct client *writer = free_writer();
        if (paused || due < now - 1)
            due = now;
        while (!paused && writer && due <= now) {
            change(writer, (uint32_t)(run.changed % run.services), now > begin + run.warm_secs);
            due += 1.0 / run.rate;
            writer = free_writer();
        }
        run_events(paused || !writer ? 0.02 : due - now_secs());
    }
    for (double until = now_secs() + 2; run.arrived < run.expected && now_secs() < until;)
        run_events(0.02);
    printf("changed=%llu p50_ms=%.2f p99_ms=%.2f max_ms=%.2f missing=%llu ",
           (unsigned long long)(run.changed - before), samples_percentile(&run.samples, 50),
           samples_percentile(&run.samples, 99), samples_percentile(&run.samples, 100),
           (unsigned long long)(run.expected - run.arrived));
}

static void change_while_some_are_stopped(void)
{
    stop_reading(true);
    make_changes_at_rate();
    stop_reading(false);
    for (double until = now_secs() + 3; run.reloaded < run.stopped && now_secs() < until;)
        run_events(0.02);
    printf("reloaded=%u ", run.reloaded);
}

/* --- life ------------------------------------------------------------------------------------- */

static void read_options(char **argv)
{
    run.port = option_port(argv);
    run.pid = option_number(argv, "--pid", 0);
    run.websockets = strcmp(option_text(argv, "--kind", "ws"), "ws") == 0;
    run.clients = option_number(argv, "--clients", 10000);
    run.services = option_number(argv, "--services", 1);
    run.changes = option_number(argv, "--changes", 0);
    run.rate = option_number(argv, "--rate", 0);
    run.secs = option_number(argv, "--secs", 10);
    run.warm_secs = option_number(argv, "--warm-secs", 1);
    run.pad = option_number(argv, "--pad", 0);
    run.stopped = option_number(argv, "--stopped", 0);
    if (run.services == 0 || run.stopped > run.clients)
        die("%s: --services must be positive, --stopped no more than --clients", argv[0]);
    run.all = calloc(run.clients + WRITERS, sizeof *run.all);
    run.padding = calloc(1, run.pad + 1);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!run.all || !run.padding || run.epoll < 0)
        die("out of memory");
    memset(run.padding, 'x', run.pad);
    alarm(option_number(argv, "--limit-secs", 120));
}

static void prepare(void)
{
    struct rlimit files = {.rlim_cur = run.clients + 100, .rlim_max = run.clients + 100};
    struct rlimit now;

    if (getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_max > files.rlim_max)
        files.rlim_max = now.rlim_max;
    if (now.rlim_cur < files.rlim_cur && setrlimit(RLIMIT_NOFILE, &files) != 0)
        die("%u files are needed: %s (ulimit -n)", run.clients + 100, strerror(errno));
    for (int i = 0; i < 3; i++)
        signal((int[]){SIGUSR1, SIGUSR2, SIGTERM}[i], on_signal);
    for (uint32_t i = 0; i < WRITERS; i++) {
        open_socket(&run.all[run.clients + i]);
        run.all[run.clients + i].stage = STAGE_FREE;
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    read_options(argv);
    prepare();
    register_all();
    double empty = resident_bytes(), each = run.clients ? run.clients : 1;
    open_all();
    wait_until_suspended();
    double with_clients = resident_bytes();
    printf("ready\n");
    fflush(stdout);
    printf("bytes_each=%.0f ", (with_clients - empty) / each);
    make_changes();
    if (run.rate && run.stopped)
        change_while_some_are_stopped();
    else if (run.rate)
        make_changes_at_rate();
    printf("later_bytes_each=%.0f\n", (resident_bytes() - empty) / each);
    return 0;
}

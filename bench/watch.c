/* SPDX-License-Identifier: Apache-2.0
 *
 * watch - many clients that are told what changes, and how long that takes.
 *
 *   watch --port PORT [--pid PID] [--kind ws|get] [--clients 10000] [--services 1]
 *         [--changes 0] [--rate 0] [--secs 10] [--warm-secs 1] [--pad 0]
 *         [--stopped 0] [--limit-secs 120]
 *
 * Connects so many clients, each to one of the services by turns: WebSockets that subscribe, or
 * GETs that wait for a version later than the one they were answered before. Then
 *
 *   --changes N   makes N changes, one when all that watch have seen the one before; the GETs wait
 *                 anew between them;
 *   --rate R      makes R changes a second, of each service by turns, for --secs. SIGUSR2 pauses
 *                 them and SIGUSR1 goes on; with --secs 0 that lasts until SIGTERM.
 *
 * A change is a registration of the one instance of a service; --pad adds so many bytes to it. A
 * latency counts from before the request of the change is sent until the client has its news in
 * hand. The last --stopped of the clients do not read while changes come. --pid is the server's,
 * for its memory. All is one thread, and ends after --limit-secs whatever happens.
 *
 * Prints "ready" when all watch, and one line at the end: bytes_each (of the server's memory for a
 * client that has seen nothing), later_bytes_each (at the end); of --changes median_ms, last_ms
 * (medians over the changes of when half and all had it), worst_ms; of --rate changed, p50_ms,
 * p99_ms, max_ms, missing, and reloaded (of the stopped ones, who was told to load anew).
 */
#include "bench/common.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum {
    WRITERS = 16,
    EVENTS = 512,
    ROOM_BYTES = 1024 * 1024,
    OPENING_AT_ONCE = 100,
    CHANGES_KEPT = 60000, /* when each was sent; the instance's port tells which it was */
    FIRST_PORT = 1024,
    STOPPED_RECEIVE_BYTES = 4096,
    PATIENCE_SECS = 10,
    GATHER_US = 1000, /* of news, or each would wake this thread, where the next is being sent */
};

enum stage {
    STAGE_OPENING, /* connected, and what it has asked is not answered */
    STAGE_SUBSCRIBING,
    STAGE_WATCHING,
    STAGE_TOLD, /* a GET that was answered, and does not wait anew yet */
    STAGE_FREE, /* of a connection that makes changes */
    STAGE_BUSY,
};

struct client {
    int fd;
    enum stage stage;
    uint32_t service;
    uint64_t version; /* of the last response to a GET */
    bool stopped;
    bool reloaded;
    struct text rest; /* a message that is not whole */
};

struct samples {
    float *ms;
    size_t count, capacity;
};

static struct {
    uint16_t port;
    uint32_t pid, clients, services, changes, rate, secs, warm_secs, pad, stopped;
    bool websockets;
    int epoll;
    struct client *all; /* the clients, then the writers */
    uint32_t opened;
    uint32_t reloaded;         /* of those who stopped reading */
    double sent[CHANGES_KEPT]; /* when; 0: not to be counted */
    uint64_t changed;
    uint64_t expected, arrived; /* news of changes that count */
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

static void sample(double ms)
{
    struct samples *s = &run.samples;

    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 65536;
        s->ms = realloc(s->ms, s->capacity * sizeof *s->ms);
        if (!s->ms)
            die("out of memory");
    }
    s->ms[s->count++] = (float)ms;
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static double percentile(struct samples *s, double percent)
{
    size_t rank = (size_t)((double)s->count * percent / 100);

    qsort(s->ms, s->count, sizeof *s->ms, compare);
    return s->count == 0 ? 0 : (double)s->ms[rank < s->count ? rank : s->count - 1];
}

/* Resident memory of the server; 0: of none. */
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

static void say(struct client *c, const char *data, size_t size)
{
    if (send(c->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
        die("a request did not fit its socket: %s", strerror(errno));
}

static void listen_to(struct client *c, bool readable)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    if (epoll_ctl(run.epoll, readable ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, c->fd, &event) != 0)
        die("epoll: %s", strerror(errno));
}

/* Its end is a reset: no port is kept from the next run. */
static void open_socket(struct client *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(run.port)};
    struct linger not_at_all = {.l_onoff = 1};
    int on = 1, small = STOPPED_RECEIVE_BYTES;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &not_at_all, sizeof not_at_all);
    if (c->stopped)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("cannot connect to 127.0.0.1:%u: %s", run.port, strerror(errno));
    listen_to(c, true);
}

static void ask(struct client *c)
{
    char request[256];
    int size = snprintf(request, sizeof request,
                        "GET /api/discovery/service?service_id=watched-%u&version=%llu&wait=60s "
                        "HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                        c->service, (unsigned long long)c->version);

    say(c, request, (size_t)size);
}

static void open_client(struct client *c)
{
    static const char upgrade[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n";

    open_socket(c);
    c->stage = STAGE_OPENING;
    if (run.websockets)
        say(c, upgrade, sizeof upgrade - 1);
    else
        ask(c);
}

/* A frame of less than 126 bytes. The mask is 0, so the payload is as it stands. */
static void say_frame(struct client *c, unsigned char opcode, const char *payload, size_t size)
{
    char frame[6 + 125] = {(char)(0x80 | opcode), (char)(0x80 | size)};

    memcpy(frame + 6, payload, size);
    say(c, frame, 6 + size);
}

static void subscribe(struct client *c)
{
    char text[125];
    int size = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"service_id\":\"watched-%u\"}",
                        c->service);

    say_frame(c, 1, text, (size_t)size);
    c->stage = STAGE_SUBSCRIBING;
}

/* --- what arrives ----------------------------------------------------------------------------- */

static const char *after(const char *text, size_t size, const char *name)
{
    const char *at = memmem(text, size, name, strlen(name));

    return at ? at + strlen(name) : NULL;
}

/* News of changes: a latency for each that counts. */
static void on_news(struct client *c, const char *text, size_t size, double now)
{
    const char *end = text + size;

    if (c->stopped) {
        bool told = after(text, size, "\"reload\"") != NULL;
        run.reloaded += told && !c->reloaded;
        c->reloaded |= told;
        return;
    }
    for (const char *at = text; (at = after(at, (size_t)(end - at), "\"port\":"));) {
        unsigned long port = strtoul(at, NULL, 10);
        if (port < FIRST_PORT || run.sent[port - FIRST_PORT] == 0)
            continue;
        sample((now - run.sent[port - FIRST_PORT]) * 1e3);
        run.arrived++;
    }
}

static void is_watching(struct client *c)
{
    run.opened += c->stage != STAGE_TOLD;
    c->stage = STAGE_WATCHING;
}

static void on_frame(struct client *c, unsigned opcode, const char *text, size_t size, double now)
{
    if (opcode == 9)
        say_frame(c, 10, text, size);
    else if (opcode != 1)
        die("a WebSocket was closed: %.*s", (int)size, size > 2 ? text + 2 : "");
    else if (c->stage == STAGE_SUBSCRIBING && after(text, size, "\"subscribed\""))
        is_watching(c);
    else
        on_news(c, text, size, now);
}

/* One frame at the start of what came: its bytes, or 0 where it is not whole. */
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
        on_news(c, body, size, now);
        c->version = strtoull(version, NULL, 10);
        if (c->stage == STAGE_OPENING) { /* and what comes next is waited for */
            ask(c);
            is_watching(c);
        } else {
            c->stage = STAGE_TOLD;
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
    static char room[ROOM_BYTES];
    size_t size = c->rest.size, used = 0, taken = 1;

    if (size)
        memcpy(room, c->rest.data, size);
    ssize_t got = recv(c->fd, room + size, sizeof room - size, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got == 0 && c->stage == STAGE_FREE) { /* for so long it had nothing to say */
        close(c->fd);
        open_socket(c);
        return;
    }
    if (got <= 0)
        die("the server ended a connection: %s", got < 0 ? strerror(errno) : "no answer");
    size += (size_t)got;
    double now = now_secs();
    for (; taken && used < size; used += taken) {
        bool frames =
            run.websockets && (c->stage == STAGE_SUBSCRIBING || c->stage == STAGE_WATCHING);
        taken = (frames ? take_frame : take_response)(c, room + used, size - used, now);
    }
    text_clear(&c->rest);
    text_append(&c->rest, room + used, size - used);
    if (text_failed(&c->rest))
        die("out of memory");
}

static void look(double secs)
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
        usleep(GATHER_US);
}

/* --- changes ---------------------------------------------------------------------------------- */

static struct client *free_writer(void)
{
    for (uint32_t i = 0; i < WRITERS; i++)
        if (run.all[run.clients + i].stage == STAGE_FREE)
            return &run.all[run.clients + i];
    return NULL;
}

/* Registers the instance of a service anew. Each is another change, by its port. */
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
    say(writer, request.data, request.size);
    text_free(&body);
    text_free(&request);
}

static void register_all(void)
{
    for (uint32_t service = 0; service < run.services; service++) {
        struct client *writer = free_writer();
        change(writer, service, false);
        while (writer->stage == STAGE_BUSY)
            look(1);
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
            look(1);
    }
    while (run.opened < run.clients)
        look(1);
}

/* Until the server holds all the requests. */
static void wait_until_held(void)
{
    struct http h;
    unsigned long waiting = 0;
    double until = now_secs() + PATIENCE_SECS;

    http_open(&h, run.port);
    while (!run.websockets && waiting < run.clients && now_secs() < until) {
        struct cached_response response = http_get(&h, "/metrics");
        const char *at = after(response.body, response.body_bytes, "\nartemis_waiting_requests ");
        waiting = at ? strtoul(at, NULL, 10) : 0;
        look(0.02);
    }
    if (!run.websockets && waiting < run.clients)
        die("of %u requests the server holds %lu", run.clients, waiting);
    http_close(&h);
}

static void ask_again(void)
{
    for (uint32_t i = 0; i < run.clients; i++) {
        if (run.all[i].stage == STAGE_TOLD) {
            ask(&run.all[i]);
            is_watching(&run.all[i]);
        }
        if (i % OPENING_AT_ONCE == 0)
            look(0);
    }
    wait_until_held();
}

/* One change after the other. */
static void make_changes(void)
{
    struct samples medians = {0}, lasts = {0}, swap;
    double worst = 0;

    for (uint32_t i = 0; i < run.changes; i++) {
        for (double until = now_secs() + 0.2; now_secs() < until;)
            look(until - now_secs());
        run.samples.count = 0;
        change(free_writer(), i % run.services, true);
        for (double until = now_secs() + PATIENCE_SECS; run.arrived < run.expected;) {
            look(1);
            if (now_secs() > until)
                die("change %u: news for %zu, no more after %d s", i, run.samples.count,
                    PATIENCE_SECS);
        }
        double median = percentile(&run.samples, 50), last = percentile(&run.samples, 100);
        worst = last > worst ? last : worst;
        swap = run.samples, run.samples = medians, sample(median), medians = run.samples;
        run.samples = lasts, sample(last), lasts = run.samples, run.samples = swap;
        ask_again();
    }
    if (run.changes)
        printf("median_ms=%.1f last_ms=%.1f worst_ms=%.1f ", percentile(&medians, 50),
               percentile(&lasts, 50), worst);
    free(medians.ms);
    free(lasts.ms);
}

static void stop_reading(bool stops)
{
    for (uint32_t i = run.clients - run.stopped; i < run.clients; i++)
        listen_to(&run.all[i], !stops);
}

/* At a steady rate; what is late is made up for, up to a second. */
static void keep_changing(void)
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
        look(paused || !writer ? 0.02 : due - now_secs());
    }
    for (double until = now_secs() + 2; run.arrived < run.expected && now_secs() < until;)
        look(0.02);
    printf("changed=%llu p50_ms=%.2f p99_ms=%.2f max_ms=%.2f missing=%llu ",
           (unsigned long long)(run.changed - before), percentile(&run.samples, 50),
           percentile(&run.samples, 99), percentile(&run.samples, 100),
           (unsigned long long)(run.expected - run.arrived));
}

static void change_while_some_are_stopped(void)
{
    stop_reading(true);
    keep_changing();
    stop_reading(false);
    for (double until = now_secs() + 3; run.reloaded < run.stopped && now_secs() < until;)
        look(0.02);
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
    wait_until_held();
    double watched = resident_bytes();
    printf("ready\n");
    fflush(stdout);
    printf("bytes_each=%.0f ", (watched - empty) / each);
    make_changes();
    if (run.rate && run.stopped)
        change_while_some_are_stopped();
    else if (run.rate)
        keep_changing();
    printf("later_bytes_each=%.0f\n", (resident_bytes() - empty) / each);
    return 0;
}

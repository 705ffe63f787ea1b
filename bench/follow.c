/* SPDX-License-Identifier: Apache-2.0
 *
 * follow - many clients that follow one large service by long polls while it changes.
 *
 *   follow --port PORT --pid PID [--clients 1000] [--instances 10000] [--rate 100] [--secs 10]
 *          [--warm-secs 2] [--delta 0|1] [--limit-secs 120]
 *
 * The service is bench-000000, which fill registers with --instances-per-service. Each client sends
 * a long poll for a version later than that of its last response, as soon as it has that response;
 * with --delta 1 it asks for the changes. One writer makes --rate changes a second: each registers
 * another instance of the service with a new port. There must be no other changes: the version of a
 * change is found by counting.
 *
 * The latency of a change is the time from before its request is sent until a client has received
 * the end of a response with it. Prints one line: changed, responses, rate (responses a second),
 * response_bytes (on average), p50_ms, p99_ms, max_ms, write_p50_ms and write_p99_ms (the time from
 * before the request of a change is sent until the writer has its response), missing (changes that
 * a client has not received within 2 s after the last one), cores (processor time of the server by
 * time).
 */
#include "bench/common.h"

#include <sys/epoll.h>
#include <sys/resource.h>

enum {
    EVENTS = 256,
    BUFFER_BYTES = 256 * 1024,
    HEAD_BYTES = 1024, /* of a response: its header, and its body up to the version */
    CHANGES_MAX = 100000,
    FIRST_PORT = 1024,
    END_SECS = 2,
    WRITES_MAX = 16, /* that the server executes in order, on one connection */
};

struct client {
    int fd;
    uint64_t version; /* of the last response */
    char head[HEAD_BYTES + 1];
    size_t head_bytes;
    size_t size; /* of the response, header included; 0: not known yet */
    size_t received;
};

static struct {
    uint16_t port;
    uint32_t pid, clients, instances, rate, secs, warm_secs;
    bool delta;
    char epoch[64];
    int epoll;
    struct client *all;    /* the clients, then the writer */
    uint32_t writes;       /* requests of the writer without a response */
    struct text written;   /* its responses */
    double *sent;          /* by number of the change; 0: not counted */
    uint64_t changed;      /* changes that were sent */
    uint64_t base_version; /* before the first change */
    uint64_t expected, arrived;
    uint64_t responses, bytes;
    struct samples samples;
    struct samples write_samples; /* until the writer has its response */
} run;

static struct client *writer(void)
{
    return &run.all[run.clients];
}

/* --- results ---------------------------------------------------------------------------------- */

/* Processor time of the server. */
static double server_secs(void)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%u/stat", run.pid);
    FILE *stat = fopen(path, "r");
    if (!stat || !fgets(line, sizeof line, stat))
        die("cannot read %s", path);
    fclose(stat);
    const char *at = strrchr(line, ')');
    for (int field = 0; at && field < 12; field++) /* the fields after the name */
        at = strchr(at + 1, ' ');
    if (!at || sscanf(at, "%lu %lu", &user, &system) != 2)
        die("%s has no times", path);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void open_socket(struct client *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(run.port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("cannot connect to 127.0.0.1:%u: %s", run.port, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll: %s", strerror(errno));
}

static void poll_service(const struct client *c)
{
    char request[384];
    int size = snprintf(request, sizeof request,
                        "GET /api/discovery/service?service_id=bench-000000&version=%llu&run=%s"
                        "&wait=60s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                        (unsigned long long)c->version, run.epoch, run.delta ? "&delta=1" : "");

    send_request(c->fd, request, (size_t)size);
}

/* --- responses -------------------------------------------------------------------------------- */

/* The end of a response. */
static void on_response(struct client *c, double now)
{
    const char *at = strstr(c->head, "\"version\":");
    if (strncmp(c->head, "HTTP/1.1 200 ", 13) != 0 || !at)
        die("a client was refused: %s", c->head);
    uint64_t version = strtoull(at + strlen("\"version\":"), NULL, 10);
    for (uint64_t v = c->version + 1; v <= version; v++) {
        uint64_t number = v - run.base_version - 1;
        if (number >= run.changed)
            die("version %llu is of none of the changes", (unsigned long long)v);
        if (run.sent[number] == 0)
            continue;
        samples_add(&run.samples, (now - run.sent[number]) * 1e3);
        run.arrived++;
    }
    run.responses++;
    c->version = version;
    poll_service(c);
}

/* Takes the next bytes of the response; there is one at a time on a connection. */
static void take(struct client *c, const char *data, size_t size, double now)
{
    size_t space = HEAD_BYTES - c->head_bytes;
    size_t kept = size < space ? size : space;

    memcpy(c->head + c->head_bytes, data, kept);
    c->head_bytes += kept;
    c->head[c->head_bytes] = '\0';
    c->received += size;
    if (c->size == 0) {
        const char *end = strstr(c->head, "\r\n\r\n");
        const char *length = strstr(c->head, "\r\nContent-Length: ");
        if (!end && c->head_bytes < HEAD_BYTES)
            return;
        if (!end || !length)
            die("a response without a length: %s", c->head);
        c->size = (size_t)(end + 4 - c->head) +
                  strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
    }
    if (c->received > c->size)
        die("more than one response: %s", c->head);
    if (c->received < c->size)
        return;
    run.bytes += c->size;
    c->received = c->size = c->head_bytes = 0;
    on_response(c, now);
}

/* Takes the responses to changes, of which there may be several. */
static void take_written(const char *data, size_t size, double now)
{
    struct text *in = &run.written;

    text_append(in, data, size);
    for (;;) {
        const char *end = strstr(text_string(in), "\r\n\r\n");
        const char *length = strstr(text_string(in), "\r\nContent-Length: ");
        size_t whole = end && length
                           ? (size_t)(end + 4 - in->data) +
                                 strtoul(length + strlen("\r\nContent-Length: "), NULL, 10)
                           : 0;
        if (whole == 0 || in->size < whole)
            return;
        if (!memmem(in->data, whole, "\"success\"", 9))
            die("a change was refused: %.*s", (int)whole, in->data);
        memmove(in->data, in->data + whole, in->size - whole);
        in->size -= whole;
        double sent = run.sent[run.changed - run.writes--];
        if (sent > 0)
            samples_add(&run.write_samples, (now - sent) * 1e3);
    }
}

static void run_events(double secs)
{
    static struct epoll_event events[EVENTS];
    static char buffer[BUFFER_BYTES];
    struct timespec wait = {.tv_sec = (time_t)secs};

    wait.tv_nsec = (long)((secs - (double)wait.tv_sec) * 1e9);
    int count = epoll_pwait2(run.epoll, events, EVENTS, &wait, NULL);
    if (count < 0 && errno != EINTR)
        die("epoll: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct client *c = events[i].data.ptr;
        ssize_t got = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got <= 0 && errno != EAGAIN)
            die("the server closed a connection: %s", got < 0 ? strerror(errno) : "end of stream");
        if (got > 0 && c == writer())
            take_written(buffer, (size_t)got, now_secs());
        else if (got > 0)
            take(c, buffer, (size_t)got, now_secs());
    }
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Registers another instance of the service with a new port. */
static void change(bool counts)
{
    uint32_t instance = (uint32_t)(run.changed * 7919 % run.instances);
    struct text body = {0}, request = {0};

    if (run.changed == CHANGES_MAX)
        die("more than %d changes", CHANGES_MAX);
    text_append_string(&body, "{\"instances\":[");
    text_add_ids(&body, instance, run.instances);
    text_printf(&body,
                ",\"ip\":\"10.0.0.1\",\"port\":%u,\"url\":\"http://10.0.0.1:8080\","
                "\"metadata\":{\"release\":\"%llu\",\"weight\":\"100\"}}]}",
                FIRST_PORT + (unsigned)(run.changed % 60000),
                (unsigned long long)run.base_version); /* new content in each run */
    text_printf(&request,
                "POST /api/registry/register HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                body.size, text_string(&body));
    if (text_failed(&body) || text_failed(&request))
        die("out of memory");
    run.sent[run.changed++] = counts ? now_secs() : 0;
    if (counts)
        run.expected += run.clients;
    run.writes++;
    send_request(writer()->fd, request.data, request.size);
    text_free(&body);
    text_free(&request);
}

static void change_at_rate(void)
{
    double begin = now_secs(), due = begin, cpu_before = 0, cpu_began = 0;
    double counted = begin + run.warm_secs, end = counted + run.secs;

    while (now_secs() < end) {
        double now = now_secs();
        if (cpu_began == 0 && now > counted) {
            cpu_began = now;
            cpu_before = server_secs();
            run.responses = run.bytes = 0;
        }
        while (run.writes < WRITES_MAX && due <= now) {
            change(now > counted);
            due += 1.0 / run.rate;
        }
        run_events(due > now + 0.005 ? 0.005 : 0.001);
    }
    double cores = (server_secs() - cpu_before) / (now_secs() - cpu_began);
    double responses = (double)run.responses, bytes = (double)run.bytes;
    double rate = responses / (now_secs() - cpu_began);
    for (double until = now_secs() + END_SECS; run.arrived < run.expected && now_secs() < until;)
        run_events(0.005);
    printf("changed=%llu responses=%.0f rate=%.0f response_bytes=%.0f p50_ms=%.2f p99_ms=%.2f "
           "max_ms=%.2f write_p50_ms=%.2f write_p99_ms=%.2f missing=%llu cores=%.2f\n",
           (unsigned long long)(run.expected / run.clients), responses, rate,
           responses > 0 ? bytes / responses : 0, samples_percentile(&run.samples, 50),
           samples_percentile(&run.samples, 99), samples_percentile(&run.samples, 100),
           samples_percentile(&run.write_samples, 50), samples_percentile(&run.write_samples, 99),
           (unsigned long long)(run.expected - run.arrived), cores);
}

/* --- life ------------------------------------------------------------------------------------- */

static void read_options(char **argv)
{
    run.port = option_port(argv);
    run.pid = option_number(argv, "--pid", 0);
    run.clients = option_number(argv, "--clients", 1000);
    run.instances = option_number(argv, "--instances", 10000);
    run.rate = option_number(argv, "--rate", 100);
    run.secs = option_number(argv, "--secs", 10);
    run.warm_secs = option_number(argv, "--warm-secs", 2);
    run.delta = option_number(argv, "--delta", 0);
    if (!run.pid || !run.clients || !run.instances || !run.rate)
        die("%s: --pid, --clients, --instances and --rate must be positive", argv[0]);
    run.all = calloc(run.clients + 1, sizeof *run.all);
    run.sent = calloc(CHANGES_MAX, sizeof *run.sent);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!run.all || !run.sent || run.epoll < 0)
        die("out of memory");
    alarm(option_number(argv, "--limit-secs", 120));
}

static void allow_sockets(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max < run.clients + 100)
        die("%u files are needed (ulimit -n)", run.clients + 100);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* Reads the version of the service and the run that it belongs to. */
static void read_base(void)
{
    struct http h;

    http_open(&h, run.port);
    struct http_response response =
        http_get(&h, "/api/discovery/service?service_id=bench-000000&wait=0s");
    const char *version = strstr(response.body, "\"version\":");
    const char *epoch = strstr(h.in.data, "\r\nX-Artemis-Run: ");
    if (response.status != 200 || !version || !epoch ||
        sscanf(epoch, "\r\nX-Artemis-Run: %63[^\r]", run.epoch) != 1)
        die("the service is not there: %d %.200s", response.status, response.body);
    run.base_version = strtoull(version + strlen("\"version\":"), NULL, 10);
    http_close(&h);
}

int main(int argc, char **argv)
{
    (void)argc;
    read_options(argv);
    allow_sockets();
    read_base();
    for (uint32_t i = 0; i <= run.clients; i++) {
        open_socket(&run.all[i]);
        run.all[i].version = i < run.clients ? run.base_version : 0;
        if (i < run.clients)
            poll_service(&run.all[i]);
        run_events(0);
    }
    change_at_rate();
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * large - responses with one large service: the time until their first byte, and the memory of the
 * server for those that are not read.
 *
 *   large --port PORT --pid PID [--instances 100000] [--rounds 20] [--readers 50]
 *
 * The service is bench-000000, which fill registers with --instances-per-service. In each round an
 * instance changes; the next request gets a response that no other request had (built), and the one
 * after it the same response (repeated). Then --readers clients each read the first bytes of a
 * response and stop: at first all of one version, then each of another one.
 *
 * Prints one line: bytes (of a response), built_ms and repeated_ms (time to the first byte,
 * medians), built_max_ms, whole_ms (to the last byte, median), reader_bytes and version_bytes
 * (memory of the server for each reader).
 */
#include "bench/common.h"

enum { ROUNDS_MAX = 1000, READERS_MAX = 1000, END_BYTES = 8, BUFFER_BYTES = 256 * 1024 };

static struct {
    uint16_t port;
    uint32_t pid, instances, rounds, readers, changed;
    struct http writer;
    struct http readers_open[2 * READERS_MAX];
} run;

/* Resident memory of the server. */
static double resident_bytes(void)
{
    char path[64], line[256];
    double kib = 0;

    snprintf(path, sizeof path, "/proc/%u/status", run.pid);
    FILE *status = fopen(path, "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtod(line + 6, NULL);
    if (!status || kib == 0)
        die("cannot read %s", path);
    fclose(status);
    return kib * 1024;
}

/* Registers an instance with another content. */
static void change(void)
{
    struct text body = {0};

    text_append_string(&body, "{\"instances\":[");
    text_add_ids(&body, run.changed % run.instances, run.instances);
    text_printf(&body, ",\"ip\":\"10.0.0.1\",\"port\":%u}]}", 1024 + run.changed % 60000);
    struct http_response response = http_post(&run.writer, "/api/registry/register", &body);
    if (response.status != 200 || !strstr(response.body, "\"success\""))
        die("a change was refused: %d %.200s", response.status, response.body);
    run.changed++;
    text_free(&body);
}

struct times {
    double first_ms, whole_ms;
    size_t bytes;
};

static void ask(struct http *h)
{
    static const char request[] = "GET /api/discovery/service?service_id=bench-000000 HTTP/1.1\r\n"
                                  "Host: 127.0.0.1\r\n\r\n";

    http_send(h, request, sizeof request - 1);
}

/* Whether the bytes end a response: the last chunk, or so many bytes as its header says. */
static bool is_end(const char *head, size_t received, const char *last)
{
    const char *length = strstr(head, "\r\nContent-Length: ");
    const char *end = strstr(head, "\r\n\r\n");

    if (!end)
        return false;
    if (!length || length > end)
        return memcmp(last + END_BYTES - 7, "\r\n0\r\n\r\n", 7) == 0;
    return received >=
           (size_t)(end + 4 - head) + strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
}

static struct times get(struct http *h)
{
    static char buffer[BUFFER_BYTES];
    char head[2048] = "", last[END_BYTES] = "";
    size_t head_bytes = 0;
    struct times times = {0};
    double began = now_secs();

    ask(h);
    do {
        ssize_t got = recv(h->fd, buffer, sizeof buffer, 0);
        if (got <= 0)
            die("the server ended the connection");
        if (times.bytes == 0)
            times.first_ms = (now_secs() - began) * 1e3;
        size_t size = (size_t)got, space = sizeof head - 1 - head_bytes;
        size_t kept = size < space ? size : space;
        memcpy(head + head_bytes, buffer, kept);
        head_bytes += kept;
        size_t tail = size < END_BYTES ? size : END_BYTES;
        memmove(last, last + tail, END_BYTES - tail);
        memcpy(last + END_BYTES - tail, buffer + size - tail, tail);
        times.bytes += size;
    } while (!is_end(head, times.bytes, last));
    times.whole_ms = (now_secs() - began) * 1e3;
    if (strncmp(head, "HTTP/1.1 200 ", 13) != 0)
        die("the service was refused: %s", head);
    return times;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double sorted(double *values, double percent)
{
    qsort(values, run.rounds, sizeof *values, compare);
    uint32_t rank = (uint32_t)(percent * run.rounds / 100);
    return values[rank < run.rounds ? rank : run.rounds - 1];
}

static void measure_times(void)
{
    static double built[ROUNDS_MAX], repeated[ROUNDS_MAX], whole[ROUNDS_MAX];
    struct http h;
    struct times times = {0};

    http_open(&h, run.port);
    (void)get(&h);
    for (uint32_t i = 0; i < run.rounds; i++) {
        change();
        times = get(&h);
        built[i] = times.first_ms;
        whole[i] = times.whole_ms;
        repeated[i] = get(&h).first_ms;
    }
    http_close(&h);
    printf("bytes=%zu built_ms=%.2f built_max_ms=%.2f repeated_ms=%.2f whole_ms=%.1f ", times.bytes,
           sorted(built, 50), sorted(built, 100), sorted(repeated, 50), sorted(whole, 50));
}

/* Opens readers that stop after their first bytes; returns the memory for each. */
static double read_beginnings(struct http *readers, bool changes)
{
    double before = resident_bytes();

    for (uint32_t i = 0; i < run.readers; i++) {
        char some[64];
        if (changes)
            change();
        http_open(&readers[i], run.port);
        ask(&readers[i]);
        if (recv(readers[i].fd, some, sizeof some, 0) <= 0)
            die("reader %u got no response", i);
    }
    usleep(500000);
    return (resident_bytes() - before) / run.readers;
}

int main(int argc, char **argv)
{
    (void)argc;
    run.port = option_port(argv);
    run.pid = option_number(argv, "--pid", 0);
    run.instances = option_number(argv, "--instances", 100000);
    run.rounds = option_number(argv, "--rounds", 20);
    run.readers = option_number(argv, "--readers", 50);
    if (!run.pid || !run.instances || !run.rounds || run.rounds > ROUNDS_MAX || !run.readers ||
        run.readers > READERS_MAX)
        die("%s: --pid and --instances must be positive, --rounds and --readers up to %d", argv[0],
            ROUNDS_MAX);
    alarm(120);
    http_open(&run.writer, run.port);
    measure_times();
    double same = read_beginnings(run.readers_open, false);
    double other = read_beginnings(run.readers_open + READERS_MAX, true);
    printf("reader_bytes=%.0f version_bytes=%.0f\n", same, other);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * yardstick - the least a libmicrohttpd server can do: read the request, answer a constant.
 *
 *   yardstick [--heartbeat FILE] [--discovery FILE [--copies N]] [--threads CORES]
 *             [--cert FILE --key FILE]
 *   yardstick [--heartbeat FILE] [--discovery FILE [--copies N]] --loops N
 *
 * A FILE holds a response as `curl -si` prints it; its headers and body are answered again, so that
 * the yardstick sends what the real server sends. Without one the response is a bare constant. With
 * --copies, the body of discovery is in memory N times, and each response has a random one of them:
 * what a server pays because its bodies do not fit the caches of the processor.
 * The server is set up as any sensible user would: epoll, a pool of one thread a core, the
 * library's defaults otherwise, and each response made once and shared. With a certificate it
 * speaks TLS. With --loops it runs N daemons without threads of the library, as Artemis does, and
 * passes each the same number of connections: threads of the library stall when 128 connections are
 * ready at once. It prints its address, 127.0.0.1:PORT, and serves until SIGTERM.
 */
#include "bench/common.h"

#include <limits.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

struct responses {
    struct MHD_Response *heartbeat;
    struct MHD_Response **discovery; /* `copies` of them */
    uint32_t copies;
};

static void read_file(const char *name, struct text *out)
{
    FILE *file = fopen(name, "rb");
    char piece[4096];
    size_t got;

    if (!file)
        die("%s: %s", name, strerror(errno));
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        text_append(out, piece, got);
    fclose(file);
}

/* The library writes these itself. */
static bool is_own_header(const char *name)
{
    return strcasecmp(name, "date") == 0 || strcasecmp(name, "content-length") == 0 ||
           strcasecmp(name, "connection") == 0;
}

static void add_headers(struct MHD_Response *response, char *head)
{
    char *rest = NULL;

    strtok_r(head, "\r\n", &rest); /* the status line */
    for (char *line = strtok_r(NULL, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        char *colon = strstr(line, ": ");
        if (!colon)
            continue;
        *colon = '\0';
        if (!is_own_header(line) && MHD_add_response_header(response, line, colon + 2) != MHD_YES)
            die("header %s is refused", line);
    }
}

static struct MHD_Response *response_from(const char *file, const char *otherwise)
{
    struct text content = {0};

    if (file) {
        read_file(file, &content);
    } else {
        text_printf(&content, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n%s",
                    otherwise);
    }
    char *head_end = strstr(text_string(&content), "\r\n\r\n");
    if (!head_end)
        die("%s: no HTTP answer", file);
    *head_end = '\0';
    char *body = head_end + 4;
    size_t body_bytes = content.size - (size_t)(body - content.data);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body_bytes, body, MHD_RESPMEM_MUST_COPY);
    if (!response)
        die("out of memory");
    add_headers(response, content.data);
    text_free(&content);
    return response;
}

static struct MHD_Response *random_copy(const struct responses *responses)
{
    static _Thread_local uint64_t seed = 1;
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return responses->discovery[(seed >> 32) * responses->copies >> 32];
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_bytes, void **request)
{
    static int seen;
    struct responses *responses = context;

    (void)method, (void)version, (void)upload_data;
    if (!*request) {
        *request = &seen;
        return MHD_YES;
    }
    if (*upload_bytes > 0) {
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(url, "/api/registry/heartbeat") == 0)
        return MHD_queue_response(connection, MHD_HTTP_OK, responses->heartbeat);
    return MHD_queue_response(connection, MHD_HTTP_OK, random_copy(responses));
}

/* Starts the library; `address` is where it listens. */
static struct MHD_Daemon *start(char **argv, struct responses *responses,
                                struct sockaddr_in *address, uint32_t threads)
{
    const char *cert_file = option_text(argv, "--cert", NULL);
    struct text cert = {0};
    struct text key = {0};
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    if (cert_file) {
        read_file(cert_file, &cert);
        read_file(option_text(argv, "--key", cert_file), &key);
        tls[0].ptr_value = (void *)(uintptr_t)text_string(&cert);
        tls[1].ptr_value = (void *)(uintptr_t)text_string(&key);
    }
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | (cert_file ? MHD_USE_TLS : 0U), 0, NULL, NULL, handle,
        responses, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)address, MHD_OPTION_THREAD_POOL_SIZE,
        threads < 2 ? 0 : threads, MHD_OPTION_ARRAY, cert_file ? tls : tls + 2, MHD_OPTION_END);
    text_free(&cert);
    text_free(&key);
    return daemon;
}

/* --- threads of our own ----------------------------------------------------------------------- */

/* A daemon, its epoll descriptor, and the pipe that brings it the sockets of new connections. */
struct loop {
    struct MHD_Daemon *daemon;
    int epoll;
    int sockets[2];
};

static void take_sockets(struct loop *loop)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int sockets[1024];
    ssize_t size = read(loop->sockets[0], sockets, sizeof(sockets));

    for (ssize_t i = 0; i < size / (ssize_t)sizeof(*sockets); i++)
        MHD_add_connection(loop->daemon, sockets[i], (struct sockaddr *)&address, sizeof(address));
}

static void *run_loop(void *argument)
{
    struct loop *loop = argument;
    struct pollfd fds[] = {
        {.fd = loop->epoll, .events = POLLIN},
        {.fd = loop->sockets[0], .events = POLLIN},
    };

    for (;;) {
        MHD_UNSIGNED_LONG_LONG ms;
        bool is_limited = MHD_get_timeout(loop->daemon, &ms) == MHD_YES;
        if (poll(fds, 2, is_limited ? (int)(ms < INT_MAX ? ms : INT_MAX) : -1) > 0 &&
            fds[1].revents)
            take_sockets(loop);
        MHD_run(loop->daemon);
    }
    return NULL;
}

static void start_loop(struct loop *loop, struct responses *responses)
{
    enum { CONNECTIONS_MAX = 1 << 16 }; /* the default is 1,020 */
    pthread_t thread;

    loop->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, handle, responses,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_END);
    if (!loop->daemon || pipe(loop->sockets) != 0)
        die("the yardstick cannot start a loop: %s", strerror(errno));
    loop->epoll = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (pthread_create(&thread, NULL, run_loop, loop) != 0)
        die("the yardstick cannot start a thread");
}

/* Accepts for the loops by turns until the process ends. */
static void serve_by_loops(uint32_t count, struct responses *responses)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    struct loop *loops = calloc(count, sizeof(*loops));
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!loops || listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, SOMAXCONN) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        die("the yardstick cannot listen: %s", strerror(errno));
    for (uint32_t i = 0; i < count; i++)
        start_loop(&loops[i], responses);
    printf("yardstick listens on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    for (uint32_t next = 0;; next = (next + 1) % count) {
        int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0 &&
            write(loops[next].sockets[1], &accepted, sizeof(accepted)) != sizeof(accepted))
            die("the yardstick cannot pass a connection on: %s", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    static const char heartbeat[] = "{\"response_status\":{\"error_code\":\"success\"}}";
    uint32_t cores = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t threads = option_number(argv, "--threads", cores);
    struct sockaddr_in address = {.sin_family = AF_INET};
    sigset_t end;
    int signal_number;

    struct responses responses = {
        .heartbeat = response_from(option_text(argv, "--heartbeat", NULL), heartbeat),
        .copies = option_number(argv, "--copies", 1),
    };
    responses.discovery = calloc(responses.copies, sizeof(struct MHD_Response *));
    if (!responses.discovery)
        die("--copies must be a positive number that fits the memory");
    for (uint32_t i = 0; i < responses.copies; i++)
        responses.discovery[i] = response_from(option_text(argv, "--discovery", NULL), heartbeat);
    uint32_t loops = option_number(argv, "--loops", 0);
    if (loops > 0)
        serve_by_loops(loops, &responses); /* ends by the signal */
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    pthread_sigmask(SIG_BLOCK, &end, NULL);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct MHD_Daemon *daemon = start(argv, &responses, &address, threads);
    if (!daemon)
        die("the yardstick cannot listen: %s", strerror(errno));
    printf("yardstick listens on 127.0.0.1:%u\n",
           MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    sigwait(&end, &signal_number);
    MHD_stop_daemon(daemon);
    MHD_destroy_response(responses.heartbeat);
    for (uint32_t i = 0; i < responses.copies; i++)
        MHD_destroy_response(responses.discovery[i]);
    free(responses.discovery);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/loop.h"

#include "libartemis/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOCKET_RETRY_MS = 60000, NO_MEMORY_PAUSE_MS = 1000, LINE_BYTES = 640 };

/* What a call was about, and what its answer says. */
struct errand {
    bool is_fetch;
    struct book_request request; /* of the registry */
    char id[ID_BYTES_MAX + 1];   /* of a fetch */
    uint64_t generation;

    bool failed; /* another server may do better */
    char problem[HTTP_PROBLEM_MAX];
    struct wire_outcome outcome;
    struct wire_state state;
    bool unchanged;
};

static void say(struct artemis_client *client, enum artemis_log_level level, const char *format,
                ...) __attribute__((format(printf, 3, 4)));

static void say(struct artemis_client *client, enum artemis_log_level level, const char *format,
                ...)
{
    char line[LINE_BYTES];
    if (!client->settings.log)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    events_add_line(&client->shared.follow.events, level, line);
}

static const char *url_of(const struct artemis_client *client, size_t server)
{
    return client->settings.urls[server];
}

/* "URL: PROBLEM", for who waits and for the log. */
static const char *note_problem(const struct artemis_client *client, char out[CLIENT_WHY_MAX],
                                size_t server, const char *problem)
{
    snprintf(out, CLIENT_WHY_MAX, "%.160s: %.300s", url_of(client, server), problem);
    return out;
}

/* --- the connection for pushes ---------------------------------------------------------------- */

static void push_failed(struct artemis_client *client, size_t server, uint64_t wait_ms,
                        const char *problem)
{
    const char *why = note_problem(client, client->shared.push_problem, server, problem);
    servers_failed(&client->shared.push_servers, server, client_clock_ms(), wait_ms,
                   client_clock_random());
    if (!client->shared.push_troubled)
        say(client, ARTEMIS_LOG_WARNING, "no news from %s; trying on", why);
    client->shared.push_troubled = true;
    client->shared.polling = false;
    follow_lost(&client->shared.follow);
}

static void push_connected(struct artemis_client *client, size_t server, bool polls)
{
    servers_succeeded(&client->shared.push_servers, server);
    client->shared.push_servers.current = server;
    client->shared.push_server = server;
    client->shared.polling = polls;
    client->shared.socket_retry_ms = client_clock_ms() + SOCKET_RETRY_MS;
    client->shared.push_troubled = false;
    say(client, ARTEMIS_LOG_INFO, "%s %s", polls ? "asking again and again:" : "following",
        url_of(client, server));
    follow_connected(&client->shared.follow, polls, client_clock_ms());
}

static void drop_socket(struct artemis_client *client)
{
    push_socket_free(client->loop.socket);
    client->loop.socket = NULL;
}

/* An older server: the path is not there. What is about permission, load or trouble is no sign of
 * that. */
static bool has_no_push(int status)
{
    return status < 500 && status != 401 && status != 403 && status != 408 && status != 429;
}

static void socket_over(struct artemis_client *client, enum push_state state)
{
    struct push_socket *socket = client->loop.socket;
    size_t server = push_socket_server(socket);
    bool older = state == PUSH_REFUSED && has_no_push(push_socket_status(socket));
    if (older && client->shared.polling)
        client->shared.socket_retry_ms = client_clock_ms() + SOCKET_RETRY_MS;
    else if (older)
        push_connected(client, server, true);
    else
        push_failed(client, server, push_socket_retry_after_ms(socket),
                    push_socket_problem(socket));
    drop_socket(client);
}

/* A message of the server; on the loop, without the lock. */
static void on_text(void *context, struct slice text)
{
    struct artemis_client *client = context;
    struct heard *heard = calloc(1, sizeof *heard);
    enum error error = heard ? wire_read_push(text, &heard->message) : ERR_NO_MEMORY;
    if (error) {
        /* What cannot be read says nothing; what there is no memory for was said. */
        client->loop.heard_failed |= error == ERR_NO_MEMORY;
        free(heard);
        return;
    }
    *client->loop.heard_end = heard;
    client->loop.heard_end = &heard->next;
}

static void open_socket(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    size_t server = client->shared.push_server;
    uint64_t ready_ms = client->shared.socket_retry_ms;
    bool ready = client->shared.polling
                     ? now_ms >= ready_ms
                     : servers_choose(&client->shared.push_servers, now_ms, &server, &ready_ms);
    if (ready && push_socket_open(client->http, &client->settings, server, now_ms, on_text, client,
                                  &client->loop.socket)) {
        ready = false;
        ready_ms = now_ms + NO_MEMORY_PAUSE_MS;
    }
    client->loop.socket_state = PUSH_CONNECTING;
    if (!ready && ready_ms < *at_ms)
        *at_ms = ready_ms;
}

static void say_passed_over(struct artemis_client *client, const char *url, size_t count)
{
    if (count > 0)
        say(client, ARTEMIS_LOG_WARNING, "%s: %zu instances that cannot be read are passed over",
            url, count);
}

static void apply_heard(struct artemis_client *client)
{
    struct heard *heard = client->loop.heard;
    client->loop.heard = NULL;
    client->loop.heard_end = &client->loop.heard;
    while (heard) {
        struct heard *next = heard->next;
        const char *url = url_of(client, push_socket_server(client->loop.socket));
        if (heard->message.type == PUSH_ERROR)
            say(client, ARTEMIS_LOG_WARNING, "%s: %s", url, heard->message.message);
        say_passed_over(client, url, heard->message.passed_over);
        follow_heard(&client->shared.follow, &heard->message, client_clock_ms(),
                     client_clock_wall_ms());
        free(heard);
        heard = next;
    }
}

/* Under the lock, after the socket has run. */
static void apply_socket(struct artemis_client *client, enum push_state state)
{
    if (!client->loop.socket)
        return;
    if (state == PUSH_OPEN && client->loop.socket_state != PUSH_OPEN)
        push_connected(client, push_socket_server(client->loop.socket), false);
    client->loop.socket_state = state;
    apply_heard(client);
    bool over = state == PUSH_REFUSED || state == PUSH_LOST;
    if (over) {
        socket_over(client, state);
    } else if (client->loop.heard_failed) {
        push_failed(client, push_socket_server(client->loop.socket), 0, "out of memory");
        drop_socket(client);
    }
    client->loop.heard_failed = false;
}

/* --- beginning -------------------------------------------------------------------------------- */

static void free_errand(struct errand *errand)
{
    wire_free_outcome(&errand->outcome);
    wire_free_state(&errand->state);
    free(errand);
}

static void write_request(const struct book_request *request, struct http_call *call)
{
    static const char *const paths[] = {[BOOK_REGISTER] = "/api/registry/register",
                                        [BOOK_HEARTBEAT] = "/api/registry/heartbeat",
                                        [BOOK_UNREGISTER] = "/api/registry/unregister"};
    text_append_string(&call->path, paths[request->call]);
    if (request->call == BOOK_REGISTER)
        wire_write_instances(&call->body, request->instances, request->count);
    else
        wire_write_keys(&call->body, request->instances, request->count);
}

/* Both or neither. */
static bool new_call(struct http_call **call, struct errand **errand)
{
    *call = calloc(1, sizeof **call);
    *errand = calloc(1, sizeof **errand);
    if (*call && *errand) {
        (*call)->about = *errand;
        return true;
    }
    free(*call);
    free(*errand);
    return false;
}

static void begin_registry_call(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    struct book *book = &client->shared.book;
    struct book_request request;
    size_t server = 0;
    uint64_t next_ms = UINT64_MAX;
    if (book_is_empty(book) || book->under_way)
        return;
    if (servers_choose(&client->shared.registry_servers, now_ms, &server, &next_ms) &&
        book_next(book, now_ms, &request, &next_ms)) {
        struct http_call *call;
        struct errand *errand;
        bool well = new_call(&call, &errand);
        if (well) {
            call->server = server;
            write_request(&request, call);
            errand->request = request;
            well = !http_start(client->http, call);
            if (!well) {
                http_call_free(call);
                free(errand);
            }
        }
        if (well)
            return;
        book_failed(book, &request);
        next_ms = now_ms + NO_MEMORY_PAUSE_MS;
    }
    if (next_ms < *at_ms)
        *at_ms = next_ms;
}

/* Fetches are asked of the server that pushes: its versions go together. */
static bool begin_fetch(struct artemis_client *client, struct follow_work *work)
{
    struct http_call *call;
    struct errand *errand;
    if (!new_call(&call, &errand))
        return false;
    call->server = client->shared.push_server;
    call->path = work->path;
    work->path = (struct text){0};
    snprintf(call->if_none_match, sizeof call->if_none_match, "%s", work->etag);
    errand->is_fetch = true;
    errand->generation = work->generation;
    memcpy(errand->id, work->id, sizeof errand->id);
    if (!http_start(client->http, call))
        return true;
    http_call_free(call);
    free(errand);
    return false;
}

static void follow_on(struct artemis_client *client, uint64_t now_ms, uint64_t *at_ms)
{
    struct follow_work work;
    uint64_t next_ms = UINT64_MAX;
    while (follow_next(&client->shared.follow, now_ms, &work, &next_ms)) {
        bool says = work.say.size > 0 || text_failed(&work.say);
        bool well = !text_failed(&work.say) && !text_failed(&work.path);
        if (well && says && client->loop.socket)
            well =
                !push_socket_say(client->loop.socket, (struct slice){work.say.data, work.say.size});
        else if (well)
            well = begin_fetch(client, &work);
        text_free(&work.say);
        text_free(&work.path);
        if (well)
            continue;
        push_failed(client, client->shared.push_server, 0, "out of memory");
        drop_socket(client);
    }
    if (next_ms < *at_ms)
        *at_ms = next_ms;
}

/* Under the lock. Begins what is due; returns when to look again. */
static uint64_t begin(struct artemis_client *client)
{
    uint64_t now_ms = client_clock_ms();
    uint64_t at_ms = UINT64_MAX;
    begin_registry_call(client, now_ms, &at_ms);
    if (client->shared.follow.entries && !client->loop.socket)
        open_socket(client, now_ms, &at_ms);
    follow_on(client, now_ms, &at_ms);
    return at_ms;
}

/* --- ending ----------------------------------------------------------------------------------- */

/* Without the lock: what does the answer say? */
static void read_answer(struct http_call *call, struct errand *errand)
{
    struct slice body = {call->answer.data, call->answer.size};
    struct wire_outcome *outcome = errand->is_fetch ? &errand->state.outcome : &errand->outcome;
    errand->unchanged = call->answered && call->status == 304;
    if (errand->unchanged)
        return;
    enum error error = ERR_INVALID_JSON;
    if (call->answered)
        error = errand->is_fetch ? wire_read_state(body, &errand->state)
                                 : wire_read_outcome(body, &errand->outcome);
    errand->failed = error || call->status >= 500 || call->status == 429 || call->status == 408;
    if (!call->answered)
        snprintf(errand->problem, sizeof errand->problem, "%s", call->problem);
    else if (error == ERR_NO_MEMORY)
        snprintf(errand->problem, sizeof errand->problem, "out of memory");
    else if (error)
        snprintf(errand->problem, sizeof errand->problem,
                 "what answers is no Artemis server (HTTP status %d)", call->status);
    else
        snprintf(errand->problem, sizeof errand->problem, "%.*s", HTTP_PROBLEM_MAX - 1,
                 outcome->message);
}

static void registry_answered(struct artemis_client *client, struct http_call *call,
                              struct errand *errand, uint64_t now_ms)
{
    const char *url = url_of(client, call->server);
    struct book_news news;
    if (errand->failed) {
        const char *why =
            note_problem(client, client->shared.registry_problem, call->server, errand->problem);
        servers_failed(&client->shared.registry_servers, call->server, now_ms, call->retry_after_ms,
                       client_clock_random());
        if (!client->shared.registry_troubled)
            say(client, ARTEMIS_LOG_WARNING, "not renewed: %s; trying on", why);
        client->shared.registry_troubled = true;
        book_failed(&client->shared.book, &errand->request);
        return;
    }
    servers_succeeded(&client->shared.registry_servers, call->server);
    if (client->shared.registry_troubled)
        say(client, ARTEMIS_LOG_INFO, "registering with %s", url);
    client->shared.registry_troubled = false;
    book_answered(&client->shared.book, &errand->request, &errand->outcome, now_ms, &news);
    if (news.lost > 0)
        say(client, ARTEMIS_LOG_INFO, "%s does not know %zu of ours (any more): registering again",
            url, news.lost);
    if (news.refused[0])
        say(client, ARTEMIS_LOG_WARNING, "%s refused: %s", url, news.refused);
}

static void fetch_answered(struct artemis_client *client, struct http_call *call,
                           struct errand *errand, uint64_t now_ms)
{
    struct follow *follow = &client->shared.follow;
    const struct wire_outcome *outcome = &errand->state.outcome;
    bool is_current = follow->connected && call->server == client->shared.push_server;
    if (!is_current)
        return; /* it was lost meanwhile; nobody waits for this */
    if (errand->failed) {
        push_failed(client, call->server, call->retry_after_ms, errand->problem);
        drop_socket(client);
        return;
    }
    bool known =
        errand->unchanged || outcome->done || strcmp(outcome->reason, "service-not-found") == 0;
    if (known)
        follow_fetched(follow, errand->id, errand->generation,
                       errand->unchanged ? NULL : &errand->state, call->etag, now_ms,
                       client_clock_wall_ms());
    else
        follow_refused(follow, errand->id, errand->generation, outcome->message, now_ms);
}

/* Under the lock. Frees the calls. */
static void apply_answers(struct artemis_client *client, struct http_call *calls)
{
    uint64_t now_ms = client_clock_ms();
    while (calls) {
        struct http_call *call = calls;
        struct errand *errand = call->about;
        calls = call->next;
        if (errand->is_fetch)
            fetch_answered(client, call, errand, now_ms);
        else
            registry_answered(client, call, errand, now_ms);
        free_errand(errand);
        http_call_free(call);
    }
}

/* Without the lock. */
static struct http_call *take_answers(struct artemis_client *client)
{
    struct http_call *taken = NULL;
    struct http_call *call;
    while ((call = http_take(client->http))) {
        read_answer(call, call->about);
        call->next = taken;
        taken = call;
    }
    return taken;
}

/* --- turns ------------------------------------------------------------------------------------ */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void wait_for_news(struct artemis_client *client, uint64_t at_ms)
{
    struct curl_waitfd fd;
    uint64_t socket_ms = UINT64_MAX;
    bool more = client->loop.socket && push_socket_wants(client->loop.socket, &fd, &socket_ms);
    at_ms = earlier(at_ms, socket_ms);
    uint64_t now_ms = client_clock_ms();
    http_wait(client->http, more ? &fd : NULL, at_ms > now_ms ? at_ms - now_ms : 0);
}

void loop_turn(struct artemis_client *client, uint64_t until_ms)
{
    pthread_mutex_lock(&client->lock);
    uint64_t at_ms = begin(client);
    pthread_mutex_unlock(&client->lock);

    http_run(client->http);
    if (!http_has_ended(client->http))
        wait_for_news(client, earlier(at_ms, until_ms));
    http_run(client->http);
    enum push_state state = PUSH_CONNECTING;
    if (client->loop.socket)
        state = push_socket_run(client->loop.socket, client_clock_ms());
    struct http_call *answers = take_answers(client);

    pthread_mutex_lock(&client->lock);
    apply_socket(client, state);
    apply_answers(client, answers);
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
}

static void call_back(const struct artemis_client *client, const struct event *event)
{
    if (!event->watch) {
        client->settings.log(event->level, event->line, client->settings.log_context);
        return;
    }
    const struct record *now = event->now ? event->now : event->before;
    const struct artemis_change change = {
        .type = event->type,
        .instance = &now->view,
        .previous = event->before ? &event->before->view : NULL,
        .time_ms = event->time_ms,
    };
    event->watch->callback(&change, event->watch->context);
}

static void tell(struct artemis_client *client)
{
    struct event *event;
    pthread_mutex_lock(&client->lock);
    while (!client->shared.stopping && (event = events_take(&client->shared.follow.events))) {
        bool wanted = !event->watch || event->watch->entry;
        client->shared.telling = event->watch;
        pthread_mutex_unlock(&client->lock);
        if (wanted)
            call_back(client, event);
        pthread_mutex_lock(&client->lock);
        client->shared.telling = NULL;
        event_free(event);
        pthread_cond_broadcast(&client->changed);
    }
    pthread_mutex_unlock(&client->lock);
}

static bool is_stopping(struct artemis_client *client)
{
    pthread_mutex_lock(&client->lock);
    bool stopping = client->shared.stopping;
    pthread_mutex_unlock(&client->lock);
    return stopping;
}

void *loop_run(void *context)
{
    struct artemis_client *client = context;
    pthread_mutex_lock(&client->lock);
    client->shared.loop_thread = pthread_self();
    client->shared.thread_known = true;
    pthread_mutex_unlock(&client->lock);
    while (!is_stopping(client)) {
        loop_turn(client, UINT64_MAX);
        tell(client);
    }
    return NULL;
}

void loop_free(struct artemis_client *client)
{
    struct http_call *call;
    http_cancel_all(client->http);
    while ((call = http_take(client->http))) {
        struct errand *errand = call->about;
        if (!errand->is_fetch)
            book_failed(&client->shared.book, &errand->request);
        free_errand(errand);
        http_call_free(call);
    }
    drop_socket(client);
    http_free(client->http);
}

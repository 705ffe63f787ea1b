/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/command_registry.h"

#include "artemis/client_args.h"
#include "artemis/client_call.h"
#include "artemis/client_file.h"
#include "artemis/client_keep.h"
#include "artemis/client_request.h"
#include "artemis/client_text.h"

#include <stdio.h>
#include <string.h>

/* One line to say that it is done, in place of the server's answer. */
static void say(const struct client_args *args, const char *done)
{
    fputs(done, stdout);
    fputc(' ', stdout);
    client_text_print(stdout, args->positionals[0], 0);
    fputc('/', stdout);
    client_text_print(stdout, args->positionals[1], 0);
    fputc('\n', stdout);
}

static int finish(const struct client_args *args, struct client_reply *reply, const char *done)
{
    int exit_code = client_call_report(args, reply);
    if (client_call_shows(args, reply) && args->positionals[1])
        say(args, done);
    else if (client_call_shows(args, reply))
        puts(done);
    client_reply_free(reply);
    return exit_code;
}

static void post_key(const struct client_args *args, const char *path, struct client_reply *reply)
{
    json_t *body = NULL;
    enum error error = client_request_key(args, &body);
    client_call_post(args, path, error ? NULL : body, reply);
}

/* --unregister says what is done at the end of --every. */
static bool lacks_every(const struct client_args *args)
{
    return client_args_has(args, "unregister") && !client_args_has(args, "every");
}

static const char without_every[] = "--unregister goes with --every; else see: artemis unregister";

/* --- register --------------------------------------------------------------------------------- */

static const struct client_option register_options[] = {
    CLIENT_INSTANCE_OPTIONS,
    CLIENT_KEY_OPTIONS,
    CLIENT_KEEP_OPTIONS,
    {.name = "file", .value = "FILE", .sentence = "post this JSON request as it is; - is stdin"},
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command register_command = {
    .name = "register",
    .usage = {"register SERVICE INSTANCE --ip IP --port N [options]",
              "register SERVICE INSTANCE --url URL [options]", "register --file FILE [options]"},
    .about = "Registers an instance of a service, or changes it. Its lease ends when no\n"
             "heartbeat has come for lease.ttl_secs (30): see artemis heartbeat.\n"
             "With --every, goes on with heartbeats until SIGINT or SIGTERM: a server that is\n"
             "away or busy is tried again until it is back, and one that does not know the\n"
             "instance any more gets it again. The lease is left to end by itself, unless\n"
             "--unregister is given.\n",
    .example = "artemis register orders orders-1 --ip 10.0.0.7 --port 8080 --meta version=3\n"
               "artemis register orders orders-1 --ip 10.0.0.7 --port 8080 --every 10\n"
               "artemis register --file instances.json\n",
    .positionals = {"SERVICE", "INSTANCE"},
    .positionals_optional = true,
    .options = register_options,
};

/* With --file the body says it all: whatever else would describe an instance is a mistake. */
static bool is_alone(const struct client_args *args, char mistake[CLIENT_MISTAKE_MAX])
{
    static const char *const company[] = {"file", "server", "json"};
    if (args->positionals[0]) {
        snprintf(mistake, CLIENT_MISTAKE_MAX, "with --file, the file says SERVICE and INSTANCE");
        return false;
    }
    for (size_t i = 0; i < args->given_count; i++) {
        const char *name = args->given[i].option->name;
        bool fits = false;
        for (size_t k = 0; k < sizeof company / sizeof *company; k++)
            fits |= strcmp(company[k], name) == 0;
        if (strcmp(name, "every") == 0 || strcmp(name, "unregister") == 0) {
            snprintf(mistake, CLIENT_MISTAKE_MAX, "--%s goes with SERVICE and INSTANCE, not --file",
                     name);
            return false;
        }
        if (!fits) {
            snprintf(mistake, CLIENT_MISTAKE_MAX, "with --file, the file says --%s", name);
            return false;
        }
    }
    return true;
}

static int register_file(const struct client_args *args, const char *path)
{
    char mistake[CLIENT_MISTAKE_MAX];
    if (!is_alone(args, mistake))
        return client_args_mistake(&register_command, mistake);
    struct text body = {0};
    enum error error = client_file_read(path, &body, mistake);
    int exit_code = CLIENT_DONE;
    if (error == ERR_NO_MEMORY) {
        exit_code = client_call_no_memory();
    } else if (error) {
        exit_code = client_args_mistake(&register_command, mistake);
    } else {
        struct client_request request = {
            .path = "/api/registry/register", .body = text_string(&body), .size_bytes = body.size};
        struct client_reply reply;
        client_call(args, &request, &reply);
        exit_code = finish(args, &reply, "registered");
    }
    text_free(&body);
    return exit_code;
}

static int register_one(const struct client_args *args)
{
    char mistake[CLIENT_MISTAKE_MAX] = "SERVICE and INSTANCE are missing, or --file FILE";
    if (args->positionals[0])
        snprintf(mistake, sizeof mistake, "INSTANCE is missing");
    if (!args->positionals[1])
        return client_args_mistake(&register_command, mistake);
    if (lacks_every(args))
        return client_args_mistake(&register_command, without_every);

    json_t *body = NULL;
    enum error error = client_request_instance(args, &body, mistake);
    if (error == ERR_INVALID_FIELD)
        return client_args_mistake(&register_command, mistake);
    if (!error && client_args_has(args, "every")) {
        int exit_code = client_keep(args, body);
        json_decref(body);
        return exit_code;
    }
    struct client_reply reply;
    client_call_post(args, "/api/registry/register", body, &reply);
    return finish(args, &reply, "registered");
}

int command_register(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &register_command, argc, argv, &exit_code))
        return exit_code;
    const char *path = client_args_text(&args, "file");
    exit_code = path ? register_file(&args, path) : register_one(&args);
    client_args_free(&args);
    return exit_code;
}

/* --- heartbeat -------------------------------------------------------------------------------- */

static const struct client_option heartbeat_options[] = {
    CLIENT_KEEP_OPTIONS,
    CLIENT_KEY_OPTIONS,
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command heartbeat_command = {
    .name = "heartbeat",
    .usage = {"heartbeat SERVICE INSTANCE [options]"},
    .about = "Renews the lease of an instance. When the server does not know the lease, this\n"
             "ends with 1: register the instance again. With --every, goes on until SIGINT or\n"
             "SIGTERM; a server that is away or busy is tried again until it is back. The\n"
             "lease is left to end by itself, unless --unregister is given.\n",
    .example = "artemis heartbeat orders orders-1 --every 10\n",
    .positionals = {"SERVICE", "INSTANCE"},
    .options = heartbeat_options,
};

static int heartbeat(const struct client_args *args)
{
    struct client_reply reply;
    if (lacks_every(args))
        return client_args_mistake(&heartbeat_command, without_every);
    if (client_args_has(args, "every"))
        return client_keep(args, NULL);
    post_key(args, "/api/registry/heartbeat", &reply);
    return finish(args, &reply, "renewed");
}

int command_heartbeat(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &heartbeat_command, argc, argv, &exit_code))
        return exit_code;
    exit_code = heartbeat(&args);
    client_args_free(&args);
    return exit_code;
}

/* --- unregister ------------------------------------------------------------------------------- */

static const struct client_option unregister_options[] = {
    CLIENT_KEY_OPTIONS,
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command unregister_command = {
    .name = "unregister",
    .usage = {"unregister SERVICE INSTANCE [options]"},
    .about = "Takes an instance out of the registry at once. What is not there counts as done.\n",
    .example = "artemis unregister orders orders-1\n",
    .positionals = {"SERVICE", "INSTANCE"},
    .options = unregister_options,
};

int command_unregister(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &unregister_command, argc, argv, &exit_code))
        return exit_code;
    struct client_reply reply;
    post_key(&args, "/api/registry/unregister", &reply);
    exit_code = finish(&args, &reply, "unregistered");
    client_args_free(&args);
    return exit_code;
}

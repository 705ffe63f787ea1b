/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/handlers.h"

typedef enum error registry_call(struct batch_call *call, char message[MESSAGE_BYTES]);

static struct batch_call begin(const struct request *request, struct response *response)
{
    return (struct batch_call){
        .engine = request->engine,
        .now = request->now,
        .body = request_body(request),
        .java = request->java,
        .token = request->token,
        .names = request->names,
        .response = &response->body,
    };
}

static void end(const struct batch_call *call, struct request *request, struct response *response)
{
    request->names = call->names;
    response->outcome = call->outcome;
    response->status = 200;
    if (call->success.size) {
        response->kind = RESPONSE_CONSTANT;
        response->constant = call->success;
    }
}

enum error handle_batch(struct request *request, struct response *response,
                        char message[MESSAGE_BYTES], enum batch_kind kind, batch_call_apply *apply,
                        uint64_t transit_ms)
{
    struct batch_call call = begin(request, response);
    call.transit_ms = transit_ms;
    call.peer = request_client_hash(request);
    enum error error = registry_call_batch(&call, kind, apply, message);
    end(&call, request, response);
    return error;
}

static enum error handle(struct request *request, struct response *response,
                         char message[MESSAGE_BYTES], registry_call *function)
{
    struct batch_call call = begin(request, response);
    char client[REQUEST_ADDRESS_BYTES];
    if (write_audit_is_due(request->token)) {
        request_address_write(request->mhd, client);
        call.audit = (struct write_audit){
            .engine = request->engine,
            .origin = {request->token->name, client},
            .now = request->now,
        };
    }
    enum error error = function(&call, message);
    end(&call, request, response);
    return error;
}

enum error handle_register(struct request *request, struct response *response,
                           char message[MESSAGE_BYTES])
{
    return handle(request, response, message, registry_call_register);
}

enum error handle_heartbeat(struct request *request, struct response *response,
                            char message[MESSAGE_BYTES])
{
    return handle(request, response, message, registry_call_heartbeat);
}

enum error handle_unregister(struct request *request, struct response *response,
                             char message[MESSAGE_BYTES])
{
    return handle(request, response, message, registry_call_unregister);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * route_table - all routes of the server with their handlers. docs/API.md and the table of roles in
 * docs/SECURITY.md are generated from it.
 */
#pragma once

#include "artemis-web/http/routes.h"

extern const struct route_table api_routes;

/* SPDX-License-Identifier: Apache-2.0
 *
 * command_discovery - the commands that ask the registry: services, service.
 *
 * `argv[0]` is the name of the command; the result is an exit code (client_exit). Each has --help.
 */
#pragma once

int command_services(int argc, char **argv);
int command_service(int argc, char **argv);

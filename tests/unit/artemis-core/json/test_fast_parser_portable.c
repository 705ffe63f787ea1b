/* SPDX-License-Identifier: Apache-2.0
 *
 * The tests of fast_parser with the portable form of text_scan.h, which other processors than
 * x86-64 and arm64 use: this file compiles the parser again, without SSE2 and NEON.
 */
#undef __SSE2__
#undef __ARM_NEON
#include "artemis-core/base/text_scan.h"

#include "artemis-core/json/fast_parser.c"
#include "tests/unit/artemis-core/json/test_fast_parser.c"

-- SPDX-License-Identifier: Apache-2.0
--
-- The load for wrk:  wrk ... -s load.lua URL -- heartbeat|discovery|change
--
-- One key per heartbeat, one service per request, one instance with another port per change, taken
-- in turn from 1,000 of those that
-- `fill --count 10000 --instances-per-service 10` registers; its ids are written in bench/common.h.
-- All requests are made before the first is sent. Ends with one line of numbers for bench.sh.

local REQUESTS = 1000
local PER_SERVICE = 10

local requests = {}
local turn = 0

local function heartbeat(n)
    local ids = ('"service_id":"bench-%06d","instance_id":"i-%09d"'):format(n / PER_SERVICE, n)
    local body = '{"instance_keys":[{"region_id":"local","zone_id":"zone1",' .. ids .. '}]}'
    local headers = { ["Content-Type"] = "application/json" }
    return wrk.format("POST", "/api/registry/heartbeat", headers, body)
end

local function discovery(n)
    local path = "/api/discovery/service?service_id=bench-%06d"
    return wrk.format("GET", path:format(n / PER_SERVICE))
end

-- Each of 500 instances with one port, then with another: every registration changes content.
local function change(n)
    local i = n - n % (2 * PER_SERVICE)
    local ids = ('"service_id":"bench-%06d","instance_id":"i-%09d"'):format(i / PER_SERVICE, i)
    local body = '{"instances":[{"region_id":"local","zone_id":"zone1",' .. ids ..
        ',"ip":"10.0.0.1","port":' .. (1000 + n % (2 * PER_SERVICE)) .. '}]}'
    local headers = { ["Content-Type"] = "application/json" }
    return wrk.format("POST", "/api/registry/register", headers, body)
end

function init(args)
    local make = ({ heartbeat = heartbeat, discovery = discovery, change = change })[args[1]]
    for i = 1, REQUESTS do
        requests[i] = make((i - 1) * PER_SERVICE)
    end
end

function request()
    turn = turn % REQUESTS + 1
    return requests[turn]
end

function done(summary, latency)
    local e = summary.errors
    io.write(("\nrequests=%d duration_us=%d bytes=%d p50_us=%d p99_us=%d errors=%d\n"):format(
        summary.requests, summary.duration, summary.bytes, latency:percentile(50),
        latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end

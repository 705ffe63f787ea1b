-- SPDX-License-Identifier: Apache-2.0
--
-- The load for wrk:
--   wrk ... -s load.lua URL -- heartbeat|heartbeat_100|discovery|change [WARM [COUNT PER_SERVICE]]
--
-- One key per heartbeat, one service per request, one instance with another port per change, taken
-- in turn from 1,000 of those that
-- `fill --count 10000 --instances-per-service 10` registers; its ids are written in bench/common.h.
-- All requests are made before the first is sent. Ends with one line of numbers for bench.sh. Its
-- `rate` counts the requests that a thread sent after its first WARM ones (default 0), so that the
-- start of many connections is not measured. With COUNT, each request is for a random one of COUNT
-- instances (a heartbeat) or services (discovery) of PER_SERVICE, and made when it is sent.

local ffi = require("ffi")
ffi.cdef [[
    struct time { long secs, ns; };
    int clock_gettime(int clock, struct time *out);
]]

local REQUESTS = 1000
local PER_SERVICE = 10
local count, per_service
local before, between, after -- the ids of a request that is made when it is sent

local requests = {}
local turn = 0
local threads = {}
sent, warm, since = 0, 0, 0 -- global, so that done() can read them

local function now_secs()
    local time = ffi.new("struct time")
    ffi.C.clock_gettime(1, time) -- CLOCK_MONOTONIC
    return tonumber(time.secs) + tonumber(time.ns) / 1e9
end

local function key(n)
    local ids = ('"service_id":"bench-%06d","instance_id":"i-%09d"'):format(n / PER_SERVICE, n)
    return '{"region_id":"local","zone_id":"zone1",' .. ids .. '}'
end

local function heartbeat(n)
    local body = '{"instance_keys":[' .. key(n) .. ']}'
    local headers = { ["Content-Type"] = "application/json" }
    return wrk.format("POST", "/api/registry/heartbeat", headers, body)
end

-- A hundred keys.
local function heartbeat_100(n)
    local keys = {}
    for i = 1, 100 do
        local k = (n + i - 1) % (REQUESTS * PER_SERVICE)
        keys[i] = key(k)
    end
    local body = '{"instance_keys":[' .. table.concat(keys, ",") .. ']}'
    return wrk.format("POST", "/api/registry/heartbeat", { ["Content-Type"] = "application/json" }, body)
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

function setup(thread)
    threads[#threads + 1] = thread
end

function init(args)
    warm = tonumber(args[2]) or 0
    local make = ({
        heartbeat = heartbeat,
        heartbeat_100 = heartbeat_100,
        discovery = discovery,
        change = change,
    })[args[1]]
    count, per_service = tonumber(args[3]), tonumber(args[4])
    if count then
        before, between, after = make(0):match("^(.*bench%-)%d+(.*i%-)%d+(.*)$")
        if not before then
            before, after = make(0):match("^(.*bench%-)%d+(.*)$")
        end
        math.randomseed(now_secs() * 1e6)
        return
    end
    for i = 1, REQUESTS do
        requests[i] = make((i - 1) * PER_SERVICE)
    end
end

local function random_request()
    local n = math.random(count) - 1
    local service = before .. ("%06d"):format(math.floor(n / per_service))
    return between and service .. between .. ("%09d"):format(n) .. after or service .. after
end

function request()
    if sent == warm then
        since = now_secs()
    end
    sent = sent + 1
    if count then
        return random_request()
    end
    turn = turn % REQUESTS + 1
    return requests[turn]
end

function done(summary, latency)
    local e = summary.errors
    local rate, now = 0, now_secs()
    for _, thread in ipairs(threads) do
        local after = thread:get("sent") - thread:get("warm")
        if after > 0 then
            rate = rate + after / (now - thread:get("since"))
        end
    end
    local line = "\nrequests=%d duration_us=%d bytes=%d p50_us=%d p99_us=%d errors=%d rate=%d\n"
    io.write(line:format(summary.requests, summary.duration, summary.bytes, latency:percentile(50),
        latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout, rate))
end

-- SPDX-License-Identifier: Apache-2.0
--
-- The requests for wrk:  wrk ... -s peers.lua URL -- SERVER OPERATION [FIRST]
--
-- SERVER is artemis, rust (Artemis in Rust, camelCase), eureka, nacos or etcd. OPERATION is:
--   lease         grants the leases of the instances 0 to 9,999 (etcd only, before fill)
--   fill          registers the instances 0 to 9,999 in 1,000 services of ten
--   heartbeat     renews one instance per request
--   heartbeat100  renews 100 instances per request (servers that have such a request)
--   discovery     reads a service of ten instances
--   register      registers a new instance per request, from number FIRST on
-- The service of instance n is n / 10. For one thread of wrk. Ends with one line of numbers for
-- compare.sh.

local FILLED, PER_SERVICE, BATCH = 10000, 10, 100
local JSON = { ["Content-Type"] = "application/json", ["Accept"] = "application/json" }
local FORM = { ["Content-Type"] = "application/x-www-form-urlencoded" }

local function service(n) return ("bench-%06d"):format(math.floor(n / PER_SERVICE)) end
local function instance(n) return ("i-%09d"):format(n) end
local function ip(n) return ("10.%d.%d.%d"):format(n / 65536 % 256, n / 256 % 256, n % 256) end

-- --- Artemis -------------------------------------------------------------------------------------

local function artemis_with(name)
    local function key(n)
        local format = '"%s":"local","%s":"zone1","%s":"%s","%s":"%s"'
        return format:format(name.region, name.zone, name.service, service(n), name.instance,
            instance(n))
    end
    local function heartbeat(first, count)
        local keys = {}
        for i = 1, count do keys[i] = "{" .. key((first + i - 1) % FILLED) .. "}" end
        local body = ('{"%s":[%s]}'):format(name.keys, table.concat(keys, ","))
        return wrk.format("POST", "/api/registry/heartbeat", JSON, body)
    end
    return {
        register = function(n)
            local format = '{"instances":[{%s,"ip":"%s","port":8080,"%s":null,' ..
                '"protocol":"http","url":"http://%s:8080","%s":null,"status":"up",' ..
                '"metadata":{"version":"1.4.2"}}]}'
            local body = format:format(key(n), ip(n), name.machine, ip(n), name.health)
            return wrk.format("POST", "/api/registry/register", JSON, body)
        end,
        heartbeat = function(n) return heartbeat(n, 1) end,
        heartbeat100 = function(n) return heartbeat(n, BATCH) end,
        discovery = function(n)
            local format = "/api/discovery/service?%s=%s&%s=local&%s=zone1"
            return wrk.format("GET", format:format(name.service, service(n), name.region,
                name.zone))
        end,
    }
end

local snake = { region = "region_id", zone = "zone_id", service = "service_id",
    instance = "instance_id", keys = "instance_keys", machine = "machine_name",
    health = "health_check_url" }
local camel = { region = "regionId", zone = "zoneId", service = "serviceId",
    instance = "instanceId", keys = "instanceKeys", machine = "machineName",
    health = "healthCheckUrl" }

-- --- Eureka --------------------------------------------------------------------------------------

local eureka = {
    register = function(n)
        local format = '{"instance":{"instanceId":"%s","hostName":"%s","app":"%s","ipAddr":"%s",' ..
            '"status":"UP","port":{"$":8080,"@enabled":"true"},' ..
            '"securePort":{"$":443,"@enabled":"false"},"vipAddress":"%s",' ..
            '"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",' ..
            '"name":"MyOwn"},"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":600},' ..
            '"metadata":{"version":"1.4.2"}}}'
        local app = service(n):upper()
        local body = format:format(instance(n), ip(n), app, ip(n), service(n))
        return wrk.format("POST", "/eureka/apps/" .. app, JSON, body)
    end,
    heartbeat = function(n)
        local path = ("/eureka/apps/%s/%s?status=UP"):format(service(n):upper(), instance(n))
        return wrk.format("PUT", path, JSON, "")
    end,
    discovery = function(n)
        return wrk.format("GET", "/eureka/apps/" .. service(n):upper(), JSON)
    end,
}

-- --- Nacos, with its HTTP API of version 1 ----------------------------------------------------------

local function escape(text)
    return (text:gsub("[^%w%-_.]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local nacos = {
    register = function(n)
        local format = "serviceName=%s&ip=%s&port=8080&ephemeral=true&metadata=%s"
        local body = format:format(service(n), ip(n), escape('{"version":"1.4.2"}'))
        return wrk.format("POST", "/nacos/v1/ns/instance", FORM, body)
    end,
    heartbeat = function(n)
        local beat = ('{"serviceName":"DEFAULT_GROUP@@%s","ip":"%s","port":8080,"weight":1}')
            :format(service(n), ip(n))
        local format = "/nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP@@%s&ip=%s&port=8080" ..
            "&beat=%s"
        return wrk.format("PUT", format:format(service(n), ip(n), escape(beat)), FORM, "")
    end,
    discovery = function(n)
        return wrk.format("GET", "/nacos/v1/ns/instance/list?serviceName=" .. service(n))
    end,
}

-- --- etcd, with its JSON gateway: a key and a lease per instance --------------------------------------

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text)
    local out = {}
    for i = 1, #text, 3 do
        local a, b, c = text:byte(i, i + 2)
        local bits = a * 65536 + (b or 0) * 256 + (c or 0)
        for j = 0, 3 do
            local digit = math.floor(bits / 64 ^ (3 - j)) % 64 + 1
            out[#out + 1] = (j == 2 and not b or j == 3 and not c) and "="
                or digits:sub(digit, digit)
        end
    end
    return table.concat(out)
end

local etcd = {
    -- Requests that exceed the number of instances renew: a lease can be granted once.
    lease = function(n, etcd, is_again)
        if is_again then return etcd.heartbeat(n) end
        return wrk.format("POST", "/v3/lease/grant", JSON, ('{"ID":%d,"TTL":600}'):format(n + 1))
    end,
    register = function(n)
        local key = ("/services/%s/%s"):format(service(n), instance(n))
        local value = ('{"ip":"%s","port":8080,"status":"up","metadata":{"version":"1.4.2"}}')
            :format(ip(n))
        local body = ('{"key":"%s","value":"%s","lease":%d}')
            :format(base64(key), base64(value), n % FILLED + 1)
        return wrk.format("POST", "/v3/kv/put", JSON, body)
    end,
    heartbeat = function(n)
        return wrk.format("POST", "/v3/lease/keepalive", JSON, ('{"ID":%d}'):format(n + 1))
    end,
    discovery = function(n)
        local prefix = ("/services/%s/"):format(service(n))
        local body = ('{"key":"%s","range_end":"%s"}')
            :format(base64(prefix), base64(prefix:sub(1, -2) .. "0"))
        return wrk.format("POST", "/v3/kv/range", JSON, body)
    end,
}

-- --- the run -----------------------------------------------------------------------------------------

local servers = { artemis = artemis_with(snake), rust = artemis_with(camel), eureka = eureka,
    nacos = nacos, etcd = etcd }
local make, server, operation
local fixed = {}
local step, first, answered = -1, 0, 0 -- wrk makes one request before its first, to test it
refused = 0 -- global, so that done() can read it

function setup(thread)
    the_thread = thread
end

local function is_filling()
    return operation == "fill" or operation == "lease"
end

function init(args)
    server, operation, first = args[1], args[2], tonumber(args[3]) or 0
    make = servers[server] and servers[server][operation == "fill" and "register" or operation]
    if not make then
        error(("%s has no operation %s"):format(server, operation))
    end
    if not is_filling() and operation ~= "register" then
        for i = 1, 1000 do
            fixed[i] = make((i - 1) * PER_SERVICE)
        end
    end
end

function request()
    step = step + 1
    if #fixed > 0 then
        return fixed[step % #fixed + 1]
    end
    if is_filling() then -- the first one is not sent, so it comes again after the last
        return make(step % FILLED, servers[server], step > FILLED)
    end
    return make(first + step)
end

function response(status, headers, body)
    answered = answered + 1
    if status >= 300 then
        refused = refused + 1
    end
    if is_filling() and answered > FILLED * 1.05 then
        wrk.thread:stop()
    end
end

function done(summary, latency)
    local e = summary.errors
    local line = "\nrequests=%d duration_us=%d p50_us=%d p99_us=%d errors=%d refused=%d\n"
    io.write(line:format(summary.requests, summary.duration, latency:percentile(50),
        latency:percentile(99), e.connect + e.read + e.write + e.timeout,
        the_thread:get("refused")))
end

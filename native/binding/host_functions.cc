#include "binding/host_functions.h"

#include <unistd.h>

#include <algorithm>

#include "binding/arguments.h"
#include "host/held_port.h"
#include "host/interface_state.h"
#include "host/routes.h"
#include "host/ruleset_generation.h"
#include "io/link_device.h"
#include "io/tun_device.h"
#include "process/output.h"
#include "process/privileges.h"
#include "process/system_call_filter.h"

namespace guise {
namespace {

constexpr uint32_t kMostQueues = 64;  // the engine's workers
constexpr uint32_t kMostDescriptors = INT32_MAX;
constexpr uint32_t kLongestWait = 60'000;  // milliseconds

Napi::Value failure(Napi::Env env, int error, const char* syscall) {
  auto result = Napi::Object::New(env);
  result.Set("errno", error);
  result.Set("syscall", syscall);
  return result;
}

// (name, queues, offload): {name, fds, virtioHeader, segmentation}, or {errno, syscall}.
Napi::Value OpenTun(const Napi::CallbackInfo& info) {
  const std::string name = arguments::text(info[0], "name");
  const uint32_t queues = arguments::whole_number(info[1], "queues", 1, kMostQueues);
  const bool offload = arguments::boolean(info[2], "offload");
  TunDevice device;
  const char* syscall = "";
  if (const int error = open_tun(name, queues, offload, device, syscall)) return failure(info.Env(), error, syscall);
  auto result = Napi::Object::New(info.Env());
  auto fds = Napi::Array::New(info.Env());
  for (size_t i = 0; i < device.queues.size(); ++i) fds.Set(static_cast<uint32_t>(i), device.queues[i].release());
  result.Set("name", device.name);
  result.Set("fds", fds);
  result.Set("virtioHeader", device.virtio_header);
  result.Set("segmentation", device.segmentation);
  return result;
}

// (address, port): {fd, port}, or {errno, syscall}.
Napi::Value HoldPort(const Napi::CallbackInfo& info) {
  Endpoint local = arguments::endpoint(info[0], info[1], 0);
  UniqueFd fd;
  const char* syscall = "";
  auto result = Napi::Object::New(info.Env());
  if (const int error = hold_port(local, fd, syscall)) return failure(info.Env(), error, syscall);
  result.Set("fd", fd.release());
  result.Set("port", local.port);
  return result;
}

// (address, port, mark, interface): {interface, nextHop, isGateway, isSilent}, or {errno, syscall}.
Napi::Value FindDeparture(const Napi::CallbackInfo& info) {
  const Endpoint remote = arguments::endpoint(info[0], info[1], 1);
  const uint32_t mark = arguments::whole_number(info[2], "mark", 0, arguments::kAny32);
  const std::string name = arguments::text(info[3], "interface");
  const uint32_t interface = name.empty() ? interface_past_tunnels(remote.address) : ::if_nametoindex(name.c_str());
  Departure departure;
  if (const int error = find_departure(remote.address, mark, interface, departure))
    return failure(info.Env(), error, "RTM_GETROUTE");
  auto next_hop = Napi::Uint8Array::New(info.Env(), arguments::kAddressBytes);
  std::ranges::copy(departure.next_hop.bytes, next_hop.Data());
  auto result = Napi::Object::New(info.Env());
  result.Set("interface", departure.name);
  result.Set("nextHop", next_hop);
  result.Set("isGateway", departure.has_gateway);
  result.Set("isSilent", departure.neighbour_silent);
  return result;
}

// (workers, ipv6, mark, interface): a list of descriptors for each worker, or {errno, syscall}.
Napi::Value OpenLinks(const Napi::CallbackInfo& info) {
  const uint32_t workers = arguments::whole_number(info[0], "workers", 1, kMostQueues);
  const LinkSockets::Options options{.ipv6 = arguments::boolean(info[1], "ipv6"),
                                     .mark = arguments::whole_number(info[2], "mark", 0, arguments::kAny32),
                                     .interface = arguments::text(info[3], "interface")};
  std::vector<LinkSockets> opened(workers);
  const char* syscall = "";
  for (LinkSockets& sockets : opened) {
    if (const int error = LinkSockets::open(options, sockets, syscall)) return failure(info.Env(), error, syscall);
  }
  auto all = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < workers; ++i) {
    auto fds = Napi::Array::New(info.Env());
    opened[i].each([&](UniqueFd& socket) {
      if (socket.get() >= 0) fds.Set(fds.Length(), socket.release());
    });
    all.Set(i, fds);
  }
  return all;
}

// (mask): what is left of it, or -errno.
Napi::Value LimitCapabilities(const Napi::CallbackInfo& info) {
  const uint32_t mask = arguments::whole_number(info[0], "mask", 0, arguments::kAny32);
  uint64_t kept = 0;
  const int error = limit_capabilities(mask, kept);
  return Napi::Number::New(info.Env(), error ? error : static_cast<double>(kept));
}

// (fd, bytes, milliseconds): the bytes written, or -errno.
Napi::Value WriteNow(const Napi::CallbackInfo& info) {
  const uint32_t fd = arguments::whole_number(info[0], "fd", 0, kMostDescriptors);
  const std::span<const uint8_t> bytes = arguments::bytes(info[1], "bytes");
  const uint32_t milliseconds = arguments::whole_number(info[2], "milliseconds", 0, kLongestWait);
  const int64_t written = write_now(static_cast<int>(fd), bytes, static_cast<int>(milliseconds));
  return Napi::Number::New(info.Env(), static_cast<double>(written));
}

// (code): ends the process at once, threads that wait for the kernel included; nothing else is done.
Napi::Value Leave(const Napi::CallbackInfo& info) {
  ::_exit(static_cast<int>(arguments::whole_number(info[0], "code", 0, 255)));
}

Napi::Value FilterSystemCalls(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), filter_system_calls());
}

Napi::Value RulesetGeneration(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(ruleset_generation()));
}

// (interface, mtu, peer): 1, 0 or -errno.
Napi::Value IsSetUp(const Napi::CallbackInfo& info) {
  const std::string interface = arguments::text(info[0], "interface");
  const uint32_t mtu = arguments::whole_number(info[1], "mtu", 1, arguments::kAny32);
  const Address peer = arguments::address_at(arguments::bytes(info[2], "peer", arguments::kAddressBytes));
  return Napi::Number::New(info.Env(), is_set_up(interface, mtu, peer));
}

}  // namespace

void add_host_functions(Napi::Env env, Napi::Object exports) {
  exports.Set("openTun", Napi::Function::New(env, OpenTun));
  exports.Set("openLinks", Napi::Function::New(env, OpenLinks));
  exports.Set("findDeparture", Napi::Function::New(env, FindDeparture));
  exports.Set("holdPort", Napi::Function::New(env, HoldPort));
  exports.Set("limitCapabilities", Napi::Function::New(env, LimitCapabilities));
  exports.Set("writeNow", Napi::Function::New(env, WriteNow));
  exports.Set("leave", Napi::Function::New(env, Leave));
  exports.Set("filterSystemCalls", Napi::Function::New(env, FilterSystemCalls));
  exports.Set("rulesetGeneration", Napi::Function::New(env, RulesetGeneration));
  exports.Set("isSetUp", Napi::Function::New(env, IsSetUp));
}

}  // namespace guise

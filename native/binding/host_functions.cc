#include "binding/host_functions.h"

#include "binding/arguments.h"
#include "host/ruleset_generation.h"
#include "io/tun_device.h"
#include "process/privileges.h"
#include "process/system_call_filter.h"

namespace guise {
namespace {

// (name, queues, offload): {name, fds, virtioHeader, segmentation}, or {errno, syscall}.
Napi::Value OpenTun(const Napi::CallbackInfo& info) {
  constexpr uint32_t kMostQueues = 64;  // the engine's workers
  const std::string name = arguments::text(info[0], "name");
  const uint32_t queues = arguments::whole_number(info[1], "queues", 1, kMostQueues);
  const bool offload = arguments::boolean(info[2], "offload");
  TunDevice device;
  const char* syscall = "";
  const int error = open_tun(name, queues, offload, device, syscall);
  auto result = Napi::Object::New(info.Env());
  if (error) {
    result.Set("errno", error);
    result.Set("syscall", syscall);
    return result;
  }
  auto fds = Napi::Array::New(info.Env());
  for (size_t i = 0; i < device.queues.size(); ++i) fds.Set(static_cast<uint32_t>(i), device.queues[i].release());
  result.Set("name", device.name);
  result.Set("fds", fds);
  result.Set("virtioHeader", device.virtio_header);
  result.Set("segmentation", device.segmentation);
  return result;
}

// (mask): what is left of it, or -errno.
Napi::Value LimitCapabilities(const Napi::CallbackInfo& info) {
  const uint32_t mask = arguments::whole_number(info[0], "mask", 0, arguments::kAny32);
  uint64_t kept = 0;
  const int error = limit_capabilities(mask, kept);
  return Napi::Number::New(info.Env(), error ? error : static_cast<double>(kept));
}

Napi::Value FilterSystemCalls(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), filter_system_calls());
}

Napi::Value RulesetGeneration(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(ruleset_generation()));
}

}  // namespace

void add_host_functions(Napi::Env env, Napi::Object exports) {
  exports.Set("openTun", Napi::Function::New(env, OpenTun));
  exports.Set("limitCapabilities", Napi::Function::New(env, LimitCapabilities));
  exports.Set("filterSystemCalls", Napi::Function::New(env, FilterSystemCalls));
  exports.Set("rulesetGeneration", Napi::Function::New(env, RulesetGeneration));
}

}  // namespace guise

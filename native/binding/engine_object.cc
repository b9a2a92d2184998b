#include "binding/engine_object.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include "binding/arguments.h"
#include "binding/policy.h"
#include "binding/shared_memory.h"
#include "io/descriptor_device.h"
#include "io/link_device.h"

namespace guise {
namespace {

using namespace arguments;

constexpr size_t kMostWorkers = 64;
constexpr uint32_t kMostFlows = 1 << 24;
constexpr uint32_t kLeastPayload = 8;  // so that a fragment of it carries something
constexpr uint32_t kMostPayload = kMaxPacket - ipv4::kHeader - tcp::kHeader;

// A list of descriptors, each at most once, none that is in `taken`.
std::vector<int> descriptors_of(const Napi::Value& value, const char* name, size_t least, size_t most,
                                std::set<int>& taken) {
  const Napi::Array array = list(value, name, least, most);
  std::vector<int> fds;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const auto fd = static_cast<int>(whole_number(array.Get(i), "a descriptor", 0, INT32_MAX));
    if (!taken.insert(fd).second) {
      refuse<Napi::RangeError>(value.Env(), "a descriptor", std::to_string(fd) + " twice", "each once");
    }
    fds.push_back(fd);
  }
  return fds;
}

using Devices = std::vector<std::unique_ptr<PacketDevice>>;

// Each descriptor becomes a device.
Devices descriptor_devices(const Napi::Object& options, bool segmentation, BatchLimits limits) {
  const bool virtio_header = boolean(options.Get("virtioHeader"), "virtioHeader");
  std::set<int> taken;
  Devices devices;
  for (const int fd : descriptors_of(options.Get("devices"), "devices", 1, kMostWorkers, taken)) {
    devices.push_back(std::make_unique<DescriptorDevice>(UniqueFd(fd), virtio_header, segmentation, limits));
  }
  return devices;
}

// Each list of descriptors, in the order of `LinkSockets::each`, becomes a device. 0, or -errno and the call that
// failed.
int link_devices(const Napi::Object& object, bool segmentation, const Policy& policy, BatchLimits limits, Devices& out,
                 const char*& syscall) {
  const Napi::Value value = object.Get("links");
  const Napi::Array array = list(value, "links", 1, kMostWorkers);
  const uint32_t ring_bytes = whole_number(object.Get("ringBytes"), "ringBytes", 1, 1 << 30);
  std::set<int> taken;
  std::vector<LinkSockets> all;
  std::vector<std::vector<int>> numbers;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const std::vector<int> fds = descriptors_of(array.Get(i), "links", LinkSockets::kLeast, LinkSockets::kMost, taken);
    if (fds.size() != LinkSockets::kLeast && fds.size() != LinkSockets::kMost) {
      refuse<Napi::RangeError>(value.Env(), "links", "a list of " + std::to_string(fds.size()),
                               "those of IPv4, or of both families");
    }
    numbers.push_back(fds);
  }
  for (const std::vector<int>& fds : numbers) {
    LinkSockets sockets;
    size_t at = 0;
    sockets.each([&](UniqueFd& socket) {
      if (at < fds.size()) socket = UniqueFd(fds[at++]);
    });
    all.push_back(std::move(sockets));
  }
  const auto group = std::make_shared<LinkGroup>();
  for (LinkSockets& sockets : all) {
    std::unique_ptr<LinkDevice> device;
    const LinkDevice::Options options{.segmentation = segmentation,
                                      .limits = limits,
                                      .ring_bytes = ring_bytes / static_cast<uint32_t>(all.size()),
                                      .send_bytes = policy.link_send_bytes,
                                      .send_wait = static_cast<int>(policy.link_send_wait),
                                      .fanout = all.size() > 1};
    if (const int error = LinkDevice::create(std::move(sockets), options, group, device, syscall)) return error;
    out.push_back(std::move(device));
  }
  return 0;
}

uint32_t id_of(const Napi::Value& value, const char* name) { return whole_number(value, name, 1, kAny32); }

uint32_t worker_of(const Napi::Value& value, const Engine& engine) {
  return whole_number(value, "worker", 0, static_cast<uint32_t>(engine.workers()) - 1);
}

}  // namespace

Napi::Function EngineObject::Define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {
                         InstanceMethod<&EngineObject::Open>("open"),
                         InstanceMethod<&EngineObject::Counters>("counters"),
                         InstanceMethod<&EngineObject::Events>("events"),
                         InstanceMethod<&EngineObject::SwapEvents>("swapEvents"),
                         InstanceMethod<&EngineObject::ListenUdp>("listenUdp"),
                         InstanceMethod<&EngineObject::UdpPort>("udpPort"),
                         InstanceMethod<&EngineObject::CloseUdp>("closeUdp"),
                         InstanceMethod<&EngineObject::ReadFlow>("readFlow"),
                         InstanceMethod<&EngineObject::Pass>("pass"),
                         InstanceMethod<&EngineObject::Route>("route"),
                         InstanceMethod<&EngineObject::Listen>("listen"),
                         InstanceMethod<&EngineObject::Unlisten>("unlisten"),
                         InstanceMethod<&EngineObject::CountDrop>("countDrop"),
                         InstanceMethod<&EngineObject::OpenFlow>("openFlow"),
                         InstanceMethod<&EngineObject::CloseFlow>("closeFlow"),
                         InstanceMethod<&EngineObject::SpliceApplication>("spliceApplication"),
                         InstanceMethod<&EngineObject::Unsplice>("unsplice"),
                         InstanceMethod<&EngineObject::SpliceUdp>("spliceUdp"),
                         InstanceMethod<&EngineObject::ForgetApplication>("forgetApplication"),
                         InstanceMethod<&EngineObject::SendSegment>("sendSegment"),
                         InstanceMethod<&EngineObject::SendControl>("sendControl"),
                         InstanceMethod<&EngineObject::SetPathLimit>("setPathLimit"),
                         InstanceMethod<&EngineObject::WatchSending>("watchSending"),
                         InstanceMethod<&EngineObject::SendProbe>("sendProbe"),
                         InstanceMethod<&EngineObject::SendDatagrams>("sendDatagrams"),
                         InstanceMethod<&EngineObject::Close>("close"),
                         InstanceAccessor<&EngineObject::LastSyscall>("lastSyscall"),
                     });
}

// Node makes a deprecation warning of an exception that leaves this, and goes on (src/node_api.cc,
// CallbackIntoModule): hand it to 'uncaughtException' instead.
void EngineObject::CallWake(Napi::Env env, Napi::Function callback, std::nullptr_t*, std::nullptr_t*) {
  if (env == nullptr) return;
  try {
    callback.Call({});
  } catch (const Napi::Error& error) {
    napi_fatal_exception(env, error.Value());
  }
}

void EngineObject::Shut() {
  if (!engine_) return;
  engine_.reset();
  wake_.Release();
}

template <typename Call>
Napi::Value EngineObject::With(const Napi::CallbackInfo& info, Call call) {
  if (!engine_) return Napi::Number::New(info.Env(), -EBADF);
  if constexpr (std::is_convertible_v<decltype(call(*engine_)), Napi::Value>) {
    return call(*engine_);
  } else if constexpr (std::is_void_v<decltype(call(*engine_))>) {
    call(*engine_);
    return Napi::Number::New(info.Env(), 0);
  } else {
    return Napi::Number::New(info.Env(), call(*engine_));
  }
}

// (options, wake): the descriptors in options.devices are the engine's from here on, also when it cannot be opened.
Napi::Value EngineObject::Open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object object = arguments::object(info[0], "options");
  const Napi::Function wake = function(info[1], "wake");
  if (engine_) return Napi::Number::New(env, -EALREADY);
  Engine::Options options;
  const bool segmentation = boolean(object.Get("segmentation"), "segmentation");
  options.udp_offload = boolean(object.Get("offload"), "offload");
  options.max_flows = whole_number(object.Get("maxFlows"), "maxFlows", 1, kMostFlows);
  options.policy = policy_of(object);
  const BatchLimits limits{options.policy.device_batch_packets, options.policy.device_batch_bytes};
  if (object.Get("links").IsUndefined()) {
    options.devices = descriptor_devices(object, segmentation, limits);
  } else if (const int error =
                 link_devices(object, segmentation, options.policy, limits, options.devices, last_syscall_)) {
    return Napi::Number::New(env, error);
  }
  options.wake = {[](void* function) { static_cast<WakeFunction*>(function)->NonBlockingCall(); }, &wake_};
  wake_ = WakeFunction::New(env, wake, "guise", 0, 1);
  std::unique_ptr<Engine> engine;
  int error = Engine::create(std::move(options), engine, last_syscall_);
  if (error == 0) error = engine->start(last_syscall_);
  if (error == 0) {
    engine_ = std::move(engine);
  } else {
    engine.reset();
    wake_.Release();
  }
  return Napi::Number::New(env, error);
}

Napi::Value EngineObject::Counters(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    const auto& slab = engine.counters();
    return view_of(info.Env(), slab->data(), slab->size(), slab);
  });
}

Napi::Value EngineObject::Events(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    const auto& queue = engine.events(worker_of(info[0], engine));
    return view_of(info.Env(), queue->memory(), queue->memory_size(), queue);
  });
}

// (worker, out: Uint32Array[2]): the bytes that wait; in out[0] where they begin, in out[1] whether more wait already.
Napi::Value EngineObject::SwapEvents(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    const uint32_t worker = worker_of(info[0], engine);
    auto out = typed_array<Napi::Uint32Array>(info[1], "out", napi_uint32_array, "a Uint32Array of 2");
    if (out.ElementLength() < 2) refuse<Napi::RangeError>(info.Env(), "out", "too short", "a Uint32Array of 2");
    const EventQueue::Swapped swapped = engine.events(worker)->swap();
    out[0] = static_cast<uint32_t>(swapped.offset);
    out[1] = swapped.more;
    return static_cast<int>(swapped.size);
  });
}

// (address, port or 0 for a free one)
Napi::Value EngineObject::ListenUdp(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { return engine.listen_udp(endpoint(info[0], info[1], 0), last_syscall_); });
}

Napi::Value EngineObject::UdpPort(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { return engine.udp_port(id_of(info[0], "listener")); });
}

Napi::Value EngineObject::CloseUdp(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { engine.close_udp(id_of(info[0], "listener")); });
}

Napi::Value EngineObject::ReadFlow(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { engine.read_flow(id_of(info[0], "flow")); });
}

// (ports, remotes: a list of [address, port])
Napi::Value EngineObject::Pass(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    SegmentInterests interests;
    const Napi::Array ports = list(info[0], "ports", 0, kAny16);
    for (uint32_t i = 0; i < ports.Length(); ++i) interests.ports.push_back(port(ports.Get(i), "port", 1));
    const Napi::Array remotes = list(info[1], "remotes", 0, kMostFlows);
    for (uint32_t i = 0; i < remotes.Length(); ++i) {
      const Napi::Array remote = list(remotes.Get(i), "a remote", 2, 2);
      interests.remotes.push_back(endpoint(remote.Get(0u), remote.Get(1u), 1));
    }
    return engine.pass(interests, last_syscall_);
  });
}

// (address, port): {source: an address of 16 bytes, mtu}, or -errno.
Napi::Value EngineObject::Route(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) -> Napi::Value {
    guise::Route found;
    last_syscall_ = "connect";
    const int error = engine.route_to(endpoint(info[0], info[1], 1), found);
    if (error) return Napi::Number::New(info.Env(), error);
    auto source = Napi::Uint8Array::New(info.Env(), kAddressBytes);
    std::ranges::copy(found.source.bytes, source.Data());
    auto route = Napi::Object::New(info.Env());
    route.Set("source", source);
    route.Set("mtu", found.mtu);
    return Napi::Value(info.Env(), route);
  });
}

// (port, options of a SYN-ACK to guise's SYNs over IPv4, over IPv6, to phantun's, to guise's without a window scale
// over IPv4, over IPv6, address)
Napi::Value EngineObject::Listen(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    const SynAckOptions options{.guise4 = tcp_options(info[1], "guise4"),
                                .guise6 = tcp_options(info[2], "guise6"),
                                .phantun = tcp_options(info[3], "phantun"),
                                .unscaled4 = tcp_options(info[4], "unscaled4"),
                                .unscaled6 = tcp_options(info[5], "unscaled6")};
    engine.listen(endpoint(info[6], info[0], 1), options);
  });
}

Napi::Value EngineObject::Unlisten(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { engine.unlisten(endpoint(info[1], info[0], 1)); });
}

Napi::Value EngineObject::CountDrop(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    const uint32_t reason = whole_number(info[0], "reason", 0, kDropReasonNames.size() - 1);
    engine.counters()->drop(static_cast<DropReason>(reason));
  });
}

Napi::Value EngineObject::OpenFlow(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    const Napi::Object object = arguments::object(info[1], "options");
    Flow::Options options;
    options.tuple = tuple(info[0]);
    options.owner = static_cast<uint16_t>(worker_of(object.Get("worker"), engine));
    options.send_next = whole_number(object.Get("sendNext"), "sendNext", 0, kAny32);
    options.receive_next = whole_number(object.Get("receiveNext"), "receiveNext", 0, kAny32);
    options.max_payload = whole_number(object.Get("maxPayload"), "maxPayload", 1, kMaxPacket);
    options.push = boolean(object.Get("push"), "push");
    options.limit_initial_window = boolean(object.Get("limitInitialWindow"), "limitInitialWindow");
    options.scaled = boolean(object.Get("scaled"), "scaled");
    options.acknowledges = boolean(object.Get("acknowledges"), "acknowledges");
    options.way = way(object.Get("way"));
    return engine.open_flow(options);
  });
}

Napi::Value EngineObject::CloseFlow(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { engine.close_flow(id_of(info[0], "flow")); });
}

Napi::Value EngineObject::SpliceApplication(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    last_syscall_ = "splice";
    return engine.splice_application(id_of(info[0], "flow"), id_of(info[1], "application"), datagrams(info[2]));
  });
}

Napi::Value EngineObject::Unsplice(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { engine.unsplice(id_of(info[0], "flow")); });
}

// (flow, address, port, datagrams that go first)
Napi::Value EngineObject::SpliceUdp(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    return engine.splice_udp(id_of(info[0], "flow"), endpoint(info[1], info[2], 1), datagrams(info[3]), last_syscall_);
  });
}

Napi::Value EngineObject::ForgetApplication(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { engine.forget_application(id_of(info[0], "application")); });
}

// (worker, tuple, way, seq, ack, flags, options)
Napi::Value EngineObject::SendSegment(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    engine.send_segment(worker_of(info[0], engine), tuple(info[1]), way(info[2]),
                        whole_number(info[3], "seq", 0, kAny32), whole_number(info[4], "ack", 0, kAny32),
                        static_cast<uint8_t>(whole_number(info[5], "flags", 0, UINT8_MAX)),
                        tcp_options(info[6], "options"));
  });
}

// (flow, flags, receiveNext or undefined to leave it)
Napi::Value EngineObject::SendControl(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    const int64_t receive_next =
        info[2].IsUndefined() ? int64_t{-1} : int64_t{whole_number(info[2], "receiveNext", 0, kAny32)};
    engine.send_control(id_of(info[0], "flow"), static_cast<uint8_t>(whole_number(info[1], "flags", 0, UINT8_MAX)),
                        receive_next);
  });
}

// (flow, payload, fragments, watched or undefined for never)
Napi::Value EngineObject::SetPathLimit(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    PathLimit limit;
    limit.payload = whole_number(info[1], "payload", kLeastPayload, kMaxPacket);
    limit.fragments = boolean(info[2], "fragments");
    if (!info[3].IsUndefined()) limit.watched = whole_number(info[3], "watched", 0, kMaxPacket);
    engine.set_path_limit(id_of(info[0], "flow"), limit);
  });
}

// (flow)
Napi::Value EngineObject::WatchSending(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { engine.watch_sending(id_of(info[0], "flow")); });
}

// (flow, token, size, span, fragment, pair)
Napi::Value EngineObject::SendProbe(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) {
    Probe probe;
    probe.token = whole_number(info[1], "token", 0, kAny32);
    probe.pair = boolean(info[5], "pair");
    const uint32_t notes = probe.pair ? 2 : 1;
    probe.size = static_cast<uint16_t>(whole_number(info[2], "size", Note::kSize, kMostPayload / notes));
    probe.span = static_cast<uint16_t>(whole_number(info[3], "span", notes * probe.size, kMaxPacket));
    probe.fragment = boolean(info[4], "fragment");
    engine.send_probe(id_of(info[0], "flow"), probe);
  });
}

Napi::Value EngineObject::SendDatagrams(const Napi::CallbackInfo& info) {
  return With(info, [&](Engine& engine) { engine.send_datagrams(id_of(info[0], "flow"), datagrams(info[1])); });
}

void EngineObject::Close(const Napi::CallbackInfo&) { Shut(); }

Napi::Value EngineObject::LastSyscall(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), last_syscall_);
}

}  // namespace guise

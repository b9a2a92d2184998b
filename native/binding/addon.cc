// The Node-API border and nothing else: argument checks, objects, and the wake-up of the JavaScript thread.
//
// Calls return a value >= 0, or -errno; `lastSyscall` then names the call that failed. Only misuse throws.
// An address is 16 bytes (IPv4 mapped), a tuple 36: local address, remote address, local port, remote port.
#include <napi.h>

#include <cerrno>
#include <memory>

#include "host/ruleset_generation.h"
#include "io/tun_device.h"
#include "plane/engine.h"
#include "process/privileges.h"
#include "process/system_call_filter.h"

namespace guise {
namespace {

std::span<const uint8_t> bytes_of(const Napi::Value& value) {
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

Address address_of(std::span<const uint8_t> bytes) { return Address::from_v6(bytes.data()); }

Tuple tuple_of(const Napi::Value& value) {
  const std::span<const uint8_t> bytes = bytes_of(value);
  if (bytes.size() != 36) throw Napi::TypeError::New(value.Env(), "a tuple is 36 bytes");
  uint16_t ports[2];
  std::memcpy(ports, &bytes[32], sizeof ports);
  return {{address_of(bytes.subspan(0, 16)), ports[0]}, {address_of(bytes.subspan(16, 16)), ports[1]}};
}

Endpoint endpoint_of(const Napi::Value& address, const Napi::Value& port) {
  const std::span<const uint8_t> bytes = bytes_of(address);
  if (bytes.size() != 16) throw Napi::TypeError::New(address.Env(), "an address is 16 bytes");
  return {address_of(bytes), static_cast<uint16_t>(port.As<Napi::Number>().Uint32Value())};
}

std::span<const uint8_t> tcp_options_of(const Napi::Value& value) {
  const std::span<const uint8_t> options = bytes_of(value);
  if (options.size() > 40 || options.size() % 4 != 0) throw Napi::TypeError::New(value.Env(), "bad TCP options");
  return options;
}

std::vector<Datagram> datagrams_of(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  std::vector<Datagram> datagrams;
  datagrams.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const std::span<const uint8_t> bytes = bytes_of(array.Get(i));
    datagrams.emplace_back(bytes.begin(), bytes.end());
  }
  return datagrams;
}

uint32_t number(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Number>().Uint32Value();
}

bool flag(const Napi::Object& object, const char* name) { return object.Get(name).As<Napi::Boolean>().Value(); }

// An ArrayBuffer over memory that lives as long as `owner`.
template <typename T>
Napi::Value view_of(Napi::Env env, void* data, size_t size, std::shared_ptr<T> owner) {
  auto* keep = new std::shared_ptr<T>(std::move(owner));
  return Napi::ArrayBuffer::New(env, data, size, [keep](Napi::Env, void*) { delete keep; });
}

class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Engine",
                       {
                           InstanceMethod<&EngineObject::Counters>("counters"),
                           InstanceMethod<&EngineObject::Events>("events"),
                           InstanceMethod<&EngineObject::SwapEvents>("swapEvents"),
                           InstanceMethod<&EngineObject::ListenUdp>("listenUdp"),
                           InstanceMethod<&EngineObject::UdpPort>("udpPort"),
                           InstanceMethod<&EngineObject::CloseUdp>("closeUdp"),
                           InstanceMethod<&EngineObject::ReadFlow>("readFlow"),
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
                           InstanceMethod<&EngineObject::SendDatagrams>("sendDatagrams"),
                           InstanceMethod<&EngineObject::Close>("close"),
                           InstanceAccessor<&EngineObject::LastSyscall>("lastSyscall"),
                       });
  }

  explicit EngineObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const auto object = info[0].As<Napi::Object>();
    wake_ = Wake::New(info.Env(), info[1].As<Napi::Function>(), "guise", 0, 1);
    Engine::Options options;
    const auto fds = object.Get("devices").As<Napi::Array>();
    for (uint32_t i = 0; i < fds.Length(); ++i) {
      options.devices.emplace_back(fds.Get(i).As<Napi::Number>().Int32Value());
    }
    options.virtio_header = flag(object, "virtioHeader");
    options.segmentation = flag(object, "segmentation");
    options.max_flows = number(object, "maxFlows");
    options.policy.offload = flag(object, "offload");
    options.policy.ack_bytes = number(object, "ackBytes");
    options.policy.ack_interval_ms = number(object, "ackInterval");
    options.policy.initial_window = number(object, "initialWindow");
    options.policy.queue_bytes = number(object, "queueBytes");
    options.policy.all_queues_bytes = number(object, "allQueuesBytes");
    options.policy.send_queue_bytes = number(object, "sendQueueBytes");
    options.policy.max_applications = number(object, "maxApplications");
    engine_ = std::make_unique<Engine>(std::move(options), [wake = wake_] { wake.NonBlockingCall(); });
    engine_->start();
  }

  ~EngineObject() override { Shut(); }

 private:
  static void CallWake(Napi::Env env, Napi::Function callback, std::nullptr_t*, std::nullptr_t*) {
    if (env != nullptr) callback.Call({});
  }
  using Wake = Napi::TypedThreadSafeFunction<std::nullptr_t, std::nullptr_t, &EngineObject::CallWake>;

  void Shut() {
    if (!engine_) return;
    engine_.reset();
    wake_.Release();
  }

  // Every method but close() goes through here: an engine that is closed answers -EBADF.
  template <typename Call>
  Napi::Value With(const Napi::CallbackInfo& info, Call call) {
    return Napi::Number::New(info.Env(), engine_ ? call(*engine_) : -EBADF);
  }

  Napi::Value Counters(const Napi::CallbackInfo& info) {
    const auto& slab = engine_->counters();
    return view_of(info.Env(), slab->data(), slab->size(), slab);
  }

  Napi::Value Events(const Napi::CallbackInfo& info) {
    const auto& queue = engine_->events(info[0].As<Napi::Number>().Uint32Value());
    return view_of(info.Env(), queue->memory(), 2 * EventQueue::kBufferSize, queue);
  }

  // (worker, out: Uint32Array[1]): the bytes that wait, and in out[0] where they begin.
  Napi::Value SwapEvents(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      size_t offset = 0;
      const size_t used = engine.events(info[0].As<Napi::Number>().Uint32Value())->swap(offset);
      info[1].As<Napi::Uint32Array>()[0] = static_cast<uint32_t>(offset);
      return static_cast<int>(used);
    });
  }

  Napi::Value ListenUdp(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) { return engine.listen_udp(endpoint_of(info[0], info[1]), last_syscall_); });
  }

  Napi::Value UdpPort(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) { return engine.udp_port(info[0].As<Napi::Number>().Uint32Value()); });
  }

  Napi::Value CloseUdp(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      engine.close_udp(info[0].As<Napi::Number>().Uint32Value());
      return 0;
    });
  }

  Napi::Value ReadFlow(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      engine.read_flow(info[0].As<Napi::Number>().Uint32Value());
      return 0;
    });
  }

  // (port, options of a SYN-ACK to guise's SYNs over IPv4, over IPv6, to phantun's)
  Napi::Value Listen(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      SynAckOptions options;
      for (const auto& [index, out] : {std::pair(1, &options.guise4), {2, &options.guise6}, {3, &options.phantun}}) {
        const std::span<const uint8_t> bytes = tcp_options_of(info[static_cast<size_t>(index)]);
        out->assign(bytes.begin(), bytes.end());
      }
      engine.listen(static_cast<uint16_t>(info[0].As<Napi::Number>().Uint32Value()), options);
      return 0;
    });
  }

  Napi::Value Unlisten(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      engine.unlisten(static_cast<uint16_t>(info[0].As<Napi::Number>().Uint32Value()));
      return 0;
    });
  }

  Napi::Value CountDrop(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      const uint32_t reason = info[0].As<Napi::Number>().Uint32Value();
      if (reason >= kDropReasonNames.size()) throw Napi::RangeError::New(info.Env(), "no such reason");
      engine.counters()->drop(static_cast<DropReason>(reason));
      return 0;
    });
  }

  Napi::Value OpenFlow(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      const auto object = info[1].As<Napi::Object>();
      Engine::FlowOptions options;
      options.tuple = tuple_of(info[0]);
      options.owner = static_cast<uint16_t>(number(object, "worker") % engine.workers());
      options.send_next = number(object, "sendNext");
      options.receive_next = number(object, "receiveNext");
      options.max_payload = number(object, "maxPayload");
      options.push = flag(object, "push");
      options.guard = flag(object, "guard");
      return engine.open_flow(options);
    });
  }

  Napi::Value CloseFlow(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      engine.close_flow(info[0].As<Napi::Number>().Uint32Value());
      return 0;
    });
  }

  Napi::Value SpliceApplication(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      return engine.splice_application(info[0].As<Napi::Number>().Uint32Value(),
                                       info[1].As<Napi::Number>().Uint32Value());
    });
  }

  Napi::Value Unsplice(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      engine.unsplice(info[0].As<Napi::Number>().Uint32Value());
      return 0;
    });
  }

  Napi::Value SpliceUdp(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      return engine.splice_udp(info[0].As<Napi::Number>().Uint32Value(), endpoint_of(info[1], info[2]),
                               datagrams_of(info[3]), last_syscall_);
    });
  }

  Napi::Value ForgetApplication(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      engine.forget_application(info[0].As<Napi::Number>().Uint32Value());
      return 0;
    });
  }

  // (worker, tuple, seq, ack, flags, options)
  Napi::Value SendSegment(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      const std::span<const uint8_t> options = tcp_options_of(info[5]);
      engine.send_segment(info[0].As<Napi::Number>().Uint32Value() % engine.workers(), tuple_of(info[1]),
                          info[2].As<Napi::Number>().Uint32Value(), info[3].As<Napi::Number>().Uint32Value(),
                          static_cast<uint8_t>(info[4].As<Napi::Number>().Uint32Value()),
                          {options.begin(), options.end()});
      return 0;
    });
  }

  // (flow, flags, receiveNext or -1)
  Napi::Value SendControl(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      engine.send_control(info[0].As<Napi::Number>().Uint32Value(),
                          static_cast<uint8_t>(info[1].As<Napi::Number>().Uint32Value()),
                          info[2].As<Napi::Number>().Int64Value());
      return 0;
    });
  }

  Napi::Value SendDatagrams(const Napi::CallbackInfo& info) {
    return With(info, [&](Engine& engine) {
      engine.send_datagrams(info[0].As<Napi::Number>().Uint32Value(), datagrams_of(info[1]));
      return 0;
    });
  }

  void Close(const Napi::CallbackInfo&) { Shut(); }

  Napi::Value LastSyscall(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), last_syscall_); }

  std::unique_ptr<Engine> engine_;
  Wake wake_;
  const char* last_syscall_ = "";
};

// (name, queues, offload): {name, fds, virtioHeader, segmentation}, or {errno, syscall}.
Napi::Value OpenTun(const Napi::CallbackInfo& info) {
  TunDevice device;
  const char* syscall = "";
  const int error = open_tun(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::Number>().Uint32Value(),
                             info[2].As<Napi::Boolean>().Value(), device, syscall);
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
  uint64_t kept = 0;
  const int error = limit_capabilities(info[0].As<Napi::Number>().Uint32Value(), kept);
  return Napi::Number::New(info.Env(), error ? error : static_cast<double>(kept));
}

Napi::Value FilterSystemCalls(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), filter_system_calls());
}

Napi::Value RulesetGeneration(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(ruleset_generation()));
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", EngineObject::Define(env));
  exports.Set("openTun", Napi::Function::New(env, OpenTun));
  exports.Set("limitCapabilities", Napi::Function::New(env, LimitCapabilities));
  exports.Set("filterSystemCalls", Napi::Function::New(env, FilterSystemCalls));
  exports.Set("rulesetGeneration", Napi::Function::New(env, RulesetGeneration));
  auto reasons = Napi::Array::New(env);
  for (size_t i = 0; i < kDropReasonNames.size(); ++i) {
    reasons.Set(static_cast<uint32_t>(i), std::string(kDropReasonNames[i]));
  }
  exports.Set("dropReasons", reasons);
  return exports;
}

}  // namespace
}  // namespace guise

static Napi::Object Initialize(Napi::Env env, Napi::Object exports) { return guise::Init(env, exports); }
NODE_API_MODULE(guise, Initialize)

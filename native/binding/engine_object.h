// The engine as an object of JavaScript's: checks arguments, and wakes the JavaScript thread.
//
// Calls return a value >= 0, or -errno; `lastSyscall` then names the call that failed. Before open() and after close()
// each answers -EBADF. Only misuse throws. An address is 16 bytes (IPv4 mapped), a tuple 36: see arguments.h.
#pragma once

#include <napi.h>

#include <memory>

#include "plane/engine.h"

namespace guise {

class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  EngineObject(const EngineObject&) = delete;
  EngineObject& operator=(const EngineObject&) = delete;
  ~EngineObject() override { Shut(); }

 private:
  static void CallWake(Napi::Env env, Napi::Function callback, std::nullptr_t*, std::nullptr_t*);
  using WakeFunction = Napi::TypedThreadSafeFunction<std::nullptr_t, std::nullptr_t, &EngineObject::CallWake>;

  void Shut();
  template <typename Call>
  Napi::Value With(const Napi::CallbackInfo& info, Call call);

  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Counters(const Napi::CallbackInfo& info);
  Napi::Value Events(const Napi::CallbackInfo& info);
  Napi::Value SwapEvents(const Napi::CallbackInfo& info);
  Napi::Value ListenUdp(const Napi::CallbackInfo& info);
  Napi::Value UdpPort(const Napi::CallbackInfo& info);
  Napi::Value CloseUdp(const Napi::CallbackInfo& info);
  Napi::Value ReadFlow(const Napi::CallbackInfo& info);
  Napi::Value Pass(const Napi::CallbackInfo& info);
  Napi::Value Route(const Napi::CallbackInfo& info);
  Napi::Value Listen(const Napi::CallbackInfo& info);
  Napi::Value Unlisten(const Napi::CallbackInfo& info);
  Napi::Value CountDrop(const Napi::CallbackInfo& info);
  Napi::Value OpenFlow(const Napi::CallbackInfo& info);
  Napi::Value CloseFlow(const Napi::CallbackInfo& info);
  Napi::Value SpliceApplication(const Napi::CallbackInfo& info);
  Napi::Value Unsplice(const Napi::CallbackInfo& info);
  Napi::Value SpliceUdp(const Napi::CallbackInfo& info);
  Napi::Value ForgetApplication(const Napi::CallbackInfo& info);
  Napi::Value SendSegment(const Napi::CallbackInfo& info);
  Napi::Value SendControl(const Napi::CallbackInfo& info);
  Napi::Value SetPathLimit(const Napi::CallbackInfo& info);
  Napi::Value WatchSending(const Napi::CallbackInfo& info);
  Napi::Value SendProbe(const Napi::CallbackInfo& info);
  Napi::Value SendDatagrams(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  Napi::Value LastSyscall(const Napi::CallbackInfo& info);

  std::unique_ptr<Engine> engine_;
  WakeFunction wake_;
  const char* last_syscall_ = "";
};

}  // namespace guise

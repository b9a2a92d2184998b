// The packet port as an object of JavaScript's: checks arguments, and finds the bytes that they are.
//
// Calls return a value >= 0, or -errno; `lastSyscall` then names the call that failed. Before open() and after close()
// each answers -EBADF. Only misuse throws. An address is 16 bytes (IPv4 mapped); the ports of a tuple are big-endian.
#pragma once

#include <napi.h>

#include <memory>

#include "binding/readiness.h"
#include "netstack/packet_port.h"

namespace guise {

class PacketPortObject : public Napi::ObjectWrap<PacketPortObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit PacketPortObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  PacketPortObject(const PacketPortObject&) = delete;
  PacketPortObject& operator=(const PacketPortObject&) = delete;
  ~PacketPortObject() override { Shut(); }

 private:
  void Shut();
  template <typename Call>
  Napi::Value With(const Napi::CallbackInfo& info, Call call);
  // A row of the batch that was read last.
  [[nodiscard]] size_t Row(const Napi::Value& value) const;
  // An MTU, or the port's for 0.
  [[nodiscard]] size_t Mtu(const Napi::Value& value) const;
  void ShareQueues();

  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Memory(const Napi::CallbackInfo& info);
  Napi::Value Watch(const Napi::CallbackInfo& info);
  Napi::Value Reference(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  Napi::Value WriteSegments(const Napi::CallbackInfo& info);
  Napi::Value WriteData(const Napi::CallbackInfo& info);
  Napi::Value Answer(const Napi::CallbackInfo& info);
  Napi::Value Attach(const Napi::CallbackInfo& info);
  Napi::Value AttachRow(const Napi::CallbackInfo& info);
  Napi::Value Find(const Napi::CallbackInfo& info);
  Napi::Value Detach(const Napi::CallbackInfo& info);
  Napi::Value HashRow(const Napi::CallbackInfo& info);
  Napi::Value HashTuple(const Napi::CallbackInfo& info);
  Napi::Value WriteUdp(const Napi::CallbackInfo& info);
  Napi::Value WriteUdpFlow(const Napi::CallbackInfo& info);
  Napi::Value WritePacket(const Napi::CallbackInfo& info);
  Napi::Value Refresh(const Napi::CallbackInfo& info);
  Napi::Value Feed(const Napi::CallbackInfo& info);
  Napi::Value Take(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  Napi::Value LastSyscall(const Napi::CallbackInfo& info);

  std::unique_ptr<PacketPort> port_;
  MemoryPort* queues_ = nullptr;  // the port's device, when it is memory
  int fd_ = -1;                   // … when it is a descriptor
  size_t fixed_mtu_ = 0;          // 0: the interface's
  Readiness readiness_;
  const char* last_syscall_ = "";
};

}  // namespace guise

// The way out: UDP datagrams -> super-segments -> device.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "io/segment_run.h"
#include "plane/worker_context.h"

namespace guise {

class Uplink {
 public:
  explicit Uplink(WorkerContext& context);

  // Reads what is there on a port and sends it on its flows; what belongs to no flow yet waits with its application.
  void receive(UdpPort& port);

  // Sends `bytes`, cut every `segment_size`, on a flow that this worker owns. They live until flush().
  void send(Flow& flow, std::span<const uint8_t> bytes, size_t segment_size);
  void flush();

  // Sends what waits with the application, as far as the path's window allows.
  void release(Application& application);

 private:
  static constexpr size_t kBatch = 64;
  static constexpr size_t kMessageSize = 65536;  // UDP_GRO merges up to 64 KiB
  static constexpr size_t kControlSize = 128;

  void prepare(size_t messages);
  Application* application_of(UdpPort& port, const msghdr& message);
  Application* admit(UdpPort& port, const Tuple& tuple);
  void queue(Application& application, std::span<const uint8_t> bytes, size_t segment_size);

  WorkerContext& context_;
  std::unique_ptr<uint8_t[]> buffers_;
  std::array<std::array<uint8_t, kControlSize>, kBatch> control_;
  std::array<sockaddr_storage, kBatch> sources_;
  std::array<iovec, kBatch> vectors_;
  std::array<mmsghdr, kBatch> messages_;
  size_t batch_ = kBatch;
  uint32_t next_application_id_ = 1;

  Flow* flow_ = nullptr;  // of the run
  SegmentRun run_{SIZE_MAX >> 17, 0};
};

}  // namespace guise

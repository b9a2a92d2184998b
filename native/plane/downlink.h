// The way in: device -> segments -> UDP, or events for the control plane.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "io/segment_run.h"
#include "plane/passive_open.h"
#include "plane/worker_context.h"

namespace guise {

class Downlink {
 public:
  // `refresh` takes commands if `commands_waiting`: a flow that JavaScript just added may be among them.
  // `opened` is told when the first segment of a guarded flow has come.
  Downlink(WorkerContext& context, PassiveOpen& passive_open, const std::atomic<bool>& commands_waiting,
           std::function<void()> refresh, std::function<void(Flow&)> opened);

  // Reads what is there on the device, at most one arena full. False when the device is gone.
  bool receive(PacketDevice& device);

  // Delivers `datagrams` and what is held to the UDP endpoint, in order, and everything after them directly.
  void splice(Flow& flow, const std::vector<Datagram>& datagrams);

  // Gives what is held and everything after it to JavaScript.
  void read(Flow& flow);

  // Sends the ACKs that are due.
  void acknowledge_due();
  [[nodiscard]] bool has_due() const { return !due_.empty(); }

 private:
  static constexpr size_t kArena = 1 << 20;
  static constexpr size_t kReads = 64;

  void take(std::span<const uint8_t> packet, const VirtioNetHeader* offload);
  void take_established(Flow& flow, const SegmentView& segment);
  void take_unknown(const SegmentView& segment);
  void take_datagrams(Flow& flow, const SegmentView& segment);
  void deliver(Flow& flow, const SegmentView& segment);
  void deliver_held(Flow& flow, const SegmentView& segment);
  void challenge(Flow& flow);
  void acknowledge(Flow& flow);
  void send_ack(Flow& flow);
  void flush();

  WorkerContext& context_;
  PassiveOpen& passive_open_;
  const std::atomic<bool>& commands_waiting_;
  std::function<void()> refresh_;
  std::function<void(Flow&)> opened_;
  std::unique_ptr<uint8_t[]> arena_;
  std::vector<std::shared_ptr<Flow>> due_;

  Flow* flow_ = nullptr;  // of the run
  SegmentRun run_{UdpPort::kMaxSegments, UdpPort::kMaxBytes};
};

}  // namespace guise

// The way in: device -> segments -> UDP, or events for the control plane.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "io/segment_run.h"
#include "plane/passive_open.h"
#include "plane/token_bucket.h"
#include "plane/worker_context.h"
#include "wire/reassembly.h"

namespace guise {

class Downlink {
 public:
  enum class Received : uint8_t {
    kAll,           // what was there, or as much as the buffer takes
    kCommandsWait,  // a segment is of no flow that is known, and commands wait that may add it: take them, call again
    kDeviceGone,
  };

  Downlink(WorkerContext& context, PassiveOpen& passive_open, const std::atomic<bool>& commands_waiting);

  // Reads what is there on the device, at most one buffer full, and takes it.
  [[nodiscard]] Received receive(PacketDevice& device);

  // The flows whose window has moved since the last call while something waited for that.
  [[nodiscard]] std::vector<std::shared_ptr<Flow>> take_opened() { return std::exchange(opened_, {}); }

  // Delivers `datagrams` and what is held to the UDP endpoint, in order, and everything after them directly.
  void splice(Flow& flow, const std::vector<Datagram>& datagrams);

  // Gives what is held and everything after it to JavaScript.
  void read(Flow& flow);

  // Drops what is held and everything after it: there is nobody to give it to.
  void drop(Flow& flow);

  // Sends the ACKs that are due.
  void acknowledge_due();
  [[nodiscard]] bool has_due() const { return !due_.empty(); }

 private:
  void begin(PacketDevice& device);
  // False when it has to wait for commands.
  [[nodiscard]] bool take(const Packet& packet);
  // Reads a fragment, and the packet that it completes. False when there is none, and what is lost is counted.
  [[nodiscard]] bool parse_fragments(std::span<const uint8_t> packet, SegmentView& segment);
  void count_lost_fragments();
  // Takes what is no TCP. Whether it was an error about a segment of ours.
  [[nodiscard]] bool take_icmp(const Packet& packet);
  void take_note(Flow& flow, const Note& note, size_t size);
  void take_probe(Flow& flow, const Note& probe, size_t size);
  void take_empty(Flow& flow);
  void take_known_or_not(const SegmentView& segment);
  void take_established(Flow& flow, const SegmentView& segment);
  void take_judged(Flow& flow, const SegmentView& segment, const FlowNumbers& numbers, Verdict verdict);
  void take_unknown(const SegmentView& segment);
  void move_window(Flow& flow);
  void take_datagrams(Flow& flow, const SegmentView& segment);
  void take_end(Flow& flow, const SegmentView& segment);
  void deliver(Flow& flow, const SegmentView& segment);
  void deliver_held(Flow& flow, const SegmentView& segment);
  void deliver_to_javascript(Flow& flow, const SegmentView& segment);
  void drop_received(Flow& flow, DropReason reason, size_t datagrams);
  void challenge(Flow& flow);
  void acknowledge(Flow& flow);
  void acknowledge_wanted();
  void send_ack(Flow& flow);
  void flush();

  WorkerContext& context_;
  PassiveOpen& passive_open_;
  const std::atomic<bool>& commands_waiting_;
  bool paused_ = false;
  SegmentView waiting_;  // for commands, while paused
  TokenBucket icmp_errors_;
  Reassembly reassembly_;  // of what comes to this worker: the kernel shares fragments out by their addresses
  std::vector<std::shared_ptr<Flow>> opened_;
  std::vector<std::shared_ptr<Flow>> due_;     // of an ACK, with the next tick of the timer
  std::vector<std::shared_ptr<Flow>> wanted_;  // … with the end of the batch

  Flow* flow_ = nullptr;  // of the run
  SegmentRun run_{UdpSocket::kMaxSegments, UdpSocket::kMaxBytes};
};

}  // namespace guise

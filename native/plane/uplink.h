// The way out: UDP datagrams -> super-segments -> device.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "io/segment_run.h"
#include "io/udp_socket.h"
#include "plane/worker_context.h"

namespace guise {

class Uplink {
 public:
  explicit Uplink(WorkerContext& context);

  // Reads what is there on a port and sends it on its flows; what belongs to no flow yet waits with its application.
  void receive(UdpPort& port);

  // Takes what ICMP messages have said of datagrams that left by a port: who does not take them, and why.
  void take_errors(UdpPort& port);

  // Sends `bytes`, cut every `segment_size`, on a flow that this worker owns. They live until flush().
  void send(Flow& flow, std::span<const uint8_t> bytes, size_t segment_size);
  void flush();
  // Sends `bytes` as datagrams are sent, with numbers that are not the next ones. Nothing else may wait.
  void send_beside(Flow& flow, uint32_t seq, std::span<const uint8_t> bytes, size_t segment_size);

  // Sends datagrams of JavaScript behind those that wait, as far as the path's window allows, and keeps the rest.
  void send_or_keep(Flow& flow, const std::vector<Datagram>& datagrams);
  // Sends what waits, as far as the path's window allows.
  void release(Flow& flow);
  // Sends what JavaScript has given, window or not: a FIN follows.
  void release_unsent(Flow& flow);
  // Whether datagrams wait behind a window; then push_stalled() is to be called every Policy::ack_interval.
  [[nodiscard]] bool has_stalled() const { return !stalled_.empty(); }
  // Sends on the flows that have waited for so long in vain.
  void push_stalled();

 private:
  [[nodiscard]] Tuple tuple_of(const UdpPort& port, size_t message) const;
  // Whose a message is; null when there is one application too many.
  Application* application_of(UdpPort& port, size_t message);
  Application* admit(UdpPort& port, const Tuple& tuple);
  [[nodiscard]] uint32_t free_application_id();
  // Adds datagrams that fit one packet each to the run.
  void add(Flow& flow, std::span<const uint8_t> bytes, size_t segment_size);
  // Datagrams some of which are larger than usual_size.
  void send_large(Flow& flow, std::span<const uint8_t> bytes, size_t segment_size);
  void send_in_fragments(Flow& flow, std::span<const uint8_t> datagram);
  // A datagram of 0 bytes that came from an application: it opens no connection.
  void take_empty(const UdpPort& port, size_t message);
  void send_empty(Flow& flow);
  void count_sent(Flow& flow, size_t datagrams, size_t bytes);
  void drop_sent(Flow& flow, DropReason reason);
  void say_large(Flow& flow, size_t datagram_size);
  void look_for_progress(Flow& flow);
  void send_first(Flow& flow, DatagramQueue& queue);
  void push(Flow& flow);
  void queue(Application& application, std::span<const uint8_t> bytes, size_t segment_size);

  WorkerContext& context_;
  UdpBatch batch_;
  uint32_t next_application_id_ = 0;
  std::vector<std::shared_ptr<Flow>> stalled_;

  Flow* flow_ = nullptr;  // of the run
  SegmentRun run_{SIZE_MAX >> 17, 0};
};

}  // namespace guise

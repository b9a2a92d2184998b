// One thread with one epoll: a device queue, its share of the UDP ports, and commands from JavaScript.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "plane/downlink.h"
#include "plane/uplink.h"
#include "plane/worker_context.h"

namespace guise {

class Worker {
 public:
  using Command = std::function<void(Worker&)>;

  // `sibling` finds the worker that owns a flow.
  Worker(uint8_t index, std::vector<std::unique_ptr<PacketDevice>>& devices, const Policy& policy,
         const CounterSlab& counters, const SynCookies& cookies, uint64_t hash_key, std::function<void()> wake,
         std::function<Worker&(uint16_t)> sibling);
  ~Worker();

  // Starts the thread.
  void start();
  void stop();

  // One round: waits `timeout_ms` at most (-1: for ever) for descriptors to be ready, and serves them.
  // Returns how many were. This worker's thread; any, always the same, where start() is not called.
  int turn(int timeout_ms);

  // Runs a command on this worker's thread, in the order of the calls. Any thread.
  void post(Command command);

  [[nodiscard]] const std::shared_ptr<EventQueue>& events() const { return context_.events; }

  // Commands. Only on this worker's thread.
  void listen(uint16_t port, const SynAckOptions& options) { passive_open_.listen(port, options); }
  void unlisten(uint16_t port) { passive_open_.unlisten(port); }
  void add_port(std::shared_ptr<UdpPort> port);
  void add_flow(std::shared_ptr<Flow> flow);
  void remove_flow(const Tuple& tuple);
  // Takes a listener's port away, and the applications that it serves.
  void close_port(const std::shared_ptr<UdpPort>& port);
  // What comes on the flow goes to JavaScript, what is held first.
  void read_flow(Flow& flow) { downlink_.read(flow); }
  // Binds an application to a flow, whether it waits or another carries it: what waits goes out, replies go back to it.
  void splice_application(const std::shared_ptr<Flow>& flow, uint32_t application_id);
  // Takes a flow's application away, which stays: what it sends waits for the next flow. An endpoint of splice_port
  // goes only with its flow.
  void unsplice(Flow& flow);
  // Binds a flow to a connected port; `datagrams` came before the flow was in the table.
  void splice_port(const std::shared_ptr<Flow>& flow, std::shared_ptr<UdpPort> port,
                   const std::vector<Datagram>& datagrams);
  void forget_application(uint32_t application_id);
  void send_segment(const Tuple& tuple, uint32_t seq, uint32_t ack, uint8_t flags, std::span<const uint8_t> options);
  // A segment of an established flow with its current numbers: a pure ACK, FIN or RST. FIN takes a number.
  // `receive_next` replaces RCV.NXT first unless it is negative: a FIN of the peer's takes a number too.
  void send_control(Flow& flow, uint8_t flags, int64_t receive_next);
  void send_datagrams(Flow& flow, const std::vector<Datagram>& datagrams);

 private:
  void take_commands();
  void arm_timer();
  void on_timer();
  void watch(int fd, void* owner);
  void remove_port(const std::shared_ptr<UdpPort>& port);
  void release_application_of(Flow& flow);
  // Takes the flow's application away: nothing more is sent on it.
  void detach(Flow& flow);

  WorkerContext context_;
  std::atomic<bool> commands_waiting_{false};
  Uplink uplink_;
  PassiveOpen passive_open_;
  Downlink downlink_;
  std::function<Worker&(uint16_t)> sibling_;

  UniqueFd epoll_, wake_, timer_;
  bool timer_armed_ = false;
  bool device_alive_ = true;
  std::atomic<bool> stopping_{false};
  std::thread thread_;

  std::mutex commands_mutex_;
  std::vector<Command> commands_;

  std::unordered_map<UdpPort*, std::shared_ptr<UdpPort>> ports_;
  std::vector<std::shared_ptr<Flow>> guarded_;  // window not open yet
  std::vector<std::shared_ptr<void>> removed_;  // freed when no event of this round can name them any more
};

}  // namespace guise

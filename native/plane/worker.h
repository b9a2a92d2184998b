// One thread with one epoll: a device queue, its share of the UDP ports, and commands from JavaScript.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <memory>
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
  // 0, or -errno and the call that failed. The device is engine.devices[index].
  [[nodiscard]] static int create(uint8_t index, const EngineContext& engine, std::unique_ptr<Worker>& out,
                                  const char*& syscall);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // Starts the thread. 0, or -errno.
  [[nodiscard]] int start();
  void stop();

  // One round: waits `timeout_ms` at most (-1: for ever) for descriptors to be ready, and serves them.
  // Returns how many were. This worker's thread; any, always the same, where start() is not called.
  int turn(int timeout_ms);

  // Any thread.

  // Runs `command(Worker&)` on this worker's thread, in the order of the calls.
  template <typename Body>
  void post(Body command) {
    post(std::unique_ptr<Command>(new CommandOf<Body>(std::move(command))));
  }
  // Makes room for a port, which is watched once add_port() is called: 0, or -errno of epoll_ctl.
  [[nodiscard]] int reserve(UdpPort& port);
  // Takes back what reserve() did, when add_port() has not been called.
  void unreserve(UdpPort& port);
  [[nodiscard]] const std::shared_ptr<EventQueue>& events() const { return context_.events; }
  [[nodiscard]] ApplicationIds& application_ids() { return context_.application_ids; }

  // Commands. Only on this worker's thread.

  void listen(const Endpoint& local, const SynAckOptions& options) { passive_open_.listen(local, options); }
  void unlisten(const Endpoint& local) { passive_open_.unlisten(local); }
  // Of a port that there is room for.
  void add_port(std::shared_ptr<UdpPort> port);
  void add_flow(std::shared_ptr<Flow> flow);
  void remove_flow(const std::shared_ptr<Flow>& flow);
  // Takes a listener's port away, and the applications that it serves. What comes on their flows is dropped from now
  // on, and JavaScript hears so.
  void close_port(const std::shared_ptr<UdpPort>& port);
  // What comes on the flow goes to JavaScript, what is held first.
  void read_flow(Flow& flow) { downlink_.read(flow); }
  // Binds an application to a flow, whether it waits or another carries it: what waits goes out, replies go back to it.
  // When it is gone, what comes on the flow is dropped, and JavaScript hears so.
  void splice_application(Flow& flow, uint32_t application_id, const std::vector<Datagram>& datagrams);
  // Takes a flow's application away, which stays: what it sends waits for the next flow. An endpoint of splice_port
  // goes only with its flow.
  static void unsplice(Flow& flow);
  // Binds a flow to a connected port; `datagrams` came before the flow was in the table.
  void splice_port(Flow& flow, std::shared_ptr<UdpPort> port, const std::vector<Datagram>& datagrams);
  void forget_application(uint32_t application_id);
  void send_segment(const Tuple& tuple, Way way, uint32_t seq, uint32_t ack, uint8_t flags,
                    std::span<const uint8_t> options);
  // A segment of an established flow with its current numbers: a pure ACK, FIN or RST. FIN takes a number.
  // `receive_next` replaces RCV.NXT first unless it is negative: a FIN of the peer's takes a number too.
  void send_control(Flow& flow, uint8_t flags, int64_t receive_next);
  void send_datagrams(Flow& flow, const std::vector<Datagram>& datagrams);
  void send_probe(Flow& flow, const Probe& probe);

 private:
  struct Command {
    Command() = default;
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;
    virtual ~Command() = default;
    virtual void run(Worker& worker) = 0;
  };
  template <typename Body>
  struct CommandOf final : Command {
    explicit CommandOf(Body with_body) : body(std::move(with_body)) {}
    void run(Worker& worker) override { body(worker); }
    Body body;
  };

  // What the worker waits for, besides its device.
  struct Descriptors {
    UniqueFd epoll, wake, timer;
  };

  Worker(uint8_t index, const EngineContext& engine, std::shared_ptr<EventQueue> events, Descriptors descriptors);
  void post(std::unique_ptr<Command> command);
  void take_commands();
  void receive_from_device();
  void arm_timer();
  void on_timer();
  void remove_port(UdpPort& port);
  // Takes the flow's application away: nothing more is sent on it.
  void detach(Flow& flow);
  // Lets go of the port of a flow that does not use it any more, when no worker can be sending through it.
  void release_port(Flow& flow);

  WorkerContext context_;
  std::atomic<bool> commands_waiting_{false};
  Uplink uplink_;
  PassiveOpen passive_open_;
  Downlink downlink_;

  const Descriptors descriptors_;
  bool timer_armed_ = false;
  bool device_alive_ = true;
  std::atomic<bool> stopping_{false};
  std::thread thread_;

  std::mutex commands_mutex_;
  std::vector<std::unique_ptr<Command>> commands_;

  std::unordered_map<UdpPort*, std::shared_ptr<UdpPort>> ports_;
  // Freed when no event of this round can name them any more.
  std::vector<std::shared_ptr<UdpPort>> removed_ports_;
};

}  // namespace guise

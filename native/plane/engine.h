// Owns devices, workers, flows and counters. Commands in; events out in batches.
//
// Every call is made by the JavaScript thread.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "plane/worker.h"

namespace guise {

class Engine {
 public:
  struct Options {
    std::vector<UniqueFd> devices;  // one worker each, at most 64
    bool virtio_header = false;
    bool segmentation = false;
    uint32_t max_flows = 65536;
    Policy policy;
  };
  struct FlowOptions {
    Tuple tuple;
    uint16_t owner = 0;
    uint32_t send_next = 0;
    uint32_t receive_next = 0;
    uint32_t max_payload = 0;
    bool push = false;
    bool guard = false;  // hold back what exceeds the initial window until the peer's first segment
  };

  // `wake` is called from worker threads when events wait.
  Engine(Options options, std::function<void()> wake);
  ~Engine();

  // Starts a thread for each worker.
  void start();
  // Or, without threads: one round of a worker, which serves what is ready. Returns how many descriptors were.
  int turn(size_t worker) { return workers_[worker]->turn(0); }

  [[nodiscard]] size_t workers() const { return workers_.size(); }
  // Both outlive the engine for as long as JavaScript sees them.
  [[nodiscard]] const std::shared_ptr<EventQueue>& events(size_t worker) const { return workers_[worker]->events(); }
  [[nodiscard]] const std::shared_ptr<CounterSlab>& counters() const { return counters_; }

  // Binds a REUSEPORT group, one socket a worker; the kernel gives each application to one of them for good.
  // Returns the listener's id, from 1 on, or -errno and the call that failed.
  int listen_udp(const Endpoint& local, const char*& syscall);
  // The port that a listener is bound to, 0 when there is no such listener.
  [[nodiscard]] uint16_t udp_port(uint32_t listener) const;
  // Closes the sockets of a listener and forgets their applications.
  void close_udp(uint32_t listener);
  // Accepts connections on a TCP port of every address that the device's packets go to.
  void listen(uint16_t port, const SynAckOptions& options);
  void unlisten(uint16_t port);
  // A flow's id, or -ENFILE when there are as many as allowed.
  int open_flow(const FlowOptions& options);
  void close_flow(uint32_t id);
  // Delivers the flow's datagrams as events from now on, those that are held first.
  void read_flow(uint32_t id);
  // A flow is spliced once in its life, by one of these: -EISCONN when it was.
  int splice_application(uint32_t id, uint32_t application_id);
  void unsplice(uint32_t id);
  // 0, or -errno and the call that failed.
  int splice_udp(uint32_t id, const Endpoint& remote, std::vector<Datagram> datagrams, const char*& syscall);
  void forget_application(uint32_t application_id);
  void send_segment(size_t worker, const Tuple& tuple, uint32_t seq, uint32_t ack, uint8_t flags,
                    std::vector<uint8_t> options);
  void send_control(uint32_t id, uint8_t flags, int64_t receive_next);
  void send_datagrams(uint32_t id, std::vector<Datagram> datagrams);

 private:
  [[nodiscard]] std::shared_ptr<Flow> flow(uint32_t id) const;
  [[nodiscard]] Worker& owner_of(const Flow& flow) { return *workers_[flow.owner]; }
  uint32_t free_id();

  const Policy policy_;
  const std::shared_ptr<CounterSlab> counters_;
  const SynCookies cookies_;
  std::vector<std::unique_ptr<PacketDevice>> devices_;
  std::vector<std::unique_ptr<Worker>> workers_;
  // An id is used again when no worker knows its flow any more.
  struct Closing {
    uint32_t id;
    std::weak_ptr<Flow> flow;
  };

  // By id; empty when closed.
  std::vector<std::vector<std::shared_ptr<UdpPort>>> udp_listeners_{1};

  const size_t max_flows_;
  std::vector<std::shared_ptr<Flow>> flows_{1};  // by id, from 1 on
  std::vector<uint32_t> free_ids_;
  std::deque<Closing> closing_;  // in the order of their ends
};

}  // namespace guise

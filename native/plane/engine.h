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
    std::vector<std::unique_ptr<PacketDevice>> devices;  // one worker each, 1 to 64
    bool udp_offload = true;                             // UDP_GRO and UDP_SEGMENT
    uint32_t max_flows = 0;
    Policy policy{};
    Wake wake;  // when events wait
  };

  // 0, or -errno and the call that failed; then the devices are closed.
  [[nodiscard]] static int create(Options options, std::unique_ptr<Engine>& out, const char*& syscall);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  // Starts a thread for each worker. 0, or -errno and the call that failed: the engine is to be destroyed then.
  [[nodiscard]] int start(const char*& syscall);
  // Or, without threads: one round of a worker, which serves what is ready. Returns how many descriptors were.
  int turn(size_t worker) { return workers_[worker]->turn(0); }

  [[nodiscard]] size_t workers() const { return workers_.size(); }
  // Both outlive the engine while JavaScript sees them.
  [[nodiscard]] const std::shared_ptr<EventQueue>& events(size_t worker) const { return workers_[worker]->events(); }
  [[nodiscard]] const std::shared_ptr<CounterSlab>& counters() const { return context_.counters; }

  // Binds a REUSEPORT group, one socket a worker; the kernel gives each application to one of them for good.
  // Returns the listener's id, from 1 on, or -errno and the call that failed.
  [[nodiscard]] int listen_udp(const Endpoint& local, const char*& syscall);
  // The port that a listener is bound to, 0 when there is no such listener.
  [[nodiscard]] uint16_t udp_port(uint32_t listener) const;
  // Closes the sockets of a listener and forgets its applications. A flow that is spliced to one of them stays: it is
  // told of by kApplicationGone, and what comes on it is dropped and counted.
  void close_udp(uint32_t listener);
  // Which segments are ours, where the device carries others' too. 0, or -errno and the call that failed.
  [[nodiscard]] int pass(const SegmentInterests& interests, const char*& syscall);
  // How the kernel would send to `remote`. 0 or -errno.
  [[nodiscard]] int route_to(const Endpoint& remote, Route& out) const;
  // Accepts connections on a TCP port: of one address, or of all whose packets come, 0.0.0.0 for those of IPv4, or ::.
  void listen(const Endpoint& local, const SynAckOptions& options);
  void unlisten(const Endpoint& local);
  // A flow's id, or -ENFILE when there are as many as allowed.
  [[nodiscard]] int open_flow(const Flow::Options& options);
  void close_flow(uint32_t id);
  // Delivers the flow's datagrams as events from now on, those that are held first.
  void read_flow(uint32_t id);
  // A flow is spliced once in its life, by one of these: -EISCONN when it was; -ENOENT when the flow or the application
  // is gone; -EXDEV when the flow's owner is not the application's worker. An application may go a moment later:
  // kApplicationGone says so then.
  [[nodiscard]] int splice_application(uint32_t id, uint32_t application_id, std::vector<Datagram> datagrams = {});
  void unsplice(uint32_t id);
  // 0, or -errno and the call that failed.
  [[nodiscard]] int splice_udp(uint32_t id, const Endpoint& remote, std::vector<Datagram> datagrams,
                               const char*& syscall);
  void forget_application(uint32_t application_id);
  void send_segment(size_t worker, const Tuple& tuple, Way way, uint32_t seq, uint32_t ack, uint8_t flags,
                    std::vector<uint8_t> options);
  void send_control(uint32_t id, uint8_t flags, int64_t receive_next);
  // Of a flow: how its datagrams leave that do not fit one packet; see PathLimit.
  void set_path_limit(uint32_t id, const PathLimit& limit);
  // kAwake is to tell of the next datagram that leaves on a flow. What leaves at the same moment may be missed.
  void watch_sending(uint32_t id);
  // Sends a probe, once the peer has been heard.
  void send_probe(uint32_t id, const Probe& probe);
  void send_datagrams(uint32_t id, std::vector<Datagram> datagrams);

 private:
  // An id is used again when no worker knows its flow any more.
  struct Closing {
    uint32_t id;
    std::weak_ptr<Flow> flow;
  };

  Engine(Options& options, std::shared_ptr<CounterSlab> counters);
  [[nodiscard]] std::shared_ptr<Flow> flow(uint32_t id) const;
  [[nodiscard]] Worker& owner_of(const Flow& flow) { return *workers_[flow.owner]; }
  [[nodiscard]] UdpSocket::Options socket_options(bool shared) const;
  // One port a worker, each with room in its worker's epoll. 0, or -errno and the call that failed.
  [[nodiscard]] int open_ports(Endpoint local, uint32_t listener, std::vector<std::shared_ptr<UdpPort>>& out,
                               const char*& syscall);
  uint32_t free_id();

  EngineContext context_;
  std::vector<std::unique_ptr<Worker>> workers_;

  // By id; empty when closed.
  std::vector<std::vector<std::shared_ptr<UdpPort>>> udp_listeners_{1};

  const size_t max_flows_;
  std::vector<std::shared_ptr<Flow>> flows_{1};  // by id, from 1 on
  std::vector<uint32_t> free_ids_;
  std::deque<Closing> closing_;  // in the order of their ends
};

}  // namespace guise

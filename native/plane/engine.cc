#include "plane/engine.h"

#include <cerrno>
#include <random>

namespace guise {

namespace {

uint64_t random_word() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

}  // namespace

Engine::Engine(Options options, std::function<void()> wake)
    : policy_(options.policy),
      counters_(std::make_shared<CounterSlab>(size_t{options.max_flows} + 1)),
      cookies_({random_word(), random_word()}),
      max_flows_(options.max_flows) {
  for (UniqueFd& fd : options.devices) {
    devices_.push_back(std::make_unique<PacketDevice>(std::move(fd), options.virtio_header,
                                                      options.virtio_header && options.segmentation, *counters_));
  }
  const uint64_t key = random_word();
  for (size_t i = 0; i < devices_.size(); ++i) {
    workers_.push_back(std::make_unique<Worker>(static_cast<uint8_t>(i), devices_, policy_, *counters_, cookies_, key,
                                                wake, [this](uint16_t index) -> Worker& { return *workers_[index]; }));
  }
}

void Engine::start() {
  for (auto& worker : workers_) worker->start();
}

Engine::~Engine() {
  for (auto& worker : workers_) worker->stop();
  // A flow and its application hold each other.
  for (const auto& flow : flows_) {
    if (flow) flow->application = nullptr;
  }
}

std::shared_ptr<Flow> Engine::flow(uint32_t id) const { return id < flows_.size() ? flows_[id] : nullptr; }

int Engine::listen_udp(const Endpoint& local, const char*& syscall) {
  Endpoint endpoint = local;
  std::vector<std::shared_ptr<UdpPort>> ports;
  {
    // REUSEPORT would share the port with another process of this user without a word: ask first.
    UniqueFd probe;
    const int error = UdpPort::bind(endpoint, false, false, probe, syscall);
    if (error) return error;
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    UniqueFd fd;
    const int error = UdpPort::bind(endpoint, true, policy_.offload, fd, syscall);
    if (error) return error;
    ports.push_back(std::make_shared<UdpPort>(std::move(fd), false, policy_.offload, *counters_));
    ports.back()->listener = static_cast<uint32_t>(udp_listeners_.size());
    endpoint.port = ports.back()->port;
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->post([port = ports[i]](Worker& worker) { worker.add_port(port); });
  }
  udp_listeners_.push_back(std::move(ports));
  return static_cast<int>(udp_listeners_.size() - 1);
}

uint16_t Engine::udp_port(uint32_t listener) const {
  const bool open = listener < udp_listeners_.size() && !udp_listeners_[listener].empty();
  return open ? udp_listeners_[listener].front()->port : 0;
}

void Engine::close_udp(uint32_t listener) {
  if (listener >= udp_listeners_.size()) return;
  const auto ports = std::exchange(udp_listeners_[listener], {});
  for (size_t i = 0; i < ports.size(); ++i) {
    workers_[i]->post([port = ports[i]](Worker& worker) { worker.close_port(port); });
  }
}

void Engine::listen(uint16_t port, const SynAckOptions& options) {
  for (auto& worker : workers_) worker->post([port, options](Worker& each) { each.listen(port, options); });
}

void Engine::unlisten(uint16_t port) {
  for (auto& worker : workers_) worker->post([port](Worker& each) { each.unlisten(port); });
}

uint32_t Engine::free_id() {
  const auto reclaim = [this](const Closing& each) {
    if (!each.flow.expired()) return false;
    free_ids_.push_back(each.id);
    return true;
  };
  while (!closing_.empty() && reclaim(closing_.front())) closing_.pop_front();
  // Low ids first: memory is touched for as many flows as there are at once.
  if (free_ids_.empty() && flows_.size() <= max_flows_) {
    flows_.emplace_back();
    return static_cast<uint32_t>(flows_.size() - 1);
  }
  if (free_ids_.empty()) std::erase_if(closing_, reclaim);
  if (free_ids_.empty()) return 0;
  const uint32_t id = free_ids_.back();
  free_ids_.pop_back();
  return id;
}

int Engine::open_flow(const FlowOptions& options) {
  const uint32_t id = free_id();
  if (id == 0) return -ENFILE;
  FlowCounters& counters = counters_->flow(id);
  counters = FlowCounters{.life = counters.life + 1};
  counters.send_next = options.send_next;
  counters.receive_next = options.receive_next;
  counters.ack_sent = options.receive_next;
  counters.peer_ack = options.send_next;
  // Not make_shared: what `closing_` holds would keep all of its memory.
  const std::shared_ptr<Flow> flow(new Flow(options.tuple, id, options.owner, counters, counters_->engine()));
  flow->push = options.push;
  flow->max_payload = options.max_payload;
  flow->send_next = options.send_next;
  flow->receive_next = options.receive_next;
  flow->ack_sent = options.receive_next;
  flow->window_open = !options.guard;
  flow->initial_window_end = options.send_next + policy_.initial_window;
  flows_[id] = flow;
  for (auto& worker : workers_) worker->post([flow](Worker& each) { each.add_flow(flow); });
  return static_cast<int>(id);
}

void Engine::close_flow(uint32_t id) {
  const std::shared_ptr<Flow> closing = flow(id);
  if (!closing) return;
  flows_[id] = nullptr;
  closing_.push_back({id, closing});
  for (auto& worker : workers_) {
    worker->post([tuple = closing->tuple](Worker& each) { each.remove_flow(tuple); });
  }
}

void Engine::read_flow(uint32_t id) {
  if (const std::shared_ptr<Flow> found = flow(id)) {
    owner_of(*found).post([found](Worker& worker) { worker.read_flow(*found); });
  }
}

int Engine::splice_application(uint32_t id, uint32_t application_id) {
  const std::shared_ptr<Flow> found = flow(id);
  if (!found) return -ENOENT;
  if (std::exchange(found->spliced, true)) return -EISCONN;
  owner_of(*found).post([found, application_id](Worker& worker) { worker.splice_application(found, application_id); });
  return 0;
}

void Engine::unsplice(uint32_t id) {
  if (const std::shared_ptr<Flow> found = flow(id)) {
    owner_of(*found).post([found](Worker& worker) { worker.unsplice(*found); });
  }
}

int Engine::splice_udp(uint32_t id, const Endpoint& remote, std::vector<Datagram> datagrams, const char*& syscall) {
  const std::shared_ptr<Flow> found = flow(id);
  syscall = "connect";
  if (!found) return -ENOENT;
  if (found->spliced) return -EISCONN;
  UniqueFd fd;
  const int error = UdpPort::connect(remote, policy_.offload, fd, syscall);
  if (error) return error;
  found->spliced = true;
  auto port = std::make_shared<UdpPort>(std::move(fd), true, policy_.offload, *counters_);
  owner_of(*found).post(
      [found, port, datagrams = std::move(datagrams)](Worker& worker) { worker.splice_port(found, port, datagrams); });
  return 0;
}

void Engine::forget_application(uint32_t application_id) {
  const size_t worker = application_id >> 24;
  if (worker < workers_.size())
    workers_[worker]->post([application_id](Worker& each) { each.forget_application(application_id); });
}

void Engine::send_segment(size_t worker, const Tuple& tuple, uint32_t seq, uint32_t ack, uint8_t flags,
                          std::vector<uint8_t> options) {
  workers_[worker]->post([tuple, seq, ack, flags, options = std::move(options)](Worker& each) {
    each.send_segment(tuple, seq, ack, flags, options);
  });
}

void Engine::send_control(uint32_t id, uint8_t flags, int64_t receive_next) {
  if (const std::shared_ptr<Flow> found = flow(id)) {
    owner_of(*found).post(
        [found, flags, receive_next](Worker& worker) { worker.send_control(*found, flags, receive_next); });
  }
}

void Engine::send_datagrams(uint32_t id, std::vector<Datagram> datagrams) {
  const std::shared_ptr<Flow> found = flow(id);
  if (!found) return counters_->drop(DropReason::kNoFlow, datagrams.size());
  // JavaScript may be faster than the worker: what exceeds the queue is dropped at its tail, as by a socket's buffer.
  const size_t room = policy_.send_queue_bytes - found->posted_bytes.load(std::memory_order_relaxed);
  size_t bytes = 0, taken = 0;
  while (taken < datagrams.size() && bytes + datagrams[taken].size() <= room) bytes += datagrams[taken++].size();
  if (taken < datagrams.size()) {
    count(found->counters.sent_drops, datagrams.size() - taken);
    counters_->drop(DropReason::kSendQueueFull, datagrams.size() - taken);
    datagrams.resize(taken);
  }
  found->posted_bytes.fetch_add(bytes, std::memory_order_relaxed);
  owner_of(*found).post([found, bytes, datagrams = std::move(datagrams)](Worker& worker) {
    found->posted_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    worker.send_datagrams(*found, datagrams);
  });
}

}  // namespace guise

#include "plane/engine.h"

#include <cerrno>
#include <random>

#include "host/routes.h"

namespace guise {

namespace {

uint64_t random_word() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

}  // namespace

int Engine::create(Options options, std::unique_ptr<Engine>& out, const char*& syscall) {
  MappedMemory memory;
  syscall = "mmap";
  if (const int error = MappedMemory::create(CounterSlab::mapped_size(options.max_flows), memory)) return error;
  std::unique_ptr<Engine> engine(new Engine(options, std::make_shared<CounterSlab>(std::move(memory))));
  for (size_t i = 0; i < engine->context_.devices.size(); ++i) {
    std::unique_ptr<Worker> worker;
    if (const int error = Worker::create(static_cast<uint8_t>(i), engine->context_, worker, syscall)) return error;
    engine->context_.workers.push_back(worker.get());
    engine->workers_.push_back(std::move(worker));
  }
  out = std::move(engine);
  return 0;
}

Engine::Engine(Options& options, std::shared_ptr<CounterSlab> counters)
    : context_{.policy = options.policy,
               .counters = std::move(counters),
               .cookies = SynCookies({random_word(), random_word()}, options.policy.cookie_slot_seconds),
               .hash_key = random_word(),
               .udp_offload = options.udp_offload,
               .wake = options.wake,
               .devices = std::move(options.devices),
               .workers = {}},
      max_flows_(options.max_flows) {}

int Engine::start(const char*& syscall) {
  syscall = "pthread_create";
  for (auto& worker : workers_) {
    if (const int error = worker->start()) return error;
  }
  return 0;
}

// Workers first: they name each other.
Engine::~Engine() {
  for (auto& worker : workers_) worker->stop();
}

std::shared_ptr<Flow> Engine::flow(uint32_t id) const { return id < flows_.size() ? flows_[id] : nullptr; }

UdpSocket::Options Engine::socket_options(bool shared) const {
  return {.offload = context_.udp_offload, .shared = shared, .buffer_bytes = context_.policy.udp_socket_bytes};
}

int Engine::open_ports(Endpoint local, uint32_t listener, std::vector<std::shared_ptr<UdpPort>>& out,
                       const char*& syscall) {
  {
    // REUSEPORT would share the port with another process of this user without a word: ask first.
    UniqueFd probe;
    if (const int error = UdpSocket::bind(local, socket_options(false), probe, syscall)) return error;
  }
  for (const auto& worker : workers_) {
    UniqueFd fd;
    if (const int error = UdpSocket::bind(local, socket_options(true), fd, syscall)) return error;
    auto port = std::make_shared<UdpPort>(std::move(fd), context_.udp_offload, listener);
    local.port = port->number;
    syscall = "epoll_ctl";
    if (const int error = worker->reserve(*port)) return error;
    out.push_back(std::move(port));
  }
  return 0;
}

int Engine::listen_udp(const Endpoint& local, const char*& syscall) {
  const auto listener = static_cast<uint32_t>(udp_listeners_.size());
  std::vector<std::shared_ptr<UdpPort>> ports;
  if (const int error = open_ports(local, listener, ports, syscall)) {
    for (size_t i = 0; const auto& port : ports) workers_[i++]->unreserve(*port);
    return error;
  }
  for (size_t i = 0; const auto& worker : workers_) {
    worker->post([port = ports[i++]](Worker& each) { each.add_port(port); });
  }
  udp_listeners_.push_back(std::move(ports));
  return static_cast<int>(listener);
}

uint16_t Engine::udp_port(uint32_t listener) const {
  const bool open = listener < udp_listeners_.size() && !udp_listeners_[listener].empty();
  return open ? udp_listeners_[listener].front()->number : 0;
}

void Engine::close_udp(uint32_t listener) {
  if (listener >= udp_listeners_.size()) return;
  const auto ports = std::exchange(udp_listeners_[listener], {});
  for (size_t i = 0; i < ports.size(); ++i) {
    workers_[i]->application_ids().erase_of(listener);
    workers_[i]->post([port = ports[i]](Worker& worker) { worker.close_port(port); });
  }
}

int Engine::pass(const SegmentInterests& interests, const char*& syscall) {
  for (const auto& device : context_.devices) {
    if (const int error = device->pass(interests, syscall)) return error;
  }
  return 0;
}

int Engine::route_to(const Endpoint& remote, Route& out) const {
  if (!context_.devices.front()->is_shared()) return host_route(remote, out);
  // Every device may send a SYN by routes.
  const uint32_t interface = interface_past_tunnels(remote.address);
  int error = 0;
  for (const auto& device : context_.devices) error = device->route_to(remote, interface, out);
  return error;
}

void Engine::listen(const Endpoint& local, const SynAckOptions& options) {
  for (auto& worker : workers_) worker->post([local, options](Worker& each) { each.listen(local, options); });
}

void Engine::unlisten(const Endpoint& local) {
  for (auto& worker : workers_) worker->post([local](Worker& each) { each.unlisten(local); });
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

int Engine::open_flow(const Flow::Options& options) {
  const uint32_t id = free_id();
  if (id == 0) return -ENFILE;
  // Not make_shared: what `closing_` holds would keep all of its memory.
  const std::shared_ptr<Flow> flow(new Flow(options, id, *context_.counters, context_.policy));
  flows_[id] = flow;
  for (auto& worker : workers_) worker->post([flow](Worker& each) { each.add_flow(flow); });
  return static_cast<int>(id);
}

void Engine::close_flow(uint32_t id) {
  const std::shared_ptr<Flow> closing = flow(id);
  if (!closing) return;
  flows_[id] = nullptr;
  closing_.push_back({id, closing});
  for (auto& worker : workers_) worker->post([closing](Worker& each) { each.remove_flow(closing); });
}

void Engine::read_flow(uint32_t id) {
  if (const std::shared_ptr<Flow> found = flow(id)) {
    owner_of(*found).post([found](Worker& worker) { worker.read_flow(*found); });
  }
}

int Engine::splice_application(uint32_t id, uint32_t application_id, std::vector<Datagram> datagrams) {
  const std::shared_ptr<Flow> found = flow(id);
  if (!found) return -ENOENT;
  if (found->spliced) return -EISCONN;
  const size_t worker = application_id >> 24;
  if (worker >= workers_.size() || !workers_[worker]->application_ids().contains(application_id)) return -ENOENT;
  if (worker != found->owner) return -EXDEV;
  found->spliced = true;
  owner_of(*found).post([found, application_id, datagrams = std::move(datagrams)](Worker& each) {
    each.splice_application(*found, application_id, datagrams);
  });
  return 0;
}

void Engine::unsplice(uint32_t id) {
  if (const std::shared_ptr<Flow> found = flow(id)) {
    owner_of(*found).post([found](Worker&) { Worker::unsplice(*found); });
  }
}

int Engine::splice_udp(uint32_t id, const Endpoint& remote, std::vector<Datagram> datagrams, const char*& syscall) {
  const std::shared_ptr<Flow> found = flow(id);
  syscall = "connect";
  if (!found) return -ENOENT;
  if (found->spliced) return -EISCONN;
  UniqueFd fd;
  if (const int error = UdpSocket::connect(remote, socket_options(false), fd, syscall)) return error;
  auto port = std::make_shared<UdpPort>(std::move(fd), context_.udp_offload, 0);
  Worker& owner = owner_of(*found);
  syscall = "epoll_ctl";
  if (const int error = owner.reserve(*port)) return error;
  found->spliced = true;
  owner.post([found, port = std::move(port), datagrams = std::move(datagrams)](Worker& worker) mutable {
    worker.splice_port(*found, std::move(port), datagrams);
  });
  return 0;
}

void Engine::forget_application(uint32_t application_id) {
  const size_t worker = application_id >> 24;
  if (worker >= workers_.size()) return;
  workers_[worker]->application_ids().erase(application_id);
  workers_[worker]->post([application_id](Worker& each) { each.forget_application(application_id); });
}

void Engine::send_segment(size_t worker, const Tuple& tuple, Way way, uint32_t seq, uint32_t ack, uint8_t flags,
                          std::vector<uint8_t> options) {
  workers_[worker]->post([tuple, way, seq, ack, flags, options = std::move(options)](Worker& each) {
    each.send_segment(tuple, way, seq, ack, flags, options);
  });
}

void Engine::send_control(uint32_t id, uint8_t flags, int64_t receive_next) {
  if (const std::shared_ptr<Flow> found = flow(id)) {
    owner_of(*found).post(
        [found, flags, receive_next](Worker& worker) { worker.send_control(*found, flags, receive_next); });
  }
}

void Engine::set_path_limit(uint32_t id, const PathLimit& limit) {
  if (const std::shared_ptr<Flow> found = flow(id)) {
    owner_of(*found).post([found, limit](Worker&) { found->set_path_limit(limit); });
  }
}

void Engine::watch_sending(uint32_t id) {
  if (const std::shared_ptr<Flow> found = flow(id)) found->asleep.store(true);
}

void Engine::send_probe(uint32_t id, const Probe& probe) {
  if (const std::shared_ptr<Flow> found = flow(id)) {
    owner_of(*found).post([found, probe](Worker& worker) { worker.send_probe(*found, probe); });
  }
}

void Engine::send_datagrams(uint32_t id, std::vector<Datagram> datagrams) {
  const std::shared_ptr<Flow> found = flow(id);
  if (!found) return context_.counters->drop(DropReason::kNoFlow, datagrams.size());
  // JavaScript may be faster than the worker: what exceeds the queue is dropped at its tail, as by a socket's buffer.
  const size_t room = context_.policy.send_queue_bytes - found->posted_bytes.load(std::memory_order_relaxed);
  size_t bytes = 0, taken = 0;
  while (taken < datagrams.size() && bytes + datagrams[taken].size() <= room) bytes += datagrams[taken++].size();
  if (taken < datagrams.size()) {
    count(found->counters.sent_drops, datagrams.size() - taken);
    context_.counters->drop(DropReason::kSendQueueFull, datagrams.size() - taken);
    datagrams.resize(taken);
  }
  found->posted_bytes.fetch_add(bytes, std::memory_order_relaxed);
  owner_of(*found).post(
      [found, datagrams = std::move(datagrams)](Worker& worker) { worker.send_datagrams(*found, datagrams); });
}

}  // namespace guise

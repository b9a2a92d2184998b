#include "plane/worker.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace guise {
namespace {

int watch(int epoll, int fd, uint32_t events, void* owner) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = owner;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int take_descriptor(int fd, UniqueFd& out) {
  if (fd < 0) return -errno;
  out = UniqueFd(fd);
  return 0;
}

}  // namespace

int Worker::create(uint8_t index, const EngineContext& engine, std::unique_ptr<Worker>& out, const char*& syscall) {
  MappedMemory memory;
  syscall = "mmap";
  if (const int error = MappedMemory::create(2 * size_t{engine.policy.event_buffer_bytes}, memory)) return error;
  Descriptors made;
  syscall = "epoll_create1";
  if (const int error = take_descriptor(::epoll_create1(EPOLL_CLOEXEC), made.epoll)) return error;
  syscall = "eventfd";
  if (const int error = take_descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), made.wake)) return error;
  syscall = "timerfd_create";
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (const int error = take_descriptor(timer, made.timer)) return error;
  auto events = std::make_shared<EventQueue>(std::move(memory));
  std::unique_ptr<Worker> worker(new Worker(index, engine, std::move(events), std::move(made)));
  syscall = "epoll_ctl";
  PacketDevice& device = *engine.devices[index];
  const Descriptors& own = worker->descriptors_;
  for (const UniqueFd* descriptor : {&own.wake, &own.timer}) {
    if (const int error = watch(own.epoll.get(), descriptor->get(), EPOLLIN, const_cast<UniqueFd*>(descriptor)))
      return error;
  }
  const uint32_t events_of_device = device.sees_what_waits() ? EPOLLIN | EPOLLET : EPOLLIN;
  for (const int descriptor : device.descriptors()) {
    if (const int error = watch(own.epoll.get(), descriptor, events_of_device, &device)) return error;
  }
  if (device.is_shared()) {
    std::unique_ptr<LocalAddresses>& addresses = worker->context_.local_addresses;
    if (const int error = LocalAddresses::create(addresses, syscall)) return error;
    syscall = "epoll_ctl";
    if (const int error = watch(own.epoll.get(), addresses->fd(), EPOLLIN, addresses.get())) return error;
  }
  out = std::move(worker);
  return 0;
}

Worker::Worker(uint8_t index, const EngineContext& engine, std::shared_ptr<EventQueue> events, Descriptors descriptors)
    : context_(index, engine, std::move(events)),
      uplink_(context_),
      passive_open_(context_),
      downlink_(context_, passive_open_, commands_waiting_),
      descriptors_(std::move(descriptors)) {}

Worker::~Worker() { stop(); }

int Worker::start() {
  try {
    thread_ = std::thread([this] {
      while (!stopping_.load(std::memory_order_relaxed)) turn(-1);
    });
  } catch (const std::system_error& error) {
    return -error.code().value();
  }
  return 0;
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  post([](Worker& self) { self.stopping_.store(true); });
  thread_.join();
}

void Worker::post(std::unique_ptr<Command> command) {
  {
    const std::lock_guard lock(commands_mutex_);
    commands_.push_back(std::move(command));
    if (commands_waiting_.exchange(true)) return;
  }
  const uint64_t one = 1;
  (void)!::write(descriptors_.wake.get(), &one, sizeof one);  // an eventfd refuses only what would overflow it
}

void Worker::take_commands() {
  if (!commands_waiting_.load()) return;
  std::vector<std::unique_ptr<Command>> commands;
  {
    const std::lock_guard lock(commands_mutex_);
    commands.swap(commands_);
    commands_waiting_.store(false);
  }
  for (auto& command : commands) {
    command->run(*this);
    command.reset();  // what it holds goes in the order of the calls
  }
}

int Worker::turn(int timeout_ms) {
  std::array<epoll_event, 64> events;
  PacketDevice& device = context_.device();
  if (device.waits()) timeout_ms = 0;
  const int ready = ::epoll_wait(descriptors_.epoll.get(), events.data(), events.size(), timeout_ms);
  bool device_ready = device.waits();
  for (int i = 0; i < ready; ++i) {
    const void* owner = events[i].data.ptr;
    if (owner == &device) {
      device_ready = true;
    } else if (owner == &descriptors_.wake) {
      uint64_t value;
      (void)!::read(descriptors_.wake.get(), &value, sizeof value);
      take_commands();
    } else if (owner == &descriptors_.timer) {
      on_timer();
    } else if (owner == context_.local_addresses.get()) {
      if (context_.local_addresses->refresh())
        context_.emit_control(context_.record_of(EventType::kAddresses, 0, 0, {}));
    } else {
      auto* port = static_cast<UdpPort*>(events[i].data.ptr);
      if (port->closed) continue;
      if (events[i].events & EPOLLERR) uplink_.take_errors(*port);
      uplink_.receive(*port);
    }
  }
  if (device_ready) receive_from_device();
  removed_ports_.clear();
  arm_timer();
  return device_ready && ready == 0 ? 1 : ready;
}

void Worker::receive_from_device() {
  if (!device_alive_) return;
  using enum Downlink::Received;
  Downlink::Received received;
  while ((received = downlink_.receive(context_.device())) == kCommandsWait) take_commands();
  for (const auto& flow : downlink_.take_opened()) {
    context_.engine.workers[flow->owner]->post([flow](Worker& owner) { owner.uplink_.release(*flow); });
  }
  if (received != kDeviceGone) return;
  device_alive_ = false;
  for (const int descriptor : context_.device().descriptors()) {
    (void)::epoll_ctl(descriptors_.epoll.get(), EPOLL_CTL_DEL, descriptor, nullptr);
  }
  context_.emit_control(context_.record_of(EventType::kDeviceGone, 0, 0, {}));
}

void Worker::arm_timer() {
  if (timer_armed_ || !(uplink_.has_stalled() || downlink_.has_due())) return;
  itimerspec in{};
  in.it_value.tv_sec = context_.policy.ack_interval / 1000;
  in.it_value.tv_nsec = context_.policy.ack_interval % 1000 * 1'000'000L;
  (void)::timerfd_settime(descriptors_.timer.get(), 0, &in, nullptr);  // the time is one that the border has checked
  timer_armed_ = true;
}

void Worker::on_timer() {
  uint64_t expirations;
  (void)!::read(descriptors_.timer.get(), &expirations, sizeof expirations);
  timer_armed_ = false;
  downlink_.acknowledge_due();
  uplink_.push_stalled();
}

int Worker::reserve(UdpPort& port) { return watch(descriptors_.epoll.get(), port.socket.fd(), 0, &port); }

void Worker::unreserve(UdpPort& port) {
  (void)::epoll_ctl(descriptors_.epoll.get(), EPOLL_CTL_DEL, port.socket.fd(), nullptr);
}

void Worker::add_port(std::shared_ptr<UdpPort> port) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = port.get();
  // What could be refused was when there was made room for it (fs/eventpoll.c, ep_modify).
  (void)::epoll_ctl(descriptors_.epoll.get(), EPOLL_CTL_MOD, port->socket.fd(), &event);
  UdpPort* key = port.get();
  ports_.emplace(key, std::move(port));
}

void Worker::remove_port(UdpPort& port) {
  auto found = ports_.extract(&port);
  if (found.empty()) return;
  (void)::epoll_ctl(descriptors_.epoll.get(), EPOLL_CTL_DEL, port.socket.fd(), nullptr);
  port.closed = true;
  port.endpoint = nullptr;
  removed_ports_.push_back(std::move(found.mapped()));
}

void Worker::close_port(const std::shared_ptr<UdpPort>& port) {
  remove_port(*port);
  std::vector<uint32_t> served;
  for (const auto& [id, application] : context_.applications_by_id) {
    if (&application->port == port.get()) served.push_back(id);
  }
  for (const uint32_t id : served) forget_application(id);
  context_.flows.each([&](Flow& flow) {
    if (flow.owner != context_.index || flow.port != port) return;
    downlink_.drop(flow);
    context_.emit_control(EventType::kApplicationGone, flow);
    release_port(flow);
  });
}

// Each worker has ended what it was about once it takes the command, and finds that there is nothing to send to.
void Worker::release_port(Flow& flow) {
  const auto left = std::make_shared<std::atomic<size_t>>(context_.engine.workers.size());
  for (Worker* worker : context_.engine.workers) {
    worker->post([left, shared = flow.shared_from_this()](Worker& each) {
      if (left->fetch_sub(1) > 1) return;
      each.context_.engine.workers[shared->owner]->post([shared](Worker&) { shared->port = nullptr; });
    });
  }
}

void Worker::add_flow(std::shared_ptr<Flow> flow) {
  if (flow->owner == context_.index) context_.emit_control(EventType::kAttached, *flow);
  context_.flows.insert(std::move(flow));
}

void Worker::remove_flow(const std::shared_ptr<Flow>& flow) {
  if (context_.flows.find(flow->tuple) == flow.get()) context_.flows.erase(flow->tuple);
  if (flow->owner == context_.index) detach(*flow);
}

void Worker::detach(Flow& flow) {
  flow.unsent.abandon();
  Application* application = std::exchange(flow.application, nullptr);
  if (!application) return;
  application->flow = nullptr;
  if (application->port.connected()) {
    remove_port(application->port);
  } else {
    forget_application(application->id);
  }
}

void Worker::splice_application(Flow& flow, uint32_t application_id, const std::vector<Datagram>& datagrams) {
  const auto found = context_.applications_by_id.find(application_id);
  const auto port = found == context_.applications_by_id.end() ? ports_.end() : ports_.find(&found->second->port);
  if (port == ports_.end()) {
    downlink_.drop(flow);
    return context_.emit_control(EventType::kApplicationGone, flow);
  }
  Application& application = *found->second;
  if (application.flow) application.flow->application = nullptr;
  application.flow = &flow;
  flow.application = &application;
  flow.port = port->second;
  flow.target = UdpTarget(application.tuple, flow.port->socket.family());
  downlink_.splice(flow, datagrams);
  uplink_.release(flow);
}

void Worker::unsplice(Flow& flow) {
  if (!flow.application || flow.application->port.connected()) return;
  std::exchange(flow.application, nullptr)->flow = nullptr;
}

void Worker::splice_port(Flow& flow, std::shared_ptr<UdpPort> port, const std::vector<Datagram>& datagrams) {
  port->endpoint = std::make_unique<Application>(*port, context_.counters.engine());
  port->endpoint->flow = &flow;
  flow.application = port->endpoint.get();
  flow.port = port;
  add_port(std::move(port));
  downlink_.splice(flow, datagrams);
}

void Worker::forget_application(uint32_t application_id) {
  auto found = context_.applications_by_id.extract(application_id);
  if (found.empty()) return;
  context_.application_ids.erase(application_id);
  if (Flow* flow = found.mapped()->flow) flow->application = nullptr;
  context_.applications.erase(found.mapped()->tuple);
}

void Worker::send_segment(const Tuple& tuple, Way way, uint32_t seq, uint32_t ack, uint8_t flags,
                          std::span<const uint8_t> options) {
  const Written written = context_.device().write_segment(way, SegmentHeader(tuple), seq, ack, flags, options, {});
  context_.count_write(written);
  if (written.refused == 0) return;
  EventRecord record = context_.record_of(EventType::kUnsent, 0, 0, tuple);
  record.seq = static_cast<uint32_t>(-written.error);
  (void)context_.emit(record);  // it is counted
}

void Worker::send_control(Flow& flow, uint8_t flags, int64_t receive_next) {
  uplink_.flush();
  if (flags & kFin) uplink_.release_unsent(flow);
  if (receive_next >= 0) flow.advance(static_cast<uint32_t>(receive_next));
  if (flags & (kFin | kRst)) detach(flow);
  const uint32_t seq = flow.take_sequence(flags & kFin ? 1 : 0);
  // phantun's closing RST has no ACK bit and ACK number 0.
  const uint32_t ack = flags & kAck ? flow.acknowledge() : 0;
  context_.write_segment(flow, seq, ack, flags);
}

void Worker::send_datagrams(Flow& flow, const std::vector<Datagram>& datagrams) {
  uplink_.send_or_keep(flow, datagrams);
}

// Behind what the peer has acknowledged, so that it is nothing new to anybody. A server does not know the connection
// before it has answered: it would take the note for a first datagram.
void Worker::send_probe(Flow& flow, const Probe& probe) {
  if (read_counter(flow.counters.received_segments) == 0) return;
  const size_t notes = probe.pair ? 2 : 1;
  std::vector<uint8_t> payload(notes * probe.size);
  for (uint32_t i = 0; i < notes; ++i) {
    const Note note{.type = Note::Type::kProbe, .size = probe.size, .token = probe.token + i};
    write_note(&payload[size_t{i} * probe.size], note, context_.next_nonce());
  }
  const uint32_t seq = flow.numbers().peer_ack - probe.span;
  flow.note_sequence.store(seq, std::memory_order_relaxed);
  uplink_.flush();
  if (probe.fragment) {
    (void)context_.write_fragments(flow, seq, kAck, payload);
  } else {
    uplink_.send_beside(flow, seq, payload, probe.size);
  }
}

}  // namespace guise

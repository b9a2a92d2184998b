#include "plane/worker.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>

namespace guise {

Worker::Worker(uint8_t index, std::vector<std::unique_ptr<PacketDevice>>& devices, const Policy& policy,
               const CounterSlab& counters, const SynCookies& cookies, uint64_t hash_key, std::function<void()> wake,
               std::function<Worker&(uint16_t)> sibling)
    : context_(index, devices, policy, counters, hash_key, std::move(wake)),
      uplink_(context_),
      passive_open_(context_, cookies),
      downlink_(
          context_, passive_open_, commands_waiting_, [this] { take_commands(); },
          [this](Flow& flow) {
            sibling_(flow.owner).post([shared = flow.shared_from_this()](Worker& owner) {
              owner.release_application_of(*shared);
            });
          }),
      sibling_(std::move(sibling)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  watch(wake_.get(), &wake_);
  watch(timer_.get(), &timer_);
  watch(context_.devices[index]->fd(), context_.devices[index].get());
}

Worker::~Worker() { stop(); }

void Worker::start() {
  thread_ = std::thread([this] {
    while (!stopping_.load(std::memory_order_relaxed)) turn(-1);
  });
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  post([](Worker& self) { self.stopping_.store(true); });
  thread_.join();
}

void Worker::post(Command command) {
  {
    const std::lock_guard lock(commands_mutex_);
    commands_.push_back(std::move(command));
    if (commands_waiting_.exchange(true)) return;
  }
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void Worker::take_commands() {
  if (!commands_waiting_.load()) return;
  std::vector<Command> commands;
  {
    const std::lock_guard lock(commands_mutex_);
    commands.swap(commands_);
    commands_waiting_.store(false);
  }
  for (const Command& command : commands) command(*this);
}

void Worker::watch(int fd, void* owner) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = owner;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

int Worker::turn(int timeout_ms) {
  std::array<epoll_event, 64> events;
  PacketDevice* device = context_.devices[context_.index].get();
  const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
  for (int i = 0; i < ready; ++i) {
    void* owner = events[i].data.ptr;
    if (owner == device) {
      if (device_alive_ && !downlink_.receive(*device)) {
        device_alive_ = false;
        (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, device->fd(), nullptr);
        EventRecord record;
        record.type = EventType::kDeviceGone;
        record.worker = context_.index;
        context_.emit(record);
      }
    } else if (owner == &wake_) {
      uint64_t value;
      (void)!::read(wake_.get(), &value, sizeof value);
      take_commands();
    } else if (owner == &timer_) {
      on_timer();
    } else {
      auto* port = static_cast<UdpPort*>(owner);
      if (!port->closed) uplink_.receive(*port);
    }
  }
  removed_.clear();
  arm_timer();
  return ready;
}

void Worker::arm_timer() {
  if (timer_armed_ || (guarded_.empty() && !downlink_.has_due())) return;
  itimerspec in{};
  in.it_value.tv_sec = context_.policy.ack_interval_ms / 1000;
  in.it_value.tv_nsec = context_.policy.ack_interval_ms % 1000 * 1'000'000L;
  (void)::timerfd_settime(timer_.get(), 0, &in, nullptr);
  timer_armed_ = true;
}

void Worker::on_timer() {
  uint64_t expirations;
  (void)!::read(timer_.get(), &expirations, sizeof expirations);
  timer_armed_ = false;
  downlink_.acknowledge_due();
  // A peer that stays silent (its ACK may be lost) must not stop the flow for good.
  std::vector<std::shared_ptr<Flow>> guarded;
  guarded.swap(guarded_);
  for (const auto& flow : guarded) {
    if (!flow->window_open.exchange(true)) release_application_of(*flow);
  }
}

void Worker::add_port(std::shared_ptr<UdpPort> port) {
  watch(port->fd(), port.get());
  UdpPort* key = port.get();
  ports_.emplace(key, std::move(port));
}

void Worker::remove_port(const std::shared_ptr<UdpPort>& port) {
  if (ports_.erase(port.get()) == 0) return;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, port->fd(), nullptr);
  port->closed = true;
  removed_.push_back(port);
}

void Worker::close_port(const std::shared_ptr<UdpPort>& port) {
  remove_port(port);
  std::vector<Application*> served;
  for (const auto& [id, application] : context_.applications_by_id) {
    if (application->port == port) served.push_back(application);
  }
  for (Application* application : served) {
    if (application->flow) application->flow->application = nullptr;
    application->flow = nullptr;
    forget_application(application->id);
  }
}

void Worker::add_flow(std::shared_ptr<Flow> flow) {
  if (flow->owner == context_.index) {
    EventRecord record;
    record.type = EventType::kAttached;
    record.worker = context_.index;
    record.id = flow->id;
    record.detail = static_cast<uint32_t>(flow->counters.life);
    record.set_tuple(flow->tuple);
    context_.emit(record);
    if (!flow->window_open.load()) guarded_.push_back(flow);
  }
  context_.flows.insert(std::move(flow));
}

void Worker::remove_flow(const Tuple& tuple) {
  std::shared_ptr<Flow> flow = context_.flows.erase(tuple);
  if (!flow) return;
  if (flow->owner == context_.index) detach(*flow);
  removed_.push_back(std::move(flow));
}

void Worker::detach(Flow& flow) {
  const std::shared_ptr<Application> application = std::move(flow.application);
  if (!application) return;
  if (application->port->connected) {
    remove_port(application->port);
  } else {
    forget_application(application->id);
  }
  removed_.push_back(application);
}

void Worker::splice_application(const std::shared_ptr<Flow>& flow, uint32_t application_id) {
  const auto found = context_.applications_by_id.find(application_id);
  Application* known = found == context_.applications_by_id.end() ? nullptr : found->second;
  if (!known) return;
  const std::shared_ptr<Application> application = known->shared_from_this();
  if (application->flow) application->flow->application = nullptr;
  application->flow = flow;
  flow->udp = application->port;
  flow->target = UdpTarget(application->tuple, application->port->family());
  flow->application = application;
  downlink_.splice(*flow, {});
  uplink_.release(*application);
}

void Worker::unsplice(Flow& flow) {
  if (!flow.application || flow.application->port->connected) return;
  const std::shared_ptr<Application> application = std::move(flow.application);
  application->flow = nullptr;
}

void Worker::splice_port(const std::shared_ptr<Flow>& flow, std::shared_ptr<UdpPort> port,
                         const std::vector<Datagram>& datagrams) {
  auto application = std::make_shared<Application>(context_.counters.engine());
  application->port = port;
  application->flow = flow;
  port->only_application = application.get();
  flow->application = std::move(application);
  flow->udp = port;
  add_port(std::move(port));
  downlink_.splice(*flow, datagrams);
}

void Worker::forget_application(uint32_t application_id) {
  const auto found = context_.applications_by_id.find(application_id);
  if (found == context_.applications_by_id.end()) return;
  Application* application = found->second;
  context_.applications_by_id.erase(found);
  removed_.push_back(context_.applications.erase(application->tuple));
}

void Worker::release_application_of(Flow& flow) {
  if (flow.application) uplink_.release(*flow.application);
}

void Worker::send_segment(const Tuple& tuple, uint32_t seq, uint32_t ack, uint8_t flags,
                          std::span<const uint8_t> options) {
  (void)context_.devices[context_.index]->write_segment(SegmentHeader(tuple), seq, ack, flags, options, {});
}

void Worker::send_control(Flow& flow, uint8_t flags, int64_t receive_next) {
  uplink_.flush();
  if (receive_next >= 0) flow.advance(static_cast<uint32_t>(receive_next));
  if (flags & (kFin | kRst)) detach(flow);
  const uint32_t seq = flow.take_sequence(flags & kFin ? 1 : 0);
  // phantun's closing RST has no ACK bit and ACK number 0.
  const uint32_t ack = flags & kAck ? flow.acknowledge() : 0;
  (void)context_.device_of(flow).write_segment(flow.header, seq, ack, flags, {}, {});
}

void Worker::send_datagrams(Flow& flow, const std::vector<Datagram>& datagrams) {
  for (const Datagram& datagram : datagrams) uplink_.send(flow, datagram, datagram.size());
  uplink_.flush();
}

}  // namespace guise

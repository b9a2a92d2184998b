// The whole data plane under a script of commands, segments, datagrams and time, on one thread: an engine of one or two
// workers between the ends of socketpairs and UDP sockets on the loopback. flow_model.h says what must hold; besides,
// nothing is left when flows are closed, and when the engine has gone.
//
// Input: a byte of switches, then steps: a byte of Script::step and what that reads.
#include <poll.h>
#include <sys/socket.h>

#include <csignal>

#include "../support/icmp.h"
#include "../support/loopback.h"
#include "../support/policy.h"
#include "clock.h"
#include "flow_model.h"
#include "input.h"
#include "io/descriptor_device.h"
#include "large_buffers.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/reassembly.h"

using namespace guise;

namespace {

constexpr uint16_t kPort = FlowModel::kPort;
const std::vector<uint8_t> kSynAckOptions{2, 4, 5, 0xb4};  // MSS 1460
constexpr size_t kNobody = FlowModel::kTuples;             // the backend where nobody listens

// Sockets live as long as the process; each run leaves them empty.
struct Host {
  explicit Host(int with_family) : family(with_family) {
    for (size_t i = 0; i < FlowModel::kApplications; ++i) applications.emplace_back(family);
    for (size_t i = 0; i <= kNobody; ++i) backends.emplace_back(family);
    backends[kNobody].refuse();
  }

  const int family;
  std::vector<LoopbackSocket> applications;
  std::vector<LoopbackSocket> backends;  // one a tuple
};

size_t open_descriptors() {
  std::array<pollfd, 256> all;
  for (int fd = 0; pollfd & each : all) each = {fd++, 0, 0};
  (void)::poll(all.data(), all.size(), 0);
  return static_cast<size_t>(std::ranges::count_if(all, [](const pollfd& each) { return !(each.revents & POLLNVAL); }));
}

class Script {
 public:
  Script(Host& host, const uint8_t* data, size_t size);
  void run();

 private:
  using Connection = FlowModel::Connection;

  enum : uint8_t { kVirtio = 1, kSegmentation = 2, kOffload = 4, kTwoWorkers = 8, kCloses = 16 };
  std::unique_ptr<Engine> make_engine();

  void step();
  // Commands.
  void open();
  void close();
  void splice_udp();
  void splice_application();
  void forget_application();
  void send_control();
  void send_datagrams();
  void send_segment();
  void listen();
  void set_path_limit();
  void send_probe();
  // What comes from outside.
  void put_segment();
  void put_note();
  void put_icmp_error();
  void put_from_peer(size_t worker, const Connection& one, uint32_t seq, uint32_t ack,
                     std::span<const uint8_t> payload);
  void put_garbage();
  void put(size_t worker, VirtioNetHeader offload, std::span<const uint8_t> packet);
  void application_sends();
  void backend_replies();
  void close_device();
  void turn();

  // Runs the engine until nothing is ready.
  void settle();
  // Takes what has come out.
  void drain();
  void drain_device(size_t worker);
  void take_events();
  void take_events(size_t worker, std::span<const uint8_t> records);

  Connection& connection() { return model_.connections[input_.byte() % FlowModel::kTuples]; }
  size_t worker() { return input_.byte() % workers_; }
  uint32_t number(uint32_t expected);
  size_t length();
  std::vector<uint8_t> stamped(size_t size, size_t segment_size = SIZE_MAX);

  Host& host_;
  Input input_;
  const uint8_t switches_ = input_.byte();
  const bool virtio_header_ = switches_ & kVirtio;
  const size_t workers_ = switches_ & kTwoWorkers ? 2 : 1;
  std::array<UniqueFd, FlowModel::kWorkers> wires_;  // the far ends of the devices
  std::unique_ptr<Engine> engine_ = make_engine();
  const std::shared_ptr<CounterSlab> counters_ = engine_->counters();
  uint16_t listening_ = 0;
  size_t descriptors_ = 0;  // open when there is no flow
  uint32_t stamp_ = 0;
  // Of what leaves, by worker.
  static constexpr Reassembly::Limits kAll{.bytes = 16 << 20, .fragments = 8192, .wait4 = 1, .wait6 = 1};
  std::array<Reassembly, FlowModel::kWorkers> reassembly_{Reassembly{kAll, 1}, Reassembly{kAll, 1}};
  FlowModel model_{counters_};
};

Script::Script(Host& host, const uint8_t* data, size_t size) : host_(host), input_(data, size) {
  const char* syscall = "";
  const int listener = engine_->listen_udp(LoopbackSocket::loopback(host.family, 0), syscall);
  REQUIRE(listener > 0);
  listening_ = engine_->udp_port(static_cast<uint32_t>(listener));
  descriptors_ = open_descriptors();
}

std::unique_ptr<Engine> Script::make_engine() {
  Clock::reset();
  Engine::Options options;
  options.max_flows = FlowModel::kFlows;
  options.udp_offload = switches_ & kOffload;
  options.policy = test_policy();
  // Small enough to be reached.
  options.policy.least_ack_bytes = options.policy.unscaled_ack_bytes = 2000;
  options.policy.most_ack_bytes = 8000;
  options.policy.unscaled_window = 4000;
  options.policy.queue_bytes = 10'000;
  options.policy.all_queues_bytes = 20'000;
  options.policy.send_queue_bytes = 100'000;
  options.policy.max_applications = 2;
  options.policy.event_buffer_bytes = 1 << 17;
  const BatchLimits limits{options.policy.device_batch_packets, options.policy.device_batch_bytes};
  for (size_t i = 0; i < workers_; ++i) {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    const int buffer = 8 << 20;
    for (const int fd : fds) (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    options.devices.push_back(
        std::make_unique<DescriptorDevice>(UniqueFd(fds[0]), virtio_header_, switches_ & kSegmentation, limits));
    wires_[i] = UniqueFd(fds[1]);
  }
  options.wake = {[](void*) {}, nullptr};
  std::unique_ptr<Engine> engine;
  const char* syscall = "";
  REQUIRE(Engine::create(std::move(options), engine, syscall) == 0);
  return engine;
}

void Script::run() {
  while (!input_.empty()) step();
  settle();
  model_.check_sums();
  if (switches_ & kCloses) {
    for (const Connection& one : model_.connections) engine_->close_flow(one.id);
    settle();
    Clock::pass(200);  // until a timer is done with them
    settle();
    REQUIRE(open_descriptors() == descriptors_);
  }
  engine_.reset();
  REQUIRE(counters_->engine().waiting_bytes == 0);
}

void Script::step() {
  switch (input_.byte() % 23) {
    case 0:
      return open();
    case 1:
      return close();
    case 2:
      return splice_udp();
    case 3:
      return splice_application();
    case 4:
      return engine_->unsplice(connection().id);
    case 5:
      return forget_application();
    case 6:
      return send_control();
    case 7:
      return send_datagrams();
    case 8:
      return send_segment();
    case 9:
    case 10:
    case 11:
      return put_segment();
    case 12:
      return put_garbage();
    case 13:
      return application_sends();
    case 14:
      return backend_replies();
    case 15:
      Clock::pass(input_.flag() ? 200 : 40'000);
      [[fallthrough]];
    case 16:
      return turn();
    case 17:
      return listen();
    case 18:
      return close_device();
    case 19:
      return set_path_limit();
    case 20:
      return send_probe();
    case 21:
      return put_note();
    case 22:
      return put_icmp_error();
  }
}

// Mostly what is expected, else a little off, else anything.
uint32_t Script::number(uint32_t expected) {
  const uint8_t how = input_.byte();
  if (how < 192) return expected;
  if (how < 224) return expected + static_cast<uint32_t>(input_.value<int8_t>());
  return input_.value<uint32_t>();
}

size_t Script::length() {
  static constexpr size_t kSpecial[] = {1, 3, 1400, 1440, 1460, 1461, 5000, 9001, 20'000, 65'475, 65'495, 65'507};
  const uint8_t how = input_.byte();
  return how < 192 ? how : kSpecial[how % std::size(kSpecial)];
}

// Bytes that are different from all others in each `segment_size`, if there are 4 of them.
std::vector<uint8_t> Script::stamped(size_t size, size_t segment_size) {
  std::vector<uint8_t> bytes(size);
  for (size_t at = 0; at < size; at += std::min(segment_size, size - at)) {
    ++stamp_;
    std::memcpy(&bytes[at], &stamp_, std::min({sizeof stamp_, segment_size, size - at}));
  }
  return bytes;
}

void Script::open() {
  Connection& one = connection();
  const uint8_t switches = input_.byte();
  if (one.id != 0) return;  // the control plane never opens a second flow of a tuple
  Flow::Options options;
  options.tuple = one.tuple;
  options.owner = static_cast<uint16_t>((switches & 1) % workers_);
  options.push = switches & 2;
  options.limit_initial_window = switches & 4;
  options.scaled = !(switches & 32);
  options.acknowledges = !(switches & 64);
  const bool javascript = switches & 8;
  options.max_payload = switches & 16 ? 65'475 : 1440;
  options.send_next = number(one.cookie + 1);
  options.receive_next = number(0xffff'ff00);
  model_.opening();
  const int id = engine_->open_flow(options);
  if (id <= 0) return;
  if (javascript) engine_->read_flow(static_cast<uint32_t>(id));
  model_.opened(one, static_cast<uint32_t>(id), options, javascript);
}

void Script::close() {
  Connection& one = connection();
  engine_->close_flow(one.id);
  model_.closed(one);
}

void Script::splice_udp() {
  Connection& one = connection();
  const uint8_t what = input_.byte();
  std::vector<Datagram> first;
  for (size_t left = what % 4; left > 0; --left) first.push_back(stamped(length()));
  const bool nobody = what == 0xff;
  const auto& backend = host_.backends[nobody ? kNobody : model_.index_of(one)];
  const char* syscall = "";
  if (engine_->splice_udp(one.id, backend.endpoint(), first, syscall) != 0) return;
  if (nobody)
    model_.spliced_to_nobody(one);
  else
    model_.spliced_to_backend(one, first);
}

void Script::splice_application() {
  Connection& one = connection();
  if (model_.peers.empty()) return;
  const auto& peer = model_.peers[input_.byte() % model_.peers.size()];
  if (engine_->splice_application(one.id, peer.id) == 0) model_.spliced_to_peer(one, peer);
}

void Script::forget_application() {
  const auto& peers = model_.peers;
  engine_->forget_application(peers.empty() ? input_.value<uint32_t>() : peers[input_.byte() % peers.size()].id);
}

void Script::send_control() {
  const Connection& one = connection();
  static constexpr uint8_t kFlags[] = {kAck, kAck | kFin, kRst, kRst | kAck};
  const uint8_t flags = kFlags[input_.byte() % std::size(kFlags)];
  engine_->send_control(one.id, flags, input_.flag() ? number(one.receive_next) : int64_t{-1});
}

void Script::send_datagrams() {
  Connection& one = connection();
  std::vector<Datagram> datagrams;
  for (size_t left = input_.byte() % 8; left > 0; --left) {
    datagrams.push_back(stamped(length()));
    model_.javascript_sends(one, datagrams.back());
  }
  engine_->send_datagrams(one.id, std::move(datagrams));
}

void Script::send_segment() {
  const Connection& one = connection();
  const size_t through = worker();
  static constexpr uint8_t kFlags[] = {kAck, kSyn, kRst};
  const uint8_t flags = kFlags[input_.byte() % std::size(kFlags)];
  std::vector<uint8_t> options(input_.byte() % 11 * 4);
  const auto seq = input_.value<uint32_t>(), ack = input_.value<uint32_t>();
  engine_->send_segment(through, one.tuple, {}, seq, ack, flags, std::move(options));
}

void Script::listen() {
  if (input_.flag())
    engine_->listen({{}, kPort}, {kSynAckOptions, kSynAckOptions, {}, kSynAckOptions, kSynAckOptions});
  else
    engine_->unlisten({{}, kPort});
}

void Script::set_path_limit() {
  const Connection& one = connection();
  PathLimit limit;
  limit.payload = 8 + input_.value<uint16_t>() % 2000u;
  const uint8_t what = input_.byte();
  limit.fragments = what & 1 && one.tuple.remote.address.is_v4();
  if (what & 2) limit.watched = input_.value<uint16_t>() % 2000u;
  engine_->set_path_limit(one.id, limit);
  if (what & 4) engine_->watch_sending(one.id);
}

void Script::send_probe() {
  const Connection& one = connection();
  Probe probe{.token = input_.value<uint32_t>()};
  probe.size = static_cast<uint16_t>(Note::kSize + input_.value<uint16_t>() % 1600u);
  const uint8_t what = input_.byte();
  probe.pair = what & 1;
  probe.fragment = !probe.pair && one.tuple.remote.address.is_v4() && what & 2;
  probe.span = static_cast<uint16_t>((probe.pair ? 2 : 1) * probe.size + input_.byte());
  engine_->send_probe(one.id, probe);
}

void Script::put_note() {
  const Connection& one = connection();
  const size_t through = worker();
  std::vector<uint8_t> payload(Note::kSize + input_.value<uint16_t>() % 1600u);
  const uint8_t what = input_.byte();
  write_note(payload.data(),
             {.type = what & 4 ? Note::Type::kEmpty : static_cast<Note::Type>(1 + (what & 1)),
              .size = input_.value<uint16_t>(),
              .token = input_.value<uint32_t>()},
             ++stamp_);
  // Now and then in the place of data, where it is some.
  const uint32_t seq = what & 2 ? number(one.receive_next) : one.receive_next - static_cast<uint32_t>(payload.size());
  const uint32_t ack = number(static_cast<uint32_t>(counters_->flow(one.id).peer_ack));
  put_from_peer(through, one, seq, ack, payload);
}

void Script::put_icmp_error() {
  const Connection& one = connection();
  const size_t through = worker();
  const bool v4 = one.tuple.remote.address.is_v4();
  const uint8_t what = input_.byte();
  const uint32_t seq = number(static_cast<uint32_t>(counters_->flow(one.id).peer_ack));
  const SegmentHeader header(one.tuple);
  std::vector<uint8_t> quoted(header.size());
  header.write(quoted.data(), seq, 1, kAck, {}, 1000);
  const IcmpHead head =
      what & 1 ? IcmpHead::too_big(v4, input_.value<uint16_t>()) : IcmpHead::unreachable(v4, what >> 4);
  put(through, {}, icmp_error(one.tuple.remote.address, one.tuple.local.address, head, quoted));
}

void Script::put_from_peer(size_t worker, const Connection& one, uint32_t seq, uint32_t ack,
                           std::span<const uint8_t> payload) {
  const SegmentHeader header({one.tuple.remote, one.tuple.local});
  std::vector<uint8_t> packet(header.size());
  header.write(packet.data(), seq, ack, kAck, {}, payload.size());
  packet.insert(packet.end(), payload.begin(), payload.end());
  ChecksumSum sum;
  sum.add(packet.data() + header.ip_size(), packet.size() - header.ip_size());
  const uint16_t checksum = sum.checksum();
  std::memcpy(packet.data() + header.ip_size() + tcp::kChecksum, &checksum, sizeof checksum);
  put(worker, {}, packet);
}

void Script::put_segment() {
  Connection& one = connection();
  const size_t through = worker();
  enum : uint8_t { kFlags = 1, kEmpty = 2, kOptions = 4, kOffloaded = 8, kDamaged = 16 };
  const uint8_t how = input_.byte();
  const uint8_t flags = how & kFlags ? input_.byte() : kAck;
  const uint32_t seq = number(one.receive_next);
  const uint32_t ack = number(one.id == 0 ? one.cookie + 1 : static_cast<uint32_t>(counters_->flow(one.id).send_next));
  const SegmentHeader header({one.tuple.remote, one.tuple.local});
  const size_t size = how & kEmpty ? 0 : std::min(length(), kMaxPacket - header.size() - 40);
  std::vector<uint8_t> options(how & kOptions ? input_.byte() % 11 * 4 : 0);
  std::ranges::copy(input_.bytes(options.size()), options.begin());
  VirtioNetHeader offload;
  size_t segment_size = SIZE_MAX;
  if (how & kOffloaded) {
    offload.flags = input_.byte();
    offload.gso_type = input_.byte();
    // A few hundred datagrams at most: more overflow the buffer of a socket.
    segment_size = std::max(length() + 1, size / 256 + 1);
    offload.gso_size = static_cast<uint16_t>(segment_size);
  }

  std::vector<uint8_t> packet(header.size() + options.size());
  header.write(packet.data(), seq, ack, flags, options, size);
  const std::vector<uint8_t> payload = stamped(size, segment_size);
  packet.insert(packet.end(), payload.begin(), payload.end());
  uint8_t* tcp = packet.data() + header.ip_size();
  ChecksumSum sum;
  sum.add(tcp, packet.size() - header.ip_size());
  const uint16_t checksum = sum.checksum();
  std::memcpy(tcp + 16, &checksum, sizeof checksum);
  for (size_t left = how & kDamaged ? input_.byte() % 4 : 0; left > 0; --left) {
    const size_t at = input_.value<uint16_t>() % packet.size();
    packet[at] ^= input_.byte();
  }
  put(through, offload, packet);
  if (seq == one.receive_next) one.receive_next += static_cast<uint32_t>(size);
}

void Script::put_garbage() {
  const size_t through = worker();
  const auto offload = input_.value<VirtioNetHeader>();
  const size_t size = input_.byte();
  put(through, offload, input_.bytes(size));
}

void Script::put(size_t worker, VirtioNetHeader offload, std::span<const uint8_t> packet) {
  iovec vectors[] = {{&offload, sizeof offload}, {const_cast<uint8_t*>(packet.data()), packet.size()}};
  const int skipped = virtio_header_ ? 0 : 1;
  if (::writev(wires_[worker].get(), vectors + skipped, 2 - skipped) < 0) return;
  SegmentView segment;
  if (parse_segment(packet, virtio_header_ ? &offload : nullptr, segment) != ParseError::kNone) return;
  model_.peer_sends(segment, worker);
}

void Script::application_sends() {
  const size_t index = input_.byte() % FlowModel::kApplications;
  const size_t segment_size = std::max<size_t>(length(), 1);
  const size_t size = std::min(segment_size * (input_.byte() % 65), UdpSocket::kMaxBytes);
  const std::vector<uint8_t> bytes = stamped(size, segment_size);
  if (!host_.applications[index].send(listening_, bytes, segment_size)) return;
  each_datagram(bytes, segment_size, [&](auto one) { model_.application_sends(index, one); });
}

void Script::backend_replies() {
  const Connection& one = connection();
  const std::vector<uint8_t> bytes = stamped(length());
  if (one.udp_port == 0) return;
  if (host_.backends[model_.index_of(one)].send(one.udp_port, bytes, bytes.size())) model_.backend_sends(one, bytes);
}

// Rarely.
void Script::close_device() {
  if (input_.byte() != 0xff) return;
  UniqueFd& wire = wires_[worker()];
  descriptors_ -= wire.get() >= 0;
  wire = UniqueFd();
}

void Script::turn() {
  const uint8_t what = input_.byte();
  engine_->turn(what % workers_);
  drain();
  if (what & 0x80) take_events();
}

void Script::settle() {
  for (bool busy = true; busy;) {
    busy = false;
    for (size_t worker = 0; worker < workers_; ++worker) busy |= engine_->turn(worker) > 0;
    drain();
    take_events();
  }
  model_.settled();
}

void Script::drain() {
  for (size_t worker = 0; worker < workers_; ++worker) drain_device(worker);
  uint16_t from = 0;
  for (Connection& one : model_.connections) {
    LoopbackSocket& backend = host_.backends[model_.index_of(one)];
    for (auto bytes = backend.receive(from); bytes.data(); bytes = backend.receive(from)) {
      model_.at_backend(one, bytes, from);
    }
  }
  for (size_t index = 0; index < FlowModel::kApplications; ++index) {
    LoopbackSocket& application = host_.applications[index];
    for (auto bytes = application.receive(from); bytes.data(); bytes = application.receive(from)) {
      model_.at_application(index, bytes);
    }
  }
}

void Script::drain_device(size_t worker) {
  static std::array<uint8_t, sizeof(VirtioNetHeader) + kMaxPacket> buffer;
  for (;;) {
    const ssize_t got = ::recv(wires_[worker].get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) return;
    auto packet = std::span<const uint8_t>(buffer).first(static_cast<size_t>(got));
    VirtioNetHeader offload;
    if (virtio_header_) {
      REQUIRE(packet.size() > sizeof offload);
      std::memcpy(&offload, packet.data(), sizeof offload);
      packet = packet.subspan(sizeof offload);
    }
    // Fragments of a segment leave one behind the other.
    if (packet[0] >> 4 == 4 && read16(&packet[ipv4::kFragment]) & ipv4::kMoreOrOffset) {
      const auto fragment = parse_fragment(packet);
      REQUIRE(fragment.has_value() && offload.flags == 0);
      packet = reassembly_[worker].take(*fragment, 0);
      if (packet.empty()) continue;
      offload.flags = 0;
    }
    SegmentView segment;
    REQUIRE(parse_segment(packet, virtio_header_ ? &offload : nullptr, segment) == ParseError::kNone);
    model_.at_peer(segment, worker);
    reassembly_[worker].release();
  }
}

void Script::take_events() {
  for (size_t worker = 0; worker < workers_; ++worker) {
    const auto& queue = engine_->events(worker);
    EventQueue::Swapped swapped;
    do {
      swapped = queue->swap();
      REQUIRE(swapped.size <= queue->memory_size() / 2);
      take_events(worker, {queue->memory() + swapped.offset, swapped.size});
    } while (swapped.more);
  }
}

void Script::take_events(size_t worker, std::span<const uint8_t> records) {
  EventRecord record;
  for (; !records.empty(); records = records.subspan(record.size)) {
    REQUIRE(records.size() >= sizeof record);
    std::memcpy(&record, records.data(), sizeof record);
    const size_t needed = sizeof record + record.options_size + record.payload_size;
    REQUIRE(record.size % 8 == 0 && record.size >= needed && record.size < needed + 8);
    REQUIRE(record.size <= records.size());
    REQUIRE(record.options_size % 4 == 0 && record.options_size <= 40 && record.worker == worker);
    if (record.type == EventType::kApplication) {
      const Tuple tuple = FlowModel::tuple_of(record);
      const auto sender = std::ranges::find(host_.applications, tuple.remote, &LoopbackSocket::endpoint);
      REQUIRE(sender != host_.applications.end());
      REQUIRE(tuple.local == LoopbackSocket::loopback(host_.family, listening_));
      model_.peers.push_back({record.id, static_cast<size_t>(sender - host_.applications.begin())});
    } else if (record.type != EventType::kDeviceGone) {
      model_.at_javascript(record, records.subspan(sizeof record + record.options_size, record.payload_size));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Host v4(AF_INET), v6(LoopbackSocket::available(AF_INET6) ? AF_INET6 : AF_INET);
  (void)::signal(SIGPIPE, SIG_IGN);  // as Node does
  const size_t before = open_descriptors();
  Script(size > 0 && data[0] & 0x80 ? v6 : v4, data, size).run();
  REQUIRE(open_descriptors() == before);
  return 0;
}

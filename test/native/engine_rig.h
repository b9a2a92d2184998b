// An engine without root: each device is a socketpair whose other end the test holds. No thread runs unless the test
// starts them.
#pragma once

#include <dirent.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <vector>

#include "../support/policy.h"
#include "../support/require.h"
#include "io/descriptor_device.h"
#include "plane/engine.h"
#include "wire/checksum.h"

struct EngineRig {
  using Bytes = std::vector<uint8_t>;
  struct Event {
    guise::EventRecord record;
    Bytes payload;
  };

  // `virtio_header`: the devices have a VirtioNetHeader in front of each packet.
  explicit EngineRig(uint32_t max_flows = 8, size_t workers = 1, const guise::Policy& policy = test_policy(),
                     bool virtio_header = false) {
    guise::Engine::Options options;
    options.max_flows = max_flows;
    options.policy = policy;
    for (size_t i = 0; i < workers; ++i) {
      int fds[2];
      REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
      options.devices.push_back(device(fds[0], virtio_header));
      wires.emplace_back(fds[1]);
    }
    options.wake = {[](void*) {}, nullptr};
    const char* syscall = "";
    REQUIRE(guise::Engine::create(std::move(options), engine, syscall) == 0);
  }

  // A device that carries one packet a message, and cuts none.
  static std::unique_ptr<guise::PacketDevice> device(int fd, bool virtio_header = false) {
    const guise::Policy policy = test_policy();
    const guise::BatchLimits limits{policy.device_batch_packets, policy.device_batch_bytes};
    return std::make_unique<guise::DescriptorDevice>(guise::UniqueFd(fd), virtio_header, false, limits);
  }

  // 192.168.201.2:443 and a peer's port.
  static guise::Tuple tuple(uint16_t port) {
    constexpr uint8_t kHere[] = {192, 168, 201, 2}, kThere[] = {203, 0, 113, 7};
    return {{guise::Address::from_v4(kHere), 443}, {guise::Address::from_v4(kThere), port}};
  }

  // An established flow; both sides' next number is 1. 0 when there are too many.
  uint32_t open(uint16_t port, bool javascript = false, size_t worker = 0) {
    guise::Flow::Options options;
    options.tuple = tuple(port);
    options.owner = static_cast<uint16_t>(worker);
    options.send_next = options.receive_next = 1;
    options.max_payload = 1460;
    const int id = engine->open_flow(options);
    if (id < 0) return 0;
    if (javascript) engine->read_flow(static_cast<uint32_t>(id));
    return static_cast<uint32_t>(id);
  }

  // A UDP port of the loopback that is listened on.
  uint16_t listen_udp(int family = AF_INET) {
    const char* syscall = "";
    const int listener = engine->listen_udp(LoopbackSocket::loopback(family, 0), syscall);
    return listener < 0 ? 0 : engine->udp_port(static_cast<uint32_t>(listener));
  }

  [[nodiscard]] uint64_t dropped(guise::DropReason reason) const {
    return guise::read_counter(engine->counters()->engine().dropped[static_cast<size_t>(reason)]);
  }

  // Puts a segment of the peer's on the device.
  void put(uint16_t port, uint32_t seq, const Bytes& payload, size_t worker = 0, uint8_t flags = guise::kAck,
           uint32_t ack = 1) {
    REQUIRE(try_put(port, seq, payload, worker, flags, ack));
  }
  // False when the device has as many already as it takes.
  [[nodiscard]] bool try_put(uint16_t port, uint32_t seq, const Bytes& payload, size_t worker, uint8_t flags,
                             uint32_t ack = 1) {
    return try_put_packet(segment_of(port, seq, payload, flags, ack), worker);
  }
  void put_packet(const Bytes& packet, size_t worker = 0) { REQUIRE(try_put_packet(packet, worker)); }
  [[nodiscard]] bool try_put_packet(const Bytes& packet, size_t worker) {
    return ::send(wires[worker].get(), packet.data(), packet.size(), 0) >= 0;
  }

  // The next packet that came out of a device; empty when there is none.
  [[nodiscard]] Bytes next_packet(size_t worker = 0) {
    Bytes packet(sizeof(guise::VirtioNetHeader) + guise::kMaxPacket);
    const ssize_t got = ::recv(wires[worker].get(), packet.data(), packet.size(), 0);
    packet.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return packet;
  }

  // A segment of the peer's, whole.
  static Bytes segment_of(uint16_t port, uint32_t seq, const Bytes& payload, uint8_t flags, uint32_t ack) {
    const guise::Tuple ours = tuple(port);
    const guise::SegmentHeader header({ours.remote, ours.local});
    Bytes packet(header.size() + payload.size());
    header.write(packet.data(), seq, ack, flags, {}, payload.size());
    if (!payload.empty()) std::memcpy(packet.data() + header.size(), payload.data(), payload.size());
    guise::ChecksumSum sum;
    sum.add(packet.data() + header.ip_size(), packet.size() - header.ip_size());
    const uint16_t checksum = sum.checksum();
    std::memcpy(packet.data() + header.ip_size() + 16, &checksum, sizeof checksum);
    return packet;
  }

  // Without threads: serves all that is ready.
  void settle() {
    for (bool busy = true; busy;) {
      busy = false;
      for (size_t worker = 0; worker < wires.size(); ++worker) busy |= engine->turn(worker) > 0;
    }
  }

  std::vector<Event> events(size_t worker = 0) {
    const auto& queue = engine->events(worker);
    std::vector<Event> all;
    for (bool more = true; more;) {
      const auto swapped = queue->swap();
      more = swapped.more;
      for (size_t at = swapped.offset; at < swapped.offset + swapped.size; at += all.back().record.size) {
        Event event;
        std::memcpy(&event.record, queue->memory() + at, sizeof event.record);
        const uint8_t* payload = queue->memory() + at + sizeof event.record + event.record.options_size;
        event.payload.assign(payload, payload + event.record.payload_size);
        all.push_back(std::move(event));
      }
    }
    return all;
  }

  // How many events are of a type, and of a flow unless `id` is 0.
  static size_t count_of(const std::vector<Event>& events, guise::EventType type, uint32_t id = 0) {
    return static_cast<size_t>(std::ranges::count_if(
        events, [=](const auto& event) { return event.record.type == type && (id == 0 || event.record.id == id); }));
  }

  std::vector<guise::UniqueFd> wires;  // by worker
  std::unique_ptr<guise::Engine> engine;
};

// Descriptors that this process has open.
inline size_t open_descriptors() {
  DIR* directory = ::opendir("/proc/self/fd");
  REQUIRE(directory);
  size_t count = 0;
  while (::readdir(directory)) ++count;
  ::closedir(directory);
  return count;
}

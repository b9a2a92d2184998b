#include "io/receive_ring.h"

#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace guise {
namespace {

// The kernel takes the ring in blocks, and no frame lies in two. It asks for each at once and falls back to pages.
constexpr uint32_t kBlock = 1 << 20;

int set(int fd, int option, const void* value, socklen_t size) {
  return ::setsockopt(fd, SOL_PACKET, option, value, size) < 0 ? -errno : 0;
}

int set(int fd, int option, int value) { return set(fd, option, &value, sizeof value); }

}  // namespace

ReceiveRing& ReceiveRing::operator=(ReceiveRing&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  std::swap(frame_size_, other.frame_size_);
  std::swap(frames_, other.frames_);
  std::swap(frames_in_block_, other.frames_in_block_);
  std::swap(head_, other.head_);
  std::swap(taken_, other.taken_);
  return *this;
}

ReceiveRing::~ReceiveRing() {
  if (memory_) ::munmap(memory_, size_);
}

int ReceiveRing::create(UniqueFd fd, const Shape& shape, ReceiveRing& out, const char*& syscall) {
  ReceiveRing ring;
  ring.fd_ = std::move(fd);
  const int socket = ring.fd();
  syscall = "PACKET_VERSION";
  if (const int error = set(socket, PACKET_VERSION, TPACKET_V2)) return error;
  syscall = "PACKET_VNET_HDR";
  if (const int error = set(socket, PACKET_VNET_HDR, 1)) return error;
  const uint32_t in_block = kBlock / shape.frame_size;
  const uint32_t blocks = (shape.frames + in_block - 1) / in_block;
  tpacket_req request{};
  request.tp_block_size = kBlock;
  request.tp_block_nr = blocks;
  request.tp_frame_size = shape.frame_size;
  request.tp_frame_nr = blocks * in_block;
  syscall = "PACKET_RX_RING";
  if (const int error = set(socket, PACKET_RX_RING, &request, sizeof request)) return error;
  ring.size_ = size_t{kBlock} * blocks;
  syscall = "mmap";
  void* memory = ::mmap(nullptr, ring.size_, PROT_READ | PROT_WRITE, MAP_SHARED, socket, 0);
  if (memory == MAP_FAILED) return -errno;
  ring.memory_ = static_cast<uint8_t*>(memory);
  ring.frame_size_ = shape.frame_size;
  ring.frames_ = request.tp_frame_nr;
  ring.frames_in_block_ = in_block;
  out = std::move(ring);
  return 0;
}

int ReceiveRing::bind(uint16_t protocol, const char*& syscall) const {
  sockaddr_ll all{};
  all.sll_family = AF_PACKET;
  all.sll_protocol = htons(protocol);
  syscall = "bind";
  return ::bind(fd(), reinterpret_cast<const sockaddr*>(&all), sizeof all) < 0 ? -errno : 0;
}

uint8_t* ReceiveRing::frame(uint32_t number) const {
  return memory_ + size_t{number / frames_in_block_} * kBlock + size_t{number % frames_in_block_} * frame_size_;
}

std::atomic_ref<uint32_t> ReceiveRing::status(uint32_t number) const {
  return std::atomic_ref(reinterpret_cast<tpacket2_hdr*>(frame(number))->tp_status);
}

uint64_t ReceiveRing::time() const {
  const auto* header = reinterpret_cast<const tpacket2_hdr*>(frame(head_));
  return uint64_t{header->tp_sec} * 1'000'000'000 + header->tp_nsec;
}

ReceiveRing::Frame ReceiveRing::take() {
  const uint8_t* at = frame(head_);
  const auto& header = *reinterpret_cast<const tpacket2_hdr*>(at);
  const uint32_t link_size = header.tp_net - header.tp_mac;
  Frame taken{
      .packet = {at + header.tp_net, header.tp_snaplen - std::min(link_size, header.tp_snaplen)},
      .link_header = at + header.tp_mac,
      .link_header_size = link_size,
      .address = reinterpret_cast<const sockaddr_ll*>(at + TPACKET_ALIGN(sizeof header)),
      .offload = {},
      .losing = (header.tp_status & TP_STATUS_LOSING) != 0,
  };
  std::memcpy(&taken.offload, at + header.tp_mac - sizeof(VirtioNetHeader), sizeof(VirtioNetHeader));
  head_ = head_ + 1 == frames_ ? 0 : head_ + 1;
  ++taken_;
  return taken;
}

void ReceiveRing::release() {
  for (uint32_t at = (head_ + frames_ - taken_) % frames_; taken_ > 0; --taken_) {
    status(at).store(TP_STATUS_KERNEL, std::memory_order_release);
    at = at + 1 == frames_ ? 0 : at + 1;
  }
}

uint64_t ReceiveRing::overruns() const {
  tpacket_stats statistics{};
  socklen_t size = sizeof statistics;
  const int error = ::getsockopt(fd(), SOL_PACKET, PACKET_STATISTICS, &statistics, &size);
  return error < 0 ? 0 : statistics.tp_drops;
}

}  // namespace guise

// Floods a TCP port with single segments of strangers. Needs a raw socket, on a host that lies on the path.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "socket.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

namespace traffic {

struct FloodPlan {
  sockaddr_in to{};
  uint8_t flags = 0;         // of TCP
  uint32_t source = 0;       // in network order; 0: a random one of 10.64.0.0/10, four million, for each segment
  uint16_t source_port = 0;  // 0: random
  double seconds = 1;
  uint64_t rate = 0;  // segments a second, 0: flat out
};

class Flood {
 public:
  explicit Flood(const FloodPlan& plan) : plan_(plan), fd_(::socket(AF_INET, SOCK_RAW, IPPROTO_RAW)) {
    if (fd_ < 0) fail("a flood needs a raw socket: run it as root");
    for (size_t i = 0; i < kBatch; ++i) {
      vectors_[i] = {packets_[i].data(), kSize};
      messages_[i].msg_hdr = {&plan_.to, sizeof plan_.to, &vectors_[i], 1, nullptr, 0, 0};
    }
  }

  // Returns the segments sent.
  uint64_t run(const std::atomic<bool>& stop) {
    uint64_t sent = 0;
    const uint64_t begin = now_ns(), end = begin + static_cast<uint64_t>(plan_.seconds * 1e9);
    for (uint64_t now = begin; now < end && !stop; now = now_ns()) {
      if (plan_.rate > 0 && static_cast<double>(now - begin) * 1e-9 * static_cast<double>(plan_.rate) <
                                static_cast<double>(sent + kBatch)) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        continue;
      }
      for (auto& packet : packets_) write(packet.data());
      const int done = ::sendmmsg(fd_, messages_.data(), kBatch, 0);
      if (done > 0) sent += static_cast<uint64_t>(done);
    }
    return sent;
  }

 private:
  static constexpr size_t kBatch = 64, kSize = 40;

  void write(uint8_t* packet) {
    const uint64_t dice = random_(), numbers = random_();
    const uint32_t source = plan_.source ? plan_.source : htonl(0x0a400000u | (dice & 0x3fffff));
    const auto port = plan_.source_port ? plan_.source_port : static_cast<uint16_t>(1024 + (dice >> 32) % 64000);
    std::memset(packet, 0, kSize);
    packet[0] = 0x45;
    guise::write16(packet + 2, kSize);
    packet[8] = 64;
    packet[9] = IPPROTO_TCP;
    std::memcpy(packet + 12, &source, 4);
    std::memcpy(packet + 16, &plan_.to.sin_addr, 4);
    uint8_t* tcp = packet + 20;
    guise::write16(tcp, port);
    guise::write16(tcp + 2, ntohs(plan_.to.sin_port));
    guise::write32(tcp + 4, static_cast<uint32_t>(numbers));
    guise::write32(tcp + 8, static_cast<uint32_t>(numbers >> 32));
    tcp[12] = 0x50;
    tcp[13] = plan_.flags;
    guise::write16(tcp + 14, 0xffff);
    guise::ChecksumSum sum;
    sum.add(packet + 12, 8);
    sum.add_word(htons(IPPROTO_TCP));
    sum.add_word(htons(20));
    sum.add(tcp, 20);
    const uint16_t checksum = sum.checksum();
    std::memcpy(tcp + 16, &checksum, 2);
  }

  FloodPlan plan_;
  int fd_;
  std::mt19937_64 random_{std::random_device{}()};
  std::array<std::array<uint8_t, kSize>, kBatch> packets_;
  std::array<iovec, kBatch> vectors_;
  std::array<mmsghdr, kBatch> messages_{};
};

}  // namespace traffic

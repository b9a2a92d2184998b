// Sends numbered datagrams, plain in batches of sendmmsg or as UDP_SEGMENT super-datagrams.
#pragma once

#include <algorithm>
#include <thread>
#include <vector>

#include "datagram.h"
#include "socket.h"

namespace traffic {

struct SendPlan {
  uint64_t count = UINT64_MAX;
  double seconds = 0;  // 0: by count
  uint64_t rate = 0;   // datagrams a second, 0: flat out
  size_t least = 1400, most = 1400;
  bool gso = false;
  bool verify = true;
};

struct Sent {
  uint64_t datagrams = 0, bytes = 0;
  double seconds = 0;
};

inline Sent send_all(int fd, const SendPlan& plan) {
  constexpr size_t kBatch = 64;
  const size_t batch = plan.gso ? std::min<size_t>(kBatch, 65507 / plan.most) : kBatch;
  std::vector<uint8_t> buffer(kBatch * 65536);
  std::vector<iovec> vectors(kBatch);
  std::vector<mmsghdr> messages(kBatch);
  for (size_t i = 0; i < kBatch; ++i) {
    messages[i].msg_hdr = {};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  if (plan.gso) {
    const int size = static_cast<int>(plan.most);
    if (::setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof size) < 0) fail("this kernel has no UDP_SEGMENT");
  }
  Sent sent;
  const uint64_t begin = now_ns();
  const uint64_t end = plan.seconds > 0 ? begin + static_cast<uint64_t>(plan.seconds * 1e9) : UINT64_MAX;
  while (sent.datagrams < plan.count) {
    const uint64_t now = now_ns();
    if (now >= end) break;
    size_t burst = std::min<uint64_t>(batch, plan.count - sent.datagrams);
    if (plan.rate > 0) {
      const auto due = static_cast<uint64_t>(static_cast<double>(now - begin) * 1e-9 * static_cast<double>(plan.rate));
      if (due <= sent.datagrams) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        continue;
      }
      burst = std::min<size_t>(burst, due - sent.datagrams);
    }
    size_t offset = 0;
    for (size_t i = 0; i < burst; ++i) {
      const uint64_t sequence = sent.datagrams + i;
      const size_t size = plan.gso ? plan.most : size_of(sequence, plan.least, plan.most);
      write_datagram(&buffer[offset], size, sequence, now, plan.verify);
      vectors[i] = {&buffer[offset], size};
      offset += size;
    }
    if (plan.gso) {
      vectors[0].iov_len = offset;
      while (::sendmsg(fd, &messages[0].msg_hdr, 0) < 0) {
        if (errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED && errno != EINTR) {
          fail(std::string("send: ") + std::strerror(errno));
        }
      }
    } else {
      for (size_t done = 0; done < burst;) {
        const int result = ::sendmmsg(fd, &messages[done], static_cast<unsigned>(burst - done), 0);
        if (result > 0) done += static_cast<size_t>(result);
        else if (errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED && errno != EINTR) {
          fail(std::string("send: ") + std::strerror(errno));
        }
      }
    }
    sent.datagrams += burst;
    sent.bytes += offset;
  }
  sent.seconds = static_cast<double>(now_ns() - begin) * 1e-9;
  return sent;
}

}  // namespace traffic

// UDP sockets on the loopback for the data plane to talk to: applications, backends, and a port where nobody listens.
#pragma once

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <span>

#include "../../native/packet/tuple.h"
#include "../../native/unique_fd.h"
#include "require.h"

class LoopbackSocket {
 public:
  LoopbackSocket() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = to_sockaddr(0);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    const int buffer = 16 << 20;
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  }

  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] guise::Endpoint endpoint() const { return loopback(port_); }

  static guise::Endpoint loopback(uint16_t port) {
    constexpr uint8_t kAddress[] = {127, 0, 0, 1};
    return {guise::Address::from_v4(kAddress), port};
  }

  // From now on it hears itself only: whoever else sends to it is refused, as by a port where nobody listens.
  void refuse() {
    const sockaddr_in address = to_sockaddr(port_);
    REQUIRE(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }

  // Sends `bytes`, cut every `segment_size`, which makes 64 datagrams at most. False when the kernel refuses.
  [[nodiscard]] bool send(uint16_t port, std::span<const uint8_t> bytes, size_t segment_size) {
    sockaddr_in address = to_sockaddr(port);
    iovec vector{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))]{};
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    if (segment_size < bytes.size()) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      auto* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_UDP;
      header->cmsg_type = UDP_SEGMENT;
      header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const auto size = static_cast<uint16_t>(segment_size);
      std::memcpy(CMSG_DATA(header), &size, sizeof size);
    }
    return ::sendmsg(fd_.get(), &message, 0) >= 0;
  }

  // The next datagram, or null data; `from` is the port that it came from. Valid until the next call.
  std::span<const uint8_t> receive(uint16_t& from) {
    sockaddr_in address;
    socklen_t size = sizeof address;
    const ssize_t got = ::recvfrom(fd_.get(), buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(&address), &size);
    if (got < 0) return {};
    from = ntohs(address.sin_port);
    return {buffer_.data(), static_cast<size_t>(got)};
  }

 private:
  static sockaddr_in to_sockaddr(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  guise::UniqueFd fd_;
  uint16_t port_ = 0;
  static inline std::array<uint8_t, 65536> buffer_;
};

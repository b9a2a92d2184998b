// UDP sockets on the loopback for the data plane to talk to: applications, backends, and a port where nobody listens.
#pragma once

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <span>

#include "io/unique_fd.h"
#include "require.h"
#include "wire/tuple.h"

class LoopbackSocket {
 public:
  explicit LoopbackSocket(int family = AF_INET)
      : fd_(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), family_(family) {
    Address address = to_address(0);
    REQUIRE(::bind(fd_.get(), &address.any, sizeof address) == 0);
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(fd_.get(), &address.any, &size) == 0);
    port_ = ntohs(address.v4.sin_port);
    const int buffer = 16 << 20;
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  }

  [[nodiscard]] guise::Endpoint endpoint() const { return loopback(family_, port_); }

  // Whether this host has the family's loopback.
  static bool available(int family) {
    const guise::UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const Address address = to_address(family, 0);
    return ::bind(fd.get(), &address.any, sizeof address) == 0;
  }

  static guise::Endpoint loopback(int family, uint16_t port) {
    const auto address = to_address(family, port);
    if (family == AF_INET6) return {guise::Address::from_v6(address.v6.sin6_addr.s6_addr), port};
    return {guise::Address::from_v4(reinterpret_cast<const uint8_t*>(&address.v4.sin_addr)), port};
  }

  // From now on it hears itself only: whoever else sends to it is refused, as by a port where nobody listens.
  void refuse() {
    const Address address = to_address(port_);
    REQUIRE(::connect(fd_.get(), &address.any, sizeof address) == 0);
  }

  // Sends `bytes`, cut every `segment_size`, which makes 64 datagrams at most. False when the kernel refuses.
  [[nodiscard]] bool send(uint16_t port, std::span<const uint8_t> bytes, size_t segment_size) {
    Address address = to_address(port);
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

  // Sends one datagram to an IPv4 endpoint. False when the kernel refuses.
  [[nodiscard]] bool send_to(const guise::Endpoint& to, std::span<const uint8_t> bytes) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(to.port);
    std::memcpy(&address.sin_addr, to.address.v4(), 4);
    return ::sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof address) >=
           0;
  }

  // The next datagram, or null data; `from` is the port that it came from. Valid until the next call.
  std::span<const uint8_t> receive(uint16_t& from) {
    Address address;
    socklen_t size = sizeof address;
    const ssize_t got = ::recvfrom(fd_.get(), buffer_.data(), buffer_.size(), 0, &address.any, &size);
    if (got < 0) return {};
    from = ntohs(address.v4.sin_port);
    return {buffer_.data(), static_cast<size_t>(got)};
  }

 private:
  union Address {
    sockaddr_in6 v6;
    sockaddr_in v4;  // its port is where that of v6 is
    sockaddr any;
  };

  static Address to_address(int family, uint16_t port) {
    Address address{};
    address.any.sa_family = static_cast<sa_family_t>(family);
    address.v4.sin_port = htons(port);
    if (family == AF_INET6)
      address.v6.sin6_addr = in6addr_loopback;
    else
      address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  [[nodiscard]] Address to_address(uint16_t port) const { return to_address(family_, port); }

  guise::UniqueFd fd_;
  int family_;
  uint16_t port_ = 0;
  static inline std::array<uint8_t, 65536> buffer_;
};

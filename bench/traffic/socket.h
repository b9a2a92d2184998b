// UDP sockets and batches for the load generator.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace traffic {

[[noreturn]] inline void fail(const std::string& sentence) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, sentence.c_str());
  std::exit(1);
}

inline uint64_t now_ns() { return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()); }

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// IP:PORT or [IPv6]:PORT.
inline SocketAddress parse_address(const std::string& text) {
  SocketAddress result;
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) fail("\"" + text + "\" is not IP:PORT");
  std::string host = text.substr(0, colon);
  const auto port = static_cast<uint16_t>(std::atoi(text.c_str() + colon + 1));
  if (host.size() > 2 && host.front() == '[') {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(result.storage);
    host = host.substr(1, host.size() - 2);
    if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) fail("\"" + host + "\" is not an IPv6 address");
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    result.size = sizeof v6;
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(result.storage);
    if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) != 1) fail("\"" + host + "\" is not an IPv4 address");
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    result.size = sizeof v4;
  }
  return result;
}

inline int open_socket(int family) {
  const int fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(std::string("socket: ") + std::strerror(errno));
  const int size = 32 << 20;
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) {
    (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  }
  return fd;
}

inline void bind_socket(int fd, const SocketAddress& address) {
  if (::bind(fd, address.get(), address.size) < 0) fail(std::string("bind: ") + std::strerror(errno));
}

inline void connect_socket(int fd, const SocketAddress& address) {
  if (::connect(fd, address.get(), address.size) < 0) fail(std::string("connect: ") + std::strerror(errno));
}

inline void set_timeout(int fd, int milliseconds) {
  timeval timeout{milliseconds / 1000, milliseconds % 1000 * 1000};
  (void)::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

}  // namespace traffic

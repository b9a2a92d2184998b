// Endpoints as system calls take them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "wire/tuple.h"

namespace guise {

[[nodiscard]] inline int family_of(const Address& address) { return address.is_v4() ? AF_INET : AF_INET6; }

// `family` AF_INET6 takes IPv4 in its mapped form. Returns the size of what is written.
inline socklen_t to_sockaddr(const Endpoint& endpoint, int family, sockaddr_storage& out) {
  if (family == AF_INET) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.address.v4(), 4);
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  std::memcpy(&v6.sin6_addr, endpoint.address.bytes.data(), 16);
  return sizeof v6;
}

[[nodiscard]] inline Endpoint to_endpoint(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return {Address::from_v4(reinterpret_cast<const uint8_t*>(&v4.sin_addr)), ntohs(v4.sin_port)};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return {Address::from_v6(v6.sin6_addr.s6_addr), ntohs(v6.sin6_port)};
}

// The endpoint that a socket is bound to; a port of 0 when there is none.
[[nodiscard]] inline Endpoint local_endpoint(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  (void)::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  return to_endpoint(address);
}

}  // namespace guise

#include "host/held_port.h"

#include <netinet/tcp.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "io/segment_filter.h"
#include "io/socket_address.h"

namespace guise {
namespace {

// Of a packet that no router has passed on, sent with the highest TTL that there is. guise, phantun and Linux send 64.
constexpr int kMostHops = 255;

int set(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

// Of a family, segments without a signature are dropped, and nobody knows the key. Kernels that know no signatures
// refuse.
void ask_for_signatures(int fd, int family, const Address& of_family) {
  sockaddr_storage all{};
  (void)to_sockaddr({of_family, 0}, family, all);
  tcp_md5sig wanted{};
  std::memcpy(&wanted.tcpm_addr, &all, sizeof all);
  wanted.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;  // of 0 bits: whoever it is
  wanted.tcpm_keylen = 16;
  (void)!::getrandom(wanted.tcpm_key, wanted.tcpm_keylen, 0);
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &wanted, sizeof wanted);
}

}  // namespace

int hold_port(Endpoint& local, UniqueFd& out, const char*& syscall) {
  const int family = family_of(local.address);
  syscall = "socket";
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return -errno;
  if (family == AF_INET6) {
    syscall = "IPV6_V6ONLY";
    if (const int error = set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0)) return error;
    syscall = "IPV6_MINHOPCOUNT";
    if (const int error = set(fd.get(), IPPROTO_IPV6, IPV6_MINHOPCOUNT, kMostHops)) return error;
  }
  syscall = "IP_MINTTL";
  if (const int error = set(fd.get(), IPPROTO_IP, IP_MINTTL, kMostHops)) return error;
  if (attach_filter(fd.get(), closed_filter()) != 0) {
    constexpr uint8_t kAny4[4] = {};
    ask_for_signatures(fd.get(), family, Address::from_v4(kAny4));
    if (family == AF_INET6) ask_for_signatures(fd.get(), family, {});
  }
  sockaddr_storage address{};
  const socklen_t size = to_sockaddr(local, family, address);
  syscall = "listen";
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) < 0) return -errno;
  if (::listen(fd.get(), 1) < 0) return -errno;
  local.port = local_endpoint(fd.get()).port;
  out = std::move(fd);
  return 0;
}

}  // namespace guise

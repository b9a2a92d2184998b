#include "host/local_addresses.h"

#include <linux/if_addr.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "host/netlink.h"

namespace guise {

int LocalAddresses::create(std::unique_ptr<LocalAddresses>& out, const char*& syscall) {
  UniqueFd changes;
  if (const int error = open_netlink(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, changes, syscall)) return error;
  std::unique_ptr<LocalAddresses> made(new LocalAddresses(std::move(changes)));
  syscall = "RTM_GETADDR";
  if (const int error = read(made->addresses_)) return error;
  out = std::move(made);
  return 0;
}

bool LocalAddresses::refresh() {
  // What they say does not matter, nor whether some were lost (ENOBUFS): all are read again.
  std::array<uint8_t, 4096> change;
  while (::recv(fd(), change.data(), change.size(), MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR) {
  }
  Set now;
  if (read(now) != 0 || now == addresses_) return false;
  addresses_ = std::move(now);
  return true;
}

int LocalAddresses::read(Set& out) {
  NetlinkQuestion question(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
  return question.ask([&out](const NetlinkAnswer& answer) {
    if (answer.type() != RTM_NEWADDR) return;
    // IFA_LOCAL is the host's end of a point-to-point interface, where IFA_ADDRESS is the other; IPv6 has the latter
    // only.
    std::span<const uint8_t> bytes = answer.attribute(sizeof(ifaddrmsg), IFA_LOCAL);
    if (bytes.empty()) bytes = answer.attribute(sizeof(ifaddrmsg), IFA_ADDRESS);
    if (bytes.size() == 4) out.insert(Address::from_v4(bytes.data()));
    if (bytes.size() == 16) out.insert(Address::from_v6(bytes.data()));
  });
}

}  // namespace guise

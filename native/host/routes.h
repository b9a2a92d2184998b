// By which interface a segment leaves, and by which it has to whose route would lead it into the tunnel that it
// carries.
#pragma once

#include <net/if.h>

#include <string>

#include "io/route.h"
#include "wire/tuple.h"

namespace guise {

// wg-quick with `AllowedIPs = 0.0.0.0/0` leads everything into WireGuard's interface but what has a mark: a rule of the
// kind "not from all fwmark X lookup TABLE" stands in the rules. Where the route to `remote` leads to an interface of
// WireGuard or a TUN, and such a rule is there, this is the interface that the route of a packet with the mark X leads
// to; else 0. A mark itself would take a right; to choose an interface takes none.
[[nodiscard]] uint32_t interface_past_tunnels(const Address& remote);

// How the kernel would send to `remote`, where nothing but its routes matters. 0 or -errno.
[[nodiscard]] int host_route(const Endpoint& remote, Route& out);

// How packets leave for an address.
struct Departure {
  uint32_t interface = 0;
  std::string name;               // of the interface
  Address next_hop;               // a gateway, or the remote itself on its own network
  bool has_gateway = false;       // the next hop is a gateway
  bool neighbour_silent = false;  // the next hop does not answer who has its address (ARP, RFC 4861)
};

// As the routes say for packets with a mark (0 for none) by an interface (0 for any). 0, or -errno: ENETUNREACH,
// EHOSTUNREACH and the like where there is no route.
[[nodiscard]] int find_departure(const Address& remote, uint32_t mark, uint32_t interface, Departure& out);

}  // namespace guise

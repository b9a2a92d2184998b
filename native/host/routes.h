// By which interface a segment has to leave whose route would lead it into the tunnel that it carries.
#pragma once

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

}  // namespace guise

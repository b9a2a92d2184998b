// Takes system calls away from the whole running process, for good.
#pragma once

namespace guise {

// Sets no_new_privs, and has the kernel refuse (EPERM) to every thread, and to the programs that they start, the system
// calls that a tunnel and its tools never make. 0, or -errno: -ENOSYS on an architecture other than x86-64 and arm64.
[[nodiscard]] int filter_system_calls();

}  // namespace guise

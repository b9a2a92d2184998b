// Command lines of the load generators: `MODE --name value --switch`.
#pragma once

#include <map>
#include <string>

#include "socket.h"

namespace traffic {

using Flags = std::map<std::string, std::string>;

inline Flags parse(int argc, char** argv) {
  Flags flags;
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (name.rfind("--", 0) != 0) fail("unknown argument " + name);
    const bool has_value = i + 1 < argc && std::string(argv[i + 1]).rfind("--", 0) != 0;
    flags[name.substr(2)] = has_value ? argv[++i] : "";
  }
  return flags;
}

inline std::string get(const Flags& flags, const std::string& name, const std::string& otherwise) {
  const auto found = flags.find(name);
  return found == flags.end() ? otherwise : found->second;
}

}  // namespace traffic

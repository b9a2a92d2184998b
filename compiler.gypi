{
  # How all of our C++ is compiled. Warnings are errors where CXXFLAGS=-Werror says so, as .ci/run does: a compiler newer
  # than ours must not end an installation.
  "target_defaults": {
    "cflags_cc": ["-std=c++20", "-O2", "-g", "-Wall", "-Wextra"],
    "cflags_cc!": ["-std=gnu++17", "-fno-exceptions"]
  }
}

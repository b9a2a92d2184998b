{
  "target_defaults": {
    "include_dirs": ["native"],
    "cflags_cc": ["-std=c++20", "-O2", "-g", "-Wall", "-Wextra"],
    "cflags_cc!": ["-std=gnu++17", "-fno-exceptions"]
  },
  "targets": [
    {
      "target_name": "guise",
      "sources": [
        "native/binding/addon.cc",
        "native/binding/engine_object.cc",
        "native/binding/host_functions.cc",
        "native/binding/layout.cc",
        "native/binding/policy.cc",
        "native/host/ruleset_generation.cc",
        "native/io/packet_device.cc",
        "native/io/tun_device.cc",
        "native/io/udp_socket.cc",
        "native/plane/downlink.cc",
        "native/plane/engine.cc",
        "native/plane/passive_open.cc",
        "native/plane/uplink.cc",
        "native/plane/worker.cc",
        "native/process/privileges.cc",
        "native/process/system_call_filter.cc",
        "native/wire/segment.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_CPP_EXCEPTIONS"]
    },
    {
      "target_name": "test_support",
      "sources": ["test/support/socketpair.cc"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_CPP_EXCEPTIONS"]
    },
    {
      "target_name": "traffic",
      "type": "executable",
      "sources": ["bench/traffic/main.cc"],
      "cflags_cc": ["-pthread"],
      "ldflags": ["-pthread"]
    },
    {
      "target_name": "micro",
      "type": "executable",
      "sources": ["bench/micro/main.cc", "native/wire/segment.cc", "native/io/packet_device.cc"]
    }
  ]
}

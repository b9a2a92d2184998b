{
  "target_defaults": {
    "cflags_cc": ["-std=c++20", "-O2", "-g", "-Wall", "-Wextra", "-Wno-missing-field-initializers"],
    "cflags_cc!": ["-std=gnu++17", "-fno-exceptions"]
  },
  "targets": [
    {
      "target_name": "guise",
      "sources": [
        "native/addon.cc",
        "native/downlink.cc",
        "native/engine.cc",
        "native/packet/segment.cc",
        "native/packet_device.cc",
        "native/passive_open.cc",
        "native/host/privileges.cc",
        "native/host/ruleset_generation.cc",
        "native/host/system_call_filter.cc",
        "native/tun_device.cc",
        "native/udp_port.cc",
        "native/uplink.cc",
        "native/worker.cc"
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
      "sources": ["bench/micro/main.cc", "native/packet/segment.cc", "native/packet_device.cc"]
    }
  ]
}

{
  "includes": ["compiler.gypi"],
  "targets": [
    {
      "target_name": "guise",
      "sources": [
        "native/binding/addon.cc",
        "native/binding/engine_object.cc",
        "native/binding/host_functions.cc",
        "native/binding/layout.cc",
        "native/binding/policy.cc",
        "native/host/held_port.cc",
        "native/host/interface_state.cc",
        "native/host/local_addresses.cc",
        "native/host/netlink.cc",
        "native/host/routes.cc",
        "native/host/ruleset_generation.cc",
        "native/io/descriptor_device.cc",
        "native/io/link_device.cc",
        "native/io/packet_device.cc",
        "native/io/receive_ring.cc",
        "native/io/segment_filter.cc",
        "native/io/tun_device.cc",
        "native/io/udp_socket.cc",
        "native/plane/downlink.cc",
        "native/plane/engine.cc",
        "native/plane/passive_open.cc",
        "native/plane/uplink.cc",
        "native/plane/worker.cc",
        "native/process/output.cc",
        "native/process/privileges.cc",
        "native/process/system_call_filter.cc",
        "native/wire/icmp.cc",
        "native/wire/note.cc",
        "native/wire/reassembly.cc",
        "native/wire/segment.cc"
      ],
      "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_CPP_EXCEPTIONS"]
    }
  ]
}

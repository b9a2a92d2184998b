// gVisor's netstack on a TUN: a sink, a source and an echo for the netstack race (see bench/streams).
//
//	gvisor TUN ADDRESS [--no-offload]
package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	nic      = 1
	sinkPort = 7001 // the others follow
	mtu      = 1500
)

var services = []func(*connection){(*connection).sink, (*connection).source, (*connection).echo}

func main() {
	if len(os.Args) < 3 {
		fail("usage: gvisor TUN ADDRESS [--no-offload]")
	}
	offload := len(os.Args) == 3
	fd, err := openTun(os.Args[1], offload)
	if err != nil {
		fail(err)
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	tune(s)
	link, err := newLink(fd, offload)
	if err != nil {
		fail(err)
	}
	check(s.CreateNIC(nic, link))
	address := tcpip.AddrFromSlice(netip.MustParseAddr(os.Args[2]).AsSlice())
	check(s.AddProtocolAddress(nic, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: address.WithPrefix(),
	}, stack.AddressProperties{}))
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	for i, service := range services {
		listen(s, uint16(sinkPort+i), service)
	}
	fmt.Fprintln(os.Stderr, "ready")
	select {}
}

// As programs that care for throughput set it up: SACK, CUBIC, buffers that grow to 8 MiB.
func tune(s *stack.Stack) {
	sack := tcpip.TCPSACKEnabled(true)
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
	cubic := tcpip.CongestionControlOption("cubic")
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &cubic))
	grow := tcpip.TCPModerateReceiveBufferOption(true)
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &grow))
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: 1 << 20, Max: 8 << 20}
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive))
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: 1 << 20, Max: 8 << 20}
	check(s.SetTransportProtocolOption(tcp.ProtocolNumber, &send))
}

func listen(s *stack.Stack, port uint16, service func(*connection)) {
	var queue waiter.Queue
	listener, err := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	check(err)
	check(listener.Bind(tcpip.FullAddress{Port: port}))
	check(listener.Listen(4096))
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	queue.EventRegister(&entry)
	go func() {
		for {
			endpoint, queue, err := listener.Accept(nil)
			if _, wait := err.(*tcpip.ErrWouldBlock); wait {
				<-ready
				continue
			}
			check(err)
			endpoint.SocketOptions().SetDelayOption(false)
			c := &connection{endpoint: endpoint}
			entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
			queue.EventRegister(&entry)
			c.ready = ready
			go func() {
				service(c)
				queue.EventUnregister(&entry)
				endpoint.Close()
			}()
		}
	}()
}

type connection struct {
	endpoint tcpip.Endpoint
	ready    chan struct{}
	position uint64
}

// Everything that is there goes to `to`; false at the end of the stream, or when it is broken.
func (c *connection) read(to writer) (bool, tcpip.Error) {
	for {
		_, err := c.endpoint.Read(to, tcpip.ReadOptions{})
		if err == nil {
			return true, nil
		}
		if _, wait := err.(*tcpip.ErrWouldBlock); !wait {
			return false, err
		}
		<-c.ready
	}
}

func (c *connection) write(data []byte) bool {
	for len(data) > 0 {
		n, err := c.endpoint.Write(payload(data), tcpip.WriteOptions{})
		data = data[n:]
		if _, wait := err.(*tcpip.ErrWouldBlock); wait {
			<-c.ready
		} else if err != nil {
			return false
		}
	}
	return true
}

func (c *connection) sink() {
	judge := &judge{intact: true}
	for {
		more, err := c.read(judge)
		if more {
			continue
		}
		if _, ended := err.(*tcpip.ErrClosedForReceive); ended {
			c.write(binary.LittleEndian.AppendUint64(nil, judge.position))
		}
		return
	}
}

func (c *connection) source() {
	var request collector
	for len(request) < 8 {
		if more, _ := c.read(&request); !more {
			return
		}
	}
	wanted := binary.LittleEndian.Uint64(request)
	for position := uint64(0); position < wanted; {
		size := min(most, wanted-position)
		if !c.write(pattern[position%period:][:size]) {
			return
		}
		position += size
	}
}

func (c *connection) echo() {
	for {
		var data collector
		if more, _ := c.read(&data); !more || !c.write(data) {
			return
		}
	}
}

func check(err tcpip.Error) {
	if err != nil {
		fail(err)
	}
}

func fail(what any) {
	fmt.Fprintln(os.Stderr, "gvisor:", what)
	os.Exit(1)
}

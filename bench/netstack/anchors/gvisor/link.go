package main

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	virtioSize = 10
	needsCsum  = 1
	gsoTCPv4   = 1
	gsoMost    = 1<<16 - 1
)

// Opens a TUN, with virtio headers and super-segments both ways where they are wanted.
func openTun(name string, offload bool) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return -1, err
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if offload {
		flags |= unix.IFF_VNET_HDR
	}
	request.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return -1, err
	}
	if offload {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4)
	}
	return fd, err
}

// Without offload gVisor's own endpoint for descriptors; it has no virtio headers on a TUN, so with offload one of ours.
func newLink(fd int, offload bool) (stack.LinkEndpoint, error) {
	if !offload {
		return fdbased.New(&fdbased.Options{FDs: []int{fd}, MTU: mtu})
	}
	return &tunLink{fd: fd}, nil
}

// Reads and writes super-segments on a TUN.
type tunLink struct {
	fd         int
	dispatcher stack.NetworkDispatcher
}

func (l *tunLink) Attach(dispatcher stack.NetworkDispatcher) {
	l.dispatcher = dispatcher
	if dispatcher != nil {
		go l.readAll()
	}
}

func (l *tunLink) readAll() {
	packet := make([]byte, virtioSize+1<<16)
	polled := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Read(l.fd, packet)
		if err == unix.EAGAIN {
			unix.Poll(polled, -1)
			continue
		}
		if err != nil {
			fail(err)
		}
		buffer := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet[virtioSize:n])})
		buffer.RXChecksumValidated = true // by the kernel, or still to be made
		l.dispatcher.DeliverNetworkPacket(ipv4.ProtocolNumber, buffer)
		buffer.DecRef()
	}
}

func (l *tunLink) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	for i, packet := range packets.AsSlice() {
		if err := l.write(packet); err != nil {
			return i, err
		}
	}
	return packets.Len(), nil
}

func (l *tunLink) write(packet *stack.PacketBuffer) tcpip.Error {
	var virtio [virtioSize]byte
	if gso := packet.GSOOptions; gso.Type != stack.GSONone {
		if gso.NeedsCsum {
			virtio[0] = needsCsum
			binary.LittleEndian.PutUint16(virtio[6:], gso.L3HdrLen)
			binary.LittleEndian.PutUint16(virtio[8:], gso.CsumOffset)
		}
		binary.LittleEndian.PutUint16(virtio[2:], uint16(packet.HeaderSize()))
		if packet.Data().Size() > int(gso.MSS) {
			virtio[1] = gsoTCPv4
			binary.LittleEndian.PutUint16(virtio[4:], gso.MSS)
		}
	}
	slices := packet.AsSlices()
	vectors := make([]unix.Iovec, 1, 1+len(slices))
	vectors[0] = vector(virtio[:])
	for _, slice := range slices {
		if len(slice) > 0 {
			vectors = append(vectors, vector(slice))
		}
	}
	_, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(l.fd), uintptr(unsafe.Pointer(&vectors[0])), uintptr(len(vectors)))
	if errno != 0 {
		return &tcpip.ErrNoBufferSpace{}
	}
	return nil
}

func vector(data []byte) unix.Iovec { return unix.Iovec{Base: &data[0], Len: uint64(len(data))} }

func (*tunLink) GSOMaxSize() uint32                      { return gsoMost }
func (*tunLink) SupportedGSO() stack.SupportedGSO        { return stack.HostGSOSupported }
func (*tunLink) MTU() uint32                             { return mtu }
func (*tunLink) SetMTU(uint32)                           {}
func (*tunLink) MaxHeaderLength() uint16                 { return 0 }
func (*tunLink) LinkAddress() tcpip.LinkAddress          { return "" }
func (*tunLink) SetLinkAddress(tcpip.LinkAddress)        {}
func (*tunLink) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (*tunLink) AddHeader(*stack.PacketBuffer)           {}
func (*tunLink) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (*tunLink) Wait()                                   {}
func (*tunLink) Close()                                  {}
func (*tunLink) SetOnCloseAction(func())                 {}
func (l *tunLink) IsAttached() bool                      { return l.dispatcher != nil }

// Not of checksums that are sent: then nobody would make those of packets that are no super-segments.
func (*tunLink) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

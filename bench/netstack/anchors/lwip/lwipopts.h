// lwIP for throughput: one thread, memory of the C library, windows of 1 MiB, SACK.
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_UDP 0
#define LWIP_DHCP 0
#define LWIP_IPV6 0
#define IP_REASSEMBLY 0

#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8

#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 4
#define TCP_WND (0xffff << TCP_RCV_SCALE)
#define TCP_SND_BUF (1 << 20)
#define TCP_SND_QUEUELEN 16384
#define TCP_SNDLOWAT (0xffff - 4 * TCP_MSS - 1)  // the most that it can be
#define TCP_SNDQUEUELOWAT (TCP_SND_QUEUELEN / 2)
#define MEMP_NUM_TCP_SEG TCP_SND_QUEUELEN
#define LWIP_TCP_SACK_OUT 1
#define TCP_LISTEN_BACKLOG 0
#define PBUF_POOL_BUFSIZE 1536

#define LWIP_NOASSERT 1

#endif

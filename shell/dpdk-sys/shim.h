/* What is inline or a macro in DPDK's headers, as plain functions and constants, and the one place
 * that knows how an mbuf is laid out. The Rust side sees `struct shim_frame` only. */
#ifndef DPERF_SHIM_H
#define DPERF_SHIM_H

#include <rte_config.h>

#include <stdint.h>
#include <stdio.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

/* The most frames one call handles: a tray. */
#define SHIM_FRAMES 64

/* What the bonding driver calls a member in its arguments. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
#define SHIM_BOND_MEMBER "member"
#else
#define SHIM_BOND_MEMBER "slave"
#endif

/* One packet buffer; the layout of `dperf_core::frame::Frame`. */
struct shim_frame {
    uint8_t *data;
    uintptr_t mbuf;
    uint16_t len;
    uint16_t capacity;
    uint8_t rx_checksum; /* enum shim_rx_checksum */
    uint8_t tx_shape;    /* index into the shapes given to shim_transmit */
    uint16_t advanced;   /* 0 here: the worker's own */
};

enum { SHIM_RX_UNKNOWN = 0, SHIM_RX_GOOD = 1, SHIM_RX_BAD = 2 };

/* What a transmit shape asks of the device. */
struct shim_shape {
    uint64_t flags;   /* ol_flags */
    uint64_t lengths; /* the tx_offload word: header lengths */
    uint64_t ip_here; /* not 0: the device leaves the IPv4 header's checksum to us */
};

/* One piece of a pool's memory. */
struct shim_chunk {
    uintptr_t from;
    uintptr_t to;
};

/* Receives at most `want` frames. Chained buffers are made one piece; what does not fit into one
 * is freed and counted in `dropped`. `verify`: the device checks checksums, so say what it found. */
uint16_t shim_receive(uint16_t port, uint16_t queue, struct shim_frame *into, uint16_t want,
                      uint8_t verify, uint64_t *dropped);

/* Takes up to `want` blank frames out of the pool. */
uint16_t shim_take(struct rte_mempool *pool, struct shim_frame *into, uint16_t want);

/* Sends from the front, up to the first frame that does not lie in `own`; returns how many left. */
uint16_t shim_transmit(uint16_t port, uint16_t queue, const struct shim_frame *from, uint16_t count,
                       const struct shim_chunk *own, const struct shim_shape *shapes);

/* Frees frames from the front, up to the first that does not lie in `own`; returns how many. */
uint16_t shim_give_back(const struct shim_frame *from, uint16_t count, const struct shim_chunk *own);

/* The pool's memory, piece by piece; returns the number of pieces, also of those beyond `room`. */
uint32_t shim_pool_chunks(struct rte_mempool *pool, struct shim_chunk *into, uint32_t room);

/* The shape of a TCP segment behind an Ethernet and an IPv4 or IPv6 header. */
struct shim_shape shim_tcp_shape(uint8_t ipv6, uint8_t device_does_ip);

/* The calling thread's lcore, or SHIM_NO_LCORE. */
uint32_t shim_lcore_id(void);

/* The error of the last DPDK call that failed on this thread. */
int shim_errno(void);

/* Brings IP packets from `address` (or to it) to `queue`. 0, or a negative error, and what the
 * driver says about it in `why`, which it ends with a zero. */
int shim_add_rule(uint16_t port, uint16_t queue, const uint8_t *address, uint8_t ipv6,
                  uint8_t by_source, char *why, size_t room);

/* What no rule matches does not come to the port, which is not started yet. As above. */
int shim_isolate(uint16_t port, char *why, size_t room);

/* 1: the link is up; 0: it is down; negative: an error. */
int shim_link_is_up(uint16_t port);

static const uint32_t SHIM_NO_LCORE = LCORE_ID_ANY;
static const uint16_t SHIM_HEADROOM = RTE_PKTMBUF_HEADROOM;
static const uint32_t SHIM_MBUF_BYTES = sizeof(struct rte_mbuf);
static const uint64_t SHIM_TX_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_TX_TCP_CKSUM = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const uint64_t SHIM_TX_FAST_FREE = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
static const uint64_t SHIM_RX_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_RX_TCP_CKSUM = RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t SHIM_RX_UDP_CKSUM = RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t SHIM_RSS_IPV4 =
    RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER;
static const uint64_t SHIM_RSS_IPV6 =
    RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;
static const uint64_t SHIM_RSS_IPV4_TCP = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
static const uint64_t SHIM_RSS_IPV4_UDP = RTE_ETH_RSS_NONFRAG_IPV4_UDP;
static const uint64_t SHIM_RSS_IPV6_TCP = RTE_ETH_RSS_NONFRAG_IPV6_TCP;
static const uint64_t SHIM_RSS_IPV6_UDP = RTE_ETH_RSS_NONFRAG_IPV6_UDP;
static const uint64_t SHIM_RSS_WISHED = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;
static const uint32_t SHIM_MQ_RX_NONE = RTE_ETH_MQ_RX_NONE;
static const uint32_t SHIM_MQ_RX_RSS = RTE_ETH_MQ_RX_RSS;

#endif

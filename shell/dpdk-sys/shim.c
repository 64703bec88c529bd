/* The burst calls and everything else that is inline in DPDK, behind plain functions. */
#include "shim.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#define INLINE static inline __attribute__((always_inline))

_Static_assert(sizeof(struct shim_frame) == 24, "Frame is 24 bytes");
_Static_assert(offsetof(struct shim_frame, mbuf) == 8, "cookie");
_Static_assert(offsetof(struct shim_frame, len) == 16, "len");
_Static_assert(offsetof(struct shim_frame, capacity) == 18, "capacity");
_Static_assert(offsetof(struct shim_frame, rx_checksum) == 20, "rx_checksum");
_Static_assert(offsetof(struct shim_frame, tx_shape) == 21, "tx_shape");

/* What a sent mbuf may keep of its flags: how its buffer is attached, nothing of its reception. */
#define KEPT_FLAGS (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)

INLINE void describe(struct shim_frame *frame, struct rte_mbuf *m)
{
    frame->data = (uint8_t *)m->buf_addr + m->data_off;
    frame->mbuf = (uintptr_t)m;
    frame->len = m->data_len;
    frame->capacity = (uint16_t)(m->buf_len - m->data_off);
    frame->rx_checksum = SHIM_RX_UNKNOWN;
    frame->tx_shape = 0;
}

/* The device vouches for layer 4 but says nothing about the IPv4 header (virtio): look at it. */
static __attribute__((noinline, cold)) uint8_t verify_ip_header(const struct rte_mbuf *m)
{
    const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
    const struct rte_ipv4_hdr *ip = (const void *)(data + RTE_ETHER_HDR_LEN);
    uint16_t type;

    if (m->data_len < RTE_ETHER_HDR_LEN + sizeof(*ip))
        return SHIM_RX_UNKNOWN;
    type = (uint16_t)(data[12] << 8 | data[13]);
    if (type == RTE_ETHER_TYPE_IPV6)
        return SHIM_RX_GOOD;
    if (type != RTE_ETHER_TYPE_IPV4 || rte_ipv4_hdr_len(ip) < sizeof(*ip) ||
        m->data_len < RTE_ETHER_HDR_LEN + rte_ipv4_hdr_len(ip))
        return SHIM_RX_UNKNOWN;
    return rte_raw_cksum(ip, rte_ipv4_hdr_len(ip)) == 0xffff ? SHIM_RX_GOOD : SHIM_RX_BAD;
}

/* "None" means: wrong in the packet's bytes, but what they carry was verified. */
INLINE uint8_t checksum_verdict(const struct rte_mbuf *m)
{
    uint64_t ip = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    uint64_t l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

    if (ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD && l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
        return SHIM_RX_GOOD;
    if (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD)
        return SHIM_RX_BAD;
    if (l4 == RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN)
        return SHIM_RX_UNKNOWN;
    if (ip != RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN || RTE_ETH_IS_IPV6_HDR(m->packet_type))
        return SHIM_RX_GOOD;
    return verify_ip_header(m);
}

uint16_t shim_receive(uint16_t port, uint16_t queue, struct shim_frame *into, uint16_t want,
                      uint8_t verify, uint64_t *dropped)
{
    struct rte_mbuf *burst[SHIM_FRAMES];
    uint16_t got = rte_eth_rx_burst(port, queue, burst, RTE_MIN(want, SHIM_FRAMES));
    uint16_t kept = 0;

    for (uint16_t i = 0; i < got; i++) {
        struct rte_mbuf *m = burst[i];

        if (unlikely(m->nb_segs != 1) && rte_pktmbuf_linearize(m) != 0) {
            rte_pktmbuf_free(m);
            ++*dropped;
            continue;
        }
        describe(&into[kept], m);
        if (verify)
            into[kept].rx_checksum = checksum_verdict(m);
        kept++;
    }
    return kept;
}

uint16_t shim_take(struct rte_mempool *pool, struct shim_frame *into, uint16_t want)
{
    struct rte_mbuf *burst[SHIM_FRAMES];

    want = RTE_MIN(want, SHIM_FRAMES);
    /* All or nothing, says the pool; a nearly empty one shall still lend what it has. */
    while (want > 0 && unlikely(rte_pktmbuf_alloc_bulk(pool, burst, want) != 0))
        want /= 2;
    for (uint16_t i = 0; i < want; i++)
        describe(&into[i], burst[i]);
    return want;
}

INLINE void shape(struct rte_mbuf *m, const struct shim_frame *frame,
                  const struct shim_shape *as)
{
    m->ol_flags |= as->flags;
    m->tx_offload = as->lengths;
    if (as->ip_here && frame->len >= RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr)) {
        struct rte_ipv4_hdr *ip = (void *)(frame->data + RTE_ETHER_HDR_LEN);

        ip->hdr_checksum = 0;
        ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
    }
}

/* rte_eth_tx_prepare is left out on purpose: what it would do for our two shapes, the sum of the
 * pseudo header, is in the frame already. */
uint16_t shim_transmit(uint16_t port, uint16_t queue, const struct shim_frame *from, uint16_t count,
                       const struct shim_shape *shapes)
{
    struct rte_mbuf *burst[SHIM_FRAMES];

    count = RTE_MIN(count, SHIM_FRAMES);
    for (uint16_t i = 0; i < count; i++) {
        struct rte_mbuf *m = (struct rte_mbuf *)from[i].mbuf;

        m->data_len = from[i].len;
        m->pkt_len = from[i].len;
        m->ol_flags &= KEPT_FLAGS;
        if (from[i].tx_shape != 0)
            shape(m, &from[i], &shapes[from[i].tx_shape]);
        burst[i] = m;
    }
    return rte_eth_tx_burst(port, queue, burst, count);
}

void shim_give_back(const struct shim_frame *from, uint16_t count)
{
    struct rte_mbuf *burst[SHIM_FRAMES];

    count = RTE_MIN(count, SHIM_FRAMES);
    for (uint16_t i = 0; i < count; i++)
        burst[i] = (struct rte_mbuf *)from[i].mbuf;
    rte_pktmbuf_free_bulk(burst, count);
}

uint32_t shim_pool_chunks(struct rte_mempool *pool, struct shim_chunk *into, uint32_t room)
{
    const struct rte_mempool_memhdr *chunk;
    uint32_t count = 0;

    STAILQ_FOREACH(chunk, &pool->mem_list, next) {
        if (count < room) {
            into[count].from = (uintptr_t)chunk->addr;
            into[count].to = (uintptr_t)chunk->addr + chunk->len;
        }
        count++;
    }
    return count;
}

struct shim_shape shim_tcp_shape(uint8_t ipv6, uint8_t device_does_ip)
{
    struct shim_shape as = { .flags = RTE_MBUF_F_TX_TCP_CKSUM };

    if (ipv6)
        as.flags |= RTE_MBUF_F_TX_IPV6;
    else
        as.flags |= RTE_MBUF_F_TX_IPV4 | (device_does_ip ? RTE_MBUF_F_TX_IP_CKSUM : 0);
    as.lengths = rte_mbuf_tx_offload(RTE_ETHER_HDR_LEN,
                                     ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr),
                                     sizeof(struct rte_tcp_hdr), 0, 0, 0, 0);
    as.ip_here = !ipv6 && !device_does_ip;
    return as;
}

uint32_t shim_lcore_id(void)
{
    return rte_lcore_id();
}

int shim_errno(void)
{
    return rte_errno;
}

int shim_link_is_up(uint16_t port)
{
    struct rte_eth_link link = { 0 };
    int rc = rte_eth_link_get_nowait(port, &link);

    return rc < 0 ? rc : link.link_status == RTE_ETH_LINK_UP;
}

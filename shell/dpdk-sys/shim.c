/* The burst calls and everything else that is inline in DPDK, behind plain functions. */
#include "shim.h"

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#define INLINE static inline __attribute__((always_inline))

_Static_assert(sizeof(struct shim_frame) == 24, "Frame is 24 bytes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "describe() writes words");
_Static_assert(offsetof(struct shim_frame, mbuf) == 8, "cookie");
_Static_assert(offsetof(struct shim_frame, len) == 16, "len");
_Static_assert(offsetof(struct shim_frame, capacity) == 18, "capacity");
_Static_assert(offsetof(struct shim_frame, rx_checksum) == 20, "rx_checksum");
_Static_assert(offsetof(struct shim_frame, tx_shape) == 21, "tx_shape");
_Static_assert(offsetof(struct shim_frame, advanced) == 22, "advanced");

/* What a sent mbuf may keep of its flags: how its buffer is attached, nothing of its reception. */
#define KEPT_FLAGS (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)

/* One store for what is said about the frame: stores of parts of a word, read back as a whole a few
 * instructions later, would wait for each other. */
INLINE void describe(struct shim_frame *frame, struct rte_mbuf *m, uint8_t rx_checksum)
{
    uint16_t room = (uint16_t)(m->buf_len - m->data_off);
    uint64_t words = (uint64_t)m->data_len | (uint64_t)room << 16 | (uint64_t)rx_checksum << 32;

    frame->data = (uint8_t *)m->buf_addr + m->data_off;
    frame->mbuf = (uintptr_t)m;
    memcpy(&frame->len, &words, sizeof(words));
}

INLINE int lies_in(const struct shim_chunk *chunk, uintptr_t mbuf)
{
    return mbuf - chunk->from < chunk->to - chunk->from;
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
    struct shim_frame *next = into;
    uint16_t got;

    if (want > SHIM_FRAMES)
        want = SHIM_FRAMES;
    got = rte_eth_rx_burst(port, queue, burst, want);

    for (uint16_t i = 0; i < got; i++) {
        struct rte_mbuf *m = burst[i];

        if (unlikely(m->nb_segs != 1) && rte_pktmbuf_linearize(m) != 0) {
            rte_pktmbuf_free(m);
            ++*dropped;
            continue;
        }
        describe(next++, m, verify ? checksum_verdict(m) : SHIM_RX_UNKNOWN);
    }
    return (uint16_t)(next - into);
}

uint16_t shim_take(struct rte_mempool *pool, struct shim_frame *into, uint16_t want)
{
    struct rte_mbuf *burst[SHIM_FRAMES];

    if (want > SHIM_FRAMES)
        want = SHIM_FRAMES;
    /* All or nothing, says the pool; a nearly empty one shall still lend what it has. */
    while (want > 0 && unlikely(rte_mempool_get_bulk(pool, (void **)burst, want) != 0))
        want /= 2;
    for (uint16_t i = 0; i < want; i++) {
        /* In a pool a buffer is whole and nobody's; what else was said of its last packet is said
         * anew before it leaves. So its second cache line is not touched. */
        rte_pktmbuf_reset_headroom(burst[i]);
        burst[i]->data_len = 0;
        describe(&into[i], burst[i], SHIM_RX_UNKNOWN);
    }
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
                       const struct shim_chunk *own, const struct shim_shape *shapes)
{
    struct rte_mbuf *burst[SHIM_FRAMES];
    const struct shim_chunk chunk = *own;
    uint16_t i;

    if (count > SHIM_FRAMES)
        count = SHIM_FRAMES;
    for (i = 0; i < count; i++) {
        const struct shim_frame *frame = &from[i];
        struct rte_mbuf *m = (struct rte_mbuf *)frame->mbuf;

        if (unlikely(!lies_in(&chunk, frame->mbuf)))
            break;
        m->data_len = frame->len;
        m->pkt_len = frame->len;
        m->ol_flags &= KEPT_FLAGS;
        if (frame->tx_shape != 0)
            shape(m, frame, &shapes[frame->tx_shape]);
        burst[i] = m;
    }
    return rte_eth_tx_burst(port, queue, burst, i);
}

uint16_t shim_give_back(const struct shim_frame *from, uint16_t count, const struct shim_chunk *own)
{
    struct rte_mbuf *burst[SHIM_FRAMES];
    const struct shim_chunk chunk = *own;
    uint16_t i;

    if (count > SHIM_FRAMES)
        count = SHIM_FRAMES;
    for (i = 0; i < count && lies_in(&chunk, from[i].mbuf); i++)
        burst[i] = (struct rte_mbuf *)from[i].mbuf;
    rte_pktmbuf_free_bulk(burst, i);
    return i;
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

static int refused(const struct rte_flow_error *error, char *why, size_t room)
{
    snprintf(why, room, "%s", error->message ? error->message : "");
    return rte_errno > 0 ? -rte_errno : -EINVAL;
}

int shim_add_rule(uint16_t port, uint16_t queue, const uint8_t *address, uint8_t ipv6,
                  uint8_t by_source, char *why, size_t room)
{
    struct rte_flow_item_ipv4 v4 = { 0 }, v4_mask = { 0 };
    struct rte_flow_item_ipv6 v6 = { 0 }, v6_mask = { 0 };
    struct rte_flow_item pattern[] = {
        { .type = RTE_FLOW_ITEM_TYPE_ETH },
        { .type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &v4, .mask = &v4_mask },
        { .type = RTE_FLOW_ITEM_TYPE_END },
    };
    const struct rte_flow_action_queue to = { .index = queue };
    const struct rte_flow_action actions[] = {
        { .type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to },
        { .type = RTE_FLOW_ACTION_TYPE_END },
    };
    const struct rte_flow_attr attributes = { .ingress = 1 };
    struct rte_flow_error error = { 0 };

    if (ipv6) {
        pattern[1] = (struct rte_flow_item){
            .type = RTE_FLOW_ITEM_TYPE_IPV6, .spec = &v6, .mask = &v6_mask };
        memcpy(by_source ? v6.hdr.src_addr : v6.hdr.dst_addr, address, 16);
        memset(by_source ? v6_mask.hdr.src_addr : v6_mask.hdr.dst_addr, 0xff, 16);
    } else {
        memcpy(by_source ? &v4.hdr.src_addr : &v4.hdr.dst_addr, address, 4);
        memset(by_source ? &v4_mask.hdr.src_addr : &v4_mask.hdr.dst_addr, 0xff, 4);
    }
    why[0] = 0;
    if (rte_flow_create(port, &attributes, pattern, actions, &error) == NULL)
        return refused(&error, why, room);
    return 0;
}

int shim_isolate(uint16_t port, char *why, size_t room)
{
    struct rte_flow_error error = { 0 };

    why[0] = 0;
    return rte_flow_isolate(port, 1, &error) == 0 ? 0 : refused(&error, why, room);
}

/* lwIP as a peer, in a process of its own: frames come and go over its standard streams, and so
 * does the time, so that a run is a function of what it is told.
 *
 * It is told: `F`, a length, a frame; `T`, a quarter of a second has passed; `Q`, how far are you?
 * It answers each with the frames that it sends, every one behind its length, and a length of 0;
 * to `Q` with four numbers: connections done, failed, bytes that were wrong, connections open.
 * Numbers are in the machine's order: lengths of 16 bits, others of 32.
 *
 * Arguments: client or server, its MAC address, connections, requests on each, open at once.
 * The message it sends and the one it expects come first, each behind its length. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <netif/ethernet.h>

struct message {
    uint8_t *bytes;
    uint32_t len;
};

/* One connection and what was done on it. */
struct talk {
    struct tcp_pcb *pcb;
    uint64_t sent, got;
};

static int is_client;
static uint32_t connections, requests, parallel, opened, alive;
static struct message mine, theirs;
static uint32_t done, failed, wrong;
static struct netif cable;

static void fail(const char *what)
{
    fprintf(stderr, "lwip_peer: %s\n", what);
    exit(1);
}

static void take(void *into, size_t len)
{
    if (fread(into, 1, len, stdin) != len)
        exit(0);
}

static void give(const void *from, size_t len)
{
    if (fwrite(from, 1, len, stdout) != len)
        exit(0);
}

static err_t send_frame(struct netif *netif, struct pbuf *pbuf)
{
    uint8_t frame[1514];
    uint16_t len = pbuf_copy_partial(pbuf, frame, sizeof frame, 0);
    (void)netif;
    give(&len, sizeof len);
    give(frame, len);
    return ERR_OK;
}

/* Nothing more is to be said. */
static int is_said(const struct talk *talk)
{
    return talk->sent == (uint64_t)requests * mine.len && talk->got == (uint64_t)requests * theirs.len;
}

/* It may end here: a server's connection behind any answer. */
static int is_done(const struct talk *talk)
{
    int answered = talk->sent * theirs.len == talk->got * mine.len;
    int between = talk->got > 0 && talk->got % theirs.len == 0 && answered;
    return is_said(talk) || (!is_client && between);
}

static void finish(struct talk *talk)
{
    if (is_done(talk))
        done++;
    else
        failed++;
    alive--;
    free(talk);
}

/* Sends what is due; closes when all is said, or nothing more will come. */
static void step(struct talk *talk, int ended)
{
    uint64_t heard = talk->got / theirs.len;
    uint64_t turns = is_client && heard < requests ? heard + 1 : heard;
    struct tcp_pcb *pcb = talk->pcb;
    while (talk->sent < turns * mine.len) {
        uint32_t at = talk->sent % mine.len, rest = mine.len - at;
        uint32_t room = tcp_sndbuf(pcb), len = rest < room ? rest : room;
        if (len > 0xffff)
            len = 0xffff;
        if (len == 0 || tcp_write(pcb, mine.bytes + at, len, TCP_WRITE_FLAG_COPY) != ERR_OK)
            break;
        talk->sent += len;
    }
    if (is_said(talk) || ended) {
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, NULL);
        tcp_sent(pcb, NULL);
        tcp_err(pcb, NULL);
        if (tcp_close(pcb) != ERR_OK)
            fail("tcp_close");
        finish(talk);
    } else {
        tcp_output(pcb);
    }
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *pbuf, err_t err)
{
    struct talk *talk = arg;
    (void)err;
    if (pbuf == NULL) {
        step(talk, 1);
        return ERR_OK;
    }
    for (struct pbuf *part = pbuf; part != NULL; part = part->next) {
        const uint8_t *bytes = part->payload;
        for (uint16_t i = 0; i < part->len; i++)
            wrong += bytes[i] != theirs.bytes[talk->got++ % theirs.len];
    }
    tcp_recved(pcb, pbuf->tot_len);
    pbuf_free(pbuf);
    step(talk, 0);
    return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    (void)pcb, (void)len;
    step(arg, 0);
    return ERR_OK;
}

static void on_err(void *arg, err_t err)
{
    (void)err;
    finish(arg);
}

static struct talk *begin(struct tcp_pcb *pcb)
{
    struct talk *talk = calloc(1, sizeof *talk);
    if (talk == NULL)
        fail("no memory");
    talk->pcb = pcb;
    alive++;
    tcp_arg(pcb, talk);
    tcp_recv(pcb, on_recv);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_err);
    return talk;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)arg;
    if (err == ERR_OK)
        begin(pcb);
    return err;
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    (void)pcb, (void)err;
    step(arg, 0);
    return ERR_OK;
}

/* A client's next connections. */
static void open_more(void)
{
    while (is_client && opened < connections && alive < parallel) {
        struct tcp_pcb *pcb = tcp_new();
        ip_addr_t server = IPADDR4_INIT_BYTES(10, 2, 0, 2);
        if (pcb == NULL || tcp_bind(pcb, IP_ADDR_ANY, (u16_t)(1024 + opened++)) != ERR_OK)
            fail("no port");
        begin(pcb);
        if (tcp_connect(pcb, &server, 80, on_connected) != ERR_OK)
            fail("tcp_connect");
    }
}

static void listen_here(void)
{
    struct tcp_pcb *pcb = tcp_new();
    if (pcb == NULL || tcp_bind(pcb, IP_ADDR_ANY, 80) != ERR_OK)
        fail("no port 80");
    tcp_accept(tcp_listen_with_backlog(pcb, 255), on_accept);
}

static err_t set_up(struct netif *netif)
{
    netif->output = etharp_output;
    netif->linkoutput = send_frame;
    netif->mtu = 1500;
    netif->hwaddr_len = 6;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static struct message message(void)
{
    struct message message;
    take(&message.len, sizeof message.len);
    message.bytes = malloc(message.len);
    if (message.bytes == NULL)
        fail("no memory");
    take(message.bytes, message.len);
    return message;
}

static void frame_came(void)
{
    static uint8_t frame[0x10000];
    uint16_t len;
    struct pbuf *pbuf;
    take(&len, sizeof len);
    take(frame, len);
    if (len == 0)
        return;
    pbuf = pbuf_alloc(PBUF_RAW, len, PBUF_RAM);
    if (pbuf == NULL || pbuf_take(pbuf, frame, len) != ERR_OK)
        fail("no buffer");
    if (ethernet_input(pbuf, &cable) != ERR_OK)
        pbuf_free(pbuf);
}

/* Connections that lwIP itself has not closed; TIME-WAIT is closed enough. */
static uint32_t count_open(void)
{
    uint32_t count = 0;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)
        count++;
    return count;
}

int main(int argc, char **argv)
{
    static uint32_t ticks;
    ip4_addr_t address, mask, none = {0};
    uint8_t kind;
    if (argc != 6)
        fail("client|server MAC connections requests parallel");
    is_client = strcmp(argv[1], "client") == 0;
    connections = strtoul(argv[3], NULL, 10);
    requests = strtoul(argv[4], NULL, 10);
    parallel = strtoul(argv[5], NULL, 10);
    mine = message();
    theirs = message();
    lwip_init();
    IP4_ADDR(&address, 10, is_client ? 1 : 2, 0, 2);
    IP4_ADDR(&mask, 255, 0, 0, 0);
    if (netif_add(&cable, &address, &mask, &none, NULL, set_up, ethernet_input) == NULL)
        fail("netif_add");
    for (int i = 0; i < 6; i++)
        cable.hwaddr[i] = strtoul(argv[2] + 3 * i, NULL, 16);
    netif_set_default(&cable);
    netif_set_up(&cable);
    if (!is_client)
        listen_here();
    for (;;) {
        uint16_t end = 0;
        take(&kind, 1);
        if (kind == 'F') {
            frame_came();
        } else if (kind == 'T') {
            tcp_tmr();
            if (++ticks % 4 == 0)
                etharp_tmr();
        } else if (kind == 'Q') {
            uint32_t tally[4] = {done, failed, wrong, count_open() + (is_client ? connections - opened : 0)};
            give(tally, sizeof tally);
            fflush(stdout);
            continue;
        }
        open_more();
        give(&end, sizeof end);
        fflush(stdout);
    }
}

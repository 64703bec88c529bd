//! Finds the installed libdpdk, compiles `shim.c` against it and generates the bindings, or says in
//! one sentence what is missing.

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

/// The oldest release with the names we use (`RTE_ETH_*`, `rxmode.mtu`).
const OLDEST: &str = "21.11";

/// What the bindings hold, and nothing else: the calls of the control path.
const FUNCTIONS: &[&str] = &[
    "rte_eal_init",
    "rte_eal_cleanup",
    "rte_eal_get_runtime_dir",
    "rte_openlog_stream",
    "rte_strerror",
    "rte_thread_register",
    "rte_thread_unregister",
    "rte_dev_probe",
    "rte_dev_remove",
    "rte_pktmbuf_pool_create",
    "rte_mempool_free",
    "rte_mempool_in_use_count",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_dev_info_get",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_configure",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_rx_queue_setup",
    "rte_eth_tx_queue_setup",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_dev_close",
    "rte_eth_dev_is_removed",
    "rte_eth_dev_rss_hash_conf_get",
    "rte_eth_dev_rss_reta_query",
    "rte_eth_macaddr_get",
    "rte_eth_allmulticast_enable",
    "rte_eth_promiscuous_enable",
    "rte_eth_stats_get",
    "shim_.*",
];

/// Types we only hold by pointer, or never look into.
const OPAQUE: &[&str] = &[
    "rte_mbuf",
    "rte_mempool",
    "rte_device",
    "rte_eth_rxseg",
    "rte_eth_vmdq_.*",
    "rte_eth_dcb_.*",
    "_IO_FILE",
];

fn main() {
    for file in ["build.rs", "shim.c", "shim.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let dpdk = match pkg_config::Config::new()
        .atleast_version(OLDEST)
        .cargo_metadata(false)
        .probe("libdpdk")
    {
        Ok(library) => library,
        Err(reason) => missing(&reason),
    };
    let flags = machine_flags();

    let mut shim = cc::Build::new();
    shim.file("shim.c").includes(&dpdk.include_paths).opt_level(3).warnings(false);
    for flag in &flags {
        shim.flag(flag);
    }
    shim.compile("dperf_dpdk_shim");

    for path in &dpdk.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    // Only what is called by name: the drivers are plug-ins, loaded by rte_eal_init.
    for library in ["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_eal"] {
        println!("cargo:rustc-link-lib={library}");
    }

    let mut bindings = bindgen::Builder::default()
        .header("shim.h")
        .use_core()
        .rust_edition(bindgen::RustEdition::Edition2024)
        .allowlist_var("SHIM_.*")
        .generate_cstr(true)
        .generate_comments(false)
        .layout_tests(true)
        .clang_args(&flags)
        .clang_args(dpdk.include_paths.iter().map(|path| format!("-I{}", path.display())));
    for function in FUNCTIONS {
        bindings = bindings.allowlist_function(function);
    }
    for name in OPAQUE {
        bindings = bindings.opaque_type(name);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    bindings
        .generate()
        .expect("bindgen reads DPDK's headers (it needs libclang: Debian's libclang-dev)")
        .write_to_file(out.join("bindings.rs"))
        .expect("OUT_DIR is writable");
}

/// What DPDK's headers need besides their folders: the machine DPDK was built for, and its
/// configuration. The crate pkg-config keeps only -I, -L, -l and -D.
fn machine_flags() -> Vec<String> {
    let tool = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(tool).args(["--cflags-only-other", "libdpdk"]).output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
        }
        Ok(output) => missing(&String::from_utf8_lossy(&output.stderr)),
        Err(reason) => missing(&reason),
    }
}

/// Ends the build with the one sentence that helps.
fn missing(reason: &dyn std::fmt::Display) -> ! {
    println!(
        "cargo::error=libdpdk was not found: install libdpdk-dev (Debian) or build without the \
         feature dpdk"
    );
    eprintln!("libdpdk >= {OLDEST} by pkg-config: {reason}");
    exit(1)
}

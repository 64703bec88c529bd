//! Every configuration in `configs/` can be checked by anybody, and those that need no device run.

use std::path::PathBuf;

use dperf_tests::process::Folder;
use dperf_tests::program;

use crate::in_turn;
use crate::run::{code, count, cpus, end, of, pair, records, root, run};

fn configs() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("configs")).expect("configs/");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| text(file).ends_with(".conf") || text(file).ends_with(".toml"));
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    files
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a plain name")
}

/// What one of them sends lies beside it.
fn copy_request(folder: &Folder) {
    let name = "link-file-request.txt";
    folder.write(name, std::fs::read(root().join("configs").join(name)).expect("a file"));
}

#[test]
fn every_example_is_checked_and_explained() {
    let files = configs();
    let mut plans = 0;
    for file in &files {
        // A TOML file has roles of its own; here the server comes first.
        let is_client = text(file).ends_with("-client.conf");
        let role = if is_client { "client" } else { "server" };
        let ended = run(&["check", text(file)]);
        assert_eq!((code(&ended), ended.err.as_str()), (Some(0), ""), "{}", file.display());
        assert!(ended.out.starts_with(role) && ended.out.contains("tuples"), "{}", ended.out);
        let ended = run(&["check", "--json", text(file)]);
        assert_eq!((code(&ended), ended.err.as_str()), (Some(0), ""), "{}", file.display());
        let records = records(&ended);
        assert_eq!(of(&records, "plan", role).len(), 1, "{}", ended.out);
        let (tuples, bytes) = (count(&records[0], "tuples"), count(&records[0], "memory_bytes"));
        let lines = std::fs::read_to_string(file).expect("a file");
        let has = |word| lines.lines().any(|line| line.split(' ').next() == Some(word));
        // A slot for each tuple, in every worker that may have it; but what is over with its first
        // packet is not kept.
        let forgets = is_client && has("flood") && !has("keepalive");
        let right = if forgets { bytes == 0 } else { bytes > 0 && bytes % (64 * tuples) == 0 };
        assert!(tuples > 0 && right, "{}: {bytes} for {tuples}", file.display());
        plans += records.len();
    }
    let mut words = vec!["check", "--json"];
    words.extend(files.iter().map(|file| text(file)));
    assert_eq!(records(&run(&words)).len(), plans);
}

/// A copy of the program and the files, for somebody who may do nothing.
#[test]
fn checking_needs_no_privilege() {
    use std::os::unix::process::CommandExt;
    let folder = Folder::new();
    let copy = folder.file("dperf-shell");
    std::fs::copy(program::path(), &copy).expect("a copy");
    let mut command = std::process::Command::new(&copy);
    command.arg("check");
    copy_request(&folder);
    for file in configs() {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a plain name");
        command.arg(folder.write(name, std::fs::read(&file).expect("a file")));
    }
    if rustix::process::geteuid().is_root() {
        const NOBODY: u32 = 65534;
        command.uid(NOBODY).gid(NOBODY);
    }
    let ended = end(command, &folder);
    assert_eq!((code(&ended), ended.err.as_str()), (Some(0), ""), "{}", ended.out);
}

/// Both files of every pair on a link, in one process; on other processors where 0 and 1 are not
/// ours.
#[test]
fn every_pair_on_a_link_meets_its_target() {
    let _turn = in_turn();
    let folder = Folder::new();
    copy_request(&folder);
    let [first, second] = cpus();
    let own = |line: &str| match line.strip_prefix("cpu ") {
        Some(cores) => {
            let named = |core: &str| if core == "0" { first } else { second };
            let cores = cores.split_whitespace().map(|core| named(core).to_string());
            format!("cpu {}", cores.collect::<Vec<_>>().join(" "))
        }
        None => line.to_string(),
    };
    let put = |file: &PathBuf| {
        let lines = std::fs::read_to_string(file).expect("a file");
        let lines: Vec<String> = lines.lines().map(own).collect();
        let name = file.file_name().and_then(|name| name.to_str()).expect("a plain name");
        folder.write(name, lines.join("\n")).display().to_string()
    };
    let linked = |file: &&PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("link-") && name.ends_with("-client.conf")
    };
    let files = configs();
    let clients: Vec<&PathBuf> = files.iter().filter(linked).collect();
    assert!(clients.len() >= 6, "{clients:?}");
    for client in clients {
        let server = PathBuf::from(text(client).replace("-client.conf", "-server.conf"));
        // The configuration is tested here, not the machine.
        let ended = run(&["run", &put(&server), &put(client), "--json", "--target", "90"]);
        assert_eq!(code(&ended), Some(0), "{}\n{}", client.display(), ended.err);
        let records = records(&ended);
        let client = of(&records, "final", "client")[0];
        assert_eq!((&client["passed"], count(client, "skErr")), (&true.into(), 0), "{client}");
        assert!(client["target"]["reached"].as_f64() > Some(0.0), "{client}");
    }
}

/// The frames that a plan tells of are those that cross the wire: every bit is accounted for.
#[test]
fn the_frames_of_a_plan_are_those_on_the_wire() {
    let _turn = in_turn();
    let folder = Folder::new();
    for both in ["", "keepalive 1ms 1", "payload_size 1000\nvlan 5", "fast_close"] {
        let (shared, own) = if both == "fast_close" { ("", both) } else { (both, "") };
        let [server, client] =
            pair(&folder, &format!("duration 2s\n{shared}"), "", &format!("cps 1k\n{own}"));
        let ended = run(&["run", &server, &client, "--json", "--target", "90"]);
        assert_eq!(code(&ended), Some(0), "{}", ended.err);
        let records = records(&ended);
        // A server does not know that its client will leave with a RST.
        let roles: &[&str] = if own.is_empty() { &["client", "server"] } else { &["client"] };
        for role in roles.iter().copied() {
            let plan = of(&records, "plan", role)[0];
            let last = of(&records, "final", role)[0];
            let frames = plan["exchange"].as_array().expect("frames");
            let ours = frames.iter().filter(|frame| frame["from"] == role);
            let bytes: u64 = ours.map(|frame| count(frame, "bytes") * count(frame, "count")).sum();
            // What is not load: who asks for whom, and answers.
            let others = count(last, "arpTx") * if shared.contains("vlan") { 64 } else { 60 };
            let told = 8 * (bytes * count(last, "skOpen") + others);
            let counted = count(last, "bitsTx");
            let slack = 8 * 18 * count(last, "arpTx");
            assert!(counted <= told && told - counted <= slack, "{both}: {told} told, {counted}");
        }
    }
}

/// Both roles of one TOML file.
#[test]
fn roles_of_one_file_run_together() {
    let _turn = in_turn();
    let folder = Folder::new();
    let file = root().join("configs/link-roles.toml");
    let [first, second] = cpus();
    let text = std::fs::read_to_string(file).expect("a file");
    let text = text.replace("cpu = 0", &format!("cpu = {first}"));
    let text = text.replace("cpu = 1", &format!("cpu = {second}"));
    let copy = folder.write("roles.toml", text).display().to_string();
    let ended = run(&["run", &copy, "--json", "--target", "90"]);
    assert_eq!(code(&ended), Some(0), "{}", ended.err);
    let records = records(&ended);
    let (client, server) = (of(&records, "final", "client"), of(&records, "final", "server"));
    assert_eq!((client.len(), server.len()), (1, 1), "{}", ended.out);
    // Those that were open in the end have sent fewer.
    assert!(count(client[0], "httpGet") > 15 * count(client[0], "skOpen"), "{}", client[0]);
    // dperf's flags are for one role.
    let ended = run(&["-t", "-c", &copy]);
    assert_eq!(code(&ended), Some(2));
    assert!(ended.err.contains("there are 2 roles where one is wanted"), "{}", ended.err);
}

#[test]
fn the_reference_is_what_the_program_says() {
    let written = std::fs::read_to_string(root().join("docs/CONFIG.md")).expect("docs/CONFIG.md");
    assert_eq!(run(&["keywords", "--markdown"]).out, written);
    let ended = run(&["keywords"]);
    assert_eq!(code(&ended), Some(0));
    for keyword in written.lines().filter_map(|line| line.strip_prefix("### ")) {
        let mut lines = ended.out.lines();
        assert!(lines.any(|line| line.trim_start().starts_with(keyword)), "{keyword}");
    }
}

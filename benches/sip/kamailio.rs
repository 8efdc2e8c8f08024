//! The peer in the same run: Kamailio as a stateful, record-routing proxy.

use super::process::measured;
use crate::common::Failure;
use crate::common::installation::free_port;
use std::fs;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running proxy; ended when dropped.
pub struct Kamailio {
    /// Where it listens.
    pub address: SocketAddrV4,
    child: Child,
    folder: PathBuf,
}

impl Kamailio {
    /// Starts it; everything goes on to `callee`. `None` when it is not installed.
    pub fn start(callee: SocketAddrV4) -> Result<Option<Self>, Failure> {
        let SocketAddr::V4(address) = free_port()? else { return Err("no IPv4".into()) };
        let folder = std::env::temp_dir().join(format!("trunkline-kamailio-{}", address.port()));
        fs::create_dir_all(&folder)?;
        let file = folder.join("kamailio.cfg");
        fs::write(&file, configuration(address, callee))?;
        let mut command = Command::new("kamailio");
        command.arg("-f").arg(&file).args(["-DD", "-E", "-m", "256", "-M", "16"]);
        command.arg("-Y").arg(&folder).arg("-P").arg(folder.join("pid"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(folder.join("log"))?);
        let child = match measured(&mut command).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let kamailio = Self { address, child, folder };
        kamailio.wait()?;
        Ok(Some(kamailio))
    }

    /// The processes: the first one and its children.
    pub fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        let children = |of: u32| {
            let path = PathBuf::from(format!("/proc/{of}/task/{of}/children"));
            fs::read_to_string(path).unwrap_or_default()
        };
        let mut at = 0;
        while let Some(parent) = all.get(at) {
            let found = children(*parent);
            all.extend(found.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
            at += 1;
        }
        all
    }

    fn wait(&self) -> Result<(), Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let local = socket.local_addr()?;
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            let options = format!(
                "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKup;rport\r\n\
                 Max-Forwards: 0\r\nFrom: <sip:a@{local}>;tag=1\r\nTo: <sip:{0}>\r\n\
                 Call-ID: up\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
                self.address
            );
            socket.send_to(options.as_bytes(), self.address)?;
            if socket.recv(&mut [0; 2_048]).is_ok() {
                return Ok(());
            }
        }
        Err(format!("kamailio does not answer:\n{}", log(&self.folder)).into())
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        for process in self.processes() {
            // SAFETY: a signal to a process that we started.
            unsafe { libc::kill(process.cast_signed(), libc::SIGKILL) };
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

fn configuration(address: SocketAddrV4, callee: SocketAddrV4) -> String {
    format!(
        r#"
        debug=-1
        log_stderror=yes
        children=2
        disable_tcp=yes
        auto_aliases=no
        listen=udp:{address}
        loadmodule "tm.so"
        loadmodule "sl.so"
        loadmodule "rr.so"
        loadmodule "maxfwd.so"
        loadmodule "pv.so"
        loadmodule "siputils.so"
        loadmodule "textops.so"
        request_route {{
            if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
            if (has_totag()) {{
                if (loose_route()) {{ t_relay(); exit; }}
                if (is_method("ACK") && t_check_trans()) {{ t_relay(); }}
                exit;
            }}
            t_check_trans();
            record_route();
            $du = "sip:{callee}";
            if (!t_relay()) {{ sl_reply_error(); }}
            exit;
        }}
        "#
    )
}

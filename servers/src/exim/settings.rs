use std::path::{Path, PathBuf};

use super::Exim;

/// What the server is told: to take everything, to keep it in one folder, and to send nothing on.
pub(super) struct Settings<'a> {
    pub(super) folder: &'a Path,
    pub(super) user: &'a str,
    pub(super) group: &'a str,
    pub(super) port: u16,
    pub(super) tls_port: u16,
}

impl Settings<'_> {
    pub(super) fn program(&self) -> PathBuf {
        self.folder.join("exim")
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.join("settings")
    }

    /// Holds the addresses that are refused for good.
    pub(super) fn refused(&self) -> PathBuf {
        self.folder.join("refused")
    }

    /// Holds the addresses that are refused for now.
    pub(super) fn later(&self) -> PathBuf {
        self.folder.join("later")
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    pub(super) fn text(&self, tls: bool) -> String {
        let Self { folder, user, group, port, tls_port } = self;
        let folder = folder.display();
        let (name, password) = Exim::LOGIN;
        let (login_domain, unwanted) = (Exim::LOGIN_DOMAIN, Exim::UNWANTED);
        let tls_lines = match tls {
            true => format!(
                "tls_advertise_hosts = *\n\
                 tls_certificate = {}\n\
                 tls_privatekey = {}\n\
                 daemon_smtp_ports = {port} : {tls_port}\n\
                 tls_on_connect_ports = {tls_port}",
                self.certificate().display(),
                self.key().display()
            ),
            false => format!("tls_advertise_hosts =\ndaemon_smtp_ports = {port}"),
        };
        format!(
            "exim_path = {folder}/exim
exim_user = {user}
exim_group = {group}
never_users =
deliver_drop_privilege
daemon_startup_retries = 0
primary_hostname = mail.example.com
local_interfaces = 127.0.0.1
{tls_lines}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/pid
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
message_size_limit = 8M
acl_smtp_mail = taken
acl_smtp_rcpt = to
acl_smtp_data = content

begin acl
taken:
  accept
to:
  deny message = 5.1.1 nobody here has this name
    recipients = lsearch;{refused}
  defer message = 4.2.1 this mailbox is busy, come back later
    recipients = lsearch;{later}
  deny message = 530 5.7.0 log in first
    domains = {login_domain}
    !authenticated = *
  accept
content:
  deny message = 5.7.1 nobody here wants this
    condition = ${{if match{{$h_subject:}}{{{unwanted}}}}}
  accept

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and{{{{eq{{$auth2}}{{{name}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2

begin routers
everybody:
  driver = accept
  transport = folder

begin transports
folder:
  driver = appendfile
  maildir_format
  directory = {folder}/mail
  envelope_to_add
  return_path_add
  user = {user}
  group = {group}
",
            refused = self.refused().display(),
            later = self.later().display(),
        )
    }
}

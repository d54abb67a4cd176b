use std::net::SocketAddr;

use underlay_core::Error;

use crate::ServerConfig;

/// Whether a service may listen on these addresses: one that lets everybody in may on this machine only.
/// Also the loopback addresses that are IPv4 in the form of IPv6.
///
/// # Errors
/// [`Error::Invalid`] that says what to do.
pub fn check_listener(config: &ServerConfig, addresses: &[SocketAddr]) -> Result<(), Error> {
    let outside = addresses.iter().find(|address| !is_of_this_machine(address));
    match outside {
        Some(address) if config.is_open() => Err(Error::invalid(format!(
            "{address} can be reached from other machines, and this service lets everybody in as one \
             tenant; give it credentials, such as a file of tokens, or let it listen on 127.0.0.1 only"
        ))),
        _ => Ok(()),
    }
}

/// Whether only this machine reaches an address.
pub(crate) fn is_of_this_machine(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use underlay_core::TenantId;

    use super::*;
    use crate::OneTenant;

    fn check(config: &ServerConfig, address: &str) -> Result<(), Error> {
        check_listener(config, &[address.parse().unwrap()])
    }

    #[test]
    fn an_open_service_listens_on_this_machine_only() {
        let tenant = TenantId::new("main").unwrap();
        let open = ServerConfig::new("Bank").open_to(tenant.clone());
        for own in ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            check(&open, own).unwrap();
        }
        let closed = ServerConfig::new("Bank").with_credentials(OneTenant::new(tenant));
        for other in
            ["0.0.0.0:1", "[::]:1", "[::ffff:0.0.0.0]:1", "192.168.0.1:1", "[fe80::1]:1", "[2001:db8::1]:1"]
        {
            let told = check(&open, other).unwrap_err().to_string();
            assert!(told.contains("credentials") && told.contains("127.0.0.1 only"), "{told}");
            check(&closed, other).unwrap();
        }
        // One of several is one too many.
        let both = ["127.0.0.1:1", "10.0.0.1:1"].map(|address| address.parse().unwrap());
        check_listener(&open, &both).unwrap_err();
    }
}
